"""Jobs that come without a mask: it is found once, kept with the job, and stands where a given one would."""

from __future__ import annotations

import json
from typing import Any

import pytest

from s2edit_core.errors import MaskInvalid, OptionInvalid
from s2edit_core.request.spec import EditRequest, LearningRequest, MaskRequest, Progress
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.library.library import Library
from s2edit_jobs.records.files import Upload
from s2edit_jobs.records.record import JobRecord, JobRequest, JobState
from s2edit_jobs.stores.artifacts import concept_key
from tests.doubles import FakeEngine
from tests.unit.worker.attempts.test_runner import at
from tests.unit.worker.conftest import ANN, FILES, REQUEST, Shop
from worker.engines.painters import DigestPainter

PHOTO = {"image": FILES["image"]}
LEARNING = LearningRequest(kind="identity", prompt="a photo of a woman")


def accept(shop: Shop, request: JobRequest = REQUEST, files: dict[str, Upload] = PHOTO, **named: Any) -> str:
    return shop.jobs.accept(draft(shop.services, ANN, request, files, **named), files).id


def done(shop: Shop, request: JobRequest = REQUEST, files: dict[str, Upload] = PHOTO) -> JobRecord:
    job_id = accept(shop, request, files)
    shop.work()
    record = shop.get(job_id)
    assert record.state is JobState.SUCCEEDED, record.failure
    return record


def report_of(shop: Shop, record: JobRecord) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(shop.artifacts.get(record.artifacts["report"]))
    return values


def found(shop: Shop, pixel: tuple[int, int] | None = None) -> bytes:
    return shop.engine.mask(PHOTO["image"].data, pixel)


class TestEdits:
    def test_the_mask_is_found_while_preparing_and_is_part_of_the_result(self, shop: Shop) -> None:
        record = done(shop)
        assert shop.engine.events[0].phase == "preparing"
        assert shop.artifacts.get(record.artifacts["mask"]) == found(shop)
        told = report_of(shop, record)["mask"]
        assert told.pop("seconds") >= 0
        assert told == {"source": "found", "segmenter": "fake", "people": 1, "confidence": 0.9, "box": [0, 0, 1, 1]}

    def test_a_given_one_is_part_of_the_result_too(self, shop: Shop) -> None:
        record = done(shop, files=FILES)
        assert shop.artifacts.get(record.artifacts["mask"]) == FILES["mask"].data
        assert report_of(shop, record)["mask"] == {"source": "given"}
        assert shop.engine.found == 0

    def test_the_second_edit_of_the_photo_learns_nobody_anew(self, shop: Shop) -> None:
        first = done(shop)
        second = done(shop, EditRequest(prompt="a photo of a woman with a hat"))
        assert first.identity == second.identity
        assert (shop.engine.found, shop.engine.learned, shop.engine.inverted) == (2, 1, 1)

    def test_nor_does_one_that_sends_the_mask_which_was_found(self, shop: Shop) -> None:
        first = done(shop)
        files = {**PHOTO, "mask": Upload(found(shop), "image/png")}
        assert done(shop, files=files).identity == first.identity
        assert shop.engine.learned == 1

    def test_somebody_else_in_the_photo_is_learned(self, shop: Shop) -> None:
        one, other = done(shop), done(shop, EditRequest(prompt=REQUEST.prompt, at=(30, 40)))
        assert shop.artifacts.get(other.artifacts["mask"]) == found(shop, (30, 40))
        assert one.identity != other.identity

    def test_the_identity_keeps_the_mask(self, shop: Shop) -> None:
        first = done(shop)
        assert first.identity is not None
        kept = Library(shop.services).identity(ANN, first.identity).inputs["mask"]
        assert kept.key == concept_key(ANN, first.identity, "mask.png")
        assert shop.artifacts.get(kept.key) == found(shop)
        later = done(shop, EditRequest(prompt="a photo of a woman with a hat", identity=first.identity), {})
        assert report_of(shop, later)["mask"] == {"source": "identity"}
        assert (shop.engine.found, shop.engine.learned, shop.engine.inverted) == (1, 1, 1)
        assert later.artifacts["mask"].startswith(f"{ANN.prefix}edits/{later.id}/"), "it is not erased with the identity"
        assert shop.artifacts.get(later.artifacts["mask"]) == found(shop)

    def test_an_identity_in_another_photo_is_found_there(self, shop: Shop) -> None:
        first = done(shop)
        photo = {"image": Upload(b"another photo", "image/png")}
        request = EditRequest(prompt="a photo of a woman with a hat", identity=first.identity)
        job_id = accept(shop, request, photo)
        shop.work()
        record = shop.get(job_id)
        assert shop.artifacts.get(f"{ANN.prefix}edits/{job_id}/mask-found.png") == shop.engine.mask(b"another photo", None)
        assert record.state is JobState.SUCCEEDED


class TestAttempts:
    def test_another_attempt_goes_on_with_the_same_mask(self, shop: Shop) -> None:
        job_id = accept(shop)
        shop.engine.on_step = at("learning", 2, lambda: (_ for _ in ()).throw(RuntimeError("killed")))
        shop.work()
        assert shop.get(job_id).state is JobState.QUEUED
        other = FakeEngine()
        other.mask = lambda photo, at: b"as another device would draw it"  # type: ignore[method-assign]
        shop.work(other)
        record = shop.get(job_id)
        assert (record.state, other.found) == (JobState.SUCCEEDED, 0)
        assert shop.artifacts.get(record.artifacts["mask"]) == found(shop)
        assert report_of(shop, record)["mask"]["source"] == "found"

    def test_an_attempt_that_died_between_mask_and_note_has_found_it_all_the_same(self, shop: Shop) -> None:
        job_id = accept(shop)
        shop.artifacts.put(f"{ANN.prefix}edits/{job_id}/mask-found.png", b"found before", media_type="image/png")
        shop.work()
        record = shop.get(job_id)
        assert record.state is JobState.SUCCEEDED
        assert shop.artifacts.get(record.artifacts["mask"]) == b"found before"

    def test_two_edits_of_a_photo_learn_the_person_once(self, shop: Shop) -> None:
        first, second = accept(shop), accept(shop, EditRequest(prompt="a photo of a woman with a hat"))
        waiting: list[Any] = []

        def meanwhile() -> None:
            shop.work(FakeEngine())
            waiting.append(shop.get(second).waits_for)

        shop.engine.on_step = at("learning", 2, meanwhile)
        shop.work()
        while shop.queue.rings:
            shop.work()
        assert waiting[0], "it waited for the first one to learn"
        assert [shop.get(job_id).state for job_id in (first, second)] == [JobState.SUCCEEDED] * 2
        assert shop.get(first).identity == shop.get(second).identity
        assert shop.engine.learned == 1

    def test_a_wish_to_cancel_is_heard_while_the_mask_is_looked_for(self, shop: Shop) -> None:
        job_id = accept(shop)
        shop.engine.on_step = at("preparing", 1, lambda: shop.jobs.cancel(ANN, job_id))
        shop.work()
        assert shop.get(job_id).state is JobState.CANCELED
        assert shop.engine.closed == 1


class TestNobody:
    @pytest.mark.parametrize("request_", [REQUEST, LEARNING, MaskRequest()], ids=["edit", "identity", "mask"])
    def test_a_photo_of_nobody_fails_in_words_for_the_caller(self, shop: Shop, request_: JobRequest) -> None:
        shop.engine = FakeEngine(painter=DigestPainter(people=0))
        job_id = accept(shop, request_)
        shop.work()
        failure = shop.get(job_id).failure
        assert failure is not None
        assert (failure.code, failure.field, failure.retryable) == ("mask_not_found", "mask", False)
        assert failure.message == "nobody was found in the photo: send a mask of the person, or point at the person with `at`"

    def test_so_does_a_place_where_nobody_is(self, shop: Shop) -> None:
        shop.engine = FakeEngine(painter=DigestPainter(people=0))
        job_id = accept(shop, EditRequest(prompt=REQUEST.prompt, at=(3, 4)))
        shop.work()
        failure = shop.get(job_id).failure
        assert failure is not None
        assert failure.message == "nobody was found at 3,4: point at another pixel of the person, or send a mask"

    def test_other_faults_of_masks_keep_their_words(self, shop: Shop) -> None:
        shop.engine.on_step = at("preparing", 1, lambda: (_ for _ in ()).throw(MaskInvalid("odd", field="mask", reason="mask_odd")))
        job_id = accept(shop)
        shop.work()
        failure = shop.get(job_id).failure
        assert failure is not None
        assert (failure.code, failure.message) == ("mask_odd", "odd")


class TestLearning:
    def test_an_edit_of_the_photo_finds_the_identity(self, shop: Shop) -> None:
        learned = done(shop, LEARNING)
        assert report_of(shop, learned)["mask"]["source"] == "found"
        edit = done(shop, EditRequest(prompt=REQUEST.prompt, source_prompt=LEARNING.prompt))
        assert (edit.identity, shop.engine.learned) == (learned.identity, 1)


class TestMasks:
    def test_the_job_ends_in_the_mask_and_nothing_else(self, shop: Shop) -> None:
        record = done(shop, MaskRequest(at=(3, 4)))
        assert (record.kind, record.identity, set(record.artifacts)) == ("mask", None, {"mask", "report"})
        assert shop.artifacts.get(record.artifacts["mask"]) == found(shop, (3, 4))
        report = report_of(shop, record)
        assert set(report["mask"]) == {"source", "segmenter", "people", "confidence", "box", "seconds"}
        assert set(report["inputs"]) == {"image", "mask"}
        assert set(report["seconds"]) == {"preparing", "total"}
        assert not list(shop.artifacts.list(f"{ANN.prefix}concepts/"))

    def test_what_it_took_is_booked_and_measured_apart(self, shop: Shop) -> None:
        shop.engine = FakeEngine(step_s=0.01)
        done(shop, MaskRequest())
        spent = shop.store.usage.spent(ANN.tenant)
        assert (spent.learnings, spent.worker_s > 0.02) == (0, True)
        assert set(shop.store.estimates.prospect(ANN, "mask").seconds) == {"preparing", "total"}
        assert not shop.store.estimates.prospect(ANN, "balanced").seconds


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

    def test_progress_of_the_search_is_shown(self, shop: Shop) -> None:
        seen: list[Any] = []
        job_id = accept(shop)

        def look(step: Progress) -> None:
            seen.append(shop.get(job_id).phase)

        shop.engine.on_step = look
        shop.work()
        assert "preparing" in seen
