"""Layers that use kernels of our own: their wiring, with torch's arithmetic in place of the kernels, and the choice of kernels.

`tests/gpu/test_kernels.py` tests the kernels themselves.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn
from torch.nn import functional as F

from s2edit_core.unet.kernels import choice
from s2edit_core.unet.kernels.choice import Choice, attention_inputs, choose, chosen, compared
from s2edit_core.unet.kernels.layers import LastGEGLU, LastGroupNorm, LastResnetBlock, LastTransformer, keep_channels_last
from s2edit_core.unet.processors import plain_gated_attention

CPU = torch.device("cpu")


def group_norm(
    x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float, *, act: bool, shift: Tensor | None = None
) -> Tensor:
    moved = x.float() if shift is None else x.float() + shift.float()[:, :, None, None]
    made = F.group_norm(moved, groups, weight.float(), bias.float(), eps)
    return (F.silu(made) if act else made).to(x.dtype).contiguous(memory_format=torch.channels_last)


def added(x: Tensor, h: Tensor, bias: Tensor) -> Tensor:
    return (x.float() + h.float() + bias.float()[:, None, None]).to(x.dtype).contiguous(memory_format=torch.channels_last)


def geglu(x: Tensor) -> Tensor:
    left, right = x.float().chunk(2, dim=-1)
    return (left * F.gelu(right)).to(x.dtype)


class Counted:
    """The kernels in torch's arithmetic, which count their calls."""

    def __init__(self) -> None:
        self.calls = {"group_norm": 0, "added": 0, "geglu": 0}

    def __getattr__(self, name: str) -> Any:
        self.calls[name] += 1
        return {"group_norm": group_norm, "added": added, "geglu": geglu}[name]


@pytest.fixture
def kernels() -> Iterator[Counted]:
    """Kernels that are used on the CPU."""
    before = dict(vars(chosen))
    made = Counted()
    vars(chosen).update(device="cpu", feature_maps=made, made=True)
    yield made
    vars(chosen).update(before)


@pytest.fixture
def unchosen() -> Iterator[Choice]:
    before = dict(vars(chosen))
    vars(chosen).update(vars(Choice(device="cpu")))
    yield chosen
    vars(chosen).update(before)


def unet(*, linear: bool) -> UNet2DConditionModel:
    torch.manual_seed(0)
    made = UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(64, 128),
        layers_per_block=1,
        cross_attention_dim=32,
        attention_head_dim=2,
        use_linear_projection=linear,
    )
    for each in made.modules():
        if isinstance(each, nn.GroupNorm):
            nn.init.normal_(each.weight, 1, 0.2)
            nn.init.normal_(each.bias, 0, 0.2)
    return made.requires_grad_(False).eval()  # type: ignore[no-any-return]


def outcome(model: nn.Module, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return the output of a pass, and its gradient at the prompt."""
    draw = torch.Generator().manual_seed(1)
    prompt = torch.randn(2, 7, 32, generator=draw).to(dtype).requires_grad_()
    x = torch.randn(2, 4, 8, 8, generator=draw).to(dtype)
    output = model(x, torch.tensor([10, 500]), encoder_hidden_states=prompt).sample
    (gradient,) = torch.autograd.grad(output.float().square().sum(), prompt)
    return output.detach().float(), gradient.float()


def error(mine: Tensor, exact: Tensor) -> float:
    return float((mine - exact).detach().norm() / exact.detach().norm())


@pytest.mark.parametrize("linear", [False, True], ids=["convolutions", "linear layers"])
def test_layers_with_kernels_compute_what_diffusers_does(kernels: Counted, linear: bool) -> None:
    model = unet(linear=linear)
    exact = outcome(model, torch.float32)
    half = nn.Module.to(nn.Module.to(model, torch.bfloat16), memory_format=torch.channels_last)  # type: ignore[call-overload]
    plain = outcome(half, torch.bfloat16)
    assert keep_channels_last(half) == keep_channels_last_count(half)
    mine = outcome(half, torch.bfloat16)
    for a, b, e in zip(mine, plain, exact, strict=True):
        assert error(a, e) <= 1.5 * error(b, e)
    assert all(count > 0 for count in kernels.calls.values())
    # Two per residual block, one per transformer, and the last norm: none was left to torch.
    blocks, transformers = (sum(isinstance(each, kind) for each in half.modules()) for kind in (LastResnetBlock, LastTransformer))
    assert kernels.calls["group_norm"] == 2 * blocks + transformers + 1


def keep_channels_last_count(model: nn.Module) -> int:
    kinds = (LastResnetBlock, LastTransformer, LastGEGLU, LastGroupNorm)
    return sum(isinstance(each, kinds) for each in model.modules())


def test_other_layouts_and_precisions_are_left_to_diffusers(kernels: Counted) -> None:
    model = unet(linear=False)
    before = outcome(model, torch.float32)
    keep_channels_last(model)
    assert all(torch.equal(a, b) for a, b in zip(outcome(model, torch.float32), before, strict=True))
    assert not any(kernels.calls.values())


def chosen_with(module: object, monkeypatch: pytest.MonkeyPatch) -> Choice:
    monkeypatch.setattr(choice, "_feature_maps", partial(refusing_wrong, module))
    monkeypatch.setattr(choice, "_attention", lambda *_: None)
    return choose(CPU, torch.bfloat16, partial(plain_gated_attention, heads=choice.HEADS))


def refusing_wrong(module: object, device: torch.device, dtype: torch.dtype) -> object:
    choice._refuse_wrong(compared(module, device, dtype))
    return module


def test_kernels_that_agree_with_torch_are_used(unchosen: Choice, monkeypatch: pytest.MonkeyPatch) -> None:
    module = SimpleNamespace(group_norm=group_norm, added=added, geglu=geglu)
    assert chosen_with(module, monkeypatch).feature_maps is module


@pytest.mark.parametrize("name", ["group_norm", "added", "geglu"])
def test_a_kernel_that_is_wrong_is_not_used_and_the_log_says_so(
    unchosen: Choice, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    right = {"group_norm": group_norm, "added": added, "geglu": geglu}
    wrong = right | {name: lambda *args, **options: 1.05 * right[name](*args, **options)}
    with caplog.at_level(logging.WARNING):
        assert chosen_with(SimpleNamespace(**wrong), monkeypatch).feature_maps is None
    assert "off by 0.05" in caplog.text


def test_kernels_that_can_not_be_compiled_are_not_used(unchosen: Choice, caplog: pytest.LogCaptureFixture) -> None:
    """As here, where there is no Triton."""
    found = choose(CPU, torch.bfloat16, partial(plain_gated_attention, heads=choice.HEADS))
    assert (found.feature_maps, found.attention) == (None, None)
    assert caplog.text.count("torch's own take their place") == 2


def test_attention_is_compared_with_gates_that_act() -> None:
    q, k, v, factors, positions = attention_inputs(1, 30, CPU, torch.float32)
    plain = plain_gated_attention(q, k, v, factors, positions, heads=choice.HEADS)
    ungated = plain_gated_attention(q, k, v, torch.ones_like(factors), positions, heads=choice.HEADS)
    heads = [each.unflatten(2, (choice.HEADS, -1)).transpose(1, 2) for each in (q, k, v)]
    assert torch.allclose(ungated, F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2), atol=1e-5)
    assert error(plain, ungated) > choice.MOST_ERROR / 2, "a kernel without gates would pass for right"
