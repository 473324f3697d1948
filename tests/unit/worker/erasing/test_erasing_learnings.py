"""An edit that is erased while it learns a person or attribute leaves no copy of its photo, and takes nothing from others."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from s2edit_core.request.spec import EditRequest, LearningRequest, Progress
from s2edit_jobs.library.concepts import CONCEPT, METADATA, Library
from s2edit_jobs.library.erasure import Erasure
from s2edit_jobs.library.retention import Retention
from s2edit_jobs.lifecycle.learnings import LEARNING
from s2edit_jobs.lifecycle.survey import rebuild
from s2edit_jobs.records.errors import StoreUnavailable
from s2edit_jobs.records.record import JobRequest, JobState
from s2edit_jobs.stores.artifacts import concept_key
from tests.doubles import FakeEngine
from tests.unit.worker.attempts.erasures import Meeting
from tests.unit.worker.conftest import ANN, FILES, REQUEST, InProcessService

OTHER = EditRequest(prompt="a photo of a woman with a hat")
HAT = LearningRequest(kind="attribute", prompt="a woman with [A] hat")
LEARN: dict[str, tuple[JobRequest, tuple[str, ...]]] = {
    "identity": (REQUEST, ("image.png", "mask.png", METADATA["c_"], CONCEPT)),
    "attribute": (HAT, (METADATA["a_"], CONCEPT)),
}
"""A request that learns, and what it stores of it, the concept last."""
CHECKPOINTS = 3
WRITES = [
    (kind, number, after)
    for kind, (_, names) in LEARN.items()
    for number, after in itertools.product(range(CHECKPOINTS + 1 + len(names)), (False, True))
]
"""Each write of a learning, up to that of the concept, and whether something happens before or after it."""


class Killed(BaseException):
    """The process has died."""


def learning(service: InProcessService, request: JobRequest, **named: Any) -> str:
    service.engine = FakeEngine(checkpoint_every=1)
    return service.accept(request, **named)  # type: ignore[arg-type]


def concepts(service: InProcessService) -> set[str]:
    return {key.rpartition("/")[2] for key in service.artifacts.objects if "/concepts/" in key and "/inversions/" not in key}


def nothing_left(service: InProcessService) -> bool:
    return [key for key in service.artifacts.objects if "/concepts/" in key or key.startswith("expiring/")] == []


def erase(service: InProcessService, job_id: str) -> None:
    Erasure(service.services).edit(ANN, job_id)


def sweep(service: InProcessService) -> dict[str, int]:
    return dict(Retention(service.services).sweep())


def killed_at(service: InProcessService, number: int, *, after: bool) -> None:
    """Let the worker die at one of its writes."""

    def die() -> None:
        raise Killed

    put = service.artifacts.put
    meeting = Meeting(service, number, die, after=after)
    with pytest.raises(Killed):
        service.work()
    assert meeting.met
    service.artifacts.put = put  # type: ignore[method-assign]


@pytest.mark.parametrize("redis_is_emptied", [False, True])
@pytest.mark.parametrize(("kind", "number", "after"), WRITES)
def test_erased_at_any_write_it_leaves_nothing(
    service: InProcessService, kind: str, number: int, after: bool, redis_is_emptied: bool
) -> None:
    job_id = learning(service, LEARN[kind][0], identity_ttl_s=60.0)

    def act() -> None:
        if redis_is_emptied:
            service.database.empty()
        erase(service, job_id)

    meeting = Meeting(service, number, act, after=after)
    service.work()
    assert meeting.met
    left = {name for name in concepts(service) if not name.startswith("checkpoint-")} if redis_is_emptied else concepts(service)
    assert left == set(), meeting.keys
    assert not any(key.startswith("expiring/") for key in service.artifacts.objects)


@pytest.mark.parametrize("kind", LEARN)
def test_erased_once_the_concept_is_stored_it_leaves_all_of_it(service: InProcessService, kind: str) -> None:
    request, names = LEARN[kind]
    job_id = learning(service, request)
    Meeting(service, CHECKPOINTS + 1 + len(names), lambda: erase(service, job_id), after=False)
    service.work()
    assert {name for name in concepts(service) if not name.startswith("used-")} == {*names}


@pytest.mark.parametrize("redis_is_emptied", [False, True])
@pytest.mark.parametrize(("kind", "number", "after"), WRITES)
def test_erased_after_its_worker_died_at_any_write_it_leaves_nothing_that_is_not_learned(
    service: InProcessService, kind: str, number: int, after: bool, redis_is_emptied: bool
) -> None:
    request, names = LEARN[kind]
    job_id = learning(service, request, identity_ttl_s=60.0)
    killed_at(service, number, after=after)
    if redis_is_emptied:
        service.database.empty()
        rebuild(service.services)
    erase(service, job_id)
    if redis_is_emptied:
        sweep(service)
    if CONCEPT in concepts(service):
        assert (number, after) == (CHECKPOINTS + len(names), True)
        sweep(service)
        assert {name for name in concepts(service) if not name.startswith("used-")} == {*names}
    elif redis_is_emptied and number <= CHECKPOINTS and (number, after) != (CHECKPOINTS, True):
        assert all(name.startswith(("checkpoint-", "used-")) for name in concepts(service)), "no photo, and they expire"
    else:
        assert nothing_left(service), concepts(service)


@pytest.mark.parametrize(("kind", "number", "after"), WRITES)
def test_after_its_worker_died_the_next_attempt_completes_it(
    service: InProcessService, kind: str, number: int, after: bool
) -> None:
    request, names = LEARN[kind]
    job_id = learning(service, request)
    killed_at(service, number, after=after)
    sweep(service)
    service.work()
    assert service.get(job_id).state is JobState.SUCCEEDED
    sweep(service)
    assert {name for name in concepts(service) if not name.startswith("used-")} == {*names}


def complete_identity(service: InProcessService, job_id: str) -> None:
    """Check that a job has succeeded, and that its identity has everything."""
    record = service.get(job_id)
    assert record.state is JobState.SUCCEEDED
    assert record.identity is not None
    library = Library(service.services)
    identity = library.identity(ANN, record.identity)
    assert {service.artifacts.get(file.key) for file in identity.inputs.values()} == {file.data for file in FILES.values()}
    assert library.exported(ANN, record.identity).size_bytes


@pytest.mark.parametrize(("number", "after"), [(number, after) for kind, number, after in WRITES if kind == "identity"])
def test_another_edit_of_the_same_person_learns_it_all_the_same(service: InProcessService, number: int, after: bool) -> None:
    erased = learning(service, REQUEST)
    other = service.accept(OTHER)
    Meeting(service, number, lambda: erase(service, erased), after=after)
    service.work()
    service.work()
    complete_identity(service, other)


def other_edit_runs(service: InProcessService, erased: str) -> Callable[[], None]:
    """Return what erases an edit and then runs another one of the same person to its end."""

    def act() -> None:
        erase(service, erased)
        service.handle(FakeEngine())

    return act


@pytest.mark.parametrize("number", range(CHECKPOINTS + 4))
def test_a_late_worker_takes_nothing_from_the_identity_of_another_edit(service: InProcessService, number: int) -> None:
    """Its write comes when the other edit has already learned the person. Its own concept file does not come at all."""
    erased, other = learning(service, REQUEST), service.accept(OTHER)
    meeting = Meeting(service, number, other_edit_runs(service, erased), after=False)
    service.handle()
    assert meeting.met
    complete_identity(service, other)


def test_nor_does_one_that_is_cut_off_from_redis_in_its_last_step(
    service: InProcessService, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object) -> None:
        raise StoreUnavailable("down")

    rare = service.services.settings.model_copy(update={"heartbeat_interval_s": 60.0})
    service.services = replace(service.services, settings=rare)
    erased, other = learning(service, REQUEST), service.accept(OTHER)
    act = other_edit_runs(service, erased)
    acted: list[bool] = []

    def on_step(progress: Progress) -> None:
        if progress.phase == "learning" and progress.step == progress.total and not acted:
            acted.append(True)
            act()
            monkeypatch.setattr(service.store.leases, "renew", down)
            monkeypatch.setattr(service.store.events, "progress", down)

    service.handle(FakeEngine(on_step=on_step))
    assert acted
    complete_identity(service, other)


def test_the_identity_of_another_edit_does_not_expire_with_the_erased_one(service: InProcessService) -> None:
    """The worker of the erased edit has died after it had noted when the identity expires."""
    erased = learning(service, REQUEST, identity_ttl_s=60.0)
    killed_at(service, CHECKPOINTS + 3, after=True)
    marker = next(key for key in service.artifacts.objects if key.startswith("expiring/"))
    note = service.artifacts.get(marker)
    erase(service, erased)
    service.artifacts.put(marker, note, media_type="text/plain")
    other = service.accept(OTHER)
    service.work()
    assert Erasure(service.services, clock=lambda: service.now + 120).erase_expired() == 0
    complete_identity(service, other)
    assert not service.artifacts.exists(marker)


@pytest.mark.parametrize("named", [False, True])
def test_an_identity_whose_file_was_lost_survives_the_erasure_of_an_edit_that_learns_it_again(
    service: InProcessService, named: bool
) -> None:
    first = service.accept()
    service.work()
    identity = service.get(first).identity or ""
    service.artifacts.delete_prefix(concept_key(ANN, identity, CONCEPT))
    sweep(service)
    request = EditRequest(prompt="a [I] woman, smiling", identity=identity) if named else OTHER
    again = service.accept(request, {} if named else FILES)
    acted: list[bool] = []

    def on_step(progress: Progress) -> None:
        if progress.phase == "learning" and not acted:
            acted.append(True)
            erase(service, again)

    service.engine = FakeEngine(on_step=on_step)
    service.work()
    assert acted
    later = service.accept(replace(request, prompt=f"{request.prompt}, outside"), {} if named else FILES)
    service.work(FakeEngine())
    complete_identity(service, later)


def test_no_marker_of_a_learning_stays(service: InProcessService) -> None:
    for request in (REQUEST, HAT):
        learning(service, request)
        service.work()
    assert not any(LEARNING in key for key in service.artifacts.objects)
