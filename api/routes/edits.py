"""Create, list, poll and cancel edits. Everything that reads or writes runs in threads, never on the event loop."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Header, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from api.changes import Changes
from api.deps import Caller, JobsDep, LibraryDep, PrincipalDep, ServicesDep, SlowCallsDep, get_principal
from api.following.connections import Connections
from api.following.edit_state import HEADERS, listed, matches, present, tag_headers
from api.following.long_polls import APPLIED_HEADER, PREFER, applied, wait_s_of
from api.routes.edit_submissions import EditSubmission
from api.routes.submissions import ACCEPTED, FORM_LIMITS, IdempotencyKey, or_json, respond
from api.wire.bodies.strict_forms import FormRoute
from api.wire.edit_answers import DryRun, Edit, EditPage
from api.wire.edit_requests import EditDocument, EditForm
from api.wire.fields import Id
from api.wire.forms import parts_of
from api.wire.pages import LINK_HEADER, Cursor, Limit, cursor_of, next_link, position_of
from api.wire.problems import responses
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.lifecycle.history import Filter
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.record import JobKind, JobRecord, JobState, Owner

router = APIRouter(route_class=FormRoute, tags=["edits"], responses=responses(422, 503))


@router.post(
    "/edits",
    operation_id="createEdit",
    summary="Create an edit",
    status_code=202,
    response_model=Edit,
    responses={200: {"model": DryRun, "description": "With `dry_run`: what the edit would do."}, **ACCEPTED},
    dependencies=[Depends(get_principal), Depends(parts_of(EditForm))],  # before the form is validated, in this order
    openapi_extra=or_json(EditDocument),
    form_limits=FORM_LIMITS,
)
async def create_edit(
    form: Annotated[EditForm, Form(media_type="multipart/form-data")],
    request: Request,
    response: Response,
    principal: PrincipalDep,
    idempotency_key: IdempotencyKey = None,
    prefer: Annotated[str | None, PREFER] = None,
) -> Edit | Response:
    """The service checks the whole request before it stores anything. Poll or stream the edit at `Location`.

    The JSON variant names pictures by the ids of uploads, see `POST /uploads`.
    """
    return await create(EditSubmission(request, principal, form, idempotency_key), response, prefer)


async def create(submission: EditSubmission, response: Response, prefer: str | None) -> Edit | Response:
    """Accept the edit and return its state, or for a dry run the estimate."""
    if submission.form.dry_run:
        estimate = await run_in_threadpool(submission.dry_run)
        return JSONResponse(estimate.model_dump(mode="json"), headers={"Cache-Control": "no-store"})
    return await respond(submission, response, prefer)


@router.get("/edits", operation_id="listEdits", summary="List edits, newest first", responses={200: {"headers": LINK_HEADER}})
async def list_edits(
    owner: Caller,
    services: ServicesDep,
    library: LibraryDep,
    slow: SlowCallsDep,
    response: Response,
    state: Annotated[JobState | None, Query(description="Only jobs in this state.")] = None,
    identity: Annotated[Id | None, Query(description="Only jobs that learned or used this identity.")] = None,
    kind: Annotated[JobKind | None, Query(description="Only jobs of this kind.")] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> EditPage:
    """New edits appear on the first page, so they neither shift nor repeat items on the following pages.

    Lists omit reports and time estimates: get the single edit for these.
    """
    wanted = Filter(state=state, kind=kind, identity=identity)

    def read() -> EditPage:
        page = library.edits(owner, after=position_of(cursor, "e_"), limit=limit, wanted=wanted)
        items = [listed(services, record) for record in page.items]
        return EditPage(items=items, next_cursor=cursor_of(page.last))

    page = await slow.run(read)
    response.headers.update(next_link("/edits", page.next_cursor, state=state, identity=identity, kind=kind, limit=limit))
    return page


@router.get(
    "/edits/{edit_id}",
    operation_id="getEdit",
    summary="Get an edit",
    responses={
        200: {"headers": {**HEADERS, **APPLIED_HEADER}},
        304: {"description": "The edit has not changed, and its links stay valid.", "headers": {**HEADERS, **APPLIED_HEADER}},
        **responses(404),
    },
    response_model=Edit,
)
async def get_edit(
    edit_id: str,
    request: Request,
    response: Response,
    owner: Caller,
    if_none_match: Annotated[
        str | None,
        Header(description="An earlier `ETag`: the response is 304 while the edit has not changed and the links are good."),
    ] = None,
    prefer: Annotated[str | None, PREFER] = None,
) -> Edit | Response:
    """Every 200 has fresh links. A 304 confirms the earlier ones: they stay valid for at least half of their time.

    Leave out `If-None-Match` to get new ones at once.
    """
    services: Services = request.app.state.services  # not a dependency: apps poll often, and each dependency costs time
    jobs, settings = Jobs(services), services.settings
    changes: Changes = request.app.state.changes
    headers: dict[str, str] = {}
    connections: Connections = request.app.state.connections
    if (wait_s := wait_s_of(prefer)) and connections.has_room(owner):
        with connections.held(owner):
            record = await _long_poll(changes, services, owner, edit_id, if_none_match, wait_s)
        headers = applied(wait_s)
    else:
        record = await changes.load(edit_id, lambda: jobs.get(owner, edit_id))
    if if_none_match is not None and matches(if_none_match, settings, record):
        return Response(status_code=304, headers={**tag_headers(settings, record), **headers})
    response.headers.update(headers)
    return await run_in_threadpool(present, services, record, response)


async def _long_poll(
    changes: Changes, services: Services, owner: Owner, edit_id: str, if_none_match: str | None, wait_s: int
) -> JobRecord:
    jobs, settings = Jobs(services), services.settings

    def enough(record: JobRecord) -> bool:
        return record.state.over or (if_none_match is not None and not matches(if_none_match, settings, record))

    return await changes.until(lambda: jobs.get(owner, edit_id), enough, job_id=edit_id, wait_s=wait_s)


@router.post(
    "/edits/{edit_id}/cancel",
    operation_id="cancelEdit",
    summary="Cancel an edit",
    status_code=202,
    responses={202: {"description": "The edit after the request to cancel it.", "headers": HEADERS}, **responses(404)},
)
def cancel_edit(edit_id: str, response: Response, owner: Caller, services: ServicesDep, jobs: JobsDep) -> Edit:
    """A queued edit ends at once, a running one within a step, and one that is over stays as it is. Safe to repeat."""
    return present(services, jobs.cancel(owner, edit_id), response)
