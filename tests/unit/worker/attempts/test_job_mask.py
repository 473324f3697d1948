"""Jobs without a mask: the mask is found once, stored with the job, and used like one that was sent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from s2edit_core.errors import MaskInvalid, OptionInvalid
from s2edit_core.request.spec import EditRequest, LearningRequest, MaskRequest, Progress
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.library.concepts import Library
from s2edit_jobs.records.files import Upload
from s2edit_jobs.records.record import JobRecord, JobRequest, JobState
from s2edit_jobs.stores.artifacts import concept_key
from tests.doubles import FakeEngine
from tests.unit.worker.attempts.faults import at
from tests.unit.worker.conftest import ANN, FILES, REQUEST, InProcessService
from worker.engines.painters import DigestPainter

PHOTO = {"image": FILES["image"]}
LEARNING = LearningRequest(kind="identity", prompt="a photo of a woman")


def accept(service: InProcessService, request: JobRequest = REQUEST, files: dict[str, Upload] = PHOTO, **named: Any) -> str:
    return service.jobs.accept(draft(service.services, ANN, request, files, **named), files).id


def done(service: InProcessService, request: JobRequest = REQUEST, files: dict[str, Upload] = PHOTO) -> JobRecord:
    job_id = accept(service, request, files)
    service.work()
    record = service.get(job_id)
    assert record.state is JobState.SUCCEEDED, record.failure
    return record


def report_of(service: InProcessService, record: JobRecord) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(service.artifacts.get(record.artifacts["report"]))
    return values


def found(service: InProcessService, pixel: tuple[int, int] | None = None) -> bytes:
    return service.engine.mask(PHOTO["image"].data, pixel)


class TestEdits:
    def test_the_mask_is_found_while_preparing_and_is_part_of_the_result(self, service: InProcessService) -> None:
        record = done(service)
        assert service.engine.events[0].phase == "preparing"
        assert service.artifacts.get(record.artifacts["mask"]) == found(service)
        mask_report = report_of(service, record)["mask"]
        assert mask_report.pop("seconds") >= 0
        assert mask_report == {"source": "found", "segmenter": "fake", "people": 1, "confidence": 0.9, "box": [0, 0, 1, 1]}

    def test_a_given_one_is_part_of_the_result_too(self, service: InProcessService) -> None:
        record = done(service, files=FILES)
        assert service.artifacts.get(record.artifacts["mask"]) == FILES["mask"].data
        assert report_of(service, record)["mask"] == {"source": "given"}
        assert service.engine.found == 0

    def test_the_second_edit_of_the_photo_learns_nobody_anew(self, service: InProcessService) -> None:
        first = done(service)
        second = done(service, EditRequest(prompt="a photo of a woman with a hat"))
        assert first.identity == second.identity
        assert (service.engine.found, service.engine.learned, service.engine.inverted) == (2, 1, 1)

    def test_nor_does_one_that_sends_the_mask_which_was_found(self, service: InProcessService) -> None:
        first = done(service)
        files = {**PHOTO, "mask": Upload(found(service), "image/png")}
        assert done(service, files=files).identity == first.identity
        assert service.engine.learned == 1

    def test_somebody_else_in_the_photo_is_learned(self, service: InProcessService) -> None:
        one, other = done(service), done(service, EditRequest(prompt=REQUEST.prompt, at=(30, 40)))
        assert service.artifacts.get(other.artifacts["mask"]) == found(service, (30, 40))
        assert one.identity != other.identity

    def test_the_identity_keeps_the_mask(self, service: InProcessService) -> None:
        first = done(service)
        assert first.identity is not None
        kept = Library(service.services).identity(ANN, first.identity).inputs["mask"]
        assert kept.key == concept_key(ANN, first.identity, "mask.png")
        assert service.artifacts.get(kept.key) == found(service)
        later = done(service, EditRequest(prompt="a photo of a woman with a hat", identity=first.identity), {})
        assert report_of(service, later)["mask"] == {"source": "identity"}
        assert (service.engine.found, service.engine.learned, service.engine.inverted) == (1, 1, 1)
        assert later.artifacts["mask"].startswith(f"{ANN.prefix}edits/{later.id}/"), "it is not erased with the identity"
        assert service.artifacts.get(later.artifacts["mask"]) == found(service)

    def test_an_identity_in_another_photo_is_found_there(self, service: InProcessService) -> None:
        first = done(service)
        photo = {"image": Upload(b"another photo", "image/png")}
        request = EditRequest(prompt="a photo of a woman with a hat", identity=first.identity)
        job_id = accept(service, request, photo)
        service.work()
        record = service.get(job_id)
        assert service.artifacts.get(f"{ANN.prefix}edits/{job_id}/mask-found.png") == service.engine.mask(b"another photo", None)
        assert record.state is JobState.SUCCEEDED


class TestAttempts:
    def test_another_attempt_goes_on_with_the_same_mask(self, service: InProcessService) -> None:
        job_id = accept(service)
        service.engine.on_step = at("learning", 2, lambda: (_ for _ in ()).throw(RuntimeError("killed")))
        service.work()
        assert service.get(job_id).state is JobState.QUEUED
        other = FakeEngine()
        other.mask = lambda photo, at: b"as another device would draw it"  # type: ignore[method-assign]
        service.work(other)
        record = service.get(job_id)
        assert (record.state, other.found) == (JobState.SUCCEEDED, 0)
        assert service.artifacts.get(record.artifacts["mask"]) == found(service)
        assert report_of(service, record)["mask"]["source"] == "found"

    def test_an_attempt_that_died_between_mask_and_note_has_found_it_all_the_same(self, service: InProcessService) -> None:
        job_id = accept(service)
        service.artifacts.put(f"{ANN.prefix}edits/{job_id}/mask-found.png", b"found before", media_type="image/png")
        service.work()
        record = service.get(job_id)
        assert record.state is JobState.SUCCEEDED
        assert service.artifacts.get(record.artifacts["mask"]) == b"found before"

    def test_two_edits_of_a_photo_learn_the_person_once(self, service: InProcessService) -> None:
        first, second = accept(service), accept(service, EditRequest(prompt="a photo of a woman with a hat"))
        waiting: list[Any] = []

        def meanwhile() -> None:
            service.work(FakeEngine())
            waiting.append(service.get(second).waits_for)

        service.engine.on_step = at("learning", 2, meanwhile)
        service.work()
        while service.queue.messages:
            service.work()
        assert waiting[0], "it waited for the first one to learn"
        assert [service.get(job_id).state for job_id in (first, second)] == [JobState.SUCCEEDED] * 2
        assert service.get(first).identity == service.get(second).identity
        assert service.engine.learned == 1

    def test_a_wish_to_cancel_is_heard_while_the_mask_is_looked_for(self, service: InProcessService) -> None:
        job_id = accept(service)
        service.engine.on_step = at("preparing", 1, lambda: service.jobs.cancel(ANN, job_id))
        service.work()
        assert service.get(job_id).state is JobState.CANCELED
        assert service.engine.closed == 1


class TestNobody:
    @pytest.mark.parametrize("request_", [REQUEST, LEARNING, MaskRequest()], ids=["edit", "identity", "mask"])
    def test_a_photo_of_nobody_fails_in_words_for_the_caller(self, service: InProcessService, request_: JobRequest) -> None:
        service.engine = FakeEngine(painter=DigestPainter(people=0))
        job_id = accept(service, request_)
        service.work()
        failure = service.get(job_id).failure
        assert failure is not None
        assert (failure.code, failure.field, failure.retryable) == ("mask_not_found", "mask", False)
        assert failure.message == "nobody was found in the photo: send a mask of the person, or point at the person with `at`"

    def test_so_does_a_place_where_nobody_is(self, service: InProcessService) -> None:
        service.engine = FakeEngine(painter=DigestPainter(people=0))
        job_id = accept(service, EditRequest(prompt=REQUEST.prompt, at=(3, 4)))
        service.work()
        failure = service.get(job_id).failure
        assert failure is not None
        assert failure.message == "nobody was found at 3,4: point at another pixel of the person, or send a mask"

    def test_other_faults_of_masks_keep_their_words(self, service: InProcessService) -> None:
        service.engine.on_step = at(
            "preparing", 1, lambda: (_ for _ in ()).throw(MaskInvalid("odd", field="mask", reason="mask_odd"))
        )
        job_id = accept(service)
        service.work()
        failure = service.get(job_id).failure
        assert failure is not None
        assert (failure.code, failure.message) == ("mask_odd", "odd")


class TestLearning:
    def test_an_edit_of_the_photo_finds_the_identity(self, service: InProcessService) -> None:
        learned = done(service, LEARNING)
        assert report_of(service, learned)["mask"]["source"] == "found"
        edit = done(service, EditRequest(prompt=REQUEST.prompt, source_prompt=LEARNING.prompt))
        assert (edit.identity, service.engine.learned) == (learned.identity, 1)


class TestMasks:
    def test_the_job_ends_in_the_mask_and_nothing_else(self, service: InProcessService) -> None:
        record = done(service, MaskRequest(at=(3, 4)))
        assert (record.kind, record.identity, set(record.artifacts)) == ("mask", None, {"mask", "report"})
        assert service.artifacts.get(record.artifacts["mask"]) == found(service, (3, 4))
        report = report_of(service, record)
        assert set(report["mask"]) == {"source", "segmenter", "people", "confidence", "box", "seconds"}
        assert set(report["inputs"]) == {"image", "mask"}
        assert set(report["seconds"]) == {"preparing", "total"}
        assert not list(service.artifacts.list(f"{ANN.prefix}concepts/"))

    def test_what_it_took_is_booked_and_measured_apart(self, service: InProcessService) -> None:
        service.engine = FakeEngine(step_s=0.01)
        done(service, MaskRequest())
        spent = service.store.usage.spent(ANN.tenant)
        assert (spent.learnings, spent.worker_s > 0.02) == (0, True)
        assert set(service.store.estimates.prospect(ANN, "mask").seconds) == {"preparing", "total"}
        assert not service.store.estimates.prospect(ANN, "balanced").seconds


class TestRequests:
    @pytest.mark.parametrize("pixel", [(-1, 2), (1, -2), (1.5, 2), (True, 1), (2**31, 1), (1,), (1, 2, 3), "1,2"])
    def test_a_pixel_is_two_whole_numbers(self, pixel: Any) -> None:
        with pytest.raises(OptionInvalid) as refused:
            MaskRequest(at=pixel)
        assert (refused.value.field, refused.value.reason) == ("at", "at_invalid")

    @pytest.mark.parametrize("kind", [EditRequest, MaskRequest])
    def test_it_comes_back_from_json(self, kind: type[EditRequest | MaskRequest]) -> None:
        request = kind(prompt="a woman", at=(3, 4))
        assert kind.from_dict(json.loads(json.dumps(request.to_dict()))) == request

    def test_progress_of_the_search_is_shown(self, service: InProcessService) -> None:
        seen: list[Any] = []
        job_id = accept(service)

        def look(step: Progress) -> None:
            seen.append(service.get(job_id).phase)

        service.engine.on_step = look
        service.work()
        assert "preparing" in seen
