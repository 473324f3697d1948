"""`python -m s2edit_core` on files, over the tiny model: what it writes, what it says, and how it ends."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from s2edit_core.__main__ import main
from s2edit_core.commands.progress import ProgressBars
from s2edit_core.concepts.concept import Concept
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.request.domains import Domain
from s2edit_core.request.spec import Progress
from s2edit_core.unet.backbone import Backbone
from s2edit_core.vision.segmenters import FoundMask
from s2edit_jobs.settings import ROOT
from tests.small_disk import small_disk
from tests.tiny import save_tiny
from tests.unit.core.commands.runs import COMPOSED, SOURCE, TARGET, compose, edit, picture, pixels, region, run


def test_edit_writes_the_picture_and_its_report(capsys: pytest.CaptureFixture[str]) -> None:
    assert edit("--source", SOURCE, "--report", "report.json", "--seed", "5") == 0
    assert pixels("out.png").shape == (64, 64, 3)
    assert not np.array_equal(pixels("out.png"), pixels("photo.png"))
    report = json.loads(Path("report.json").read_text())
    assert report["source_prompt"] == "a photo of a [I] woman with black hair"
    assert report["prompt"] == "a photo of a [I] woman with red hair"
    assert (report["seed"], report["preset"], report["inversion"]["steps"]) == (5, "balanced", 3)
    assert set(report["seconds"]) == {"learning", "inverting", "editing", "finishing", "total"}
    assert report["outside_edit_mask"]["max_level_difference"] == 0
    said = capsys.readouterr()
    assert said.out.startswith("out.png ")
    assert "step" not in said.err  # no bar was wanted


@pytest.mark.parametrize(("output", "format"), [("out.jpg", "JPEG"), ("out.webp", "WEBP")])
def test_the_name_of_the_output_says_its_format(output: str, format: str, capsys: pytest.CaptureFixture[str]) -> None:
    steered = ("--negative-prompt", "glasses", "--strength", "0.7", "--output-quality", "60", "--report", "report.json")
    assert edit("--source", SOURCE, *steered, output=output) == 0
    with Image.open(output) as picture:
        assert (picture.format, picture.size) == (format, (64, 64))
    report = json.loads(Path("report.json").read_text())
    assert (report["negative_prompt"], report["strength"]) == ("glasses", 0.7)
    assert (report["output"]["format"], report["output"]["quality"]) == (format.lower(), 60)
    changed = report["outside_edit_mask"]["max_level_difference"]
    assert changed > 0
    assert f"largest change outside the edit mask: {changed} of 255 levels" in capsys.readouterr().out


def test_a_large_photo_is_scaled_down_where_that_is_allowed(capsys: pytest.CaptureFixture[str]) -> None:
    picture(1).resize((640, 480)).save("photo.png")
    region(16, 16, 48, 48).resize((640, 480)).save("face.png")
    assert edit("--source", SOURCE, "--report", "report.json", "--max-pixels", "76800") == 0
    assert pixels("out.png").shape == (240, 320, 3)
    report = json.loads(Path("report.json").read_text())
    assert (report["input_size"], report["input_scale"]) == ([640, 480], 0.5)
    assert edit("--max-pixels", "7") == 2
    assert "max_pixels must be" in capsys.readouterr().err


def test_what_is_learned_and_inverted_apart_gives_the_same_picture(capsys: pytest.CaptureFixture[str]) -> None:
    assert edit("--source", SOURCE, "--seed", "5") == 0
    learned = ("--prompt", SOURCE, "--subject", "woman", "-o", "who.safetensors", "--seed", "5")
    assert run("learn", "photo.png", "--mask", "face.png", *learned) == 0
    inverted = ("--identity", "who.safetensors", "--source", SOURCE, "-o", "inversion.safetensors")
    assert run("invert", "photo.png", "--mask", "face.png", *inverted) == 0
    kept = ("--identity", "who.safetensors", "--inversion", "inversion.safetensors")
    assert edit("--source", SOURCE, *kept, output="again.png") == 0
    assert np.array_equal(pixels("out.png"), pixels("again.png"))
    assert edit("--source", SOURCE, *kept, "--seed", "6", output="other.png") == 0
    assert not np.array_equal(pixels("out.png"), pixels("other.png")), "another seed gives another picture"
    assert edit("--source", SOURCE, *kept, "--steps", "7") == 2
    assert "--steps: num_inference_steps is 7, but the inversion was made with" in capsys.readouterr().err
    assert edit("--source", "a photo of a woman", *kept) == 2
    assert f"--source: the inversion was made with {SOURCE!r}" in capsys.readouterr().err
    assert edit(*kept, output="same.png") == 0
    assert np.array_equal(pixels("out.png"), pixels("same.png")), "its source prompt need not be said again"


def test_without_a_mask_one_is_looked_for_and_kept() -> None:
    asked = ("--source", SOURCE, "--target", TARGET, "-o")
    assert run("edit", "photo.png", "--keep-mask", "found.png", *asked, "out.png") == 0
    with Image.open("found.png") as found:
        assert (found.mode, found.size) == ("L", (64, 64))
        assert set(np.unique(np.asarray(found)).tolist()) == {0, 255}
    assert run("edit", "photo.png", "--mask", "found.png", *asked, "again.png") == 0
    assert np.array_equal(pixels("out.png"), pixels("again.png"))
    assert run("learn", "photo.png", "--prompt", SOURCE, "-o", "who.safetensors") == 0
    inverted = ("--identity", "who.safetensors", "--source", SOURCE, "-o", "inversion.safetensors")
    assert run("invert", "photo.png", *inverted) == 0
    kept = ("--identity", "who.safetensors", "--inversion", "inversion.safetensors")
    assert run("edit", "photo.png", *kept, *asked, "last.png") == 0
    assert np.array_equal(pixels("out.png"), pixels("last.png"))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What segmenters are asked: their names as they are opened, then prompt and point."""
    told: list[Any] = []

    class Seer:
        def find(self, photo: Image.Image, *, prompt: str, at: tuple[int, int] | None = None) -> FoundMask:
            told.append((prompt, at))
            return FoundMask(region(16, 16, 48, 48), 0.9, 2, "seer")

    monkeypatch.setattr(S2EditPipeline, "segmenter", lambda _self, name: told.append(name) or Seer())
    return told


def test_the_segmenter_and_the_person_can_be_chosen(asked: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    wanted = ("--source", SOURCE, "--target", TARGET, "--report", "report.json", "-o", "out.png")
    assert run("edit", "photo.png", "--segmenter", "seer", "--at", "20,30", *wanted) == 0
    assert asked == ["seer", (SOURCE, (20, 30))]
    assert json.loads(Path("report.json").read_text())["found_mask"] == {"segmenter": "seer", "confidence": 0.9, "people": 2}
    assert edit("--source", SOURCE, "--report", "report.json", output="again.png") == 0
    assert np.array_equal(pixels("out.png"), pixels("again.png"))
    assert "found_mask" not in json.loads(Path("report.json").read_text()), "a mask was given"
    for option, value in (("--segmenter", "seer"), ("--at", "1,2")):
        assert edit(option, value) == 2
        assert f"leave out --mask or {option}" in capsys.readouterr().err
    assert run("learn", "photo.png", "--mask", "face.png", "--prompt", SOURCE, "--attribute", "--at", "1,2", "-o", "a") == 2
    assert capsys.readouterr().err.endswith("is to be found: leave out --at\n"), "an attribute needs its mask"
    with pytest.raises(SystemExit):
        run("edit", "photo.png", "--at", "left", *wanted)
    assert "write X,Y in pixels" in capsys.readouterr().err


def test_the_segmenter_of_who_shows_an_attribute_can_be_chosen(asked: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    makeup = ("--mask", "their-lips.png", "--prompt", "a woman with lipstick", "--subject", "lipstick", "--attribute")
    assert run("learn", "reference.png", *makeup, "-o", "makeup.safetensors", "--segmenter", "seer") == 0
    assert compose("--segmenter", "seer") == 0
    assert [each for each in asked if each == "seer"] == ["seer", "seer"]
    assert run("learn", "reference.png", *makeup, "-o", "m.safetensors", "--segmenter", "seer", "--person", "face.png") == 2
    assert capsys.readouterr().err.endswith("leave out --segmenter\n")
    assert compose("--segmenter", "seer", "--reference-person", "face.png") == 2
    assert capsys.readouterr().err.endswith("leave out --mask or --segmenter\n")


def test_an_instruction_is_no_prompt_to_learn_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("learn", "photo.png", "--mask", "face.png", "--prompt", "make her hair red", "-o", "her.safetensors") == 2
    assert "instruction" in capsys.readouterr().err


def test_a_segmenter_that_cannot_be_opened_ends_with_what_mends_it(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("--source", SOURCE, "--target", TARGET, "-o", "out.png")
    assert run("edit", "photo.png", "--segmenter", "nowhere.tflite", *asked) == 2
    assert "fetch-segmenter" in capsys.readouterr().err
    assert run("edit", "photo.png", "--at", "64,0", *asked) == 2
    assert "outside the photo, which is 64 × 64" in capsys.readouterr().err


def test_fetching_the_segmenter_says_where_it_lies(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("s2edit_core.vision.litert.fetch_mediapipe", lambda: Path("there.tflite"))
    assert main(["fetch-segmenter"]) == 0
    assert capsys.readouterr().out == "there.tflite\n"


def test_a_mask_that_cannot_be_kept_is_refused_before_anything_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("--source", SOURCE, "--target", TARGET, "-o", "out.png")
    assert run("edit", "photo.png", "--mask", "face.png", "--keep-mask", "found.png", *asked) == 2
    assert "leave out --mask or --keep-mask" in capsys.readouterr().err
    assert run("edit", "photo.png", "--keep-mask", "nowhere/found.png", *asked) == 2
    assert "there is no folder nowhere" in capsys.readouterr().err


def test_a_mask_mode_needs_a_mask_to_read(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("--target", "a photo of a smiling woman", "--mask-mode", "alpha", "--attribute", "makeup.safetensors", "-o", "out.png")
    assert run("edit", "photo.png", *asked) == 2
    assert "--mask-mode says how to read a mask" in capsys.readouterr().err


def test_an_attribute_needs_its_mask(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("--prompt", SOURCE, "--attribute", "--subject", "woman", "-o", "a.safetensors")
    assert run("learn", "photo.png", *asked) == 2
    assert "--attribute needs --mask" in capsys.readouterr().err


def test_a_learned_attribute_is_put_on_somebody_else() -> None:
    makeup = ("--prompt", "a woman with lipstick", "--subject", "lipstick", "--attribute", "-o", "makeup.safetensors")
    assert run("learn", "reference.png", "--mask", "their-lips.png", *makeup, "--export", "for-diffusers") == 0
    assert sorted(path.name for path in Path("for-diffusers").iterdir()) == [
        "learned_embeds.safetensors",
        "pytorch_lora_weights.safetensors",
    ]
    put_on = ("--attribute", "makeup.safetensors", "lips.png", "--target", COMPOSED, "--report", "report.json")
    assert edit(*put_on) == 0
    report = json.loads(Path("report.json").read_text())
    assert report["prompt"] == "a [I] woman with [A] lipstick"
    assert report["leakage"] == {"[I]": 0.0, "[A]": 0.0}


def learned(path: str, backbone: Backbone) -> Concept:
    return Concept.load(path, fingerprint=backbone.fingerprint)


def test_an_attribute_is_learned_as_columns_unless_another_mode_is_wanted(backbone32: Backbone) -> None:
    makeup = ("--prompt", "a woman with lipstick", "--subject", "lipstick", "--attribute", "-o")
    assert run("learn", "reference.png", "--mask", "their-lips.png", *makeup, "columns.safetensors") == 0
    assert learned("columns.safetensors", backbone32).padding == 3
    assert run("learn", "reference.png", "--mask", "their-lips.png", *makeup, "token.safetensors", "--mode", "token") == 0
    token = learned("token.safetensors", backbone32)
    assert (token.keys, token.key_columns) == ((), ())
    for path in ("columns.safetensors", "token.safetensors"):
        assert edit("--attribute", path, "lips.png", "--target", COMPOSED) == 0
        assert edit("--attribute", path, "--target", COMPOSED) == 0


def test_an_attribute_whose_word_the_target_misses_is_noticed_before_the_person_is_learned(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, backbone32: Backbone
) -> None:
    makeup = ("--prompt", "a woman with lipstick", "--subject", "lipstick", "--attribute", "-o", "makeup.safetensors")
    assert run("learn", "reference.png", "--mask", "their-lips.png", *makeup) == 0
    monkeypatch.setattr(backbone32, "evaluate", lambda _rows: pytest.fail("it began"))
    assert edit("--attribute", "makeup.safetensors", "--target", "a woman with [A] earrings") == 2
    assert "write [A] lipstick" in capsys.readouterr().err


def test_what_may_have_gone_wrong_is_printed(
    capsys: pytest.CaptureFixture[str], backbone32: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    domains = (Domain(("woman",), ("lipstick",), closed_vocabulary=True),)
    monkeypatch.setattr(backbone32, "card", replace(backbone32.card, domains=domains))
    (region(0, 0, 16, 16)).save("corner.png")
    makeup = ("--prompt", "a woman with lipstik", "--subject", "lipstik", "--attribute", "-o", "makeup.safetensors")
    assert run("learn", "reference.png", "--mask", "corner.png", *makeup) == 0
    out = capsys.readouterr().out
    assert "warning: the model was trained without the word \u201clipstik\u201d" in out
    assert edit("--target", "a sad woman with lipstick", "--report", "report.json") == 0
    (warning,) = json.loads(Path("report.json").read_text())["warnings"]
    assert f"warning: {warning}\n" in capsys.readouterr().out
    assert "\u201csad\u201d" in warning


def test_compose_learns_the_attribute_as_columns_and_finds_its_region(backbone32: Backbone) -> None:
    assert compose("--keep", "makeup.safetensors", "--report", "report.json", region=None) == 0
    assert learned("makeup.safetensors", backbone32).padding == 3
    report = json.loads(Path("report.json").read_text())
    assert report["attributes"]["[A]"]["phases"]["columns"]["steps"] == 2
    assert report["concept"]["steps"] == 12
    assert report["leakage"]["[I]"] == 0.0


def test_compose_learns_both_together_in_a_mode_of_the_person_and_edits() -> None:
    both = ("--mode", "lora_kv", "--keep", "makeup.safetensors", "--report", "report.json")
    assert compose(*both, "--reference-person", "face.png") == 0
    report = json.loads(Path("report.json").read_text())
    assert report["concept"]["max_abs_cosine_to_others"] == report["attributes"]["[A]"]["max_abs_cosine_to_others"]
    assert edit("--attribute", "makeup.safetensors", "lips.png", "--target", COMPOSED) == 0


def test_learning_goes_on_from_its_checkpoint(folder: Path, backbone32: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    learn = ("learn", "photo.png", "--mask", "face.png", "--prompt", SOURCE, "--checkpoint", "state.safetensors", "-o")
    assert run(*learn, "whole.safetensors") == 0
    assert not Path("state.safetensors").exists()
    evaluate, calls = backbone32.evaluate, []

    def failing(rows: Any) -> Any:
        if rows:  # what comes before the first step only pauses
            calls.append(len(rows))
        if rows and len(calls) == 12:
            raise KeyboardInterrupt
        return evaluate(rows)

    monkeypatch.setattr(backbone32, "evaluate", failing)
    assert run(*learn, "cut.safetensors") == 130
    assert Path("state.safetensors").exists()
    assert not Path("cut.safetensors").exists()
    assert run(*learn, "cut.safetensors") == 0
    assert len(calls) == 14  # eleven steps and the cut, then two after the checkpoint of the tenth
    assert Path("cut.safetensors").read_bytes() == Path("whole.safetensors").read_bytes()


PHOTO, LEARN = ("photo.png", "--mask", "face.png"), ("--prompt", SOURCE, "--subject", "woman")
WRITTEN: dict[str, tuple[str, ...]] = {
    "edited.png": ("edit", *PHOTO, "--target", TARGET, "-o", "edited.png"),
    "edited.jpg": ("edit", *PHOTO, "--target", TARGET, "-o", "edited.jpg"),
    "report.json": ("edit", *PHOTO, "--target", TARGET, "-o", "none.png", "--report", "report.json"),
    "found.png": ("edit", "photo.png", "--target", TARGET, "-o", "none.png", "--keep-mask", "found.png"),
    "who.safetensors": ("learn", *PHOTO, *LEARN, "-o", "who.safetensors"),
    "state.safetensors": ("learn", *PHOTO, *LEARN, "-o", "none", "--checkpoint", "state.safetensors"),
    "folder/learned_embeds.safetensors": ("learn", *PHOTO, *LEARN, "-o", "none", "--export", "folder"),
    "inversion.safetensors": ("invert", *PHOTO, "--source", SOURCE, "-o", "inversion.safetensors"),
}
"""Commands by the file that they write and that a full disk cuts. `none` leads to no file."""


@pytest.mark.parametrize("file", WRITTEN)
def test_a_full_disk_leaves_each_output_as_it_was(file: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("none", "none.png"):
        Path(name).symlink_to("/dev/null")
    Path("folder").mkdir()
    Path(file).write_bytes(b"earlier")
    if file == "state.safetensors":
        Path(file).unlink()  # else learning would resume from it
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with small_disk(50):
        assert run(*WRITTEN[file]) == 2
    assert capsys.readouterr().err == f"s2edit_core: {file}: File too large\n"
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_full_disk_leaves_what_compose_keeps_as_it_was(folder: Path) -> None:
    Path("makeup.safetensors").write_bytes(b"earlier")
    with small_disk(50):
        assert compose("--keep", "makeup.safetensors") == 2
    assert Path("makeup.safetensors").read_bytes() == b"earlier"
    assert not Path("out.png").exists()


def test_a_bar_shows_each_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with ProgressBars(quiet=False) as bars:
        for step in (1, 2):
            bars.show(Progress("learning", step, 2, 0.5))
        bars.show(Progress("inverting", 3, 4))
    said = terminal.getvalue()
    assert "learning" in said
    assert "2/2" in said
    assert "inverting" in said


def test_quiet_hides_the_libraries_progress_bars(tmp_path: Path) -> None:
    """In a process of its own, where no other test has changed what the libraries show."""
    model = save_tiny(tmp_path / "model")
    asked = ("photo.png", "--mask", "face.png", "--target", COMPOSED, "--model", str(model), "-o", "out.png")

    def errors(*options: str) -> list[str]:
        command = (sys.executable, "-m", "s2edit_core", "edit", *asked, *options)
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)})
        assert done.returncode == 2
        return done.stderr.splitlines()

    assert "Loading weights" in "".join(errors())
    (error,) = errors("--quiet")
    assert error.startswith("s2edit_core: --target: the prompt holds [A]")


def test_help_needs_neither_torch_nor_a_model() -> None:
    code = "import sys, runpy; sys.argv = ['x', '--help']\ntry: runpy.run_module('s2edit_core', run_name='__main__')\n"
    code += "except SystemExit: print('torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.rstrip().endswith("False")
    assert "edit | compose | learn | invert" in said


def test_each_mask_may_be_read_in_a_way_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    hole = Image.new("RGBA", (64, 64), "gray")
    hole.putalpha(region(16, 16, 48, 48).point(lambda level: 255 - level))
    hole.save("hole.png")
    assert edit("--source", SOURCE, "--edit-mask", "hole.png") == 2
    assert "edit_mask_mode=inverted_alpha" in capsys.readouterr().err
    assert edit("--source", SOURCE, "--edit-mask", "hole.png", "--edit-mask-mode", "inverted_alpha") == 0
    changed = (pixels("out.png") != pixels("photo.png")).any(axis=2)
    assert changed.any()
    assert not changed[np.asarray(region(16, 16, 48, 48)) == 0].any()
