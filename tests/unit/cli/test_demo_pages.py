"""What the demo makes of two edits; the demo itself is in tests/acceptance."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cli.demo import LABEL_PX, PANEL_PX, PERSON, Done, how_to_go_on, sample, side_by_side, write_figures
from lab.world.dataset import HELD_OUT, PORTRAITS
from lab.world.people import caption, replace_attributes, sample_person
from lab.world.portraits import person_mask, render


def done(tmp_path: Path, learning_steps: int) -> Done:
    report: dict[str, Any] = {
        "seconds": {"learning": 9.5, "inverting": 14.25, "editing": 2.5, "total": 26.25},
        "learning_steps": learning_steps,
        "unet_evaluations": 900,
        "outside_edit_mask": {"max_level_difference": 0, "psnr_db": None},
        "preset": "paper",
        "seed": 0,
        "prompt": "a photo of a [I] woman with red hair",
        "source_prompt": "a photo of a [I] woman with black hair",
        "model": {"name": "m", "fingerprint": "f"},
        "versions": {"torch": "2.13.0"},
    }
    view = {"identity": "c_1", "result": {"url": "http://127.0.0.1:4321/files/x?signature=y"}, "report": {"values": report}}
    return Done("edit", view, tmp_path / "result.png", tmp_path / "report.json", 30.0)


@pytest.fixture(scope="module")
def a_sample() -> Any:
    return sample()


def test_the_sample_is_a_portrait_that_no_training_has_seen_with_a_mask_of_its_frame(a_sample: Any) -> None:
    person = sample_person(HELD_OUT + PERSON)
    assert PORTRAITS <= HELD_OUT
    for shipped, drawn in ((a_sample.source, render(person)), (a_sample.mask, person_mask(person))):
        assert (shipped.mode, shipped.size) == (drawn.mode, drawn.size)
        assert shipped.tobytes() == drawn.tobytes()
    assert 0.05 < (np.asarray(a_sample.mask) > 127).mean() < 0.8


def test_the_prompts_are_the_captions_of_the_true_answers(a_sample: Any) -> None:
    person = sample_person(HELD_OUT + PERSON)
    assert a_sample.source_prompt == caption(person.attributes)
    assert a_sample.first_prompt == caption(replace_attributes(person, hair_colour="red").attributes)
    assert a_sample.second_prompt == caption(replace_attributes(person, expression="smiling", glasses=True).attributes)


def test_the_prompts_differ_in_what_is_wanted_and_in_nothing_else(a_sample: Any) -> None:
    source = set(a_sample.source_prompt.split())
    assert set(a_sample.first_prompt.split()) - source == {"red"}
    assert {"smiling", "glasses"} <= set(a_sample.second_prompt.replace(",", "").split()) - source
    assert "glasses" not in a_sample.source_prompt


def test_the_pictures_stand_side_by_side_over_their_labels(tmp_path: Path) -> None:
    panels = []
    for i, colour in enumerate(["red", "green", "blue"]):
        Image.new("RGB", (32, 32), colour).save(tmp_path / f"{i}.png")
        panels.append((tmp_path / f"{i}.png", "a photo of a woman with long red hair, red lipstick, earrings and eye shadow"))
    sheet = side_by_side(panels)
    assert sheet.size == (3 * PANEL_PX, PANEL_PX + LABEL_PX)
    assert [sheet.getpixel((int((i + 0.5) * PANEL_PX), PANEL_PX // 2)) for i in range(3)] == [(255, 0, 0), (0, 128, 0), (0, 0, 255)]
    label = np.asarray(sheet)[PANEL_PX:, :PANEL_PX]
    ink_columns = np.flatnonzero((label < 128).any(axis=(0, 2)))
    assert len(ink_columns) > 50
    assert ink_columns[0] >= 4
    assert ink_columns[-1] < PANEL_PX - 4


def test_the_figures_tell_cold_from_warm(tmp_path: Path) -> None:
    path = tmp_path / "results" / "demo.json"
    write_figures(path, done(tmp_path, 100), done(tmp_path, 0))
    values = json.loads(path.read_text())
    assert values["cold"]["learning_steps"] == 100
    assert values["warm"]["learning_steps"] == 0
    assert values["cold"]["seconds"]["learning"] == 9.5
    assert values["machine"]["cores"] >= 1
    assert values["versions"] == {"torch": "2.13.0"}


def test_the_printed_commands_hold_together(tmp_path: Path) -> None:
    up, curl, look = (shlex.split(line, comments=True) for line in how_to_go_on(tmp_path, done(tmp_path, 0), "paper"))
    assert up[1:] == ["up", "--port", "4321", "--data-dir", str(tmp_path / "data")]
    assert curl[2] == "http://127.0.0.1:4321/edits"
    assert "identity=c_1" in curl
    assert "prompt=a photo of a smiling woman with black hair" in curl
    assert look[2].startswith("http://127.0.0.1:4321/edits/")
