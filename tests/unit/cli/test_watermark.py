"""`s2edit watermark`: one line of output and an exit status."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from cli.main import app
from lab.world.person import DOMAIN
from s2edit_core.delivery.watermark import mark


def watermark_of(file: Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["watermark", str(file)])
    return result.exit_code, result.output


@pytest.fixture
def portrait() -> Image.Image:
    return DOMAIN.render(DOMAIN.sample(2), 256)


def test_a_marked_picture(portrait: Image.Image, tmp_path: Path) -> None:
    file = tmp_path / "marked.jpg"
    mark(portrait).save(file, quality=85)
    status, output = watermark_of(file)
    assert status == 0
    assert output.startswith("marked: 32 of 32 bits are right")
    assert "by luck: 2.3e-10" in output


def test_an_unmarked_picture(portrait: Image.Image, tmp_path: Path) -> None:
    portrait.save(tmp_path / "plain.png")
    status, output = watermark_of(tmp_path / "plain.png")
    assert status == 1
    assert output.startswith("not marked:")
    assert "30 are needed" in output


def test_a_picture_that_is_too_small_for_the_watermark(portrait: Image.Image, tmp_path: Path) -> None:
    portrait.resize((128, 128)).save(tmp_path / "small.png")
    assert watermark_of(tmp_path / "small.png") == (1, "not marked: 128×128 is too small for it: 65536 pixels are needed\n")


@pytest.mark.parametrize("data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n and then nothing"])
def test_an_unreadable_file_has_its_own_status(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "file.png").write_bytes(data)
    status, output = watermark_of(tmp_path / "file.png")
    assert status == 2
    assert "file.png: the image is" in output


def test_a_missing_file(tmp_path: Path) -> None:
    status, output = watermark_of(tmp_path / "nowhere.png")
    assert status == 2
    assert "does not exist" in " ".join(output.replace("│", "").split())  # the terminal wraps a long path
