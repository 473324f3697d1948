"""Writes that succeed although their answer is 500 or gets lost: the service takes them for its own, and nobody else's."""

from __future__ import annotations

import http.client
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest

from api.guard.device_tokens import DeviceTokens
from s2edit_jobs.access.keys import KeyEnded, KeyRing
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.library.uploads import Uploads
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.errors import ArtifactExists, TokenSpent
from s2edit_jobs.records.record import JobState, Outcome
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.object_store.s3_artifacts import S3ArtifactStore, make_client
from tests.stores import Database, MemoryJobQueue
from tests.unit.worker.conftest import ANN, FILES, REQUEST

Fault = Literal["500", "503", "cut"]
KEY = "t/app/u/ann/edits/e_1/outcome.json"


class Proxy:
    """Forwards every request to an S3 server. The answers to the next PUTs are replaced by `faults`, after the write."""

    def __init__(self, upstream: str) -> None:
        self.faults: deque[Fault] = deque()
        self.puts = 0
        proxy, address = self, urlsplit(upstream)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                server = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
                server.request(self.command, self.path, body, dict(self.headers.items()))
                answer = server.getresponse()
                content = answer.read()
                server.close()
                status, headers = answer.status, answer.getheaders()
                if self.command == "PUT":
                    proxy.puts += 1
                    if proxy.faults and (fault := proxy.faults.popleft()):
                        if fault == "cut":
                            self.close_connection = True
                            return
                        status, headers, content = int(fault), [], b"<Error><Code>InternalError</Code></Error>"
                self.send_response(status)
                for name, value in headers:
                    if name.lower() not in ("transfer-encoding", "connection", "content-length", "date", "server"):
                        self.send_header(name, value)
                length = dict((name.lower(), value) for name, value in headers).get("content-length")
                self.send_header("Content-Length", str(length if self.command == "HEAD" and length else len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = forward  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def proxy(moto: Settings) -> Iterator[Proxy]:
    assert moto.s3_endpoint_url is not None
    proxy = Proxy(moto.s3_endpoint_url)
    yield proxy
    proxy.server.shutdown()
    proxy.server.server_close()


@pytest.fixture
def store(moto: Settings, proxy: Proxy) -> S3ArtifactStore:
    bucket = f"bucket-{time.time_ns()}"
    make_client(moto, moto.s3_endpoint_url).create_bucket(Bucket=bucket)
    store = S3ArtifactStore(make_client(moto, proxy.url), bucket)
    store.prove()
    return store


FAULTS: dict[str, list[Fault]] = {
    "500": ["500"],
    "503, twice": ["503", "503"],
    "a lost answer": ["cut"],
    "500 as often as boto3 tries": ["500", "500", "500"],
}


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("data", [b"", b"{}"], ids=["empty", "not empty"])
def test_a_write_that_succeeded_is_a_success(store: S3ArtifactStore, proxy: Proxy, faults: list[Fault], data: bytes) -> None:
    proxy.faults.extend(faults)
    store.put(KEY, data, media_type="application/json", only_if_absent=True)
    assert store.get(KEY) == data
    assert not proxy.faults, "the fault has happened"


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
def test_another_write_of_the_same_bytes_is_not_ours(store: S3ArtifactStore, proxy: Proxy, faults: list[Fault]) -> None:
    store.put(KEY, b"", media_type="text/plain", only_if_absent=True)
    proxy.faults.extend(faults)
    with pytest.raises(ArtifactExists):
        store.put(KEY, b"", media_type="text/plain", only_if_absent=True)


def test_a_replaced_object_is_written_once_more(store: S3ArtifactStore, proxy: Proxy) -> None:
    proxy.faults.append("500")
    store.put(KEY, b"new", media_type="text/plain")
    assert store.get(KEY) == b"new"


def _keys(store: S3ArtifactStore, fail: Callable[[], None]) -> None:
    ring = KeyRing(store)
    fail()
    old, _ = ring.create("app")
    fail()
    new, text = ring.rotate(old.id, grace_s=0)
    found = ring.find(new.id)
    assert found is not None
    assert found.matches(text)
    assert found.is_active(time.time() + 1)
    with pytest.raises(KeyEnded):
        ring.rotate(old.id, grace_s=0)


def _tokens(store: S3ArtifactStore, fail: Callable[[], None]) -> None:
    tokens = DeviceTokens(store, ["k" * 32])
    token, _ = tokens.issue(ANN, scopes=frozenset({"edits:write"}), expires_in_s=60, edits=2, uploads=0, key_id="")
    for _ in range(2):
        fail()
        tokens.spend(token, "edits")
    with pytest.raises(TokenSpent):
        tokens.spend(token, "edits")


def _uploads(store: S3ArtifactStore, fail: Callable[[], None]) -> None:
    services = Services(store, Database().store(), MemoryJobQueue(), Settings())
    fail()
    announced = Uploads(services).announce(ANN, media_type="image/png", size_bytes=1, sha256=None)
    assert Uploads(services).get(ANN, announced.id) == announced


def _outcomes(store: S3ArtifactStore, fail: Callable[[], None]) -> None:
    services = Services(store, Database().store(), MemoryJobQueue(), Settings())
    jobs = Jobs(services)
    job_id = jobs.accept(draft(services, ANN, REQUEST, FILES), FILES).id
    fail()
    assert jobs.finish(ANN, job_id, Outcome(JobState.CANCELED, 1, 1.0)).state is JobState.CANCELED
    assert jobs.finish(ANN, job_id, Outcome(JobState.SUCCEEDED, 2, 2.0)).state is JobState.CANCELED


@pytest.mark.parametrize("flow", [_keys, _tokens, _uploads, _outcomes])
@pytest.mark.parametrize("faults", [["500"], ["cut"]], ids=["500", "cut"])
def test_whoever_writes_once_goes_on(store: S3ArtifactStore, proxy: Proxy, flow: Callable[..., Any], faults: list[Fault]) -> None:
    flow(store, lambda: proxy.faults.extend(faults))
