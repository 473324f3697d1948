"""The synthetic world that the lab trains on and measures with.

A person is drawn from a seed as a portrait, a photograph or part of a scene. Because the drawing is parametric, the ground truth of
every edit and mask is known.
"""
