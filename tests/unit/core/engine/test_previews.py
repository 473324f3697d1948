"""Previews of the real engine."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image

from s2edit_core.delivery.preview_files import preview_size
from s2edit_core.method.editing import SamplingProgress
from s2edit_core.unet.backbone import Backbone
from tests.unit.core.engine.runs import INPUTS, REQUEST, Run
from worker.engines.engine import PreviewedProgress
from worker.engines.s2edit_engine import S2EditEngine


def test_each_step_of_editing_offers_a_preview_and_evaluates_nothing_for_it(engine: S2EditEngine, cold: Run) -> None:
    steps = engine.edit(REQUEST, INPUTS, **cold.saved())
    size = preview_size(Image.open(io.BytesIO(INPUTS.image)).size)
    offered = []
    for step in steps:
        if isinstance(step, PreviewedProgress):
            evaluations = engine.pipeline.evaluations
            picture = Image.open(io.BytesIO(step.draw()))
            assert (picture.format, picture.size) == ("WEBP", size)
            assert np.asarray(picture.convert("RGB")).std() > 0
            assert engine.pipeline.evaluations == evaluations
            offered.append((step.phase, step.step))
    assert offered == [("editing", step + 1) for step in range(len(offered))]
    assert offered


def test_the_estimate_of_the_noise_is_undone(backbone: Backbone) -> None:
    clean, noise = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    noisy = backbone.schedule.add_noise(clean[None], noise[None], torch.tensor([400]))[0]
    progress = SamplingProgress("editing", 1, 50, latent=noisy, alpha=backbone.schedule.alpha(400), eps=noise)
    assert torch.allclose(progress.estimate(), clean, atol=1e-5)
