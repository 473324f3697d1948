"""Stable Diffusion 1.4's exact configuration, with random weights, through the same code as the small model. Minutes on a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lab.speed.random_sd14 import save_random_sd14
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.request.options import InversionOptions, LearningOptions

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SOURCE, TARGET = "a photo of a [I] woman", "a photo of a [I] woman with red hair"


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S2EditPipeline]:
    folder: Path = tmp_path_factory.mktemp("sd14")
    save_random_sd14(folder)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    yield S2EditPipeline.from_pretrained(str(folder), device=device)
    for path in folder.rglob("*.safetensors"):
        path.unlink()  # 2 GB that pytest would keep for three runs


def photo_and_mask(size: tuple[int, int]) -> tuple[Image.Image, Image.Image]:
    photo = Image.fromarray(np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    mask = Image.new("L", size)
    mask.paste(255, (size[0] // 4, size[1] // 4, 3 * size[0] // 4, 3 * size[1] // 4))
    return photo, mask


def test_its_shapes_are_those_of_stable_diffusion(pipeline: S2EditPipeline) -> None:
    backbone = pipeline.backbone
    assert len(backbone.layers) == 16
    assert (backbone.frame_size, backbone.frame_multiple, backbone.latent_scale) == (512, 64, 8)
    assert backbone.tokenizer.model_max_length == 77
    assert sum(p.numel() for p in backbone.unet.parameters()) == 859_520_964
    assert sum(p.numel() for p in backbone.vae.parameters()) == 83_653_863
    assert sum(p.numel() for p in backbone.text_encoder.parameters()) == 123_060_480
    assert [layer.level for layer in backbone.layers] == [0, 0, 1, 1, 2, 2, 2, 2, 2, 1, 1, 1, 0, 0, 0, 3]
    assert [layer.to_k.out_features for layer in backbone.layers[:6]] == [320, 320, 640, 640, 1280, 1280]
    assert backbone.card.guidance_scale == 7.5
    assert backbone.schedule.timesteps(50)[:2] == (981, 961)


@pytest.mark.parametrize("size", [(128, 128), (192, 128)], ids=["square", "wide"])
def test_it_learns_inverts_and_edits(pipeline: S2EditPipeline, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]) -> None:
    """Two steps of each at a small frame; the residual brings the source back, another prompt something else."""
    monkeypatch.setitem(pipeline.backbone.__dict__, "frame_size", max(size))
    photo, mask = photo_and_mask(size)
    canvas = pipeline.canvas(photo, mask)
    assert canvas.frame == size
    concept = pipeline.learn(photo, mask, SOURCE, "woman", options=LearningOptions(token_steps=1, joint_steps=1, batch=1))
    assert len(concept.keys) == 16
    assert concept.token.shape == (768,)
    inversion = pipeline.invert(photo, mask, SOURCE, concept, options=InversionOptions(tier="residual"), num_inference_steps=2)
    assert inversion.path.shape == (3, 4, size[1] // 8, size[0] // 8)

    same, other = (pipeline(prompt, image=photo, mask=mask, identity=concept, inversion=inversion) for prompt in (SOURCE, TARGET))

    for output in (same, other):
        assert torch.isfinite(output.latents).all()
        assert output.images[0].size == size
    source = inversion.path[0]
    assert (same.latents[0] - source).abs().max() <= 1e-3 * source.abs().max()
    assert (other.latents[0] - same.latents[0]).abs().max() > 1e-3 * source.abs().max()
