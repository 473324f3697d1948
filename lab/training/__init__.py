"""Training of the shipped model and its segmenter from scratch.

Every stage resumes from its last checkpoint. `random_sd14` writes a model with Stable Diffusion's shapes and random weights
instead.
"""
