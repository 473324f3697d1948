"""Keys that every process must share are never made up where processes share no folder."""

from __future__ import annotations

import errno
import os
import re
import subprocess
from pathlib import Path

import pytest
from joserfc.jwk import ECKey
from pydantic import SecretStr

from api.app import create_app
from api.wire.receipts import Receipts
from cli.checks.doctor import examine
from s2edit_jobs.bootstrap import NotConfigured, build_services
from s2edit_jobs.settings import ROOT, Settings
from tests.stores import Database, MemoryArtifactStore, MemoryJobQueue
from tests.unit.api.model_folder import write_model_folder

PEM = ECKey.generate_key("P-256").as_pem(private=True).decode()
KEY = "k" * 32


def settings(folder: Path, **more: object) -> Settings:
    return Settings(
        data_dir=folder, s3_bucket="s2edit", s3_endpoint_url="http://127.0.0.1:9", redis_url="redis://127.0.0.1:9", **more
    )  # type: ignore[arg-type]


def test_with_a_bucket_no_process_starts_without_the_key_of_the_audit_log(tmp_path: Path) -> None:
    with pytest.raises(NotConfigured, match="S2EDIT_AUDIT_KEY"):
        build_services(settings(tmp_path))
    assert list(tmp_path.iterdir()) == []
    build_services(settings(tmp_path, audit_key=SecretStr(KEY)))
    build_services(settings(tmp_path, audit_log="off"))


def test_with_a_bucket_the_api_does_not_start_without_the_key_of_receipts(tmp_path: Path) -> None:
    parts = {"artifacts": MemoryArtifactStore(), "store": Database().store(), "queue": MemoryJobQueue()}
    chosen = settings(tmp_path, audit_key=SecretStr(KEY), model=str(write_model_folder(tmp_path / "model")))
    with pytest.raises(NotConfigured, match="S2EDIT_RECEIPT_KEY"):
        create_app(build_services(chosen, **parts))  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    create_app(build_services(chosen.model_copy(update={"receipt_key": SecretStr(PEM)}), **parts))  # type: ignore[arg-type]


def test_a_process_exits_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"S3_BUCKET": "s2edit", "REDIS_URL": "redis://127.0.0.1:9", "DATA_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(f"S2EDIT_{name}", value)
    monkeypatch.setattr("api.app.configure_logs", lambda: None)
    with pytest.raises(SystemExit, match="the API can't start: set S2EDIT_AUDIT_KEY"):
        create_app()


def test_the_api_exits_with_the_reason_if_a_key_can_not_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"REDIS_URL": "redis://127.0.0.1:9", "DATA_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(f"S2EDIT_{name}", value)
    monkeypatch.setattr("api.app.configure_logs", lambda: None)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("s2edit_jobs.bootstrap._write_key", full)
    with pytest.raises(SystemExit, match=r"the API can't start: the key .*\.key can't be made: No space left"):
        create_app()


def test_a_key_that_was_made_before_stays_in_use(tmp_path: Path) -> None:
    (tmp_path / "audit.key").write_text(KEY)
    build_services(settings(tmp_path))


def test_the_key_of_receipts_may_be_one_line(tmp_path: Path) -> None:
    """As a file of variables has it."""
    keys = [
        Receipts.from_settings(Settings(data_dir=tmp_path, receipt_key=SecretStr(text))) for text in (PEM, PEM.replace("\n", "\\n"))
    ]
    assert keys[0].public_keys == keys[1].public_keys


@pytest.mark.parametrize("page", ["deploy/env.example", "docs/self-hosting.md"])
def test_the_printed_command_makes_such_a_key(page: str, tmp_path: Path) -> None:
    [command] = re.findall(r"openssl ecparam.*", (ROOT / page).read_text(encoding="utf-8"))
    text = subprocess.run(["bash", "-c", command], check=True, capture_output=True, text=True).stdout
    assert "\n" not in text
    Receipts.from_settings(Settings(data_dir=tmp_path, receipt_key=SecretStr(text)))


@pytest.mark.parametrize(
    ("given", "verdict"), [({}, "broken"), ({"audit_key": KEY, "receipt_key": PEM}, "ok"), ({"audit_key": KEY}, "broken")]
)
def test_doctor_names_the_missing_keys(
    given: dict[str, str], verdict: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings(tmp_path, **{name: SecretStr(value) for name, value in given.items()})
    monkeypatch.setattr("cli.checks.doctor.build_artifacts", lambda _: MemoryArtifactStore())
    findings = {finding.part: finding for finding in examine(chosen)}
    assert findings["keys"].verdict == verdict
    assert ("S2EDIT_RECEIPT_KEY" in findings["keys"].text) == (verdict == "broken")
