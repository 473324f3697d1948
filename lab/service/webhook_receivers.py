"""Receivers of webhooks for `lab.neighbours`: one that answers at once, and one that never ends its answer."""

from __future__ import annotations

import http.server
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

DRIP_S = 1.0
"""Seconds between two bytes of the dripping receiver: far less than any timeout of a single read."""


class PromptReceiver:
    """Accepts every webhook at once. `arrived` holds when that of each edit first came, by the edit's id."""

    def __init__(self) -> None:
        self.arrived: dict[str, float] = {}

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve, and yield the URL."""
        arrived = self.arrived

        class Hook(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                arrived.setdefault(json.loads(body)["data"]["id"], time.time())
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Log nothing."""

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{server.server_port}/hook"
            server.shutdown()


@contextmanager
def dripping() -> Iterator[int]:
    """Serve on all addresses of the loopback network, and yield the port. Each connection gets a byte per `DRIP_S`, without end."""
    peers: list[socket.socket] = []
    stopped = threading.Event()
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("0.0.0.0", 0), backlog=1024))  # noqa: S104

        def accept() -> None:
            with suppress(OSError):
                while True:
                    peers.append(stack.enter_context(listener.accept()[0]))
                    peers[-1].sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")

        def drip() -> None:
            while not stopped.wait(DRIP_S):
                for peer in tuple(peers):
                    with suppress(OSError):
                        peer.sendall(b"x")

        for target in (accept, drip):
            threading.Thread(target=target, daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            stopped.set()
