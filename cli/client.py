"""A client of the HTTP API: post an edit, follow it and download its result."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

DEFAULT_URL = "http://127.0.0.1:8000"
TERMINAL = frozenset({"succeeded", "failed", "canceled"})
MAX_OUTAGE_S = 60.0
"""Seconds without a usable answer, because of transport errors or 5xx, after which `EditClient.follow` gives up."""
MIN_POLL_S, DEFAULT_POLL_S, MAX_POLL_S = 0.1, 1.0, 10.0

DIRECT: dict[str, httpx.BaseTransport | None] = dict.fromkeys(("all://127.0.0.1", "all://localhost", "all://[::1]"))
"""Hosts that are asked without the proxy of the environment, which would look for the service on its own machine."""
UNSENDABLE = (httpx.LocalProtocolError, httpx.UnsupportedProtocol, httpx.InvalidURL, UnicodeEncodeError)
"""The caller's own errors. httpx counts the first two as transport errors."""
UNSENDABLE_CODE = "request_invalid"

View = dict[str, Any]
"""An edit as `GET /edits/{id}` returns it."""
Fields = Mapping[str, str | Sequence[str]]
"""The fields of a form. A field with several values is repeated."""
Files = Mapping[str, Path | bytes]
"""The files of a form, by part."""
USER = re.compile(r"[A-Za-z0-9_-]{1,64}")
RESEND_PAUSES_S = (0.5, 1.0)
"""Seconds before a lost request is sent again."""


class ServiceError(Exception):
    """The service rejects a request or can't be reached. The message is meant for the user.

    `status` is that of the answer, 0 without one. `code` is the problem's stable code, or empty.
    """

    def __init__(self, message: str, *, status: int = 0, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class EditFailed(ServiceError):
    """The edit ended without a result."""


class EditClient:
    """A client of one service: `with EditClient("http://127.0.0.1:8000") as client: …`.

    The client sends `api_key` and `user` to the service only, never to the object store that holds the results. Raises
    `ServiceError` for a text that is no URL, key or user. Clients of several users share one `http`. Tests also pass `sleep`.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        user: str | None = None,
        http: httpx.Client | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._url = checked_url(url)
        self._credentials = {"Authorization": f"Bearer {_checked(api_key)}"} if api_key else {}
        if user and not USER.fullmatch(user):
            raise ServiceError(
                f"{user[:80]!r} is no user: use 1 to 64 letters, digits, hyphens and underscores", code=UNSENDABLE_CODE
            )
        self._http = http or new_http()
        self._credentials |= {"S2Edit-User": user} if user else {}
        self._sleep = sleep

    @property
    def url(self) -> str:
        """The address of the service, without a slash at its end."""
        return self._url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._http.close()

    def post(self, fields: Fields, files: Files, path: str = "/edits") -> str:
        """Post a job to `/edits`, `/identities` or `/attributes` and return its URL. Raises `ServiceError`."""
        answer = self._post(path, fields, files, {})
        if answer.status_code != httpx.codes.ACCEPTED or "Location" not in answer.headers:  # another server
            raise _error(answer)
        # Below the address that was given: `Location` has the path prefix of the public one, which may lead through a proxy.
        return f"{self._url}/edits/{answer.headers['Location'].rpartition('/')[2]}"

    def begin(self, path: str, fields: Fields, files: Files, idempotency_key: str) -> View:
        """Post a job to `/edits`, `/identities` or `/attributes` and return its state. Raises `ServiceError`.

        A lost request is sent again: the key makes sure that it creates one job.
        """
        for pause_s in RESEND_PAUSES_S:
            try:
                return _json(self._post(path, fields, files, {"Idempotency-Key": idempotency_key}))
            except ServiceError as error:
                if error.status or error.code == UNSENDABLE_CODE:
                    raise
                self._sleep(pause_s)
        return _json(self._post(path, fields, files, {"Idempotency-Key": idempotency_key}))

    def call(self, method: str, path: str, **params: str | int | None) -> View:
        """Send a request without a body and return the JSON of its answer. Raises `ServiceError`."""
        given = {name: value for name, value in params.items() if value is not None}
        return _json(self._send(method, f"{self._url}{path}", params=given))

    def rename(self, path: str, name: str | None) -> View:
        """Give the identity or attribute at `path` another name, or none, and return it. Raises `ServiceError`."""
        return _json(self._send("PATCH", f"{self._url}{path}", json={"name": name}))

    def wait(self, job: View, wait_s: int) -> View | None:
        """Return the job once it has changed or ended; None if neither happens within `wait_s` seconds. Raises `ServiceError`."""
        headers = {"If-None-Match": f'"{job["sequence"]}"', "Prefer": f"wait={wait_s}"}
        answer = self._send("GET", f"{self._url}/edits/{job['id']}", headers=headers)
        if "Preference-Applied" not in answer.headers:  # the service holds back too many answers already
            self._sleep(_retry_after(answer))
        return None if answer.status_code == httpx.codes.NOT_MODIFIED else _json(answer)

    def follow(self, location: str) -> Iterator[View]:
        """Yield the edit after every change, until it ends. Between polls, wait as long as `Retry-After` asks.

        Raises `ServiceError` if the service gives no usable answer for `MAX_OUTAGE_S` seconds, or does not know the edit.
        """
        etag: str | None = None
        outage_s = 0.0
        while True:
            began = time.monotonic()
            answer = self._poll(location, etag)
            wait_s = _retry_after(answer)
            outage_s = 0.0 if answer else outage_s + (time.monotonic() - began) + wait_s
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
            raise _error(answer)
        return answer.content

    def _post(self, path: str, fields: Fields, files: Files, headers: Mapping[str, str]) -> httpx.Response:
        # The API expects multipart even without files. httpx then needs each field as a part without a file name.
        parts: list[tuple[str, tuple[str | None, bytes | str]]] = []
        for name, value in fields.items():
            parts += [(name, (None, _utf8(name, one))) for one in ([value] if isinstance(value, str) else value)]
        for name, file in files.items():
            parts.append((name, (name, file) if isinstance(file, bytes) else (_printable(file.name), file.read_bytes())))
        return self._send("POST", f"{self._url}{path}", files=parts, headers=headers)

    def _send(self, method: str, url: str, *, headers: Mapping[str, str] | None = None, **parts: Any) -> httpx.Response:
        """Return an answer that is no error. Raises `ServiceError`."""
        try:
            answer = self._http.request(method, url, headers={**self._credentials, **(headers or {})}, **parts)
        except UNSENDABLE as error:
            raise ServiceError(f"the request can't be sent to {self._url}: {error}", code=UNSENDABLE_CODE) from error
        except httpx.ProxyError as error:
            raise ServiceError(f"the proxy that the environment names for {self._url} does not answer: {error}") from error
        except httpx.TransportError as error:
            raise ServiceError(f"no service answers at {self._url}; start one with `s2edit up`") from error
        if answer.is_success or answer.status_code == httpx.codes.NOT_MODIFIED:
            return answer
        raise _error(answer)

    def _poll(self, location: str, etag: str | None) -> httpx.Response | None:
        """Return a 200, a 304 if nothing has changed since `etag`, a 429, or None for a transport error or a 5xx."""
        try:
            answer = self._http.get(location, headers={**self._credentials, **({"If-None-Match": etag} if etag else {})})
        except httpx.TransportError:
            return None
        if answer.status_code in (httpx.codes.OK, httpx.codes.NOT_MODIFIED, httpx.codes.TOO_MANY_REQUESTS):
            return answer
        if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            return None
        raise _error(answer)


def new_http() -> httpx.Client:
    """Return the connections of one client, or of several clients of one service."""
    return httpx.Client(timeout=30.0, mounts=DIRECT)


def result_of(view: View) -> View:
    """Return `view` if the edit succeeded. Raises `EditFailed` for any other final state."""
    if view["state"] == "succeeded":
        return view
    error = view.get("error") or {}
    outcome = "failed" if view["state"] == "failed" else f"was {view['state']}"
    raise EditFailed(f"the edit {outcome}: {error.get('message', 'the service gave no reason')}")


def checked_url(url: str) -> str:
    """Return the address of a service, without a slash at its end. Raises `ServiceError` for what is none."""
    text = url.strip().rstrip("/")
    try:
        parsed = httpx.URL(text)
    except (httpx.InvalidURL, UnicodeEncodeError) as error:
        raise ServiceError(f"{text[:200]!r} is no address of a service: {error}", code=UNSENDABLE_CODE) from error
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.query or parsed.fragment:
        raise ServiceError(f"{text[:200]!r} is no address of a service: write it as {DEFAULT_URL}", code=UNSENDABLE_CODE)
    return text


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


def _utf8(name: str, text: str) -> bytes:
    """Return a text as a form sends it. Raises `ServiceError` for bytes of a command line that are no UTF-8."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        found = text[error.start : error.end]
        raise ServiceError(f"the {name} contains {found!r}, which is no text in UTF-8: remove it", code=UNSENDABLE_CODE) from error


def _printable(name: str) -> str:
    """Return a file's name with question marks for what is no text in UTF-8."""
    return name.encode(errors="replace").decode()


def _json(answer: httpx.Response) -> View:
    """Return the JSON object of an answer. Raises `ServiceError` for an answer of something else, such as a proxy's page."""
    with suppress(ValueError):
        if isinstance(values := answer.json(), dict):
            return values
    raise ServiceError(f"{answer.request.url} answered something that is no answer of the service", status=answer.status_code)


def _error(answer: httpx.Response) -> ServiceError:
    """Return the error for an RFC 9457 problem, as one sentence. For any other answer, name its status."""
    with suppress(ValueError):
        values = answer.json()
        if isinstance(values, dict) and (text := values.get("detail") or values.get("title")):
            code = values.get("code", "")
            message = f"{text} ({answer.status_code} {code or answer.reason_phrase})"
            return ServiceError(message, status=answer.status_code, code=code)
    message = f"{answer.request.url} answered {answer.status_code} {answer.reason_phrase}"
    return ServiceError(message, status=answer.status_code)
