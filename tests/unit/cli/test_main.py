from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from cli.main import app
from cli.service import free_port

runner = CliRunner()


def test_the_service_refuses_to_be_reached_from_other_machines() -> None:
    result = runner.invoke(app, ["up", "--host", "0.0.0.0"])
    assert result.exit_code == 1
    assert "--allow-unauthenticated" in result.output


def test_a_setting_that_makes_no_sense_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S2EDIT_LEASE_S", "soon")
    result = runner.invoke(app, ["up"])
    assert result.exit_code == 1
    assert "S2EDIT_LEASE_S" in result.output


def test_an_incomplete_model_is_told_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S2EDIT_MODEL", str(tmp_path))
    result = runner.invoke(app, ["up", "--data-dir", str(tmp_path / "data")])
    assert result.exit_code == 1
    assert "model_index.json" in result.output
    assert not (tmp_path / "data").exists()


def test_an_edit_without_a_service_says_how_to_start_one(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.new("RGB", (64, 64)).save(photo)
    url = f"http://127.0.0.1:{free_port()}"
    result = runner.invoke(
        app, ["edit", str(photo), "--mask", str(photo), "--prompt", "x", "--url", url, "-o", str(tmp_path / "o")]
    )
    assert result.exit_code == 1
    assert "s2edit up" in result.output
    assert not (tmp_path / "o").exists()


def test_doctor_ends_with_one_when_something_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S2EDIT_MODEL", str(tmp_path))
    result = runner.invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert "broken" in result.output
