"""Somebody's edit begins at once, whoever else keeps the process busy."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from s2edit_core.request.spec import EditRequest, Progress
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.records.files import Upload
from s2edit_jobs.records.record import JobState, Owner
from tests.doubles import FakeEngine
from tests.unit.worker.conftest import ANN, FILES, InProcessService
from tests.waiting import until
from worker.attempts.company import LOOK_S, MANY
from worker.attempts.runner import run_job
from worker.attempts.slots import AttemptSlots

BOB, EVE = Owner("app", "bob"), Owner("other", "eve")


class Process:
    """A process with so many places, whose edits wait half-way until the test ends one, or the process stops."""

    def __init__(self, service: InProcessService, places: int) -> None:
        self.service = service
        self.slots = AttemptSlots(places, service.health)
        self.accepted: list[tuple[Owner, str]] = []
        self._go_on = threading.Semaphore(0)
        self._engine = FakeEngine(on_step=self._wait)

    def _wait(self, progress: Progress) -> None:
        if (progress.phase, progress.step) == ("editing", 1):
            until(lambda: self.service.stop.is_set() or self._go_on.acquire(blocking=False))

    def accept(self, owner: Owner, jobs: int = 1) -> None:
        """Accept first edits of different photos."""
        for _ in range(jobs):
            files = {**FILES, "image": Upload(b"photo %d" % len(self.accepted), "image/png")}
            request = EditRequest(prompt="a photo of a woman with red hair")
            job = self.service.jobs.accept(draft(self.service.services, owner, request, files), files)
            self.accepted.append((owner, job.id))

    def notify(self, times: int = 1) -> None:
        """Hand over notifications, as Celery's consumer does."""
        service = self.service

        def attempt() -> None:
            run_job("e_any", service.services, self._engine, stop=service.stop, health=service.health)

        for _ in range(times):
            self.slots.run(attempt)

    def end_one(self) -> None:
        ended = self.count(JobState.SUCCEEDED)
        self._go_on.release()
        until(lambda: self.count(JobState.SUCCEEDED) == ended + 1)

    def count(self, state: JobState, owner: Owner | None = None) -> int:
        mine = [(who, job_id) for who, job_id in self.accepted if owner in (None, who)]
        return sum(self.service.jobs.get(who, job_id).state is state for who, job_id in mine)

    def running(self, owner: Owner | None = None) -> int:
        return self.count(JobState.RUNNING, owner)


@pytest.fixture
def process(service: InProcessService, request: pytest.FixtureRequest) -> Iterator[Process]:
    made = Process(service, getattr(request, "param", MANY))
    try:
        yield made
    finally:
        service.stop.set()
        made.slots.finish()


def test_a_flood_leaves_the_last_place_to_whoever_comes(process: Process) -> None:
    process.accept(ANN, MANY + 2)
    process.notify(MANY)
    until(lambda: process.running() == MANY - 1)
    time.sleep(3 * LOOK_S)
    assert process.running() == MANY - 1
    process.accept(BOB)  # and no notification has arrived: all threads are busy
    until(lambda: process.running(BOB) == 1)
    process.accept(EVE)
    process.end_one()
    process.notify()
    until(lambda: process.running(EVE) == 1)


def test_a_flood_goes_on_as_soon_as_another_place_is_free(process: Process) -> None:
    """The attempt in the last place has had its notification, so nobody notifies again."""
    process.accept(ANN, MANY + 2)
    process.notify(MANY)
    until(lambda: process.running() == MANY - 1)
    process.end_one()
    until(lambda: process.running() == MANY - 1)
    assert process.count(JobState.QUEUED) == 2


def test_users_share_all_places_but_the_last(process: Process) -> None:
    process.accept(ANN, MANY)
    process.accept(BOB, MANY)
    process.notify(MANY)
    until(lambda: process.running() == MANY - 1)
    assert process.running(ANN) in (MANY // 2 - 1, MANY // 2)


@pytest.mark.parametrize("process", [MANY - 1], indirect=True)
def test_a_process_with_few_places_keeps_none(process: Process) -> None:
    process.accept(ANN, MANY)
    process.notify(MANY - 1)
    until(lambda: process.running() == MANY - 1)


def test_who_waits_in_the_last_place_leaves_when_the_process_stops(process: Process) -> None:
    """Its notification goes back, for another process."""
    process.accept(ANN, MANY)
    process.notify(MANY)
    until(lambda: process.running() == MANY - 1)
    process.service.queue.messages.clear()
    process.service.stop.set()
    process.slots.finish()
    assert "e_any" in process.service.queue.messages
    assert process.count(JobState.QUEUED) == MANY


def test_an_empty_queue_is_no_reason_to_stay(process: Process) -> None:
    process.notify(MANY)
    process.slots.finish()
