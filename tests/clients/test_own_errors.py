"""The Python client tells its caller's errors from a service that does not answer, and asks no proxy for this machine."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from s2edit_client import EditFailed, edit_and_wait, edit_and_wait_async, follow_edit, waiting
from s2edit_client.connections import uses_environment

NOBODY = "http://127.0.0.1:9"


def edit(url: str, **options: Any) -> object:
    return edit_and_wait(url, "a woman", **options)


def edit_async(url: str, **options: Any) -> object:
    return asyncio.run(edit_and_wait_async(url, "a woman", **options))


def follow(url: str, **options: Any) -> object:
    return list(follow_edit(url, "e_1", **options))


@pytest.fixture
def server() -> Iterator[tuple[str, list[bytes]]]:
    """A server that refuses everything with a problem. Return its URL and the requests that reached it."""
    heads: list[bytes] = []
    problem = b'{"type": "about:blank", "title": "no", "status": 403, "detail": "no", "code": "no", "retryable": false}'
    answer = (
        b"HTTP/1.1 403 Forbidden\r\nContent-Type: application/problem+json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                with peer:
                    heads.append(peer.recv(65_536))
                    peer.sendall(answer % (len(problem), problem))

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", heads


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
    call: Callable[..., object], url: str | None, options: dict[str, str], server: tuple[str, list[bytes]]
) -> None:
    began = time.monotonic()
    with pytest.raises(EditFailed) as failed:
        call(url or server[0], **options)
    assert (failed.value.code, failed.value.retryable) == ("request_invalid", False)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("call", [edit, edit_async, follow])
def test_why_nobody_answers_is_said(call: Callable[..., object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "PAUSE_S", 0.01)
    monkeypatch.setattr(waiting, "PATIENCE_S", 0.05)
    with pytest.raises(EditFailed, match=r"the service does not answer: .+") as failed:
        call(NOBODY)
    assert failed.value.code == "unreachable"


@pytest.mark.parametrize("call", [edit, edit_async, follow])
def test_this_machine_is_asked_without_a_proxy(
    call: Callable[..., object], server: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, NOBODY)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    url, heads = server
    with pytest.raises(EditFailed) as failed:
        call(url, token=" s2e_1_abc\n")
    assert failed.value.status == 403
    assert b"Bearer s2e_1_abc\r\n" in heads[0], "line ends around a token are not part of it"


def test_other_machines_are_asked_by_the_proxy_of_the_environment() -> None:
    for url in ("http://127.0.0.1:8000", "http://[::1]:8000", "http://localhost/", "https://api.localhost"):
        assert not uses_environment(url)
    for url in ("https://example.com", "http://192.0.2.1:8000", "http://localhost.example.com"):
        assert uses_environment(url)
