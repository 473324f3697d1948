"""HTTP requests to URLs from users: only to public addresses, checked on the connected socket, without following redirects."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterable, Mapping
from typing import Any

import httpcore

TIMEOUT_S = 10.0
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether the IP address is public. IPv6 addresses that embed another address never count as public."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and (ip.ipv4_mapped or ip.sixtofour or ip.teredo or ip in _NAT64):
        return False
    return ip.is_global and not ip.is_multicast


class NotPublic(httpcore.ConnectError):
    """The host name resolves to an address that is not public."""


class _PublicOnly(httpcore.SyncBackend):
    """A network backend that closes connections to private addresses before it sends anything.

    It checks the connected socket, because a name can resolve to another address at each lookup (DNS rebinding).
    """

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        stream = super().connect_tcp(host, port, timeout, local_address, socket_options)
        peer = stream.get_extra_info("server_addr")[0]
        if not is_public(peer):
            stream.close()
            raise NotPublic("the webhook's host is not at a public address")
        return stream


def post(url: str, body: bytes, headers: Mapping[str, str], *, allow_private: bool = False) -> int:
    """POST `body` and return the status of the answer, without reading its body. Raise what httpcore raises."""
    timeouts = dict.fromkeys(("connect", "read", "write", "pool"), TIMEOUT_S)
    backend = httpcore.SyncBackend() if allow_private else _PublicOnly()
    with (
        httpcore.ConnectionPool(ssl_context=ssl.create_default_context(), network_backend=backend) as pool,
        pool.stream("POST", url, headers=list(headers.items()), content=body, extensions={"timeout": timeouts}) as answer,
    ):
        return int(answer.status)
