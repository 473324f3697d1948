"""What the demo makes of two edits; the demo itself is in tests/acceptance."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cli.demo.demo import Done, changed_outside, columns, how_to_go_on, sample, tell, write_figures
from lab.world.dataset import HELD_OUT, PORTRAITS
from lab.world.people import caption, replace_attributes, sample_person
from lab.world.portraits import person_mask
from lab.world.sample import PERSON, SIZE, portrait
from s2edit_core.pictures.files import inside_of


def done(tmp_path: Path, learning_steps: int) -> Done:
    report: dict[str, Any] = {
        "seconds": {"learning": 9.5, "inverting": 14.25, "editing": 2.5, "total": 26.25},
        "learning_steps": learning_steps,
        "unet_evaluations": 900,
        "outside_edit_mask": {"max_level_difference": 0, "psnr_db": None},
        "delivery": {"way": "difference", "replaced": 0.03, "shifted": 0.212, "left": 0.758},
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


def test_the_sample_is_a_portrait_that_no_training_has_seen_with_its_mask(a_sample: Any) -> None:
    assert PORTRAITS <= HELD_OUT
    assert sample_person(HELD_OUT + 1101) == PERSON
    for shipped, drawn in ((a_sample.source, portrait()), (a_sample.mask, person_mask(PERSON, SIZE))):
        assert (shipped.mode, shipped.size) == (drawn.mode, drawn.size)
        assert shipped.tobytes() == drawn.tobytes()


def test_the_prompts_are_the_captions_of_the_true_answers(a_sample: Any) -> None:
    wanted = ({"hair_colour": "red"}, {"expression": "smiling"}, {"glasses": True})
    assert a_sample.source_prompt == caption(PERSON.attributes)
    assert a_sample.prompts == tuple(caption(replace_attributes(PERSON, **changes).attributes) for changes in wanted)


def test_a_pixel_outside_the_edit_mask_is_counted(a_sample: Any) -> None:
    assert changed_outside(a_sample, a_sample.source) == 0
    inside = inside_of(a_sample.edit_mask)
    pixels = np.asarray(a_sample.source).copy()
    for place in (np.argwhere(inside)[0], *np.argwhere(~inside)[:2]):
        pixels[tuple(place)] ^= 1
    assert changed_outside(a_sample, Image.fromarray(pixels)) == 2


def test_the_columns_say_what_each_edit_changed_and_who_was_learned(tmp_path: Path, a_sample: Any) -> None:
    a_sample.source.save(tmp_path / "result.png")
    photo, cold, warm = columns(a_sample, [done(tmp_path, 100), done(tmp_path, 0)])
    assert photo.picture.tobytes() == a_sample.source.tobytes()
    assert photo.lines[-1] == "learned in 9.5 s"
    assert (cold.title, warm.title) == ("edit 1: 30.0 s, learns the person", "edit 2: 30.0 s, the person is known")
    assert list(cold.lines) == ["what changed", "3% replaced", "21% recoloured", "76% untouched", "0 pixels outside"]


def test_the_table_fits_a_terminal(tmp_path: Path, a_sample: Any, capsys: pytest.CaptureFixture[str]) -> None:
    a_sample.source.save(tmp_path / "result.png")
    tell(a_sample, [done(tmp_path, steps) for steps in (100, 0, 0)])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["preset", "paper", "edit", "1", "(cold)", "edit", "2", "(warm)", "edit", "3", "(warm)"]


def test_the_figures_tell_cold_from_warm(tmp_path: Path) -> None:
    path = tmp_path / "results" / "demo.json"
    write_figures(path, [done(tmp_path, 100), done(tmp_path, 0), done(tmp_path, 0)])
    values = json.loads(path.read_text())
    assert values["cold"]["learning_steps"] == 100
    assert [edit["learning_steps"] for edit in values["warm"]] == [0, 0]
    assert values["cold"]["seconds"]["learning"] == 9.5
    assert values["machine"]["cores"] >= 1
    assert values["versions"] == {"torch": "2.13.0"}


def test_the_printed_commands_hold_together(tmp_path: Path) -> None:
    up, curl, look = (shlex.split(line, comments=True) for line in how_to_go_on(tmp_path, done(tmp_path, 0), "paper"))
    assert up[1:] == ["up", "--port", "4321", "--data-dir", str(tmp_path / "data")]
    assert curl[2] == "http://127.0.0.1:4321/edits"
    assert "identity=c_1" in curl
    assert "preset=paper" in curl
    assert any(word.startswith("prompt=a photo of a ") for word in curl)
    assert look[2].startswith("http://127.0.0.1:4321/edits/")


def test_without_a_preset_the_printed_commands_leave_it_to_the_service(tmp_path: Path) -> None:
    assert "preset=" not in " ".join(how_to_go_on(tmp_path, done(tmp_path, 0), None))
