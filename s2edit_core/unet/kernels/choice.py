"""Which kernels are used. Each is compiled and compared with torch's own first; if it fails or differs, torch's stays.

Attention is also timed, with and without gradients, because which way is faster depends on the GPU.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

MOST_ERROR = 0.02
"""The largest error relative to float32, by norm. That of bf16 alone is 0.004."""
ROWS, HEADS, WIDTH, CELLS, TOKENS, COLUMNS = 16, 8, 40, 4096, 77, 8
"""The largest cross-attention of Stable Diffusion 1.x in a pass of 16 rows, where attention is timed."""
RUNS = 8

Attention = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
"""Gated attention of queries, keys, values, factors and positions, as `gated_attention.attention`."""

log = logging.getLogger(__name__)


@dataclass
class Choice:
    """The modules of the kernels that are used on devices of type `device`; None for torch's own."""

    device: str = "cuda"
    feature_maps: Any = None
    attention: Any = None
    attention_with: frozenset[bool] = frozenset()  # whether attention is by kernel with gradients (True) and without (False)
    made: bool = False


chosen = Choice()


def choose(device: torch.device, dtype: torch.dtype, plain_attention: Attention) -> Choice:
    """Compile, compare and time the kernels on `device`, once per process. Logs a warning for those that can't be used."""
    if not chosen.made:
        chosen.made = True
        chosen.feature_maps = _checked("feature maps", lambda: _feature_maps(device, dtype))
        found = _checked("gated attention", lambda: _attention(device, dtype, plain_attention))
        if found is not None:
            chosen.attention, chosen.attention_with = found
        log.info("kernels: feature maps %s, attention %s", chosen.feature_maps is not None, sorted(chosen.attention_with))
    return chosen


def _checked(name: str, work: Callable[[], Any]) -> Any:
    try:
        return work()
    except Exception as error:  # of Triton, of the compiler that it calls, of the device
        log.warning("the kernels for %s are not used, and torch's own take their place: %s", name, error)
        return None


def _feature_maps(device: torch.device, dtype: torch.dtype) -> Any:
    from s2edit_core.unet.kernels import feature_maps

    _refuse_wrong(compared(feature_maps, device, dtype))
    return feature_maps


def _attention(device: torch.device, dtype: torch.dtype, plain: Attention) -> tuple[Any, frozenset[bool]]:
    from s2edit_core.unet.kernels import gated_attention

    def mine(q: Tensor, k: Tensor, v: Tensor, factors: Tensor, positions: Tensor) -> Tensor:
        made: Tensor = gated_attention.attention(q, k, v, factors, positions, 0, heads=HEADS, scale=WIDTH**-0.5)
        return made

    few = attention_inputs(2, 200, device, dtype)
    exact = [each.detach().float().requires_grad_(each.requires_grad) if each.is_floating_point() else each for each in few]
    errors = _errors("attention", few[:3], mine(*few), exact[:3], plain(*exact))
    _refuse_wrong(errors)
    many = attention_inputs(ROWS, CELLS, device, dtype)
    faster = frozenset(
        gradients for gradients in (False, True) if _seconds(mine, many, gradients) < _seconds(plain, many, gradients)
    )
    return gated_attention, faster


def attention_inputs(rows: int, cells: int, device: torch.device, dtype: torch.dtype) -> list[Tensor]:
    """Return random inputs of gated attention: queries, keys and values that want gradients, factors and positions."""
    draw = torch.Generator().manual_seed(0)
    sizes = ((rows, cells, HEADS * WIDTH), (rows, TOKENS, HEADS * WIDTH), (rows, TOKENS, HEADS * WIDTH))
    tensors = [torch.randn(size, generator=draw).to(device, dtype).requires_grad_() for size in sizes]
    factors = torch.rand(rows, COLUMNS, cells, generator=draw).to(device, dtype)
    positions = torch.full((rows, COLUMNS), TOKENS, device=device)
    positions[:, 0], positions[:, 1] = 5, 7
    return [*tensors, factors, positions]


def _seconds(attention: Attention, inputs: list[Tensor], gradients: bool) -> float:
    """Return the seconds of one run on CUDA, of several in a row."""
    toward = torch.ones_like(inputs[0])

    def run() -> None:
        with torch.set_grad_enabled(gradients):
            made = attention(*inputs)
            if gradients:
                torch.autograd.grad(made, inputs[:3], toward)

    for _ in range(3):
        run()
    began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    began.record()
    for _ in range(RUNS):
        run()
    ended.record()
    ended.synchronize()
    return float(began.elapsed_time(ended)) / 1000 / RUNS


def _refuse_wrong(errors: dict[str, float]) -> None:
    for name, error in errors.items():
        if not error <= MOST_ERROR:
            raise ValueError(f"{name} is off by {error:.3g}")


def compared(kernels: Any, device: torch.device, dtype: torch.dtype) -> dict[str, float]:
    """Return how far results and gradients of `kernels` for feature maps are from torch's in float32, relative to their norm."""
    draw = torch.Generator().manual_seed(0)

    def drawn(*sizes: int) -> Tensor:
        return torch.randn(sizes, generator=draw).to(device, dtype)

    errors: dict[str, float] = {}
    with torch.enable_grad():
        for channels, side in ((320, 16), (1920, 6)):
            x = drawn(2, channels, side, side).contiguous(memory_format=torch.channels_last).requires_grad_()
            weight, bias, shift = drawn(channels), drawn(channels), drawn(2, channels)
            for act in (False, True):
                moved = x.float() + shift.float()[:, :, None, None] if act else x.float()
                plain = F.group_norm(moved, 32, weight.float(), bias.float(), 1e-5)
                mine = kernels.group_norm(x, weight, bias, 32, 1e-5, act=act, shift=shift if act else None)
                errors |= _errors(f"group norm of {channels}", [x], mine, [x], F.silu(plain) if act else plain)
        y = drawn(2, channels, side, side).contiguous(memory_format=torch.channels_last)
        summed = x.float() + y.float() + bias.float()[:, None, None]
        errors |= _errors("the sum", [x], kernels.added(x, y, bias), [x], summed)
        wide = drawn(2, 24, 1024).requires_grad_()
        left, right = wide.float().chunk(2, dim=-1)
        errors |= _errors("GEGLU", [wide], kernels.geglu(wide), [wide], left * F.gelu(right))
    return errors


def _errors(name: str, leaves: list[Tensor], mine: Tensor, plain_leaves: list[Tensor], plain: Tensor) -> dict[str, float]:
    toward = torch.sin(torch.arange(plain.numel(), device=plain.device, dtype=torch.float32)).reshape(plain.shape)
    of_mine = torch.autograd.grad(mine, leaves, toward.to(mine.dtype))
    of_plain = torch.autograd.grad(plain, plain_leaves, toward.to(plain.dtype))
    pairs = [(mine, plain), *zip(of_mine, of_plain, strict=True)]
    found = [float((a.detach().float() - b.detach().float()).norm() / b.detach().float().norm()) for a, b in pairs]
    return {f"gradient {i} of {name}" if i else name: error for i, error in enumerate(found)}
