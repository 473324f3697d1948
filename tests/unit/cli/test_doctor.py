from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from cli.doctor import MODEL_PARTS, WITH_WEIGHTS, Finding, examine, examine_model
from cli.service import free_port
from s2edit_jobs.settings import Settings


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder in diffusers' layout, as far as the doctor looks: it doesn't load the weights."""
    folder = tmp_path / "model"
    for part in MODEL_PARTS:
        (folder / part).mkdir(parents=True)
        (folder / part / "config.json").write_text("{}")
    for part in WITH_WEIGHTS:
        (folder / part / "model.safetensors").write_bytes(b"0" * 1000)
    (folder / "model_index.json").write_text(json.dumps({part: ["diffusers", "Part"] for part in MODEL_PARTS}))
    return folder


def found(settings: Settings) -> dict[str, Finding]:
    return {finding.part: finding for finding in examine(settings)}


def test_a_sound_installation_has_nothing_broken(tmp_path: Path, model: Path) -> None:
    findings = found(Settings(data_dir=tmp_path / "data", model=str(model)))
    assert {part: finding.verdict for part, finding in findings.items()} == dict.fromkeys(
        ("versions", "torch", "redis", "store", "model"), "ok"
    )
    assert "embedded" in findings["redis"].text
    assert not (tmp_path / "data").exists()


def test_a_redis_that_does_not_answer_is_broken_and_its_password_stays_hidden(tmp_path: Path, model: Path) -> None:
    url = f"redis://:hush@127.0.0.1:{free_port()}/0"
    findings = found(Settings(data_dir=tmp_path, model=str(model), redis_url=url))
    assert findings["redis"].verdict == "broken"
    assert findings["model"].verdict == "ok"
    assert "hush" not in str(findings)


def test_a_store_that_does_not_answer_is_broken(tmp_path: Path, model: Path) -> None:
    settings = Settings(
        data_dir=tmp_path,
        model=str(model),
        s3_endpoint_url=f"http://127.0.0.1:{free_port()}",
        s3_bucket="s2edit",
        s3_access_key_id="id",
        s3_secret_access_key=SecretStr("hush"),
    )
    findings = found(settings)
    assert findings["store"].verdict == "broken"
    assert "hush" not in str(findings)


def test_a_data_folder_that_cannot_be_made_is_broken(tmp_path: Path, model: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    findings = found(Settings(data_dir=tmp_path / "file" / "data", model=str(model)))
    assert findings["store"].verdict == "broken"


def test_a_device_that_is_not_there_is_broken(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    findings = found(Settings(data_dir=tmp_path, model=str(model), device="cuda"))
    assert findings["torch"].verdict == "broken"


@pytest.mark.parametrize("part", MODEL_PARTS)
def test_a_model_without_a_part_is_broken_and_the_part_is_named(model: Path, part: str) -> None:
    (model / part / "config.json").unlink()
    finding = examine_model(Settings(model=str(model)))
    assert finding.verdict == "broken"
    assert part in finding.text


@pytest.mark.parametrize("part", WITH_WEIGHTS)
def test_a_model_without_weights_is_broken(model: Path, part: str) -> None:
    (model / part / "model.safetensors").unlink()
    finding = examine_model(Settings(model=str(model)))
    assert finding.verdict == "broken"
    assert f"no weights in {part}/" in finding.text


def test_a_folder_that_is_no_model_is_broken(tmp_path: Path) -> None:
    assert examine_model(Settings(model=str(tmp_path))).verdict == "broken"
    assert examine_model(Settings(model=str(tmp_path / "nowhere"))).verdict == "broken"


def test_a_hub_id_is_left_to_the_worker() -> None:
    assert examine_model(Settings(model="CompVis/stable-diffusion-v1-4")).verdict == "note"
