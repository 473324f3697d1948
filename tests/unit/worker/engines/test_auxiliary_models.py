"""The models beside the model: doctor, up, readiness and the worker agree whether they can be loaded, and say the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from cli.checks.doctor import examine
from cli.checks.findings import Finding
from cli.main import app as command
from s2edit_core.errors import ModelUnusable
from s2edit_jobs.bootstrap import Services, build_artifacts
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores import model_facts
from s2edit_jobs.stores.auxiliary_models import check_auxiliary_models, loading
from tests.models import tiny_judges
from tests.stores import Database, MemoryArtifactStore, MemoryJobQueue
from tests.tiny import save_tiny
from worker import process as process_module
from worker.process import WorkerProcess

BROKEN: dict[str, tuple[str, dict[str, str], str]] = {
    "an unknown segmenter": ("segmenter", {"segmenter": "mediapip"}, "there is no segmenter 'mediapip'"),
    "a file that is not there": ("segmenter", {"segmenter": "nowhere.tflite"}, "there is no segmenter nowhere.tflite"),
    "a folder that is not there": ("segmenter", {"segmenter": "transformers:/no/where/at/all"}, "there is no such folder"),
    "a model without a segmenter": ("segmenter", {"segmenter": "card"}, "it contains no config.json"),
    "a captioner that is not there": ("captioner", {"captioner": "/no/where/at/all"}, "there is no such folder"),
    "an empty captioner": ("captioner", {"captioner": "{empty}"}, "it contains no config.json"),
    "a safety model that is not there": ("safety", {"safety": "/no/where/at/all"}, "there is no such folder"),
    "a safety model without weights": ("safety", {"safety": "{no weights}"}, "it contains no weights"),
    "a label that is none": ("safety", {"safety": "{judge}", "safety_labels": "porn"}, "has no label 'porn'"),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("models")
    (root / "empty").mkdir()
    bare = Path(tiny_judges.classifier(root / "bare", "safe"))
    (bare / "model.safetensors").unlink()
    judge = tiny_judges.classifier(root / "judge", "safe")
    return {"{empty}": str(root / "empty"), "{no weights}": str(bare), "{judge}": judge, "{tiny}": str(save_tiny(root / "tiny"))}


def settings_of(folders: dict[str, str], tmp_path: Path, **named: str) -> Settings:
    values: dict[str, Any] = {name: folders.get(value, value) for name, value in named.items()}
    return Settings(
        data_dir=tmp_path / "data", model=folders["{tiny}"], redis_url="redis://127.0.0.1:1/0", provenance=False, **values
    )


def start_of(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> tuple[str, MemoryArtifactStore, list[Any]]:
    """What the worker's start ends with, what it has told, and its log."""
    monkeypatch.setenv("S2EDIT_REDIS_URL", "redis://127.0.0.1:1/0")  # importing makes a Celery app, which connects to nothing
    from worker.app import load_engine

    monkeypatch.setattr(process_module, "configure_logs", lambda: None)
    artifacts = MemoryArtifactStore()
    services = Services(artifacts, Database().store(), MemoryJobQueue(), settings)
    with capture_logs() as logged, pytest.raises(SystemExit) as ended:
        WorkerProcess(settings, load_engine, lambda _: services).start()
    return str(ended.value), artifacts, [entry for entry in logged if entry["action"] != "redis_unchecked"]


def findings(settings: Settings) -> dict[str, Finding]:
    return {finding.part: finding for finding in examine(settings)}


@pytest.mark.parametrize("case", BROKEN)
def test_all_say_the_same_of_what_cannot_be_loaded(
    case: str, folders: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part, named, words = BROKEN[case]
    settings = settings_of(folders, tmp_path, **named)
    found = findings(settings)
    assert (found["model"].verdict, found[part].verdict) == ("ok", "broken")
    said = found[part].text
    assert said.startswith(f"S2EDIT_{part.upper()} can't be used: ")
    assert words in said
    ended, artifacts, (entry,) = start_of(settings, monkeypatch)
    assert ended == f"the worker can't start: {said}"
    assert (entry["reason"], entry["exc_info"]) == (said, False), "no traceback"
    assert model_facts.problem_with(artifacts, settings.model) == said, "what /readyz answers"
    failure = model_facts.failure_of(artifacts, settings.model)
    assert failure is not None
    assert failure.part == part
    for name, value in {"model": settings.model, "data_dir": str(settings.data_dir), **named}.items():
        monkeypatch.setenv(f"S2EDIT_{name.upper()}", folders.get(value, value))
    up = CliRunner().invoke(command, ["up"])
    assert up.exit_code == 1
    assert words in " ".join(up.output.split())


def test_what_only_the_worker_finds_is_told_of_the_part_that_it_is_of(
    folders: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "broken.tflite"
    file.write_bytes(b"nothing of the kind")
    settings = settings_of(folders, tmp_path, segmenter=str(file))
    check_auxiliary_models(settings)
    ended, artifacts, _ = start_of(settings, monkeypatch)
    assert "S2EDIT_SEGMENTER can't be used: " in ended
    assert "is not a LiteRT file" in ended
    folder = build_artifacts(settings.model_copy(update={"redis_url": None}))
    for key, data in artifacts.objects.items():
        folder.put(key, data, media_type="application/json")
    found = findings(settings)
    assert (found["model"].verdict, found["segmenter"].verdict) == ("ok", "broken")
    assert "is not a LiteRT file" in found["segmenter"].text
    assert {found[part].verdict for part in ("captioner", "safety")} == {"ok"}


def test_what_is_configured_is_told(folders: dict[str, str], tmp_path: Path) -> None:
    plain = findings(settings_of(folders, tmp_path))
    assert {plain[part].verdict for part in ("segmenter", "captioner", "safety")} == {"ok"}
    assert plain["captioner"].text.startswith("none")
    named = findings(settings_of(folders, tmp_path, captioner="a/captioner", safety="{judge}", segmenter="model"))
    assert (named["captioner"].verdict, "model hub" in named["captioner"].text) == ("note", True)
    assert (named["safety"].verdict, named["safety"].text) == ("ok", folders["{judge}"])
    assert named["segmenter"].text == "model"
    checker = findings(settings_of(folders, tmp_path, safety=tiny_judges.checker(tmp_path / "pipe", refuses=False, within=True)))
    assert checker["safety"].verdict == "ok"


def test_words_that_are_not_our_own_are_not_told() -> None:
    with pytest.raises(ModelUnusable, match="failed with RuntimeError") as raised, loading("captioner", "a/captioner"):
        raise RuntimeError("/srv/secret")
    assert "secret" not in str(raised.value)
    assert raised.value.part == "captioner"
    with pytest.raises(ModelUnusable, match="the model's segmenter can't be used: none"), loading("segmenter", None):
        raise ModelUnusable("none")
