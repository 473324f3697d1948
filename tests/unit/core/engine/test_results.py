"""The files and reports of the engine's results: signature, watermark, transparency, formats, variants, negative prompts."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from s2edit_core.delivery import watermark
from s2edit_core.errors import OptionInvalid, PromptInvalid
from s2edit_core.method.editing import vary_noise
from s2edit_core.pictures.files import decode_photo, encode_png
from s2edit_core.request.presets import PRESETS, PresetName
from s2edit_core.request.spec import EditRequest
from s2edit_jobs.settings import Settings
from tests.unit.core.delivery.output.profiles import DISPLAY_P3
from tests.unit.core.engine.runs import INPUTS, REQUEST, SIZE, Run, mask_of, photo
from worker.engines.engine import EditInputs
from worker.engines.modeless_engine import engine_of_test_mode
from worker.engines.provenance import Credentials, SigningEngine
from worker.engines.s2edit_engine import S2EditEngine


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
    assert marked.edited.report["watermark"] == watermark.facts(tall[0].size)

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


def levels_apart(one: bytes, other: bytes) -> int:
    """Return the largest difference of two pictures in 8-bit levels. Rows that share a pass are rounded differently than alone."""
    first, second = (np.asarray(decode_photo(png)).astype(int) for png in (one, other))
    return int(np.abs(first - second).max())


def test_variants_share_one_inversion_and_differ_inside_the_edit_mask_alone(engine: S2EditEngine, cold: Run) -> None:
    request = replace(REQUEST, variants=3)
    assert engine.plan(request, INPUTS) == engine.plan(REQUEST, INPUTS)
    run = Run(engine, request, **cold.saved())
    assert run.made == {}
    drawn = [np.asarray(decode_photo(png)) for png in (run.edited.picture, *run.edited.variants)]
    assert levels_apart(run.edited.picture, cold.edited.picture) <= 1, "the first is the edit itself"
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
    mixed = vary_noise(noise, where, 7, 0.5)
    assert torch.equal(mixed[..., :32], noise[..., :32])
    assert abs(float(mixed[..., 32:].std()) - 1) < 0.05
    assert torch.equal(vary_noise(noise, where, 7, 0.0), noise)


@pytest.mark.parametrize("strength", [1.0, 0.5])
@pytest.mark.parametrize("preset", PRESETS)
def test_with_a_learned_identity_another_seed_gives_another_picture(
    engine: S2EditEngine, cold: Run, preset: PresetName, strength: float
) -> None:
    """A picture depends only on its seed, whichever edit it is part of. Without a seed, it is the edit itself."""
    learned = EditRequest(
        prompt=REQUEST.prompt, source_prompt=REQUEST.source_prompt, preset=preset, steps=4, strength=strength, identity="c_1"
    )
    concept = cold.made["concept"].data
    both = Run(engine, replace(learned, variants=2), concept=concept)
    inversion = both.made["inversion"].data
    itself, first = both.edited.picture, both.edited.variants[0]
    same = Run(engine, replace(learned, seed=1), concept=concept, inversion=inversion).edited
    other = Run(engine, replace(learned, seed=2), concept=concept, inversion=inversion).edited
    assert levels_apart(same.picture, first) <= 1
    assert min(levels_apart(*pair) for pair in combinations((itself, first, other.picture), 2)) > 1
    assert other.report["outside_edit_mask"]["max_level_difference"] == 0
    unchanged = replace(learned, identity=None, seed=5)
    again = Run(engine, unchanged, concept=concept, inversion=inversion).edited.picture
    assert levels_apart(again, itself) <= 1, "its seed has learned the identity"


# --- captions ----------------------------------------------------------------------------------------------------


def test_test_mode_reports_what_an_edit_reports(engine: S2EditEngine, cold: Run) -> None:
    """So that an app may be tested against it; and that it is test mode, and that it carries no content credentials and no mark."""
    modeless = Run(engine_of_test_mode(engine.facts)).edited.report
    report = cold.edited.report
    assert modeless.keys() - report.keys() == {"test", "provenance", "watermark"}
    assert modeless["provenance"] is modeless["watermark"] is None
    assert report.keys() <= modeless.keys()
    for part in ("concept", "seconds", "inputs", "model", "versions", "outside_edit_mask", "leakage", "inversion"):
        assert modeless[part].keys() == report[part].keys(), part


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


def test_the_report_warns_of_words_that_the_model_does_not_know(
    engine: S2EditEngine, cold: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "warnings" not in cold.edited.report, "the default card's vocabulary is open"
    backbone = engine.pipeline.backbone
    closed = tuple(replace(domain, closed_vocabulary=True) for domain in backbone.card.domains)
    monkeypatch.setattr(backbone, "card", replace(backbone.card, domains=closed))
    request = replace(REQUEST, prompt="a photo of a woman with green hair", negative_prompt="a zeppelin")
    (warning,) = Run(engine, request, **cold.saved()).edited.report["warnings"]
    assert "the words \u201cgreen\u201d and \u201czeppelin\u201d," in warning
