"""Kernels of our own on a GPU: what they compute beside torch in float32, and passes with them, as they are and as CUDA graphs.

python -m pytest tests/gpu/test_kernels.py -m gpu -q
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from s2edit_core.unet.kernels import choice
from s2edit_core.unet.kernels.choice import Choice, choose, chosen, compared
from s2edit_core.unet.processors import plain_gated_attention

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(600)]

BOUND = 0.01
"""The largest error relative to float32, by norm. That of bf16 alone is 0.004. Through a whole UNet, it grows."""


@pytest.fixture(autouse=True)
def unchosen() -> Iterator[None]:
    before = dict(vars(chosen))
    vars(chosen).update(vars(Choice()))
    yield
    vars(chosen).update(before)


def cuda(*sizes: int, seed: int = 0) -> Tensor:
    return torch.randn(sizes, generator=torch.Generator().manual_seed(seed)).to("cuda", torch.bfloat16)


def error(mine: Tensor, exact: Tensor) -> float:
    return float((mine.detach().double() - exact.detach().double()).norm() / exact.detach().double().norm())


def test_all_kernels_compile_and_agree_with_torch(caplog: pytest.LogCaptureFixture) -> None:
    found = choose(torch.device("cuda"), torch.bfloat16, partial(plain_gated_attention, heads=choice.HEADS))
    assert found.feature_maps is not None, caplog.text
    assert found.attention is not None, caplog.text
    errors = compared(found.feature_maps, torch.device("cuda"), torch.bfloat16)
    assert max(errors.values()) <= BOUND, errors


@pytest.mark.parametrize("channels", [64, 320, 640, 960, 1280, 1920, 2560])
@pytest.mark.parametrize(("rows", "side"), [(1, 64), (32, 8), (3, 17)])
def test_group_norms_of_all_sizes_and_their_gradients(channels: int, rows: int, side: int) -> None:
    from s2edit_core.unet.kernels import feature_maps

    x = cuda(rows, channels, side, side).contiguous(memory_format=torch.channels_last).requires_grad_()
    weight, bias, shift = cuda(channels, seed=1), cuda(channels, seed=2), cuda(rows, channels, seed=3)
    mine = feature_maps.group_norm(x, weight, bias, 32, 1e-5, act=True, shift=shift)
    exact_x = x.detach().double().requires_grad_()
    moved = exact_x + shift.double()[:, :, None, None]
    exact = F.silu(F.group_norm(moved, 32, weight.double(), bias.double(), 1e-5))
    toward = cuda(*mine.shape, seed=4)
    (of_mine,), (of_exact,) = (torch.autograd.grad(y, z, toward.to(y)) for y, z in ((mine, x), (exact, exact_x)))
    assert error(mine, exact) <= BOUND
    assert error(of_mine, of_exact) <= BOUND


@pytest.mark.parametrize(("width", "tokens", "cells"), [(40, 77, 4096), (80, 77, 1000), (64, 128, 96), (16, 7, 33)])
def test_gated_attention_and_its_gradients(width: int, tokens: int, cells: int) -> None:
    from s2edit_core.unet.kernels import gated_attention

    rows, heads, start = 3, 8, 24
    leaves = [cuda(rows, n, heads * width, seed=i).requires_grad_() for i, n in enumerate((cells, tokens, tokens))]
    factors = torch.rand(rows, 8, start + cells + 40).to("cuda", torch.bfloat16)
    positions = torch.full((rows, 8), tokens, device="cuda")
    positions[0, 0], positions[0, 1], positions[1, 0] = 5, 2, 0
    mine = gated_attention.attention(*leaves, factors, positions, start, heads=heads, scale=width**-0.5)
    exact_leaves = [each.detach().double().requires_grad_() for each in leaves]
    exact = gated_by_maps(*exact_leaves, factors[:, :, start : start + cells].double(), positions, heads)
    toward = cuda(*mine.shape, seed=9)
    of_mine = torch.autograd.grad(mine, leaves, toward)
    of_exact = torch.autograd.grad(exact, exact_leaves, toward.double())
    assert error(mine, exact) <= BOUND
    assert all(error(a, b) <= BOUND for a, b in zip(of_mine, of_exact, strict=True))


def gated_by_maps(q: Tensor, k: Tensor, v: Tensor, factors: Tensor, positions: Tensor, heads: int) -> Tensor:
    query, key, value = (each.unflatten(2, (heads, -1)).transpose(1, 2) for each in (q, k, v))
    maps = (query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5).softmax(dim=-1)
    gates = torch.ones(len(q), q.shape[1], k.shape[1] + 1, device=q.device, dtype=q.dtype)
    index = positions[:, None].expand(-1, q.shape[1], -1)
    gates = gates.scatter(2, index, factors.transpose(1, 2))[:, None, :, : k.shape[1]]
    return (maps * gates @ value).transpose(1, 2).flatten(2)


@pytest.mark.parametrize("learns", [False, True], ids=["sampling", "learning"])
def test_passes_with_kernels_answer_as_those_without_and_as_graphs(learns: bool) -> None:
    from lab.speed.phases.passes import KINDS, rows_of
    from lab.speed.random_sd14 import build_backbone

    backbone = build_backbone(torch.device("cuda"), torch.bfloat16)
    kernels = dict(vars(chosen))
    assert chosen.feature_maps is not None
    chosen.attention_with = frozenset((False, True))
    rows = rows_of(backbone, KINDS["users-learning" if learns else "users"], 2)
    eager, _, recording, recorded = (backbone.evaluate(rows) for _ in range(4))
    assert backbone.recorded is not None
    assert len(backbone.recorded) == 1, "recording failed"
    backbone.recorded.clear()
    vars(chosen).update(vars(Choice(made=True)))
    plain = backbone.evaluate(rows)
    for answers in (eager, recording, recorded):
        for a, b in zip(answers, plain, strict=True):
            assert error(a.eps, b.eps) <= 0.1
            assert all(error(x, y) <= 0.3 for x, y in zip(a.gradients(), b.gradients(), strict=True))
    vars(chosen).update(kernels)
