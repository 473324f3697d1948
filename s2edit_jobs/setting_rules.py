"""What the values of settings must look like, and the words for those that do not. `settings` applies the rules.

The rules raise `ValueError`. Their messages say what to write, and never hold the value, which may be secret.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from pydantic import SecretStr

PREFIX = "S2EDIT_"
LONGEST_S = 100 * 365 * 86_400
"""Of a setting, in seconds, that is added to a time: calendars end in the year 9999."""
LARGEST = 10**15
"""Of a count. Redis and JavaScript count no further than 2^53 without rounding."""
REDIS_SCHEMES = ("redis", "rediss", "unix")
OF_COMMANDS = ("S2EDIT_API_KEY",)
"""Variables that commands read and that are no settings of the service."""


def unknown_variables(environment: Iterable[str], settings: Iterable[str]) -> list[str]:
    """Return a sentence per variable of the environment that looks like a setting and is none."""
    known = {*OF_COMMANDS, *(f"{PREFIX}{name.upper()}" for name in settings)}
    unknown = sorted(name for name in environment if name.upper().startswith(PREFIX) and name.upper() not in known)
    return [f"{name} is no setting, so it is ignored{_nearest(name.upper(), known)}" for name in unknown]


def _nearest(name: str, known: Iterable[str]) -> str:
    endings = [one.removeprefix(PREFIX) for one in known]
    near = get_close_matches(name.removeprefix(PREFIX), endings, n=1)
    return f": did you mean {PREFIX}{near[0]}?" if near else "; docs/self-hosting.md lists all settings"


def missing_gpu(device: str, count: int) -> str | None:
    """Return why `S2EDIT_DEVICE` can't be used on a machine on which torch finds `count` GPUs, or None."""
    if not device.startswith("cuda") or int(device.partition(":")[2] or 0) < count:
        return None
    found = f"only {count} of them, numbered from 0" if count else "none"
    return (
        f"S2EDIT_DEVICE is {device}, a CUDA device, and torch finds {found}: write auto or cpu, or install the driver and torch's "
        "CUDA build"
    )


def check_web_address(url: str, *, query: bool = False) -> None:
    """Check an http:// or https:// URL. It may have a query only with `query`."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or any(character.isspace() for character in url):
        raise ValueError("it must be a URL that begins with http:// or https:// and a host, such as https://edit.example.com")
    if "@" in parts.netloc or parts.fragment or (parts.query and not query):
        raise ValueError("it must be a URL without a user name, a query and a fragment, such as https://edit.example.com")


def check_redis_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in REDIS_SCHEMES and url.startswith(f"{parts.scheme}://") and parts.port != 0
    except ValueError:  # a port that is none, or the addresses of several servers
        valid = False
    if not valid:
        raise ValueError(
            "it must begin with redis://, rediss:// or unix:// and name the primary, not Sentinels or a cluster, such as "
            "redis://redis.example.com:6379/0"
        )


def check_device(name: str) -> None:
    if not re.fullmatch(r"auto|cpu|cuda(:[0-9]+)?", name):
        raise ValueError("it must be auto, cpu, cuda or cuda:N, where N is the number of a GPU")


def check_factory(name: str) -> None:
    if not re.fullmatch(r"[\w.]+:\w+", name):
        raise ValueError("it must be module:factory, such as my_checks:Checker")


def check_key(key: str) -> None:
    if len(key) < 32:
        raise ValueError("a key must have at least 32 characters, for example from `openssl rand -base64 32`")


def check_shown_token(token: str) -> None:
    """Check a token that comes in a header, which holds ASCII, and drops blanks around it."""
    if not re.fullmatch(r"[!-~][ -~]{14,}[!-~]", token):
        raise ValueError(
            "it must have at least 16 characters of ASCII, without blanks around them, for example from `openssl rand -hex 16`"
        )


def check_webhook_key(key: str) -> None:
    try:
        size = len(base64.b64decode(key.removeprefix("whsec_"), validate=True))
    except ValueError:
        size = 0
    if not (key.startswith("whsec_") and 24 <= size <= 64):
        raise ValueError("every key must consist of whsec_ and the base64 encoding of 24 to 64 bytes")


def check_origin(origin: str) -> None:
    url = urlsplit(origin)
    if origin != "*" and (url.scheme not in ("http", "https") or origin != f"{url.scheme}://{url.netloc}".lower()):
        raise ValueError("every origin must look like https://app.example.com, in lower case and without a path, or be *")


RULES: Final[Mapping[str, Callable[[str], None]]] = {
    "redis_url": check_redis_address,
    "s3_endpoint_url": check_web_address,
    "s3_public_endpoint_url": check_web_address,
    "device": check_device,
    "signing_key": check_key,
    "audit_key": check_key,
    "token_keys": check_key,
    "metrics_token": check_shown_token,
    "policy_checker": check_factory,
    "provenance_timestamp_url": partial(check_web_address, query=True),
    "webhook_secrets": check_webhook_key,
    "public_url": check_web_address,
    "cors_origins": check_origin,
}
"""The rule of each setting whose type alone does not say enough."""
LISTS: Final = frozenset({"token_keys", "webhook_secrets", "cors_origins"})
"""Those that hold any number of values, separated by spaces."""


def check_value(setting: str, value: str | SecretStr | None) -> None:
    """Apply the rule of the setting. One that is empty is not set."""
    text = value.get_secret_value() if isinstance(value, SecretStr) else value or ""
    for part in text.split() if setting in LISTS else [text] * bool(text):
        RULES[setting](part)
