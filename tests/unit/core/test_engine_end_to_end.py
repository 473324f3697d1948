"""The worker's engine over the tiny model: bytes in, bytes out, everything between for real."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from lab.world.people import sample_person
from lab.world.portraits import person_mask, render
from s2edit_core.concepts.concept import Concept
from s2edit_core.delivery import watermark
from s2edit_core.errors import ArtifactMismatch, ImageInvalid, MaskInvalid, OptionInvalid, PromptInvalid
from s2edit_core.method.editing import varied
from s2edit_core.method.inversion import Inversion
from s2edit_core.pictures.files import Original, decode_original, decode_photo, encode_png
from s2edit_core.pictures.mask_files import decode_mask
from s2edit_core.pipeline import S2EditPipeline, Variation
from s2edit_core.request import spec
from s2edit_core.request.plan import digest
from s2edit_core.request.prompts import resolve_prompts
from s2edit_core.request.spec import PRESETS, EditRequest, LearningOptions, LearningRequest, MaskRequest, Progress
from s2edit_core.unet.backbone import Backbone
from s2edit_core.vision.captions import Captioner
from s2edit_core.vision.segmenters import FoundMask
from s2edit_jobs.library.concept_files import check_identity_file
from s2edit_jobs.records.record import JobRequest
from s2edit_jobs.settings import Settings
from tests import tiny_readers
from tests.tiny import tiny_backbone
from tests.unit.core.delivery.profiles import DISPLAY_P3
from worker.engines import s2edit_engine
from worker.engines.engine import Edited, EditInputs, Engine, Found, Made
from worker.engines.provenance import Credentials, SigningEngine
from worker.engines.s2edit_engine import S2EditEngine
from worker.engines.testmode_engine import ModelessEngine

LEARNING = LearningRequest(kind="identity", prompt="a photo of a woman with black hair")
REQUEST = EditRequest(
    prompt="a photo of a woman with red hair", source_prompt="a photo of a woman with black hair", preset="instant", steps=4
)


SIZE = (300, 128)


def photo() -> Image.Image:
    """A portrait in a wider picture, so that the crop is a part of it."""
    wide = Image.new("RGB", SIZE, (90, 120, 150))
    wide.paste(render(sample_person(1)), (40, 0))
    return wide


def mask_of(box: tuple[int, int, int, int] | None = None) -> Image.Image:
    mask = Image.new("L", SIZE)
    if box is None:
        mask.paste(person_mask(sample_person(1)), (40, 0))
    else:
        mask.paste(255, box)
    return mask


INPUTS = EditInputs(image=encode_png(photo()), mask=encode_png(mask_of()))


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return tiny_backbone(dtype=torch.float32)


@pytest.fixture(scope="module")
def engine(backbone: Backbone) -> Iterator[S2EditEngine]:
    """With presets of a few steps of learning: what is shown here does not depend on how long it lasts."""
    learning = LearningOptions(token_steps=2, joint_steps=2, batch=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spec, "PRESETS", {name: replace(preset, learning=learning) for name, preset in PRESETS.items()})
        patch.setattr(S2EditPipeline, "from_pretrained", lambda _model, device: S2EditPipeline(backbone))
        yield S2EditEngine("tiny", device="cpu")


class Run:
    """One edit, driven to its end, and what it yielded. `between` is called after each step."""

    def __init__(
        self,
        engine: Engine,
        request: EditRequest = REQUEST,
        inputs: EditInputs = INPUTS,
        *,
        concept: bytes | None = None,
        inversion: bytes | None = None,
        checkpoint: bytes | None = None,
        between: Callable[[], object] = lambda: None,
    ) -> None:
        self.progress: list[Progress] = []
        self.made: dict[str, Made] = {}
        steps = engine.edit(request, inputs, concept=concept, inversion=inversion, checkpoint=checkpoint)
        while True:
            try:
                event = next(steps)
            except StopIteration as end:
                self.edited: Edited = end.value
                return
            if isinstance(event, Made):
                self.made[event.kind] = event
            else:
                self.progress.append(event)
            between()

    def saved(self) -> dict[str, Any]:
        return {kind: made.data for kind, made in self.made.items()}

    def pixels(self) -> np.ndarray[Any, np.dtype[np.uint8]]:
        return np.asarray(Image.open(io.BytesIO(self.edited.picture)))


@pytest.fixture(scope="module")
def cold(engine: S2EditEngine) -> Run:
    return Run(engine)


def test_a_cold_edit_goes_through_all_phases_in_order(cold: Run) -> None:
    assert list(dict.fromkeys(p.phase for p in cold.progress)) == ["learning", "inverting", "editing", "finishing"]
    for phase in ("learning", "inverting", "editing"):
        steps = [p.step for p in cold.progress if p.phase == phase]
        assert steps == sorted(steps)
        assert steps[-1] == next(p.total for p in cold.progress if p.phase == phase)


def test_a_cold_edit_makes_what_the_plan_names(engine: S2EditEngine, cold: Run) -> None:
    plan = engine.plan(REQUEST, INPUTS)
    assert {kind: made.id for kind, made in cold.made.items()} == {"concept": plan.concept_id, "inversion": plan.inversion_id}
    assert cold.made["concept"].source_prompt == "a photo of a [I] woman with black hair"
    assert cold.made["concept"].subject == "woman"


def test_outside_the_edit_mask_the_answer_is_the_upload(engine: S2EditEngine, cold: Run) -> None:
    upload = np.asarray(photo())
    assert cold.pixels().shape == upload.shape
    outside = np.asarray(engine._begin(REQUEST, INPUTS).canvas.edit_mask) < 128
    assert outside.sum() > 1000
    assert np.array_equal(cold.pixels()[outside], upload[outside])
    assert (cold.pixels()[~outside] != upload[~outside]).mean() > 0.5  # the tiny model draws noise: it shows inside


def test_an_edit_mask_of_ones_own_is_kept_to_the_pixel(engine: S2EditEngine) -> None:
    drawn = mask_of((90, 20, 120, 50))
    run = Run(engine, inputs=replace(INPUTS, edit_mask=encode_png(drawn)))
    outside = np.asarray(drawn) == 0
    assert np.array_equal(run.pixels()[outside], np.asarray(photo())[outside])
    assert not np.array_equal(run.pixels()[~outside], np.asarray(photo())[~outside])


def test_a_warm_edit_learns_nothing_and_gives_the_same_bytes(engine: S2EditEngine, cold: Run) -> None:
    warm = Run(engine, **cold.saved())
    assert warm.edited.picture == cold.edited.picture
    assert warm.made == {}
    assert {p.phase for p in warm.progress} == {"editing", "finishing"}
    assert (warm.edited.report["learning_steps"], cold.edited.report["learning_steps"]) == (0, 4)
    editing = 2 + 2 * 4 + 1  # where the prompts differ; a conditional and an unconditional row per step; the leakage
    assert warm.edited.report["unet_evaluations"] == editing
    assert cold.edited.report["unet_evaluations"] == 4 * 2 + 4 + 2 * 4 + editing


def test_a_second_edit_of_the_same_photo_shares_both_and_differs(engine: S2EditEngine, cold: Run) -> None:
    other = replace(REQUEST, prompt="a photo of a smiling woman with glasses")
    assert engine.plan(other, INPUTS) == engine.plan(REQUEST, INPUTS)
    assert Run(engine, other, **cold.saved()).edited.picture != cold.edited.picture


@pytest.mark.parametrize("prompt", ["a photo of a smiling woman with glasses", "a photo of a woman with black hair"])
def test_what_is_learned_does_not_depend_on_the_edit_that_asks_first(engine: S2EditEngine, cold: Run, prompt: str) -> None:
    """Its name does not, so neither may its bytes: one identity serves any later prompt."""
    asking = Run(engine, replace(REQUEST, prompt=prompt))
    assert (asking.made["concept"].id, asking.made["concept"].data) == (cold.made["concept"].id, cold.made["concept"].data)
    assert asking.made["inversion"].data == cold.made["inversion"].data


def test_a_new_inversion_can_start_from_a_kept_concept(engine: S2EditEngine, cold: Run) -> None:
    half_warm = Run(engine, concept=cold.made["concept"].data)
    assert half_warm.edited.picture == cold.edited.picture
    assert half_warm.made["inversion"].data == cold.made["inversion"].data


def test_an_edit_mask_that_moves_the_crop_asks_for_another_inversion(engine: S2EditEngine) -> None:
    """What fits into the identity's crop shares the inversion; what reaches beyond it does not; the concept stays."""
    plan = engine.plan(REQUEST, INPUTS)
    small = engine.plan(REQUEST, replace(INPUTS, edit_mask=encode_png(mask_of((90, 20, 120, 50)))))
    far = engine.plan(REQUEST, replace(INPUTS, edit_mask=encode_png(mask_of((270, 0, 300, 30)))))
    assert small == plan
    assert far.concept_id == plan.concept_id
    assert far.inversion_id != plan.inversion_id


def test_what_is_learned_does_not_depend_on_the_edit_mask(engine: S2EditEngine, cold: Run) -> None:
    far = Run(engine, inputs=replace(INPUTS, edit_mask=encode_png(mask_of((270, 0, 300, 30)))))
    assert far.made["concept"].data == cold.made["concept"].data


def test_the_report_is_json_and_says_that_nothing_outside_changed(cold: Run) -> None:
    report = json.loads(json.dumps(cold.edited.report, allow_nan=False))
    assert report["outside_edit_mask"] == {"max_level_difference": 0, "psnr_db": None}
    assert report["outside_edit_mask_raw"]["max_level_difference"] > 0
    assert report["mean_change_inside"] > 0
    assert set(report["seconds"]) == {"preparing", "learning", "inverting", "editing", "finishing", "total"}
    assert report["concept"]["steps"] == 4
    assert report["leakage"] == {"[I]": 0.0}
    assert 0 < report["changed_share_inside"] <= 1
    assert report["inputs"] == {"image": digest(INPUTS.image), "mask": digest(INPUTS.mask)}


def test_learning_goes_on_from_a_checkpoint_and_ends_in_the_same_bytes(
    engine: S2EditEngine, cold: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s2edit_engine, "CHECKPOINT_STEPS", 3)
    cut = engine.edit(REQUEST, INPUTS, concept=None, inversion=None)
    kept = next(event for event in cut if isinstance(event, Made))
    cut.close()
    assert (kept.kind, kept.id, kept.step) == ("checkpoint", engine.plan(REQUEST, INPUTS).concept_id, 3)

    resumed = Run(engine, checkpoint=kept.data)

    assert [p.step for p in resumed.progress if p.phase == "learning"] == [4]
    assert resumed.edited.report["learning_steps"] == 1
    assert resumed.made["concept"].data == cold.made["concept"].data
    assert resumed.edited.picture == cold.edited.picture
    with pytest.raises(ArtifactMismatch, match="another learning"):
        Run(engine, replace(REQUEST, seed=1), checkpoint=kept.data)
    with pytest.raises(ArtifactMismatch):
        Run(engine, checkpoint=cold.made["concept"].data)


def test_what_was_planned_is_not_decoded_again(engine: S2EditEngine, cold: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[bytes] = []

    def watching(data: bytes, max_pixels: int | None = None) -> Original:
        decoded.append(data)
        return decode_original(data, max_pixels)

    monkeypatch.setattr(s2edit_engine, "decode_original", watching)
    engine.plan(REQUEST, INPUTS)
    assert Run(engine, **cold.saved()).edited.picture == cold.edited.picture
    assert len(decoded) == 1
    Run(engine, **cold.saved())  # nothing of the edit before is kept
    assert len(decoded) == 2
    engine.plan(REQUEST, INPUTS)
    other = replace(INPUTS, edit_mask=encode_png(mask_of((90, 20, 120, 50))))
    assert Run(engine, inputs=other, **cold.saved()).edited.picture != cold.edited.picture
    assert len(decoded) == 4


def test_a_large_photo_is_edited_as_it_is_scaled_down(engine: S2EditEngine) -> None:
    """The result has the scaled size, and outside the edit mask it is the scaled photo; the mask may keep its size."""
    large = photo().resize((600, 256), Image.Resampling.LANCZOS)
    inputs = EditInputs(image=encode_png(large), mask=INPUTS.mask, edit_mask=encode_png(mask_of((60, 20, 120, 100))))
    request = replace(REQUEST, max_pixels=100_000)
    run = Run(engine, request, inputs)
    seen = decode_photo(inputs.image, 100_000)
    result = decode_photo(run.edited.picture)
    assert result.size == seen.size == (484, 206)
    assert (run.edited.report["input_size"], run.edited.report["input_scale"]) == ([600, 256], 0.8057)
    assert run.edited.report["outside_edit_mask"]["max_level_difference"] == 0
    plans = [engine.plan(replace(REQUEST, max_pixels=limit), inputs) for limit in (None, 100_000, 100_100, 200_000)]
    assert plans[0] == plans[3] != plans[1] == plans[2]
    learning = LearningRequest(kind="identity", prompt="a photo of a woman with black hair", preset="instant", max_pixels=100_000)
    assert engine.plan_learning(learning, inputs) == plans[1].concept_id
    assert engine.plan_learning(replace(learning, max_pixels=None), inputs) == plans[0].concept_id


def test_an_edit_is_masked_as_its_learning_was(engine: S2EditEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    learning = LearningOptions(token_steps=1, joint_steps=1, batch=1, masked=False)
    monkeypatch.setattr(spec, "PRESETS", {name: replace(preset, learning=learning) for name, preset in PRESETS.items()})
    gated: list[bool] = []
    evaluate = engine.pipeline.backbone.evaluate

    def watching(rows: Any) -> Any:
        gated.extend(row.gates is not None for row in rows)
        return evaluate(rows)

    monkeypatch.setattr(engine.pipeline.backbone, "evaluate", watching)
    assert 0 < Run(engine, replace(REQUEST, steps=2)).edited.report["leakage"]["[I]"] < 1
    assert gated
    assert not any(gated)


def test_the_models_guidance_and_words_are_part_of_the_names(
    engine: S2EditEngine, backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = engine.plan(REQUEST, INPUTS)
    monkeypatch.setattr(backbone, "card", replace(backbone.card, guidance_scale=4.0))
    stronger = engine.plan(REQUEST, INPUTS)
    assert (stronger.concept_id == plan.concept_id, stronger.inversion_id == plan.inversion_id) == (True, False)
    assert engine.plan(replace(REQUEST, guidance_scale=3.0), INPUTS) == plan
    monkeypatch.setattr(backbone, "card", replace(backbone.card, attribute_words=("red",)))
    assert engine.plan(REQUEST, INPUTS).concept_id != plan.concept_id


def test_each_kind_of_concept_is_named_by_the_words_that_it_is_held_apart_from(
    engine: S2EditEngine, backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An identity by the attribute words of the model's card, an attribute by its words for people."""
    who = LearningRequest(kind="identity", prompt="a photo of a woman")
    names = [engine.plan_learning(request, INPUTS) for request in (who, HAT)]
    for changed, kept in (({"attribute_words": ("red",)}, [False, True]), ({"subjects": ("woman",)}, [True, False])):
        with monkeypatch.context() as patch:
            patch.setattr(backbone, "card", replace(backbone.card, **changed))
            assert [engine.plan_learning(request, INPUTS) == name for request, name in zip((who, HAT), names, strict=True)] == kept


@pytest.mark.parametrize("stop_in", ["learning", "inverting", "editing"])
def test_closing_midway_leaves_the_model_as_it_was(engine: S2EditEngine, backbone: Backbone, cold: Run, stop_in: str) -> None:
    before = dict(backbone.unet.attn_processors)
    steps = engine.edit(REQUEST, INPUTS, concept=None, inversion=None)
    for event in steps:
        if isinstance(event, Progress) and event.phase == stop_in:
            break
    steps.close()
    assert dict(backbone.unet.attn_processors) == before
    assert not backbone.text_encoder.get_input_embeddings()._forward_hooks
    assert Run(engine, **cold.saved()).edited.picture == cold.edited.picture


def test_two_edits_taking_turns_do_not_disturb_each_other(engine: S2EditEngine, cold: Run) -> None:
    """The model holds nothing of an edit between two steps."""
    other = engine.edit(replace(REQUEST, prompt="a photo of a woman with glasses"), INPUTS, **cold.saved())
    taking_turns = Run(engine, between=lambda: next(other, None), **cold.saved())
    assert taking_turns.edited.picture == cold.edited.picture
    assert next(other, None) is None  # it came to its end as well


@pytest.mark.parametrize("kind", ["concept", "inversion"])
def test_what_another_model_made_is_refused(engine: S2EditEngine, cold: Run, kind: str) -> None:
    fingerprint = engine.pipeline.backbone.fingerprint.encode()
    foreign = cold.saved()[kind].replace(fingerprint, b"0" * len(fingerprint))
    assert foreign != cold.saved()[kind]
    with pytest.raises(ArtifactMismatch):
        Run(engine, **(cold.saved() | {kind: foreign}))


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ("a lighthouse", "subject_unknown"),
        ("a woman " + "with a hat " * 20, "prompt_too_long"),
        ("a woman with [A] makeup", "placeholder_unknown"),
    ],
)
def test_prompts_that_cannot_be_are_refused_at_once(engine: S2EditEngine, prompt: str, reason: str) -> None:
    request = EditRequest(prompt=prompt)
    with pytest.raises(PromptInvalid) as planned:
        engine.plan(request, INPUTS)
    with pytest.raises(PromptInvalid) as edited:
        next(engine.edit(request, INPUTS, concept=None, inversion=None))
    assert planned.value.reason == edited.value.reason == reason


def test_an_empty_mask_is_refused_at_once(engine: S2EditEngine) -> None:
    with pytest.raises(MaskInvalid):
        engine.plan(REQUEST, replace(INPUTS, mask=encode_png(Image.new("L", SIZE))))


@pytest.mark.parametrize("size", [(64, 64), (300, 90), (90, 300)])
def test_photos_of_any_shape_come_back_in_their_own(engine: S2EditEngine, size: tuple[int, int]) -> None:
    picture = render(sample_person(2), 256).resize(size)
    mask = Image.new("L", size)
    mask.paste(255, (size[0] // 4, size[1] // 4, 3 * size[0] // 4, 3 * size[1] // 4))
    run = Run(engine, replace(REQUEST, steps=2), EditInputs(encode_png(picture), encode_png(mask)))
    assert run.pixels().shape == (size[1], size[0], 3)
    assert run.edited.report["outside_edit_mask"]["max_level_difference"] == 0


def test_the_paper_preset_runs_with_its_null_text(engine: S2EditEngine, cold: Run) -> None:
    request = replace(REQUEST, preset="paper", steps=2)
    run = Run(engine, request, concept=cold.made["concept"].data)
    inversion = run.edited.report["inversion"]
    assert inversion["tier"] == "null_text"
    assert inversion["inner_iterations"] >= 2


def test_the_check_comes_before_every_evaluation_and_what_it_raises_ends_the_edit(engine: S2EditEngine) -> None:
    class Enough(Exception):
        pass

    counts: list[int] = []

    def check() -> None:
        counts.append(engine.pipeline.evaluations)
        if len(counts) == 3:
            raise Enough

    with pytest.raises(Enough):
        list(engine.edit(REQUEST, INPUTS, concept=None, inversion=None, check=check))
    assert counts == sorted(set(counts)), "once per evaluation"
    assert engine.pipeline.evaluations == counts[-1], "and nothing after it"
    next(engine.edit(REQUEST, INPUTS, concept=None, inversion=None))
    assert len(counts) == 3, "the next edit has its own"


def test_a_signed_result_has_the_uploads_pixels_outside_the_edit_mask(engine: S2EditEngine, cold: Run, tmp_path: Path) -> None:
    edit_mask = mask_of((60, 20, 120, 80))
    inputs = replace(INPUTS, edit_mask=encode_png(edit_mask))
    credentials = Credentials.from_settings(Settings(data_dir=tmp_path))
    signed = Run(SigningEngine(engine, credentials), inputs=inputs, concept=cold.saved()["concept"])
    plain = Run(engine, inputs=inputs, concept=cold.saved()["concept"])
    assert len(signed.edited.picture) > len(plain.edited.picture)
    assert np.array_equal(signed.pixels(), plain.pixels())
    outside = np.asarray(edit_mask) == 0
    assert np.array_equal(signed.pixels()[outside], np.asarray(photo())[outside])
    assert not np.array_equal(signed.pixels(), np.asarray(photo()))


def test_a_watermark_is_in_the_whole_picture_and_in_the_figures(engine: S2EditEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    tall = [Image.new(of().mode, (SIZE[0], 256)) for of in (photo, mask_of)]
    for canvas, part in zip(tall, (photo(), mask_of()), strict=True):
        canvas.paste(part, (0, 64))
    inputs = EditInputs(*map(encode_png, tall))
    plain = Run(engine, inputs=inputs)
    monkeypatch.setattr(engine, "watermark", True)
    marked = Run(engine, inputs=inputs, **plain.saved())
    assert np.array_equal(marked.pixels(), watermark.mark(Image.fromarray(plain.pixels())))
    assert watermark.read(Image.fromarray(marked.pixels())).found
    assert (plain.edited.watermarked, marked.edited.watermarked) == (False, True)
    assert "watermark" not in plain.edited.report
    assert marked.edited.report["watermark"] == watermark.told(tall[0].size)

    outside = np.asarray(engine._begin(REQUEST, inputs).canvas.edit_mask) < 128
    moved = np.abs(marked.pixels().astype(int) - np.asarray(tall[0]).astype(int))[outside]
    told = marked.edited.report["outside_edit_mask"]
    assert told["max_level_difference"] == moved.max() > 0
    assert told["psnr_db"] == pytest.approx(10 * np.log10(255**2 / np.square(moved).mean()), abs=0.001)
    assert plain.edited.report["outside_edit_mask"]["max_level_difference"] == 0


def test_a_picture_too_small_for_the_watermark_goes_without(
    engine: S2EditEngine, cold: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "watermark", True)
    run = Run(engine, **cold.saved())
    assert run.edited.picture == cold.edited.picture
    assert not run.edited.watermarked
    assert run.edited.report["watermark"]["scheme"] is None
    assert "too small" in run.edited.report["watermark"]["reason"]
    assert run.edited.report["outside_edit_mask"]["max_level_difference"] == 0


# --- what is learned ahead -------------------------------------------------------------------------------------

HAT = LearningRequest(kind="attribute", prompt="a woman with [A] hat", preset="instant")
WEARING = replace(REQUEST, prompt="a photo of a woman with [A] hat", attributes=("a_1",))


class Learned:
    """One learning, driven to its end."""

    def __init__(
        self, engine: Engine, request: LearningRequest, inputs: EditInputs = INPUTS, *, checkpoint: bytes | None = None
    ) -> None:
        self.progress: list[Progress] = []
        self.made: list[Made] = []
        steps = engine.learn(request, inputs, checkpoint=checkpoint)
        while True:
            try:
                event = next(steps)
            except StopIteration as end:
                self.report: dict[str, Any] = end.value
                return
            if isinstance(event, Made):
                self.made.append(event)
            else:
                self.progress.append(event)

    @property
    def concept(self) -> Made:
        return next(made for made in self.made if made.kind == "concept")


@pytest.fixture(scope="module")
def hat(engine: S2EditEngine) -> Learned:
    return Learned(engine, HAT)


def test_an_attribute_is_learned_under_its_planned_name(engine: S2EditEngine, backbone: Backbone, hat: Learned) -> None:
    assert hat.concept.id == engine.plan_learning(HAT, INPUTS)
    assert hat.concept.id.startswith("a_")
    assert (hat.concept.placeholder, hat.concept.subject) == ("[A]", "hat")
    concept = Concept.from_bytes(hat.concept.data, fingerprint=backbone.fingerprint)
    assert (concept.kind, concept.placeholder, concept.subject) == ("attribute", "[A]", "hat")
    assert {progress.phase for progress in hat.progress} == {"learning"}
    assert json.loads(json.dumps(hat.report, allow_nan=False))["learning_steps"] == 4


def test_an_identity_learned_ahead_is_the_one_that_an_edit_looks_for(engine: S2EditEngine, cold: Run) -> None:
    request = LearningRequest(kind="identity", prompt="a photo of a woman with black hair", preset="instant")
    ahead = Learned(engine, request)
    assert ahead.concept.id == engine.plan(REQUEST, INPUTS).concept_id
    assert ahead.concept.data == cold.made["concept"].data
    warm = Run(engine, concept=ahead.concept.data)
    assert {progress.phase for progress in warm.progress} == {"inverting", "editing", "finishing"}
    assert warm.pixels().shape == cold.pixels().shape


def test_a_learning_goes_on_from_a_checkpoint(engine: S2EditEngine, hat: Learned, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s2edit_engine, "CHECKPOINT_STEPS", 3)
    cut = engine.learn(HAT, INPUTS)
    kept = next(event for event in cut if isinstance(event, Made))
    cut.close()
    assert (kept.kind, kept.id, kept.step) == ("checkpoint", hat.concept.id, 3)
    resumed = Learned(engine, HAT, checkpoint=kept.data)
    assert resumed.concept.data == hat.concept.data
    assert resumed.report["learning_steps"] == 1
    with pytest.raises(ArtifactMismatch):
        Learned(engine, replace(HAT, seed=1), checkpoint=kept.data)


def test_an_attribute_is_worn_inside_the_edit_mask_alone(engine: S2EditEngine, cold: Run, hat: Learned) -> None:
    worn = Run(engine, WEARING, replace(INPUTS, attributes=(hat.concept.data,)), **cold.saved())
    plain = Run(engine, replace(WEARING, prompt="a photo of a woman with hat", attributes=()), **cold.saved())
    assert not np.array_equal(worn.pixels(), plain.pixels())
    outside = np.asarray(engine._begin(REQUEST, INPUTS).canvas.edit_mask) < 128
    assert np.array_equal(worn.pixels()[outside], np.asarray(photo())[outside])
    assert worn.edited.report["leakage"] == {"[I]": 0.0, "[A]": 0.0}
    assert worn.edited.report["attributes"]["[A]"]["subject"] == "hat"
    assert worn.edited.report["outside_edit_mask"]["max_level_difference"] == 0


def test_an_attribute_changes_neither_name(engine: S2EditEngine, hat: Learned) -> None:
    assert engine.plan(WEARING, replace(INPUTS, attributes=(hat.concept.data,))) == engine.plan(REQUEST, INPUTS)


def test_attributes_that_can_not_be_worn_are_refused(engine: S2EditEngine, backbone: Backbone, cold: Run, hat: Learned) -> None:
    with pytest.raises(PromptInvalid) as missing:
        engine.plan(REQUEST, replace(INPUTS, attributes=(hat.concept.data,)))
    assert missing.value.reason == "placeholder_missing"
    foreign = hat.concept.data.replace(backbone.fingerprint.encode(), b"0" * len(backbone.fingerprint))
    for bad in (foreign, b"damaged"):
        with pytest.raises(ArtifactMismatch):
            engine.plan(WEARING, replace(INPUTS, attributes=(bad,)))


def test_what_the_api_is_told_fits_what_is_learned(engine: S2EditEngine, backbone: Backbone, cold: Run, hat: Learned) -> None:
    """The API reads identities without torch: it must take those of this engine, and no others."""
    said = check_identity_file(cold.made["concept"].data, engine.facts)
    assert (said.source_prompt, said.subject) == ("a photo of a [I] woman with black hair", "woman")
    for bad in (hat.concept.data, cold.made["inversion"].data, cold.made["concept"].data[:-4]):
        with pytest.raises(OptionInvalid):
            check_identity_file(bad, engine.facts)
    with pytest.raises(OptionInvalid):
        check_identity_file(cold.made["concept"].data, replace(engine.facts, fingerprint="another"))
    assert engine.facts.subjects == backbone.card.subjects


@pytest.mark.parametrize("prompt", ["a lighthouse", "a woman " + "with a hat " * 20])
def test_prompts_that_nothing_is_learned_from_are_refused(engine: S2EditEngine, prompt: str) -> None:
    with pytest.raises(PromptInvalid):
        engine.plan_learning(LearningRequest(kind="identity", prompt=prompt), INPUTS)


def test_a_picture_that_nothing_is_learned_from_is_refused(engine: S2EditEngine) -> None:
    with pytest.raises(MaskInvalid):
        engine.plan_learning(HAT, replace(INPUTS, mask=encode_png(Image.new("L", SIZE))))


def test_variants_share_one_inversion_and_differ_inside_the_edit_mask_alone(engine: S2EditEngine, cold: Run) -> None:
    request = replace(REQUEST, variants=3)
    assert engine.plan(request, INPUTS) == engine.plan(REQUEST, INPUTS)
    run = Run(engine, request, **cold.saved())
    assert run.made == {}
    assert run.edited.picture == cold.edited.picture, "the first is the edit itself"
    drawn = [np.asarray(decode_photo(png)) for png in (run.edited.picture, *run.edited.variants)]
    assert all(not np.array_equal(one, other) for one, other in ((drawn[0], drawn[1]), (drawn[1], drawn[2])))
    outside = np.asarray(engine._begin(REQUEST, INPUTS).canvas.edit_mask) < 128
    assert all(np.array_equal(picture[outside], np.asarray(photo())[outside]) for picture in drawn)
    steps = [progress.step for progress in run.progress if progress.phase == "editing"]
    assert steps == list(range(1, 13))
    assert len(run.edited.report["variants"]) == 2
    assert Run(engine, request, **cold.saved()).edited.variants == run.edited.variants, "same seed, same pictures"
    assert Run(engine, replace(request, seed=9), **cold.saved()).edited.variants != run.edited.variants


def test_a_variation_keeps_the_noises_variance_and_what_may_not_change() -> None:
    noise, where = torch.randn(4, 64, 64, generator=torch.Generator().manual_seed(1)), torch.zeros(64, 64)
    where[:, 32:] = 1
    mixed = varied(noise, where, 7, 0.5)
    assert torch.equal(mixed[..., :32], noise[..., :32])
    assert abs(float(mixed[..., 32:].std()) - 1) < 0.05
    assert torch.equal(varied(noise, where, 7, 0.0), noise)


def test_a_variation_starts_from_the_noise_alone(engine: S2EditEngine, backbone: Backbone, cold: Run) -> None:
    run = engine._begin(REQUEST, INPUTS)
    concept = Concept.from_bytes(cold.made["concept"].data, fingerprint=backbone.fingerprint)
    inversion = Inversion.from_bytes(cold.made["inversion"].data, fingerprint=backbone.fingerprint)
    with pytest.raises(OptionInvalid, match="strength"):
        next(engine.pipeline.editing(run.canvas, run.prompts.target, concept, inversion, variation=Variation(1), strength=0.5))


# --- captions ----------------------------------------------------------------------------------------------------

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


def test_test_mode_reports_what_an_edit_reports(engine: S2EditEngine, cold: Run) -> None:
    """So that an app may be tested against it; and that it is test mode, and that it carries no content credentials and no mark."""
    modeless = Run(ModelessEngine(engine.facts)).edited.report
    report = cold.edited.report
    assert modeless.keys() - report.keys() == {"test", "provenance", "watermark"}
    assert modeless["provenance"] is modeless["watermark"] is None
    assert report.keys() <= modeless.keys()
    for part in ("concept", "seconds", "inputs", "model", "versions", "outside_edit_mask", "leakage", "inversion"):
        assert modeless[part].keys() == report[part].keys(), part


def found_by(engine: Engine, request: JobRequest = REQUEST, picture: bytes = INPUTS.image) -> tuple[Found, list[Progress]]:
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
        assert found == Found(INPUTS.mask, "drawn", 2, 0.9877, mask_of().getbbox())
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


# --- what is delivered, and how an edit is steered ----------------------------------------------------------------


def see_through() -> Image.Image:
    """The photo, transparent on the left, with its colours hidden there."""
    picture = photo()
    alpha = Image.new("L", SIZE, 255)
    alpha.paste(0, (0, 0, 100, SIZE[1]))
    picture.putalpha(alpha)
    return picture


def test_a_transparent_photo_in_its_own_profile_stays_so(engine: S2EditEngine, cold: Run) -> None:
    out = io.BytesIO()
    see_through().save(out, "PNG", icc_profile=DISPLAY_P3, dpi=(300, 300))
    inputs = replace(INPUTS, image=out.getvalue())
    run = Run(engine, inputs=inputs)
    outside = np.asarray(engine._begin(REQUEST, inputs).canvas.edit_mask) < 128
    assert np.array_equal(run.pixels()[outside], np.asarray(see_through())[outside])
    assert np.array_equal(run.pixels()[..., 3], np.asarray(see_through())[..., 3])
    assert run.edited.report["output"] == {
        "format": "png",
        "lossless": True,
        "quality": None,
        "alpha": "kept",
        "profile": "the photo's",
        "dpi": [300.0, 300.0],
    }
    assert "output" in cold.edited.report


@pytest.mark.parametrize("format", ["jpeg", "webp"])
def test_a_lossy_result_and_its_variants_say_what_they_cost(engine: S2EditEngine, cold: Run, format: Any) -> None:
    run = Run(engine, replace(REQUEST, output_format=format, variants=2), **cold.saved())
    assert run.edited.media_type == f"image/{format}"
    outside = np.asarray(engine._begin(REQUEST, INPUTS).canvas.edit_mask) < 128
    reports = (run.edited.report, *run.edited.report["variants"])
    for picture, told in zip((run.edited.picture, *run.edited.variants), reports, strict=True):
        with Image.open(io.BytesIO(picture)) as decoded:
            assert decoded.format == format.upper()
            moved = np.abs(np.asarray(decoded).astype(int) - np.asarray(photo()))[outside]
        assert told["outside_edit_mask"]["max_level_difference"] == moved.max() > 0, "as the file shows it"
        assert "outside_edit_mask" not in told["output"], "there is one such figure"


def test_a_format_that_cannot_hold_the_photo_is_refused_before_anything_is_learned(engine: S2EditEngine) -> None:
    size = (16_384, 32)
    mask = Image.new("L", size)
    mask.paste(255, (0, 0, 40, 32))
    inputs = EditInputs(image=encode_png(Image.new("RGB", size)), mask=encode_png(mask))
    with pytest.raises(OptionInvalid, match="at most 16383 pixels"):
        engine.plan(replace(REQUEST, output_format="webp"), inputs)


def test_a_negative_prompt_and_a_strength_change_the_edit_and_nothing_that_is_kept(engine: S2EditEngine, cold: Run) -> None:
    for wanted in ({"negative_prompt": "glasses"}, {"strength": 0.5}):
        request = replace(REQUEST, **wanted)
        assert engine.plan(request, INPUTS) == engine.plan(REQUEST, INPUTS)
        run = Run(engine, request, **cold.saved())
        assert run.edited.picture != cold.edited.picture
        assert run.made == {}
        assert {name: run.edited.report[name] for name in wanted} == wanted
        outside = np.asarray(engine._begin(request, INPUTS).canvas.edit_mask) < 128
        assert np.array_equal(run.pixels()[outside], cold.pixels()[outside])
    assert (cold.edited.report["negative_prompt"], cold.edited.report["strength"]) == (None, 1.0)


def test_a_negative_prompt_asks_for_a_change_though_the_prompt_does_not(engine: S2EditEngine, cold: Run) -> None:
    same = replace(REQUEST, prompt="a photo of a woman with black hair")
    assert np.array_equal(Run(engine, same, **cold.saved()).pixels(), np.asarray(photo()))
    assert not np.array_equal(Run(engine, replace(same, negative_prompt="glasses"), **cold.saved()).pixels(), np.asarray(photo()))


def test_a_negative_prompt_that_is_too_long_is_refused_by_name(engine: S2EditEngine) -> None:
    with pytest.raises(PromptInvalid) as refused:
        engine.plan(replace(REQUEST, negative_prompt="a red hat " * 20), INPUTS)
    assert refused.value.field == "negative_prompt"
