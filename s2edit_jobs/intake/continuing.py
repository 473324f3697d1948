"""An edit that goes on from a former one: the former result is its photo, and what was learned is not learned again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from s2edit_core.errors import OptionInvalid
from s2edit_core.request.prompts import PLACEHOLDERS
from s2edit_core.request.spec import PLACEHOLDER, EditRequest
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.jobs.jobs import Jobs
from s2edit_jobs.library.library import Library
from s2edit_jobs.records.errors import ArtifactMissing, IdentityNotFound, JobNotFound
from s2edit_jobs.records.files import Upload, media_type_of
from s2edit_jobs.records.record import JobRecord, JobSpec, JobState, Owner


def continued(
    services: Services, owner: Owner, parent_id: str, request: EditRequest, files: Mapping[str, Upload]
) -> tuple[EditRequest, dict[str, Upload]]:
    """`request` and `files` with the parent's in place of what they leave open: photo, mask, identity, source prompt and subject.

    The photo and the mask become this edit's own, so the parent may be erased. Where `request` points at somebody, the mask is
    found anew. Raises `OptionInvalid` for a parent that has no result, and where a photo comes as well.
    """
    if "image" in files:
        raise _refused("the parent's result is the photo: leave the image out, or the parent", "parent_and_image")
    jobs = Jobs(services)
    record, spec, result = _parent(jobs, owner, parent_id)
    former = spec.request
    assert isinstance(former, EditRequest)
    mask = {} if "mask" in files or request.at is not None else {"mask": _mask(jobs, record, spec)}
    described = PLACEHOLDERS.sub(lambda found: found[0] if found[0] == PLACEHOLDER else "", former.prompt)
    continuing = replace(
        request,
        identity=request.identity or _still_there(Library(services), owner, record.identity),
        source_prompt=request.source_prompt or " ".join(described.split()),
        subject=request.subject or former.subject,
    )
    return continuing, {**mask, **files, "image": result}


def _parent(jobs: Jobs, owner: Owner, parent_id: str) -> tuple[JobRecord, JobSpec, Upload]:
    try:
        record, spec = jobs.get(owner, parent_id), jobs.spec(owner, parent_id)
    except JobNotFound:
        raise _refused(f"there is no edit {parent_id!r} to go on from: look at GET /edits", "parent_unknown") from None
    if record.kind != "edit":
        raise _refused("the parent has no picture to go on from: name an edit, not a learning or a mask", "parent_unfit")
    if record.state is not JobState.SUCCEEDED:
        raise _refused(f"the parent is {record.state}: only a result can be gone on from", "parent_unfit")
    key = record.artifacts["result"]
    return record, spec, _upload(jobs, key, media_type_of(key))


def _mask(jobs: Jobs, record: JobRecord, spec: JobSpec) -> Upload:
    """The one that the parent was given, or that was found for it."""
    told = _told(jobs, record)
    if (given := spec.inputs.get("mask")) is not None:
        return replace(_upload(jobs, given.key, given.media_type), mask_mode=given.mask_mode, told=told)
    return replace(_upload(jobs, record.artifacts["mask"], "image/png"), mask_mode="auto", told=told)


def _told(jobs: Jobs, record: JobRecord) -> dict[str, Any]:
    """What the parent's report says of its mask, and as `edit` which edit came by it; the search took this one no time."""
    try:
        told: dict[str, Any] = json.loads(jobs.artifacts.get(record.artifacts["report"])).get("mask", {})
    except ArtifactMissing:  # it was erased just now, which the next look at its files tells
        told = {}
    told.pop("seconds", None)
    return {"source": "given", "edit": record.id, **told}


def _still_there(library: Library, owner: Owner, identity: str | None) -> str | None:
    """Where it was erased since, the result is a photo to learn from like any other."""
    try:
        return None if identity is None else library.identity(owner, identity).id
    except IdentityNotFound:
        return None


def _upload(jobs: Jobs, key: str, media_type: str) -> Upload:
    try:
        return Upload(jobs.artifacts.get(key), media_type, own=True)
    except ArtifactMissing:
        raise _refused("the parent was erased: go on from another edit, or from a photo", "parent_unknown") from None


def _refused(words: str, reason: str) -> OptionInvalid:
    return OptionInvalid(words, field="parent", reason=reason)
