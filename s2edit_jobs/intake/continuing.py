"""Edits with a `parent`: they use the parent's result as their photo and reuse its learned identity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from s2edit_core.errors import OptionInvalid
from s2edit_core.request.prompts import PLACEHOLDERS
from s2edit_core.request.spec import PLACEHOLDER, EditRequest
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.library.concepts import Library
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.lifecycle.lifetimes import results_expired
from s2edit_jobs.records.errors import ArtifactMissing, IdentityNotFound, JobNotFound, RecordDamaged
from s2edit_jobs.records.files import Upload, media_type_of
from s2edit_jobs.records.record import JobRecord, JobSpec, JobState, Owner


def continued(
    services: Services, owner: Owner, parent_id: str, request: EditRequest, files: Mapping[str, Upload]
) -> tuple[EditRequest, dict[str, Upload]]:
    """Return `request` and `files`, completed from the parent: photo, mask, identity, source prompt and subject.

    Values that the request gives itself take precedence. Photo and mask are copied, so the parent can be erased later. If the
    request points at a person (`at`), the mask is found again. Raise `OptionInvalid` if the parent has no result or a photo was
    sent too.
    """
    if "image" in files:
        raise _refused("the parent's result is the photo: leave out `image` or `parent`", "parent_and_image")
    jobs = Jobs(services)
    record, spec, result = _parent(services, jobs, owner, parent_id)
    parent_request = spec.request
    assert isinstance(parent_request, EditRequest)
    mask = {} if "mask" in files or request.at is not None else {"mask": _mask(jobs, record, spec)}
    described = PLACEHOLDERS.sub(lambda found: found[0] if found[0] == PLACEHOLDER else "", parent_request.prompt)
    continuing = replace(
        request,
        identity=request.identity or _if_it_exists(Library(services), owner, record.identity),
        source_prompt=request.source_prompt or " ".join(described.split()),
        subject=request.subject or parent_request.subject,
    )
    return continuing, {**mask, **files, "image": result}


def _parent(services: Services, jobs: Jobs, owner: Owner, parent_id: str) -> tuple[JobRecord, JobSpec, Upload]:
    try:
        record, spec = jobs.get(owner, parent_id), jobs.spec(owner, parent_id)
    except JobNotFound:
        raise _refused(f"there is no edit {parent_id!r}: take an id from GET /edits", "parent_unknown") from None
    except RecordDamaged:
        raise _refused("the stored parent is damaged: name another edit", "parent_unfit") from None
    if record.kind != "edit":
        raise _refused("the parent has no result picture: name an edit, not a learning or mask job", "parent_unfit")
    if record.state is not JobState.SUCCEEDED:
        raise _refused(f"the parent has no result, its state is {record.state}: name an edit that has succeeded", "parent_unfit")
    if results_expired(services.settings, record):
        raise _refused("the parent's pictures have expired: name a later edit, or send a photo instead", "parent_unfit")
    if (key := record.artifacts.get("result")) is None:
        raise _refused("the parent's result can't be found: name another edit", "parent_unfit")
    return record, spec, _upload(jobs, key, media_type_of(key))


def _mask(jobs: Jobs, record: JobRecord, spec: JobSpec) -> Upload:
    """Return the parent's mask, whether it was sent, found, or an identity's.

    The parent's own copy comes first: the file of an identity is erased with the identity. Old jobs have no copy.
    """
    report = _mask_report(jobs, record)
    given, kept = spec.inputs.get("mask"), record.artifacts.get("mask")
    if kept is not None:
        return replace(_upload(jobs, kept, media_type_of(kept)), mask_mode=given.mask_mode if given else "auto", mask_report=report)
    if given is None:
        raise _refused("the parent's mask can't be found: send a mask", "parent_unfit")
    return replace(_upload(jobs, given.key, given.media_type), mask_mode=given.mask_mode, mask_report=report)


def _mask_report(jobs: Jobs, record: JobRecord) -> dict[str, Any]:
    """Return the report's section on the mask: the parent's, with the parent's id as `edit`, and without the search time."""
    found = (jobs.report(record) or {}).get("mask")  # if the parent was just erased, reading its mask fails next
    report = {name: value for name, value in found.items() if name != "seconds"} if isinstance(found, dict) else {}
    return {"source": "given", "edit": record.id, **report}


def _if_it_exists(library: Library, owner: Owner, identity: str | None) -> str | None:
    """Return `identity` unless it was erased. Without it, the edit learns from the parent's result like from any photo."""
    try:
        return None if identity is None else library.identity(owner, identity).id
    except (IdentityNotFound, RecordDamaged):
        return None


def _upload(jobs: Jobs, key: str, media_type: str) -> Upload:
    try:
        return Upload(jobs.artifacts.get(key), media_type, own=True)
    except ArtifactMissing:
        raise _refused("the parent was erased: name another edit, or send a photo instead", "parent_unknown") from None


def _refused(words: str, reason: str) -> OptionInvalid:
    return OptionInvalid(words, field="parent", reason=reason)
