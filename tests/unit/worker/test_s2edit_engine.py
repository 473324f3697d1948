"""The engine over the real algorithms, on a tiny model: from bytes to bytes, cold and warm."""

from __future__ import annotations

import io
from collections.abc import Generator

import numpy as np
import pytest
from PIL import Image

from s2edit_core.canvas import INSIDE, grown
from s2edit_core.errors import ArtifactMismatch, PromptInvalid
from s2edit_core.pictures import decode_photo, encode_png
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.spec import PRESETS, EditRequest, Progress
from tests.tiny import tiny_backbone
from worker.engine import Edited, EditInputs, Made
from worker.s2edit_engine import S2EditEngine

REQUEST = EditRequest(prompt="a woman with red hair", source_prompt="a woman", preset="instant", steps=4)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> S2EditEngine:
    import torch

    pipeline = S2EditPipeline(tiny_backbone(dtype=torch.float32))
    monkeypatch.setattr(S2EditPipeline, "from_pretrained", classmethod(lambda *_args, **_options: pipeline))
    return S2EditEngine("tiny", "cpu")


@pytest.fixture
def inputs() -> EditInputs:
    pixels = np.random.default_rng(3).integers(0, 256, (48, 40, 3), dtype=np.uint8)
    mask = Image.new("L", (40, 48))
    mask.paste(255, (12, 10, 28, 30))
    return EditInputs(image=encode_png(Image.fromarray(pixels)), mask=encode_png(mask))


def finish(steps: Generator[Progress | Made, None, Edited]) -> tuple[list[Progress | Made], Edited]:
    seen = []
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as end:
            return seen, end.value


def test_a_cold_edit_makes_concept_and_inversion_and_a_warm_one_uses_them(engine: S2EditEngine, inputs: EditInputs) -> None:
    seen, cold = finish(engine.edit(REQUEST, inputs, concept=None, inversion=None))
    made = {step.kind: step for step in seen if isinstance(step, Made)}
    plan = engine.plan(REQUEST, inputs)
    assert (made["concept"].id, made["inversion"].id) == (plan.concept_id, plan.inversion_id)
    assert made["concept"].subject == "woman"
    phases = list(dict.fromkeys(step.phase for step in seen if isinstance(step, Progress)))
    assert phases == ["learning", "inverting", "editing", "finishing"]
    assert cold.report["learning_steps"] == PRESETS["instant"].learning.steps

    seen, warm = finish(engine.edit(REQUEST, inputs, concept=made["concept"].data, inversion=made["inversion"].data))
    assert not [step for step in seen if isinstance(step, Made)]
    assert warm.report["learning_steps"] == 0
    assert warm.report["unet_evaluations"] == 2 * 4
    assert warm.image_png == cold.image_png


def test_outside_the_edit_mask_the_upload_is_untouched(engine: S2EditEngine, inputs: EditInputs) -> None:
    _, edited = finish(engine.edit(REQUEST, inputs, concept=None, inversion=None))
    allowed = np.asarray(grown(Image.open(io.BytesIO(inputs.mask)).convert("L"))) >= INSIDE
    before, after = np.asarray(decode_photo(inputs.image)), np.asarray(decode_photo(edited.image_png))
    assert np.array_equal(before[~allowed], after[~allowed])
    assert not np.array_equal(before[allowed], after[allowed])
    assert edited.report["outside_edit_mask"]["max_level_difference"] == 0
    assert edited.report["outside_edit_mask_raw"]["max_level_difference"] > 0


def test_closing_midway_gives_the_model_back_as_it_was(engine: S2EditEngine, inputs: EditInputs) -> None:
    layers = engine.pipeline.backbone.layers
    before = [layer.attention.processor for layer in layers]
    steps = engine.edit(REQUEST, inputs, concept=None, inversion=None)
    for _ in range(3):
        next(steps)
    steps.close()
    assert [layer.attention.processor for layer in layers] == before


def test_a_damaged_concept_is_a_mismatch_that_the_worker_can_mend(engine: S2EditEngine, inputs: EditInputs) -> None:
    with pytest.raises(ArtifactMismatch):
        finish(engine.edit(REQUEST, inputs, concept=b"damaged", inversion=None))


def test_a_prompt_past_the_token_limit_is_refused_before_any_work(engine: S2EditEngine, inputs: EditInputs) -> None:
    long = EditRequest(prompt="a woman with " + "red hair, " * 40, source_prompt="a woman")
    with pytest.raises(PromptInvalid) as refused:
        engine.plan(long, inputs)
    assert refused.value.reason == "prompt_too_long"
