"""A client of the HTTP API: post an edit, follow it and download its result."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

TERMINAL = frozenset({"succeeded", "failed", "canceled"})
MAX_OUTAGE_S = 60.0
"""Seconds without a usable answer, because of transport errors or 5xx, after which `EditClient.follow` gives up."""
MIN_POLL_S, DEFAULT_POLL_S, MAX_POLL_S = 0.1, 1.0, 10.0

DIRECT: dict[str, httpx.BaseTransport | None] = dict.fromkeys(("all://127.0.0.1", "all://localhost", "all://[::1]"))
"""Hosts that are asked without the proxy of the environment, which would look for the service on its own machine."""
UNSENDABLE = (httpx.LocalProtocolError, httpx.UnsupportedProtocol, httpx.InvalidURL)
"""The caller's own errors. httpx counts the first two as transport errors."""

View = dict[str, Any]
"""An edit as `GET /edits/{id}` returns it."""


class ServiceError(Exception):
    """The service rejects a request or can't be reached. The message is meant for the user."""


class EditFailed(ServiceError):
    """The edit ended without a result."""


class EditClient:
    """A client of one service: `with EditClient("http://127.0.0.1:8000") as client: …`.

    The client sends `api_key` to the service only, never to the object store that holds the results. Raises `ServiceError` for a
    text that is no key. Tests pass `http` and `sleep`.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        http: httpx.Client | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._http = http or httpx.Client(timeout=30.0, mounts=DIRECT)
        self._url = url.rstrip("/")
        self._credentials = {"Authorization": f"Bearer {_checked(api_key)}"} if api_key else {}
        self._sleep = sleep

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._http.close()

    def post(self, fields: Mapping[str, str], files: Mapping[str, Path]) -> str:
        """Post an edit and return its URL. Raises `ServiceError`."""
        # The API expects multipart even without files. httpx then needs each field as a part without a file name.
        parts: list[tuple[str, tuple[str | None, bytes | str]]] = [(name, (None, value)) for name, value in fields.items()]
        parts += [(name, (path.name, path.read_bytes())) for name, path in files.items()]
        try:
            answer = self._http.post(f"{self._url}/edits", files=parts, headers=self._credentials)
        except UNSENDABLE as error:
            raise ServiceError(f"the request can't be sent to {self._url}: {error}") from error
        except httpx.ProxyError as error:
            raise ServiceError(f"the proxy that the environment names for {self._url} does not answer: {error}") from error
        except httpx.TransportError as error:
            raise ServiceError(f"no service answers at {self._url}; start one with `s2edit up`") from error
        if answer.status_code != httpx.codes.ACCEPTED:
            raise ServiceError(_problem(answer))
        return str(answer.url.join(answer.headers["Location"]))

    def follow(self, location: str) -> Iterator[View]:
        """Yield the edit after every change, until it ends. Between polls, wait as long as `Retry-After` asks.

        Raises `ServiceError` if the service gives no usable answer for `MAX_OUTAGE_S` seconds, or does not know the edit.
        """
        etag: str | None = None
        outage_s = 0.0
        while True:
            answer = self._poll(location, etag)
            wait_s = _retry_after(answer)
            outage_s = 0.0 if answer else outage_s + wait_s
            if outage_s > MAX_OUTAGE_S:
                raise ServiceError(f"the service has not answered for {MAX_OUTAGE_S:.0f} s; the edit may go on: see {location}")
            if answer and answer.status_code == httpx.codes.OK:
                etag = answer.headers.get("ETag")
                view: View = answer.json()
                yield view
                if view["state"] in TERMINAL:
                    return
            self._sleep(wait_s)

    def download(self, url: str) -> bytes:
        """Return the bytes behind a presigned URL. Raises `ServiceError`."""
        try:
            answer = self._http.get(url)
        except httpx.TransportError as error:
            raise ServiceError(f"the result can't be downloaded: {error}") from error
        if answer.status_code != httpx.codes.OK:
            raise ServiceError(_problem(answer))
        return answer.content

    def _poll(self, location: str, etag: str | None) -> httpx.Response | None:
        """Return a 200, a 304 if nothing has changed since `etag`, or None for a transport error or a 5xx."""
        try:
            answer = self._http.get(location, headers={**self._credentials, **({"If-None-Match": etag} if etag else {})})
        except httpx.TransportError:
            return None
        if answer.status_code in (httpx.codes.OK, httpx.codes.NOT_MODIFIED):
            return answer
        if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            return None
        raise ServiceError(_problem(answer))


def result_of(view: View) -> View:
    """Return `view` if the edit succeeded. Raises `EditFailed` for any other final state."""
    if view["state"] == "succeeded":
        return view
    error = view.get("error") or {}
    outcome = "failed" if view["state"] == "failed" else f"was {view['state']}"
    raise EditFailed(f"the edit {outcome}: {error.get('message', 'the service gave no reason')}")


def _checked(api_key: str) -> str:
    """Return the key without the line end that a file or a shell may add. Raises `ServiceError`."""
    key = api_key.strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ServiceError("the API key has blanks, line ends or other characters that no key has: copy it again")
    return key


def _retry_after(answer: httpx.Response | None) -> float:
    """Return the seconds to wait before the next poll, within `MIN_POLL_S` and `MAX_POLL_S`."""
    asked = answer.headers.get("Retry-After", "") if answer is not None else ""
    try:
        return min(MAX_POLL_S, max(MIN_POLL_S, float(asked)))
    except ValueError:
        return DEFAULT_POLL_S


def _problem(answer: httpx.Response) -> str:
    """Return an RFC 9457 problem as one sentence. For any other answer, name its status."""
    if "json" in answer.headers.get("Content-Type", ""):
        values = answer.json()
        if isinstance(values, dict) and (text := values.get("detail") or values.get("title")):
            return f"{text} ({answer.status_code} {values.get('code', answer.reason_phrase)})"
    return f"{answer.request.url} answered {answer.status_code} {answer.reason_phrase}"
