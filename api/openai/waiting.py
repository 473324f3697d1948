"""From an accepted edit to its answer: wait until it is over, then send the pictures one by one.

A client that goes away ends only the wait. The edit goes on, and the same request with the same `Idempotency-Key` gets its result.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import HTTPException, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from api.following.edit_state import listed
from api.guard.auth import Authenticator, Principal
from api.openai.answers import facts_of
from api.openai.submission import ImageEdit
from api.openai.translation import Asked
from api.wire import openai_errors
from api.wire.problem_kinds import KINDS
from s2edit_core.request.spec import EditRequest
from s2edit_jobs.lifecycle.lifetimes import results_expired
from s2edit_jobs.records.errors import CredentialsInvalid, PreviewMissing, ServiceUnavailable
from s2edit_jobs.records.record import JobRecord, JobState, Owner, Preview

MAX_WAIT_S = 1800.0
"""The longest wait without a stream. OpenAI's SDKs give up after 600 s by default."""
ROUND_S = 60.0
"""Seconds between two checks that the key or token is still valid."""
RETRY_S = 1.0
PATIENCE_S = 60.0
"""An edit that is accepted is read again every `RETRY_S` seconds, for `PATIENCE_S` seconds, while a part of the service is down."""
STATUS_OF_CODE = {kind.code: kind.status for kind in KINDS.values()}

Result = TypeVar("Result")


@dataclass(frozen=True)
class Waiting:
    """One request that waits for its edit. `asked` is what it wants of it."""

    request: Request
    principal: Principal
    submission: ImageEdit
    asked: Asked

    @property
    def owner(self) -> Owner:
        return self.submission.owner

    async def look(
        self, record: JobRecord, enough: Callable[[JobRecord], bool], *, wait_s: float, patience_s: float = PATIENCE_S
    ) -> JobRecord:
        """Return the record as soon as it is `enough`, or after `wait_s` seconds. Outlasts parts that are down.

        Raises `CredentialsInvalid` if the key or token has ended, `JobNotFound` if the edit was erased.
        """
        submission, auth = self.submission, self._auth

        async def once() -> JobRecord:
            if not await submission.changes.threads.run(lambda: auth.is_valid(self.principal)):
                raise CredentialsInvalid("the key or token ended while the request waited")
            return await submission.changes.until(
                lambda: submission.jobs.get(self.owner, record.id), enough, job_id=record.id, wait_s=wait_s
            )

        return await _patiently(once, patience_s)

    async def preview(self, record: JobRecord) -> Preview | None:
        """Return the latest preview of the edit; None if there is none any more. Raises `JobNotFound`."""
        try:
            return await self.submission.changes.threads.run(lambda: self.submission.jobs.preview(self.owner, record.id))
        except (PreviewMissing, ServiceUnavailable):
            return None

    async def pictures(self, record: JobRecord) -> Pictures:
        """Return what the answer of a finished edit needs. Raises as `look`, and `ResultsExpired`."""
        return await _patiently(lambda: self.submission.changes.threads.run(lambda: self._pictures(record)))

    def _pictures(self, record: JobRecord) -> Pictures:
        services, jobs = self.submission.services, self.submission.jobs
        keys = [record.artifacts[name] for name in sorted(record.artifacts) if name.startswith("result")]
        if results_expired(services.settings, record) or not keys:
            raise ResultsExpired()
        spec = jobs.spec(self.owner, record.id)
        assert isinstance(spec.request, EditRequest)
        first = services.artifacts.get(keys[0])
        facts = facts_of(record, spec.request, jobs.report(record) or {}, first, self.asked.options)
        links = [picture.url for picture in listed(services, record).results]
        return Pictures(facts, keys, links, first)

    async def file_of(self, pictures: Pictures, index: int) -> bytes:
        """Return the picture in base64."""
        artifacts = self.submission.services.artifacts

        def read() -> bytes:
            return base64.b64encode(pictures.first if index == 0 else artifacts.get(pictures.keys[index]))

        return await _patiently(lambda: self.submission.changes.threads.run(read))

    @property
    def _auth(self) -> Authenticator:
        auth: Authenticator = self.request.app.state.auth
        return auth


@dataclass(frozen=True)
class Pictures:
    """The pictures of a finished edit: `facts` of all, a key and a link of each, and the file of the first."""

    facts: dict[str, Any]
    keys: list[str]
    links: list[str]
    first: bytes


class ResultsExpired(HTTPException):
    """The edit has succeeded, but its pictures are kept no longer."""

    code = "results_expired"

    def __init__(self) -> None:
        super().__init__(404, "the pictures of this edit have expired: send the request again with a new Idempotency-Key")


class HeldResponse(StreamingResponse):
    """A response that counts as an open connection of its owner until it is sent."""

    def __init__(self, content: AsyncIterator[bytes], held: ExitStack, *, media_type: str, headers: dict[str, str]) -> None:
        super().__init__(content, media_type=media_type, headers=headers)
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._held:
            await super().__call__(scope, receive, send)


async def answer(waiting: Waiting, record: JobRecord, held: ExitStack) -> Response:
    """Wait until the edit is over, and return the response."""
    over = await _until_over(waiting, record)
    if over is None:
        return Response(status_code=499)  # nobody reads it; the log shows it
    if not over.state.over:
        return _too_long()
    if over.state is not JobState.SUCCEEDED:
        failed = failure_of(waiting.asked, over)
        return openai_errors.response(failed.status, failed.code, failed.message, failed.param, retryable=failed.retryable)
    pictures = await waiting.pictures(over)
    return HeldResponse(
        _document(waiting, pictures), held.pop_all(), media_type="application/json", headers={"Cache-Control": "no-store"}
    )


async def _document(waiting: Waiting, pictures: Pictures) -> AsyncIterator[bytes]:
    """Yield the JSON document. Only one picture at a time is in memory."""
    yield json.dumps(pictures.facts, ensure_ascii=False).encode()[:-1] + b', "data": ['
    for index in range(len(pictures.keys)):
        separator = b", " if index else b""
        if waiting.asked.options.response_format == "url":
            yield separator + json.dumps({"url": pictures.links[index]}).encode()
        else:
            yield separator + b'{"b64_json": "'
            yield await waiting.file_of(pictures, index)
            yield b'"}'
    yield b"]}"


async def _until_over(waiting: Waiting, record: JobRecord) -> JobRecord | None:
    """Return the record when the edit is over, or after `MAX_WAIT_S`. None if the client has gone away."""
    gone = asyncio.ensure_future(_disconnect(waiting.request))
    seen = asyncio.ensure_future(_follow(waiting, record))
    try:
        await asyncio.wait({gone, seen}, return_when=asyncio.FIRST_COMPLETED)
        return seen.result() if seen.done() else None
    finally:
        for task in (gone, seen):
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task


async def _follow(waiting: Waiting, record: JobRecord) -> JobRecord:
    ends = asyncio.get_running_loop().time() + MAX_WAIT_S
    while not record.state.over and (left := ends - asyncio.get_running_loop().time()) > 0:
        record = await waiting.look(record, lambda seen: seen.state.over, wait_s=min(ROUND_S, left), patience_s=left)
    return record


async def _disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _patiently(call: Callable[[], Awaitable[Result]], patience_s: float = PATIENCE_S) -> Result:
    """Return what `call` returns. Repeat it while a part of the service is down, for `patience_s` seconds."""
    ends = asyncio.get_running_loop().time() + patience_s
    while True:
        try:
            return await call()
        except ServiceUnavailable:
            if asyncio.get_running_loop().time() + RETRY_S > ends:
                raise
        await asyncio.sleep(RETRY_S)


@dataclass(frozen=True, kw_only=True)
class Unsuccessful:
    """How an edit that has not succeeded is answered."""

    status: int
    code: str
    message: str
    param: str | None = None
    retryable: bool = False


def failure_of(asked: Asked, record: JobRecord) -> Unsuccessful:
    """Return the answer for an edit that has not succeeded."""
    if (failure := record.failure) is None:
        message = "the edit was canceled: send the request again with a new Idempotency-Key"
        return Unsuccessful(status=409, code="canceled", message=message)
    param, message = asked.told(failure.field, failure.code, failure.message)
    status = 422 if failure.field is not None else STATUS_OF_CODE.get(failure.code, 500)
    if status in (500, 503):  # a 503 means: try again
        status = 503 if failure.retryable else 500
    return Unsuccessful(status=status, code=failure.code, message=message, param=param, retryable=failure.retryable)


def _too_long() -> JSONResponse:
    message = (
        f"the edit is not done after {MAX_WAIT_S:.0f} seconds, and goes on: send the same request with the same Idempotency-Key "
        "for its result, or set stream"
    )
    return openai_errors.response(504, code="edit_unfinished", message=message, param=None, retryable=False)
