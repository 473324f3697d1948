"""Rows: the whole interface between the algorithms and the device.

A row is one latent at one timestep with one prompt (as keys, values and gates). A UNet pass takes any mix of rows: different users,
stages and timesteps. A `Row` with a `target` also asks for gradients: its loss is `weight · mean((ε − target)²)`, and it gets back
dL/dK and dL/dV, the only per-user outputs of a backward pass through a frozen UNet.

Algorithms are generators that yield `Rows` and `Progress` and receive `Answers`; they know nothing of batches or devices.
`evaluating` is the loop that drives one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from s2edit_core.attention import Gates, KeysValues
from s2edit_core.errors import NumbersNotFinite
from s2edit_core.spec import Progress


@dataclass(frozen=True)
class Row:
    latent: Tensor  # (c, h, w)
    timestep: int
    prompt: KeysValues
    gates: Gates | None = None
    target: Tensor | None = None  # (c, h, w): asks for gradients
    weight: float = 1.0


@dataclass(frozen=True)
class Answer:
    eps: Tensor  # (c, h, w), detached
    loss: float | None = None
    key_gradients: tuple[Tensor, ...] = ()  # as the prompt's keys
    value_gradients: tuple[Tensor, ...] = ()

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


def stacked(rows: Sequence[Row]) -> tuple[list[Tensor], list[Tensor], list[Tensor] | None]:
    """Keys, values and gates of `rows`, per layer, each with the rows first. No gate in any row: None."""
    layers = range(len(rows[0].prompt.keys))
    keys = [torch.stack([row.prompt.keys[i].detach() for row in rows]) for i in layers]
    values = [torch.stack([row.prompt.values[i].detach() for row in rows]) for i in layers]
    example = next((row.gates for row in rows if row.gates is not None), None)
    if example is None:
        return keys, values, None
    open_gates = [torch.ones_like(gate) for gate in example]
    gates = [torch.stack([(row.gates or open_gates)[i] for row in rows]) for i in layers]
    return keys, values, gates


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
