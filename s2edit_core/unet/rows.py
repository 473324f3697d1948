"""Rows: the interface between the algorithms and the UNet.

A row is one latent at one timestep with one prompt, given as keys, values and gates. A UNet pass takes any mix of rows: of
different users, stages and timesteps.

A row with a `target` asks for gradients. Its loss is `weight · mean((ε − target)²)`, optionally weighted by cell (`loss_weights`).
The answer holds dL/dK and dL/dV: with a frozen UNet, these are the only per-user outputs of a backward pass. A row with a
`TrainablePrompt` gets the gradients at its parameters instead.

A row with an `injection` reads the attention of its source row. Such rows must be evaluated together, and share a pass.

A row's answer does not depend on the other rows of its pass, except for rounding.

Algorithms are generators that yield `Rows` and `Progress` and receive `Answers`. They know nothing about batches or devices.
`evaluating` drives one algorithm. `side_by_side` makes one of several, which then share passes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from s2edit_core.errors import NumbersNotFinite
from s2edit_core.request.spec import Progress
from s2edit_core.unet.attention import Gates, KeysValues, TokenMap


class PromptBatch(ABC):
    """Trainable prompts whose K and V have been computed."""

    @abstractmethod
    def prompts(self) -> Sequence[KeysValues]:
        """Return K and V of each prompt, detached."""

    @abstractmethod
    def gradients(self, at_prompts: Sequence[Sequence[Tensor]]) -> Sequence[tuple[Tensor, ...]]:
        """Return the gradients at the parameters of each prompt from those at its K and V, in the order of `KeysValues.tensors`."""


class TrainablePrompt(ABC):
    """A prompt that is learned, given by its parameters. All of one model are of one class."""

    @staticmethod
    @abstractmethod
    def batch(prompts: Sequence[TrainablePrompt], rows: Sequence[int]) -> PromptBatch:
        """Compute K and V of `prompts` together. `rows` says for how many rows of each the gradients will be."""


@dataclass(frozen=True, eq=False)
class Injection:
    """Replaces a row's attention by that of its `source` row: cross-attention through `tokens`, self-attention directly.

    Strengths are from 0 (the row's own attention) to 1 (the source's). The source must be evaluated together with the row.
    """

    source: Row
    tokens: TokenMap | None = None  # None: the row keeps its own cross-attention
    cross_strength: float = 1.0
    self_strength: float = 0.0


NO_PROMPT = KeysValues((), ())


@dataclass(frozen=True, eq=False)
class Row:
    """One latent at one timestep with one prompt.

    Raises `ValueError` for `loss_weights` of another shape or without a target, for a trainable prompt beside another or without a
    target, and for an injection that is impossible: from a row that reads another row itself, that has another latent shape, or
    together with a target.
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
    trainable: TrainablePrompt | None = None  # K and V are computed from it; needs a target, and an empty `prompt`

    def __post_init__(self) -> None:
        if self.loss_weights is not None and (self.target is None or self.loss_weights.shape != self.latent.shape[1:]):
            raise ValueError(f"loss_weights need a target and the latent's shape (h, w), not {tuple(self.loss_weights.shape)}")
        if self.trainable is not None and (self.target is None or self.prompt.keys):
            raise ValueError("a row with a trainable prompt needs a target, and its K and V are computed: pass NO_PROMPT")
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
    parameter_gradients: tuple[Tensor, ...] = ()  # those of a trainable prompt, in the first answer of all its rows of one pass
    maps: tuple[Tensor, ...] = ()  # per layer of `Row.capture`, (h·w, tokens): attention after gates, averaged over heads
    finite: bool = True  # whether ε and the loss are

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

    A pass holds latents of one shape and every reader together with its source. Rows with targets have passes of their own, because
    a backward pass would cost the others as much. A pass has at most `limit` rows, but with readers two or more; a source with more
    readers is in several passes. Within a pass, rows that need explicit attention maps come first, then those with gates. Raises
    `ValueError` for a row whose source is not among `rows`.
    """
    open_passes: dict[tuple[object, ...], list[int]] = {}  # the pass of each kind of rows that still has room
    done: list[list[int]] = []
    for source_index, group in by_source(rows).items():
        kind = (rows[source_index].latent.shape, rows[source_index].target is not None)
        for members in _in_parts(source_index, group, limit):
            if kind not in open_passes or len(open_passes[kind]) + len(members) > limit:
                open_passes[kind] = []
                done.append(open_passes[kind])
            open_passes[kind] += members
    sources = cross_sources(rows)
    return [sorted(indices, key=lambda i: rank(rows[i], sources)) for indices in done]


def by_source(rows: Rows) -> dict[int, list[int]]:
    """Return, for each row that reads no other, its index with those of itself and its readers. Raises as `passes` does."""
    at = {row: i for i, row in enumerate(rows)}
    groups: dict[int, list[int]] = defaultdict(list)
    for i, row in enumerate(rows):
        source = row.injection.source if row.injection is not None else row
        if source not in at:
            raise ValueError("a row's source must be evaluated together with it")
        groups[at[source]].append(i)
    return groups


def _in_parts(source: int, group: list[int], limit: int) -> list[list[int]]:
    """Split `group`, a source and its readers, into parts of at most `limit` rows, each with the source."""
    if len(group) <= limit:
        return [group]
    readers = [i for i in group if i != source]
    size = max(1, limit - 1)
    return [[source, *readers[i : i + size]] for i in range(0, len(readers), size)] or [group]


def cross_sources(rows: Sequence[Row]) -> set[Row]:
    """Return the rows whose cross-attention maps others read."""
    return {row.injection.source for row in rows if row.injection is not None and row.injection.tokens is not None}


def rank(row: Row, sources: set[Row]) -> int:
    """Return the place of `row` in its pass: 0 if all layers need its maps, 1 if some capture them, 2 with gates, 3 otherwise."""
    if row in sources or (row.injection is not None and row.injection.tokens is not None):
        return 0
    if row.capture:
        return 1
    return 2 if row.gates is not None and row.gates.positions else 3


def check_finite(answers: Answers) -> None:
    """Raise `NumbersNotFinite` unless all predictions are finite."""
    if not all(answer.finite for answer in answers):
        raise NumbersNotFinite("the model's prediction is not finite: use float32, or lower the learning rates")


def drive_all(algorithms: Sequence[Algorithm[Result]], evaluate: Evaluate) -> list[Result]:
    """Run several algorithms side by side, in shared passes, and return their results."""
    return drive(side_by_side(algorithms), evaluate)


def side_by_side(algorithms: Sequence[Algorithm[Result]]) -> Algorithm[list[Result]]:
    """Return one algorithm that runs all `algorithms` and ends with their results.

    It yields the progress of each as it comes, and the rows that are pending in all of them together. A pause (no rows) is yielded
    as it comes, too. Rows wait for the end of the others' pauses: otherwise those that pause longer would have passes of their own.
    """
    results: dict[int, Result] = {}
    waiting: dict[int, Rows] = {}

    def advanced(i: int, answers: Answers | None) -> Generator[Rows | Progress, Answers, None]:
        """Resume an algorithm until it yields rows or ends."""
        try:
            step = algorithms[i].send(answers) if answers is not None else next(algorithms[i])
            while isinstance(step, Progress) or not step:
                yield step
                step = algorithms[i].send(())
            waiting[i] = step
        except StopIteration as end:
            results[i] = end.value

    try:
        for i in range(len(algorithms)):
            yield from advanced(i, None)
        while waiting:
            evaluated = dict(waiting)
            waiting.clear()
            answers = iter((yield tuple(row for rows in evaluated.values() for row in rows)))
            for i, rows in evaluated.items():
                yield from advanced(i, tuple(next(answers) for _ in rows))
    finally:
        for algorithm in algorithms:
            algorithm.close()
    return [results[i] for i in range(len(algorithms))]
