from __future__ import annotations

import socket
import sys
import threading
from pathlib import Path

import pytest
from pydantic import SecretStr

from cli.service import Address, Service, StartFailed, free_port, parts
from s2edit_jobs.settings import Settings


def service(tmp_path: Path, *, port: int = 8123, worker_app: str = "worker.app", **settings: object) -> Service:
    values = Settings(data_dir=tmp_path, public_url=f"http://127.0.0.1:{port}", **settings)  # type: ignore[arg-type]
    return Service(values, Address("127.0.0.1", port), logs=tmp_path / "logs", worker_app=worker_app)


@pytest.mark.parametrize(
    ("host", "loopback", "url"),
    [
        ("127.0.0.1", True, "http://127.0.0.1:80"),
        ("localhost", True, "http://localhost:80"),
        ("::1", True, "http://[::1]:80"),
        ("0.0.0.0", False, "http://127.0.0.1:80"),
        ("::", False, "http://[::1]:80"),
        ("192.168.1.5", False, "http://192.168.1.5:80"),
        ("example.test", False, "http://example.test:80"),
    ],
)
def test_an_address_has_a_url_and_is_loopback_or_not(host: str, loopback: bool, url: str) -> None:
    address = Address(host, 80)
    assert address.is_loopback is loopback
    assert address.url == url


def test_children_get_the_resolved_settings(tmp_path: Path) -> None:
    env = service(tmp_path).environment("unix:///run/redis.sock")
    assert env["S2EDIT_REDIS_URL"] == "unix:///run/redis.sock"
    assert env["S2EDIT_DATA_DIR"] == str(tmp_path)
    assert env["S2EDIT_PUBLIC_URL"] == "http://127.0.0.1:8123"


def test_there_is_one_api_and_one_worker_that_takes_one_edit_at_a_time(tmp_path: Path) -> None:
    api, worker = service(tmp_path).commands("redis://127.0.0.1:1/0")
    assert api.argv[:5] == [sys.executable, "-m", "uvicorn", "--factory", "api.app:create_app"]
    assert api.argv[api.argv.index("--port") + 1] == "8123"
    assert worker.argv[worker.argv.index("-A") + 1] == "worker.app"
    assert worker.argv[worker.argv.index("--pool") + 1] == "solo"
    assert worker.argv[worker.argv.index("--concurrency") + 1] == "1"


def test_without_settings_everything_is_embedded(tmp_path: Path) -> None:
    assert [kind for _, kind, _ in parts(Settings(data_dir=tmp_path), environ={})] == ["embedded"] * 3


def test_configured_parts_are_external_and_no_secret_is_shown() -> None:
    settings = Settings(
        redis_url="redis://:hush@redis.test:6379/0",
        s3_endpoint_url="http://store.test",
        s3_bucket="pictures",
        s3_access_key_id="id",
        s3_secret_access_key=SecretStr("hush"),
        model="someone/some-model",
    )
    shown = parts(settings, environ={"S2EDIT_MODEL": "someone/some-model"})
    assert [kind for _, kind, _ in shown] == ["external"] * 3
    assert "hush" not in str(shown)


def test_a_taken_port_is_reported_at_once(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = service(tmp_path, port=other.getsockname()[1])
        with pytest.raises(StartFailed, match="choose another --port"):
            taken.run(stop=threading.Event(), ready=lambda: None, report=print)
    assert not (tmp_path / "redis").exists()


@pytest.fixture
def _never_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the service starting: otherwise the API could be ready before the worker has failed, and the start would succeed."""
    monkeypatch.setattr("cli.service.answers", lambda *_: False)


@pytest.mark.usefixtures("_never_ready")
def test_a_child_that_ends_while_starting_fails_the_start_and_shows_its_log(tmp_path: Path) -> None:
    broken = service(tmp_path, port=free_port(), worker_app="there.is.no.such.module")
    with pytest.raises(StartFailed, match=r"(?s)the worker ended while starting.*No module named 'there'") as caught:
        broken.run(stop=threading.Event(), ready=lambda: None, report=print)
    assert "worker.log" in str(caught.value)


@pytest.mark.usefixtures("_never_ready")
def test_the_logs_of_the_previous_run_are_kept(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "worker.log").write_text("before")
    broken = service(tmp_path, port=free_port(), worker_app="there.is.no.such.module")
    with pytest.raises(StartFailed):
        broken.run(stop=threading.Event(), ready=lambda: None, report=print)
    assert (logs / "worker.log.1").read_text() == "before"
    assert "before" not in (logs / "worker.log").read_text()
