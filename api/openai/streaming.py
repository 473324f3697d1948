"""An edit as server-sent events: previews as `image_edit.partial_image`, then one `image_edit.completed` per picture."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from fastapi import HTTPException
from fastapi.responses import Response
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from api.following.events import KEEPALIVE_S
from api.openai.answers import size_of
from api.openai.waiting import HeldResponse, Pictures, Waiting, failure_of
from api.routes.submissions import as_erased
from api.wire import openai_errors, problems
from s2edit_core.errors import S2EditError
from s2edit_jobs.records.errors import JobsError
from s2edit_jobs.records.record import JobRecord, JobState

COMPLETED, PARTIAL = "image_edit.completed", "image_edit.partial_image"


def stream(waiting: Waiting, record: JobRecord, held: ExitStack) -> Response:
    """Return the response that streams the edit."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return HeldResponse(_events(waiting, record), held.pop_all(), media_type="text/event-stream", headers=headers)


async def _events(waiting: Waiting, record: JobRecord) -> AsyncIterator[bytes]:
    """Yield the events. An error after the beginning is an event, from which the SDKs raise `APIError`."""
    yield format_sse_event(comment=f"edit {record.id}")
    try:
        with as_erased():
            async for event in _until_over(waiting, record):
                yield event
    except (JobsError, S2EditError) as error:
        problem = problems.problem_of(error)
        yield _error(problem.status, problem.code, problem.detail, problem.field)
    except HTTPException as error:
        problem = problems.problem_of_http(error)
        yield _error(problem.status, problem.code, problem.detail, None)


async def _until_over(waiting: Waiting, record: JobRecord) -> AsyncIterator[bytes]:
    partials = Partials(waiting.asked.options.partial_images or 0)
    while not record.state.over:
        record = await waiting.look(record, lambda seen: seen.state.over or partials.wants(seen), wait_s=KEEPALIVE_S)
        if partials.wants(record):
            if (preview := await waiting.preview(record)) is not None:
                picture = preview.picture
                yield _event(PARTIAL, _partial(record, picture, partials.sent), base64.b64encode(picture))
            partials.note(record, sent=preview is not None)
        elif not record.state.over:
            yield KEEPALIVE_COMMENT
    if record.state is not JobState.SUCCEEDED:
        failed = failure_of(waiting.asked, record)
        yield _error(failed.status, failed.code, failed.message, failed.param)
        return
    pictures = await waiting.pictures(record)
    for index in range(len(pictures.keys)):
        yield _event(COMPLETED, _completed(pictures), await waiting.file_of(pictures, index))


@dataclass
class Partials:
    """Which previews are sent, of an edit that may have many: at most `most`, spread over the phase in which there are any."""

    most: int
    sent: int = 0
    seen: int = 0  # the number of the last preview

    def wants(self, record: JobRecord) -> bool:
        """Return whether to send the preview that the edit has now."""
        if record.state.over or self.sent >= self.most or record.preview <= self.seen:
            return False
        return record.phase != "editing" or record.step * self.most >= self.sent * record.total

    def note(self, record: JobRecord, *, sent: bool) -> None:
        """Note that the edit's present preview was sent, or was gone already."""
        self.seen = record.preview
        self.sent += sent


def _partial(record: JobRecord, picture: bytes, index: int) -> dict[str, Any]:
    return {
        "partial_image_index": index,
        "created_at": int(record.updated_at),
        "output_format": "webp",  # the preview's own
        "quality": "low",
        "size": size_of(picture),
        "background": "opaque",
        "id": record.id,
    }


def _completed(pictures: Pictures) -> dict[str, Any]:
    facts = {name: value for name, value in pictures.facts.items() if name != "created"}
    return {"created_at": pictures.facts["created"], **facts, "usage": None}


def _event(kind: str, values: dict[str, Any], file: bytes) -> bytes:
    """Return the event with a picture, in base64. The picture is copied only once, because it may be large."""
    head = json.dumps({"type": kind, **values}, ensure_ascii=False)[:-1]
    return b"".join((f'event: {kind}\ndata: {head}, "b64_json": "'.encode(), file, b'"}\n\n'))


def _error(status: int, code: str, message: str, param: str | None) -> bytes:
    body = openai_errors.body_of(status, code, message, param)
    return format_sse_event(event="error", data_str=json.dumps({"type": "error", **body}, ensure_ascii=False))
