"""The rows that wait for the UNet, and which of them the next pass takes.

Rows wait in three classes: editing before inverting before learning. Within a class, owners take turns. A *submission* is what one
algorithm asks for at once; it is split into *parts* that must share a pass: a row alone, or a source row with its readers. A pass
holds parts of one *kind*: one latent shape, and either all with gradients or all without.

A class leads a pass: its first owner's oldest part determines the pass's kind. Other classes fill the room that is left. A class
that waits is never passed over more than `patience` times before it leads. So each of the three classes with waiting rows leads at
least one of every `patience` + 2 passes. The first owner of the leading class is always served, and whoever is served goes to the
end: an owner with n others in its class is served by the (n + 1)-th pass that the class leads, or sooner.

This module has no threads; `RowScheduler` locks it.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import torch

from s2edit_core.unet.rows import Answer, Answers, Rows, by_source

Stage = Literal["editing", "inverting", "learning"]
"""The classes of waiting rows, the most urgent first."""
STAGES: tuple[Stage, ...] = get_args(Stage)
PATIENCE = 3
"""How many passes in a row other classes may lead while a class waits."""

EvaluateStage = Callable[[Rows, Stage], Answers]
"""`Evaluate` for rows of one class: `RowClient.evaluate`."""
Kind = tuple[bool, torch.Size]
"""Whether rows ask for gradients, and the shape of their latents. Rows of one kind can share a pass."""


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one submission that must share a pass."""

    kind: Kind
    indices: tuple[int, ...]


@dataclass(eq=False)
class Submission:
    """The rows that one algorithm waits for. `parts` are those that no pass has taken yet.

    `done` is set when all answers, or an `error`, are there.
    """

    rows: Rows
    owner: str
    stage: Stage
    parts: list[Part]
    submitted_at: float
    answers: dict[int, Answer] = field(default_factory=dict)
    device_s: float = 0.0  # its share of the passes that have evaluated its rows
    error: Exception | None = None
    done: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def of(cls, rows: Rows, owner: str, stage: Stage, *, now: Callable[[], float] = time.monotonic) -> Submission:
        """Return a submission of `rows`. Raises `ValueError` for a row whose source is not among them."""
        return cls(rows, owner, stage, list(_parts(rows)), now())

    @property
    def is_complete(self) -> bool:
        return len(self.answers) == len(self.rows)

    def all_answers(self) -> Answers:
        return tuple(self.answers[i] for i in range(len(self.rows)))


@dataclass(frozen=True, slots=True)
class Taken:
    """The rows of one submission that a pass takes."""

    submission: Submission
    indices: tuple[int, ...]

    def rows(self) -> Rows:
        return tuple(self.submission.rows[i] for i in self.indices)


@dataclass(eq=False)
class Computation:
    """What a job lets the device's thread compute, and the seconds that it took.

    `done` is set when the result, or an `error`, is there.
    """

    work: Callable[[], Any]
    result: Any = None
    error: BaseException | None = None
    took_s: float = 0.0
    done: threading.Event = field(default_factory=threading.Event)

    def run(self, now: Callable[[], float]) -> None:
        """Compute, unless nobody waits any more."""
        if self.done.is_set():
            return
        began = now()
        try:
            result, error = self.work(), None
        except BaseException as raised:
            result, error = None, raised
        self.took_s = now() - began
        self.end(result, error)

    def end(self, result: Any = None, error: BaseException | None = None) -> None:
        """Wake the job that waits. Do nothing if it has been woken."""
        if not self.done.is_set():
            self.result, self.error = result, error
            self.done.set()


class RowQueue:
    """Waiting submissions. Not thread-safe."""

    def __init__(self, patience: int = PATIENCE) -> None:
        self._patience = patience
        self._classes: dict[Stage, OrderedDict[str, deque[Submission]]] = {stage: OrderedDict() for stage in STAGES}
        self._passed_over: dict[Stage, int] = dict.fromkeys(STAGES, 0)

    def __bool__(self) -> bool:
        """Return whether anything waits."""
        return any(self._classes.values())

    def add(self, submission: Submission) -> None:
        """Let a submission of one row or more wait. An owner that has nothing waiting gets the last turn of the class."""
        self._classes[submission.stage].setdefault(submission.owner, deque()).append(submission)

    def remove(self, submission: Submission) -> None:
        """Remove a submission. Do nothing if it does not wait."""
        owners = self._classes[submission.stage]
        waiting = owners.get(submission.owner)
        if waiting is None or submission not in waiting:
            return
        waiting.remove(submission)
        if not waiting:
            del owners[submission.owner]

    def waiting(self) -> list[Submission]:
        """Return everything that waits."""
        return [each for owners in self._classes.values() for waiting in owners.values() for each in waiting]

    def leading(self) -> tuple[Stage, Kind] | None:
        """Return the class that leads the next pass, and the pass's kind. None if nothing waits."""
        waiting = [stage for stage in STAGES if self._classes[stage]]
        if not waiting:
            return None
        overdue = [stage for stage in waiting if self.is_overdue(stage)]
        stage = max(overdue, key=lambda each: self._passed_over[each]) if overdue else waiting[0]
        first = next(iter(self._classes[stage].values()))[0]
        return stage, first.parts[0].kind

    def is_overdue(self, stage: Stage) -> bool:
        """Return whether a class has waited so long that it goes before more urgent ones."""
        return self._passed_over[stage] >= self._patience

    def waiting_rows(self, kind: Kind) -> int:
        """Return how many rows of `kind` wait."""
        return sum(len(part.indices) for each in self.waiting() for part in each.parts if part.kind == kind)

    def take(self, max_rows: int) -> list[Taken]:
        """Take the rows of the next pass: at most `max_rows`, or one larger part alone. Return nothing if nothing waits."""
        found = self.leading()
        if found is None:
            return []
        leader, kind = found
        room, taken = max_rows, defaultdict[Submission, list[int]](list)
        for stage in (leader, *(each for each in STAGES if each != leader)):
            room = self._fill(stage, kind, room, taken)
        for stage in STAGES:
            waits = stage != leader and bool(self._classes[stage])
            self._passed_over[stage] = self._passed_over[stage] + 1 if waits else 0
        return [Taken(submission, tuple(indices)) for submission, indices in taken.items()]

    def _fill(self, stage: Stage, kind: Kind, room: int, taken: dict[Submission, list[int]]) -> int:
        """Take parts of one class, one submission per owner and turn, until nothing fits. Return the room that is left."""
        owners = self._classes[stage]
        progress = True
        while progress and room > 0:
            progress = False
            for owner in list(owners):
                submission = next((each for each in owners[owner] if any(part.kind == kind for part in each.parts)), None)
                if submission is None:
                    continue
                is_first = not taken
                indices = _take_parts(submission, kind, room, alone=is_first)
                if indices:
                    taken[submission] += indices
                    room -= len(indices)
                    progress = True
                    self._end_turn(submission, was_cut=not is_first and any(part.kind == kind for part in submission.parts))
                if room <= 0:
                    break
        return room

    def _end_turn(self, submission: Submission, *, was_cut: bool) -> None:
        """Let the owner of a submission that was taken go to the end of its class.

        It keeps its place if there was too little room, or if its oldest submission still waits because it is of another kind.
        """
        owners = self._classes[submission.stage]
        if not was_cut and submission is owners[submission.owner][0]:
            owners.move_to_end(submission.owner)
        if not submission.parts:
            self.remove(submission)


def _take_parts(submission: Submission, kind: Kind, room: int, *, alone: bool) -> list[int]:
    """Take the parts of `kind` that fit into `room` rows. With `alone`, take one part even if it is larger."""
    taken: list[int] = []
    left: list[Part] = []
    for part in submission.parts:
        fits = len(taken) + len(part.indices) <= room or (alone and not taken)
        if part.kind == kind and fits:
            taken += part.indices
        else:
            left.append(part)
    submission.parts = left
    return taken


def _parts(rows: Rows) -> Iterator[Part]:
    for source_index, indices in by_source(rows).items():
        row = rows[source_index]
        yield Part((row.target is not None, row.latent.shape), tuple(indices))
