"""HTTP requests to URLs from users: only to public addresses, within one deadline, without following redirects."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

import httpcore

TIMEOUT_S = 10.0
"""Seconds for the whole exchange: finding the address, connecting, TLS, the request and the head of the answer."""
MAX_HEAD = 8192
"""Most bytes that are read of an answer. Its body is not wanted."""
_EMBEDDING = tuple(ipaddress.IPv6Network(text) for text in ("::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48"))
"""IPv6 networks whose addresses stand for IPv4 ones: compatible, translated, NAT64 and its local prefix."""
_SERVICES_OF_CLOUDS = tuple(
    ipaddress.ip_network(text)
    for text in (
        "168.63.129.16/32",  # Azure: DHCP, DNS, health and the machine's agent
        "100.100.100.200/32",  # Alibaba: metadata
        "169.254.0.0/16",  # AWS, Google, Azure, Oracle: metadata
        "192.0.0.192/32",  # Oracle: metadata
        "fd00:ec2::/32",  # AWS: metadata, DNS, NTP
        "fd20:ce::254/128",  # Google: metadata
    )
)
"""Addresses at which a cloud answers its own machines. Some of them pass as public."""
_RESERVED = tuple(ipaddress.ip_network(text) for text in ("fec0::/10", "3fff::/20", "5f00::/16", "192.88.99.0/24"))
"""Networks of nobody's that Python's `is_global` does not know: site-local, documentation, segment routing, relays of 6to4."""


def is_public(address: str) -> bool:
    """Whether the IP address is public. IPv6 addresses that embed another address never count as public."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and (ip.ipv4_mapped or ip.sixtofour or ip.teredo):
        return False
    if any(ip in network for network in (*_EMBEDDING, *_SERVICES_OF_CLOUDS, *_RESERVED)):
        return False
    return ip.is_global and not ip.is_multicast


class NotPublic(httpcore.ConnectError):
    """The host name resolves to no address that is public."""


class HeadTooLong(httpcore.RemoteProtocolError):
    """The head of the answer is longer than `MAX_HEAD`."""


class _Deadline:
    """The end of an exchange, on the monotonic clock."""

    def __init__(self, seconds: float) -> None:
        self._ends_at = time.monotonic() + seconds

    def left_s(self, expired: type[Exception]) -> float:
        """Return the seconds that are left. Raise `expired` if there are none."""
        if (left_s := self._ends_at - time.monotonic()) <= 0:
            raise expired("the exchange took too long")
        return left_s


class _Stream(httpcore.NetworkStream):
    """A connection whose every wait ends at the same deadline, and that reads at most `MAX_HEAD` bytes.

    The timeouts of httpcore count anew for each read and write, so a receiver that sends a byte now and then never exceeds them.
    """

    def __init__(self, stream: httpcore.NetworkStream, deadline: _Deadline) -> None:
        self._stream = stream
        self._deadline = deadline
        self._unread = MAX_HEAD

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        if self._unread == 0:
            raise HeadTooLong(f"the head of the answer is longer than {MAX_HEAD} bytes")
        data = self._stream.read(min(max_bytes, self._unread), self._deadline.left_s(httpcore.ReadTimeout))
        self._unread -= len(data)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        # A message fits the kernel's buffer, so one timeout for all of it is enough.
        self._stream.write(buffer, self._deadline.left_s(httpcore.WriteTimeout))

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        left_s = self._deadline.left_s(httpcore.ConnectTimeout)  # Python's ssl applies it to the whole handshake
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left_s), self._deadline)

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Backend(httpcore.SyncBackend):
    """Connects to the permitted addresses of a host, within the deadline.

    It looks the name up itself and connects to what it has checked, because a name can resolve to another address at each lookup
    (DNS rebinding).
    """

    def __init__(self, deadline: _Deadline, permits: Callable[[str], bool]) -> None:
        self._deadline = deadline
        self._permits = permits

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = [one for one in _addresses(host, port, self._deadline) if self._permits(one)]
        failure: Exception = NotPublic("the webhook's host is not at a public address")
        for number, address in enumerate(addresses):
            share_s = self._deadline.left_s(httpcore.ConnectTimeout) / (len(addresses) - number)
            try:
                stream = super().connect_tcp(address, port, share_s, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
                continue
            return _Stream(stream, self._deadline)
        raise failure


def _addresses(host: str, port: int, deadline: _Deadline) -> list[str]:
    """Return the IP addresses of `host`. Raise `ConnectError` or `ConnectTimeout`.

    A lookup can't be interrupted, so it runs in a thread that is left alone when the time is up.
    """
    found: list[str] = []
    errors: list[OSError] = []

    def look_up() -> None:
        try:
            found.extend(dict.fromkeys(str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        except (OSError, UnicodeError) as error:
            errors.append(OSError(str(error)))

    thread = threading.Thread(target=look_up, name="webhook lookup", daemon=True)
    thread.start()
    thread.join(deadline.left_s(httpcore.ConnectTimeout))
    if thread.is_alive():
        raise httpcore.ConnectTimeout("the lookup of the webhook's host took too long")
    if errors:
        raise httpcore.ConnectError(str(errors[0]))
    return found


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def post(url: str, body: bytes, headers: Mapping[str, str], *, allow_private: bool = False, timeout_s: float = TIMEOUT_S) -> int:
    """POST `body` and return the status of the answer, without reading its body. Raise what httpcore raises."""
    backend = _Backend(_Deadline(timeout_s), (lambda _: True) if allow_private else is_public)
    with (
        httpcore.ConnectionPool(ssl_context=_tls(), network_backend=backend) as pool,
        pool.stream("POST", url, headers=list(headers.items()), content=body) as answer,
    ):
        return int(answer.status)
