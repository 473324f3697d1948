"""Kernels for feature maps with channels last on CUDA: group norm with what surrounds it, sums with a bias, and GEGLU.

torch's group norm on CUDA knows no channels-last layout: each of Stable Diffusion's 61 copies its input to the other layout, and
the next convolution copies it back. Here, one kernel sums each channel over a part of the cells, a small one makes a factor and a
term per channel from that, and a third one applies them with SiLU. All statistics are in float32. Gradients are those for the
feature maps alone, since weights are frozen.

Needs Triton, which comes with torch's CUDA builds. `layers` imports this module on CUDA alone.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"
from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

CHANNELS = 64
"""Channels per program: 128 bytes of half precision. The numbers of channels must be multiples of it."""
CELLS = 32
"""Cells per step of a program."""
MOST_PARTS = 64
"""The most programs that share the cells of one row and the same channels."""
PROGRAMS = 1024
"""As many programs keep all multiprocessors of a large GPU busy."""
GATES, GATE_ROWS = 256, 8
"""Channels and cells per program of GEGLU."""


@triton.jit
def _silu_slope(u):
    s = tl.sigmoid(u)
    return s * (1 + u * (1 - s))


@triton.jit(do_not_specialize=["parts"])
def _sums(
    x, dy, factor, term, out, cells, channels, each, parts,
    GRAD: tl.constexpr, ACT: tl.constexpr, R: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    """Per row, part of the cells and channel: sums of x and x², or with GRAD of du and du·x, for u = x·factor + term."""
    row, part = tl.program_id(0).to(tl.int64), tl.program_id(2)
    channel = tl.program_id(1) * C + tl.arange(0, C)
    ours = row * cells * channels  # of 64 bits; what differs within a program fits into 32
    first = tl.zeros([R, C], tl.float32)
    second = tl.zeros([R, C], tl.float32)
    if GRAD:
        a = tl.load(factor + row * channels + channel)[None, :]
        b = tl.load(term + row * channels + channel)[None, :]
    for start in range(0, each, R):
        cell = part * each + start + tl.arange(0, R)
        inside = (cell < cells)[:, None]
        at = cell[:, None] * channels + channel[None, :]
        v = tl.load(x + ours + at, mask=inside, other=0.0).to(tl.float32)
        if GRAD:
            d = tl.load(dy + ours + at, mask=inside, other=0.0).to(tl.float32)
            if ACT:
                d = d * _silu_slope(v * a + b)
            first += d
            second += d * v
        else:
            first += v
            second += v * v
    to = out + ((row * parts + part) * 2) * channels + channel
    tl.store(to, tl.sum(first, 0))
    tl.store(to + channels, tl.sum(second, 0))


@triton.jit(do_not_specialize=["parts"])
def _statistics(
    sums, weight, bias, shift, factor, term, moments, cells, channels, parts, eps,
    SHIFT: tl.constexpr, G: tl.constexpr, GP: tl.constexpr, P: tl.constexpr,
):  # fmt: skip
    """Per row and group: mean and 1/σ of x + shift; per channel, what takes x to the group norm: x·factor + term."""
    row, group = tl.program_id(0).to(tl.int64), tl.program_id(1)
    i = tl.arange(0, GP)
    real = i < G
    channel = group * G + i
    part = tl.arange(0, P)
    at = sums + ((row * parts + part[:, None]) * 2) * channels + channel[None, :]
    inside = (part < parts)[:, None] & real[None, :]
    first = tl.sum(tl.load(at, mask=inside, other=0.0), 0)
    second = tl.sum(tl.load(at + channels, mask=inside, other=0.0), 0)
    if SHIFT:
        s = tl.load(shift + row * channels + channel, mask=real, other=0.0).to(tl.float32)
        second += 2 * s * first + cells * s * s
        first += cells * s
    count = cells * G
    mean = tl.sum(first, 0) / count
    scale = 1 / tl.sqrt(tl.maximum(tl.sum(second, 0) / count - mean * mean, 0.0) + eps)
    a = tl.load(weight + channel, mask=real, other=0.0).to(tl.float32) * scale
    b = tl.load(bias + channel, mask=real, other=0.0).to(tl.float32) - mean * a
    if SHIFT:
        b += s * a
    tl.store(factor + row * channels + channel, a, mask=real)
    tl.store(term + row * channels + channel, b, mask=real)
    groups = tl.num_programs(1)
    tl.store(moments + (row * groups + group) * 2, mean)
    tl.store(moments + (row * groups + group) * 2 + 1, scale)


@triton.jit(do_not_specialize=["parts"])
def _gradient_terms(
    sums, weight, shift, moments, slope, offset, cells, channels, parts,
    SHIFT: tl.constexpr, G: tl.constexpr, GP: tl.constexpr, P: tl.constexpr,
):  # fmt: skip
    """Per channel: `slope` and `offset` of dx = factor·du + slope·x + offset."""
    row, group = tl.program_id(0).to(tl.int64), tl.program_id(1)
    i = tl.arange(0, GP)
    real = i < G
    channel = group * G + i
    part = tl.arange(0, P)
    at = sums + ((row * parts + part[:, None]) * 2) * channels + channel[None, :]
    inside = (part < parts)[:, None] & real[None, :]
    first = tl.sum(tl.load(at, mask=inside, other=0.0), 0)
    second = tl.sum(tl.load(at + channels, mask=inside, other=0.0), 0)
    w = tl.load(weight + channel, mask=real, other=0.0).to(tl.float32)
    s = tl.zeros([GP], tl.float32)
    if SHIFT:
        s = tl.load(shift + row * channels + channel, mask=real, other=0.0).to(tl.float32)
        second += s * first
    groups = tl.num_programs(1)
    mean = tl.load(moments + (row * groups + group) * 2)
    scale = tl.load(moments + (row * groups + group) * 2 + 1)
    count = cells * G
    total = tl.sum(w * first, 0)
    b = -scale * scale * scale * (tl.sum(w * second, 0) - mean * total) / count
    c = -scale * total / count - b * mean + b * s
    tl.store(slope + row * channels + channel, tl.zeros([GP], tl.float32) + b, mask=real)
    tl.store(offset + row * channels + channel, c, mask=real)


@triton.jit
def _applied(
    x, dy, factor, term, slope, offset, y, cells, channels,
    GRAD: tl.constexpr, ACT: tl.constexpr, R: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    """y = x·factor + term, then SiLU; or with GRAD the gradient for x from dy, that for y."""
    row = tl.program_id(0).to(tl.int64)
    channel = tl.program_id(1) * C + tl.arange(0, C)
    cell = tl.program_id(2) * R + tl.arange(0, R)
    inside = (cell < cells)[:, None]
    ours = row * cells * channels
    at = cell[:, None] * channels + channel[None, :]
    v = tl.load(x + ours + at, mask=inside, other=0.0).to(tl.float32)
    a = tl.load(factor + row * channels + channel)[None, :]
    u = v * a + tl.load(term + row * channels + channel)[None, :]
    if GRAD:
        d = tl.load(dy + ours + at, mask=inside, other=0.0).to(tl.float32)
        if ACT:
            d = d * _silu_slope(u)
        b = tl.load(slope + row * channels + channel)[None, :]
        u = d * a + v * b + tl.load(offset + row * channels + channel)[None, :]
    elif ACT:
        u = u * tl.sigmoid(u)
    tl.store(y + ours + at, u.to(y.dtype.element_ty), mask=inside)


@triton.jit
def _added(x, h, bias, y, cells, channels, R: tl.constexpr, C: tl.constexpr):
    """y = x + h + bias, over all cells of all rows."""
    channel = tl.program_id(1) * C + tl.arange(0, C)
    cell = tl.program_id(0).to(tl.int64) * R + tl.arange(0, R)
    inside = (cell < cells)[:, None]
    at = cell[:, None] * channels + channel[None, :]
    v = tl.load(x + at, mask=inside, other=0.0).to(tl.float32) + tl.load(h + at, mask=inside, other=0.0).to(tl.float32)
    v += tl.load(bias + channel).to(tl.float32)[None, :]
    tl.store(y + at, v.to(y.dtype.element_ty), mask=inside)


@triton.jit
def _geglu(x, dy, y, cells, width, GRAD: tl.constexpr, R: tl.constexpr, C: tl.constexpr):
    """y = p·gelu(g) for x = (p, g); or with GRAD the gradient for x from dy, that for y."""
    channel = tl.program_id(1) * C + tl.arange(0, C)
    cell = tl.program_id(0).to(tl.int64) * R + tl.arange(0, R)
    inside = (cell < cells)[:, None]
    wide = cell[:, None] * (2 * width) + channel[None, :]
    narrow = cell[:, None] * width + channel[None, :]
    p = tl.load(x + wide, mask=inside, other=0.0).to(tl.float32)
    g = tl.load(x + wide + width, mask=inside, other=0.0).to(tl.float32)
    share = 0.5 * (1 + tl.erf(g * 0.7071067811865476))
    if GRAD:
        d = tl.load(dy + narrow, mask=inside, other=0.0).to(tl.float32)
        density = tl.exp(-0.5 * g * g) * 0.3989422804014327
        tl.store(y + wide, (d * g * share).to(y.dtype.element_ty), mask=inside)
        tl.store(y + wide + width, (d * p * (share + g * density)).to(y.dtype.element_ty), mask=inside)
    else:
        tl.store(y + narrow, (p * g * share).to(y.dtype.element_ty), mask=inside)


class _Norm:
    """The sizes of one group norm, and its programs."""

    def __init__(self, x: Tensor, groups: int) -> None:
        self.rows, self.channels = x.shape[0], x.shape[1]
        self.cells = x.shape[2] * x.shape[3]
        self.groups, self.blocks = groups, self.channels // CHANNELS
        wanted = min(MOST_PARTS, max(1, PROGRAMS // (self.rows * self.blocks)))
        self.each = triton.cdiv(triton.cdiv(self.cells, wanted), CELLS) * CELLS
        self.parts = triton.cdiv(self.cells, self.each)
        in_group = self.channels // groups
        self.of_group = {"G": in_group, "GP": triton.next_power_of_2(in_group), "P": MOST_PARTS}
        self.tile = {"R": CELLS, "C": CHANNELS}

    def floats(self, like: Tensor, *sizes: int) -> Tensor:
        return torch.empty(sizes, device=like.device, dtype=torch.float32)

    def sums(self, x: Tensor, dy: Tensor, factor: Tensor, term: Tensor, *, grad: bool, act: bool) -> Tensor:
        out = self.floats(x, self.rows, self.parts, 2, self.channels)
        grid = (self.rows, self.blocks, self.parts)
        _sums[grid](x, dy, factor, term, out, self.cells, self.channels, self.each, self.parts, GRAD=grad, ACT=act, **self.tile)
        return out

    def applied(self, x: Tensor, dy: Tensor, four: tuple[Tensor, Tensor, Tensor, Tensor], *, grad: bool, act: bool) -> Tensor:
        y = torch.empty_like(x)
        grid = (self.rows, self.blocks, triton.cdiv(self.cells, CELLS))
        _applied[grid](x, dy, *four, y, self.cells, self.channels, GRAD=grad, ACT=act, **self.tile)
        return y


class _GroupNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, shift: Tensor | None, weight: Tensor, bias: Tensor, groups: int, eps: float, act: bool
    ) -> Tensor:
        norm = _Norm(x, groups)
        sums = norm.sums(x, x, x, x, grad=False, act=False)
        factor, term = norm.floats(x, norm.rows, norm.channels), norm.floats(x, norm.rows, norm.channels)
        moments = norm.floats(x, norm.rows, groups, 2)
        given = x if shift is None else shift
        sizes = (norm.cells, norm.channels, norm.parts, eps)
        _statistics[(norm.rows, groups)](
            sums, weight, bias, given, factor, term, moments, *sizes, SHIFT=shift is not None, **norm.of_group
        )
        ctx.save_for_backward(x, factor, term, moments, weight, given)
        ctx.norm, ctx.act, ctx.shifted = norm, act, shift is not None
        return norm.applied(x, x, (factor, term, factor, term), grad=False, act=act)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, factor, term, moments, weight, shift = ctx.saved_tensors
        norm, dy = ctx.norm, gradients[0].contiguous(memory_format=torch.channels_last)
        sums = norm.sums(x, dy, factor, term, grad=True, act=ctx.act)
        slope, offset = torch.empty_like(factor), torch.empty_like(term)
        sizes = (norm.cells, norm.channels, norm.parts)
        _gradient_terms[(norm.rows, norm.groups)](
            sums, weight, shift, moments, slope, offset, *sizes, SHIFT=ctx.shifted, **norm.of_group
        )
        return norm.applied(x, dy, (factor, term, slope, offset), grad=True, act=ctx.act), None, None, None, None, None, None


class _Added(torch.autograd.Function):
    @staticmethod
    def forward(_: Any, x: Tensor, h: Tensor, bias: Tensor) -> Tensor:
        y = torch.empty_like(h)
        channels = h.shape[1]
        cells = h.numel() // channels
        _added[(triton.cdiv(cells, CELLS), channels // CHANNELS)](x, h, bias, y, cells, channels, R=CELLS, C=CHANNELS)
        return y

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return gradients[0], gradients[0], None


class _Geglu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        width = x.shape[-1] // 2
        return _geglu_run(x, x, x.new_empty(*x.shape[:-1], width), grad=False)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return _geglu_run(x, gradients[0].contiguous(), torch.empty_like(x), grad=True)


def _geglu_run(x: Tensor, dy: Tensor, y: Tensor, *, grad: bool) -> Tensor:
    width = x.shape[-1] // 2
    cells = x.numel() // (2 * width)
    _geglu[(triton.cdiv(cells, GATE_ROWS), width // GATES)](x, dy, y, cells, width, GRAD=grad, R=GATE_ROWS, C=GATES)
    return y


def group_norm(
    x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float, *, act: bool, shift: Tensor | None = None
) -> Tensor:
    """Return the group norm of `x` `(rows, channels, h, w)`, channels last, plus `shift` `(rows, channels)`.

    With `act`, return SiLU of it.
    """
    with torch.cuda.device_of(x):
        made: Tensor = _GroupNorm.apply(x, shift, weight, bias, groups, eps, act)
    return made


def added(x: Tensor, h: Tensor, bias: Tensor) -> Tensor:
    """Return x + h + bias for feature maps with channels last, and a bias per channel."""
    with torch.cuda.device_of(x):
        made: Tensor = _Added.apply(x, h, bias)
    return made


def geglu(x: Tensor) -> Tensor:
    """Return p·gelu(g) for the halves p and g of the last dimension of `x`, which is contiguous."""
    with torch.cuda.device_of(x):
        made: Tensor = _Geglu.apply(x)
    return made
