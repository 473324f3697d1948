"""`s2edit up` in a process of its own, with a real Redis, API, worker and housekeeper. Only the engine is a fake."""

from __future__ import annotations

import http.client
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
from PIL import Image, ImageDraw

from cli.client import EditClient, ServiceError, View
from cli.supervision.processes import MAX_FAILED_STARTS
from cli.supervision.service import free_port
from s2edit_jobs.stores.embedded_redis import end_with_parent
from tests.doubles import FakeEngine
from tests.servers.children import child_of
from tests.waiting import until

pytestmark = pytest.mark.timeout(600)  # some tests start several services
START_S = 150.0
STOP_S = 60.0
STEPS = 50  # per phase, 20 ms each
QUICK = {
    "S2EDIT_LEASE_S": "1.5",
    "S2EDIT_HEARTBEAT_INTERVAL_S": "0.3",
    "S2EDIT_REAP_INTERVAL_S": "0.5",
    "S2EDIT_MODEL": "nobody/no-model",
    "FAKE_ENGINE_STEPS": str(STEPS),
}


SHADES = itertools.count()


@dataclass
class Up:
    """A running `s2edit up`."""

    process: subprocess.Popen[bytes]
    url: str
    output: Path

    def descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def child(self, word: str) -> psutil.Process:
        return child_of(psutil.Process(self.process.pid), word)

    def printed(self) -> str:
        return self.output.read_text()


@contextmanager
def starter(folder: Path) -> Iterator[Callable[..., Up]]:
    """Yield a function that starts a service on `folder`. Services that still run at the end are stopped."""
    started: list[Up] = []

    def run(**environment: str) -> Up:
        port = free_port()
        argv = [sys.executable, "-m", "cli", "up", "--port", str(port), "--data-dir", str(folder / "data")]
        output = folder / f"up-{port}.txt"
        with output.open("wb") as file:
            process = subprocess.Popen(
                [*argv, "--worker-app", "tests.integration.fake_worker"],
                env={**{name: value for name, value in os.environ.items() if name != "S2EDIT_AUTH"}, **QUICK, **environment},
                stdout=file,
                stderr=file,
                preexec_fn=end_with_parent(signal.SIGTERM),  # a killed test run must not leave the service behind
            )
        up = Up(process, f"http://127.0.0.1:{port}", output)
        started.append(up)
        until(lambda: "is ready at" in up.printed() or process.poll() is not None, START_S)
        assert process.poll() is None, up.printed()
        return up

    yield run
    for up in started:
        if up.process.poll() is None:
            up.process.terminate()
            up.process.wait(STOP_S)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Up]]:
    with starter(tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A service for several tests. It has lost a process to some of them, and has started it again."""
    with starter(tmp_path_factory.mktemp("shared")) as start:
        yield start()


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, Path]:
    """Return files of a mask, and of a photo that no other test has: its person is not yet learned."""
    photo, mask = Image.new("RGB", (96, 96), (0, 128, next(SHADES))), Image.new("L", (96, 96))
    ImageDraw.Draw(mask).ellipse([20, 20, 70, 70], fill=255)
    paths = {"image": tmp_path / "photo.png", "mask": tmp_path / "mask.png"}
    photo.save(paths["image"])
    mask.save(paths["mask"])
    return paths


def ended(processes: list[psutil.Process]) -> bool:
    return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)


def follow_and(client: EditClient, location: str, *, at: str, then: Callable[[], None]) -> View:
    """Follow an edit to its end, and call `then` when it first reaches the phase `at`. Returns the last view."""
    view: View = {}
    pending = True
    for view in client.follow(location):
        if pending and view["phase"] == at:
            pending = False
            then()
    assert not pending
    return view


def test_up_serves_edits_until_it_is_stopped_and_leaves_nothing_running(start: Callable[[], Up], pictures: dict[str, Path]) -> None:
    up = start()
    banner = up.printed()
    assert [line.split()[:2] for line in banner.splitlines()[1:3]] == [["redis", "embedded"], ["store", "embedded"]]
    with EditClient(up.url) as client:
        *_, first = client.follow(client.post({"prompt": "a woman smiling"}, pictures))
        assert first["state"] == "succeeded", first
        assert client.download(first["result"]["url"]).startswith(b"png")
        *_, second = client.follow(client.post({"prompt": "a sad woman", "identity": first["identity"]}, {}))
    assert first["report"]["values"]["learning_steps"] == STEPS
    assert second["report"]["values"]["learning_steps"] == 0

    descendants = up.descendants()
    assert len(descendants) >= 4
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(STOP_S) == 0
    until(lambda: ended(descendants))
    assert up.printed().endswith("s2edit has stopped; unfinished edits continue at its next start\n")


def test_an_edit_survives_the_death_of_its_worker(shared: Up, pictures: dict[str, Path]) -> None:
    with EditClient(shared.url) as client:
        location = client.post({"prompt": "a woman smiling"}, pictures)
        view = follow_and(client, location, at="inverting", then=lambda: shared.child("celery").kill())
    assert view["state"] == "succeeded", view
    assert view["report"]["values"]["learning_steps"] == 0, "the second attempt reuses the learned identity"
    assert "the worker was ended by SIGKILL" in shared.printed()


def test_an_edit_survives_the_death_of_the_api(shared: Up, pictures: dict[str, Path]) -> None:
    with EditClient(shared.url) as client:
        location = client.post({"prompt": "a woman smiling"}, pictures)
        view = follow_and(client, location, at="learning", then=lambda: shared.child("uvicorn").kill())
    assert view["state"] == "succeeded", view
    assert "the API was ended by SIGKILL" in shared.printed()


def test_a_dead_housekeeper_is_restarted(shared: Up) -> None:
    first = shared.child("worker.housekeeper")
    first.kill()
    until(lambda: "the housekeeper was ended by SIGKILL" in shared.printed())
    assert shared.child("worker.housekeeper").pid != first.pid


def test_an_edit_survives_the_death_of_redis(shared: Up, pictures: dict[str, Path]) -> None:
    with EditClient(shared.url) as client:
        location = client.post({"prompt": "a woman smiling"}, pictures)
        view = follow_and(client, location, at="learning", then=lambda: shared.child("redis-server").kill())
    assert view["state"] == "succeeded", view
    assert "the embedded Redis ended and was restarted" in shared.printed()


def test_a_killed_service_leaves_no_processes_and_finishes_its_edits_after_a_restart(
    start: Callable[[], Up], pictures: dict[str, Path]
) -> None:
    first = start()
    with EditClient(first.url) as client:
        location = client.post({"prompt": "a woman smiling"}, pictures)
        until(lambda: next(client.follow(location))["state"] == "running")
    descendants = first.descendants()
    first.process.kill()
    first.process.wait()
    until(lambda: ended(descendants))

    second = start()
    with EditClient(second.url) as client:
        *_, view = client.follow(location.replace(first.url, second.url))
    assert view["state"] == "succeeded", view


def test_a_model_that_cannot_be_loaded_is_reported_everywhere_until_it_can(
    start: Callable[..., Up], pictures: dict[str, Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    up = start(FAKE_ENGINE_BROKEN_WHILE=str(broken))
    until(lambda: '"worker_ready"' in (tmp_path / "data" / "logs" / "worker.log").read_text(), START_S)
    broken.touch()
    up.child("celery").kill()

    probe = httpx.Client()  # one for all polls: each new one loads certificates

    def readyz() -> httpx.Response:
        return probe.get(f"{up.url}/readyz")

    until(lambda: readyz().status_code == 503, START_S)
    assert readyz().json()["errors"] == [{"code": "model_unusable", "detail": "the model 'no-model' can't be loaded: no weights"}]
    until(lambda: "(the model 'no-model' can't be loaded: no weights); restarting it" in up.printed(), START_S)
    with EditClient(up.url) as client, pytest.raises(ServiceError, match="No worker can load the model of the service"):
        client.post({"prompt": "a woman smiling"}, pictures)
    argv = [sys.executable, "-m", "cli", "doctor"]
    environment = {**os.environ, **QUICK, "S2EDIT_DATA_DIR": str(tmp_path / "data")}
    doctor = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=START_S, check=False)
    assert doctor.returncode == 1
    assert "can't be loaded: no weights" in doctor.stdout

    broken.unlink()
    until(lambda: readyz().status_code == 200, START_S)
    with EditClient(up.url) as client:
        *_, edit = client.follow(client.post({"prompt": "a woman smiling"}, pictures))
    assert edit["state"] == "succeeded", edit


def test_a_worker_that_never_works_ends_the_service_with_the_reason(start: Callable[..., Up], tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.touch()
    gate = tmp_path / "gate"  # the API must be ready first: otherwise the start fails at once
    up = start(FAKE_ENGINE_BROKEN_WHILE=str(broken), FAKE_ENGINE_WAITS_FOR=str(gate))
    descendants = up.descendants()
    gate.touch()
    assert up.process.wait(2 * START_S) == 1
    said = up.printed()
    assert said.count("(the model 'no-model' can't be loaded: no weights); restarting it in") == MAX_FAILED_STARTS - 1
    last = said.splitlines()[-1]
    assert last.startswith("s2edit: the worker exited with status 1 (the model 'no-model' can't be loaded: no weights), as it did")
    assert str(tmp_path / "data" / "logs" / "worker.log") in last
    until(lambda: ended(descendants))


def test_two_services_do_not_share_a_data_folder(shared: Up) -> None:
    data = shared.output.parent / "data"
    logs = data / "logs"
    until(lambda: {"api.log", "worker.log", "housekeeper.log"} <= {path.name for path in logs.iterdir()})
    before = {path: path.stat().st_ino for path in logs.iterdir()}
    argv = [sys.executable, "-m", "cli", "up", "--port", str(free_port()), "--data-dir", str(data)]
    second = subprocess.run(argv, env={**os.environ, **QUICK}, capture_output=True, text=True, timeout=START_S, check=False)
    assert second.returncode == 1
    assert f"in use by another `s2edit up` (process {shared.process.pid}, {shared.url})" in second.stderr
    assert {path: path.stat().st_ino for path in logs.iterdir()} == before, "no log of the first one was renamed"


def test_the_edit_command_saves_the_result(shared: Up, pictures: dict[str, Path], tmp_path: Path) -> None:
    output = tmp_path / "result.png"
    argv = [sys.executable, "-m", "cli", "edit", str(pictures["image"]), "--mask", str(pictures["mask"])]
    argv += ["--prompt", "a woman smiling", "--seed", "7", "--url", shared.url, "-o", str(output)]
    edit = subprocess.run(argv, capture_output=True, text=True, timeout=START_S, check=False)
    assert edit.returncode == 0, edit.stderr
    assert output.read_bytes().startswith(b"png")
    assert "identity c_" in edit.stdout

    mask = tmp_path / "mask.png"
    argv = [sys.executable, "-m", "cli", "edit", str(pictures["image"]), "--at", "4,5", "--keep-mask", str(mask)]
    argv += ["--prompt", "a woman smiling", "--url", shared.url, "-o", str(output)]
    alone = subprocess.run(argv, capture_output=True, text=True, timeout=START_S, check=False)
    assert alone.returncode == 0, alone.stderr
    assert mask.read_bytes() == FakeEngine().mask(pictures["image"].read_bytes(), (4, 5))


def test_the_first_key_closes_the_running_service_and_its_revocation_does_not_open_it(
    start: Callable[[], Up], pictures: dict[str, Path], tmp_path: Path
) -> None:
    up = start()

    def keys(*arguments: str) -> str:
        argv = [sys.executable, "-m", "cli", "keys", *arguments, "--data-dir", str(tmp_path / "data")]
        return subprocess.run(argv, check=True, capture_output=True, text=True, env={**os.environ, **QUICK}).stdout.strip()

    def status(key: str | None = None) -> int:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.get(f"{up.url}/edits/e_{'0' * 32}", headers=headers).status_code

    assert status() == 404
    key = keys("create")
    until(lambda: status() == 401)
    assert status(key) == 404
    # A client that writes its whole body before it reads also gets the rejection.
    connection = http.client.HTTPConnection(up.url.removeprefix("http://"), timeout=30)
    connection.request("POST", "/edits", b"x" * 5_000_000, {"Content-Type": "multipart/form-data; boundary=x"})
    assert connection.getresponse().status == 401
    connection.close()
    with EditClient(up.url, api_key=key) as client:
        *_, edit = client.follow(client.post({"prompt": "a woman smiling"}, pictures))
        assert edit["state"] == "succeeded", edit
        assert client.download(edit["result"]["url"]).startswith(b"png")
    device = httpx.post(f"{up.url}/tokens", headers={"Authorization": f"Bearer {key}"}, json={"edits": 1}).json()["token"]
    assert status(device) == 404
    keys("revoke", key.split("_")[1])
    until(lambda: status(key) == 401)
    assert status(device) == status() == 401
    assert key.split("_", 2)[2] not in "".join(path.read_text(errors="replace") for path in (tmp_path / "data").rglob("*.log"))
