"""What single layers cost by the kernels of this project, beside torch's own; and passes with cuDNN's search for convolutions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from lab.speed.phases.passes import KINDS, Ceiling, measure
from lab.speed.record import Result
from lab.speed.timing import digits, time_work
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.kernels.choice import CELLS, HEADS, WIDTH, attention_inputs, chosen
from s2edit_core.unet.processors import plain_gated_attention

ROWS = (1, 16)
CALLS = 10
"""Calls per CUDA graph."""

Works = dict[str, tuple[Callable[[], Tensor], Callable[[], Tensor], list[Tensor]]]
"""Per layer: torch's way, the kernel's way, and the leaves of its gradients."""


def layers(device: torch.device, dtype: torch.dtype, *, within_s: float) -> Result:
    """Return the seconds of single layers of Stable Diffusion 1.x by torch and by kernels, each as part of a CUDA graph."""
    found: Result = {"attention_by_kernel": sorted("with gradients" if each else "without" for each in chosen.attention_with)}
    if chosen.feature_maps is None or chosen.attention is None:
        return found | {"not_used": [name for name in ("feature_maps", "attention") if getattr(chosen, name) is None]}
    for rows in ROWS:
        for name, (plain, kernel, leaves) in _works(rows, device, dtype).items():
            for gradients in (False, True):
                seconds = [_in_graph(work, leaves, gradients, device, within_s) for work in (plain, kernel)]
                key = f"{name}, {rows} rows{', with gradients' if gradients else ''}"
                found[key] = {"torch_s": digits(seconds[0]), "kernel_s": digits(seconds[1])}
    return found


def _works(rows: int, device: torch.device, dtype: torch.dtype) -> Works:
    def drawn(*sizes: int) -> Tensor:
        return torch.randn(sizes, device=device, dtype=dtype)

    made: Works = {}
    for channels, side in ((320, 64), (1280, 16)):
        x = drawn(rows, channels, side, side).contiguous(memory_format=torch.channels_last).requires_grad_()
        weight, bias = drawn(channels), drawn(channels)
        made[f"group norm and SiLU, {channels} × {side}²"] = (
            # With the copy to the layout of the next convolution, which torch's group norm leaves to it.
            partial(_plain_norm, x, weight, bias),
            partial(chosen.feature_maps.group_norm, x, weight, bias, 32, 1e-5, act=True),
            [x],
        )
    wide = drawn(rows, CELLS, 2560).requires_grad_()
    made["GEGLU, 1280 × 64²"] = partial(_plain_geglu, wide), partial(chosen.feature_maps.geglu, wide), [wide]
    inputs = attention_inputs(rows, CELLS, device, dtype)
    made["gated attention, 320 × 64²"] = (
        partial(plain_gated_attention, *inputs, heads=HEADS),
        partial(chosen.attention.attention, *inputs, 0, heads=HEADS, scale=WIDTH**-0.5),
        inputs[:3],
    )
    return made


def _plain_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.silu(F.group_norm(x, 32, weight, bias)).contiguous(memory_format=torch.channels_last)


def _plain_geglu(x: Tensor) -> Tensor:
    left, right = x.chunk(2, dim=-1)
    return left * F.gelu(right)


def _in_graph(work: Callable[[], Tensor], leaves: list[Tensor], gradients: bool, device: torch.device, within_s: float) -> float:
    """Return the seconds of one call, without the time to start its kernels."""

    def run() -> None:
        with torch.set_grad_enabled(gradients):
            made = work()
            if gradients:
                torch.autograd.grad(made, leaves, made.detach())

    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        for _ in range(3):
            run()
    torch.cuda.current_stream(device).wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        for _ in range(CALLS):
            run()
    return time_work(graph.replay, device, within_s=within_s).median_s / CALLS


@contextmanager
def searching_convolutions() -> Iterator[None]:
    """Let cuDNN try its ways of each convolution at the first call."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def searched(backbone: Backbone, buckets: tuple[int, ...], ceiling: Ceiling, *, within_s: float) -> Result:
    """Return passes of rows of different users, as `passes.measure`, with that search."""
    if backbone.recorded is not None:
        backbone.recorded.clear()
    with searching_convolutions():
        found = measure(backbone, KINDS["users"], buckets, ceiling, within_s=within_s)
    if backbone.recorded is not None:
        backbone.recorded.clear()
    return found
