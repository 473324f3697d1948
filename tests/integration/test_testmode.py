"""Test mode with the API, a worker and a housekeeper in processes of their own, and an app that receives webhooks."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from queue import Queue
from typing import Any

import httpx
import numpy as np
import pytest
from standardwebhooks import Webhook

from s2edit_core.pictures.files import decode_photo, grown, inside_of, media_type
from s2edit_core.pictures.mask_files import decode_mask
from s2edit_jobs.access.keys import KeyRing
from s2edit_jobs.bootstrap import build_artifacts
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.embedded_redis import EmbeddedRedis
from tests.integration.test_api_server import _wait_until_alive
from tests.servers.forked import Forked
from tests.unit.api import pictures
from tests.unit.api.model_folder import write_model_folder

SECRET = "whsec_" + "A" * 32
PATIENCE_S = 60.0
STEPS = 3000
"""Steps of 20 ms: the live edit outlasts the test."""


@dataclass
class App:
    """An app with a test key and a live key, and the webhooks that it has received."""

    test: httpx.Client
    live: httpx.Client
    hook: str
    received: Queue[tuple[bytes, dict[str, str]]]

    def edit(self, prompt: str, client: httpx.Client | None = None, **parts: str) -> httpx.Response:
        files = {"image": ("photo.png", pictures.photo()), "mask": ("mask.png", pictures.mask())}
        data = {"prompt": prompt, "webhook_url": self.hook, **parts}
        return (client or self.test).post("/edits", data=data, files=files, headers={"Prefer": f"wait={PATIENCE_S:g}"})

    def next_webhook(self) -> tuple[str, dict[str, Any]]:
        body, headers = self.received.get(timeout=PATIENCE_S)
        message: dict[str, Any] = Webhook(SECRET).verify(body, headers)
        return headers["webhook-id"], message["data"]


@pytest.fixture
def webhooks() -> Iterator[tuple[str, Queue[tuple[bytes, dict[str, str]]]]]:
    received: Queue[tuple[bytes, dict[str, str]]] = Queue()

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.put((body, {name.lower(): value for name, value in self.headers.items()}))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/hook", received
        server.shutdown()
        thread.join()


@pytest.fixture
def app(tmp_path: Path, webhooks: tuple[str, Queue[tuple[bytes, dict[str, str]]]]) -> Iterator[App]:
    with EmbeddedRedis(tmp_path / "redis") as redis, socket.create_server(("127.0.0.1", 0)) as bound:
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        chosen = {
            "REDIS_URL": redis.url,
            "DATA_DIR": str(tmp_path),
            "MODEL": str(write_model_folder(tmp_path / "model")),
            "PUBLIC_URL": url,
            "WEBHOOK_SECRETS": SECRET,
            "WEBHOOK_ALLOW_PRIVATE": "true",
        }
        ring = KeyRing(build_artifacts(Settings(data_dir=tmp_path)))
        keys = [ring.create("acme", test=test)[1] for test in (True, False)]
        environment = {**os.environ, **{f"S2EDIT_{name}": value for name, value in chosen.items()}, "FAKE_ENGINE_STEPS": str(STEPS)}
        log = tmp_path / "log"
        started = [
            Forked(["uvicorn", "api.app:create_app", "--factory"], environment, log, listener=bound),
            Forked(["celery", "-A", "tests.integration.fake_worker", "worker", "--without-mingle"], environment, log),
            Forked(["worker.housekeeper"], environment, log),
        ]
        try:
            test, live = (httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=90) for key in keys)
            with test, live:
                _wait_until_alive(test, started[0], log)
                yield App(test, live, *webhooks)
        finally:
            for process in started:
                process.kill()
                process.wait()


def test_test_edits_run_while_the_worker_is_busy_with_a_live_edit(app: App) -> None:
    files = {"image": ("photo.png", pictures.photo()), "mask": ("mask.png", pictures.mask())}
    live = app.live.post("/edits", data={"prompt": "a photo of a woman with red hair"}, files=files).headers["location"]
    deadline = time.monotonic() + PATIENCE_S
    while app.live.get(live).json()["state"] != "running":
        assert time.monotonic() < deadline
        time.sleep(0.05)

    good = app.edit("a photo of a woman smiling [test:slow 0.5] [test:webhook_twice]").json()
    assert (good["state"], good["test"], good["report"]["values"]["test"]) == ("succeeded", True, True)
    before, after = (np.asarray(decode_photo(data)) for data in (pictures.photo(), httpx.get(good["result"]["url"]).content))
    outside = ~inside_of(grown(decode_mask(pictures.mask(), pictures.SIZE)))
    assert np.array_equal(before[outside], after[outside])
    assert not np.array_equal(before, after)
    first, second = app.next_webhook(), app.next_webhook()
    assert (
        first
        == second
        == (f"msg_{good['id']}", {"id": good["id"], "state": "succeeded", "identity": good["identity"], "test": True})
    )

    wanted = {"output_format": "jpeg", "output_quality": "80", "negative_prompt": "hat"}
    small = app.edit("a photo of a woman smiling", **wanted).json()
    fetched = httpx.get(small["result"]["url"])
    assert small["result"]["media_type"] == fetched.headers["content-type"] == media_type(fetched.content) == "image/jpeg"
    assert f"{small['id']}.jpg" in fetched.headers["content-disposition"]
    assert small["report"]["values"]["outside_edit_mask"]["max_level_difference"] > 0
    assert app.next_webhook()[1]["state"] == "succeeded"

    for code in ("parked", "numbers_not_finite"):
        bad = app.edit(f"a photo of a woman smiling [test:failed {code}]").json()
        assert (bad["state"], bad["error"]["code"]) == ("failed", code)
        assert app.next_webhook()[1]["error"]["code"] == code
    refused = app.edit("a photo of a woman smiling [test:refused]")
    assert (refused.status_code, refused.json()["code"]) == (422, "policy_refused")

    still = app.live.get(live).json()
    assert (still["state"], still["test"]) == ("running", False)
    assert [edit["id"] for edit in app.live.get("/edits").json()["items"]] == [live.rpartition("/")[2]]
    assert json.loads(app.live.get("/identities").text)["items"] == []
