"""Prompts and masks that a request leaves out: captions and segmenters supply them."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from PIL import ExifTags, Image

from s2edit_core.errors import ImageInvalid, OptionInvalid, PromptInvalid
from s2edit_core.pictures.files import decode_original, decode_photo, encode_png
from s2edit_core.pictures.mask_files import decode_mask
from s2edit_core.request.prompts import resolve_prompts
from s2edit_core.request.spec import EditRequest, LearningRequest, MaskRequest, Progress
from s2edit_core.vision.captions import Captioner
from s2edit_core.vision.segmenters import FoundMask
from s2edit_jobs.records.record import JobRequest
from s2edit_jobs.settings import Settings
from tests.models import tiny_readers
from tests.unit.core.engine.runs import INPUTS, LEARNING, REQUEST, SIZE, Run, mask_of, photo
from worker.engines.engine import DetectedMask, Engine
from worker.engines.provenance import Credentials, SigningEngine
from worker.engines.s2edit_engine import S2EditEngine

UNDESCRIBED = replace(REQUEST, source_prompt=None)


@pytest.fixture
def describing(engine: S2EditEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], S2EditEngine]:
    """The engine with a captioner that says one word."""

    def with_captioner(word: str) -> S2EditEngine:
        monkeypatch.setattr(engine, "captioner", Captioner(tiny_readers.git(tmp_path, says=word)))
        return engine

    return with_captioner


def test_a_photo_that_nobody_describes_is_described_by_the_captioner(describing: Callable[[str], S2EditEngine]) -> None:
    engine = describing("lady")
    run = Run(engine, UNDESCRIBED)
    source = "a photo of " + " ".join(["[I] woman"] + ["lady"] * 19)
    assert (run.edited.report["source_prompt"], run.edited.report["source_prompt_origin"]) == (source, "captioned")
    assert run.made["concept"].source_prompt == run.edited.report["concept"]["prompt"] == source
    assert run.edited.report["inversion"]["prompt"] == source
    plan = engine.plan(UNDESCRIBED, INPUTS)
    assert plan.concept_id == run.made["concept"].id == engine.plan(UNDESCRIBED, INPUTS).concept_id
    assert plan == engine.plan(replace(UNDESCRIBED, source_prompt=source), INPUTS), "as if the request had said so"


def test_a_given_source_prompt_needs_no_caption(describing: Callable[[str], S2EditEngine], cold: Run) -> None:
    engine = describing("lady")
    assert engine.plan(REQUEST, INPUTS).concept_id == cold.made["concept"].id
    assert cold.edited.report["source_prompt_origin"] == "given"


def test_a_caption_of_something_else_leaves_the_default(describing: Callable[[str], S2EditEngine]) -> None:
    report = Run(describing("cat"), UNDESCRIBED).edited.report
    assert (report["source_prompt"], report["source_prompt_origin"]) == ("a photo of a [I] woman", "default")


def test_a_caption_that_does_not_fit_into_the_model_leaves_the_default(
    describing: Callable[[str], S2EditEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = describing("woman")
    monkeypatch.setattr(engine.captioner, "caption", lambda _: "a photo of a woman" + " in an unheardof hat" * 20)
    assert engine._begin(UNDESCRIBED, INPUTS).prompts == resolve_prompts(UNDESCRIBED, ("woman",))
    long_target = replace(UNDESCRIBED, prompt="a woman " + "in a hat " * 20)
    with pytest.raises(PromptInvalid) as refused:
        engine.plan(long_target, INPUTS)
    assert (refused.value.reason, refused.value.field) == ("prompt_too_long", "prompt")


def test_the_caption_is_of_the_part_that_is_learned(
    describing: Callable[[str], S2EditEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it is the same whatever part of the photo an edit may change, and one identity serves all."""
    engine, seen = describing("woman"), []
    monkeypatch.setattr(engine.captioner, "caption", lambda picture: seen.append(picture) or "a photo of a woman")
    wide = replace(INPUTS, edit_mask=encode_png(mask_of((0, 0, 299, 127))))
    plans = [engine.plan(UNDESCRIBED, inputs) for inputs in (INPUTS, wide)]
    assert plans[0].concept_id == plans[1].concept_id
    assert plans[0].inversion_id != plans[1].inversion_id
    assert seen[0].tobytes() == seen[1].tobytes()
    assert seen[0].width < SIZE[0]


@pytest.mark.parametrize(
    ("prompt", "subject"),
    [("Two\nWomen with red hair", None), ("a maine coon, smiling", "Maine  Coon"), ("a young-woman", "woman")],
)
def test_an_edit_by_any_wording_ends_in_a_picture(prompt: str, subject: str | None, engine: S2EditEngine) -> None:
    run = Run(engine, replace(UNDESCRIBED, prompt=prompt, subject=subject))
    assert decode_photo(run.edited.picture).size == SIZE
    assert run.edited.report["source_prompt_origin"] == "default"
    assert run.edited.report["leakage"] == {"[I]": 0.0}


def found_by(engine: Engine, request: JobRequest = REQUEST, picture: bytes = INPUTS.image) -> tuple[DetectedMask, list[Progress]]:
    """What is found, and what was shown meanwhile."""
    steps, seen = engine.find_mask(request, picture), []
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as end:
            return end.value, seen


@dataclass
class Drawn:
    """A segmenter that knows where the person is, and remembers what it was asked."""

    name: str = "drawn"
    asked: list[Any] = field(default_factory=list)

    def find(self, photo: Image.Image, *, prompt: str, at: tuple[int, int] | None = None) -> FoundMask:
        self.asked.append((photo.mode, photo.size, prompt, at))
        return FoundMask(mask_of(), 0.98765, 2, self.name)


class TestFindingTheMask:
    @pytest.fixture
    def drawn(self, engine: S2EditEngine, monkeypatch: pytest.MonkeyPatch) -> Drawn:
        drawn = Drawn()
        monkeypatch.setattr(engine, "segmenter", drawn)
        return drawn

    def test_the_bytes_are_those_of_the_mask_and_always_the_same(self, engine: S2EditEngine, drawn: Drawn) -> None:
        found, seen = found_by(engine)
        assert found == DetectedMask(INPUTS.mask, "drawn", 2, 0.9877, mask_of().getbbox())
        assert [(step.phase, step.step, step.total) for step in seen] == [("preparing", 0, 1), ("preparing", 1, 1)]
        assert found_by(engine)[0] == found

    @pytest.mark.parametrize(
        ("request_", "prompt"),
        [
            (REQUEST, "a photo of a woman with black hair"),
            (EditRequest(prompt="a man, smiling"), "a photo of a man"),
            (EditRequest(prompt="a queen with a hat", subject="queen"), "a photo of a queen"),
            (replace(REQUEST, source_prompt="a photo of a [I] woman"), "a photo of a woman"),
            (LearningRequest(kind="identity", prompt="a photo of a [I] woman with a hat"), "a photo of a woman with a hat"),
            (MaskRequest(prompt="a man in a blue shirt"), "a man in a blue shirt"),
            (MaskRequest(), "a photo of a woman"),
        ],
    )
    def test_the_segmenter_is_told_what_the_photo_shows(
        self, engine: S2EditEngine, drawn: Drawn, request_: JobRequest, prompt: str
    ) -> None:
        found_by(engine, request_)
        assert drawn.asked == [("RGB", SIZE, prompt, None)]

    def test_the_photo_is_upright_and_the_pixel_is_in_it(self, engine: S2EditEngine, drawn: Drawn) -> None:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6
        buffer = io.BytesIO()
        photo().save(buffer, "PNG", exif=exif)
        found_by(engine, MaskRequest(at=(127, 299)), buffer.getvalue())
        assert drawn.asked[0][1::2] == ((128, 300), (127, 299))
        with pytest.raises(OptionInvalid) as refused:
            found_by(engine, MaskRequest(at=(128, 0)), buffer.getvalue())
        assert (refused.value.field, refused.value.reason) == ("at", "at_outside")

    def test_a_damaged_photo_reaches_no_segmenter(self, engine: S2EditEngine, drawn: Drawn) -> None:
        with pytest.raises(ImageInvalid):
            found_by(engine, picture=INPUTS.image[:-100])
        assert drawn.asked == []

    def test_the_edit_is_that_of_the_given_mask(self, engine: S2EditEngine, drawn: Drawn) -> None:
        found, _ = found_by(engine)
        assert Run(engine, inputs=replace(INPUTS, mask=found.mask_png)).edited.picture == Run(engine).edited.picture

    def test_the_models_own_eye_is_asked_where_nobody_else_is_named(self, engine: S2EditEngine) -> None:
        """Of random weights there is no saying what they see; but it is the same each time, and a wish to cancel is heard."""
        assert engine.segmenter.name == "model"

        def stop() -> None:
            raise KeyboardInterrupt

        steps = engine.find_mask(REQUEST, INPUTS.image, check=stop)
        next(steps)
        with pytest.raises(KeyboardInterrupt):
            next(steps)
        found, _ = found_by(engine)
        assert found == found_by(engine)[0]
        assert (found.segmenter, decode_mask(found.mask_png, SIZE).size) == ("model", SIZE)

    def test_whoever_signs_results_finds_masks_too(self, engine: S2EditEngine, drawn: Drawn, tmp_path: Path) -> None:
        signing = SigningEngine(engine, Credentials.from_settings(Settings(data_dir=tmp_path)))
        assert found_by(signing)[0].mask_png == INPUTS.mask

    # --- what is delivered, and how an edit is steered ----------------------------------------------------------------

    def test_the_photo_is_decoded_once_for_its_mask_and_what_follows(
        self, engine: S2EditEngine, drawn: Drawn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        decoded: list[bytes] = []

        def decode(data: bytes, *rest: Any) -> Any:
            decoded.append(data)
            return decode_original(data, *rest)

        monkeypatch.setattr("worker.engines.s2edit_engine.decode_original", decode)
        found_by(engine)
        assert engine.plan(REQUEST, INPUTS) == engine.plan(REQUEST, INPUTS)
        assert len(decoded) == 2, "for the mask with the first plan, and for the second one"
        found_by(engine, LEARNING)
        engine.plan_learning(LEARNING, INPUTS)
        assert len(decoded) == 3
        other = replace(INPUTS, image=encode_png(photo().transpose(Image.Transpose.FLIP_TOP_BOTTOM)))
        found_by(engine)
        assert engine.plan(REQUEST, other) != engine.plan(REQUEST, INPUTS)
        assert decoded[-2:] == [other.image, INPUTS.image], "another photo is not mistaken for it"
        found_by(engine, MaskRequest())
        engine.plan(REQUEST, INPUTS)
        assert len(decoded) == 8, "a search for a mask alone keeps no photo"
