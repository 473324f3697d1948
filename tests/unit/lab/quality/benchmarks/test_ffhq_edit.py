"""FFHQ-edit's layout, with a synthetic folder of two pictures, and the same command and table as for PIE-Bench."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lab.quality import methods
from lab.quality.benchmarks import ffhq_edit, pie_bench
from lab.quality.benchmarks.ffhq_edit import SOURCE, TARGETS, read
from lab.quality.benchmarks.pie_bench import EDIT, case_of, items_of, run
from lab.quality.phases import Method
from lab.quality.table import render
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.request.options import InversionOptions, LearningOptions
from s2edit_core.request.prompts import known_subject

SIDE = 32


def prompt(number: int, text: str) -> dict[str, Any]:
    return {"id": number, "prompt": text, "expected_difficulty": "easy"}


PROMPTS = {
    "benchmark_info": {"prompts_per_image": 20},
    "categories": {
        "emotions": {
            "description": "Facial expression modifications",
            "intensity_1_subtle": [prompt(1, "Make the person smile slightly")],
            "intensity_2_moderate": [prompt(5, "Make them furious")],
            "intensity_3_intense": [],
        },
        "accessories": {"description": "", "intensity_1_subtle": [prompt(17, "Add sunglasses")]},
    },
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "ffhq"
    root.mkdir()
    for number in (1, 0):
        pixels = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"{number:05d}.png")
    (root / "notes.txt").write_text("not a picture")
    return root


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts_simple.json"
    path.write_text(json.dumps(PROMPTS))
    return path


def test_each_picture_gets_each_prompt_under_the_benchmarks_name(folder: Path, prompts: Path) -> None:
    items = read(folder, prompts)
    assert [item.key for item in items[:3]] == ["00000_emotions_1_1", "00000_emotions_2_5", "00000_accessories_1_17"]
    assert [item.key[:5] for item in items] == ["00000"] * 3 + ["00001"] * 3
    assert items[0].target == "a photo of a slightly smiling person"
    assert (items[0].prompt, items[0].kind, items[2].kind) == (SOURCE, "emotions", "accessories")
    assert items[0].mask.all()


def test_the_benchmark_takes_the_first_pictures_only(folder: Path, prompts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ffhq_edit, "PEOPLE", 1)
    assert {item.key[:5] for item in read(folder, prompts)} == {"00000"}


def test_there_is_a_description_for_each_published_prompt() -> None:
    assert len(TARGETS) == len(set(TARGETS.values())) == 20
    assert all(known_subject(target, ("person",)) == "person" for target in TARGETS.values())


def test_another_layout_is_refused(folder: Path, prompts: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no FFHQ pictures"):
        read(tmp_path / "none", prompts)
    with pytest.raises(FileNotFoundError, match="prompts are missing"):
        read(folder, tmp_path / "none.json")
    prompts.write_text("{}")
    with pytest.raises(ValueError, match="have no categories"):
        read(folder, prompts)
    prompts.write_text(json.dumps({"categories": {"hair": {"intensity_1_subtle": [prompt(11, "Change hair to teal")]}}}))
    with pytest.raises(ValueError, match="there is no description for 'Change hair to teal'"):
        read(folder, prompts)
    prompts.write_text(json.dumps(PROMPTS))
    Image.new("RGB", (40, 32)).save(folder / "00000.png")
    with pytest.raises(ValueError, match=r"00000\.png is 40 × 32"):
        read(folder, prompts)


def mean_colour(picture: Image.Image) -> torch.Tensor:
    return torch.tensor(np.asarray(picture)).float().mean((0, 1))


@pytest.fixture
def wanted(folder: Path, prompts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> argparse.Namespace:
    learning = LearningOptions(start_steps=8, token_steps=1, joint_steps=0, batch=1)
    monkeypatch.setitem(methods.METHODS, "balanced", Method("S²Edit", 2, learning, InversionOptions(tier="residual")))
    monkeypatch.setattr(pie_bench, "open_face_embedder", lambda _name, **_: mean_colour)
    return argparse.Namespace(
        pie_bench=None,
        ffhq_edit=folder,
        prompts=prompts,
        items=3,
        clip=None,
        dino=None,
        faces="faces.onnx",
        face_levels="signed",
        guidance=None,
        group=3,
        work=tmp_path,
        against="balanced",
        methods="unedited,balanced",
    )


def test_one_command_writes_one_table_with_the_identity(pipe: S2EditPipeline, wanted: argparse.Namespace, tmp_path: Path) -> None:
    out = tmp_path / "ffhq-edit.json"
    run(pipe, wanted, out)
    results = json.loads(out.read_text())
    assert results["setting"]["bench"] == "FFHQ-edit"
    assert {name: len(found["records"]) for name, found in results["methods"].items()} == {"unedited": 3, "balanced": 3}
    assert results["methods"]["balanced"]["summary"]["emotions"]["cases"] == 2
    assert all(0 < record["identity"] <= 1 for record in results["methods"]["balanced"]["records"])
    table = render(results)
    assert table.startswith("FFHQ-edit, 3 records")
    assert "| method | identity |" in table


def test_the_whole_picture_may_change(pipe: S2EditPipeline, folder: Path, prompts: Path) -> None:
    case = case_of(pipe, read(folder, prompts)[0])
    assert case.targets == {EDIT: "a photo of a slightly smiling person"}
    assert case.canvas.box == (0, 0, SIDE, SIDE)


def test_prompts_are_asked_for(wanted: argparse.Namespace) -> None:
    assert items_of(wanted)[0] == "FFHQ-edit"
    wanted.prompts = None
    with pytest.raises(ValueError, match="needs --prompts"):
        items_of(wanted)
