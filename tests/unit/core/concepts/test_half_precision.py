"""Inversions are rounded to half precision when they are made, so that their files are half as large and lose nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
import torch
from safetensors.torch import load
from torch import Tensor

from s2edit_core.concepts.concept import write_safetensors
from s2edit_core.concepts.conditioning import prompt_keys_values, text_states, tokenize
from s2edit_core.method.inversion import EARLIER_FORMAT, Inversion, Source, invert, rounded
from s2edit_core.request.options import InversionOptions, InversionTier
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import drive

PROMPT = "a photo of a woman with glasses"
NAMES = ("path", "null_states", "residuals")


def inverted(backbone: Backbone, tier: InversionTier) -> Inversion:
    with torch.no_grad():
        states = text_states(backbone, tokenize(backbone, PROMPT, ()), {})
    source = Source(prompt_keys_values(backbone, PROMPT, {}), None, states, ())
    latent = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(21), dtype=backbone.dtype)
    options = InversionOptions(tier=tier, inner_steps=2)
    return drive(invert(backbone, latent, source, options, steps=3, guidance_scale=4.0), backbone.evaluate)


def tensors_of(inversion: Inversion) -> dict[str, Tensor]:
    return {name: getattr(inversion, name) for name in NAMES}


@pytest.mark.parametrize("tier", get_args(InversionTier))
def test_a_file_is_half_as_large_and_holds_exactly_what_the_edit_used(backbone32: Backbone, tier: InversionTier) -> None:
    made = inverted(backbone32, tier)
    data = made.to_bytes()
    numbers = sum(tensor.numel() for tensor in tensors_of(made).values())
    assert sum(tensor.nbytes for tensor in load(data).values()) == 2 * numbers
    read = Inversion.from_bytes(data, fingerprint=backbone32.fingerprint)
    for name, tensor in tensors_of(made).items():
        assert torch.equal(getattr(read, name), tensor)
        assert getattr(read, name).dtype == torch.float32


@pytest.mark.parametrize("tier", get_args(InversionTier))
def test_double_precision_is_left_as_it_is(backbone: Backbone, tier: InversionTier) -> None:
    made = inverted(backbone, tier)
    read = Inversion.from_bytes(made.to_bytes(), fingerprint=backbone.fingerprint)
    assert read.path.dtype == torch.float64
    assert not torch.equal(made.path.half().double(), made.path)
    assert torch.equal(read.path, made.path)


def test_a_file_of_an_earlier_release_is_read_in_the_precision_that_it_has(backbone32: Backbone) -> None:
    about = {"fingerprint": "f" * 32, "tier": "residual", "guidance_scale": 3.0, "facts": {}, "format": EARLIER_FORMAT}
    path, nulls = torch.randn(3, 4, 8, 8), torch.randn(1, 7, 16)
    stored = {"path": path, "null_states": nulls, "residuals": path[1:] / 3}
    read = Inversion.from_bytes(write_safetensors(stored, about), fingerprint="f" * 32)
    assert all(torch.equal(tensor, stored[name]) for name, tensor in tensors_of(read).items())


def test_a_number_that_half_precision_cannot_hold_stays_in_single() -> None:
    large = torch.tensor([70_000.0, 0.1])
    assert torch.equal(rounded(large), large)
    inversion = Inversion(torch.full((2, 1, 1, 1), 70_000.0), torch.zeros(1, 2, 3), torch.zeros(0), "direct", 1.0, "f" * 32)
    assert torch.equal(Inversion.from_bytes(inversion.to_bytes(), fingerprint="f" * 32).path, inversion.path)


def test_numbers_that_would_lose_something_are_stored_in_single() -> None:
    path = torch.randn(3, 4, 8, 8)
    inversion = Inversion(path, torch.zeros(1, 2, 3), torch.zeros(0), "direct", 1.0, "f" * 32)
    for each in (inversion, replace(inversion, path=rounded(path))):
        assert torch.equal(Inversion.from_bytes(each.to_bytes(), fingerprint="f" * 32).path, each.path)
