"""A key of the data folder that is damaged is refused. An empty one would let anybody sign."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from joserfc.jwk import ECKey
from typer.testing import CliRunner

from api.app import create_app
from api.guard.device_tokens import DeviceTokens
from api.wire.receipts import Receipts
from cli.checks.doctor import examine
from cli.checks.setting_checks import broken_settings
from cli.main import app
from s2edit_jobs.bootstrap import NotConfigured, build_artifacts, build_services
from s2edit_jobs.settings import Settings
from tests.stores import MemoryArtifactStore
from worker.engines.provenance import Credentials


def sign_a_link(settings: Settings) -> str:
    return build_artifacts(settings).presigned_get("a", expires_s=60)


READERS: dict[str, Callable[[Settings], object]] = {
    "signing.key": sign_a_link,
    "audit.key": build_services,
    "token.key": lambda settings: DeviceTokens.from_settings(settings, MemoryArtifactStore()),
    "receipt.key": Receipts.from_settings,
    "provenance-development.pem": Credentials.from_settings,
}
OTHER_CURVE = ECKey.generate_key("P-384").as_pem(private=True)


def settings(folder: Path) -> Settings:
    return Settings(data_dir=folder, redis_url="redis://127.0.0.1:9", provenance=True)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("content", [b"", b"\n", b"\0" * 43, b"\xff" * 43, b"cut off", OTHER_CURVE])
def test_a_damaged_key_is_refused_with_its_file_and_the_remedy(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(NotConfigured, match=rf"{name} is damaged .*restore it from a backup, or remove it, .* then "):
        READERS[name](settings(tmp_path))
    assert (tmp_path / name).read_bytes() == content
    broken = [text for text in broken_settings(settings(tmp_path)) if name in text]
    assert len(broken) == 1, "`up` says it"


@pytest.mark.parametrize("name", READERS)
def test_half_a_key_is_refused_and_a_whole_one_is_read_again(tmp_path: Path, name: str) -> None:
    READERS[name](settings(tmp_path))
    whole = (tmp_path / name).read_bytes()
    READERS[name](settings(tmp_path))
    assert list(broken_settings(settings(tmp_path))) == []
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(NotConfigured, match=name):
        READERS[name](settings(tmp_path))


def test_a_folder_or_a_dead_link_in_place_of_a_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "audit.key").mkdir()
    (tmp_path / "signing.key").symlink_to(tmp_path / "nowhere")
    for name in ("audit.key", "signing.key"):
        with pytest.raises(NotConfigured, match=name):
            READERS[name](settings(tmp_path).model_copy(update={} if name == "signing.key" else {"s3_bucket": "s2edit"}))


def test_doctor_names_a_damaged_key_once_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "signing.key").touch()
    found = list(examine(Settings(data_dir=tmp_path)))
    named = [finding for finding in found if "signing.key" in finding.text]
    assert [(finding.part, finding.verdict) for finding in named] == [("settings", "broken")]
    assert {finding.part: finding.verdict for finding in found}["store"] != "broken"


def test_up_ends_with_the_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S2EDIT_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("S2EDIT_SIGNING_KEY", "")
    (tmp_path / "signing.key").touch()
    ended = CliRunner().invoke(app, ["up", "--port", "1"])
    assert ended.exit_code == 1
    assert "signing.key is damaged (it is empty): restore it from a backup" in ended.stderr.replace("\n", " ")


@pytest.mark.parametrize("content", [None, b""], ids=["none yet", "damaged"])
def test_a_command_that_signs_no_link_needs_no_key_for_it(
    tmp_path: Path, content: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S2EDIT_DATA_DIR", str(tmp_path))
    key = tmp_path / "signing.key"
    if content is not None:
        key.write_bytes(content)
    for command in (["keys", "create"], ["keys", "list"]):
        assert CliRunner().invoke(app, command).exit_code == 0
    build_services(settings(tmp_path)).artifacts.put("t/app/u/ann/x.png", b"x", media_type="image/png")
    assert (key.read_bytes() if key.exists() else None) == content


def test_the_api_makes_the_key_when_it_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"REDIS_URL": "redis://127.0.0.1:9", "DATA_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(f"S2EDIT_{name}", value)
    monkeypatch.setattr("api.app.configure_logs", lambda: None)
    create_app()
    assert (tmp_path / "signing.key").exists()
    (tmp_path / "signing.key").write_bytes(b"")
    with pytest.raises(SystemExit, match=r"the API can't start: the key .*signing.key is damaged"):
        create_app()
