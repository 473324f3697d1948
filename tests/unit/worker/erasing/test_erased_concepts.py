"""An erased identity or attribute is not learned again by a job that was accepted before, and is by one that comes later."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from s2edit_core.request.spec import EditRequest, LearningRequest
from s2edit_jobs.library.concepts import CONCEPT
from s2edit_jobs.library.erased_concepts import ERASED, read_erased
from s2edit_jobs.library.erasure import Erasure
from s2edit_jobs.library.retention import Retention
from s2edit_jobs.records.record import Failure
from s2edit_jobs.stores.artifacts import concept_key
from tests.unit.worker.conftest import ANN, InProcessService

OTHER = EditRequest(prompt="a photo of a woman with a hat")
LEARN: dict[str, LearningRequest] = {
    "identity": LearningRequest(kind="identity", prompt="a photo of a woman"),
    "attribute": LearningRequest(kind="attribute", prompt="a photo of a woman with a [A] hat"),
}


def erase(service: InProcessService, concept_id: str, *, ahead_s: float = 0.0) -> None:
    """Erase it through a machine whose clock is so many seconds ahead."""
    erasure = Erasure(service.services, clock=lambda: time.time() + ahead_s)
    (erasure.attribute if concept_id.startswith("a_") else erasure.identity)(ANN, concept_id)


def stored(service: InProcessService) -> list[str]:
    """Return what there is of concepts, but for checkpoints."""
    return [key for key in service.artifacts.objects if "/concepts/" in key or "/inversions/" in key]


def failure_of(service: InProcessService, job_id: str) -> Failure:
    failure = service.get(job_id).failure
    assert failure is not None, service.get(job_id)
    return failure


def learned(service: InProcessService, job_id: str) -> str:
    found = service.get(job_id).identity
    assert found is not None
    return found


def test_a_queued_edit_of_the_same_photo_does_not_learn_the_person_again(service: InProcessService) -> None:
    first, queued = service.accept(), service.accept(OTHER)
    service.work()
    erase(service, learned(service, first))
    service.work()
    failure = failure_of(service, queued)
    assert (failure.code, failure.field, failure.retryable) == ("identity_unknown", "image", False)
    assert "send a new request" in failure.message
    assert stored(service) == []
    assert service.engine.learned == 1


def test_a_later_edit_learns_the_person_anew(service: InProcessService) -> None:
    first = service.accept()
    service.work()
    erase(service, learned(service, first))
    later = service.accept(OTHER)
    service.work()
    assert learned(service, later) == learned(service, first)
    assert service.engine.learned == 2


@pytest.mark.parametrize("ahead_s", [-3600.0, 3600.0])
@pytest.mark.parametrize("kind", LEARN)
def test_the_clock_of_the_erasing_machine_does_not_matter(service: InProcessService, kind: str, ahead_s: float) -> None:
    first, queued = (service.accept(LEARN[kind]) for _ in range(2))  # type: ignore[arg-type]
    service.work()
    erase(service, learned(service, first), ahead_s=ahead_s)
    service.work()
    assert failure_of(service, queued).code == f"{kind}_unknown"
    assert stored(service) == []
    later = service.accept(LEARN[kind])  # type: ignore[arg-type]
    service.work()
    assert learned(service, later) == learned(service, first)


@pytest.mark.parametrize(("age_s", "is_erased"), [(-60.0, True), (60.0, False)])
def test_what_an_earlier_release_has_stored_is_a_time(service: InProcessService, age_s: float, is_erased: bool) -> None:
    first, queued = service.accept(), service.accept(OTHER)
    service.work()
    key = f"{ANN.prefix}{ERASED}/{learned(service, first)}"
    service.artifacts.put(key, str(time.time() - age_s).encode(), media_type="application/json")
    service.work()
    assert (service.get(queued).failure is not None) == is_erased


@pytest.mark.parametrize("kind", LEARN)
def test_a_queued_learning_of_the_same_does_not_bring_it_back(service: InProcessService, kind: str) -> None:
    first, queued = (service.accept(LEARN[kind]) for _ in range(2))  # type: ignore[arg-type]
    service.work()
    erase(service, learned(service, first))
    service.work()
    assert failure_of(service, queued).code == f"{kind}_unknown"
    assert stored(service) == []


def test_the_next_attempt_at_the_edit_that_learned_the_person(service: InProcessService) -> None:
    """The worker dies after it has stored the identity. Before the edit is taken up again, the identity is erased."""
    job_id = service.accept()

    def die(step: object) -> None:
        if any(key.endswith(CONCEPT) for key in service.artifacts.objects):
            raise RuntimeError("the attempt ends here")

    service.engine.on_step = die
    service.work()
    (concept_id,) = {key.split("/")[5] for key in stored(service) if key.endswith(CONCEPT)}
    erase(service, concept_id)
    service.engine.on_step = lambda _: None
    service.work()
    assert failure_of(service, job_id).code == "identity_unknown"
    assert stored(service) == []


def test_an_erasure_while_a_damaged_identity_is_learned_again(service: InProcessService) -> None:
    """The edit ends and keeps nothing. An edit that came after the erasure does not fail with it, but learns the person."""
    first = service.accept()
    service.work()
    concept_id = learned(service, first)
    service.artifacts.put(concept_key(ANN, concept_id, CONCEPT), b"damaged", media_type="application/octet-stream")
    again, acted = service.accept(OTHER), list[str]()

    def erased_now(_: object) -> None:
        if not acted:
            erase(service, concept_id)
            acted.append(service.accept(EditRequest(prompt="a photo of a sad woman")))

    service.engine.on_step = erased_now
    service.work()
    assert failure_of(service, again).code == "identity_unknown"
    assert stored(service) == []
    service.work()
    assert learned(service, acted[0]) == concept_id
    assert stored(service)


def test_of_an_expired_identity_nothing_is_remembered(service: InProcessService) -> None:
    first, queued = service.accept(identity_ttl_s=60.0), service.accept(OTHER)
    service.work()
    assert Erasure(service.services, clock=lambda: time.time() + 61).erase_expired() == 1
    service.work()
    assert learned(service, queued) == learned(service, first)


def test_what_is_remembered_names_the_unfinished_jobs_and_goes_with_its_time_or_the_user(service: InProcessService) -> None:
    def remembered() -> list[str]:
        return [key for key in service.artifacts.objects if f"/{ERASED}/" in key]

    ttl_s = service.services.settings.idempotency_ttl_s
    sweeps: list[Callable[[], object]] = [
        Retention(service.services, clock=lambda: time.time() + ttl_s + 60).sweep,
        lambda: Erasure(service.services).begin(ANN),
    ]
    for sweep in sweeps:
        first = service.accept()
        service.work()
        unfinished = service.accept(OTHER)
        erase(service, learned(service, first))
        (key,) = remembered()
        assert read_erased(service.artifacts.get(key)).jobs == (unfinished,)
        service.work()
        Retention(service.services, clock=lambda: time.time() + ttl_s - 60).sweep()
        assert remembered() == [key]
        sweep()
        assert remembered() == []
