from __future__ import annotations

import os
import shutil
import socket
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from cli.supervision import log_files
from cli.supervision.folder_lock import locked
from cli.supervision.processes import Child, Command, StartFailed, Supervisor
from cli.supervision.service import TICK_S, Address, Service, free_port, parts
from s2edit_jobs.bootstrap import build_artifacts
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.model_facts import ModelFacts, problem_with, report_failure, report_loaded
from tests.waiting import until


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


def test_there_is_one_api_one_housekeeper_and_one_worker_that_takes_one_edit_at_a_time(tmp_path: Path) -> None:
    api, worker, housekeeper = service(tmp_path).commands("redis://127.0.0.1:1/0")
    assert api.argv[:5] == [sys.executable, "-m", "uvicorn", "--factory", "api.serve:create_app"]
    assert api.argv[api.argv.index("--port") + 1] == "8123"
    assert worker.argv[worker.argv.index("-A") + 1] == "worker.app"
    assert worker.argv[worker.argv.index("--pool") + 1] == "solo"
    assert worker.argv[worker.argv.index("--concurrency") + 1] == "1"
    assert housekeeper.argv == [sys.executable, "-m", "worker.housekeeper"]
    assert [command.log for command in (api, worker, housekeeper)] == [
        tmp_path / "logs" / f"{name}.log" for name in ("api", "worker", "housekeeper")
    ]


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
    monkeypatch.setattr("cli.supervision.service.answers", lambda *_: False)


@pytest.mark.usefixtures("_never_ready")
def test_a_child_that_ends_while_starting_fails_the_start_and_shows_its_log(tmp_path: Path) -> None:
    broken = service(tmp_path, port=free_port(), worker_app="there.is.no.such.module")
    with pytest.raises(StartFailed, match=r"(?s)the worker ended while starting.*No module named 'there'") as caught:
        broken.run(stop=threading.Event(), ready=lambda: None, report=print)
    assert "worker.log" in str(caught.value)


@pytest.mark.usefixtures("_never_ready")
@pytest.mark.parametrize(
    ("free", "said"),
    [
        (0, r"the disk of .* is full \(0 bytes are free\): free space on it; its log .* is empty$"),
        (10**9, r"starting; its log .* is empty$"),
    ],
)
def test_a_child_that_ends_without_a_word_leaves_the_full_disk_to_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, said: str
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    command = Command("worker", [sys.executable, "-c", "raise SystemExit(1)"], log=tmp_path / "worker.log")
    supervisor = Supervisor([command], report=print, has_worked=lambda *_: True, reason=lambda _: None)
    supervisor.start()
    with pytest.raises(StartFailed, match=said):
        service(tmp_path)._wait_until_ready(supervisor, threading.Event())


@pytest.mark.usefixtures("_never_ready")
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (httpx.Response(503, json={"detail": "the object store does not answer"}), "the object store does not answer"),
        (httpx.Response(502, text="<html>"), "answers 502"),
    ],
)
def test_a_start_that_takes_too_long_says_what_is_not_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: httpx.Response, reason: str
) -> None:
    monkeypatch.setattr("cli.supervision.service.READY_TIMEOUT_S", 0.0)
    monkeypatch.setattr(httpx.Client, "get", lambda *_: answer)
    service = Service(Settings(data_dir=tmp_path), Address("127.0.0.1", free_port()))
    nothing = Supervisor([], report=print, has_worked=lambda *_: True, reason=lambda _: None)
    with pytest.raises(StartFailed, match=reason):
        service._wait_until_ready(nothing, threading.Event())


@pytest.mark.usefixtures("_never_ready")
def test_a_redis_that_does_not_answer_is_named_at_once_and_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.supervision.service.READY_TIMEOUT_S", 0.0)
    monkeypatch.setattr(Service, "commands", lambda *_: [])
    reports: list[str] = []
    chosen = service(tmp_path, port=free_port(), redis_url=f"redis://:hush@127.0.0.1:{free_port()}/0")
    with pytest.raises(StartFailed, match=r"not ready .*: Redis at redis://.*127.0.0.1.* \(S2EDIT_REDIS_URL\) does not answer"):
        chosen.run(stop=threading.Event(), ready=lambda: None, report=reports.append)
    assert len(reports) == 1
    assert "S2EDIT_REDIS_URL" in reports[0]
    assert "hush" not in reports[0]


def test_the_logs_of_the_previous_run_are_kept(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "worker.log").write_text("before")
    broken = service(tmp_path, port=free_port(), worker_app="there.is.no.such.module")
    with pytest.raises(StartFailed):
        broken.run(stop=threading.Event(), ready=lambda: None, report=print)
    assert (logs / "worker.log.1").read_text() == "before"
    assert "before" not in (logs / "worker.log").read_text()


def test_a_log_that_grows_too_large_while_the_service_runs_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "MAX_BYTES", 1000)
    monkeypatch.setattr(Service, "commands", lambda *_: [])
    monkeypatch.setattr(Service, "_wait_until_ready", lambda *_: True)
    running = service(tmp_path, port=free_port(), redis_url="redis://127.0.0.1:1/0")
    (tmp_path / "logs").mkdir()
    stop = threading.Event()

    def ready() -> None:
        (tmp_path / "logs" / "api.log").write_text("x" * 1001)
        (tmp_path / "logs" / "worker.log").write_text("x" * 999)
        threading.Timer(2 * TICK_S, stop.set).start()

    running.run(stop=stop, ready=ready, report=print)
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "logs").iterdir()}
    assert sizes == {"api.log": 0, "api.log.1": 1001, "worker.log": 999}


@pytest.mark.parametrize("redis_url", [None, "redis://127.0.0.1:1/0"], ids=["embedded Redis", "external Redis"])
def test_a_second_service_on_a_folder_touches_nothing_of_the_first(tmp_path: Path, redis_url: str | None) -> None:
    second = service(tmp_path, port=free_port(), redis_url=redis_url)
    artifacts = build_artifacts(service(tmp_path).settings)  # an external Redis would be asked for the store's id
    report_failure(artifacts, second.settings.model, "no weights")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "worker.log").write_text("running")
    (tmp_path / "logs" / "worker.log.1").write_text("before")
    with locked(tmp_path, "http://127.0.0.1:8000"):
        before = contents(tmp_path)
        with pytest.raises(StartFailed, match=f"in use by another `s2edit up` \\(process {os.getpid()}, http://127.0.0.1:8000\\)"):
            second.run(stop=threading.Event(), ready=lambda: None, report=print)
        assert contents(tmp_path) == before


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


MODEL = "some/model"
FACTS = ModelFacts("fake", 4, ((6, 4),), ("woman",))


@pytest.mark.parametrize(
    ("name", "uptime_s", "loaded", "expected"),
    [
        ("worker", 0.1, True, True),
        ("worker", 3600.0, False, False),  # however long it took to fail
        ("housekeeper", 0.1, False, False),
        ("housekeeper", 31.0, False, True),
        ("API", 0.1, False, True),  # it has answered, or the service would not have started
    ],
)
def test_when_a_part_has_worked(name: str, uptime_s: float, loaded: bool, expected: bool, tmp_path: Path) -> None:
    running = service(tmp_path, model=MODEL)
    artifacts = build_artifacts(running.settings)
    report_loaded(artifacts, MODEL, FACTS)  # in an earlier run
    began_at = time.time()
    if loaded:
        report_loaded(artifacts, MODEL, FACTS)
    assert running._has_worked(name, uptime_s, began_at) is expected


def test_the_end_of_a_worker_is_reported_so_that_a_failure_of_the_next_one_counts_at_once(tmp_path: Path) -> None:
    running = service(tmp_path, model=MODEL)
    artifacts = build_artifacts(running.settings)
    for _ in range(2):
        report_loaded(artifacts, MODEL, FACTS)
        running._has_worked("worker", 5.0, 0.0)
        report_failure(artifacts, MODEL, "no weights")
        assert problem_with(artifacts, MODEL) == "no weights"


def test_a_worker_s_end_has_the_reason_that_it_reported_or_the_last_error_of_its_log(tmp_path: Path) -> None:
    running = service(tmp_path, model=MODEL)
    artifacts = build_artifacts(running.settings)
    report_failure(artifacts, MODEL, "no weights")
    time.sleep(0.01)
    log = tmp_path / "worker.log"
    child = Child(Command("worker", [sys.executable, "-c", "raise MemoryError('no room')"], log=log))
    child.start()
    until(lambda: child.returncode is not None)
    assert running._reason(child) == "MemoryError: no room", "an older failure is not the reason"
    report_failure(artifacts, MODEL, "weights of another model")
    assert running._reason(child) == "weights of another model"
