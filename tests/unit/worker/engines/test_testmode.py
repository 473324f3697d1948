"""Jobs of test mode: the same attempt, answered without a model, by inputs and seed alone; every outcome can be asked for."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from s2edit_core.errors import ArtifactMismatch, ImageInvalid, MaskInvalid, OptionInvalid, PromptInvalid
from s2edit_core.pictures.files import grown, inside_of
from s2edit_core.pictures.mask_files import decode_mask
from s2edit_core.request.spec import EditRequest, LearningRequest, MaskRequest
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.jobs.jobs import DEADLINE
from s2edit_jobs.library.concept_files import check_identity_file
from s2edit_jobs.library.library import Library
from s2edit_jobs.records.files import Upload
from s2edit_jobs.records.record import JobRequest, JobState, Owner, Spent, twin
from s2edit_jobs.records.testmode import FAILURES
from s2edit_jobs.stores.artifacts import concept_key
from s2edit_jobs.stores.model_facts import of_test_mode
from tests.doubles import FakeEngine
from tests.unit.api import pictures
from tests.unit.worker.conftest import ANN, Shop
from tests.waiting import until
from worker.attempts.runner import PARKED, run_job, work_on
from worker.engines.engine import Edited, EditInputs, Found, Made
from worker.engines.modeless_engine import ModelessEngine, engine_of_test_mode
from worker.testmode_lane import AT_ONCE, Lane

TEST = Owner(twin(ANN.tenant), ANN.user)
PROMPT = "a photo of a woman with red hair"
INPUTS = EditInputs(pictures.photo(), pictures.mask())
FILES = {"image": Upload(INPUTS.image, "image/png"), "mask": Upload(INPUTS.mask, "image/png")}
ENGINE = engine_of_test_mode(FakeEngine.facts)


def accept(shop: Shop, words: str = "", owner: Owner = TEST, **named: Any) -> str:
    request = EditRequest(prompt=f"{PROMPT} {words}".strip())
    return shop.jobs.accept(draft(shop.services, owner, request, FILES, **named), FILES).id


def work(shop: Shop, engine: ModelessEngine = ENGINE) -> bool:
    """One attempt at the test job whose turn it is."""
    lease = shop.store.leases.claim(lease_s=15, test=True)
    if lease is not None:
        work_on(lease, shop.services, engine, stop=shop.stop)
    return lease is not None


def report_of(shop: Shop, job_id: str) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(shop.artifacts.get(shop.jobs.get(TEST, job_id).artifacts["report"]))
    return values


def edited(inputs: EditInputs = INPUTS, *, kept: bool = False, **request: Any) -> tuple[Edited, list[Any]]:
    """What the engine ends in, and what it yielded on its way."""
    wanted = EditRequest(**{"prompt": PROMPT, **request})
    made = {step.kind: step.data for step in edited(inputs, **request)[1] if isinstance(step, Made)} if kept else {}
    steps, seen = ENGINE.edit(wanted, inputs, concept=made.get("concept"), inversion=made.get("inversion")), []
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as end:
            return end.value, seen


def looked_for(request: JobRequest, photo: bytes = INPUTS.image) -> Found:
    """The mask that the engine ends in."""
    steps = ENGINE.find_mask(request, photo)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: Found = end.value
            return found


def pixels(png: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


class TestMask:
    @pytest.mark.parametrize(("at", "box"), [(None, (19, 13, 78, 116)), ((10, 20), (0, 0, 40, 72))])
    def test_it_is_an_ellipse_in_the_middle_or_where_the_request_points(self, at: Any, box: tuple[int, ...]) -> None:
        found = looked_for(MaskRequest(at=at))
        mask = decode_mask(found.mask_png, pictures.SIZE)
        assert mask.getbbox() == box
        assert (found.segmenter, found.people, found.confidence, found.box) == ("test mode", 1, 1.0, box)
        assert found == looked_for(MaskRequest(at=at))

    def test_it_refuses_what_the_model_would(self) -> None:
        with pytest.raises(ImageInvalid):
            looked_for(MaskRequest(), INPUTS.image[:-100])
        with pytest.raises(OptionInvalid, match="outside the photo"):
            looked_for(MaskRequest(at=(96, 4)))

    def test_an_edit_by_photo_alone_is_done_inside_it(self, shop: Shop) -> None:
        photo = {"image": FILES["image"]}
        job_id = shop.jobs.accept(draft(shop.services, TEST, EditRequest(prompt=PROMPT), photo), photo).id
        work(shop)
        record = shop.jobs.get(TEST, job_id)
        assert record.state is JobState.SUCCEEDED
        mask = decode_mask(shop.artifacts.get(record.artifacts["mask"]), pictures.SIZE)
        before, after = pixels(INPUTS.image), pixels(shop.artifacts.get(record.artifacts["result"]))
        changed = (before != after).any(axis=2)
        assert changed[inside_of(mask)].mean() > 0.9
        assert not changed[~inside_of(grown(mask))].any()
        assert report_of(shop, job_id)["mask"]["source"] == "found"

    @pytest.mark.parametrize(
        "request_",
        [EditRequest(prompt=f"{PROMPT} [test:failed mask_not_found]"), MaskRequest(prompt="[test:failed mask_not_found]")],
    )
    def test_nobody_is_found_if_the_prompt_says_so(self, shop: Shop, request_: JobRequest) -> None:
        photo = {"image": FILES["image"]}
        job_id = shop.jobs.accept(draft(shop.services, TEST, request_, photo), photo).id
        work(shop)
        failure = shop.jobs.get(TEST, job_id).failure
        assert failure is not None
        assert (failure.code, failure.field) == ("mask_not_found", "mask")
        assert "send a mask of the person" in failure.message

    def test_the_search_says_that_it_is_a_test_and_may_be_slow(self, shop: Shop) -> None:
        photo = {"image": FILES["image"]}
        request = MaskRequest(prompt="a photo of a woman [test:slow 0.2] [test:webhook_twice]")
        job_id = shop.jobs.accept(draft(shop.services, TEST, request, photo), photo).id
        work(shop)
        report = report_of(shop, job_id)
        assert report["test"] is True
        assert report["seconds"]["preparing"] >= 0.2
        assert shop.store.usage.spent(TEST.tenant) == Spent()

    def test_what_else_an_edit_shall_fail_by_comes_after_the_learning(self, shop: Shop) -> None:
        photo = {"image": FILES["image"]}
        request = EditRequest(prompt=f"{PROMPT} [test:failed numbers_not_finite]")
        job_id = shop.jobs.accept(draft(shop.services, TEST, request, photo), photo).id
        work(shop)
        failure = shop.jobs.get(TEST, job_id).failure
        assert failure is not None
        assert failure.code == "numbers_not_finite"
        assert Library(shop.services).identities(TEST, after=None, limit=5).items


class TestPicture:
    def test_it_is_the_photo_outside_the_edit_mask_and_a_colour_inside(self) -> None:
        before, after = pixels(INPUTS.image), pixels(edited()[0].picture)
        region = inside_of(grown(decode_mask(INPUTS.mask, pictures.SIZE)))
        assert np.array_equal(before[~region], after[~region])
        assert (before[region] != after[region]).any(axis=-1).mean() > 0.99
        report = edited()[0].report
        assert report["outside_edit_mask"] == {"max_level_difference": 0, "psnr_db": None}
        assert report["changed_share_inside"] > 0.9

    def test_it_keeps_to_an_edit_mask_that_is_given(self) -> None:
        given = EditInputs(INPUTS.image, INPUTS.mask, edit_mask=pictures.mask((48, 64)))
        outside = ~inside_of(decode_mask(pictures.mask((48, 64)), pictures.SIZE))
        assert np.array_equal(pixels(INPUTS.image)[outside], pixels(edited(given)[0].picture)[outside])

    def test_the_same_inputs_and_seed_give_the_same_bytes_and_another_of_them_other_ones(self) -> None:
        first = edited()[0]
        assert edited()[0] == first
        assert edited(kept=True)[0] == first
        others = [edited(seed=1), edited(prompt="a photo of a woman in a hat")]
        pngs = {first.picture, *(other.picture for other, _ in others)}
        assert len(pngs) == 3

    def test_variants_are_the_pictures_of_the_seeds_that_follow(self) -> None:
        three = edited(variants=3)[0]
        assert [three.picture, *three.variants] == [edited(seed=seed)[0].picture for seed in range(3)]
        assert len(three.report["variants"]) == 2

    @pytest.mark.parametrize(("format", "exact"), [("png", True), ("jpeg", False), ("webp", False)])
    def test_it_comes_as_it_is_wanted(self, format: str, exact: bool) -> None:
        made = edited(output_format=format)[0]
        assert made.media_type == f"image/{format}"
        with Image.open(io.BytesIO(made.picture)) as picture:
            assert picture.format == format.upper()
        output = made.report["output"]
        assert output["format"] == format
        assert "outside_edit_mask" not in output, "the report has one such figure"
        outside = ~inside_of(grown(decode_mask(INPUTS.mask, pictures.SIZE)))
        moved = np.abs(pixels(made.picture).astype(int) - pixels(INPUTS.image))[outside].max()
        assert made.report["outside_edit_mask"]["max_level_difference"] == moved
        assert (moved == 0) == exact
        assert np.array_equal(pixels(made.picture), pixels(edited()[0].picture)) == exact

    def test_a_negative_prompt_and_a_strength_are_told_and_change_the_colour(self) -> None:
        plain, negated, weaker = (edited(**wanted)[0] for wanted in ({}, {"negative_prompt": "hat"}, {"strength": 0.5}))
        assert len({plain.picture, negated.picture, weaker.picture}) == 3
        assert (negated.report["negative_prompt"], weaker.report["strength"]) == ("hat", 0.5)

    def test_no_content_credentials_claim_that_a_model_has_edited_it(self) -> None:
        assert b"caBX" not in edited()[0].picture
        assert edited()[0].report["provenance"] is None

    def test_what_the_real_engine_refuses_is_refused(self) -> None:
        with pytest.raises(MaskInvalid):
            edited(EditInputs(INPUTS.image, pictures.mask(fill="nothing")))
        with pytest.raises(MaskInvalid):
            edited(EditInputs(INPUTS.image, INPUTS.mask, edit_mask=pictures.mask((64, 64))))
        with pytest.raises(PromptInvalid):
            edited(prompt="a photo of a castle")

    def test_what_can_not_be_decoded_never_reaches_the_worker_itself(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("worker.engines.painters.decode_photo", lambda *_: pytest.fail("decoded in the worker"))
        broken = EditInputs(INPUTS.image[: len(INPUTS.image) // 2], INPUTS.mask)
        with pytest.raises(ImageInvalid):
            ENGINE.plan(EditRequest(prompt=PROMPT), broken)
        with pytest.raises(ImageInvalid):
            ENGINE.plan_learning(LearningRequest(kind="identity", prompt="a photo of a woman"), broken)

    def test_a_photo_is_scaled_down_where_that_is_allowed(self) -> None:
        large = EditInputs(pictures.photo((400, 300)), pictures.mask((400, 300)))
        result, _ = edited(large, max_pixels=76_800)
        assert Image.open(io.BytesIO(result.picture)).size == (320, 240)
        assert (result.report["input_size"], result.report["input_scale"]) == ([400, 300], 0.8)
        whole, _ = edited(large)
        assert (whole.report["input_size"], whole.report["input_scale"]) == ([400, 300], 1.0)
        assert result.report["concept_id"] != whole.report["concept_id"]
        request = LearningRequest(kind="identity", prompt="a photo of a woman", max_pixels=76_800)
        assert ENGINE.plan_learning(request, large) != ENGINE.plan_learning(replace(request, max_pixels=None), large)
        assert ENGINE.plan_learning(request, large) == ENGINE.plan_learning(replace(request, max_pixels=76_801), large)
        told = list(_all(ENGINE.learn(request, large)))[-1]
        assert (told["input_size"], told["input_scale"]) == ([400, 300], 0.8)

    def test_a_pixel_of_the_photo_is_found_in_the_scaled_one(self) -> None:
        large = pictures.photo((400, 300))
        (*_, found) = _all(ENGINE.find_mask(MaskRequest(at=(399, 150), max_pixels=76_800), large))
        mask = Image.open(io.BytesIO(found.mask_png))
        assert mask.size == (320, 240)
        assert mask.getpixel((319, 120)) == 255
        with pytest.raises(OptionInvalid, match="outside the photo of 400×300"):
            list(ENGINE.find_mask(MaskRequest(at=(400, 150), max_pixels=76_800), large))


def _all(steps: Generator[Any, None, Any]) -> Iterator[Any]:
    """What comes, and at last what it ends in."""
    yield (yield from steps)


class TestConcept:
    def test_it_is_a_file_like_others_of_a_model_that_no_live_service_has(self) -> None:
        (concept,) = [step.data for step in edited()[1] if isinstance(step, Made) and step.kind == "concept"]
        said = check_identity_file(concept, of_test_mode(FakeEngine.facts))
        assert (said.source_prompt, said.subject) == ("a photo of a [I] woman", "woman")
        assert of_test_mode(FakeEngine.facts).fingerprint != FakeEngine.facts.fingerprint

    def test_what_was_kept_is_not_made_again_and_another_models_is_refused(self) -> None:
        assert {step.phase for step in edited(kept=True)[1]} == {"editing", "finishing"}
        request = EditRequest(prompt=PROMPT)
        (mine,) = [step.data for step in edited()[1] if isinstance(step, Made) and step.kind == "concept"]
        for concept, inversion in ((b"concept" * 9, None), (mine.replace(b'"test\\"', b'"live\\"'), None), (mine, b"another")):
            with pytest.raises(ArtifactMismatch):
                list(ENGINE.edit(request, INPUTS, concept=concept, inversion=inversion))

    def test_an_attribute_is_worn(self, shop: Shop) -> None:
        hat = LearningRequest(kind="attribute", prompt="a woman with [A] hat")
        job_id = shop.jobs.accept(draft(shop.services, TEST, hat, FILES), FILES).id
        assert work(shop)
        attribute = shop.jobs.get(TEST, job_id).identity
        assert attribute is not None
        worn = EditRequest(prompt="a woman with [A] hat", attributes=(attribute,))
        edit_id = shop.jobs.accept(draft(shop.services, TEST, worn, FILES), FILES).id
        assert work(shop)
        report = report_of(shop, edit_id)
        assert report["attributes"]["[A]"]["subject"] == "hat"
        assert report["leakage"] == {"[I]": 0.0, "[A]": 0.0}


def test_a_job_of_test_mode_is_done_and_published_like_any_other(shop: Shop) -> None:
    job_id = accept(shop)
    assert json.loads(shop.artifacts.get(f"{TEST.prefix}edits/{job_id}/spec.json"))["test"] is True
    assert work(shop)
    record = shop.jobs.get(TEST, job_id)
    assert (record.state, record.attempt) == (JobState.SUCCEEDED, 1)
    assert shop.artifacts.get(record.artifacts["result"]) == edited()[0].picture
    assert report_of(shop, job_id)["test"] is True
    assert Library(shop.services).identity(TEST, record.identity or "").subject == "woman"
    assert shop.artifacts.exists(concept_key(TEST, record.identity or "", "concept.safetensors"))
    assert shop.store.usage.spent(TEST.tenant) == shop.store.usage.spent(ANN.tenant) == Spent()
    assert shop.store.estimates.prospect(ANN, "balanced").seconds == {}


def test_the_live_engine_is_never_asked(shop: Shop) -> None:
    job_id = accept(shop)
    run_job(shop.queue.rings.popleft(), shop.services, shop.engine)
    assert shop.engine.events == []
    assert shop.jobs.get(TEST, job_id).state is JobState.QUEUED


@pytest.mark.parametrize("code", sorted(set(FAILURES) - {PARKED, DEADLINE}))
def test_it_fails_as_it_was_asked_to(shop: Shop, code: str) -> None:
    job_id = accept(shop, f"[test:failed {code}]")
    assert work(shop)
    failure = shop.jobs.get(TEST, job_id).failure
    assert failure is not None
    assert failure.code == code


def test_it_is_parked_after_as_many_attempts_as_any_other(shop: Shop) -> None:
    job_id = accept(shop, "[test:failed parked]")
    assert [work(shop) for _ in range(4)] == [True, True, True, False]
    record = shop.jobs.get(TEST, job_id)
    assert (record.failure.code if record.failure else None, record.attempt) == (PARKED, 3)


def test_its_deadline_passes_as_it_was_asked_to(shop: Shop) -> None:
    reaped, worked = (accept(shop, "[test:failed deadline_exceeded]", deadline_s=600) for _ in range(2))
    assert work(shop)
    shop.now = time.time() + 0.01
    assert shop.jobs.end_overdue() == 1
    for job_id in (reaped, worked):
        failure = shop.jobs.get(TEST, job_id).failure
        assert failure is not None
        assert (failure.code, failure.retryable) == (DEADLINE, True)


def test_a_learning_fails_as_it_was_asked_to_and_leaves_nothing(shop: Shop) -> None:
    request = LearningRequest(kind="identity", prompt="a woman [test:failed numbers_not_finite]")
    job_id = shop.jobs.accept(draft(shop.services, TEST, request, FILES), FILES).id
    assert work(shop)
    failure = shop.jobs.get(TEST, job_id).failure
    assert failure is not None
    assert failure.code == "numbers_not_finite"
    assert list(shop.artifacts.list(f"{TEST.prefix}concepts/")) == []


def test_under_a_live_key_the_words_are_words_like_others(shop: Shop) -> None:
    job_id = accept(shop, "[test:failed parked] [test:refused] [test:sloow]", owner=ANN)
    shop.work()
    assert shop.get(job_id).state is JobState.SUCCEEDED


@pytest.fixture
def lane(shop: Shop) -> Iterator[Lane]:
    """Rung by nobody."""
    lane = Lane(shop.services, FakeEngine.facts, shop.stop, look_s=0.01)
    yield lane
    shop.stop.set()


def test_a_slow_one_shows_how_far_it_is_and_can_be_canceled(shop: Shop, lane: Lane) -> None:
    job_id = accept(shop, "[test:slow 60]")
    assert lane.take_next()
    until(lambda: shop.jobs.get(TEST, job_id).phase == "editing")
    assert shop.jobs.get(TEST, job_id).total == 600
    shop.jobs.cancel(TEST, job_id)
    until(lambda: shop.jobs.get(TEST, job_id).state is JobState.CANCELED)


def test_a_slow_one_takes_the_time_that_was_asked_for(shop: Shop) -> None:
    began, job_id = time.monotonic(), accept(shop, "[test:slow 0.3]")
    assert work(shop)
    assert 0.3 <= time.monotonic() - began < 30
    assert report_of(shop, job_id)["seconds"]["editing"] == 0.3


def test_slow_ones_hold_up_neither_each_other_nor_the_live(shop: Shop, lane: Lane) -> None:
    slow = [accept(shop, f"[test:slow 60] {i}") for i in range(AT_ONCE - 1)]
    quick, live = accept(shop), accept(shop, owner=ANN)
    lane.start()
    until(lambda: shop.jobs.get(TEST, quick).state.over)
    run_job(live, shop.services, shop.engine)
    assert shop.jobs.get(ANN, live).state is JobState.SUCCEEDED
    assert {shop.jobs.get(TEST, job_id).state for job_id in slow} == {JobState.RUNNING}


def test_a_worker_that_ends_gives_its_jobs_back_uncounted(shop: Shop, lane: Lane) -> None:
    job_id = accept(shop, "[test:slow 60]")
    assert lane.take_next()
    until(lambda: shop.jobs.get(TEST, job_id).phase == "editing")
    shop.stop.set()
    until(lambda: shop.jobs.get(TEST, job_id).state is JobState.QUEUED)
    assert shop.jobs.get(TEST, job_id).attempt == 0


def test_a_ring_wakes_it(shop: Shop) -> None:
    lane = Lane(shop.services, FakeEngine.facts, shop.stop, look_s=60)
    lane.start()
    try:
        job_id = accept(shop)
        lane.ring()
        until(lambda: shop.jobs.get(TEST, job_id).state.over)
    finally:
        shop.stop.set()
        lane.ring()


def test_what_it_can_not_claim_now_it_claims_later(shop: Shop, lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    claim, refused = shop.store.leases.claim, threading.Event()

    def down(*given: Any, **named: Any) -> Any:
        if not refused.is_set():
            refused.set()
            raise RuntimeError("no such thing was thought of")
        return claim(*given, **named)

    monkeypatch.setattr(shop.store.leases, "claim", down)
    job_id = accept(shop)
    lane.start()
    until(lambda: shop.jobs.get(TEST, job_id).state.over)
    assert refused.is_set()
