"""What the demo makes of its edits; the demo itself is in tests/acceptance."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cli.checks.findings import Finding
from cli.demo import demo
from cli.demo.demo import how_to_go_on, saved
from cli.demo.edits import Done, Learned, Outcome
from cli.demo.figures import changed_outside, columns, tell, write_figures
from cli.demo.samples import EDITS, FIRST_EDITS, SOURCE_PROMPTS, Edit, Sample, sample
from s2edit_core.pictures.files import inside_of
from tests.small_disk import small_disk


def done(tmp_path: Path, edit: Edit) -> Done:
    report: dict[str, Any] = {
        "seconds": {"learning": 9.5, "inverting": 14.25, "editing": 2.5, "total": 26.25},
        "learning_steps": 100 if edit in FIRST_EDITS else 0,
        "unet_evaluations": 900,
        "outside_edit_mask": {"max_level_difference": 0, "psnr_db": None},
        "delivery": {"way": "difference", "replaced": 0.03, "shifted": 0.212, "left": 0.758},
        "preset": "paper",
        "seed": 0,
        "prompt": edit.prompt,
        "model": {"name": "models/m", "fingerprint": "f"},
        "versions": {"torch": "2.13.0"},
    }
    view = {"identity": "c_1", "result": {"url": "http://127.0.0.1:4321/files/x?signature=y"}, "report": {"values": report}}
    picture = tmp_path / f"result-{edit.number}.png"
    sample(edit.of).photo.save(picture)
    return Done(edit, view, picture, tmp_path / f"report-{edit.number}.json", 130.0)


@pytest.fixture
def outcome(tmp_path: Path) -> Outcome:
    return Outcome(tuple(done(tmp_path, edit) for edit in EDITS), Learned("a_1", 20.0), 170.0)


@pytest.fixture(scope="module")
def samples() -> dict[str, Sample]:
    return {name: sample(name) for name in SOURCE_PROMPTS}


def test_a_pixel_outside_the_edit_mask_is_counted(samples: dict[str, Sample]) -> None:
    cat = samples["cat"]
    assert changed_outside(cat, cat.photo) == 0
    inside = inside_of(cat.edit_mask)
    pixels = np.asarray(cat.photo).copy()
    for place in (np.argwhere(inside)[0], *np.argwhere(~inside)[:2]):
        pixels[tuple(place)] ^= 1
    assert changed_outside(cat, Image.fromarray(pixels)) == 2


def test_each_column_says_what_was_given_what_it_cost_and_what_changed(outcome: Outcome, samples: dict[str, Sample]) -> None:
    woman, cat, church, makeup, smile = columns(samples, outcome)
    for column, name in ((woman, "person"), (cat, "cat"), (church, "church")):
        assert column.given.tobytes() == samples[name].photo.tobytes()
        assert column.title == f"edit {column.title[5]}: 130.0 s, learned the {name}"
    assert makeup.given.tobytes() == samples["makeup"].photo.tobytes()
    assert makeup.about == "[A]: makeup, learned in 20.0 s"
    assert smile.title == "edit 5: 130.0 s, the person is known"
    assert smile.about == "white: the person; grey: edit margin"
    assert list(cat.lines) == ["what changed", "3% replaced", "21% recoloured", "76% untouched", "0 pixels outside"]


def test_a_column_compares_with_the_photo_of_its_own_subject(outcome: Outcome, samples: dict[str, Sample]) -> None:
    for column in columns(samples, outcome):
        assert np.ptp(np.asarray(column.inset), axis=2).max() == 0, "the result is the photo, so nothing is coloured"


def test_the_table_fits_a_terminal(outcome: Outcome, samples: dict[str, Sample], capsys: pytest.CaptureFixture[str]) -> None:
    tell(samples, outcome)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["preset", "paper", "1", "person", "2", "cat", "3", "church", "4", "makeup", "5", "person"]
    assert lines[-1].startswith("170.0 s in all")


def test_the_figures_tell_cold_from_warm(tmp_path: Path, outcome: Outcome) -> None:
    path = tmp_path / "results" / "demo.json"
    write_figures(path, outcome)
    values = json.loads(path.read_text())
    assert [edit["of"] for edit in values["edits"]] == ["person", "cat", "church", "person", "person"]
    assert [edit["learning_steps"] for edit in values["edits"]] == [100, 100, 100, 0, 0]
    assert values["edits"][0]["seconds"]["learning"] == 9.5
    assert (values["wall_s"], values["makeup"]) == (170.0, {"wall_s": 20.0})
    assert values["model"]["name"] == "m"
    assert values["machine"]["cores"] >= 1
    assert values["versions"] == {"torch": "2.13.0"}


@pytest.mark.parametrize("file", ["source.png", "figures.json", "strip.webp"])
def test_a_full_disk_leaves_what_an_earlier_demo_saved(
    file: str, tmp_path: Path, outcome: Outcome, samples: dict[str, Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "examine_model", lambda _: Finding("model", "ok", ""))
    monkeypatch.setattr(demo, "_made", lambda *_: outcome)
    (tmp_path / "data").mkdir()
    (tmp_path / file).write_bytes(b"earlier")
    writing: dict[str, Callable[[], None]] = {
        "source.png": lambda: samples["person"].save(tmp_path),
        "figures.json": lambda: write_figures(tmp_path / file, outcome),
        "strip.webp": lambda: demo.run_demo(tmp_path),
    }
    with small_disk(100), pytest.raises(OSError, match=f"too large: '.*{file}'"):
        writing[file]()
    assert (tmp_path / file).read_bytes() == b"earlier"
    assert not list(tmp_path.glob(".s2edit-*"))


def test_the_files_of_the_quickstart_are_among_those_that_are_saved(
    tmp_path: Path, outcome: Outcome, samples: dict[str, Sample]
) -> None:
    for each in samples.values():
        each.save(tmp_path)
    files = saved(samples, outcome, tmp_path)
    assert {"source.png", "mask.png"} <= {file.name for file in files}
    photos = [file for file in files if file.suffix == ".png"]
    assert len(set(files)) == len(files) == 2 * len(samples) + 2 * len(EDITS) + 1
    assert all(file.is_file() for file in photos)


def test_the_printed_commands_hold_together(tmp_path: Path, outcome: Outcome) -> None:
    up, curl, look = (shlex.split(line, comments=True) for line in how_to_go_on(tmp_path, outcome.edits[0], "paper"))
    assert up[1:] == ["up", "--port", "4321", "--data-dir", str(tmp_path / "data")]
    assert curl[2] == "http://127.0.0.1:4321/edits"
    assert "identity=c_1" in curl
    assert "preset=paper" in curl
    assert any(word.startswith("prompt=a photo of a ") for word in curl)
    assert look[2].startswith("http://127.0.0.1:4321/edits/")


def test_without_a_preset_the_printed_commands_leave_it_to_the_service(tmp_path: Path, outcome: Outcome) -> None:
    assert "preset=" not in " ".join(how_to_go_on(tmp_path, outcome.edits[0], None))
