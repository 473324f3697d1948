"""PIE-Bench's layout and protocol, with a synthetic folder of three records."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lab.quality import methods
from lab.quality.benchmarks import pie_bench
from lab.quality.benchmarks.pie_bench import EDIT, PerceptualModels, case_of, decode_mask, measure, read, run, subject_of
from lab.quality.phases import Method
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.request.options import InversionOptions, LearningOptions

SIDE = 32


def record(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "image_path": f"0_random_140/{number:012d}.jpg",
        "original_prompt": "a photo of a [woman] with black hair",
        "editing_prompt": "a photo of a woman with [red] hair",
        "editing_instruction": "Make the hair red",
        "editing_type_id": "6",
        "blended_word": "woman woman",
        "mask": [8 * SIDE + 8, 16, 9 * SIDE + 8, 16],
    } | changes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    records = {
        "000000000002": record(2, blended_word="black red"),
        "000000000000": record(0),
        "000000000001": record(1, editing_type_id="0", mask=[0, SIDE * SIDE]),
    }
    root = tmp_path / "pie"
    images = root / "annotation_images" / "0_random_140"
    images.mkdir(parents=True)
    (root / "mapping_file.json").write_text(json.dumps(records))
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(images / f"{number:012d}.jpg")
    return root


def test_records_are_sorted_by_key(folder: Path) -> None:
    items = read(folder)
    assert [item.key for item in items] == ["000000000000", "000000000001", "000000000002"]
    first = items[0]
    assert first.prompt == "a photo of a woman with black hair"
    assert first.target == "a photo of a woman with red hair"
    assert (first.kind, items[1].kind) == ("change colour", "random")
    assert first.image.size == (SIDE, SIDE)
    assert [item.subject for item in items] == ["woman", "woman", None]


def test_a_mask_consists_of_its_runs_and_the_border() -> None:
    mask = decode_mask([8, 2, 20, 1], (6, 5))
    expected = np.ones((5, 6), bool)
    expected[1:4, 1:5] = [[0, 1, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0]]
    assert (mask == expected).all()


def test_runs_beyond_the_end_are_clipped_and_unpaired_numbers_rejected() -> None:
    assert decode_mask([20, 1000], (6, 5)).shape == (5, 6)
    with pytest.raises(ValueError, match="pairs of start and length, got 3"):
        decode_mask([1, 2, 3], (6, 5))


def test_the_subject_is_a_word_of_both_prompts() -> None:
    assert subject_of("cat dog", "a cat on a chair", "a dog on a chair") is None
    assert subject_of("cat cat", "a cat on a chair", "a white cat on a chair") == "cat"
    assert subject_of("", "a cat", "a dog") is None
    assert subject_of("cat cat", "a catalogue", "a catalogue of cats") is None


def test_an_incomplete_or_invalid_folder_is_rejected(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"needs mapping_file\.json and annotation_images/"):
        read(tmp_path)
    image = folder / "annotation_images" / "0_random_140" / "000000000001.jpg"
    Image.new("RGB", (40, 32)).save(image)
    with pytest.raises(ValueError, match="square; that of record 000000000001 is 40 × 32"):
        read(folder)
    image.unlink()
    with pytest.raises(FileNotFoundError, match="image of record 000000000001 is missing"):
        read(folder)


def test_the_background_is_measured_as_published_and_by_its_own_pixels(folder: Path) -> None:
    item = read(folder)[0]
    worse = np.asarray(item.image).copy()
    worse[item.mask] = 255 - worse[item.mask]
    assert measure(item, Image.fromarray(worse), PerceptualModels())["psnr_background"] > 78  # changes inside the mask do not count
    background = ~item.mask
    values = worse.astype(int)
    values[background] += np.where(values[background] < 128, 10, -10)
    found = measure(item, Image.fromarray(values.astype(np.uint8)), PerceptualModels())
    share = background.mean()
    assert found["psnr_background_pixels"] == pytest.approx(20 * math.log10(255 / 10))
    assert found["mse_background"] == pytest.approx(share * (10 / 255) ** 2)
    assert found["psnr_background"] == pytest.approx(
        20 * math.log10(255 / 10) - 10 * math.log10(share)
    )  # black pixels count as equal
    assert 0 < found["ssim_background"] < 1
    assert set(found) == {"item", "edit", "type", *(name for name in pie_bench.FIGURES if "background" in name)}


def test_without_a_background_its_figures_are_missing(folder: Path) -> None:
    item = read(folder)[1]
    assert item.mask.all()
    assert set(measure(item, item.image, PerceptualModels())) == {"item", "edit", "type"}


def test_the_clip_score_of_the_edited_region_sees_nothing_else(folder: Path) -> None:
    item = read(folder)[0]
    seen: list[Any] = []

    def score(picture: Image.Image, text: str) -> float:
        seen.append((np.asarray(picture), text))
        return 25.0

    score.of_pictures = lambda a, b: 90.0  # type: ignore[attr-defined]
    models = PerceptualModels(score, lambda a, b: 0.5, lambda picture: torch.ones(3))  # type: ignore[arg-type]
    found = measure(item, item.image, models)
    assert (found["clip_whole"], found["clip_edited"], found["clip_pictures"]) == (25.0, 25.0, 90.0)
    assert (found["structure_distance"], found["identity"]) == (0.5, pytest.approx(1.0))
    (whole, text), (part, _) = seen
    assert text == item.target
    assert (whole == np.asarray(item.image)).all()
    assert (part[~item.mask] == 0).all()
    assert (part[item.mask] == whole[item.mask]).all()


def test_the_whole_picture_is_the_frame(pipe: S2EditPipeline, folder: Path) -> None:
    case = case_of(pipe, read(folder)[0])
    assert case.canvas.box == (0, 0, SIDE, SIDE)
    assert case.canvas.frame == (32, 32)
    assert case.targets == {EDIT: "a photo of a woman with red hair"}


@pytest.fixture
def wanted(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> argparse.Namespace:
    learning = LearningOptions(start_steps=8, token_steps=1, joint_steps=0, batch=1)
    monkeypatch.setitem(methods.METHODS, "ddim", Method("DDIM", steps=2))
    monkeypatch.setitem(methods.METHODS, "balanced", Method("S²Edit", 2, learning, InversionOptions(tier="residual")))
    return argparse.Namespace(
        pie_bench=folder,
        ffhq_edit=None,
        prompts=None,
        items=None,
        clip=None,
        dino=None,
        faces=None,
        face_levels="signed",
        guidance=None,
        group=2,
        work=tmp_path,
        against="balanced",
        methods="unedited,ddim,balanced",
    )


def test_a_second_run_on_the_folder_repeats_nothing(
    pipe: S2EditPipeline, wanted: argparse.Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "pie-bench.json"
    run(pipe, wanted, out)
    results = json.loads(out.read_text())
    assert {name: method["skipped"] for name, method in results["methods"].items()} == {"unedited": 0, "ddim": 0, "balanced": 1}
    assert [record["item"] for record in results["methods"]["balanced"]["records"]] == ["000000000000", "000000000001"]
    assert results["methods"]["ddim"]["summary"]["change colour"]["cases"] == 2
    assert results["methods"]["ddim"]["cost"]["edit"]["evaluations"] == 4
    assert "psnr_background" in results["differences"]["minus"]["ddim"]
    assert (tmp_path / "pie-bench-ddim.png").exists()
    monkeypatch.setattr(pipe.backbone, "evaluate", lambda _rows: pytest.fail("the second run evaluates the UNet"))
    out.unlink()
    run(pipe, wanted, out)
    assert json.loads(out.read_text()) == results


def test_unusable_methods_are_rejected(pipe: S2EditPipeline, wanted: argparse.Namespace, tmp_path: Path) -> None:
    wanted.methods = "autoencoder"
    with pytest.raises(ValueError, match="'autoencoder' needs ground truths"):
        run(pipe, wanted, tmp_path / "out.json")
    wanted.methods, wanted.items = "balanced", 0
    with pytest.raises(ValueError, match="balanced has no record to run on"):
        run(pipe, wanted, tmp_path / "out.json")
