"""The worker's engine over the tiny model, from bytes to bytes: phases, reuse of concepts and inversions, refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lab.world.person import DOMAIN
from s2edit_core.errors import ArtifactMismatch, DeviceFault, MaskInvalid, PromptInvalid
from s2edit_core.pictures.files import Original, decode_original, decode_photo, encode_png
from s2edit_core.request import presets
from s2edit_core.request.options import LearningOptions
from s2edit_core.request.plan import digest
from s2edit_core.request.presets import PRESETS, PresetName
from s2edit_core.request.spec import EditRequest, LearningRequest, Progress
from s2edit_core.unet.backbone import Backbone
from tests.tiny import changed_card
from tests.unit.core.engine.runs import HAT, INPUTS, REQUEST, SIZE, Run, mask_of, photo
from worker.engines import s2edit_engine
from worker.engines.engine import Artifact, EditInputs
from worker.engines.loaded_model import prove_device
from worker.engines.s2edit_engine import S2EditEngine


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


@pytest.mark.parametrize("preset", ["paper", "balanced"])
def test_the_edit_that_made_an_inversion_used_what_it_stored(engine: S2EditEngine, preset: PresetName) -> None:
    request = replace(REQUEST, preset=preset)
    made = Run(engine, request)
    assert Run(engine, request, **made.saved()).edited.picture == made.edited.picture


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


def test_with_a_white_edit_mask_all_of_the_photo_may_change(engine: S2EditEngine) -> None:
    run = Run(engine, inputs=replace(INPUTS, edit_mask=encode_png(Image.new("L", SIZE, 255))))
    assert run.edited.report["outside_edit_mask"] == {"max_level_difference": 0, "psnr_db": None}
    differs = (run.pixels() != np.asarray(photo())).any(axis=2)
    assert differs[:, :40].any(), "left of the person's own crop"
    assert differs[:, 260:].any(), "right of it"


def test_an_edit_of_a_scene_may_change_all_of_it_and_the_identity_is_learned_from_its_own_crop(
    engine: S2EditEngine, backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Snow around a church does not end at a margin. An edit mask may still say so."""
    other = engine._begin(REQUEST, INPUTS)
    scenes = tuple(replace(domain, scene=True) for domain in backbone.card.domains)
    monkeypatch.setattr(backbone, "card", replace(backbone.card, domains=scenes))
    run = engine._begin(REQUEST, INPUTS)
    assert run.plan.concept_id == other.plan.concept_id
    assert run.plan.inversion_id != other.plan.inversion_id
    assert run.canvas.edit_mask.getextrema() == (255, 255)
    assert run.canvas.box == (0, 0, *SIZE)
    assert run.identity_canvas.box == other.canvas.box
    given = replace(INPUTS, edit_mask=encode_png(mask_of((90, 20, 120, 50))))
    assert engine._begin(REQUEST, given).canvas.edit_mask.getbbox() == (90, 20, 120, 50)


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
    kept = next(event for event in cut if isinstance(event, Artifact))
    cut.close()
    assert (kept.kind, kept.id, kept.step) == ("checkpoint", engine.plan(REQUEST, INPUTS).concept_id, 3)

    resumed = Run(engine, checkpoint=kept.data)

    assert [p.step for p in resumed.progress if p.phase == "learning"] == [4]
    assert resumed.edited.report["learning_steps"] == 1
    assert resumed.made["concept"].data == cold.made["concept"].data
    assert resumed.edited.picture == cold.edited.picture
    with pytest.raises(ArtifactMismatch, match="belongs to another"):
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
    learning = LearningOptions(start_steps=8, token_steps=1, joint_steps=1, batch=1, masked=False)
    monkeypatch.setattr(presets, "PRESETS", {name: replace(preset, learning=learning) for name, preset in PRESETS.items()})
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
    monkeypatch.setattr(backbone, "card", changed_card(backbone.card, attribute_words=("red",)))
    assert engine.plan(REQUEST, INPUTS).concept_id != plan.concept_id


def test_each_kind_of_concept_is_named_by_the_words_that_it_is_held_apart_from(
    engine: S2EditEngine, backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An identity by the attribute words of the model's card, an attribute by its words for people."""
    who = LearningRequest(kind="identity", prompt="a photo of a woman")
    names = [engine.plan_learning(request, INPUTS) for request in (who, HAT)]
    for changed, kept in (({"attribute_words": ("red",)}, [False, True]), ({"subjects": ("woman",)}, [True, False])):
        with monkeypatch.context() as patch:
            patch.setattr(backbone, "card", changed_card(backbone.card, **changed))
            assert [engine.plan_learning(request, INPUTS) == name for request, name in zip((who, HAT), names, strict=True)] == kept


@pytest.mark.parametrize("stop_in", ["learning", "inverting", "editing"])
def test_closing_midway_leaves_the_model_as_it_was(engine: S2EditEngine, backbone: Backbone, cold: Run, stop_in: str) -> None:
    before, ids = dict(backbone.unet.attn_processors), torch.arange(8)[None]
    plain = backbone.text_encoder(ids).last_hidden_state
    steps = engine.edit(REQUEST, INPUTS, concept=None, inversion=None)
    for event in steps:
        if isinstance(event, Progress) and event.phase == stop_in:
            break
    steps.close()
    assert dict(backbone.unet.attn_processors) == before
    assert torch.equal(backbone.text_encoder(ids).last_hidden_state, plain)
    assert Run(engine, **cold.saved()).edited.picture == cold.edited.picture


def test_two_interleaved_edits_do_not_disturb_each_other(engine: S2EditEngine, cold: Run) -> None:
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
    picture = DOMAIN.render(DOMAIN.sample(2), 256).resize(size)
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
        if len(set(counts)) == 3:
            raise Enough

    with pytest.raises(Enough):
        list(engine.edit(REQUEST, INPUTS, concept=None, inversion=None, check=check))
    passes = [count for count in counts if count > counts[0]]
    assert passes == sorted(set(passes)), "once per evaluation, and before the first one while learning prepares"
    assert engine.pipeline.evaluations == counts[-1], "and nothing after it"
    asked = len(counts)
    next(engine.edit(REQUEST, INPUTS, concept=None, inversion=None))
    assert len(counts) == asked, "the next edit has its own"


def test_a_device_is_tried_before_the_first_job(backbone: Backbone) -> None:
    """On an accelerator, when the engine is loaded."""
    prove_device(backbone)

    def lost(*_: object) -> None:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    hook = backbone.unet.register_forward_pre_hook(lost)
    with pytest.raises(DeviceFault):
        prove_device(backbone)
    hook.remove()
