"""Host names that lead to this machine whoever owns the domain: a page can't come under them by DNS rebinding."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from urllib.parse import urlsplit


def host_name(host: str) -> str:
    """Return the name in a `Host` header, without the port."""
    try:
        return (urlsplit(f"//{host}").hostname or "").removesuffix(".")
    except ValueError:
        return ""


@lru_cache(maxsize=1024)  # called for every request, with few different names
def is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_unowned(name: str) -> bool:
    """Whether the name is an IP address or `localhost`, which nobody can let lead elsewhere."""
    return is_address(name) or name == "localhost" or name.endswith(".localhost")


def is_loopback(name: str) -> bool:
    """Whether the name leads to the machine that uses it."""
    return ipaddress.ip_address(name).is_loopback if is_address(name) else is_unowned(name)
