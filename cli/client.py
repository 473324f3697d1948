"""The service as an app uses it, over HTTP alone: post an edit, follow it, fetch what it made."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

TERMINAL = frozenset({"succeeded", "failed", "canceled"})
PATIENCE_S = 60.0
"""How long the service may be out of reach, or say it is unavailable, before following an edit is given up."""
MIN_POLL_S, DEFAULT_POLL_S, MAX_POLL_S = 0.1, 1.0, 10.0

View = dict[str, Any]
"""An edit as `GET /edits/{id}` shows it."""


class ServiceError(Exception):
    """The service refused a request or can't be reached; the message is for the person who asked."""


class EditFailed(ServiceError):
    """The edit is over and there is no result."""


class EditClient:
    """`with EditClient("http://127.0.0.1:8000") as client: …`. `http` and `sleep` are for tests.

    `api_key` is sent to the service alone, never to the store that results are fetched from.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        http: httpx.Client | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._http = http or httpx.Client(timeout=30.0)
        self._url = url.rstrip("/")
        self._credentials = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._sleep = sleep

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._http.close()

    def post(self, fields: Mapping[str, str], files: Mapping[str, Path]) -> str:
        """Ask for an edit; where to follow it. Raises `ServiceError`."""
        # A form without files is sent as multipart too: then each field is a part without a file name.
        parts: list[tuple[str, tuple[str | None, bytes | str]]] = [(name, (None, value)) for name, value in fields.items()]
        parts += [(name, (path.name, path.read_bytes())) for name, path in files.items()]
        try:
            answer = self._http.post(f"{self._url}/edits", files=parts, headers=self._credentials)
        except httpx.TransportError as error:
            raise ServiceError(f"no service answers at {self._url}: start one with `s2edit up`") from error
        if answer.status_code != httpx.codes.ACCEPTED:
            raise ServiceError(_problem(answer))
        return str(answer.url.join(answer.headers["Location"]))

    def follow(self, location: str) -> Iterator[View]:
        """Every change of the edit, until it is over. Waits between two looks as long as the service asks for.

        Raises `ServiceError` when the service stays out of reach for `PATIENCE_S` seconds, or doesn't know the edit.
        """
        etag: str | None = None
        lost_s = 0.0
        while True:
            answer = self._look(location, etag)
            wait_s = _retry_after(answer)
            lost_s = 0.0 if answer else lost_s + wait_s
            if lost_s > PATIENCE_S:
                raise ServiceError(f"the service has been out of reach for {PATIENCE_S:.0f} s; the edit is still at {location}")
            if answer and answer.status_code == httpx.codes.OK:
                etag = answer.headers.get("ETag")
                view: View = answer.json()
                yield view
                if view["state"] in TERMINAL:
                    return
            self._sleep(wait_s)

    def download(self, url: str) -> bytes:
        """The bytes behind a presigned URL. Raises `ServiceError`."""
        try:
            answer = self._http.get(url)
        except httpx.TransportError as error:
            raise ServiceError(f"the result can't be fetched: {error}") from error
        if answer.status_code != httpx.codes.OK:
            raise ServiceError(_problem(answer))
        return answer.content

    def _look(self, location: str, etag: str | None) -> httpx.Response | None:
        """200, or 304 where nothing has changed since `etag`; None where nothing answers, or not now."""
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
    """The same view, of an edit that succeeded. Raises `EditFailed` for any other end."""
    if view["state"] == "succeeded":
        return view
    error = view.get("error") or {}
    raise EditFailed(f"the edit {view['state']}: {error.get('message', 'no reason is known')}")


def _retry_after(answer: httpx.Response | None) -> float:
    """Seconds to wait before the next look."""
    asked = answer.headers.get("Retry-After", "") if answer is not None else ""
    try:
        return min(MAX_POLL_S, max(MIN_POLL_S, float(asked)))
    except ValueError:
        return DEFAULT_POLL_S


def _problem(answer: httpx.Response) -> str:
    """What an RFC 9457 answer says, in a sentence; for anything else, its status."""
    if "json" in answer.headers.get("Content-Type", ""):
        values = answer.json()
        if isinstance(values, dict) and (said := values.get("detail") or values.get("title")):
            return f"{said} ({answer.status_code} {values.get('code', answer.reason_phrase)})"
    return f"{answer.request.url} answered {answer.status_code} {answer.reason_phrase}"
