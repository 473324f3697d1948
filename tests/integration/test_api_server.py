"""The API in a uvicorn process, with an embedded Redis and files in a folder. The tests do the worker's part themselves."""

from __future__ import annotations

import http.client
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from redis import Redis

from s2edit_jobs.bootstrap import Services, build_services
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.record import JobState, Outcome, Owner
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.artifacts import edit_key
from s2edit_jobs.stores.embedded_redis import EmbeddedRedis
from tests.servers.forked import Forked
from tests.unit.api import pictures
from tests.unit.api.model_folder import write_model_folder
from tests.waiting import until

OWNER = Owner("default", "ada")
MAX_BODY = 1_000_000
START_TIMEOUT_S = 150.0


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def listener() -> Iterator[socket.socket]:
    """Bind a port and hand the socket to the server, so that no other process can take it in between."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        yield bound


@pytest.fixture(scope="module")
def services(redis: EmbeddedRedis, listener: socket.socket, tmp_path_factory: pytest.TempPathFactory) -> Services:
    """Return services with the settings of the server."""
    folder = tmp_path_factory.mktemp("api")
    settings = Settings(
        redis_url=redis.url,
        data_dir=folder,
        model=str(write_model_folder(folder / "model")),
        public_url=f"http://127.0.0.1:{listener.getsockname()[1]}",
        max_upload_bytes=MAX_BODY,
        max_streams_per_user=100,
    )
    return build_services(settings)


@pytest.fixture(scope="module")
def client(services: Services, listener: socket.socket, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    settings = services.settings
    names = ("redis_url", "data_dir", "model", "public_url", "max_upload_bytes", "max_streams_per_user")
    chosen = {name: getattr(settings, name) for name in names}
    environment = {**os.environ, **{f"S2EDIT_{name.upper()}": str(value) for name, value in chosen.items()}}
    command = ["uvicorn", "api.app:create_app", "--factory", "--http", "api.connection:Connection"]
    log = tmp_path_factory.mktemp("log") / "uvicorn.log"
    server = Forked(command, environment, log, listener=listener)
    try:
        with httpx.Client(base_url=settings.public_url, headers={"S2Edit-User": OWNER.user}, timeout=30) as client:
            _wait_until_alive(client, server, log)
            yield client
    finally:
        server.kill()
        server.wait()


def _wait_until_alive(client: httpx.Client, server: Forked, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            if client.get("/healthz", timeout=1).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.05)
        if server.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"the API did not start: {log.read_text(errors='replace')[-2000:]}")


def post_edit(client: httpx.Client) -> httpx.Response:
    files = {"image": ("photo.png", pictures.photo()), "mask": ("mask.png", pictures.mask())}
    return client.post("/edits", data={"prompt": "a photo of a woman smiling"}, files=files)


def finish_like_a_worker(services: Services, edit_id: str) -> None:
    keys = {name: edit_key(OWNER, edit_id, name) for name in ("result.png", "report.json")}
    services.artifacts.put(keys["result.png"], pictures.photo(), media_type="image/png")
    services.artifacts.put(keys["report.json"], json.dumps({"learning_steps": 0}).encode(), media_type="application/json")
    artifacts = {"result": keys["result.png"], "report": keys["report.json"]}
    outcome = Outcome(state=JobState.SUCCEEDED, attempt=1, finished_at=time.time(), artifacts=artifacts)
    Jobs(services).finish(OWNER, edit_id, outcome)


def test_the_api_is_ready(client: httpx.Client) -> None:
    assert client.get("/readyz").json() == {"status": "ok"}


def test_an_edit_is_queued_polled_and_downloaded(client: httpx.Client, services: Services) -> None:
    notifications = services.queue.waiting()
    answer = post_edit(client)
    assert (answer.status_code, answer.json()["state"]) == (202, "queued"), answer.text
    assert services.queue.waiting() == notifications + 1
    location, tag = answer.headers["location"], answer.headers["etag"]
    assert client.get(location, headers={"If-None-Match": tag}).status_code == 304

    finish_like_a_worker(services, answer.json()["id"])
    edit = client.get(location, headers={"If-None-Match": tag}).json()
    assert edit["state"] == "succeeded"
    assert edit["report"]["values"] == {"learning_steps": 0}

    url = edit["result"]["url"]
    without_credentials = httpx.get(url)
    assert (without_credentials.status_code, without_credentials.content) == (200, pictures.photo())
    assert without_credentials.headers["content-type"] == "image/png"
    assert without_credentials.headers["content-disposition"] == f'attachment; filename="{edit["id"]}.png"'
    assert httpx.get(edit["report"]["url"]).json() == {"learning_steps": 0}

    other_signature = url[:-1] + ("A" if url[-1] != "A" else "B")
    for forged in (other_signature, url.replace("result.png", "spec.json"), url.replace("expires=", "expires=9")):
        rejected = httpx.get(forged)
        assert (rejected.status_code, rejected.json()["code"]) == (403, "link_invalid")


def test_another_user_does_not_find_the_edit(client: httpx.Client) -> None:
    location = post_edit(client).headers["location"]
    assert client.get(location, headers={"S2Edit-User": "mallory"}).status_code == 404


def oversized() -> Iterator[bytes]:
    yield b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
    for _ in range(3 * MAX_BODY // 50_000):
        yield b"x" * 50_000


@pytest.mark.parametrize("with_length", [True, False], ids=["with a Content-Length", "chunked"])
def test_a_client_that_sends_its_whole_body_first_gets_the_413(client: httpx.Client, with_length: bool) -> None:
    connection = http.client.HTTPConnection(client.base_url.host, client.base_url.port, timeout=30)
    body = b"".join(oversized()) if with_length else oversized()
    connection.request("POST", "/edits", body, {"Content-Type": "multipart/form-data; boundary=x"})
    answer = connection.getresponse()
    assert (answer.status, json.load(answer)["code"]) == (413, "body_too_large")


def test_the_api_reports_a_redis_outage_and_recovers(client: httpx.Client, redis: EmbeddedRedis) -> None:
    location = post_edit(client).headers["location"]
    redis.stop()
    try:
        ready, edit = client.get("/readyz"), client.get(location)
        assert (ready.status_code, ready.json()["detail"]) == (503, "the job store does not answer")
        assert (edit.status_code, edit.json()["code"], edit.json()["retryable"]) == (503, "store_unavailable", True)
        assert client.get("/healthz").status_code == 200
    finally:
        redis.start()
    until(lambda: client.get("/readyz").status_code == 200)
    until(lambda: client.get(location).status_code == 200)
    assert client.get(location).json()["state"] == "queued"


def test_many_streams_share_one_subscription_and_all_get_the_last_event(
    client: httpx.Client, services: Services, redis: EmbeddedRedis
) -> None:
    edit_id = post_edit(client).json()["id"]
    url = httpx.URL(services.settings.public_url)
    request = f"GET /edits/{edit_id}/events HTTP/1.1\r\nHost: {url.host}\r\nS2Edit-User: {OWNER.user}\r\nConnection: close\r\n\r\n"
    with ExitStack() as stack:
        streams = [stack.enter_context(socket.create_connection((url.host, url.port or 80), timeout=30)) for _ in range(100)]
        for stream in streams:
            stream.sendall(request.encode())
        for stream in streams:
            assert b"200 OK" in stream.recv(64)
        with Redis.from_url(redis.url) as server:
            until(lambda: bool(server.client_list(_type="pubsub")))  # the API subscribes concurrently with its answers
            assert len(server.client_list(_type="pubsub")) == 1
        lease = services.store.leases.claim(edit_id, lease_s=30)
        assert lease is not None
        finish_like_a_worker(services, edit_id)
        for stream in streams:
            text = b"".join(iter(lambda one=stream: one.recv(65536), b"")).decode()
            assert [line for line in text.splitlines() if line.startswith("id: ")] == ["id: 1", "id: 2", "id: 3"]
