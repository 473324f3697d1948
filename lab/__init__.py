"""Measurements of s2edit, and everything that they need.

`world` draws synthetic portraits for which the correct result of every edit is known. `training` trains the shipped model on them.
The other packages are benches: each measures one aspect of the service and writes a file to `lab/results/`.
"""
