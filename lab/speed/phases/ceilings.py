"""What the device can do at best: its rate of matrix products and of copies in memory."""

from __future__ import annotations

import torch
from torch import nn

from lab.speed.record import Result
from lab.speed.timing import Timing, Work, digits, time_work
from s2edit_core.unet.frozen_layers import use_onednn

CUDA_SIDE = 8192
CPU_SIDES = (512, 1024, 2048)
"""Larger products are no faster on a CPU."""
COPY_BYTES = {"cuda": 4 * 2**30, "cpu": 2**28}
"""More than any cache holds."""


def matrix_rate(device: torch.device, dtype: torch.dtype, side: int, within_s: float) -> tuple[float, Timing]:
    """Return the operations per second of a product of two random `side` × `side` matrices, and its timing.

    On a CPU, the faster one of torch's product and that of frozen layers counts.
    """
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    out = torch.empty_like(a)
    layer = nn.Linear(side, side, bias=False, device=device, dtype=dtype).requires_grad_(False)
    use_onednn(layer)
    works: list[Work] = [lambda: torch.matmul(a, b, out=out), *([lambda: layer(a)] if device.type == "cpu" else [])]
    timing = min((time_work(work, device, within_s=within_s) for work in works), key=lambda each: each.fastest_s)
    return 2 * side**3 / timing.fastest_s, timing


def copy_rate(device: torch.device, within_s: float) -> float:
    """Return the bytes per second of a copy on the device, bytes read and bytes written."""
    count = COPY_BYTES[device.type] // 8
    source = torch.randn(count, device=device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / time_work(lambda: target.copy_(source), device, within_s=within_s).fastest_s


def measure(device: torch.device, *, within_s: float, sides: tuple[int, ...] | None = None) -> Result:
    """Return matrix rates in TFLOP/s by precision, and the copy rate in GB/s.

    The rate is that of the fastest product of any size. "tf32" is float32 with the matrix units' own rounding of the inputs.
    """
    sides = sides or ((CUDA_SIDE,) if device.type == "cuda" else CPU_SIDES)
    rates: dict[str, float] = {}
    modes = [("float32", torch.float32, False)]
    if device.type == "cuda":
        modes = [("bfloat16", torch.bfloat16, False), ("tf32", torch.float32, True), *modes]
    before = torch.backends.cuda.matmul.allow_tf32
    try:
        for name, dtype, tf32 in modes:
            torch.backends.cuda.matmul.allow_tf32 = tf32
            rates[name] = max(matrix_rate(device, dtype, side, within_s)[0] for side in sides)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
    return {
        "matrix_tflops": {name: digits(rate / 1e12) for name, rate in rates.items()},
        "matrix_sides": list(sides),
        "copy_gb_s": digits(copy_rate(device, within_s) / 1e9),
    }
