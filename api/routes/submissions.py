"""Accepting a job: the steps that `POST /edits`, `/identities`, `/attributes` and `/masks` share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Header, Request, Response
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from api.changes import Changes
from api.following.connections import Connections
from api.following.edit_state import HEADERS, present
from api.following.long_polls import APPLIED_HEADER, applied, wait_s_of
from api.guard.auth import Principal
from api.guard.budgets import Budgets
from api.wire.concept_schemas import IdentityOptions, JobOptions, MaskOptions
from api.wire.edit_answers import Edit
from api.wire.edit_requests import EditOptions
from api.wire.fields import KEY_PATTERN
from api.wire.forms import FILES, check_at, check_pictures, check_webhook, missing_part, parse_pixel, read_part
from api.wire.problems import responses
from s2edit_core.errors import ImageInvalid, InvalidInput, MaskInvalid
from s2edit_core.pictures.files import media_type
from s2edit_core.request.domains import DEFAULT_SUBJECTS
from s2edit_core.request.prompt_syntax import check_syntax
from s2edit_core.request.prompts import check_sentences
from s2edit_core.request.spec import ConceptKind, EditRequest, LearningRequest, MaskRequest
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.intake.forecast import Forecaster
from s2edit_jobs.library.uploads import Uploads
from s2edit_jobs.lifecycle.idempotency import Idempotency, accept_once, request_digest
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.errors import (
    JobErased,
    JobNotFound,
    ServiceUnavailable,
    StreamsFull,
    TooManyStreams,
    UploadMismatch,
    UploadNotFound,
    UploadUnfinished,
)
from s2edit_jobs.records.files import Upload, check_modes, mask_modes
from s2edit_jobs.records.record import JobRecord, JobSpec
from s2edit_jobs.records.testmode import without_directives
from s2edit_jobs.records.vocabulary import Vocabulary

JOB_FIELDS = ("deadline_s", "webhook_url", "consent", "identity_ttl_s", "parent")
"""Fields of the forms that belong to the job, not to the request of the core."""
FORM_LIMITS: Any = {"max_files": 8, "max_fields": 32, "max_part_size": 16_384}  # FastAPI does not export the type
"""More parts than any form has, so that `check_parts` can name an unknown one."""

IdempotencyKey = Annotated[
    str | None,
    Header(
        pattern=KEY_PATTERN,
        description="Makes retries safe: the same key with the same request never creates a second job.",
    ),
]
ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: {
        "description": "The job was accepted.",
        "headers": {
            **HEADERS,
            **APPLIED_HEADER,
            "Location": {"description": "The path of the job, to poll or stream.", "schema": {"type": "string"}},
        },
    },
    **responses(400, 409, 410, 413, 415, 429),
}
"""The OpenAPI responses of a route that accepts a job."""


def or_json(document: type[BaseModel]) -> dict[str, Any]:
    """Return the OpenAPI extra of a form's route that `api.routes.json_bodies` also offers with `document` as its body."""
    schema = {"$ref": f"#/components/schemas/{document.__name__}"}  # `api.description.texts` adds it
    return {"requestBody": {"content": {"application/json": {"schema": schema}}}}


Source = UploadFile | bytes | str
"""Where a picture comes from: a file of the form, its bytes, or the id of an upload."""
FormT = TypeVar("FormT", bound=EditOptions | JobOptions)
RequestT = TypeVar("RequestT", bound=EditRequest | LearningRequest | MaskRequest)


class Submission(ABC, Generic[FormT, RequestT]):
    """One request for a job. Its methods block: call them in a thread."""

    def __init__(self, request: Request, principal: Principal, form: FormT, idempotency_key: str | None) -> None:
        # Read from the app: as dependencies, each of these would cost the request time.
        state = request.app.state
        self.form = form
        self.owner = principal.owner
        self.services: Services = state.services
        self.jobs = Jobs(self.services)
        self.changes: Changes = state.changes
        self.connections: Connections = state.connections
        self._once = None if idempotency_key is None else Idempotency(self.jobs, self.owner, idempotency_key)
        self._vocabulary: Vocabulary | None = state.vocabulary
        self._budgets = Budgets(state.auth, principal, self.services)

    def accept(self) -> JobRecord:
        """Check the request and accept its job. A retry returns the job of the first request with the same key.

        Raises `JobErased` for a retry whose job was erased.
        """
        once = self._once
        # First: an upload may have gone with the job, or would be kept for longer after it was read again.
        marker = None if once is None else once.check_not_erased()
        request, files = self._read()
        if once is not None:
            values = {**request.to_dict(), **self.form.model_dump(include={*JOB_FIELDS})}
            once.request = request_digest(values, files)
            if (earlier := once.earlier(marker)) is not None:
                return earlier
        request, files = self._complete(request, files)
        spec, kept = self._check(request, files)
        self._settle(kept)
        return accept_once(
            self.jobs,
            spec,
            kept,
            once,
            draft=lambda note: self._draft(request, kept, job_id=note.job_id, created_at=note.created_at),
            charge=lambda: self._budgets.take_edit(learns=lambda: self._learns(spec, kept), key="" if once is None else once.name),
        )

    def _sources(self) -> dict[str, Source]:
        """Return where the pictures come from, by part name."""
        return {name: source for name in FILES if (source := getattr(self.form, name, None)) is not None}

    def _files(self) -> dict[str, Upload]:
        """Return the pictures by part name. Raises `ImageInvalid`, `MaskInvalid` or `DigestMismatch`."""
        return {name: self._file(name, source) for name, source in self._sources().items()}

    def _file(self, name: str, source: Source) -> Upload:
        if isinstance(source, str):
            return self._take(name, source)
        return Upload(source, media_type(source)) if isinstance(source, bytes) else read_part(name, source)

    def _take(self, name: str, upload_id: str) -> Upload:
        """Return an upload, checked against its announcement. Raises `ImageInvalid` or `MaskInvalid`."""
        try:
            upload = Uploads(self.services).take(self.owner, upload_id, again=self._once is not None)
        except UploadNotFound as error:
            raise _unknown(name, upload_id) from error
        except UploadUnfinished as error:
            raise _invalid(name, f"the upload {upload_id} is not finished: send its bytes first", "upload_unfinished") from error
        except UploadMismatch as error:
            raise _invalid(name, f"the upload {upload_id} can't be used: {error}", "upload_mismatch") from error
        if (found := media_type(upload.data)) != upload.media_type:
            message = f"the upload {upload_id} was announced as {upload.media_type}, but its bytes are {found}"
            raise _invalid(name, message, "upload_mismatch")
        return upload

    def _settle(self, kept: Mapping[str, Upload]) -> None:
        """Remove the metadata from the uploads themselves. Raises `ImageInvalid` or `MaskInvalid` if one has expired by now.

        `kept` are the pictures without metadata.
        """
        for name, source in self._sources().items():
            if isinstance(source, str):
                try:
                    Uploads(self.services).replace(self.owner, source, kept[name])
                except UploadNotFound as error:
                    raise _unknown(name, source) from error

    @abstractmethod
    def _read(self) -> tuple[RequestT, dict[str, Upload]]:
        """Return the request and its pictures, as they were sent."""

    def _complete(self, request: RequestT, files: dict[str, Upload]) -> tuple[RequestT, dict[str, Upload]]:
        """Return request and pictures with what an earlier job contributes."""
        return request, files

    @abstractmethod
    def _check(self, request: RequestT, files: Mapping[str, Upload]) -> tuple[JobSpec, dict[str, Upload]]:
        """Return the draft of the job, and its pictures without metadata."""

    @abstractmethod
    def _learns(self, spec: JobSpec, kept: Mapping[str, Upload]) -> bool:
        """Return whether the job has to learn a person or attribute, as far as is known before its mask is found."""

    def _draft(self, request: RequestT, files: Mapping[str, Upload], **fixed: Any) -> JobSpec:
        key_marker = "" if self._once is None else self._once.name
        values = self.form.model_dump(include={*JOB_FIELDS})
        return draft(self.services, self.owner, request, files, key_marker=key_marker, **values, **fixed)


class LearningSubmission(Submission[JobOptions, LearningRequest | MaskRequest]):
    """A request for a job without a result: learning an identity or attribute, or finding a mask."""

    @property
    def _kind(self) -> ConceptKind | None:
        """The kind of concept to learn; None for a mask."""
        if isinstance(self.form, MaskOptions):
            return None
        return "identity" if isinstance(self.form, IdentityOptions) else "attribute"

    def _read(self) -> tuple[LearningRequest | MaskRequest, dict[str, Upload]]:
        values = self.form.model_dump(exclude={*FILES, *JOB_FIELDS}, exclude_none=True)
        values |= {"at": parse_pixel(values.get("at"))}
        kind = self._kind
        request = MaskRequest.from_dict(values) if kind is None else LearningRequest.from_dict({"kind": kind, **values})
        sources = self._sources()
        # The service can find a person, but not an attribute: only the caller knows where that is.
        for name in ("image", "mask") if kind == "attribute" else ("image",):
            if name not in sources:
                raise missing_part(name)
        check_syntax(request.prompt, field="prompt")
        files = self._files()
        check_modes(files, request)
        return request, files

    def _check(self, request: LearningRequest | MaskRequest, files: Mapping[str, Upload]) -> tuple[JobSpec, dict[str, Upload]]:
        check_webhook(self.form.webhook_url, self.services.settings)
        check_at(request.at, files, lambda: files["image"].data)
        self._check_words(request)
        person, photo = self._kind == "identity", files["image"].data
        kept = check_pictures(files, lambda: photo, mask_modes(files, request), max_pixels=request.max_pixels, person=person)
        return self._draft(request, kept), kept

    def _check_words(self, request: LearningRequest | MaskRequest) -> None:
        if self._vocabulary is not None and isinstance(request, MaskRequest):
            self._vocabulary.check_description(without_directives(self.owner, request))
        elif self._vocabulary is not None and isinstance(request, LearningRequest):
            self._vocabulary.check_learning(without_directives(self.owner, request))
        elif isinstance(request, LearningRequest):
            check_sentences(without_directives(self.owner, request), DEFAULT_SUBJECTS)

    def _learns(self, spec: JobSpec, kept: Mapping[str, Upload]) -> bool:
        if not isinstance(spec.request, LearningRequest):
            return False
        return Forecaster(self.services).forecast_learning(spec, kept).learning == "needed"


def _unknown(name: str, upload_id: str) -> InvalidInput:
    return _invalid(name, f"there is no upload {upload_id[:80]!r}: announce a new one", "upload_unknown")


def _invalid(name: str, message: str, reason: str) -> InvalidInput:
    kind = ImageInvalid if name == "image" else MaskInvalid
    return kind(message, field=name, reason=reason)


@contextmanager
def as_erased() -> Iterator[None]:
    """Raise `JobErased` if the job of a request is not found any more: somebody has erased it since it was accepted."""
    try:
        yield
    except JobNotFound as error:
        raise JobErased(str(error)) from error


async def respond(submission: Submission[Any, Any], response: Response, prefer: str | None) -> Edit:
    """Accept the job and return its state: at once, or with `Prefer: wait` when it is over. Raises `JobErased`."""
    services, jobs, owner = submission.services, submission.jobs, submission.owner

    def shown(record: JobRecord) -> Edit:
        response.headers["Location"] = f"/edits/{record.id}"
        try:
            with as_erased():
                return present(services, record, response)
        except ServiceUnavailable:  # the job is accepted, so the app must get its id
            return Edit.of(record)

    wait_s = wait_s_of(prefer)
    if not wait_s or not submission.connections.has_room(owner):
        return await run_in_threadpool(lambda: shown(submission.accept()))
    record = await run_in_threadpool(submission.accept)
    unseen = suppress(ServiceUnavailable, TooManyStreams, StreamsFull)  # as above
    with unseen, submission.connections.held(owner), as_erased():
        record = await submission.changes.until(
            lambda: jobs.get(owner, record.id), lambda record: record.state.over, job_id=record.id, wait_s=wait_s
        )
    response.headers.update(applied(wait_s))
    return await run_in_threadpool(shown, record)
