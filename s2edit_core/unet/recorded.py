"""Passes recorded as CUDA graphs: the host starts a whole pass with one call instead of some thousand kernels.

A graph holds the addresses of its inputs, so recorded passes read buffers at fixed addresses and have one of a few sizes. Passes
with fewer rows are padded. All graphs share one memory pool, since never two run at a time; every answer is copied out of it.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from s2edit_core.device_faults import fault_of
from s2edit_core.errors import DeviceOutOfMemory
from s2edit_core.unet.pass_buffers import PassBuffers, PassInputs, PassShape
from s2edit_core.unet.rows import Row
from s2edit_core.unet.unet_pass import PassOutputs

SIZES = (1, 2, 4, 8, 16, 32)
"""The numbers of rows of recorded passes."""
WORTH_PADDING = 0.75
"""The share of a size that rows must fill; fewer take a smaller size and a second pass."""
COLUMNS = 8
"""Gated columns per row. Fused attention on CUDA wants head widths divisible by 8, so fewer would cost as much."""
MOST_GRAPHS = 32
MOST_BUFFERS = 4
"""Latent shapes (frames of photos) with buffers at a time."""
USES_BEFORE = 2
"""A pass of a kind runs as it is that often before it is recorded: recording takes as long as several passes."""
MOST_FAILURES = 3
"""Failed recordings after which none is tried again. A single one may be due to what another thread did on the device."""
WARM_UPS = 2
"""Runs before recording, in which libraries make their plans and workspaces."""

log = logging.getLogger(__name__)


def padded_parts(rows: int, largest: int) -> list[int]:
    """Return how to split `rows` into recorded passes of sizes of at most `largest`: the rows of each."""
    sizes = [size for size in SIZES if size <= largest]
    parts = []
    while rows:
        enough = next((size for size in sizes if size >= rows), sizes[-1])
        size = enough if rows >= WORTH_PADDING * enough else max(size for size in sizes if size <= rows)
        parts.append(min(rows, size))
        rows -= parts[-1]
    return parts


def can_be_recorded(rows: Sequence[Row]) -> bool:
    """Return whether a pass over `rows` is of a common kind: no row reads another or captures maps."""
    return all(
        row.injection is None and not row.capture and (row.gates is None or len(row.gates.positions) <= COLUMNS) for row in rows
    )


@dataclass(frozen=True)
class _Kind:
    """What a graph is recorded for."""

    shape: PassShape
    size: int
    learns: bool


@dataclass
class _Graph:
    graph: torch.cuda.CUDAGraph
    inputs: PassInputs  # keeps their memory
    outputs: PassOutputs
    memory_bytes: int


class RecordedPasses:
    """Runs passes over padded buffers, and on CUDA as graphs. Not thread-safe.

    With `capture` off, passes run over the same padded buffers without graphs, also on the CPU. `memory_bytes` counts what the
    graphs added to the process's memory on the device.
    """

    def __init__(
        self,
        run: Callable[[PassInputs], PassOutputs],
        device: torch.device,
        dtype: torch.dtype,
        *,
        largest: int,
        capture: bool = True,
    ) -> None:
        self.run, self.device, self.dtype = run, device, dtype
        self.largest, self.capture = largest, capture
        self._buffers: OrderedDict[PassShape, PassBuffers] = OrderedDict()
        self._graphs: OrderedDict[_Kind, _Graph] = OrderedDict()
        self._uses: dict[_Kind, int] = {}
        self._failures = 0
        self._pool: Any = None
        self._stream: torch.cuda.Stream | None = None

    @property
    def memory_bytes(self) -> int:
        return sum(each.memory_bytes for each in self._graphs.values())

    def __len__(self) -> int:
        return len(self._graphs)

    def clear(self) -> None:
        """Forget all graphs and buffers, and with them all numbers of rows."""
        for each in self._graphs.values():
            each.graph.reset()
        self._graphs.clear()
        self._buffers.clear()
        self._uses.clear()
        self._pool = None

    def __call__(self, rows: Sequence[Row]) -> PassOutputs:
        """Run one pass over `rows`, of at most `largest`, and return the outputs for them."""
        learns = any(row.target is not None for row in rows)
        gated = any(row.gates is not None and row.gates.positions for row in rows)
        buffers = self._buffers_of(PassShape.of(rows, COLUMNS if gated else 0))
        kind = _Kind(buffers.shape, next(size for size in SIZES if size >= len(rows)), learns)
        buffers.fill(rows)
        recorded = self._graph(kind, buffers) if self.capture else None
        if recorded is None:
            return _cut(self.run(buffers.inputs(kind.size, learns=learns)), len(rows))
        recorded.graph.replay()
        return _copied(_cut(recorded.outputs, len(rows)))

    def _buffers_of(self, shape: PassShape) -> PassBuffers:
        if shape not in self._buffers:
            if len(self._buffers) == MOST_BUFFERS:
                self._forget(next(iter(self._buffers)))
            self._buffers[shape] = PassBuffers(self.largest, shape, self.device, self.dtype)
        self._buffers.move_to_end(shape)
        return self._buffers[shape]

    def _forget(self, shape: PassShape) -> None:
        """Drop the buffers of `shape` and the graphs that read them."""
        del self._buffers[shape]
        for kind in [kind for kind in self._uses if kind.shape == shape]:
            del self._uses[kind]
            if kind in self._graphs:
                self._graphs.pop(kind).graph.reset()

    def _graph(self, kind: _Kind, buffers: PassBuffers) -> _Graph | None:
        """Return the graph of `kind`, recorded now if it is due; None if the pass is to run without."""
        if kind not in self._graphs:
            self._uses[kind] = self._uses.get(kind, 0) + 1
            if self._uses[kind] <= USES_BEFORE:
                return None
            recorded = self._try_to_record(kind, buffers)
            if recorded is None:
                return None
            if len(self._graphs) == MOST_GRAPHS:
                self._graphs.popitem(last=False)[1].graph.reset()
            self._graphs[kind] = recorded
        self._graphs.move_to_end(kind)
        return self._graphs[kind]

    def _try_to_record(self, kind: _Kind, buffers: PassBuffers) -> _Graph | None:
        """Record a graph. Log the first failure; after `MOST_FAILURES`, record no more."""
        try:
            return self._record(kind, buffers)
        except Exception as error:  # torch, cuDNN and cuBLAS each raise their own
            if isinstance(fault_of(error), DeviceOutOfMemory):
                raise
            if self._failures == 0:
                log.warning("a pass of %d rows can't be recorded as a CUDA graph and runs without: %s", kind.size, error)
        self._failures += 1  # outside the handler: the error's traceback holds the tensors of the failed pass
        self._uses[kind] = 0
        self.capture = self._failures < MOST_FAILURES
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)  # raises if not only the recording has failed, but the device
        return None

    def _record(self, kind: _Kind, buffers: PassBuffers) -> _Graph:
        if self._stream is None or self._pool is None:
            self._stream, self._pool = torch.cuda.Stream(self.device), torch.cuda.graph_pool_handle()
        self._stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self._stream):
            for _ in range(WARM_UPS):
                self.run(buffers.inputs(kind.size, learns=kind.learns))
        torch.cuda.current_stream(self.device).wait_stream(self._stream)
        torch.cuda.empty_cache()
        before = torch.cuda.memory_reserved(self.device)
        graph = torch.cuda.CUDAGraph()
        inputs = buffers.inputs(kind.size, learns=kind.learns)  # new ones: the graph must also record what they compute once
        # Other threads may use the device meanwhile, for example to decode a picture.
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
            outputs = self.run(inputs)
        return _Graph(graph, inputs, outputs, max(0, torch.cuda.memory_reserved(self.device) - before))


def _cut(outputs: PassOutputs, rows: int) -> PassOutputs:
    """Return the outputs of the first `rows`, without those of the padding."""
    return replace(
        outputs,
        eps=outputs.eps[:rows],
        report=outputs.report[:, :rows],
        key_gradients=[each[:rows] for each in outputs.key_gradients],
        value_gradients=[each[:rows] for each in outputs.value_gradients],
    )


def _copied(outputs: PassOutputs) -> PassOutputs:
    """Return a copy, which the next run of the graph does not overwrite."""
    layers = len(outputs.key_gradients)
    gradients: list[Tensor] = [*outputs.key_gradients, *outputs.value_gradients]
    copies = [torch.empty_like(each) for each in gradients]
    if copies:
        torch._foreach_copy_(copies, gradients)
    return replace(
        outputs,
        eps=outputs.eps.clone(),
        report=outputs.report.clone(),
        key_gradients=copies[:layers],
        value_gradients=copies[layers:],
    )
