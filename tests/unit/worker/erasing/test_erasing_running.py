"""A running job whose identity or attribute is erased ends, and publishes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from s2edit_core.request.spec import EditRequest, LearningRequest, Progress
from s2edit_jobs.library.erased_concepts import is_erased_for
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.errors import ArtifactsUnavailable
from s2edit_jobs.records.record import JobState
from s2edit_jobs.stores.artifacts import concept_key
from tests.doubles import FakeEngine
from tests.unit.worker.conftest import ANN, FILES, InProcessService
from tests.unit.worker.erasing.test_erased_concepts import erase, failure_of, learned, stored
from worker.attempts import used_concepts

PHASES = ("inverting", "editing")
NEW = EditRequest(prompt="a photo of a woman with a hat")


@dataclass
class Case:
    """An edit that runs, and what is erased meanwhile."""

    edit: str
    erased: str
    code: str
    field: str


def learn(service: InProcessService, kind: str) -> str:
    prompt = {"identity": "a photo of a woman", "attribute": "a photo of a woman with a [A] hat"}[kind]
    job_id = service.accept(LearningRequest(kind=kind, prompt=prompt))  # type: ignore[arg-type]
    service.work()
    return learned(service, job_id)


def named(service: InProcessService) -> Case:
    identity = learn(service, "identity")
    edit = service.accept(EditRequest(prompt="a photo of a [I] woman, smiling", identity=identity), {})
    return Case(edit, identity, "identity_unknown", "identity")


def named_with_its_own_photo(service: InProcessService) -> Case:
    identity = learn(service, "identity")
    return Case(
        service.accept(EditRequest(prompt="a [I] woman, smiling", identity=identity)), identity, "identity_unknown", "identity"
    )


def known_from_the_same_photo(service: InProcessService) -> Case:
    first = service.accept()
    service.work()
    service.artifacts.delete_prefix(f"{ANN.prefix}inversions/")  # otherwise nothing is inverted again
    return Case(service.accept(NEW), learned(service, first), "identity_unknown", "image")


def learned_by_the_edit_itself(service: InProcessService) -> Case:
    first = service.accept()
    service.work()
    concept = learned(service, first)
    service.artifacts.delete_prefix(concept_key(ANN, concept, ""))
    return Case(service.accept(NEW), concept, "identity_unknown", "image")


def an_attribute(service: InProcessService) -> Case:
    attribute = learn(service, "attribute")
    edit = service.accept(EditRequest(prompt="a photo of a woman with a [A] hat", attributes=(attribute,)))
    return Case(edit, attribute, "attribute_unknown", "attributes")


CASES = (named, named_with_its_own_photo, known_from_the_same_photo, learned_by_the_edit_itself, an_attribute)


def once_in(phase: str, act: Callable[[], None]) -> Callable[[Progress], None]:
    acted: list[bool] = []

    def step(progress: Progress) -> None:
        if progress.phase == phase and not acted:
            acted.append(True)
            act()

    return step


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("case", CASES)
def test_a_running_edit_publishes_nothing(service: InProcessService, case: Callable[[InProcessService], Case], phase: str) -> None:
    running = case(service)
    service.engine.on_step = once_in(phase, lambda: erase(service, running.erased))
    service.work()
    failure = failure_of(service, running.edit)
    assert (failure.code, failure.field, failure.retryable) == (running.code, running.field, False)
    record = service.get(running.edit)
    assert record.identity is None
    assert not record.artifacts
    kept = [name for name in service.published(running.edit) if name not in ("outcome.json", "events.json")]
    assert kept == []
    assert not [key for key in stored(service) if running.erased in key]
    if running.erased.startswith("c_"):
        assert stored(service) == []


@pytest.mark.parametrize("case", CASES)
def test_the_edit_ends_while_it_runs(
    service: InProcessService, monkeypatch: pytest.MonkeyPatch, case: Callable[[InProcessService], Case]
) -> None:
    running = case(service)
    monkeypatch.setattr(used_concepts, "INTERVAL_S", 0.01)
    long = FakeEngine(steps=100, step_s=0.005, on_step=once_in("editing", lambda: erase(service, running.erased)))
    service.work(long)
    assert failure_of(service, running.edit).code == running.code
    steps = [step for step in long.events if step.phase == "editing"]
    assert len(steps) < 90


def test_a_running_learning_of_what_was_erased_and_is_damaged_ends(service: InProcessService) -> None:
    attribute = learn(service, "attribute")
    service.artifacts.put(concept_key(ANN, attribute, "concept.safetensors"), b"damaged", media_type="application/octet-stream")
    again = service.accept(LearningRequest(kind="attribute", prompt="a photo of a woman with a [A] hat"))  # type: ignore[arg-type]
    service.engine.on_step = once_in("learning", lambda: erase(service, attribute))
    service.work()
    assert failure_of(service, again).code == "attribute_unknown"
    assert stored(service) == []


def test_pictures_that_are_already_stored_are_deleted(service: InProcessService, monkeypatch: pytest.MonkeyPatch) -> None:
    """The identity is erased after the last step of the model, while the result is being stored."""
    running = named(service)
    put_for, puts = Jobs.put_for, list[str]()

    def put(jobs: Jobs, *values: object, **options: object) -> None:
        put_for(jobs, *values, **options)  # type: ignore[arg-type]
        puts.append(str(values[2]))
        if "/result-" in puts[-1]:
            erase(service, running.erased)

    monkeypatch.setattr(Jobs, "put_for", put)
    service.work()
    assert any("/result-" in key for key in puts)
    assert failure_of(service, running.edit).code == "identity_unknown"
    assert not [name for name in service.published(running.edit) if name.startswith(("result", "report", "mask-"))]


def test_a_store_that_is_down_while_the_edit_runs_does_not_end_it(
    service: InProcessService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the look at the end must succeed."""
    job_id, looks = service.accept(), list[int]()
    monkeypatch.setattr(used_concepts, "INTERVAL_S", 0.001)
    look = is_erased_for

    def down(*values: object) -> bool:
        looks.append(1)
        if 2 <= len(looks) <= 4:
            raise ArtifactsUnavailable("down")
        return look(*values)  # type: ignore[arg-type]

    monkeypatch.setattr(used_concepts, "is_erased_for", down)
    service.work(FakeEngine(steps=20, step_s=0.005))
    assert len(looks) > 4
    assert service.get(job_id).state is JobState.SUCCEEDED


def test_erasing_another_identity_ends_nothing(service: InProcessService) -> None:
    running = named(service)
    other = service.accept(NEW, {**FILES, "image": FILES["mask"]})
    service.work()
    service.work()
    again = service.accept(EditRequest(prompt="a [I] woman, sad", identity=running.erased), {})
    service.engine.on_step = once_in("editing", lambda: erase(service, learned(service, other)))
    service.work()
    assert service.get(again).state is JobState.SUCCEEDED
