"""No stranger's address makes us talk to our own machines."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import httpcore
import pytest

from worker.housekeeping import outgoing
from worker.housekeeping.outgoing import NotPublic, is_public, post


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
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()  # how soon it hears of its end
        yield server
        server.shutdown()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
        "100.64.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1",
        "255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12:3456::1", "ff02::1", "2001:db8::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "64:ff9b::a00:1", "2002:7f00:1::", "2001:0:4136:e378::",
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


def test_where_the_connection_went_counts_and_not_where_the_name_led_before(
    server: http.server.ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(outgoing, "is_public", lambda address: bool(seen.append(address)))
    with pytest.raises(NotPublic):
        post(f"http://localhost:{server.server_port}/hook", b"{}", {})
    assert seen in (["127.0.0.1"], ["::1"])


def test_a_redirect_is_an_answer_and_is_not_followed(server: http.server.ThreadingHTTPServer) -> None:
    assert post(f"http://127.0.0.1:{server.server_port}/elsewhere", b"{}", {}, allow_private=True) == 302
    assert server.bodies == [b"{}"]  # type: ignore[attr-defined]


def test_where_it_is_allowed_a_private_receiver_gets_the_message(server: http.server.ThreadingHTTPServer) -> None:
    assert post(f"http://127.0.0.1:{server.server_port}/hook", b"hello", {"webhook-id": "msg_1"}, allow_private=True) == 204
    assert server.bodies == [b"hello"]  # type: ignore[attr-defined]
