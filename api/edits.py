"""Ask for an edit, see how it stands, cancel it. The handlers are plain `def`: they run in threads, never on the event loop."""

from __future__ import annotations

import json
import re
import time
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Header, Response

from api.deps import Caller, JobsDep, ServicesDep, VocabularyDep
from api.forms import check_pictures, exact_form, read_files
from api.problems import responses
from api.schemas import Edit, EditForm, Link, Report, moment
from s2edit_core.errors import OptionInvalid
from s2edit_core.spec import EditRequest
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.errors import ArtifactMissing, IdentityNotFound
from s2edit_jobs.record import JobRecord, JobState

POLL_S = 1
"""What a waiting app is told in `Retry-After`."""


router = APIRouter(tags=["edits"], responses=responses(422, 503))
HEADERS = {
    "ETag": {"description": "The sequence, quoted", "schema": {"type": "string"}},
    "Retry-After": {
        "description": "Seconds until the next question; absent once the edit is over",
        "schema": {"type": "integer"},
    },
}
LOCATION = {"description": "Where to follow the edit", "schema": {"type": "string"}}


@router.post(
    "/edits",
    operation_id="createEdit",
    summary="Ask for an edit",
    status_code=202,
    responses={202: {"headers": {**HEADERS, "Location": LOCATION}}, **responses(400, 413, 415)},
    dependencies=[Depends(exact_form)],
    form_limits={"max_files": 8, "max_fields": 32, "max_part_size": 16_384},  # wider than the form: one part too many is named
)
def create_edit(
    form: Annotated[EditForm, Form(media_type="multipart/form-data")],
    response: Response,
    owner: Caller,
    services: ServicesDep,
    jobs: JobsDep,
    vocabulary: VocabularyDep,
) -> Edit:
    """Everything is checked before anything is kept: a refused edit leaves nothing behind. Follow the edit at `Location`."""
    request = _request_of(form)
    files = read_files(form)
    try:
        spec = jobs.draft(owner, request, files)
    except IdentityNotFound as error:
        raise OptionInvalid(f"there is no identity {request.identity!r}", field="identity", reason="identity_unknown") from error
    if vocabulary is not None:
        vocabulary.check(spec.request)
    check_pictures(files, lambda: files["image"].data if "image" in files else services.artifacts.get(spec.inputs["image"].key))
    record = jobs.accept(spec, files)
    response.headers["Location"] = f"/edits/{record.id}"
    return present(services, record, response)


@router.get(
    "/edits/{edit_id}",
    operation_id="getEdit",
    summary="See how an edit stands",
    responses={200: {"headers": HEADERS}, 304: {"description": "Nothing has changed", "headers": HEADERS}, **responses(404)},
    response_model=Edit,
)
def get_edit(
    edit_id: str,
    response: Response,
    owner: Caller,
    services: ServicesDep,
    jobs: JobsDep,
    if_none_match: Annotated[str | None, Header(description="An `ETag` seen before: 304 while nothing has changed")] = None,
) -> Edit | Response:
    """Links in the answer are fresh each time; ask without `If-None-Match` to get new ones."""
    record = jobs.get(owner, edit_id)
    if if_none_match is not None and _matches(if_none_match, record):
        return Response(status_code=304, headers=_headers(record))
    return present(services, record, response)


@router.post(
    "/edits/{edit_id}/cancel",
    operation_id="cancelEdit",
    summary="Cancel an edit",
    status_code=202,
    responses={202: {"headers": HEADERS}, **responses(404)},
)
def cancel_edit(edit_id: str, response: Response, owner: Caller, services: ServicesDep, jobs: JobsDep) -> Edit:
    """Safe to repeat. A waiting edit ends at once, a running one within a step; one that is over stays as it ended."""
    return present(services, jobs.cancel(owner, edit_id), response)


def _request_of(form: EditForm) -> EditRequest:
    values = form.model_dump(exclude={"image", "mask", "edit_mask"}, exclude_none=True)
    return EditRequest.from_dict(values)


def present(services: Services, record: JobRecord, response: Response) -> Edit:
    """The record as the app sees it, with links that live from now, and its headers on `response`."""
    response.headers.update(_headers(record))
    if record.state is not JobState.SUCCEEDED:
        return Edit.of(record)
    return Edit.of(record, result=_result(services, record), report=_report(services, record))


def _headers(record: JobRecord) -> dict[str, str]:
    """`no-store`: a browser that revalidated by itself would go on using links that have run out."""
    headers = {"ETag": f'"{record.sequence}"', "Cache-Control": "no-store"}
    return headers if record.state.over else {**headers, "Retry-After": str(POLL_S)}


def _matches(if_none_match: str, record: JobRecord) -> bool:
    """Weak comparison, as RFC 9110 §13.1.2 wants it."""
    return if_none_match.strip() == "*" or str(record.sequence) in re.findall(r'"([^"]*)"', if_none_match)


def _link(services: Services, key: str, filename: str) -> Link:
    expires_s = services.settings.result_url_s
    expires_at = moment(time.time() // 1 + expires_s)
    return Link(url=services.artifacts.presigned_get(key, expires_s=expires_s, filename=filename), expires_at=expires_at)


def _result(services: Services, record: JobRecord) -> Link | None:
    key = record.artifacts.get("result")
    return _link(services, key, f"{record.id}.png") if key else None


def _report(services: Services, record: JobRecord) -> Report | None:
    key = record.artifacts.get("report")
    if not key:
        return None
    try:
        values = json.loads(services.artifacts.get(key))
    except ArtifactMissing:  # erased since
        return None
    link = _link(services, key, f"{record.id}.json")
    return Report(url=link.url, expires_at=link.expires_at, values=values)
