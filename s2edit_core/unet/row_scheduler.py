"""The row scheduler: one thread owns the device and fills its passes with the rows of all running jobs.

Each job runs in a thread of its own and evaluates its rows through a `RowClient`, which waits for the answers. Everything beside
the UNet (text encoder, optimiser steps) runs in the job's thread. On CUDA, so does the auto-encoder, and all threads use the
default stream: work runs in the order in which the host submits it, so an answer can be used as soon as it is received. On a CPU,
a pass uses every core, and waits for the slowest of its threads. So the auto-encoder runs in the device's thread, between passes
(`RowClient.compute`). `row_queue` decides which rows a pass takes.

Jobs join and leave between passes. A job that fails or is canceled withdraws its rows, and its companions do not notice:

- If a pass fails, the scheduler evaluates its submissions again in halves. Only those that fail alone get the exception.
- If `evaluate` answers rows whose numbers are not finite, only the submissions that hold such rows fail, without another pass.
- A sticky `DeviceFault` fails every job, now and later, because every later pass would fail too.
- A canceled job does not wait for the pass that holds its rows. Its answers are dropped.

Jobs in lockstep share passes: before a pass that is not full, the scheduler waits a little for the jobs that it has just answered
(`linger_s`, `LINGER_SHARE`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TypeVar

from s2edit_core.base_model.thread_pools import end_idle_threads
from s2edit_core.device_faults import fault_of
from s2edit_core.errors import DeviceFault, NumbersNotFinite
from s2edit_core.unet.row_queue import PATIENCE, STAGES, Computation, Kind, RowQueue, Stage, Submission, Taken
from s2edit_core.unet.rows import Answers, Evaluate, Rows, check_finite

POLL_S = 0.1
"""Seconds between two calls of `while_waiting`."""
LINGER_S = 0.5
LINGER_SHARE = 0.25
"""Longest wait for jobs that were just answered: in seconds, and as a share of the pass that goes ahead otherwise."""

Computed = TypeVar("Computed")
log = logging.getLogger(__name__)


class SchedulerClosed(Exception):
    """The scheduler, or this client, was closed while rows waited."""


@dataclass(frozen=True)
class SchedulerStats:
    """What a scheduler has done so far."""

    passes: int = 0
    rows: dict[Stage, int] = field(default_factory=dict)  # evaluated rows, by class
    waited_s: dict[Stage, float] = field(default_factory=dict)  # from submission to the begin of the pass, summed over rows
    rows_per_pass: dict[int, int] = field(default_factory=dict)  # how many passes had so many rows
    device_s: float = 0.0  # spent in passes
    lingered_s: float = 0.0
    splits: int = 0  # passes that failed and were evaluated again in halves


class RowClient:
    """One job's access to the UNet. Used by one thread; any thread may close it.

    `while_waiting` is called about every `POLL_S` seconds while rows or a computation wait, with whether the device has ended a
    pass or a computation since the last call. What it raises withdraws what waits. `companions_s` is the part of the waits that
    went into the work of others: the rows of a pass share its seconds equally.
    """

    def __init__(self, scheduler: RowScheduler, owner: str, while_waiting: Callable[[bool], None] | None = None) -> None:
        self.owner = owner
        self.closed = False
        self.companions_s = 0.0
        # What waits; guarded by the scheduler's lock, as is `closed`.
        self.submission: Submission | None = None
        self.computation: Computation | None = None
        self.while_waiting = while_waiting
        self._scheduler = scheduler

    def evaluate(self, rows: Rows, stage: Stage) -> Answers:
        """Return the UNet's answers to `rows`, as `Backbone.evaluate` does.

        Raises what the evaluation of these rows raises, `DeviceFault` if the device has failed, `SchedulerClosed` if the scheduler
        or this client is closed.
        """
        if not rows:
            return ()
        end_idle_threads()
        submission = self._scheduler.submit(self, rows, stage)
        try:
            self._wait_until(submission.done.wait)
        finally:
            self.companions_s += max(0.0, self._scheduler.now() - submission.submitted_at - submission.device_s)
        if submission.error is not None:
            raise submission.error
        return submission.all_answers()

    def compute(self, work: Callable[[], Computed]) -> Computed:
        """Return the result of `work`, which the device's thread calls between two passes, with all cores.

        Raises what `work` raises, and `SchedulerClosed` as `evaluate`.
        """
        end_idle_threads()
        began = self._scheduler.now()
        computation = self._scheduler.submit_computation(self, Computation(work))
        try:
            self._wait_until(computation.done.wait)
        finally:
            self.companions_s += max(0.0, self._scheduler.now() - began - computation.took_s)
            self.computation = None
        if computation.error is not None:
            raise computation.error
        computed: Computed = computation.result
        return computed

    def _wait_until(self, ended: Callable[[float], bool]) -> None:
        seen = self._scheduler.ended
        try:
            while not ended(POLL_S):
                if self.while_waiting is not None:
                    before, seen = seen, self._scheduler.ended
                    self.while_waiting(seen != before)
        except BaseException:
            self._scheduler.withdraw(self)
            raise

    def close(self) -> None:
        """Leave. An `evaluate` that waits raises `SchedulerClosed`. Repeating this is safe."""
        self._scheduler.withdraw(self, leave=True)

    def __enter__(self) -> RowClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class RowScheduler:
    """Fills passes of `evaluate` with at most `max_rows` rows of all clients. A context manager that runs the device's thread.

    `evaluate` may answer rows whose numbers are not finite (`Answer.finite`) instead of raising `NumbersNotFinite` for all of them.
    `linger_s` bounds the wait for jobs that were just answered; 0 switches it off. The device's thread calls `prepare` before it
    works. `now` is monotonic, in seconds.
    """

    def __init__(
        self,
        evaluate: Evaluate,
        *,
        max_rows: int,
        linger_s: float = LINGER_S,
        patience: int = PATIENCE,
        prepare: Callable[[], None] = lambda: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.passes = 0  # that have ended
        self.ended = 0  # passes and computations
        self.now = now
        self._evaluate, self._prepare = evaluate, prepare
        self._max_rows = max_rows
        self._linger_s = linger_s
        self._changed = threading.Condition()  # guards everything below
        self._queue = RowQueue(patience)
        self._computations: deque[Computation] = deque()
        self._clients: dict[Submission, RowClient] = {}  # of the submissions that are not done
        self._answered: dict[RowClient, tuple[Stage, Kind]] = {}  # in the last pass, and what they had asked for
        self._closed = False
        self._fault: DeviceFault | None = None
        self._last_pass_s = 0.0
        self._pass_s: dict[bool, float] = {}  # the same, of passes without and with gradients
        self._rows: Counter[Stage] = Counter()
        self._waited_s = dict.fromkeys(STAGES, 0.0)
        self._rows_per_pass: Counter[int] = Counter()
        self._device_s = self._lingered_s = 0.0
        self._splits = 0
        self._thread = threading.Thread(target=self._run, name="device", daemon=True)

    def start(self) -> None:
        end_idle_threads()
        self._thread.start()

    def close(self) -> None:
        """Fail what waits with `SchedulerClosed`, and wait for the end of the running pass."""
        self._end()
        if self._thread.is_alive():
            self._thread.join()

    def __enter__(self) -> RowScheduler:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def client(self, owner: str, while_waiting: Callable[[bool], None] | None = None) -> RowClient:
        """Return a new job's access to the UNet. Jobs of one `owner` share that owner's turns."""
        return RowClient(self, owner, while_waiting)

    def stats(self) -> SchedulerStats:
        with self._changed:
            return SchedulerStats(
                passes=self.passes,
                rows=dict(self._rows),
                waited_s=dict(self._waited_s),
                rows_per_pass=dict(self._rows_per_pass),
                device_s=self._device_s,
                lingered_s=self._lingered_s,
                splits=self._splits,
            )

    # --- for clients -------------------------------------------------------------------------------------------

    def submit(self, client: RowClient, rows: Rows, stage: Stage) -> Submission:
        """Let `rows` wait for a pass. Raises `SchedulerClosed`, `DeviceFault`, or `ValueError` for rows without their source."""
        submission = Submission.of(rows, client.owner, stage, now=self.now)
        with self._changed:
            self._check_open(client)
            self._answered.pop(client, None)
            self._clients[submission] = client
            client.submission = submission
            self._queue.add(submission)
            self._changed.notify()
        return submission

    def submit_computation(self, client: RowClient, computation: Computation) -> Computation:
        """Let a computation wait for the end of the running pass. Raises `SchedulerClosed` or `DeviceFault`."""
        with self._changed:
            self._check_open(client)
            self._answered.pop(client, None)
            client.computation = computation
            self._computations.append(computation)
            self._changed.notify()
        return computation

    def _check_open(self, client: RowClient) -> None:
        if self._fault is not None:
            raise _copied(self._fault)
        if self._closed or client.closed:
            raise SchedulerClosed("the scheduler was closed" if self._closed else "this client was closed")

    def withdraw(self, client: RowClient, *, leave: bool = False) -> None:
        """Drop what `client` waits for, rows even from the running pass. With `leave`, refuse further work."""
        with self._changed:
            client.closed |= leave
            self._answered.pop(client, None)
            if client.submission is not None:
                self._settle(client.submission, SchedulerClosed("this client was closed"))
            if client.computation is not None:
                client.computation.end(error=SchedulerClosed("this client was closed"))
            self._changed.notify()

    # --- the device's thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while self.tick():
                pass
        finally:
            self._end()
            with self._changed:  # an exception that ends this thread leaves the rows of its pass unanswered
                self._settle_all(list(self._clients))

    def _end(self) -> None:
        with self._changed:
            self._closed = True
            self._settle_all(self._queue.waiting())
            while self._computations:
                self._computations.popleft().end(error=SchedulerClosed("the scheduler was closed"))
            self._changed.notify_all()

    def tick(self) -> bool:
        """Wait for work, then do the computations and run one pass, of what waits.

        Return False when no further pass can run. Only the device's thread calls this.
        """
        with self._changed:
            while not self._queue and not self._computations and not self._closed:
                self._changed.wait()
        self._prepare()
        self._compute()
        with self._changed:
            if self._queue:
                self._linger()
            if self._closed:
                return False
            taken = self._queue.take(self._max_rows)
            if not taken:  # nothing waited, or it was withdrawn while this thread lingered
                return True
            began = self.now()
            for each in taken:
                self._waited_s[each.submission.stage] += len(each.indices) * (began - each.submission.submitted_at)
        results = self._evaluate_apart(taken)
        with self._changed:
            self._last_pass_s = self.now() - began
            self._pass_s[taken[0].rows()[0].target is not None] = self._last_pass_s
            self._hand_back(taken, results)
            return self._fault is None

    def _compute(self) -> None:
        """Do all computations that wait. They are few: each job needs passes between its own."""
        while True:
            with self._changed:
                if not self._computations:
                    return
                computation = self._computations.popleft()
            computation.run(self.now)
            self.ended += 1

    def _linger(self) -> None:
        """Wait for the jobs that were just answered, if the next pass has room for their rows or they should go before it."""
        began = self.now()
        found = self._queue.leading()
        instead_s = self._pass_s.get(found[1][0], self._last_pass_s) if found is not None else 0.0
        deadline = began + min(self._linger_s, LINGER_SHARE * instead_s)
        while (left := deadline - self.now()) > 0 and not self._closed and self._should_linger():
            self._changed.wait(left)
        self._answered.clear()
        self._lingered_s += self.now() - began

    def _should_linger(self) -> bool:
        found = self._queue.leading()
        if found is None or not self._answered:
            return False
        leader, kind = found
        if not self._queue.is_overdue(leader) and any(
            STAGES.index(stage) < STAGES.index(leader) for stage, _ in self._answered.values()
        ):
            return True
        return any(each == kind for _, each in self._answered.values()) and self._queue.waiting_rows(kind) < self._max_rows

    def _evaluate_apart(self, taken: Sequence[Taken]) -> list[Answers | Exception]:
        """Return the answers to each submission's rows, or the exception that these rows cause when they are evaluated alone."""
        if self._fault is not None:
            return [self._fault] * len(taken)
        try:
            answers = iter(self._evaluate(tuple(row for each in taken for row in each.rows())))
            return [_finite(tuple(next(answers) for _ in each.indices)) for each in taken]
        except Exception as error:
            fault = fault_of(error)
            if fault is not None and fault.sticky:
                self._fault = fault
                return [fault] * len(taken)
            if len(taken) == 1:
                return [error]
            log.warning("a pass for %d jobs failed and is evaluated in halves: %s", len(taken), type(error).__name__)
        # Outside the handler: until here, the error's traceback holds the tensors of what has failed.
        self._splits += 1
        half = len(taken) // 2
        return [*self._evaluate_apart(taken[:half]), *self._evaluate_apart(taken[half:])]

    def _hand_back(self, taken: Sequence[Taken], results: Sequence[Answers | Exception]) -> None:
        self.passes += 1
        self.ended += 1
        self._device_s += self._last_pass_s
        rows = sum(len(each.indices) for each in taken)
        self._rows_per_pass[rows] += 1
        for each, result in zip(taken, results, strict=True):
            submission = each.submission
            submission.device_s += self._last_pass_s * len(each.indices) / rows
            self._rows[submission.stage] += len(each.indices)
            if isinstance(result, Exception):
                self._settle(submission, result)
                continue
            submission.answers.update(zip(each.indices, result, strict=True))
            if submission.is_complete and submission in self._clients:
                row = submission.rows[each.indices[0]]
                self._answered[self._clients[submission]] = submission.stage, (row.target is not None, row.latent.shape)
                self._settle(submission)

    def _settle(self, submission: Submission, error: Exception | None = None) -> None:
        """Wake the job that waits for `submission`, and forget the rows that no pass has taken. Do nothing if it is done."""
        client = self._clients.pop(submission, None)
        if client is None:
            return
        self._queue.remove(submission)
        client.submission = None
        submission.error = _copied(error) if isinstance(error, DeviceFault) else error
        submission.done.set()

    def _settle_all(self, submissions: Sequence[Submission]) -> None:
        for submission in submissions:
            self._settle(submission, self._fault or SchedulerClosed("the scheduler was closed"))


def _finite(answers: Answers) -> Answers | NumbersNotFinite:
    try:
        check_finite(answers)
    except NumbersNotFinite as error:
        return error
    return answers


def _copied(fault: DeviceFault) -> DeviceFault:
    """Return an equal fault for another thread: an exception that several threads raise collects all their tracebacks."""
    made = type(fault)(*fault.args)
    made.__cause__ = fault.__cause__
    return made
