"""What `python -m s2edit_core` refuses: it ends with status 2 and says what would be right, before it computes anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from s2edit_core.commands.progress import say
from s2edit_core.concepts.concept import Concept
from s2edit_core.errors import ModelUnusable, NumbersNotFinite
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.unet.backbone import Backbone
from s2edit_core.vision.segmenters import FoundMask
from tests.unit.core.commands.runs import COMPOSED, REFERENCE_WORDS, SOURCE, TARGET, compose, edit, picture, region, run


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--mask", "nowhere.png"), "the mask nowhere.png can't be read: No such file"),
        (("--edit-mask", "photo.txt"), "is not a PNG, JPEG, WebP, AVIF or HEIC image"),
        (("--edit-mask", "empty.png"), "empty.png: the edit_mask is empty"),
        (("--target", "a lighthouse"), "no word of the prompt names the subject"),
        (("--target", COMPOSED), "the prompt holds [A]"),
        (("--target", "a woman" + " with a red hat" * 9), "tokens"),
        (("--strength", "0"), "above 0 and at most 1"),
        (("--steps", "1"), "steps must be a whole number between 2"),
        (("--guidance-scale", "99"), "guidance_scale must be a number between 1"),
        (("-o", "nowhere/out.png"), "there is no folder nowhere"),
        (("-o", "out.gif"), "results are PNG, JPEG or WebP"),
        (("--output-quality", "90"), "a PNG is lossless"),
        (("-o", "out.jpg", "--keep-alpha"), "a JPEG has no alpha"),
        (("--negative-prompt", "[I] glasses"), "the negative_prompt holds [I]"),
        (("--negative-prompt", "a red hat" * 20), "the negative_prompt has"),
        (("--target", "a photo of a woman with (red hair:1.3)"), "holds '(red hair:1.3)': weights are not supported"),
        (("--identity", "photo.txt"), "not a readable s2edit-concept"),
        (("--identity", "nowhere.safetensors"), "nowhere.safetensors: No such file"),
        (("--attribute", "nowhere.safetensors", "lips.png"), "nowhere.safetensors: No such file"),
        (("--attribute", "nowhere.safetensors"), "nowhere.safetensors: No such file"),
        (("--attribute", "one.safetensors", "lips.png", "two.safetensors"), "repeat it for each attribute"),
    ],
)
def test_bad_input_ends_with_2_and_says_what_would_be_right(
    argv: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, backbone32: Backbone
) -> None:
    """And before the model has computed anything."""
    Path("photo.txt").write_text("not a picture, though it has more than eight letters")
    Image.new("L", (64, 64)).save("empty.png")
    monkeypatch.setattr(backbone32, "evaluate", lambda _rows: pytest.fail("it began"))
    assert edit(*argv) == 2
    error = capsys.readouterr().err
    assert error.startswith("s2edit_core: ")
    assert said in error
    assert not Path("out.png").exists()


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--target", "a woman with lipstick"), "write [A] lipstick"),
        (("--target", "a woman with lipstick [A]"), "write [A] lipstick"),
        (("--name", "makeup"), "is not a placeholder"),
        (("--name", "[I]"), "[I] is for people"),
        (("--reference", "nowhere.png"), "the reference nowhere.png can't be read"),
        (("--reference-prompt", "a woman"), "the reference_prompt does not hold the subject 'lipstick'"),
        (("--reference-prompt", "a woman with [B] lipstick"), "the reference_prompt holds [B]"),
        (("--reference-prompt", "a woman with lipstick" + " and a hat" * 20), "the reference_prompt has"),
        (("--reference-subject", "x" * 2000), "the reference_subject has 2,000 characters"),
        (("--reference-subject", " "), "the reference_subject must be one to 4 words"),
    ],
)
def test_bad_compositions_too(
    argv: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, backbone32: Backbone
) -> None:
    monkeypatch.setattr(backbone32, "evaluate", lambda _rows: pytest.fail("it began"))
    assert compose(*argv) == 2
    assert said in capsys.readouterr().err


TOKEN = torch.zeros(16)
LONG = "a photo of a woman" + " with a red hat" * 9


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--prompt", LONG), "the prompt has"),
        (("--prompt", SOURCE, "--subject", "man"), "the prompt does not hold the subject 'man'"),
        (("--prompt", "a lighthouse"), "no word of the prompt names the subject"),
        (("--prompt", SOURCE, "--subject", " "), "the subject must be one to 4 words"),
        (("--prompt", SOURCE, "--subject", "x" * 2000), "the subject has 2,000 characters, but must be one to 4 words"),
        (("--prompt", LONG, "--attribute", "--subject", "hat"), "the prompt has"),
        (("--prompt", SOURCE, "--attribute", "--subject", "lipstick"), "the prompt does not hold the subject 'lipstick'"),
    ],
)
def test_learn_names_its_own_prompt(argv: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("learn", "photo.png", "--mask", "face.png", "-o", "who.safetensors", *argv) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"s2edit_core: {said}")
    assert "source_prompt" not in error


@pytest.mark.parametrize("asked", [("--source", LONG), ("--source", "a photo of a dog", "--subject", "woman"), ("--source", " ")])
def test_an_error_names_the_option_of_the_prompt(asked: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert edit(*asked) == compose(*asked) == 2
    for error in capsys.readouterr().err.splitlines():
        assert error.startswith("s2edit_core: --source: the source_prompt ")
    if "--subject" not in asked:
        assert run("invert", "photo.png", "--mask", "face.png", "-o", "inversion.safetensors", *asked) == 2
        assert capsys.readouterr().err.startswith("s2edit_core: --source: the ")
    assert edit("--target", "[A] woman") == 2
    assert capsys.readouterr().err.startswith("s2edit_core: --target: the prompt holds [A]")
    assert edit("--source", "a lighthouse") == 2
    assert "no word of the source_prompt names the subject" in capsys.readouterr().err


def test_an_attribute_needs_a_placeholder_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("--mask", "face.png", "--subject", "lipstick", "-o", "a.safetensors", "--prompt")
    assert run("learn", "photo.png", *asked, "a woman with lipstick", "--attribute", "[I]") == 2
    assert "[I] is for people" in capsys.readouterr().err
    assert run("learn", "photo.png", *asked, "a woman with lipstick", "--attribute", "A") == 2
    assert "'A' is not a placeholder" in capsys.readouterr().err
    assert run("learn", "photo.png", *asked, "a woman with [B] lipstick", "--attribute") == 2
    assert "holds [B]" in capsys.readouterr().err


def test_an_attribute_needs_its_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("learn", "photo.png", "--mask", "face.png", "--prompt", SOURCE, "--attribute", "-o", "a.safetensors") == 2
    assert "--attribute needs --subject" in capsys.readouterr().err


ATTRIBUTE = ("--prompt", "a woman with lipstick", "--subject", "lipstick", "--attribute")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("learn", "--prompt", SOURCE, "--person", "face.png"), "--person says who shows an attribute"),
        (("learn", *ATTRIBUTE, "--words", "red"), "--words acts on an attribute only with --mode or --export"),
        (("learn", *ATTRIBUTE, "--mode", "token", "--words", "unheardof"), "'unheardof' is none of these"),
        (("learn", "--prompt", SOURCE, "--words", "red"), "--words is of an attribute"),
        (("learn", "--prompt", SOURCE, "--attribute", ""), "--attribute is empty"),
        (("learn", "--prompt", SOURCE, "--export", ""), "--export is empty"),
        (("edit", "--target", TARGET, "--identity", "who", "--mode", "token"), "--mode says how the person is learned"),
        (("edit", "--target", TARGET, "--source", "a [B] woman"), "the source_prompt holds [B]"),
        (("edit", "--target", TARGET, "--inversion", "inverted"), "--inversion was made with an identity: give --identity too"),
        (("edit", "--target", TARGET, "--identity", ""), "--identity is empty"),
        (("edit", "--target", TARGET, "--edit-mask", ""), "--edit-mask is empty"),
        (("invert", "--source", "a [I] woman"), "the source_prompt holds [I]"),
        (("invert", "--source", SOURCE, "--mask", ""), "--mask is empty"),
    ],
)
def test_an_option_without_effect_is_refused(
    argv: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, backbone32: Backbone
) -> None:
    monkeypatch.setattr(backbone32, "evaluate", lambda _rows: pytest.fail("it began"))
    command, *options = argv
    assert run(command, "photo.png", "--mask", "face.png", "-o", "out.png" if command == "edit" else "out", *options) == 2
    assert said in capsys.readouterr().err


def test_a_mask_mode_says_how_to_read_the_reference_too(capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGBA", (64, 64)).save("their-lips.png")
    reference = ("--reference", "reference.png", "--reference-region", "their-lips.png", *REFERENCE_WORDS)
    assert run("compose", "photo.png", "--target", COMPOSED, "-o", "out.png", *reference, "--mask-mode", "alpha") == 2
    assert "their-lips.png: the region" in capsys.readouterr().err


def test_an_empty_negative_prompt_is_none() -> None:
    assert edit("--source", SOURCE, "--negative-prompt", "") == 0


def test_a_file_that_holds_something_else_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, backbone32: Backbone
) -> None:
    """Before anything is computed, and whatever the target says."""
    Concept(TOKEN, fingerprint=backbone32.fingerprint, subject="woman").save("who")
    for name in ("makeup", "again"):
        Concept(TOKEN, fingerprint=backbone32.fingerprint, placeholder="[A]", subject="lipstick").save(name)
    Concept(TOKEN, fingerprint="another").save("foreign")
    monkeypatch.setattr(backbone32, "evaluate", lambda _rows: pytest.fail("it began"))

    def said(*argv: str) -> str:
        assert run(*argv) == 2
        return capsys.readouterr().err

    shared = ("photo.png", "--mask", "face.png", "-o", "out.png", "--target")
    for target in (TARGET, COMPOSED):
        attribute = "makeup holds the attribute [A] lipstick: --identity takes the file of an identity, which `learn` writes"
        assert attribute in said("edit", *shared, target, "--identity", "makeup")
        identity = "who holds the identity [I] woman: --attribute takes the file of an attribute, which `learn --attribute` writes"
        assert identity in said("edit", *shared, target, "--attribute", "who")
    assert attribute in said("invert", "photo.png", "--source", SOURCE, "-o", "inversion", "--identity", "makeup")
    for option in ("--identity", "--attribute"):
        assert "foreign: made with another model" in said("edit", *shared, TARGET, option, "foreign")
    wrong = "who: expected a s2edit-inversion"
    assert wrong in said("edit", *shared, TARGET, "--identity", "who", "--inversion", "who")
    twice = ("--attribute", "makeup", "--attribute", "again")
    assert "two attributes have the placeholder [A]" in said("edit", *shared, COMPOSED, *twice)


def test_a_model_that_is_none_ends_with_2_and_a_computation_gone_wrong_with_1(
    backbone32: Backbone, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def gone_wrong(_rows: Any) -> Any:
        raise NumbersNotFinite("not finite")

    monkeypatch.setattr(backbone32, "evaluate", gone_wrong)
    assert edit() == 1

    def unusable(_model: str, device: str) -> Any:
        raise ModelUnusable("the model 'x' can't be loaded")

    monkeypatch.setattr(S2EditPipeline, "from_pretrained", unusable)
    assert edit() == 2
    assert "can't be loaded" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["1_0", "+10", "\uff11\uff10", "\u0661", "x"])
@pytest.mark.parametrize("option", ["--steps", "--seed", "--max-pixels", "--strength", "--guidance-scale", "--output-quality"])
def test_numbers_are_written_in_decimal_digits(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        edit(option, value)
    assert "in digits from 0 to 9" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["1_0,20", "10,+20", "\u0661,2"])
def test_a_point_is_written_in_decimal_digits(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        edit("--at", value)
    assert "is no point" in capsys.readouterr().err


def test_what_argparse_refuses_ends_with_2_too() -> None:
    with pytest.raises(SystemExit) as ended:
        run("edit", "photo.png")
    assert ended.value.code == 2


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (("--mask-mode", "alpha"), "--mask-mode says how to read a mask"),
        (("--edit-mask-mode", "alpha"), "--edit-mask-mode says how to read --edit-mask"),
        (("--edit-mask", "face.png", "--mask-mode", "alpha", "--edit-mask-mode", "auto"), "--mask-mode says how to read a mask"),
    ],
)
def test_a_way_to_read_masks_without_a_mask_is_refused(
    argv: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("edit", "photo.png", "--source", SOURCE, "--target", TARGET, "-o", "out.png", *argv) == 2
    assert told in capsys.readouterr().err


def test_a_mask_that_max_pixels_makes_too_small_names_the_pixels_that_would_do(capsys: pytest.CaptureFixture[str]) -> None:
    picture(1).resize((1200, 900)).save("photo.png")
    mask = Image.new("L", (1200, 900))
    mask.paste(255, (0, 0, 60, 60))
    mask.save("face.png")
    assert edit("--source", SOURCE, "--max-pixels", "65536") == 2
    assert "set max_pixels to " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (("edit", "-o", "nowhere/out.png"), "there is no folder nowhere"),
        (("edit", "-o", "photo.png/out.png"), "there is no folder photo.png"),
        (("edit", "-o", "."), "is a folder"),
        (("edit", "-o", "out.gif"), "results are PNG, JPEG or WebP"),
        (("edit", "-o", "out.png", "--report", "nowhere/report.json"), "there is no folder nowhere"),
        (("edit", "-o", "out.png", "--report", "report.png"), "--report writes no picture: name the file .json"),
        (("edit", "-o", "out.png", "--report", "./out.png"), "writes no picture"),
        (("edit", "-o", "out.png", "--keep-mask", "mask.jpg"), "a mask that is found is a PNG"),
        (("edit", "-o", "out.png", "--keep-mask", "out.png"), "two outputs have the same file"),
        (("edit", "-o", "out.png", "--keep-mask", "./out.png"), "two outputs have the same file"),
        (("compose", "-o", "out.png", "--keep", "nowhere/a.safetensors"), "there is no folder nowhere"),
        (("compose", "-o", "out.png", "--keep", "a.jpg"), "writes no picture"),
        (("learn", "-o", "who.jpg"), "writes no picture"),
        (("learn", "-o", "who", "--checkpoint", "nowhere/state"), "there is no folder nowhere"),
        (("learn", "-o", "who", "--checkpoint", "who"), "two outputs have the same file"),
        (("learn", "-o", "who", "--export", "photo.png"), "name a folder"),
        (("learn", "-o", "who", "--export", "photo.png/there"), "name a folder"),
        (("invert", "-o", "inversion.png"), "--output writes no picture: name the file .safetensors"),
        (("edit", "-o", "photo.png"), "photo.png is to be read and written"),
        (("edit", "--mask", "face.png", "-o", "./face.png"), "face.png is to be read and written"),
    ],
)
def test_outputs_are_checked_before_anything_is_read(
    argv: tuple[str, ...], reason: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the command has begun")

    command, *options = argv
    needed = {
        "edit": ("--target", TARGET),
        "learn": ("--prompt", SOURCE),
        "invert": ("--source", SOURCE),
        "compose": (
            *("--target", COMPOSED, "--region", "lips.png", "--reference", "reference.png", "--reference-region", "their-lips.png"),
            *("--reference-prompt", "a woman with lipstick", "--reference-subject", "lipstick"),
        ),
    }
    monkeypatch.setattr(Path, "read_bytes", never)
    assert run(command, "photo.png", *needed[command], *options) == 2
    assert reason in " ".join(capsys.readouterr().err.split())


def test_a_file_name_that_is_no_utf8_can_be_reported(capsys: pytest.CaptureFixture[str]) -> None:
    say("o\udcff.png  2 s")
    assert capsys.readouterr().out == "o\\udcff.png  2 s\n"


def test_a_person_found_too_small_is_refused_as_one_that_is_marked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Seer:
        def find(self, photo: Image.Image, *, prompt: str, at: tuple[int, int] | None = None) -> FoundMask:
            return FoundMask(region(16, 16, 36, 36), 0.9, 1, "seer")

    monkeypatch.setattr(S2EditPipeline, "segmenter", lambda _self, _name: Seer())
    assert run("edit", "photo.png", "--source", SOURCE, "--target", TARGET, "-o", "out.png") == 2
    assert "the region in the mask is 20 pixels long in the photo; it needs 32 or more" in capsys.readouterr().err


def test_a_gpu_that_is_not_there_is_missed_before_anything_is_loaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert edit("--device", "cuda:1") == 2
    assert "--device cuda:1 needs a GPU that torch" in capsys.readouterr().err
