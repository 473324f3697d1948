"""Rows: the whole interface between the algorithms and the device.

A row is one latent at one timestep with one prompt (as keys, values and gates). A UNet pass takes any mix of rows: different users,
stages and timesteps. A `Row` with a `target` also asks for gradients: its loss is `weight · mean((ε − target)²)`, a mean in which
places may count differently (`where`), and it gets back dL/dK and dL/dV, the only per-user outputs of a backward pass through a
frozen UNet. A row with an `injection` reads the attention of its source row: such rows are asked for together and go through one
pass.

Algorithms are generators that yield `Rows` and `Progress` and receive `Answers`; they know nothing of batches or devices.
`evaluating` is the loop that drives one of them.
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
    """The attention of a row's `source` takes the place of its own: of cross-attention through `tokens`, and of self-attention.

    `cross` and `within` are the two strengths, 0 (its own) to 1 (the source's). The source must be among the same `Rows`.
    """

    source: Row
    tokens: TokenMap | None = None  # None: cross-attention stays its own
    cross: float = 1.0
    within: float = 0.0


@dataclass(frozen=True, eq=False)
class Row:
    """One latent at one timestep with one prompt. Raises `ValueError` for an injection or a `where` that cannot be."""

    latent: Tensor  # (c, h, w)
    timestep: int
    prompt: KeysValues
    gates: Gates | None = None
    target: Tensor | None = None  # (c, h, w): asks for gradients
    weight: float = 1.0
    where: Tensor | None = None  # (h, w), 0 or more: what each place counts in the mean of the loss; None: all alike
    injection: Injection | None = None
    capture: tuple[int, ...] = ()  # cross-attention layers, by index, whose maps shall come back

    def __post_init__(self) -> None:
        if self.where is not None and (self.target is None or self.where.shape != self.latent.shape[1:]):
            raise ValueError(f"where is (h, w) of a latent with a target, not {tuple(self.where.shape)}")
        if self.injection is None:
            return
        source = self.injection.source
        if source.injection is not None:
            raise ValueError("the source of an injection reads from another row itself: name that row")
        if source.latent.shape != self.latent.shape:
            raise ValueError(f"a row of shape {tuple(self.latent.shape)} can't read from one of {tuple(source.latent.shape)}")
        if self.target is not None or source.target is not None:
            raise ValueError("rows that read or are read can't ask for gradients")


@dataclass(frozen=True, eq=False)
class Answer:
    eps: Tensor  # (c, h, w), detached
    loss: float | None = None
    key_gradients: tuple[Tensor, ...] = ()  # as the prompt's keys
    value_gradients: tuple[Tensor, ...] = ()
    maps: tuple[Tensor, ...] = ()  # (h·w, tokens) per layer of `Row.capture`: the weights as used, mean over the heads

    def gradients(self) -> tuple[Tensor, ...]:
        """In the order of `KeysValues.tensors`."""
        return (*self.key_gradients, *self.value_gradients)


Rows = tuple[Row, ...]
Answers = tuple[Answer, ...]
Result = TypeVar("Result")
Algorithm = Generator[Rows | Progress, Answers, Result]
Evaluate = Callable[[Rows], Answers]


def evaluating(algorithm: Algorithm[Result], evaluate: Evaluate) -> Generator[Progress, None, Result]:
    """Drive `algorithm` to its end: evaluate its rows, pass its progress on. Closing this closes the algorithm."""
    try:
        wanted = next(algorithm)
        while True:
            if isinstance(wanted, Progress):
                yield wanted
                wanted = algorithm.send(())
            else:
                wanted = algorithm.send(evaluate(wanted))
    except StopIteration as end:
        result: Result = end.value
        return result
    finally:
        algorithm.close()


def drive(algorithm: Algorithm[Result], evaluate: Evaluate, on_progress: Callable[[Progress], None] | None = None) -> Result:
    """Run `algorithm` to its result."""
    return finish(evaluating(algorithm, evaluate), on_progress)


def finish(steps: Generator[Progress, None, Result], on_progress: Callable[[Progress], None] | None = None) -> Result:
    """Run a generator of progress to its result."""
    while True:
        try:
            progress = next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result
        if on_progress:
            on_progress(progress)


def passes(rows: Rows, limit: int) -> list[list[int]]:
    """Indices of `rows`, pass by pass: latents of one shape, at most `limit` rows, and readers with their source.

    A source with more readers than that has a larger pass. Within a pass the rows whose maps must be formed come first.
    Raises `ValueError` for a row whose source is not among them.
    """
    at = {row: i for i, row in enumerate(rows)}
    parties: dict[int, list[int]] = defaultdict(list)
    for i, row in enumerate(rows):
        source = row.injection.source if row.injection is not None else row
        if source not in at:
            raise ValueError("a row names a source row that is not evaluated together with it")
        parties[at[source]].append(i)
    filling: dict[torch.Size, list[int]] = {}
    done: list[list[int]] = []
    for leader, members in parties.items():
        shape = rows[leader].latent.shape
        if shape not in filling or len(filling[shape]) + len(members) > limit:
            filling[shape] = []
            done.append(filling[shape])
        filling[shape] += members
    sources = _cross_sources(rows)
    return [sorted(indices, key=lambda i: _rank(rows[i], sources)) for indices in done]


def _cross_sources(rows: Sequence[Row]) -> set[Row]:
    return {row.injection.source for row in rows if row.injection is not None and row.injection.tokens is not None}


def _rank(row: Row, sources: set[Row]) -> int:
    """0: its maps are formed in every layer; 1: in the layers it asks for; 2: in none."""
    reads = row.injection is not None and row.injection.tokens is not None
    if reads or row.gates is not None or row in sources:
        return 0
    return 1 if row.capture else 2


def stacked(rows: Sequence[Row], device: torch.device, dtype: torch.dtype) -> PassInputs:
    """What the attention layers are given for a pass of `rows`, which are in the order of `passes`."""
    layers = range(len(rows[0].prompt.keys))
    sources = _cross_sources(rows)
    ranks = [_rank(row, sources) for row in rows]
    everywhere, at_most = ranks.count(0), len(ranks) - ranks.count(2)
    asked = {layer for row, rank in zip(rows, ranks, strict=True) if rank == 1 for layer in row.capture}
    return PassInputs(
        keys=[torch.stack([row.prompt.keys[i].detach() for row in rows]) for i in layers],
        values=[torch.stack([row.prompt.values[i].detach() for row in rows]) for i in layers],
        mapped=[at_most if i in asked else everywhere for i in layers],
        gates=_gates(rows[:at_most], device, dtype),
        cross=_cross_reading(rows, device, dtype),
        within=_self_reading(rows, device, dtype),
        captured=frozenset(layer for row in rows for layer in row.capture),
    )


def _gates(rows: Sequence[Row], device: torch.device, dtype: torch.dtype) -> list[Tensor] | None:
    """Per layer, the rows first; None if no row has any."""
    example = next((row.gates for row in rows if row.gates is not None), None)
    if example is None:
        return None
    opened = [torch.ones_like(gate) for gate in example]
    return [torch.stack([(row.gates or opened)[i] for row in rows]).to(device, dtype) for i in range(len(example))]


def _cross_reading(rows: Sequence[Row], device: torch.device, dtype: torch.dtype) -> CrossReading | None:
    readers = [row for row in rows if row.injection is not None and row.injection.tokens is not None]
    if not readers:
        return None
    found = [each.injection for each in readers if each.injection is not None]
    maps = [each.tokens for each in found if each.tokens is not None]
    return CrossReading(
        *_indices(rows, readers, device),
        strengths=torch.tensor([each.cross for each in found], device=device, dtype=dtype),
        read=torch.stack([each.read for each in maps]).to(device, dtype),
        keep=torch.stack([each.keep for each in maps]).to(device, dtype),
    )


def _self_reading(rows: Sequence[Row], device: torch.device, dtype: torch.dtype) -> Reading | None:
    readers = [row for row in rows if row.injection is not None and row.injection.within > 0]
    if not readers:
        return None
    strengths = [each.injection.within for each in readers if each.injection is not None]
    return Reading(*_indices(rows, readers, device), strengths=torch.tensor(strengths, device=device, dtype=dtype))


def _indices(rows: Sequence[Row], readers: Sequence[Row], device: torch.device) -> tuple[Tensor, Tensor]:
    """Where in the pass the readers are, and where their sources are."""
    at = {row: i for i, row in enumerate(rows)}
    sources = [each.injection.source for each in readers if each.injection is not None]
    return torch.tensor([at[row] for row in readers], device=device), torch.tensor([at[row] for row in sources], device=device)


def check_finite(eps: Tensor) -> None:
    if not torch.isfinite(eps).all():
        raise NumbersNotFinite("the model's prediction is not finite: use float32, or lower rates")


def drive_all(algorithms: Sequence[Algorithm[Result]], evaluate: Evaluate) -> list[Result]:
    """Run several algorithms side by side; rows that are wanted at the same time are evaluated together."""
    results: dict[int, Result] = {}
    wanted: dict[int, Rows] = {}

    def advance(i: int, answers: Answers | None) -> None:
        try:
            step = algorithms[i].send(answers) if answers is not None else next(algorithms[i])
            while isinstance(step, Progress):
                step = algorithms[i].send(())
            wanted[i] = step
        except StopIteration as end:
            results[i] = end.value

    try:
        for i in range(len(algorithms)):
            advance(i, None)
        while wanted:
            asked, together = dict(wanted), [row for rows in wanted.values() for row in rows]
            wanted.clear()
            answers = iter(evaluate(tuple(together)))
            for i, rows in asked.items():
                advance(i, tuple(next(answers) for _ in rows))
    finally:
        for algorithm in algorithms:
            algorithm.close()
    return [results[i] for i in range(len(algorithms))]
