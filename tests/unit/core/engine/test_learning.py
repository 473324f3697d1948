"""Concepts that are learned ahead of an edit, and attributes that edits apply."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from s2edit_core.concepts.concept import Concept
from s2edit_core.delivery.canvas import Canvas
from s2edit_core.delivery.report import SURROUNDINGS
from s2edit_core.errors import ArtifactMismatch, MaskInvalid, OptionInvalid, PromptInvalid
from s2edit_core.method.learning.start import Starts
from s2edit_core.pictures.files import encode_png
from s2edit_core.pipeline import Reference, S2EditPipeline
from s2edit_core.request.spec import LearningRequest, Progress
from s2edit_core.unet.backbone import Backbone
from s2edit_core.vision.reference_person import NOBODY
from s2edit_core.vision.segmenters import FoundMask
from s2edit_jobs.library.concept_files import check_identity_file
from tests.unit.core.engine.runs import HAT, INPUTS, REQUEST, SIZE, Run, photo
from worker.engines import s2edit_engine
from worker.engines.engine import Artifact, EditInputs, Engine
from worker.engines.s2edit_engine import S2EditEngine

WEARING = replace(REQUEST, prompt="a photo of a woman with [A] hat", attributes=("a_1",))


class Learned:
    """One learning, driven to its end."""

    def __init__(
        self, engine: Engine, request: LearningRequest, inputs: EditInputs = INPUTS, *, checkpoint: bytes | None = None
    ) -> None:
        self.progress: list[Progress] = []
        self.made: list[Artifact] = []
        steps = engine.learn(request, inputs, checkpoint=checkpoint)
        while True:
            try:
                event = next(steps)
            except StopIteration as end:
                self.report: dict[str, Any] = end.value
                return
            if isinstance(event, Artifact):
                self.made.append(event)
            else:
                self.progress.append(event)

    @property
    def concept(self) -> Artifact:
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


class Finder:
    """A segmenter that finds one box, or nobody."""

    name = "test"

    def __init__(self, box: tuple[int, int, int, int] | None) -> None:
        self.box = box
        self.asked: list[tuple[str, tuple[int, int] | None]] = []

    def find(self, photo: Image.Image, *, prompt: str, at: tuple[int, int] | None = None) -> FoundMask:
        self.asked.append((prompt, at))
        if self.box is None:
            raise MaskInvalid("nobody", field="mask", reason="mask_not_found")
        mask = Image.new("L", photo.size)
        mask.paste(255, self.box)
        return FoundMask(mask, 0.9, 2, self.name)


def test_an_attribute_is_learned_in_a_frame_around_the_person_who_shows_it(
    engine: S2EditEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames: list[tuple[int, int, int, int]] = []
    framed = S2EditPipeline._reference_canvas

    def noted(pipe: S2EditPipeline, reference: Reference) -> Canvas:
        frames.append((canvas := framed(pipe, reference)).box)
        return canvas

    monkeypatch.setattr(S2EditPipeline, "_reference_canvas", noted)
    small = Image.new("L", SIZE)
    small.paste(255, (30, 8, 90, 68))
    inputs, reports = replace(INPUTS, mask=encode_png(small)), []
    for finder in (someone := Finder((28, 8, 94, 70)), Finder(None)):
        monkeypatch.setattr(engine, "segmenter", finder)
        reports.append(Learned(engine, HAT, inputs).report)
    (prompt, at) = someone.asked[0]
    assert at == (59, 37)
    assert "[A]" not in prompt
    assert reports[0]["person"] == {"segmenter": "test", "confidence": 0.9, "people": 2, "region_on_person": 1.0}
    assert "warnings" not in reports[0]
    assert "person" not in reports[1]
    assert reports[1]["warnings"] == [NOBODY]
    widths = [right - left for left, _, right, _ in frames]
    assert widths[0] < widths[1] == SIZE[0]


def test_an_identity_of_an_inverted_mask_is_doubted(engine: S2EditEngine) -> None:
    person = Image.new("L", SIZE, 255)
    person.paste(0, (SIZE[0] // 4, SIZE[1] // 5, SIZE[0] * 3 // 4, SIZE[1]))
    request = LearningRequest(kind="identity", prompt="a photo of a woman with black hair", preset="instant")
    assert Learned(engine, request, replace(INPUTS, mask=encode_png(person))).report["warnings"] == [SURROUNDINGS]
    assert "warnings" not in Learned(engine, request).report


def test_an_attribute_of_less_than_a_latent_cell_is_refused(engine: S2EditEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "segmenter", Finder(None))
    dot = Image.new("L", SIZE)
    dot.paste(255, (30, 10, 34, 12))
    with pytest.raises(MaskInvalid, match="it needs 16 or more") as refused:
        Learned(engine, HAT, replace(INPUTS, mask=encode_png(dot)))
    assert (refused.value.field, refused.value.reason) == ("mask", "mask_too_small")


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
    kept = next(event for event in cut if isinstance(event, Artifact))
    cut.close()
    assert (kept.kind, kept.id, kept.step) == ("checkpoint", hat.concept.id, 3)
    resumed = Learned(engine, HAT, checkpoint=kept.data)
    assert resumed.concept.data == hat.concept.data
    assert resumed.report["learning_steps"] == 1
    with pytest.raises(ArtifactMismatch):
        Learned(engine, replace(HAT, seed=1), checkpoint=kept.data)


class Canceled(Exception):
    pass


def canceling(asked: list[int], passes: int) -> Callable[[], None]:
    """A check that notes in `asked` that it is called, and cancels the call number `passes`."""

    def check() -> None:
        asked.append(1)
        if len(asked) == passes:
            raise Canceled

    return check


@pytest.mark.parametrize("passes", [1, 3, 10])
def test_a_cancellation_is_noticed_before_the_first_step(engine: S2EditEngine, passes: int) -> None:
    """The preparation of a learning asks too: unless another job has made it, it is a hundred passes of the text encoder."""
    engine.pipeline.backbone.once("starts", Starts).kept.clear()
    asked: list[int] = []
    shown: list[object] = []
    somebody = LearningRequest(kind="identity", prompt="a photo of a woman with black hair", preset="instant")
    with pytest.raises(Canceled):
        shown.extend(engine.learn(somebody, INPUTS, check=canceling(asked, passes)))
    assert (len(asked), shown) == (passes, [])


@pytest.mark.parametrize("passes", [1, 2, 7])
def test_a_cancellation_of_an_attribute_is_noticed_at_every_pass(engine: S2EditEngine, passes: int) -> None:
    asked: list[int] = []
    with pytest.raises(Canceled):
        list(engine.learn(HAT, INPUTS, check=canceling(asked, passes)))
    assert len(asked) == passes


def test_an_attribute_acts_inside_the_edit_mask_alone(engine: S2EditEngine, cold: Run, hat: Learned) -> None:
    worn = Run(engine, WEARING, replace(INPUTS, attributes=(hat.concept.data,)), **cold.saved())
    plain = Run(engine, replace(WEARING, prompt="a photo of a woman with hat", attributes=()), **cold.saved())
    assert not np.array_equal(worn.pixels(), plain.pixels())
    outside = np.asarray(engine._begin(REQUEST, INPUTS).canvas.edit_mask) < 128
    assert np.array_equal(worn.pixels()[outside], np.asarray(photo())[outside])
    assert worn.edited.report["leakage"] == {"[I]": 0.0, "[A]": 0.0}
    assert worn.edited.report["attributes"]["[A]"]["subject"] == "hat"
    assert worn.edited.report["outside_edit_mask"]["max_level_difference"] == 0


def test_an_edit_mask_bounds_where_an_attribute_acts_and_does_not_say_where(engine: S2EditEngine, hat: Learned) -> None:
    everywhere = encode_png(Image.new("L", SIZE, 255))
    run = engine._begin(WEARING, replace(INPUTS, edit_mask=everywhere, attributes=(hat.concept.data,)))
    assert [each.region for each in run.attributes] == [None]


def test_an_attribute_changes_neither_name(engine: S2EditEngine, hat: Learned) -> None:
    assert engine.plan(WEARING, replace(INPUTS, attributes=(hat.concept.data,))) == engine.plan(REQUEST, INPUTS)


def test_attributes_that_can_not_be_applied_are_refused(engine: S2EditEngine, backbone: Backbone, cold: Run, hat: Learned) -> None:
    with pytest.raises(PromptInvalid) as missing:
        engine.plan(REQUEST, replace(INPUTS, attributes=(hat.concept.data,)))
    assert missing.value.reason == "placeholder_missing"
    foreign = hat.concept.data.replace(backbone.fingerprint.encode(), b"0" * len(backbone.fingerprint))
    for bad in (foreign, b"damaged"):
        with pytest.raises(ArtifactMismatch):
            engine.plan(WEARING, replace(INPUTS, attributes=(bad,)))


def test_what_the_api_is_given_fits_what_is_learned(engine: S2EditEngine, backbone: Backbone, cold: Run, hat: Learned) -> None:
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
