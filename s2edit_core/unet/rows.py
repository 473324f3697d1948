"""Rows: the interface between the algorithms and the UNet.

A row is one latent at one timestep with one prompt, given as keys, values and gates. A UNet pass takes any mix of rows: of
different users, stages and timesteps.

A row with a `target` asks for gradients. Its loss is `weight · mean((ε − target)²)`, optionally weighted by cell (`loss_weights`).
The answer holds dL/dK and dL/dV: with a frozen UNet, these are the only per-user outputs of a backward pass.

A row with an `injection` reads the attention of its source row. Such rows must be evaluated together, and share a pass.

Algorithms are generators that yield `Rows` and `Progress` and receive `Answers`. They know nothing about batches or devices.
`evaluating` drives one algorithm, and `drive_all` several in shared passes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from s2edit_core.errors import NumbersNotFinite
from s2edit_core.request.spec import Progress
from s2edit_core.unet.attention import CrossReading, Gates, KeysValues, PassInputs, Reading, TokenMap


@dataclass(frozen=True, eq=False)
class Injection:
    """Replaces a row's attention by that of its `source` row: cross-attention through `tokens`, self-attention directly.

    Strengths are from 0 (the row's own attention) to 1 (the source's). The source must be evaluated together with the row.
    """

    source: Row
    tokens: TokenMap | None = None  # None: the row keeps its own cross-attention
    cross_strength: float = 1.0
    self_strength: float = 0.0


@dataclass(frozen=True, eq=False)
class Row:
    """One latent at one timestep with one prompt.

    Raises `ValueError` for `loss_weights` of another shape or without a target, and for an injection that is impossible: from a row
    that reads another row itself, that has another latent shape, or together with a target.
    """

    latent: Tensor  # (c, h, w)
    timestep: int
    prompt: KeysValues
    gates: Gates | None = None
    target: Tensor | None = None  # (c, h, w), the ε to learn; asks for gradients
    weight: float = 1.0  # of the loss
    loss_weights: Tensor | None = None  # (h, w), 0 or more: weight of each cell in the mean of the loss; None: all equal
    injection: Injection | None = None
    capture: tuple[int, ...] = ()  # indices of the cross-attention layers whose maps the answer holds

    def __post_init__(self) -> None:
        if self.loss_weights is not None and (self.target is None or self.loss_weights.shape != self.latent.shape[1:]):
            raise ValueError(f"loss_weights need a target and the latent's shape (h, w), not {tuple(self.loss_weights.shape)}")
        if self.injection is None:
            return
        source = self.injection.source
        if source.injection is not None:
            raise ValueError("the source of an injection reads another row itself: use that row as the source")
        if source.latent.shape != self.latent.shape:
            raise ValueError(f"a row of shape {tuple(self.latent.shape)} can't read a row of shape {tuple(source.latent.shape)}")
        if self.target is not None or source.target is not None:
            raise ValueError("rows of an injection can't have a target: attention is read without gradients")


@dataclass(frozen=True, eq=False)
class Answer:
    """The UNet's answer to one row."""

    eps: Tensor  # (c, h, w), detached
    loss: float | None = None
    key_gradients: tuple[Tensor, ...] = ()  # dL/dK, one per layer, shaped like the prompt's keys
    value_gradients: tuple[Tensor, ...] = ()  # dL/dV
    maps: tuple[Tensor, ...] = ()  # per layer of `Row.capture`, (h·w, tokens): attention after gates, averaged over heads

    def gradients(self) -> tuple[Tensor, ...]:
        """Return the gradients in the order of `KeysValues.tensors`."""
        return (*self.key_gradients, *self.value_gradients)


Rows = tuple[Row, ...]
Answers = tuple[Answer, ...]
Result = TypeVar("Result")
Algorithm = Generator[Rows | Progress, Answers, Result]
Evaluate = Callable[[Rows], Answers]


def evaluating(algorithm: Algorithm[Result], evaluate: Evaluate) -> Generator[Progress, None, Result]:
    """Drive `algorithm` to its result: evaluate the rows that it yields, and yield its progress.

    Closing this generator closes the algorithm.
    """
    try:
        step = next(algorithm)
        while True:
            if isinstance(step, Progress):
                yield step
                step = algorithm.send(())
            else:
                step = algorithm.send(evaluate(step))
    except StopIteration as end:
        result: Result = end.value
        return result
    finally:
        algorithm.close()


def drive(algorithm: Algorithm[Result], evaluate: Evaluate, on_progress: Callable[[Progress], None] | None = None) -> Result:
    """Run `algorithm` and return its result."""
    return finish(evaluating(algorithm, evaluate), on_progress)


def finish(steps: Generator[Progress, None, Result], on_progress: Callable[[Progress], None] | None = None) -> Result:
    """Run a generator of progress and return its result."""
    while True:
        try:
            progress = next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result
        if on_progress:
            on_progress(progress)


def passes(rows: Rows, limit: int) -> list[list[int]]:
    """Split `rows` into UNet passes, and return the row indices of each.

    A pass holds latents of one shape and every reader together with its source. It has at most `limit` rows, but with readers two
    or more; a source with more readers is in several passes. Within a pass, rows that need explicit attention maps come first.
    Raises `ValueError` for a row whose source is not among `rows`.
    """
    at = {row: i for i, row in enumerate(rows)}
    groups: dict[int, list[int]] = defaultdict(list)
    for i, row in enumerate(rows):
        source = row.injection.source if row.injection is not None else row
        if source not in at:
            raise ValueError("a row's source must be evaluated together with it")
        groups[at[source]].append(i)
    open_passes: dict[torch.Size, list[int]] = {}  # the pass of each latent shape that still has room
    done: list[list[int]] = []
    for source_index, group in groups.items():
        shape = rows[source_index].latent.shape
        for members in _in_parts(source_index, group, limit):
            if shape not in open_passes or len(open_passes[shape]) + len(members) > limit:
                open_passes[shape] = []
                done.append(open_passes[shape])
            open_passes[shape] += members
    sources = _cross_sources(rows)
    return [sorted(indices, key=lambda i: _rank(rows[i], sources)) for indices in done]


def _in_parts(source: int, group: list[int], limit: int) -> list[list[int]]:
    """Split `group`, a source and its readers, into parts of at most `limit` rows, each with the source."""
    if len(group) <= limit:
        return [group]
    readers = [i for i in group if i != source]
    size = max(1, limit - 1)
    return [[source, *readers[i : i + size]] for i in range(0, len(readers), size)] or [group]


def _cross_sources(rows: Sequence[Row]) -> set[Row]:
    """Return the rows whose cross-attention maps others read."""
    return {row.injection.source for row in rows if row.injection is not None and row.injection.tokens is not None}


def _rank(row: Row, sources: set[Row]) -> int:
    """Return which layers need explicit maps of `row`: 0 all layers, 1 those that it captures, 2 none."""
    reads = row.injection is not None and row.injection.tokens is not None
    if reads or row.gates is not None or row in sources:
        return 0
    return 1 if row.capture else 2


def stack_rows(rows: Sequence[Row], device: torch.device, dtype: torch.dtype) -> PassInputs:
    """Return the attention inputs of a pass over `rows`, which are in the order of `passes`."""
    layers = range(len(rows[0].prompt.keys))
    sources = _cross_sources(rows)
    ranks = [_rank(row, sources) for row in rows]
    in_all_layers, in_any_layer = ranks.count(0), len(ranks) - ranks.count(2)
    captured_layers = {layer for row, rank in zip(rows, ranks, strict=True) if rank == 1 for layer in row.capture}
    return PassInputs(
        keys=[torch.stack([row.prompt.keys[i].detach() for row in rows]) for i in layers],
        values=[torch.stack([row.prompt.values[i].detach() for row in rows]) for i in layers],
        rows_with_maps=[in_any_layer if i in captured_layers else in_all_layers for i in layers],
        gates=_gates(rows[:in_any_layer], device, dtype),
        cross_attention=_cross_reading(rows, device, dtype),
        self_attention=_self_reading(rows, device, dtype),
        captured=frozenset(layer for row in rows for layer in row.capture),
    )


def _gates(rows: Sequence[Row], device: torch.device, dtype: torch.dtype) -> list[Tensor] | None:
    """Return the gates of each layer, `(rows, h·w, tokens)`, with ones for rows that have none; None if no row has any."""
    example = next((row.gates for row in rows if row.gates is not None), None)
    if example is None:
        return None
    all_ones = [torch.ones_like(gate) for gate in example]
    return [torch.stack([(row.gates or all_ones)[i] for row in rows]).to(device, dtype) for i in range(len(example))]


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


def check_finite(eps: Tensor) -> None:
    """Raise `NumbersNotFinite` unless all predictions are finite."""
    if not torch.isfinite(eps).all():
        raise NumbersNotFinite("the model's prediction is not finite: use float32, or lower the learning rates")


def drive_all(algorithms: Sequence[Algorithm[Result]], evaluate: Evaluate) -> list[Result]:
    """Run several algorithms side by side and return their results.

    Rows that are pending at the same time are evaluated together.
    """
    results: dict[int, Result] = {}
    pending: dict[int, Rows] = {}

    def advance(i: int, answers: Answers | None) -> None:
        try:
            step = algorithms[i].send(answers) if answers is not None else next(algorithms[i])
            while isinstance(step, Progress):
                step = algorithms[i].send(())
            pending[i] = step
        except StopIteration as end:
            results[i] = end.value

    try:
        for i in range(len(algorithms)):
            advance(i, None)
        while pending:
            evaluated = dict(pending)
            pending.clear()
            answers = iter(evaluate(tuple(row for rows in evaluated.values() for row in rows)))
            for i, rows in evaluated.items():
                advance(i, tuple(next(answers) for _ in rows))
    finally:
        for algorithm in algorithms:
            algorithm.close()
    return [results[i] for i in range(len(algorithms))]
