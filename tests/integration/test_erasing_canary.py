"""Erase a user during an edit: afterwards no data of the user is left anywhere, and none comes back.

The processes are real: the API in uvicorn, a Celery worker, Redis with its append-only file, and a folder of files. The tests also
search the logs.
"""

from __future__ import annotations

import io
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from s2edit_jobs.bootstrap import build_artifacts
from s2edit_jobs.lifecycle.idempotency import IN_FLIGHT_S
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.embedded_redis import EmbeddedRedis
from tests.admin import admin_headers
from tests.servers.forked import Forked
from tests.unit.api import pictures
from tests.unit.api.model_folder import write_model_folder
from tests.waiting import until

USER = "canary-user-5e1f"
IN_PHOTO, IN_MASK, IN_PROMPT, IN_KEY = "CanaryPhoto81c2", "CanaryMask77d0", "canaryprompt4b9a", "canary-key-90ab"
IN_METADATA = "CanaryPlace33e9"
CANARIES = [word.encode() for word in (USER, IN_PHOTO, IN_MASK, IN_PROMPT, IN_KEY, IN_METADATA)]
PATIENCE_S = 60.0
MAX_ERASURE_S = 60.0
STEPS = 60  # per phase, 20 ms each: long enough to erase the user during the edit


def marked(picture: bytes, word: str) -> bytes:
    """Return the picture with a word in its palette, which the service keeps, and another in its metadata, which it removes."""
    colours = Image.open(io.BytesIO(picture)).quantize(128)
    palette = bytes(colours.getpalette() or ())[: 3 * 128].ljust(3 * 128, b"\0")
    colours.putpalette(palette + word.encode().ljust(3 * 128, b"\0"))
    note, out = PngInfo(), io.BytesIO()
    note.add_text("Comment", IN_METADATA)
    colours.save(out, "PNG", pnginfo=note)
    assert word.encode() in out.getvalue()
    return out.getvalue()


@dataclass
class Deployment:
    folder: Path
    url: str
    redis_url: str
    listener: socket.socket
    client: httpx.Client
    environment: dict[str, str]
    processes: list[Forked] = field(default_factory=list)

    def start(self, name: str, command: list[str], **options: Any) -> Forked:
        process = Forked(command, self.environment, self.folder / f"{name}.log", **options)
        self.processes.append(process)
        return process

    def start_api(self) -> Forked:
        return self.start("api", ["uvicorn", "api.app:create_app", "--factory", "--no-access-log"], listener=self.listener)

    def start_worker(self) -> Forked:
        command = ["celery", "-A", "tests.integration.fake_worker", "worker", "--pool", "solo"]
        return self.start("worker", [*command, "--without-mingle", "--without-gossip", "--loglevel", "INFO"])

    def post(self, user: str = USER, **more: Any) -> httpx.Response:
        files = {"image": ("p.png", marked(pictures.photo(), IN_PHOTO)), "mask": ("m.png", marked(pictures.mask(), IN_MASK))}
        if more.get("without_mask"):
            del files["mask"]
        prompt = f"a photo of a woman smiling {IN_PROMPT}"
        headers = {"S2Edit-User": user, "Idempotency-Key": f"{IN_KEY}-{more.get('key', 1)}"}
        return self.client.post("/edits", data={"prompt": prompt}, files=files, headers=headers)

    def wait_for(self, edit_id: str, enough: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            edit: dict[str, Any] = self.client.get(f"/edits/{edit_id}", headers={"S2Edit-User": USER}).json()
            if enough(edit):
                return edit
            assert time.monotonic() < deadline, f"{edit}\n{(self.folder / 'worker.log').read_text()[-3000:]}"
            time.sleep(0.05)

    def answers(self) -> bool:
        try:
            return self.client.get("/healthz").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def erase(self) -> httpx.Response:
        admin = admin_headers(build_artifacts(Settings(data_dir=self.folder, redis_url=self.redis_url)))
        return self.client.delete(f"/users/{USER}", headers=admin)

    def holders(self) -> list[str]:
        """Return every place with a canary: contents and names of all files (objects, Redis, logs, temporary), and Redis keys."""
        found = []
        for path in self.folder.rglob("*"):
            name = str(path.relative_to(self.folder)).encode()
            data = path.read_bytes() if path.is_file() else b""
            found += [f"{path}: {word!r}" for word in CANARIES if word in data or word in name]
        client = redis.Redis.from_url(self.redis_url)
        for key in client.keys("*"):
            value = key + (client.dump(key) or b"")
            found += [f"redis {key!r}: {word!r}" for word in CANARIES if word in value]
        return found


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with ExitStack() as stack:
        server = stack.enter_context(EmbeddedRedis(tmp_path / "redis"))
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        environment = {
            **os.environ,
            "S2EDIT_REDIS_URL": server.url,
            "S2EDIT_DATA_DIR": str(tmp_path),
            "S2EDIT_MODEL": str(write_model_folder(tmp_path / "model")),
            "S2EDIT_PUBLIC_URL": url,
            "S2EDIT_LEASE_S": "2",
            "S2EDIT_HEARTBEAT_INTERVAL_S": "0.3",
            "S2EDIT_REAP_INTERVAL_S": "0.5",
            "TMPDIR": str(temporary),
            "FAKE_ENGINE_STEPS": str(STEPS),
        }
        client = stack.enter_context(httpx.Client(base_url=url, timeout=PATIENCE_S))
        deployment = Deployment(tmp_path, url, server.url, listener, client, environment)
        try:
            deployment.start_api()
            deployment.start("housekeeper", ["worker.housekeeper"])
            yield deployment
        finally:
            for process in deployment.processes:
                process.kill()
                process.wait()


def test_erasing_a_user_during_an_edit_leaves_no_data(deployment: Deployment) -> None:
    worker = deployment.start_worker()
    done = deployment.post(key=1).json()["id"]
    deployment.wait_for(done, lambda edit: edit["state"] == "succeeded")
    found = deployment.post(key=5, without_mask=True).json()["id"]
    assert deployment.wait_for(found, lambda edit: edit["state"] == "succeeded")["mask"]
    # The first of these uses another photo, so it learns and writes a lot. The second waits in the queue.
    running, waiting = (deployment.post(key=number).json()["id"] for number in (2, 3))
    deployment.wait_for(running, lambda edit: edit["phase"] is not None)
    there = "".join(deployment.holders())
    assert all(word in there for word in (USER, IN_PHOTO, IN_MASK, IN_PROMPT)), "otherwise the test proves nothing"
    assert IN_METADATA not in there, "the service never stores metadata"

    began = time.monotonic()
    answer = deployment.erase()
    assert answer.status_code == 200, answer.text
    assert answer.json()["receipt"].count(".") == 2
    took_s = time.monotonic() - began
    assert took_s < MAX_ERASURE_S
    assert deployment.holders() == []
    for edit_id in (done, found, running, waiting):
        assert deployment.client.get(f"/edits/{edit_id}", headers={"S2Edit-User": USER}).status_code == 404

    time.sleep(3)  # the running edit would have ended by now
    assert deployment.holders() == []
    assert worker.poll() is None
    other = deployment.post(user="bob", key=4)
    headers_of_bob = {"S2Edit-User": "bob"}
    deadline = time.monotonic() + PATIENCE_S
    while deployment.client.get(other.headers["location"], headers=headers_of_bob).json()["state"] != "succeeded":
        assert time.monotonic() < deadline, "the worker does not go on"
        time.sleep(0.1)


def test_erasing_works_while_the_worker_hangs_or_is_killed(deployment: Deployment) -> None:
    """The worker is paused during its edit and resumed after the erasure. During the next edit it is killed."""
    worker = deployment.start_worker()
    edit_id = deployment.post().json()["id"]
    deployment.wait_for(edit_id, lambda edit: edit["phase"] is not None)
    worker.send_signal(signal.SIGSTOP)
    assert deployment.erase().status_code == 200
    assert deployment.holders() == []
    worker.send_signal(signal.SIGCONT)
    time.sleep(3)
    assert deployment.holders() == []

    assert deployment.post().json()["code"] == "edit_erased", "a request from before is not repeated"
    again = deployment.post(key=2)
    assert again.status_code == 202, "an erased user can start again"
    assert again.json()["id"] != edit_id
    deployment.wait_for(again.json()["id"], lambda edit: edit["phase"] is not None)
    worker.kill()
    assert deployment.erase().status_code == 200
    assert deployment.holders() == []


def test_erased_edits_do_not_come_back_by_their_keys(deployment: Deployment) -> None:
    """Edits are erased that are done, canceled, running and queued, while their requests are repeated. Then all restarts."""
    worker = deployment.start_worker()
    edits = {key: deployment.post(key=key).json()["id"] for key in range(1, 5)}
    deployment.wait_for(edits[1], lambda edit: edit["state"] == "succeeded")
    deployment.client.post(f"/edits/{edits[4]}/cancel", headers={"S2Edit-User": USER})
    deployment.wait_for(edits[2], lambda edit: edit["phase"] is not None)
    answers: dict[int, list[httpx.Response]] = {key: [] for key in edits}

    def repeat(key: int) -> None:
        while not answers[key] or answers[key][-1].status_code == httpx.codes.ACCEPTED:
            answers[key].append(deployment.post(key=key))

    with ThreadPoolExecutor(len(edits)) as pool:
        repeating = [pool.submit(repeat, key) for key in edits]
        until(lambda: all(answers.values()))
        for edit_id in edits.values():
            assert deployment.client.delete(f"/edits/{edit_id}", headers={"S2Edit-User": USER}).status_code == 200
        for each in repeating:
            each.result(PATIENCE_S)
    for key, edit_id in edits.items():
        assert {answer.json()["id"] for answer in answers[key][:-1]} <= {edit_id}
        assert (answers[key][-1].status_code, answers[key][-1].json()["code"]) == (410, "edit_erased"), answers[key][-1].text

    api = deployment.processes[0]
    for process in (api, worker):
        process.kill()
        process.wait()
    deployment.start_api()
    deployment.start_worker()
    until(lambda: deployment.answers())
    time.sleep(IN_FLIGHT_S + 0.5)
    assert [deployment.post(key=key).status_code for key in edits] == [410] * len(edits)
    assert deployment.client.get("/edits", headers={"S2Edit-User": USER}).json()["items"] == []
    there = "".join(deployment.holders())
    assert IN_KEY not in there
    assert IN_PROMPT not in there, "what was learned stays, but no request"
    assert deployment.erase().status_code == 200
    assert deployment.holders() == []
    assert [deployment.post(key=key).status_code for key in edits] == [410] * len(edits)
    assert deployment.holders() == []


def test_the_logs_of_a_failing_edit_do_not_quote_the_request(deployment: Deployment) -> None:
    deployment.environment["FAKE_ENGINE_QUOTES"] = "yes"
    deployment.start_worker()
    edit = deployment.wait_for(deployment.post().json()["id"], lambda edit: edit["state"] == "failed")
    assert edit["error"]["code"] == "parked"
    logs = {name: (deployment.folder / f"{name}.log").read_text() for name in ("api", "worker")}
    assert "builtins.RuntimeError" in logs["worker"]
    assert "/edits/{edit_id}" in logs["api"]
    assert [word for word in CANARIES for text in logs.values() if word.decode() in text] == []
