"""Ask for an edit and wait until it is over. Written by hand; everything under `rest/` is generated."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx

from .rest.api.edits import create_edit, get_edit
from .rest.client import AuthenticatedClient, Client
from .rest.models import Edit, EditForm, EditFormPreset, JobState, Problem
from .rest.types import File, Response

WAIT_S = 30
"""How long the service is asked to hold an answer back."""
ANSWER_S = WAIT_S + 30.0
"""How long an answer may take at all."""
PATIENCE_S = 20.0
"""How long the service may be out of reach at a stretch."""
PAUSE_S = 1.0
"""Until the next try, where the service does not say."""
FILES = ("image", "mask", "edit_mask")
NOT_NOW = (429, 502, 503, 504)

Picture = bytes | str | os.PathLike[str]
"""The bytes of a PNG, JPEG or WebP, or the path of such a file."""


class EditFailed(Exception):
    """There is no picture, and why.

    `code` is the stable code of a problem or of an edit's error, or `canceled`, `timeout` or `unreachable`. `status` is the HTTP
    status of a refusal, None where the edit itself failed. `retryable`: the same may succeed later. `field`: what to change.
    `edit_id`: once there is an edit.
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
    """An edit that succeeded. `url` lives for some minutes; `edit` is all that the service says of it."""

    picture: bytes
    url: str
    report: dict[str, Any]
    edit: Edit


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
    """Have the service at `url` edit `image` inside `mask` so that it shows what `prompt` says.

    Without a mask the person is found: the largest one, or the one at the pixel `at` (x, y). `edit.mask` then links to the mask.
    `token` is an API key or a device token, `user` whose edit it is; a service on this machine may need neither. `options` are the
    other parts of `POST /edits`, such as `source_prompt`, `preset`, `identity` (then without pictures), `edit_mask` or `seed`.
    What got no answer is sent again and counts once, by the `idempotency_key`, which is made here if it is not given.

    Raises `EditFailed`; after `timeout_s` seconds with the code `timeout`, though the edit goes on: the same call with the same
    `idempotency_key` waits on.
    """
    steps = _steps(_form(prompt, image=image, mask=mask, at=at, **options), user, timeout_s, idempotency_key)
    result: Any = None
    with new_client(url, token) as client:
        try:
            while True:
                step = steps.send(result)
                result = _done(client, step)
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
    """`edit_and_wait` without blocking the event loop."""
    steps = _steps(_form(prompt, image=image, mask=mask, at=at, **options), user, timeout_s, idempotency_key)
    result: Any = None
    async with new_client(url, token) as client:
        try:
            while True:
                step = steps.send(result)
                result = await _done_async(client, step)
        except StopIteration as end:
            done: Done = end.value
            return done


@dataclass(frozen=True, slots=True)
class _Ask:
    """A call of the generated client, which gives a `Response`."""

    operation: ModuleType
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Fetch:
    """The bytes behind a signed URL, without the service's credentials: it may be another host's. Gives an `httpx.Response`."""

    url: str


@dataclass(frozen=True, slots=True)
class _Pause:
    seconds: float


_Step = _Ask | _Fetch | _Pause
_Steps = Generator[_Step, Any, Any]
LOST = (httpx.TransportError, ValueError, KeyError, TypeError)
"""No answer, or one that is not this service's: a proxy's page instead of JSON, or other JSON. The step then gives None."""


def _done(client: AuthenticatedClient | Client, step: _Step) -> Any:
    try:
        match step:
            case _Pause(seconds):
                return time.sleep(seconds)
            case _Fetch(url):
                return httpx.get(url, timeout=ANSWER_S)
            case _Ask(operation, arguments):
                return operation.sync_detailed(client=client, **arguments)
    except LOST:
        return None


async def _done_async(client: AuthenticatedClient | Client, step: _Step) -> Any:
    try:
        match step:
            case _Pause(seconds):
                return await asyncio.sleep(seconds)
            case _Fetch(url):
                async with httpx.AsyncClient(timeout=ANSWER_S) as http:
                    return await http.get(url)
            case _Ask(operation, arguments):
                return await operation.asyncio_detailed(client=client, **arguments)
    except LOST:
        return None


def _steps(form: EditForm, user: str | None, timeout_s: float, key: str | None) -> _Steps:
    """What is to be done, one after the other, whoever does it; returns `Done`."""
    deadline = time.monotonic() + timeout_s
    asking: dict[str, Any] = {"s2_edit_user": user} if user else {}
    posting = {**asking, "body": form, "idempotency_key": key or uuid.uuid4().hex}
    edit: Edit = yield from _answered(create_edit, posting, deadline)
    while edit.state not in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED):
        if time.monotonic() >= deadline:
            detail = f"the edit {edit.id} is not over after {timeout_s:g} s; it goes on"
            raise EditFailed("timeout", detail, retryable=True, edit_id=edit.id)
        edit = yield from _answered(get_edit, {**asking, "edit_id": edit.id}, deadline, edit.id)
    if error := edit.error:
        raise EditFailed(error.code, error.message, retryable=error.retryable, field=error.field or None, edit_id=edit.id)
    if edit.result is None:
        raise EditFailed("canceled", "the edit was canceled", edit_id=edit.id)
    picture = yield from _fetched(edit.result.url, edit.id)
    report = edit.report.values.additional_properties if edit.report else {}
    return Done(picture=picture, url=edit.result.url, report=report, edit=edit)


def _answered(operation: ModuleType, arguments: Mapping[str, Any], deadline: float, edit_id: str | None = None) -> _Steps:
    """The `Edit` that is answered, perhaps only at a later try. Raises `EditFailed`."""
    lost_since: float | None = None
    while True:
        now = time.monotonic()
        wait_s = max(0, min(WAIT_S, int(deadline - now)))
        answer: Response[Any] | None = yield _Ask(operation, {**arguments, "prefer": f"wait={wait_s}"})
        if answer and isinstance(answer.parsed, Edit):
            if "preference-applied" not in answer.headers:
                yield _Pause(retry_after(answer))
            return answer.parsed
        if answer and isinstance(answer.parsed, Problem):
            lost_since = None
            failure = refusal(answer.parsed, edit_id)
            again = failure.retryable or answer.status_code in NOT_NOW
        else:
            lost_since = lost_since or now
            failure = EditFailed("unreachable", "the service does not answer", retryable=True, edit_id=edit_id)
            again = time.monotonic() - lost_since < PATIENCE_S
        pause_s = retry_after(answer)
        if not again or time.monotonic() + pause_s > deadline:
            raise failure
        yield _Pause(pause_s)


def _fetched(url: str, edit_id: str) -> _Steps:
    """The picture's bytes. Raises `EditFailed`."""
    until = time.monotonic() + PATIENCE_S
    while True:
        answer: httpx.Response | None = yield _Fetch(url)
        if answer is not None and answer.status_code == HTTPStatus.OK:
            return answer.content
        if time.monotonic() > until:
            status = answer.status_code if answer is not None else None
            detail = "the edit has succeeded, but its picture can't be fetched"
            raise EditFailed("unreachable", detail, status=status, retryable=True, edit_id=edit_id)
        yield _Pause(PAUSE_S)


def refusal(problem: Problem, edit_id: str | None) -> EditFailed:
    return EditFailed(
        problem.code,
        problem.detail,
        status=problem.status,
        retryable=bool(problem.retryable),
        field=problem.field or None,
        edit_id=edit_id,
    )


def retry_after(answer: Response[Any] | httpx.Response | None) -> float:
    """Seconds until the next try."""
    asked = answer.headers.get("retry-after", "") if answer else ""
    return float(asked) if asked.isdigit() else PAUSE_S


def _form(prompt: str, **parts: Any) -> EditForm:
    """Raises `TypeError` for a part that `POST /edits` does not have, and `OSError` for a file that can't be read."""
    if "dry_run" in parts:
        raise TypeError("there is nothing to wait for in a dry run: use s2edit_client.rest.api.edits.create_edit")
    for name in FILES:
        if (picture := parts.pop(name, None)) is not None:
            data = picture if isinstance(picture, bytes) else Path(picture).read_bytes()
            parts[name] = File(BytesIO(data), file_name=name)
    if (at := parts.pop("at", None)) is not None:
        parts["at"] = f"{at[0]},{at[1]}"
    if "preset" in parts:
        parts["preset"] = EditFormPreset(parts["preset"])
    return EditForm(prompt=prompt, **parts)


def new_client(url: str, token: str | None) -> AuthenticatedClient | Client:
    timeout = httpx.Timeout(ANSWER_S, connect=10.0)
    if token is None:
        return Client(base_url=url, timeout=timeout)
    return AuthenticatedClient(base_url=url, timeout=timeout, token=token)
