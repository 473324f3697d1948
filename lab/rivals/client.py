"""Send requests to a server, and read its answers as any client of OpenAI's shape does."""

from __future__ import annotations

import base64
import binascii
import io
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
import numpy as np
from PIL import Image

Fields = Mapping[str, str]
Files = Mapping[str, bytes]


REFUSALS = (400, 404, 413, 415, 422)
"""Statuses that refuse what a request asks for. 404 is OpenAI's answer for an unknown model."""
BUSY = (429, 503)
"""Statuses that refuse any request for some time."""
MESSAGE = 160


class NotLocal(ValueError):
    """The server is not on this machine."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of an answer: its file, its format in Pillow's words, and its pixels."""

    file: bytes
    format: str
    pixels: np.ndarray
    has_alpha: bool
    by_url: bool

    @property
    def size(self) -> tuple[int, int]:
        return self.pixels.shape[1], self.pixels.shape[0]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered. `fault` says why there is no usable picture; `shaped` whether an error has OpenAI's shape.

    `message` is the beginning of an error.
    """

    seconds: float
    status: int = 0
    fault: str | None = None
    shaped: bool = False
    message: str = ""
    pictures: tuple[Picture, ...] = ()
    events: tuple[str, ...] = ()

    @property
    def refused(self) -> bool:
        return self.status in REFUSALS

    @property
    def busy(self) -> bool:
        return self.status in BUSY

    @property
    def usable(self) -> bool:
        return self.fault is None and bool(self.pictures)


@dataclass
class Server:
    """A server on this machine, with the key and the parameters that every request to it carries."""

    url: str
    key: str | None = None
    timeout_s: float = 120.0
    fixed: Fields = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not is_local(self.url):
            raise NotLocal(f"{self.url} is not on this machine: requests of this bench leave it to nobody else")
        key = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        limits = httpx.Limits(max_connections=None)
        self._http = httpx.Client(timeout=self.timeout_s, headers={**key, **self.headers}, limits=limits, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def ask(self, fields: Fields, files: Files) -> Answer:
        """Send one edit and return the answer. Nothing is sent again."""
        began = time.perf_counter()
        parts = [(name, (f"{name}.png", data, "image/png")) for name, data in files.items()]
        plain = [(name, (None, value.encode(), None)) for name, value in {**self.fixed, **fields}.items()]
        try:
            answer = self._http.post(f"{self.url.rstrip('/')}/v1/images/edits", files=[*plain, *parts])
            pictures, events, fault = self._read(answer)
        except httpx.HTTPError as error:
            return Answer(time.perf_counter() - began, fault=type(error).__name__)
        message = answer.text[:MESSAGE] if fault else ""
        return Answer(time.perf_counter() - began, answer.status_code, fault, _shaped(answer), message, pictures, events)

    def _read(self, answer: httpx.Response) -> tuple[tuple[Picture, ...], tuple[str, ...], str | None]:
        if answer.status_code != httpx.codes.OK:
            return (), (), f"HTTP {answer.status_code}"
        events: tuple[str, ...] = ()
        try:
            if "text/event-stream" in answer.headers.get("content-type", ""):
                told = [json.loads(line[5:]) for line in answer.text.splitlines() if line.startswith("data:") and "{" in line]
                events = tuple(str(event.get("type")) for event in told)
                items: list[Any] = [event for event in told if event.get("type") == "image_edit.completed"]
            else:
                items = answer.json()["data"]
            pictures = tuple(self._picture(item) for item in items)
        except (ValueError, KeyError, TypeError, AttributeError, binascii.Error, OSError) as error:
            return (), events, f"no pictures in the answer: {type(error).__name__}"
        return pictures, events, None if pictures else "an answer without pictures"

    def _picture(self, item: Mapping[str, Any]) -> Picture:
        """Return the picture of an item. Raises `OSError` for what is no picture, and for a link to another machine."""
        if url := item.get("url"):
            if not is_local(url):
                raise OSError("the link leads to another machine")
            file = self._http.get(url, headers={"Authorization": ""}).content
        else:
            file = base64.b64decode(item["b64_json"])
        with Image.open(io.BytesIO(file)) as image:
            alpha = "A" in image.getbands() and bool((np.asarray(image.getchannel("A")) < 255).any())
            return Picture(file, image.format or "", np.asarray(image.convert("RGB")), alpha, bool(url))


def is_local(url: str) -> bool:
    """Whether the address is one of this machine's own."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _shaped(answer: httpx.Response) -> bool:
    """Whether an error has a message where OpenAI's SDKs look for it."""
    try:
        return isinstance(answer.json()["error"]["message"], str)
    except (ValueError, KeyError, TypeError):
        return False
