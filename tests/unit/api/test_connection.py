"""Heads of requests must arrive in time."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from api.connection import HEAD_S, Connection
from tests.waiting import until

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"


class SetLoop(asyncio.SelectorEventLoop):
    """An event loop of real sockets whose time a test sets, so a slow machine misses no deadline."""

    now = 0.0

    def __init__(self) -> None:
        super().__init__()
        select = self._selector.select  # type: ignore[attr-defined]
        self._selector.select = lambda timeout: select(0.01 if timeout is None else min(timeout, 0.01))  # type: ignore[attr-defined]

    def time(self) -> float:
        return self.now


@dataclass
class Server:
    port: int
    loop: SetLoop

    def pass_time(self, seconds: float) -> None:
        """Let time pass on the thread of the loop, so after what the server does at the moment."""

        async def pass_it() -> None:
            self.loop.now += seconds

        asyncio.run_coroutine_threadsafe(pass_it(), self.loop).result(30)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer without reading the body. A POST takes longer than a head may."""
    if scope["method"] == "POST" and scope["path"] == "/slow":
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SetLoop)
        loop.now += HEAD_S * 2
        for _ in range(5):
            await asyncio.sleep(0)  # timers that are due run now
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


@pytest.fixture
def server() -> Iterator[Server]:
    loop = SetLoop()
    with socket.create_server(("127.0.0.1", 0)) as listener, asyncio.Runner(loop_factory=lambda: loop) as runner:
        config = uvicorn.Config(app, http="api.connection:Connection", lifespan="off", log_level="warning", timeout_keep_alive=60)
        served = uvicorn.Server(config)
        thread = threading.Thread(target=lambda: runner.run(served.serve(sockets=[listener])))
        thread.start()
        until(lambda: served.started)
        assert config.http_protocol_class is Connection
        yield Server(listener.getsockname()[1], loop)
        served.should_exit = True
        while thread.is_alive():
            loop.now += 1.0  # uvicorn looks now and then
            thread.join(0.01)


def is_open(peer: socket.socket) -> bool:
    """Return whether the server has not closed the connection."""
    peer.settimeout(0.1)
    try:
        return peer.recv(100) != b""
    except TimeoutError:
        return True
    except OSError:
        return False


@pytest.mark.parametrize("drip", [b"", b"x"])
@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost: x\r\nX: "])
def test_a_head_that_does_not_end_is_cut_off(server: Server, begun: bytes, drip: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as peer:
        peer.sendall(begun)
        assert is_open(peer)
        for _ in range(9):
            server.pass_time(HEAD_S / 10)
            peer.sendall(drip if begun else b"")
        assert is_open(peer)
        server.pass_time(HEAD_S / 10 + 0.01)
        until(lambda: not is_open(peer))


@pytest.mark.parametrize("rest", [b"", b"GET / HT"])
def test_after_a_response_the_next_head_has_the_same_time(server: Server, rest: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as peer:
        for _ in range(3):
            peer.sendall(REQUEST)
            assert b"200 OK" in peer.recv(1000)
            server.pass_time(0.7 * HEAD_S)
        peer.sendall(rest)
        assert is_open(peer)
        server.pass_time(0.4 * HEAD_S)
        until(lambda: not is_open(peer))


def test_a_body_that_nobody_reads_holds_no_connection(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as peer:
        peer.sendall(POST)
        assert b"200 OK" in peer.recv(1000)
        for _ in range(9):
            server.pass_time(HEAD_S / 10)
            peer.sendall(b"x")
        assert is_open(peer)
        server.pass_time(HEAD_S / 10 + 0.01)
        until(lambda: not is_open(peer))


def test_a_response_may_take_any_time(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as peer:
        peer.sendall(POST.replace(b"POST /", b"POST /slow") + b"x" * 1000)
        peer.settimeout(10)
        assert b"200 OK" in peer.recv(1000)
