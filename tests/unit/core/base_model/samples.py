"""A scheduler configuration, and a run of a model that was loaded."""

from __future__ import annotations

import torch
from PIL import Image

from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.request.options import InversionOptions, LearningOptions
from s2edit_core.unet.backbone import Backbone

SCHEDULER = {
    "_class_name": "DDIMScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "steps_offset": 1,
}


def runs(backbone: Backbone) -> None:
    """Learn for a step, invert and edit in two: everything of the model takes part."""
    pipe = S2EditPipeline(backbone)
    photo = Image.radial_gradient("L").resize((32, 32)).convert("RGB")
    mask = Image.new("L", (32, 32))
    mask.paste(255, (4, 4, 28, 30))
    options = LearningOptions(start_steps=1, token_steps=1, joint_steps=1, batch=2)
    identity = pipe.learn(photo, mask, "a photo of a woman", options=options)
    inversion = pipe.invert(photo, mask, concept=identity, options=InversionOptions(tier="residual"), num_inference_steps=2)
    done = pipe("a photo of a [I] woman with red hair", image=photo, mask=mask, identity=identity, inversion=inversion)
    assert torch.isfinite(done.latents).all()
