"""A kernel for cross-attention with gated columns on CUDA: softmax, gates and the sum of values without a map in memory.

The tokens of a prompt fit into one block, so a program has all attention weights of its cells at once and multiplies them by their
gates. `processors.gated_attention` does the same around torch's fused attention, with eight more channels and three more passes
over the feature map. The backward pass computes the weights again; gradients of keys and values are summed in float32.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"
from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

MOST_TOKENS = 128
MOST_WIDTH, MOST_WIDTH_WITH_GRADIENTS = 256, 128
"""The largest width of a head. Of wider ones, gradients do not fit into registers."""
CELLS, CELLS_WITH_GRADIENTS = 64, 32
"""Cells per step of a program."""
PROGRAMS = 512


@triton.jit
def _gates(factors, positions, row, cell, inside, token, columns, tokens, total, start, M: tl.constexpr, T: tl.constexpr):
    """The factors of all tokens for some cells: 1, but at gated columns."""
    gates = tl.full([M, T], 1.0, tl.float32)
    for column in range(0, columns):
        position = tl.load(positions + row * columns + column).to(tl.int32)
        if position < tokens:
            factor = tl.load(factors + (row * columns + column) * total + start + cell, mask=inside, other=1.0).to(tl.float32)
            gates = tl.where((token == position)[None, :], factor[:, None], gates)
    return gates


@triton.jit
def _softmax(q, k, token, tokens, scale):
    scores = tl.dot(q, tl.trans(k)) * scale
    scores = tl.where((token < tokens)[None, :], scores, float("-inf"))
    weights = tl.exp(scores - tl.max(scores, 1)[:, None])
    return weights / tl.sum(weights, 1)[:, None]


@triton.jit
def _forward(
    q, k, v, factors, positions, out, cells, tokens, heads, width, columns, total, start, scale,
    M: tl.constexpr, T: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    head, row = tl.program_id(1), tl.program_id(2).to(tl.int64)
    cell = tl.program_id(0) * M + tl.arange(0, M)
    token, d = tl.arange(0, T), tl.arange(0, D)
    inside, real = cell < cells, token < tokens
    all_heads = heads * width
    # The part of addresses that a program shares is a number of 64 bits; the rest fits into 32, and so into half the registers.
    mine, ours = row * cells * all_heads + head * width, row * tokens * all_heads + head * width
    at, to = cell[:, None] * all_heads + d[None, :], token[:, None] * all_heads + d[None, :]
    some = inside[:, None] & (d < width)[None, :]
    known = real[:, None] & (d < width)[None, :]
    query = tl.load(q + mine + at, mask=some, other=0.0)
    key = tl.load(k + ours + to, mask=known, other=0.0)
    value = tl.load(v + ours + to, mask=known, other=0.0)
    weights = _softmax(query, key, token, tokens, scale)
    weights *= _gates(factors, positions, row, cell, inside, token, columns, tokens, total, start, M, T)
    made = tl.dot(weights.to(value.dtype), value)
    tl.store(out + mine + at, made.to(out.dtype.element_ty), mask=some)


@triton.jit
def _backward(
    q, k, v, factors, positions, dout, dq, dk, dv, cells, tokens, heads, width, columns, total, start, scale, each, parts,
    M: tl.constexpr, T: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    part, head, row = tl.program_id(0), tl.program_id(1), tl.program_id(2).to(tl.int64)
    token, d = tl.arange(0, T), tl.arange(0, D)
    all_heads = heads * width
    mine, ours = row * cells * all_heads + head * width, row * tokens * all_heads + head * width
    to = token[:, None] * all_heads + d[None, :]
    known = (token < tokens)[:, None] & (d < width)[None, :]
    key = tl.load(k + ours + to, mask=known, other=0.0)
    value = tl.load(v + ours + to, mask=known, other=0.0)
    of_keys = tl.zeros([T, D], tl.float32)
    of_values = tl.zeros([T, D], tl.float32)
    for first in range(0, each, M):
        cell = part * each + first + tl.arange(0, M)
        inside = cell < cells
        at = cell[:, None] * all_heads + d[None, :]
        some = inside[:, None] & (d < width)[None, :]
        query = tl.load(q + mine + at, mask=some, other=0.0)
        grad = tl.load(dout + mine + at, mask=some, other=0.0)
        weights = _softmax(query, key, token, tokens, scale)
        gates = _gates(factors, positions, row, cell, inside, token, columns, tokens, total, start, M, T)
        of_values += tl.dot(tl.trans((weights * gates).to(grad.dtype)), grad)
        of_weights = gates * tl.dot(grad, tl.trans(value))
        of_scores = weights * (of_weights - tl.sum(weights * of_weights, 1)[:, None])
        of_scores = (of_scores * scale).to(query.dtype)
        tl.store(dq + mine + at, tl.dot(of_scores, key).to(dq.dtype.element_ty), mask=some)
        of_keys += tl.dot(tl.trans(of_scores), query)
    into = (row * parts + part) * tokens * all_heads + head * width
    tl.store(dk + into + to, of_keys, mask=known)
    tl.store(dv + into + to, of_values, mask=known)


class _Gated(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, factors: Tensor, positions: Tensor, start: int, heads: int, scale: float
    ) -> Tensor:
        rows, cells, inner = q.shape
        width = inner // heads
        ctx.save_for_backward(q, k, v, factors, positions)
        ctx.sizes = sizes = (cells, k.shape[1], heads, width, positions.shape[1], factors.shape[2], start, scale)
        out = torch.empty_like(q)
        grid = (triton.cdiv(cells, CELLS), heads, rows)
        _forward[grid](q, k, v, factors, positions, out, *sizes, M=CELLS, T=MOST_TOKENS, D=_padded(width), num_warps=8)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, factors, positions = ctx.saved_tensors
        cells, _, heads, width = ctx.sizes[:4]
        rows, m = len(q), CELLS_WITH_GRADIENTS
        wanted = max(1, PROGRAMS // (rows * heads))
        each = triton.cdiv(triton.cdiv(cells, wanted), m) * m
        parts = triton.cdiv(cells, each)
        dq = torch.empty_like(q)
        dk, dv = (torch.empty(rows, parts, *k.shape[1:], device=k.device, dtype=torch.float32) for _ in range(2))
        _backward[(parts, heads, rows)](
            q, k, v, factors, positions, gradients[0].contiguous(), dq, dk, dv, *ctx.sizes, each, parts,
            M=m, T=MOST_TOKENS, D=_padded(width), num_warps=8,
        )  # fmt: skip
        return dq, dk.sum(1).to(k.dtype), dv.sum(1).to(v.dtype), None, None, None, None, None


def _padded(width: int) -> int:
    return max(16, int(triton.next_power_of_2(width)))


def usable(q: Tensor, k: Tensor, v: Tensor, factors: Tensor, heads: int) -> bool:
    """Return whether `attention` takes these inputs."""
    learns = torch.is_grad_enabled() and (q.requires_grad or k.requires_grad)
    most = MOST_WIDTH_WITH_GRADIENTS if learns else MOST_WIDTH
    same = q.dtype == k.dtype == v.dtype == factors.dtype and q.dtype.itemsize == 2
    return same and q.shape[2] // heads <= most and k.shape[1] <= MOST_TOKENS and len(q) == len(k) == len(factors)


def attention(
    q: Tensor, k: Tensor, v: Tensor, factors: Tensor, positions: Tensor, start: int, *, heads: int, scale: float
) -> Tensor:
    """Return attention `(rows, cells, inner)` of `q` over `k` and `v` `(rows, tokens, inner)`, heads side by side in `inner`.

    Column `positions[row, i]` has the factors `factors[row, i, start:start + cells]`; a position from `tokens` on means none.
    """
    tensors = (each.contiguous() for each in (q, k, v, factors, positions))
    with torch.cuda.device_of(q):
        made: Tensor = _Gated.apply(*tensors, start, heads, scale)
    return made
