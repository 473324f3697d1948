"""Heads of requests must arrive in time."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from api import connection
from api.connection import Connection
from tests.waiting import until

HEAD_S = 0.4
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer without reading the body. A POST takes longer than a head may."""
    if scope["method"] == "POST" and scope["path"] == "/slow":
        time.sleep(HEAD_S * 2)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(connection, "HEAD_S", HEAD_S)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, http="api.connection:Connection", lifespan="off", log_level="warning", timeout_keep_alive=60)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        until(lambda: server.started)
        assert config.http_protocol_class is Connection
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join()


def until_closed(peer: socket.socket, drip: bytes = b"") -> float:
    """Send `drip` every 50 ms. Return the seconds until the server closes the connection; at most 5."""
    began = time.monotonic()
    peer.settimeout(0.05)
    while time.monotonic() - began < 5:
        try:
            if drip:
                peer.sendall(drip)
            if peer.recv(100) == b"":
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - began


@pytest.mark.parametrize("drip", [b"", b"x"])
@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost: x\r\nX: "])
def test_a_head_that_does_not_end_is_cut_off(port: int, begun: bytes, drip: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port)) as peer:
        peer.sendall(begun)
        assert until_closed(peer, drip if begun else b"") < 3


@pytest.mark.parametrize("rest", [b"", b"GET / HT"])
def test_after_a_response_the_next_head_has_the_same_time(port: int, rest: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port)) as peer:
        peer.sendall(REQUEST)
        assert b"200 OK" in peer.recv(1000)
        time.sleep(HEAD_S / 2)
        peer.sendall(REQUEST)
        assert b"200 OK" in peer.recv(1000)
        peer.sendall(rest)
        assert HEAD_S / 2 < until_closed(peer) < 3


def test_a_body_that_nobody_reads_holds_no_connection(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as peer:
        peer.sendall(POST)
        assert b"200 OK" in peer.recv(1000)
        assert until_closed(peer, b"x") < 3


def test_a_response_may_take_any_time(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as peer:
        peer.sendall(POST.replace(b"POST /", b"POST /slow") + b"x" * 1000)
        peer.settimeout(10)
        assert b"200 OK" in peer.recv(1000)
