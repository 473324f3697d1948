"""Stable Diffusion's own shapes with random weights, in the forms that people have: each loads and runs two steps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

from s2edit_core.base_model.loading import _clip_tokenizer
from s2edit_core.base_model.single_file_layout import CONFIGS, Layout
from s2edit_core.concepts.conditioning import keys_values, text_states, tokenize
from s2edit_core.method.editing import edit
from s2edit_core.method.inversion import Source, invert
from s2edit_core.request.options import InversionOptions
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import drive
from tests.models.single_files import original_tensors, save_single

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
Parts = dict[str, Any]


def config(family: str, part: str) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((CONFIGS / family / part / "config.json").read_text())
    return values


@pytest.fixture(scope="module", params=["sd1", "sd2"])
def model(request: pytest.FixtureRequest) -> tuple[str, Parts]:
    """A family and its parts, in half precision from the start."""
    family = request.param
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float16)
    try:
        parts: Parts = {
            "unet": UNet2DConditionModel.from_config(config(family, "unet")),
            "vae": AutoencoderKL.from_config(config(family, "vae")),
            "text_encoder": CLIPTextModel(CLIPTextConfig(**config(family, "text_encoder"))),
        }
    finally:
        torch.set_default_dtype(before)
    return family, parts


def folder_of(family: str, parts: Parts, folder: Path, *, variant: str | None) -> Path:
    prediction = "v_prediction" if family == "sd2" else "epsilon"
    for name, part in parts.items():
        part.save_pretrained(folder / name, **({"variant": variant} if variant else {}))
    _clip_tokenizer(Layout("sd2" if family == "sd2" else "sd1", "epsilon")).save_pretrained(folder / "tokenizer")
    scheduler = json.loads((CONFIGS / family / "scheduler" / "scheduler_config.json").read_text())
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler | {"prediction_type": prediction}))
    return folder


def fp16_only(family: str, parts: Parts, place: Path) -> Path:
    return folder_of(family, parts, place / "model", variant="fp16")


def bin_only(family: str, parts: Parts, place: Path) -> Path:
    folder = folder_of(family, parts, place / "model", variant=None)
    for name in parts:
        (file,) = (folder / name).glob("*.safetensors")
        stem = "pytorch_model" if name == "text_encoder" else file.stem
        torch.save(load_file(file), folder / name / f"{stem}.bin")
        file.unlink()
    return folder


def single_safetensors(family: str, parts: Parts, place: Path) -> Path:
    prediction = {"modelspec.prediction_type": "v"} if family == "sd2" else {}
    return save_single(place / "model.safetensors", original_tensors(**parts, family=family), prediction)


def single_ckpt(family: str, parts: Parts, place: Path) -> Path:
    if family == "sd2":
        (place / "model.yaml").write_text('model:\n  params:\n    parameterization: "v"\n')
    return save_single(place / "model.ckpt", original_tensors(**parts, family=family))


@pytest.mark.parametrize("form", [fp16_only, bin_only, single_safetensors, single_ckpt], ids=lambda form: form.__name__)
def test_it_loads_and_runs_two_steps(model: tuple[str, Parts], form: Callable[[str, Parts, Path], Path], tmp_path: Path) -> None:
    family, parts = model
    backbone = Backbone.from_pretrained(str(form(family, parts, tmp_path)))
    assert backbone.schedule.prediction == ("v_prediction" if family == "sd2" else "epsilon")
    assert backbone.frame_size == (768 if family == "sd2" and form.__name__.startswith("single") else 512)
    for name, part in parts.items():
        assert same(getattr(backbone, name), part), name
    two_steps(backbone)


def same(mine: nn.Module, theirs: nn.Module) -> bool:
    wanted = dict(theirs.named_parameters())
    return all(torch.equal(tensor.half(), wanted[name]) for name, tensor in mine.named_parameters())


def two_steps(backbone: Backbone) -> None:
    """Invert a small latent in two steps, and sample it back with its own prompt: the residual makes that exact."""
    latent = torch.randn(4, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        states = text_states(backbone, tokenize(backbone, "a photo of a woman", ()), {})
        prompt = keys_values(backbone, states)
    options = InversionOptions(tier="residual")
    source = Source(prompt=prompt, gates=None, states=states, concepts=())
    inversion = drive(invert(backbone, latent, source, options, steps=2, guidance_scale=7.5), backbone.evaluate)
    back = drive(edit(backbone, inversion, prompt, None, ()), backbone.evaluate)
    assert (inversion.path[-1] - latent).abs().max() > 0.1
    torch.testing.assert_close(back, latent, rtol=1e-2, atol=1e-2)
    assert backbone.decode_latent(back).isfinite().all()
