"""The Python client tells its caller's errors from a service that does not answer, and asks no proxy for this machine."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from s2edit_client import EditFailed, edit_and_wait, edit_and_wait_async, follow_edit, waiting
from s2edit_client.connections import uses_environment

from api.description.examples import RUNNING

NOBODY = "http://127.0.0.1:9"


def edit(url: str, **options: Any) -> object:
    return edit_and_wait(url, "a woman", **options)


def edit_async(url: str, **options: Any) -> object:
    return asyncio.run(edit_and_wait_async(url, "a woman", **options))


def follow(url: str, **options: Any) -> object:
    return list(follow_edit(url, "e_1", **options))


@pytest.fixture
def server() -> Iterator[tuple[str, list[Message]]]:
    """A server that refuses everything with a problem. Return its URL and the headers of the requests that reached it."""
    heads: list[Message] = []
    problem = b'{"type": "about:blank", "title": "no", "status": 403, "detail": "no", "code": "no", "retryable": false}'

    class Refusing(BaseHTTPRequestHandler):
        def handle_one(self) -> None:
            heads.append(self.headers)
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_response(403)
            self.send_header("Content-Type", "application/problem+json")
            self.send_header("Content-Length", str(len(problem)))
            self.end_headers()
            self.wfile.write(problem)

        do_GET = do_POST = handle_one  # noqa: N815

        def log_message(self, format: str, *values: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}", heads
        running.shutdown()


@pytest.mark.parametrize("call", [edit, edit_async, follow])
@pytest.mark.parametrize(
    ("url", "options"),
    [
        (None, {"token": "s2e_1_\nabc"}),
        (None, {"token": "schlüssel"}),
        (None, {"token": ""}),
        (None, {"user": "ann\nbob"}),
        (None, {"user": "änn"}),
        ("127.0.0.1:9", {}),
        ("ftp://127.0.0.1:9", {}),
        ("http://127.0.0.1:port", {}),
    ],
)
def test_a_request_that_cannot_be_sent_is_raised_at_once(
    call: Callable[..., object],
    url: str | None,
    options: dict[str, str],
    server: tuple[str, list[Message]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting, "PAUSE_S", 3600.0)  # sending it again would take longer than a test may
    with pytest.raises(EditFailed) as failed:
        call(url or server[0], **options)
    assert (failed.value.code, failed.value.retryable) == ("request_invalid", False)


@pytest.mark.parametrize("call", [edit, edit_async, follow])
def test_why_nobody_answers_is_said(call: Callable[..., object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "PAUSE_S", 0.01)
    monkeypatch.setattr(waiting, "PATIENCE_S", 0.05)
    with pytest.raises(EditFailed, match=r"the service does not answer: .+") as failed:
        call(NOBODY)
    assert failed.value.code == "unreachable"


@pytest.mark.parametrize("call", [edit, edit_async, follow])
def test_this_machine_is_asked_without_a_proxy(
    call: Callable[..., object], server: tuple[str, list[Message]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, NOBODY)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    url, heads = server
    with pytest.raises(EditFailed) as failed:
        call(url, token=" s2e_1_abc\n")
    assert failed.value.status == 403
    assert heads[0]["authorization"] == "Bearer s2e_1_abc", "line ends around a token are not part of it"


def test_other_machines_are_asked_by_the_proxy_of_the_environment() -> None:
    for url in ("http://127.0.0.1:8000", "http://[::1]:8000", "http://localhost/", "https://api.localhost"):
        assert not uses_environment(url)
    for url in ("https://example.com", "http://192.0.2.1:8000", "http://localhost.example.com"):
        assert uses_environment(url)


def test_a_stream_of_events_that_can_not_be_read_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every connection opens, and sends an edit in a state that a newer service may know."""
    monkeypatch.setattr(waiting, "PAUSE_S", 0.02)
    monkeypatch.setattr(waiting, "PATIENCE_S", 0.3)
    unknown = json.dumps({**RUNNING, "state": "paused"})

    class Newer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            self.wfile.write(f"event: edit\nid: 7\ndata: {unknown}\n\n".encode())

        def log_message(self, format: str, *values: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Newer) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        with pytest.raises(EditFailed):
            follow(f"http://127.0.0.1:{running.server_port}")
        running.shutdown()
