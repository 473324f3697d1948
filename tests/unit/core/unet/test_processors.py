"""Attention processors: installed once, invisible to others who use the UNet, and gates applied beside fused attention."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from s2edit_core.base_model.ddim import schedule_of
from s2edit_core.unet import processors
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.frozen_layers import use_onednn
from s2edit_core.unet.pass_buffers import PassBuffers, PassShape
from s2edit_core.unet.processors import GatedColumns, gated_attention
from s2edit_core.unet.rows import Row
from tests.tiny import CARD, tiny_backbone, tiny_parts, with_card
from tests.unit.core.unet.mixes import distance, mix, readers

TOKENS, CELLS = 7, 12


def backbone_of(parts: dict[str, Any]) -> Backbone:
    names = ("unet", "vae", "text_encoder", "tokenizer")
    return Backbone(**{name: parts[name] for name in names}, schedule=schedule_of(parts["scheduler"]), card=CARD)


def bare(unet: Any, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return what a stranger gets from the UNet."""
    draw = torch.Generator().manual_seed(3)
    z, states = (torch.randn(2, *size, generator=draw).to(dtype) for size in ((4, 8, 8), (5, 16)))
    with torch.no_grad():
        found: Tensor = unet(z, 301, encoder_hidden_states=states).sample
    return found


def test_a_pass_sets_no_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = tiny_backbone()
    before = dict(backbone.unet.attn_processors)  # type: ignore[arg-type]
    monkeypatch.setattr(Attention, "set_processor", lambda *_: pytest.fail("a processor was set"))
    backbone.evaluate(sum(mix(backbone, 1), ()))
    backbone.evaluate(readers(backbone, random.Random(2)))
    assert dict(backbone.unet.attn_processors) == before  # type: ignore[arg-type]


def test_others_get_the_stock_unet_before_between_and_after_passes() -> None:
    parts = tiny_parts()
    use_onednn(parts["unet"].requires_grad_(False))  # which rounds otherwise than torch
    expected = bare(parts["unet"])
    backbone = backbone_of(parts)
    assert torch.equal(bare(parts["unet"]), expected)
    backbone.evaluate(sum(mix(backbone, 1), ()))
    assert torch.equal(bare(parts["unet"]), expected)


def test_a_pipeline_over_the_same_parts_draws_the_same_picture() -> None:
    parts = tiny_parts()
    for name in ("unet", "vae", "text_encoder"):
        use_onednn(parts[name].requires_grad_(False))  # which rounds otherwise than torch
    untouched = copy.deepcopy(parts)
    backbone_of(parts)
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(5))
    drawn = []
    for each in (parts, untouched):
        pipe = StableDiffusionPipeline(**each, safety_checker=None, feature_extractor=None, requires_safety_checker=False)
        pipe.set_progress_bar_config(disable=True)
        call = dict(height=32, width=32, num_inference_steps=2, guidance_scale=4.0, latents=noise.clone(), output_type="latent")
        drawn.append(pipe("a photo of a woman", **call).images)
    assert torch.equal(*drawn)


def test_two_backbones_share_a_unet() -> None:
    first = tiny_backbone()
    rows = sum(mix(first, 3), ())
    expected = first.evaluate(rows)
    second = with_card(first, guidance_scale=5.0)
    for backbone in (second, first, second):
        assert all(distance(a, b) == 0 for a, b in zip(backbone.evaluate(rows), expected, strict=True))


def test_a_processor_that_somebody_sets_later_stays_the_stock_one() -> None:
    backbone = tiny_backbone()
    rows = sum(mix(backbone, 3), ())
    expected, alone = backbone.evaluate(rows), bare(backbone.unet, torch.float64)
    backbone.unet.set_attn_processor(AttnProcessor2_0())  # type: ignore[operator]
    assert all(distance(a, b) == 0 for a, b in zip(backbone.evaluate(rows), expected, strict=True))
    assert torch.equal(bare(backbone.unet, torch.float64), alone)


def columns(draw: torch.Generator) -> GatedColumns:
    """Return two gated columns of the first row, one of the second and none of the third."""
    positions = torch.tensor([[4, 1], [0, TOKENS], [TOKENS, TOKENS]])
    factors = torch.rand(3, 2, CELLS + 5, generator=draw, dtype=torch.float64)
    factors[0, 0, 5:9] = 0
    factors[1, 1], factors[2] = 1, 1
    return GatedColumns(positions, factors, ((0, 5), (5, 5 + CELLS)), TOKENS)


def explicit(query: Tensor, key: Tensor, value: Tensor, scale: float, gated: GatedColumns, first: int) -> Tensor:
    maps = (query @ key.transpose(-1, -2) * scale).softmax(dim=-1)
    gates = torch.ones(3, CELLS, TOKENS, dtype=torch.float64)
    for i, row in enumerate(gated.positions.tolist()):
        for j, at in enumerate(row):
            if at < TOKENS:
                gates[i, :, at] = gated.factors[i, j, 5:]
    return maps * gates[first:, None] @ value


def attention_inputs(draw: torch.Generator, first: int) -> tuple[Tensor, Tensor, Tensor]:
    return tuple(  # type: ignore[return-value]
        torch.randn(3 - first, 2, n, 4, generator=draw, dtype=torch.float64).requires_grad_() for n in (CELLS, TOKENS, TOKENS)
    )


@pytest.mark.parametrize("first", [0, 1])
def test_fused_gates_are_those_of_explicit_maps_in_value_and_gradient(first: int) -> None:
    draw = torch.Generator().manual_seed(first)
    inputs, gated = attention_inputs(draw, first), columns(draw)
    fused = gated_attention(*inputs, 0.4, gated, first, 1)
    expected = explicit(*inputs, 0.4, gated, first)
    torch.testing.assert_close(fused, expected, rtol=1e-13, atol=1e-13)
    upstream = torch.randn(fused.shape, generator=draw, dtype=torch.float64)
    for mine, theirs in zip(*(torch.autograd.grad(out, inputs, upstream) for out in (fused, expected)), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-13)


def test_gradients_of_fused_gates_are_finite_differences() -> None:
    draw = torch.Generator().manual_seed(2)
    gated = columns(draw)
    assert torch.autograd.gradcheck(lambda *x: gated_attention(*x, 0.4, gated, 0, 1), attention_inputs(draw, 0))


def test_values_of_a_shut_column_have_no_effect_at_all() -> None:
    draw = torch.Generator().manual_seed(4)
    (query, key, value), gated = attention_inputs(draw, 0), columns(draw)
    other = value.detach().clone()
    other[0, :, 4] += 7.0
    before, after = (gated_attention(query, key, each, 0.4, gated, 0, 1) for each in (value, other))
    assert torch.equal(before[0, :, :4], after[0, :, :4])
    assert (before[0, :, 4:] != after[0, :, 4:]).all()


class Recording(TorchDispatchMode):
    """Notes every operator and its arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, tuple[Any, ...]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.append((func.overloadpacket.__name__, args))
        return func(*args, **(kwargs or {}))


def learning_pass(backbone: Backbone) -> tuple[Row, ...]:
    rows = sum((rows for seed in range(5) for rows in mix(backbone, seed, common=True)), ())
    return tuple(each for each in rows if each.target is not None and each.latent.shape[1:] == (8, 8))


@pytest.mark.parametrize("fused", [False, True])
def test_a_pass_reads_nothing_back_and_makes_no_gradients_of_weights(monkeypatch: pytest.MonkeyPatch, fused: bool) -> None:
    """Reading a number back from a GPU would make the host wait for it, and a CUDA graph can't record it."""
    if fused:
        monkeypatch.setattr(processors, "MIN_FUSED_CELLS", 0)
    backbone = tiny_backbone()
    rows = learning_pass(backbone)
    assert len(rows) > 2
    buffers = PassBuffers(len(rows), PassShape.of(rows, 8), backbone.device, backbone.dtype)
    with Recording() as recording:
        buffers.fill(rows)
        outputs = backbone._run(buffers.inputs(len(rows), learns=True))
    names = {name for name, _ in recording.seen}
    assert names.isdisjoint({"_local_scalar_dense", "item", "nonzero", "is_nonzero"})
    assert outputs.report.shape == (2, len(rows))
    masks = [args[-1] for name, args in recording.seen if name == "convolution_backward"]
    assert len(masks) > 5
    assert all(list(mask) == [True, False, False] for mask in masks), "gradients of convolution weights were computed"
    norms = [args[-1] for name, args in recording.seen if name in ("native_group_norm_backward", "native_layer_norm_backward")]
    assert norms
    assert all(list(mask) == [True, False, False] for mask in norms)
    assert all(parameter.grad is None for parameter in backbone.unet.parameters())
