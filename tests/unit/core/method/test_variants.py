"""Variants of one edit in shared passes: each is what it is alone, and what they have in common is made once."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from PIL import Image

from s2edit_core.errors import OptionInvalid
from s2edit_core.method.editing import SamplingProgress
from s2edit_core.method.inputs import Variation
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.request.options import InjectionOptions, InversionOptions
from s2edit_core.request.spec import Progress
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Answers, Rows, drive

SOURCE, TARGET = "a photo of a woman", "a photo of a woman with red hair"
STEPS = 3
BLEND = InjectionOptions(blend="difference", blend_start=0.0)
VARIATIONS = (None, Variation(1), Variation(2))


def test_variants_in_shared_passes_are_those_drawn_alone(backbone32: Backbone) -> None:
    pipe = S2EditPipeline(backbone32)
    photo = Image.effect_noise((32, 32), 60).convert("RGB")
    mask = Image.new("L", (32, 32))
    mask.paste(255, (8, 8, 24, 24))
    canvas = pipe.canvas(photo, mask)
    residual = InversionOptions(tier="residual")
    inversion = pipe.invert(photo, mask, SOURCE, None, options=residual, num_inference_steps=STEPS, guidance_scale=2.0)
    given = (canvas, TARGET, None, inversion)
    options: dict[str, Any] = {"injection": BLEND, "source_prompt": SOURCE}
    alone = [drive(pipe.edit_rows(*given, variation=each, **options), backbone32.evaluate) for each in VARIATIONS]
    passes: list[int] = []
    seen: list[Progress] = []

    def counting(rows: Rows) -> Answers:
        passes.append(len(rows))
        return backbone32.evaluate(rows)

    together = drive(pipe.variant_rows(*given, variations=VARIATIONS, **options), counting, seen.append)
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-4)
    assert not torch.equal(together[1], together[2])
    assert passes == [2, *[2 * len(VARIATIONS)] * STEPS], "the region is located once, then every step is one pass"
    assert [each.step for each in seen] == list(range(1, 10))
    assert {each.total for each in seen} == {9}
    assert [isinstance(each, SamplingProgress) for each in seen] == [True, False, False] * STEPS, "previews are of the edit itself"


def test_variants_of_an_inversion_that_needs_injection_are_refused_before_any_row(backbone32: Backbone) -> None:
    pipe = S2EditPipeline(backbone32)
    photo, mask = Image.new("RGB", (32, 32), "gray"), Image.new("L", (32, 32), 255)
    direct = InversionOptions(tier="direct")
    inversion = pipe.invert(photo, mask, SOURCE, None, options=direct, num_inference_steps=STEPS, guidance_scale=2.0)
    with pytest.raises(OptionInvalid, match="cross_share"):
        next(pipe.variant_rows(pipe.canvas(photo, mask), TARGET, None, inversion, variations=VARIATIONS))
