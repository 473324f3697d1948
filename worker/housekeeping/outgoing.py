"""HTTP to addresses that strangers name: only to public ones, checked on the connected socket, and no redirect is followed."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterable, Mapping
from typing import Any

import httpcore

TIMEOUT_S = 10.0
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether anybody on the internet may be there. Addresses that carry another one inside are not trusted at all."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and (ip.ipv4_mapped or ip.sixtofour or ip.teredo or ip in _NAT64):
        return False
    return ip.is_global and not ip.is_multicast


class NotPublic(httpcore.ConnectError):
    """The name leads to an address of ours, or of this machine."""


class _PublicOnly(httpcore.SyncBackend):
    """A name may lead elsewhere each time it is looked up, so what counts is where the connection went; nothing is sent before."""

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
            raise NotPublic("the address is not a public one")
        return stream


def post(url: str, body: bytes, headers: Mapping[str, str], *, allow_private: bool = False) -> int:
    """The status of the answer; its body is not read. Raises what httpcore raises when there is none."""
    timeouts = dict.fromkeys(("connect", "read", "write", "pool"), TIMEOUT_S)
    backend = httpcore.SyncBackend() if allow_private else _PublicOnly()
    with (
        httpcore.ConnectionPool(ssl_context=ssl.create_default_context(), network_backend=backend) as pool,
        pool.stream("POST", url, headers=list(headers.items()), content=body, extensions={"timeout": timeouts}) as answer,
    ):
        return int(answer.status)
