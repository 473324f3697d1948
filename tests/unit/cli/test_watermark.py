"""`s2edit watermark`: one line and an exit status, for whoever comes upon a picture."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from cli.main import app
from lab.world.people import sample_person
from lab.world.portraits import render
from s2edit_core.delivery.watermark import mark


def asked(file: Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["watermark", str(file)])
    return result.exit_code, result.output


@pytest.fixture
def portrait() -> Image.Image:
    return render(sample_person(2), 256)


def test_a_marked_picture(portrait: Image.Image, tmp_path: Path) -> None:
    file = tmp_path / "marked.jpg"
    mark(portrait).save(file, quality=85)
    status, said = asked(file)
    assert status == 0
    assert said.startswith("marked: 32 of 32 bits are right")
    assert "by luck: 2.3e-10" in said


def test_a_picture_without_a_mark(portrait: Image.Image, tmp_path: Path) -> None:
    portrait.save(tmp_path / "plain.png")
    status, said = asked(tmp_path / "plain.png")
    assert status == 1
    assert said.startswith("not marked:")
    assert "30 are needed" in said


def test_a_picture_too_small_for_a_mark(portrait: Image.Image, tmp_path: Path) -> None:
    portrait.resize((128, 128)).save(tmp_path / "small.png")
    assert asked(tmp_path / "small.png") == (1, "not marked: 128×128 is too small for it: 65536 pixels are needed\n")


@pytest.mark.parametrize("data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n and then nothing"])
def test_what_is_no_picture_has_a_status_of_its_own(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "file.png").write_bytes(data)
    status, said = asked(tmp_path / "file.png")
    assert status == 2
    assert "file.png: the image is" in said


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    status, said = asked(tmp_path / "nowhere.png")
    assert status == 2
    assert "does not exist" in said
