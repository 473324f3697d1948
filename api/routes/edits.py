"""Ask for an edit, see how it stands, cancel it. Whatever reads or writes runs in threads, never on the event loop."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Depends, Form, Header, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from api.changes import Changes
from api.deps import Caller, JobsDep, LibraryDep, PrincipalDep, ServicesDep, get_principal
from api.following.edit_state import HEADERS, mask_of, matches, present, results_of, tag_headers
from api.guard.allowance import Allowance
from api.guard.auth import Principal
from api.wire.concept_schemas import EditPage
from api.wire.forms import FILES, check_at, check_output, check_pictures, check_webhook, exact_form, missing, pixel_of, read_files
from api.wire.pages import LINK_HEADER, Cursor, Limit, cursor_of, next_link, position_of
from api.wire.problems import responses
from api.wire.schemas import DryRun, Edit, EditForm, EditOptions
from s2edit_core.errors import OptionInvalid
from s2edit_core.request.prompt_syntax import check_syntax
from s2edit_core.request.prompts import DEFAULT_SUBJECTS, check_sentences
from s2edit_core.request.spec import EditRequest
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.intake.continuing import continued
from s2edit_jobs.intake.drafts import draft, refiled
from s2edit_jobs.intake.foresight import Foresight
from s2edit_jobs.jobs.idempotency import Idempotency, accept_once, request_digest
from s2edit_jobs.jobs.jobs import Jobs
from s2edit_jobs.library.library import Library
from s2edit_jobs.records.errors import AttributeNotFound, IdentityNotFound, ServiceUnavailable
from s2edit_jobs.records.files import Upload, check_modes, modes_of
from s2edit_jobs.records.record import JobKind, JobRecord, JobSpec, JobState, Owner
from s2edit_jobs.records.testmode import spoken
from s2edit_jobs.records.vocabulary import Vocabulary

ASIDE = ("deadline_s", "webhook_url", "consent", "identity_ttl_s", "parent")
"""Parts of the form that are the job's and not the edit's."""
MAX_WAIT_S = 60
"""The longest that an answer is held back, whatever the app prefers: proxies give up soon after."""
PREFER = Header(
    description=f"`wait=N`: hold the answer back for up to N seconds, at most {MAX_WAIT_S}, until the edit is over, or, "
    "with `If-None-Match`, until it has changed",
    examples=["wait=30"],
)

IdempotencyKey = Annotated[
    str | None,
    Header(
        pattern=r"^[\x21-\x7e]{1,255}$",
        description="Makes it safe to send the request again: the same key with the same form is the same edit",
    ),
]

router = APIRouter(tags=["edits"], responses=responses(422, 503))
APPLIED = {"Preference-Applied": {"description": "What of `Prefer` was heeded", "schema": {"type": "string"}}}
LOCATION = {"description": "Where to follow the edit", "schema": {"type": "string"}}


@router.post(
    "/edits",
    operation_id="createEdit",
    summary="Ask for an edit",
    status_code=202,
    response_model=Edit,
    responses={
        200: {"model": DryRun, "description": "With `dry_run`: what would be done"},
        202: {"headers": {**HEADERS, **APPLIED, "Location": LOCATION}},
        **responses(400, 409, 413, 415, 429),
    },
    dependencies=[Depends(get_principal), Depends(exact_form)],  # before the form is validated, in this order
    openapi_extra={"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/EditDocument"}}}}},
    form_limits={"max_files": 8, "max_fields": 32, "max_part_size": 16_384},  # wider than the form: one part too many is named
)
async def create_edit(
    form: Annotated[EditForm, Form(media_type="multipart/form-data")],
    request: Request,
    response: Response,
    principal: PrincipalDep,
    idempotency_key: IdempotencyKey = None,
    prefer: Annotated[str | None, PREFER] = None,
) -> Edit | Response:
    """Everything is checked before anything is kept: a refused edit leaves nothing behind. Follow the edit at `Location`.

    As JSON, pictures are the ids of uploads (`POST /uploads`).
    """
    asking = Asking.of(request, principal, form, lambda: read_files(form))
    return await answer(asking, response, request.app.state.changes, idempotency_key, prefer)


async def answer(
    asking: Asking, response: Response, changes: Changes, idempotency_key: str | None, prefer: str | None
) -> Edit | Response:
    """Take the edit on, and tell how it stands; for a dry run, what would be done."""
    if asking.form.dry_run:
        forecast = await run_in_threadpool(asking.try_out)
        return JSONResponse(forecast.model_dump(mode="json"), headers={"Cache-Control": "no-store"})
    return await accepted(asking, response, changes, idempotency_key, prefer)


class Acceptable(Protocol):
    """A request for a job. `take_on` is called in a thread, with the idempotency key."""

    @property
    def owner(self) -> Owner: ...

    @property
    def services(self) -> Services: ...

    @property
    def jobs(self) -> Jobs: ...

    def take_on(self, key: str | None) -> JobRecord: ...


async def accepted(
    asking: Acceptable, response: Response, changes: Changes, idempotency_key: str | None, prefer: str | None
) -> Edit:
    """Take the job on, and tell how it stands, at once or once it is over, as is preferred."""
    services, jobs, owner = asking.services, asking.jobs, asking.owner

    def shown(record: JobRecord) -> Edit:
        response.headers["Location"] = f"/edits/{record.id}"
        return present(services, record, response)

    if not (wait_s := _wait_s(prefer)):
        return await run_in_threadpool(lambda: shown(asking.take_on(idempotency_key)))
    record = await run_in_threadpool(asking.take_on, idempotency_key)
    with suppress(ServiceUnavailable):  # it is accepted all the same
        record = await changes.until(lambda: jobs.get(owner, record.id), _is_over, job_id=record.id, wait_s=wait_s)
    response.headers["Preference-Applied"] = f"wait={wait_s}"
    return await run_in_threadpool(shown, record)


@router.get("/edits", operation_id="listEdits", summary="List edits, newest first", responses={200: {"headers": LINK_HEADER}})
def list_edits(
    owner: Caller,
    services: ServicesDep,
    library: LibraryDep,
    response: Response,
    state: Annotated[JobState | None, Query(description="Only those that stand so")] = None,
    identity: Annotated[str | None, Query(max_length=64, description="Only those that learned or used this identity")] = None,
    kind: Annotated[JobKind | None, Query(description="Only edits, or only what was learned or found ahead")] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> EditPage:
    """Edits that come while you turn the pages stand on the first one: no page repeats another, and none leaves an edit out.

    Reports and estimates are not in lists: ask for the edit.
    """

    def wanted(record: JobRecord) -> bool:
        return (
            (state is None or record.state is state)
            and (kind is None or record.kind == kind)
            and (identity is None or record.identity == identity)
        )

    page = library.edits(owner, after=position_of(cursor, "e_"), limit=limit, wanted=wanted)
    items = [Edit.of(record, results=results_of(services, record), mask=mask_of(services, record)) for record in page.items]
    following = cursor_of(page.last)
    response.headers.update(next_link("/edits", following, state=state, identity=identity, kind=kind, limit=limit))
    return EditPage(items=items, next_cursor=following)


@router.get(
    "/edits/{edit_id}",
    operation_id="getEdit",
    summary="See how an edit stands",
    responses={
        200: {"headers": {**HEADERS, **APPLIED}},
        304: {"description": "Nothing has changed", "headers": {**HEADERS, **APPLIED}},
        **responses(404),
    },
    response_model=Edit,
)
async def get_edit(
    edit_id: str,
    request: Request,
    response: Response,
    owner: Caller,
    if_none_match: Annotated[str | None, Header(description="An `ETag` seen before: 304 while nothing has changed")] = None,
    prefer: Annotated[str | None, PREFER] = None,
) -> Edit | Response:
    """Links in the answer are fresh each time; ask without `If-None-Match` to get new ones."""
    services: Services = request.app.state.services  # apps poll: every dependency less counts
    jobs, applied = Jobs(services), {}
    changes: Changes = request.app.state.changes
    if wait_s := _wait_s(prefer):
        record = await _held_back(changes, jobs, owner, edit_id, if_none_match, wait_s)
        applied = {"Preference-Applied": f"wait={wait_s}"}
    else:
        record = await changes.look(edit_id, lambda: jobs.get(owner, edit_id))
    if if_none_match is not None and matches(if_none_match, record):
        return Response(status_code=304, headers={**tag_headers(record), **applied})
    response.headers.update(applied)
    return await run_in_threadpool(present, services, record, response)


async def _held_back(changes: Changes, jobs: Jobs, owner: Owner, edit_id: str, if_none_match: str | None, wait_s: int) -> JobRecord:
    def enough(record: JobRecord) -> bool:
        return record.state.over or (if_none_match is not None and not matches(if_none_match, record))

    return await changes.until(lambda: jobs.get(owner, edit_id), enough, job_id=edit_id, wait_s=wait_s)


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


@dataclass(frozen=True, slots=True)
class Asking:
    """One `POST /edits`, in a thread. `read` gives the pictures and may refuse them; `settle` is told how they are kept."""

    form: EditOptions
    read: Callable[[], dict[str, Upload]]
    owner: Owner
    services: Services
    jobs: Jobs
    vocabulary: Vocabulary | None
    allowance: Allowance
    settle: Callable[[Mapping[str, Upload]], None]

    @classmethod
    def of(
        cls,
        request: Request,
        principal: Principal,
        form: EditOptions,
        read: Callable[[], dict[str, Upload]],
        settle: Callable[[Mapping[str, Upload]], None] = lambda kept: None,  # noqa: ARG005
    ) -> Asking:
        """From the app rather than by dependencies, each of which would cost the request time."""
        state = request.app.state
        services: Services = state.services
        allowance = Allowance(state.auth, principal, services)
        return cls(form, read, principal.owner, services, Jobs(services), state.vocabulary, allowance, settle)

    def try_out(self) -> DryRun:
        """Everything short of taking it on."""
        request, files = self._continued(*self._read())
        spec, files = self._checked(request, files, wholly=True)
        self.jobs.admit(self.owner, spec.id)
        self.jobs.leave(self.owner, spec.id)
        forecast = Foresight(self.services).of_edit(spec, files, self._worn(request))
        return DryRun(learning=forecast.learning, identity=forecast.identity, eta_s=forecast.eta_s)

    def _read(self) -> tuple[EditRequest, dict[str, Upload]]:
        values = self.form.model_dump(exclude={*FILES, *ASIDE, "dry_run"}, exclude_none=True)
        request = EditRequest.from_dict({**values, "at": pixel_of(values.get("at"))})
        for name in ("prompt", "source_prompt", "negative_prompt"):  # as it was sent: what is kept from before is left alone
            check_syntax(getattr(request, name), field=name)
        files = self.read()
        check_modes(files, request)
        return request, files

    def _continued(self, request: EditRequest, files: dict[str, Upload]) -> tuple[EditRequest, dict[str, Upload]]:
        if self.form.parent is None:
            return request, files
        return continued(self.services, self.owner, self.form.parent, request, files)

    def take_on(self, key: str | None) -> JobRecord:
        request, files = self._read()
        once = None
        if key is not None:
            values = {**request.to_dict(), **self.form.model_dump(include={*ASIDE})}
            asked = request_digest(values, files)
            once = Idempotency(self.jobs, self.owner, key, asked)
            if (earlier := once.earlier()) is not None:
                return earlier
        request, files = self._continued(request, files)
        spec, files = self._checked(request, files)
        self.settle(files)
        return accept_once(
            self.jobs,
            spec,
            files,
            once,
            draft=lambda note: self._draft(request, files, job_id=note.job_id, created_at=note.created_at),
            charge=lambda: self.allowance.take_edit(learns=request.identity is None),
        )

    def _checked(
        self, request: EditRequest, files: Mapping[str, Upload], *, wholly: bool = False
    ) -> tuple[JobSpec, dict[str, Upload]]:
        """The draft of the job, and its files as they are kept."""
        check_webhook(self.form.webhook_url, self.services.settings)
        try:
            spec = self._draft(request, files)
        except IdentityNotFound as error:
            raise OptionInvalid(
                f"there is no identity {request.identity!r}: look at GET /identities", field="identity", reason="identity_unknown"
            ) from error
        if "image" not in spec.inputs:  # an identity that was imported brings none
            raise missing("image")
        check_at(request.at, spec.inputs, lambda: files["image"].data)
        worn = self._worn(request)
        assert isinstance(spec.request, EditRequest)
        if self.vocabulary is not None:
            self.vocabulary.check(spoken(self.owner, spec.request), worn)
        else:
            check_sentences(spoken(self.owner, spec.request), DEFAULT_SUBJECTS)

        def photo() -> bytes:
            return (files.get("image") or self._stored(spec)).data

        check_output(spec.request, photo)
        kept = check_pictures(
            files,
            photo,
            modes_of(files, spec.request),
            max_pixels=spec.request.max_pixels,
            wholly=wholly,
        )
        return refiled(spec, kept), kept

    def _draft(self, request: EditRequest, files: Mapping[str, Upload], **named: Any) -> JobSpec:
        return draft(self.services, self.owner, request, files, **self.form.model_dump(include={*ASIDE}), **named)

    def _worn(self, request: EditRequest) -> list[tuple[str, str]]:
        """Placeholder and subject of each attribute."""
        library, worn = Library(self.services), []
        for attribute_id in request.attributes:
            try:
                attribute = library.attribute(self.owner, attribute_id)
            except AttributeNotFound as error:
                raise OptionInvalid(
                    f"there is no attribute {attribute_id!r}: look at GET /attributes",
                    field="attributes",
                    reason="attribute_unknown",
                ) from error
            worn.append((attribute.placeholder, attribute.subject))
        return worn

    def _stored(self, spec: JobSpec) -> Upload:
        """The identity's photo."""
        file = spec.inputs["image"]
        return Upload(self.services.artifacts.get(file.key), file.media_type)


def _wait_s(prefer: str | None) -> int:
    """Seconds to hold the answer back, of an RFC 7240 header; 0 if it asks for nothing of that kind."""
    wait = re.search(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,9})", prefer or "", flags=re.IGNORECASE)
    return min(MAX_WAIT_S, int(wait[1])) if wait else 0


def _is_over(record: JobRecord) -> bool:
    return record.state.over
