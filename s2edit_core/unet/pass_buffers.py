"""The tensors that a UNet pass reads: one place per row, filled from rows.

A pass that runs once has buffers of its own. Passes that are recorded as CUDA graphs have theirs at fixed addresses, and are padded
to a few sizes (`recorded`): then every place above the rows of the pass holds zeros, never the numbers of an earlier row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from s2edit_core.unet.processors import AttentionInputs, CrossReading, GatedColumns, Reading
from s2edit_core.unet.rows import Row, cross_sources, rank


@dataclass(frozen=True, eq=False)
class Targets:
    """What rows learn: `eps` `(rows, c, h, w)`, and the weights of each row's loss `(rows,)` and of its cells `(rows, h, w)`."""

    eps: Tensor
    weights: Tensor
    cells: Tensor

    def losses(self, eps: Tensor) -> Tensor:
        """Return each row's loss `(rows,)`: its weight times the weighted mean of (ε − target)² over its cells."""
        squares = (eps - self.eps).square().mean(dim=1)
        return self.weights * (squares * self.cells).sum(dim=(1, 2)) / self.cells.sum(dim=(1, 2))


@dataclass(frozen=True, eq=False)
class PassInputs:
    """The inputs of a UNet pass."""

    latents: Tensor  # (rows, c, h, w), in float32 or better
    timesteps: Tensor  # (rows,)
    attention: AttentionInputs
    targets: Targets | None = None


@dataclass(frozen=True)
class PassShape:
    """The sizes of a pass: of latents `(c, h, w)`, prompts (tokens), gates (columns), and those of each layer."""

    latent: tuple[int, ...]
    tokens: int
    columns: int
    widths: tuple[int, ...]  # per cross-attention layer: heads · d
    spans: tuple[tuple[int, int], ...]  # per cross-attention layer: its cells, see `Gates`

    @classmethod
    def of(cls, rows: Sequence[Row], columns: int | None = None) -> PassShape:
        """Return the sizes of a pass over `rows`; `columns` gives room for more gated columns than they have."""
        gates = [row.gates for row in rows if row.gates is not None]
        most = max((len(each.positions) for each in gates), default=0)
        keys = rows[0].prompt.keys
        return cls(
            latent=tuple(rows[0].latent.shape),
            tokens=len(keys[0]),
            columns=most if columns is None else columns,
            widths=tuple(key.shape[1] for key in keys),
            spans=gates[0].spans if gates else (),
        )

    @property
    def cells(self) -> int:
        """The cells of all feature maps with cross-attention."""
        return max((end for _, end in self.spans), default=0)


class PassBuffers:
    """Buffers for `size` rows on one device, with the UNet's `dtype`."""

    def __init__(self, size: int, shape: PassShape, device: torch.device, dtype: torch.dtype) -> None:
        self.size, self.shape = size, shape
        exact = torch.promote_types(dtype, torch.float32)
        c, h, w = shape.latent

        def zeros(*sizes: int, dtype: torch.dtype = dtype) -> Tensor:
            return torch.zeros(size, *sizes, device=device, dtype=dtype)

        self.latents, self.targets = zeros(c, h, w, dtype=exact), zeros(c, h, w, dtype=exact)
        self.cells = zeros(h, w, dtype=exact)
        self.timesteps, self.weights = zeros(dtype=torch.long), zeros(dtype=exact)
        self.keys = [zeros(shape.tokens, width) for width in shape.widths]
        self.values = [zeros(shape.tokens, width) for width in shape.widths]
        self.positions = zeros(shape.columns, dtype=torch.long)
        self.factors = zeros(shape.columns, shape.cells)
        self._filled = 0

    @cached_property
    def _places(self) -> list[list[Tensor]]:
        """For each row, its place in the buffers of keys and values."""
        return [[tensor[i] for tensor in (*self.keys, *self.values)] for i in range(self.size)]

    @torch.no_grad()
    def fill(self, rows: Sequence[Row]) -> None:
        """Copy `rows` into the first places, and clear those that held others. Waits for nothing on the device."""
        n = len(rows)
        self._scalars(rows)
        copies = [pair for i, row in enumerate(rows) for pair in zip(self._places[i], row.prompt.tensors(), strict=True)]
        copies += [(self.latents[i], row.latent) for i, row in enumerate(rows)]
        for i, row in enumerate(rows):
            if row.target is not None:
                copies.append((self.targets[i], row.target))
            if row.loss_weights is not None:
                copies.append((self.cells[i], row.loss_weights))
            if row.gates is not None and row.gates.positions:
                copies.append((self.factors[i, : len(row.gates.positions)], row.gates.factors))
        without = [self.targets[i] for i, row in enumerate(rows) if row.target is None]
        if without:
            torch._foreach_zero_(without)
        _copy(copies)
        if n < self._filled:
            for tensor in (self.latents, self.targets, self.factors, *self.keys, *self.values):
                tensor[n : self._filled].zero_()
        self._filled = n

    def _scalars(self, rows: Sequence[Row]) -> None:
        """Set timesteps, weights and positions, each by one copy, and reset cells and factors to what rows without any have."""
        pad = self.size - len(rows)
        positions = [row.gates.positions if row.gates is not None else () for row in rows]
        none = self.shape.tokens
        filled = [(*each, *[none] * (self.shape.columns - len(each))) for each in positions] + [(none,) * self.shape.columns] * pad
        self._set(self.timesteps, [row.timestep for row in rows] + [0] * pad)
        self._set(self.weights, [row.weight if row.target is not None else 0.0 for row in rows] + [0.0] * pad)
        if self.shape.columns:
            self._set(self.positions, filled)
            self.factors[: len(rows)].fill_(1.0)
        self.cells.fill_(1.0)

    def _set(self, tensor: Tensor, numbers: Sequence[object]) -> None:
        """Copy `numbers` from pinned memory, which does not wait for the device."""
        made = torch.tensor(numbers, dtype=tensor.dtype)
        tensor.copy_(made.pin_memory() if tensor.is_cuda else made, non_blocking=True)

    def inputs(self, rows: int, *, learns: bool, attention: AttentionInputs | None = None) -> PassInputs:
        """Return the inputs of a pass over the first `rows` places. `attention` says how rows attend, if not each for itself."""
        targets = Targets(self.targets[:rows], self.weights[:rows], self.cells[:rows]) if learns else None
        attention = attention or self.attention(rows)
        return PassInputs(self.latents[:rows], self.timesteps[:rows], attention, targets)

    def gated(self, rows: int) -> GatedColumns | None:
        """Return the gated columns of the first `rows` places; None for no rows or no columns."""
        if not (rows and self.shape.columns):
            return None
        return GatedColumns(self.positions[:rows], self.factors[:rows], self.shape.spans, self.shape.tokens)

    def attention(self, rows: int) -> AttentionInputs:
        """Return the inputs of attention for rows that read nothing: fused in every layer, with gates if the buffers hold any."""
        keys, values = ([tensor[:rows] for tensor in tensors] for tensors in (self.keys, self.values))
        return AttentionInputs(keys, values, rows_with_maps=[0] * len(keys), gated=self.gated(rows))


def _copy(pairs: Sequence[tuple[Tensor, Tensor]]) -> None:
    """Copy the second tensor of each pair into the first, with one kernel for all pairs of one precision."""
    kinds: dict[object, list[tuple[Tensor, Tensor]]] = {}
    for into, source in pairs:
        kinds.setdefault((into.dtype, source.dtype, source.device), []).append((into, source.detach()))
    for same in kinds.values():
        torch._foreach_copy_([into for into, _ in same], [source for _, source in same], non_blocking=True)


def stack_rows(rows: Sequence[Row], device: torch.device, dtype: torch.dtype) -> PassInputs:
    """Return the inputs of one pass over `rows`, which are in the order of `passes`, in buffers of its own."""
    buffers = PassBuffers(len(rows), PassShape.of(rows), device, dtype)
    buffers.fill(rows)
    sources = cross_sources(rows)
    ranks = [rank(row, sources) for row in rows]
    in_all_layers, in_any_layer = ranks.count(0), ranks.count(0) + ranks.count(1)
    captured_layers = {layer for row, each in zip(rows, ranks, strict=True) if each == 1 for layer in row.capture}
    attention = AttentionInputs(
        keys=buffers.keys,
        values=buffers.values,
        rows_with_maps=[in_any_layer if i in captured_layers else in_all_layers for i in range(len(buffers.keys))],
        gated=buffers.gated(len(rows) - ranks.count(3)),
        cross_attention=_cross_reading(rows, device, torch.promote_types(dtype, torch.float32)),
        self_attention=_self_reading(rows, device, dtype),
        captured=frozenset(layer for row in rows for layer in row.capture),
    )
    return buffers.inputs(len(rows), learns=any(row.target is not None for row in rows), attention=attention)


def _cross_reading(rows: Sequence[Row], device: torch.device, dtype: torch.dtype) -> CrossReading | None:
    readers = [row for row in rows if row.injection is not None and row.injection.tokens is not None]
    if not readers:
        return None
    injections = [each.injection for each in readers if each.injection is not None]
    maps = [each.tokens for each in injections if each.tokens is not None]
    return CrossReading(
        *_indices(rows, readers, device),
        strengths=torch.tensor([each.cross_strength for each in injections], device=device, dtype=dtype),
        read=torch.stack([each.read for each in maps]).to(device, dtype),
        keep=torch.stack([each.keep for each in maps]).to(device, dtype),
    )


def _self_reading(rows: Sequence[Row], device: torch.device, dtype: torch.dtype) -> Reading | None:
    readers = [row for row in rows if row.injection is not None and row.injection.self_strength > 0]
    if not readers:
        return None
    strengths = [each.injection.self_strength for each in readers if each.injection is not None]
    return Reading(*_indices(rows, readers, device), strengths=torch.tensor(strengths, device=device, dtype=dtype))


def _indices(rows: Sequence[Row], readers: Sequence[Row], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the positions of `readers` and of their sources in the pass."""
    at = {row: i for i, row in enumerate(rows)}
    sources = [each.injection.source for each in readers if each.injection is not None]
    return torch.tensor([at[row] for row in readers], device=device), torch.tensor([at[row] for row in sources], device=device)
