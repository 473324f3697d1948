"""The engine without a model: its masks, pictures and concepts depend on inputs and seed alone."""

from __future__ import annotations

import io
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
from s2edit_jobs.library.concept_files import check_identity_file
from s2edit_jobs.library.concepts import Library
from s2edit_jobs.records.record import DailyUsage, JobRequest, JobState
from s2edit_jobs.stores.model_facts import of_test_mode
from tests.doubles import FakeEngine
from tests.unit.api import pictures
from tests.unit.worker.conftest import InProcessService
from tests.unit.worker.engines.testmode import (
    ENGINE,
    FILES,
    INPUTS,
    PROMPT,
    TEST,
    edited,
    looked_for,
    pixels,
    report_of,
    work,
)
from worker.engines.engine import Artifact, EditInputs, PreviewedProgress


def _all(steps: Generator[Any, None, Any]) -> Iterator[Any]:
    """Yield what the generator yields, and at last its result."""
    yield (yield from steps)


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

    def test_an_edit_by_photo_alone_is_done_inside_it(self, service: InProcessService) -> None:
        photo = {"image": FILES["image"]}
        job_id = service.jobs.accept(draft(service.services, TEST, EditRequest(prompt=PROMPT), photo), photo).id
        work(service)
        record = service.jobs.get(TEST, job_id)
        assert record.state is JobState.SUCCEEDED
        mask = decode_mask(service.artifacts.get(record.artifacts["mask"]), pictures.SIZE)
        before, after = pixels(INPUTS.image), pixels(service.artifacts.get(record.artifacts["result"]))
        changed = (before != after).any(axis=2)
        assert changed[inside_of(mask)].mean() > 0.9
        assert not changed[~inside_of(grown(mask))].any()
        assert report_of(service, job_id)["mask"]["source"] == "found"

    @pytest.mark.parametrize(
        "request_",
        [EditRequest(prompt=f"{PROMPT} [test:failed mask_not_found]"), MaskRequest(prompt="[test:failed mask_not_found]")],
    )
    def test_nobody_is_found_if_the_prompt_says_so(self, service: InProcessService, request_: JobRequest) -> None:
        photo = {"image": FILES["image"]}
        job_id = service.jobs.accept(draft(service.services, TEST, request_, photo), photo).id
        work(service)
        failure = service.jobs.get(TEST, job_id).failure
        assert failure is not None
        assert (failure.code, failure.field) == ("mask_not_found", "mask")
        assert "send a mask of the person" in failure.message

    def test_the_search_says_that_it_is_a_test_and_may_be_slow(self, service: InProcessService) -> None:
        photo = {"image": FILES["image"]}
        request = MaskRequest(prompt="a photo of a woman [test:slow 0.2] [test:webhook_twice]")
        job_id = service.jobs.accept(draft(service.services, TEST, request, photo), photo).id
        work(service)
        report = report_of(service, job_id)
        assert report["test"] is True
        assert report["seconds"]["preparing"] >= 0.2
        assert service.store.usage.spent(TEST.tenant) == DailyUsage()

    def test_what_else_an_edit_shall_fail_by_comes_after_the_learning(self, service: InProcessService) -> None:
        photo = {"image": FILES["image"]}
        request = EditRequest(prompt=f"{PROMPT} [test:failed numbers_not_finite]")
        job_id = service.jobs.accept(draft(service.services, TEST, request, photo), photo).id
        work(service)
        failure = service.jobs.get(TEST, job_id).failure
        assert failure is not None
        assert failure.code == "numbers_not_finite"
        assert Library(service.services).identities(TEST, after=None, limit=5).items


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
        report = list(_all(ENGINE.learn(request, large)))[-1]
        assert (report["input_size"], report["input_scale"]) == ([400, 300], 0.8)

    def test_a_pixel_of_the_photo_is_found_in_the_scaled_one(self) -> None:
        large = pictures.photo((400, 300))
        (*_, found) = _all(ENGINE.find_mask(MaskRequest(at=(399, 150), max_pixels=76_800), large))
        mask = Image.open(io.BytesIO(found.mask_png))
        assert mask.size == (320, 240)
        assert mask.getpixel((319, 120)) == 255
        with pytest.raises(OptionInvalid, match="outside the photo of 400×300"):
            list(ENGINE.find_mask(MaskRequest(at=(400, 150), max_pixels=76_800), large))


class TestConcept:
    def test_it_is_a_file_like_others_of_a_model_that_no_live_service_has(self) -> None:
        (concept,) = [step.data for step in edited()[1] if isinstance(step, Artifact) and step.kind == "concept"]
        said = check_identity_file(concept, of_test_mode(FakeEngine.facts))
        assert (said.source_prompt, said.subject) == ("a photo of a [I] woman", "woman")
        assert of_test_mode(FakeEngine.facts).fingerprint != FakeEngine.facts.fingerprint

    def test_what_was_kept_is_not_made_again_and_another_models_is_refused(self) -> None:
        assert {step.phase for step in edited(kept=True)[1]} == {"editing", "finishing"}
        request = EditRequest(prompt=PROMPT)
        (mine,) = [step.data for step in edited()[1] if isinstance(step, Artifact) and step.kind == "concept"]
        for concept, inversion in ((b"concept" * 9, None), (mine.replace(b'"test\\"', b'"live\\"'), None), (mine, b"another")):
            with pytest.raises(ArtifactMismatch):
                list(ENGINE.edit(request, INPUTS, concept=concept, inversion=inversion))

    def test_an_attribute_is_worn(self, service: InProcessService) -> None:
        hat = LearningRequest(kind="attribute", prompt="a woman with [A] hat")
        job_id = service.jobs.accept(draft(service.services, TEST, hat, FILES), FILES).id
        assert work(service)
        attribute = service.jobs.get(TEST, job_id).identity
        assert attribute is not None
        worn = EditRequest(prompt="a woman with [A] hat", attributes=(attribute,))
        edit_id = service.jobs.accept(draft(service.services, TEST, worn, FILES), FILES).id
        assert work(service)
        report = report_of(service, edit_id)
        assert report["attributes"]["[A]"]["subject"] == "hat"
        assert report["leakage"] == {"[I]": 0.0, "[A]": 0.0}


def test_previews_fade_in_the_result_and_depend_on_the_request_alone() -> None:
    result, seen = edited()
    shown = [step.draw() for step in seen if isinstance(step, PreviewedProgress)]
    assert shown == [step.draw() for step in edited()[1] if isinstance(step, PreviewedProgress)]
    photo, last = pixels(INPUTS.image).astype(float), pixels(result.picture).astype(float)
    changes = [np.abs(pixels(picture) - photo).mean() for picture in shown]
    assert len(changes) == ENGINE.steps
    assert changes == sorted(changes)
    assert np.abs(pixels(shown[-1]) - last).mean() < 0.2 * np.abs(last - photo).mean()
    assert len({*shown, *(step.draw() for step in edited(prompt="an old woman")[1] if isinstance(step, PreviewedProgress))}) > len(
        shown
    )
