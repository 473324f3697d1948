"""Webhooks cannot reach private addresses."""

from __future__ import annotations

import http.server
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpcore
import pytest

from worker.housekeeping import outgoing
from worker.housekeeping.outgoing import MAX_HEAD, HeadTooLong, is_public, post


def lead(monkeypatch: pytest.MonkeyPatch, name: str, *to: Callable[[], str]) -> None:
    """Let the name lead to these addresses. A port of 127.0.0.2 and of 127.0.0.9 is closed."""
    known = socket.getaddrinfo

    def look_up(host: str, port: int, *given: Any, **named: Any) -> Any:
        if host != name:
            return known(host, port, *given, **named)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one(), port)) for one in to]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))  # type: ignore[attr-defined]
        self.send_response(302 if self.path == "/elsewhere" else 204)
        self.send_header("Location", "/hook")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[http.server.ThreadingHTTPServer]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        server.bodies = []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()  # poll interval, so that it stops quickly
        yield server
        server.shutdown()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
        "100.64.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1",
        "255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12:3456::1", "ff02::1", "2001:db8::1",
        "::7f00:1", "::808:808", "::ffff:0:a00:1", "::ffff:0:808:808", "64:ff9b:1::a00:1", "64:ff9b:1::808:808",
        "fec0::1", "feff::1", "168.63.129.16", "100.100.100.200", "192.0.0.192", "169.254.170.2", "fd00:ec2::254", "fd20:ce::254",
        "192.88.99.1", "3fff::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "64:ff9b::a00:1", "2002:7f00:1::",
        "2001:0:4136:e378::",
    ],
)  # fmt: skip
def test_addresses_of_our_own_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111"])
def test_addresses_of_others_are(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001"])
def test_nothing_is_sent_to_this_machine_however_it_is_written(server: http.server.ThreadingHTTPServer, host: str) -> None:
    with pytest.raises(httpcore.ConnectError):
        post(f"http://{host}:{server.server_port}/hook", b"{}", {})
    assert server.bodies == []  # type: ignore[attr-defined]


def test_it_connects_to_the_address_that_was_checked_whatever_the_name_leads_to_next(
    server: http.server.ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[str] = []
    lead(monkeypatch, "rebound.example", lambda: looked_up.append("once") or ("127.0.0.2" if len(looked_up) > 1 else "127.0.0.1"))
    monkeypatch.setattr(outgoing, "is_public", lambda address: address == "127.0.0.1")
    assert post(f"http://rebound.example:{server.server_port}/hook", b"{}", {}) == 204
    assert looked_up == ["once"]


def test_of_several_addresses_only_the_public_ones_are_tried(
    server: http.server.ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected: list[str] = []
    connect = httpcore.SyncBackend.connect_tcp
    lead(monkeypatch, "many.example", lambda: "10.0.0.1", lambda: "127.0.0.9", lambda: "127.0.0.1")
    monkeypatch.setattr(outgoing, "is_public", lambda address: address.startswith("127"))
    monkeypatch.setattr(
        httpcore.SyncBackend, "connect_tcp", lambda self, host, *a, **b: connected.append(host) or connect(self, host, *a, **b)
    )
    assert post(f"http://many.example:{server.server_port}/hook", b"{}", {}) == 204
    assert connected == ["127.0.0.9", "127.0.0.1"]


def test_a_redirect_is_an_answer_and_is_not_followed(server: http.server.ThreadingHTTPServer) -> None:
    assert post(f"http://127.0.0.1:{server.server_port}/elsewhere", b"{}", {}, allow_private=True) == 302
    assert server.bodies == [b"{}"]  # type: ignore[attr-defined]


def test_where_it_is_allowed_a_private_receiver_gets_the_message(server: http.server.ThreadingHTTPServer) -> None:
    assert post(f"http://127.0.0.1:{server.server_port}/hook", b"hello", {"webhook-id": "msg_1"}, allow_private=True) == 204
    assert server.bodies == [b"hello"]  # type: ignore[attr-defined]


GAP_S = 0.02
PATIENCE_S = 20.0
"""What never ends by itself ends by its deadline of 0.2 s, which a busy machine may notice late."""
"""Seconds between two bytes of a dripping receiver: far less than any timeout of a single read."""


@contextmanager
def receiver(answer: Callable[[socket.socket], None], tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Listen, and call `answer` with each connection. Yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with suppress(OSError), connection:
                        answer(tls.wrap_socket(connection, server_side=True) if tls else connection)

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]


def drip(head: bytes) -> Callable[[socket.socket], None]:
    """Send `head`, then a byte of a header now and then, for ever."""

    def answer(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(head)
        while True:
            connection.sendall(b"x")
            time.sleep(GAP_S)

    return answer


def silent(connection: socket.socket) -> None:
    while connection.recv(65_536):
        pass


@pytest.mark.parametrize(
    "answer", [silent, drip(b""), drip(b"HTTP/1.1 200 OK\r\nX: "), drip(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 2")]
)
def test_one_deadline_ends_the_whole_exchange(answer: Callable[[socket.socket], None]) -> None:
    with receiver(answer) as port:
        began = time.monotonic()
        with pytest.raises((httpcore.ReadTimeout, httpcore.RemoteProtocolError)):
            post(f"http://127.0.0.1:{port}/", b"{}", {}, allow_private=True, timeout_s=0.2)
        assert time.monotonic() - began < PATIENCE_S


def test_a_handshake_that_drips_ends_too() -> None:
    """The first byte of a TLS record announces more than ever comes."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(b"\x16\x03\x03\x3f\xff")
        while True:
            connection.sendall(b"\x02")
            time.sleep(GAP_S)

    with receiver(answer) as port:
        began = time.monotonic()
        with pytest.raises((httpcore.ConnectTimeout, httpcore.ConnectError)):
            post(f"https://127.0.0.1:{port}/", b"{}", {}, allow_private=True, timeout_s=0.2)
        assert time.monotonic() - began < PATIENCE_S


def test_a_lookup_that_takes_too_long_ends_too(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: release.wait(30) and [])
    began = time.monotonic()
    with pytest.raises(httpcore.ConnectTimeout):
        post("https://slow.example/", b"{}", {}, timeout_s=0.2)
    assert time.monotonic() - began < PATIENCE_S
    release.set()


@pytest.mark.parametrize("size", [MAX_HEAD - 200, MAX_HEAD + 1, 10_000_000])
def test_the_head_of_an_answer_is_bounded_and_its_body_is_not_read(size: int) -> None:
    sent: list[int] = []

    def answer(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nX: " + b"x" * size + b"\r\n\r\n")
        while True:  # a body without an end
            sent.append(connection.send(b"y" * 65_536))

    with receiver(answer) as port:
        url = f"http://127.0.0.1:{port}/"
        if size < MAX_HEAD:
            assert post(url, b"{}", {}, allow_private=True) == 200
        else:
            with pytest.raises(HeadTooLong):
                post(url, b"{}", {}, allow_private=True)


def test_the_certificate_is_checked_against_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection goes to an address, the check of the certificate to the name in the URL."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=hook.example"]
    command += ["-addext", "subjectAltName=DNS:hook.example", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_side.load_cert_chain(certificate, key)
    monkeypatch.setattr(outgoing, "_tls", lambda: ssl.create_default_context(cafile=str(certificate)))

    def answer(connection: socket.socket) -> None:
        request = b""
        while not request.endswith(b"{}"):
            request += connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    with receiver(answer, server_side) as port:
        for name in ("hook.example", "other.example"):
            lead(monkeypatch, name, lambda: "127.0.0.1")
        assert post(f"https://hook.example:{port}/", b"{}", {}, allow_private=True) == 204
        with pytest.raises(httpcore.ConnectError, match="certificate"):
            post(f"https://other.example:{port}/", b"{}", {}, allow_private=True)
