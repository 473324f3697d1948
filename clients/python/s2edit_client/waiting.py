"""Create an edit and wait until it is over."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx

from .connections import INVALID, LOST, checked_token, uses_environment
from .rest.api.edits import create_edit, get_edit
from .rest.client import AuthenticatedClient, Client
from .rest.models import Edit, EditForm, JobState, Problem
from .rest.types import File, Response

WAIT_S = 30
"""Seconds that the service may hold a response back."""
ANSWER_S = WAIT_S + 30.0
"""Seconds until a request times out."""
GRACE_S = 5.0
"""Seconds after the end of a call's time until a request that is under way times out."""
PATIENCE_S = 20.0
"""Seconds that the service may be unreachable without a break."""
PAUSE_S = 1.0
"""Seconds until a retry if the response has no `Retry-After`."""
FILES = ("image", "mask", "edit_mask")
RETRYABLE = (429, 502, 503, 504)
PASSING = (404, 408, 425, 429)
"""Client errors by which a proxy may answer while the service restarts. Others of a proxy, such as 413, stay."""

Picture = bytes | str | os.PathLike[str]
"""The bytes or the path of an image file, in a format that the service accepts."""


class EditFailed(Exception):
    """The reason why there is no picture.

    Attributes:
        code: The stable code of the problem or of the edit's error, or `canceled`, `timeout`, `unreachable` or `request_invalid`.
        detail: The explanation for people.
        status: The HTTP status of an error response; None if the edit itself failed.
        retryable: Whether the same call may succeed later.
        field: The argument to change, if one was at fault.
        edit_id: The id of the edit, if it was created.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        status: int | None = None,
        retryable: bool = False,
        field: str | None = None,
        edit_id: str | None = None,
    ) -> None:
        super().__init__(f"{detail} ({code})")
        self.code = code
        self.detail = detail
        self.status = status
        self.retryable = retryable
        self.field = field
        self.edit_id = edit_id


@dataclass(frozen=True, slots=True)
class Done:
    """A finished edit. `picture` holds the bytes of the result, `url` its link, which expires after some minutes."""

    picture: bytes = field(repr=False)
    url: str
    report: dict[str, Any] = field(repr=False)
    edit: Edit = field(repr=False)


def edit_and_wait(
    url: str,
    prompt: str,
    *,
    image: Picture | None = None,
    mask: Picture | None = None,
    at: tuple[int, int] | None = None,
    token: str | None = None,
    user: str | None = None,
    timeout_s: float = 600.0,
    idempotency_key: str | None = None,
    **options: Any,
) -> Done:
    """Edit a picture and wait for the result.

    Lost requests are sent again. Their `idempotency_key`, by default a random one, makes sure that they create only one edit.

    Args:
        url: The address of the service.
        prompt: A description of the edited picture.
        image: The photo. Leave it out with `identity` or `parent`.
        mask: The region of the person. By default the service finds the person, and `edit.mask` links to the mask.
        at: A pixel (x, y) of the photo on the person to find, by default the largest person.
        token: An API key or device token. A service on this machine may need none.
        user: The user that the request acts for, if `token` is an API key.
        timeout_s: Seconds to wait.
        idempotency_key: A key for this edit. Another call with the same key and arguments waits for the same edit.
        options: The other parts of `POST /edits`, such as `source_prompt`, `preset`, `identity`, `edit_mask` or `seed`. Each choice
            is a string, such as `output_format="webp"`, or the member of its enumeration in `s2edit_client.rest.models`. None is
            the default of the service.

    Raises:
        EditFailed: If there is no picture. With the code `timeout` the edit still goes on.
    """
    steps = _steps(_form(prompt, image=image, mask=mask, at=at, **options), user, timeout_s, idempotency_key)
    result: Any = None
    with new_client(url, token) as client:
        try:
            while True:
                step = steps.send(result)
                result = _run(client, step)
        except StopIteration as end:
            done: Done = end.value
            return done


async def edit_and_wait_async(
    url: str,
    prompt: str,
    *,
    image: Picture | None = None,
    mask: Picture | None = None,
    at: tuple[int, int] | None = None,
    token: str | None = None,
    user: str | None = None,
    timeout_s: float = 600.0,
    idempotency_key: str | None = None,
    **options: Any,
) -> Done:
    """Do what `edit_and_wait` does, without blocking the event loop."""
    steps = _steps(_form(prompt, image=image, mask=mask, at=at, **options), user, timeout_s, idempotency_key)
    result: Any = None
    async with new_client(url, token) as client:
        try:
            while True:
                step = steps.send(result)
                result = await _run_async(client, step)
        except StopIteration as end:
            done: Done = end.value
            return done


@dataclass(frozen=True, slots=True)
class _Call:
    """A step that calls an operation of the generated client. Its result is a `Response`."""

    operation: ModuleType
    arguments: Mapping[str, Any]
    timeout_s: float


@dataclass(frozen=True, slots=True)
class _Fetch:
    """A step that downloads a signed URL. Its result is an `httpx.Response`.

    It sends no credentials of the service, because the URL may lead to another host.
    """

    url: str


@dataclass(frozen=True, slots=True)
class _Pause:
    """A step that waits."""

    seconds: float


_Step = _Call | _Fetch | _Pause
_Steps = Generator[_Step, Any, Any]
NOT_OURS = (ValueError, KeyError, TypeError)
"""Raised for a response that is not from the service, such as the HTML page of a proxy."""


def _run(client: AuthenticatedClient | Client, step: _Step) -> Any:
    """Return the result of a step. It is the error if the request was lost, or if its response is not from the service."""
    try:
        match step:
            case _Pause(seconds):
                return time.sleep(seconds)
            case _Fetch(url):
                return httpx.get(url, timeout=ANSWER_S, trust_env=uses_environment(url))
            case _Call(operation, arguments, timeout_s):
                request = operation._get_kwargs(**arguments)
                return _read(operation, client, client.get_httpx_client().request(**request, timeout=_timeout(timeout_s)))
    except INVALID as error:
        raise invalid_request(error) from error
    except LOST as error:
        return error


async def _run_async(client: AuthenticatedClient | Client, step: _Step) -> Any:
    try:
        match step:
            case _Pause(seconds):
                return await asyncio.sleep(seconds)
            case _Fetch(url):
                async with httpx.AsyncClient(timeout=ANSWER_S, trust_env=uses_environment(url)) as http:
                    return await http.get(url)
            case _Call(operation, arguments, timeout_s):
                request = operation._get_kwargs(**arguments)
                http = client.get_async_httpx_client()
                return _read(operation, client, await http.request(**request, timeout=_timeout(timeout_s)))
    except INVALID as error:
        raise invalid_request(error) from error
    except LOST as error:
        return error


def _timeout(seconds: float) -> httpx.Timeout:
    """Return the timeouts of each step of a request: connecting, and every piece that is sent or received."""
    return httpx.Timeout(seconds, connect=min(seconds, 10.0))


def _read(operation: ModuleType, client: AuthenticatedClient | Client, response: httpx.Response) -> Any:
    try:
        answer = operation._build_response(client=client, response=response)
    except NOT_OURS:
        return Foreign(response.status_code)
    return answer if answer.parsed is not None else Foreign(response.status_code)


class Foreign(Exception):
    """A response that is not from the service, such as the page of a proxy."""

    def __init__(self, status: int) -> None:
        super().__init__(f"it answered {status} with something that is no response of the service")
        self.status = status

    @property
    def passes(self) -> bool:
        """Whether sending the request again may help."""
        return not 400 <= self.status < 500 or self.status in PASSING


def invalid_request(error: Exception) -> EditFailed:
    """Return the exception for a request that cannot be sent. Trying again would not help."""
    return EditFailed("request_invalid", f"the request can't be sent: {error}")


def unreachable(error: Exception | None, edit_id: str | None) -> EditFailed:
    """Return the exception for a service that has not answered for long."""
    reason = f": {error}" if error is not None and str(error) else ""
    status, passes = (error.status, error.passes) if isinstance(error, Foreign) else (None, True)
    return EditFailed("unreachable", f"the service does not answer{reason}", status=status, retryable=passes, edit_id=edit_id)


def _steps(form: EditForm, user: str | None, timeout_s: float, key: str | None) -> _Steps:
    """Yield the steps of an edit and receive their results, without I/O of its own. Return `Done`."""
    deadline = time.monotonic() + timeout_s
    headers: dict[str, Any] = {"s2_edit_user": user} if user else {}
    posting = {**headers, "body": form, "idempotency_key": key or uuid.uuid4().hex}
    edit: Edit = yield from _answered(create_edit, posting, deadline)
    while edit.state not in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED):
        if time.monotonic() >= deadline:
            detail = f"the edit {edit.id} is not over after {timeout_s:g} s, and goes on"
            raise EditFailed("timeout", detail, retryable=True, edit_id=edit.id)
        edit = yield from _answered(get_edit, {**headers, "edit_id": edit.id}, deadline, edit.id)
    if error := edit.error:
        raise EditFailed(error.code, error.message, retryable=error.retryable, field=error.field or None, edit_id=edit.id)
    if edit.result is None and edit.state is JobState.SUCCEEDED:  # the answer to an earlier request with the same key
        raise EditFailed("expired", "the results of the edit have expired: send a new request", edit_id=edit.id)
    if edit.result is None:
        raise EditFailed("canceled", "the edit was canceled", edit_id=edit.id)
    picture = yield from _fetched(edit.result.url, edit.id)
    report = edit.report.values.additional_properties if edit.report else {}
    return Done(picture=picture, url=edit.result.url, report=report, edit=edit)


def _answered(operation: ModuleType, arguments: Mapping[str, Any], deadline: float, edit_id: str | None = None) -> _Steps:
    """Call an operation until it returns an `Edit`, with retries. Raises `EditFailed`."""
    lost_since: float | None = None
    while True:
        now = time.monotonic()
        wait_s = 0 if lost_since else max(0, min(WAIT_S, int(deadline - now)))  # an answer at once shows that the service is back
        timeout_s = min(ANSWER_S, max(0.0, deadline - now) + GRACE_S)
        result: Response[Any] | Exception = yield _Call(operation, {**arguments, "prefer": f"wait={wait_s}"}, timeout_s)
        answer = None if isinstance(result, Exception) else result
        if answer and isinstance(answer.parsed, Edit):
            if "preference-applied" not in answer.headers:
                yield _Pause(retry_after(answer))
            return answer.parsed
        if answer and isinstance(answer.parsed, Problem):
            lost_since = None
            failure = failure_of(answer.parsed, edit_id)
            again = failure.retryable or answer.status_code in RETRYABLE
        else:
            lost_since = lost_since or time.monotonic()  # not when the request began: a long poll takes longer than the patience
            failure = unreachable(result if isinstance(result, Exception) else None, edit_id)
            again = failure.retryable and time.monotonic() - lost_since < PATIENCE_S
        pause_s = retry_after(answer)
        if not again or time.monotonic() + pause_s > deadline:
            raise failure
        yield _Pause(pause_s)


def _fetched(url: str, edit_id: str) -> _Steps:
    """Download the picture, with retries. Raises `EditFailed`."""
    lost_since: float | None = None
    while True:
        answer: httpx.Response | Exception = yield _Fetch(url)
        if isinstance(answer, httpx.Response) and answer.status_code == HTTPStatus.OK:
            return answer.content
        lost_since = lost_since or time.monotonic()
        if time.monotonic() - lost_since >= PATIENCE_S:
            status = answer.status_code if isinstance(answer, httpx.Response) else None
            detail = "the edit has succeeded, but its picture can't be downloaded"
            raise EditFailed("unreachable", detail, status=status, retryable=True, edit_id=edit_id)
        yield _Pause(PAUSE_S)


def failure_of(problem: Problem, edit_id: str | None) -> EditFailed:
    """Return the exception for an error response."""
    return EditFailed(
        problem.code,
        problem.detail,
        status=problem.status,
        retryable=bool(problem.retryable),
        field=problem.field or None,
        edit_id=edit_id,
    )


def retry_after(answer: Response[Any] | httpx.Response | None) -> float:
    """Return the seconds until the next try."""
    header = answer.headers.get("retry-after", "") if answer else ""
    return float(header) if header.isdigit() else PAUSE_S


def _form(prompt: str, **parts: Any) -> EditForm:
    """Build the form. Raises `TypeError` for an unknown option, and `OSError` for a file that can't be read."""
    if "dry_run" in parts:
        raise TypeError("a dry run creates no edit to wait for: use s2edit_client.rest.api.edits.create_edit")
    for name in FILES:
        if (picture := parts.pop(name, None)) is not None:
            data = picture if isinstance(picture, bytes) else Path(picture).read_bytes()
            parts[name] = File(BytesIO(data), file_name=name)
    if (at := parts.pop("at", None)) is not None:
        parts["at"] = f"{at[0]},{at[1]}"
    if isinstance(attribute := parts.get("attributes"), str):
        parts["attributes"] = [attribute]
    return EditForm(prompt=prompt, **{name: value for name, value in parts.items() if value is not None})


def new_client(url: str, token: str | None) -> AuthenticatedClient | Client:
    """Return a generated client for the service at `url`. Raises `EditFailed` for a URL or a token that none can be."""
    args: dict[str, Any] = {"timeout": httpx.Timeout(ANSWER_S, connect=10.0), "httpx_args": {"trust_env": uses_environment(url)}}
    try:
        httpx.URL(url)
        if token is None:
            return Client(base_url=url, **args)
        return AuthenticatedClient(base_url=url, token=checked_token(token), **args)
    except (ValueError, httpx.InvalidURL) as error:
        raise invalid_request(error) from error
