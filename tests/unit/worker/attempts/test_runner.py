"""One attempt at a job: what it stores and publishes, and how it fails."""

from __future__ import annotations

import json

import pytest

from s2edit_core.errors import NumbersNotFinite
from s2edit_core.request.plan import EditPlan
from s2edit_core.request.spec import EditRequest, Progress
from s2edit_jobs.library.concepts import Library
from s2edit_jobs.records.record import JobState
from tests.doubles import FakeEngine
from tests.unit.worker.attempts.faults import at, fail
from tests.unit.worker.conftest import ANN, REQUEST, InProcessService
from worker.attempts.runner import run_job
from worker.engines.engine import EditInputs, EditResult

CONCEPTS, INVERSIONS = f"{ANN.prefix}concepts/", f"{ANN.prefix}inversions/"


def plan_of(service: InProcessService, job_id: str) -> EditPlan:
    spec = service.jobs.spec(ANN, job_id)
    return service.engine.plan(spec.request, EditInputs(b"photo", b"mask"))


def edited(engine: FakeEngine, inputs: EditInputs) -> EditResult:
    """Return the engine's result without a worker."""
    steps = engine.edit(REQUEST, inputs, concept=None, inversion=None)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: EditResult = end.value
            return result


def test_a_job_is_done_and_published(service: InProcessService) -> None:
    job_id = service.accept()
    service.work()
    record = service.get(job_id)
    assert (record.state, record.attempt, record.failure) == (JobState.SUCCEEDED, 1, None)
    assert service.artifacts.get(record.artifacts["result"]) == service.engine.result(REQUEST, EditInputs(b"photo", b"mask"))
    report = json.loads(service.artifacts.get(record.artifacts["report"]))
    assert report["learning_steps"] == 3
    assert report.pop("mask") == {"source": "given"}
    assert report == edited(FakeEngine(), service.inputs).report, "and the engine's whole report"
    assert service.artifacts.media_types[record.artifacts["result"]] == "image/png"
    assert record.identity == plan_of(service, job_id).concept_id
    assert not service.queue.messages


def test_what_was_made_is_kept_under_the_plans_names(service: InProcessService) -> None:
    plan = plan_of(service, service.accept())
    service.work()
    assert service.artifacts.exists(f"{CONCEPTS}{plan.concept_id}/concept.safetensors")
    assert service.artifacts.exists(f"{INVERSIONS}{plan.inversion_id}/inversion.safetensors")


def test_what_was_made_is_kept_at_once_and_used_by_the_next_attempt(service: InProcessService) -> None:
    service.engine.on_step = at("inverting", 2, fail(RuntimeError()))
    job_id = service.accept()
    service.work()
    service.engine.on_step = None
    service.work()
    assert service.get(job_id).state is JobState.SUCCEEDED
    assert (service.engine.learned, service.engine.inverted) == (1, 1)


def test_the_second_edit_of_a_photo_learns_nothing(service: InProcessService) -> None:
    service.accept()
    service.work()
    second = service.accept(EditRequest(prompt="a photo of a woman with a hat"))
    service.work()
    report = json.loads(service.artifacts.get(service.get(second).artifacts["report"]))
    assert (report["learning_steps"], report["mask"]) == (0, {"source": "given"})
    assert (service.engine.learned, service.engine.inverted) == (1, 1)


def test_an_identity_serves_an_edit_without_an_upload(service: InProcessService) -> None:
    first = service.accept()
    service.work()
    identity = service.get(first).identity
    assert identity is not None
    assert Library(service.services).identity(ANN, identity).subject == "woman"
    assert Library(service.services).identity(ANN, identity).source_prompt == "a photo of a [I] woman"
    later = service.accept(EditRequest(prompt="a [I] woman, smiling", identity=identity), {})
    service.work()
    assert service.get(later).state is JobState.SUCCEEDED
    assert service.get(later).identity == identity
    assert service.engine.learned == 1


def test_whoever_finds_the_concept_finds_the_identity(service: InProcessService) -> None:
    keys: list[str] = []
    put = service.artifacts.put
    service.artifacts.put = lambda key, data, **kw: (keys.append(key), put(key, data, **kw))[1]  # type: ignore[method-assign]
    service.accept()
    service.work()
    names = [key.rsplit("/")[-1] for key in keys if key.startswith(CONCEPTS) and "/inversions/" not in key]
    assert names[0].startswith("learning-")
    assert names[1:-1] == ["image.png", "mask.png", "identity.json", "concept.safetensors"]
    assert names[-1].startswith("used-")


@pytest.mark.parametrize(
    ("damaged", "learned", "inverted"), [("inversion", 0, 1), ("concept", 1, 1)], ids=["the inversion", "the concept"]
)
def test_what_is_damaged_is_made_again_once(service: InProcessService, damaged: str, learned: int, inverted: int) -> None:
    plan = plan_of(service, service.accept())
    service.work()
    keys = {
        "concept": f"{CONCEPTS}{plan.concept_id}/concept.safetensors",
        "inversion": f"{INVERSIONS}{plan.inversion_id}/inversion.safetensors",
    }
    whole = service.artifacts.get(keys[damaged])
    service.artifacts.put(keys[damaged], b"rubbish", media_type="x/y")
    engine = FakeEngine()
    again = service.accept()
    service.work(engine)
    assert service.get(again).state is JobState.SUCCEEDED
    assert (engine.learned, engine.inverted) == (learned, inverted)
    assert service.artifacts.get(keys[damaged]) == whole


def test_progress_is_shown_while_it_works(service: InProcessService) -> None:
    seen: list[tuple[str | None, int]] = []

    def look(_: Progress) -> None:
        record = service.get(job_id)
        seen.append((record.phase, record.step))

    service.engine = FakeEngine(steps=40, on_step=look)
    job_id = service.accept()
    service.work()
    phases = list(dict.fromkeys(phase for phase, _ in seen))
    assert phases == [None, "learning", "inverting", "editing"]
    assert ("learning", 40) in seen, "the last step of a phase is always shown"
    assert len(set(seen)) <= 10, "quick steps are not shown one by one"


def test_a_request_that_the_model_refuses_fails_with_its_reason(service: InProcessService) -> None:
    job_id = service.accept(EditRequest(prompt="a photo of a dog"))
    service.work()
    failure = service.get(job_id).failure
    assert failure is not None
    assert (failure.code, failure.field, failure.retryable) == ("subject_unknown", "prompt", False)
    assert "no word of the prompt names the subject" in failure.message
    assert not service.queue.messages


def test_an_error_of_the_engine_fails_the_job_with_its_code(service: InProcessService) -> None:
    service.engine.on_step = at("editing", 1, fail(NumbersNotFinite("the edit left the numbers")))
    job_id = service.accept()
    service.work()
    failure = service.get(job_id).failure
    assert failure is not None
    assert (failure.code, failure.message, failure.field) == ("numbers_not_finite", "the edit left the numbers", None)


def test_an_unexpected_error_is_tried_again(service: InProcessService) -> None:
    service.engine.on_step = at("editing", 2, fail(RuntimeError("CUDA error")))
    job_id = service.accept()
    service.work()
    assert service.get(job_id).state is JobState.QUEUED
    service.engine.on_step = None
    service.work()
    record = service.get(job_id)
    assert (record.state, record.attempt) == (JobState.SUCCEEDED, 2)


def test_a_job_that_fails_every_time_is_parked_with_the_reason_and_no_secrets(service: InProcessService) -> None:
    service.engine.on_step = at("editing", 2, fail(RuntimeError("password=hunter2")))
    job_id = service.accept()
    for _ in range(3):
        service.work()
    record = service.get(job_id)
    assert record.failure is not None
    assert (record.state, record.failure.code) == (JobState.FAILED, "parked")
    assert record.failure.message == (
        "the edit was given up after 3 attempts: the last one ended with an error inside the service; try another photo, or tell "
        "the operator of the service: the workers' logs show the cause under the id of the edit"
    )
    assert not service.queue.messages


def test_a_job_that_kills_its_workers_is_parked(service: InProcessService) -> None:
    job_id = service.accept()
    service.queue.messages.clear()
    for _ in range(3):  # a dead worker reports nothing
        assert service.store.leases.claim(job_id, lease_s=15) is not None
        service.now += 16
    run_job(job_id, service.services, service.engine)
    failure = service.get(job_id).failure
    assert failure is not None
    assert failure.code == "parked"
    assert "after 3 attempts: the last one lost its worker; try another photo, or tell the operator" in failure.message
    assert service.engine.events == []


def test_an_upload_that_changed_in_the_store_is_not_used(service: InProcessService) -> None:
    job_id = service.accept()
    service.artifacts.put(f"{ANN.prefix}edits/{job_id}/image.png", b"another photo", media_type="image/png")
    service.work()
    failure = service.get(job_id).failure
    assert failure is not None
    assert (failure.code, failure.field) == ("record_damaged", None)
    assert service.engine.events == []


def test_what_a_success_took_is_measured_by_phase(service: InProcessService) -> None:
    service.engine = FakeEngine(steps=2, step_s=0.01)
    service.accept()
    service.work()
    later = service.accept()
    seconds = service.store.estimates.outlook(ANN, later).seconds
    assert set(seconds) == {"learning", "inverting", "editing", "finishing", "total"}
    assert seconds["total"] == pytest.approx(sum(seconds.values()) - seconds["total"], abs=0.01)
    assert seconds["learning"] >= 0.02
