"""Methods of others, from their published descriptions, as baselines of the quality bench.

All run on the same model with as many steps as the other methods. Guidance scales are the published ones times the ratio of the
model's own guidance to Stable Diffusion's 7.5. What that leaves open was chosen on people outside the bench: `tuning`.
"""
