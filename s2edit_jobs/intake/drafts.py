"""What a request becomes before it is taken on: a spec, held to the policy, with a place for every file. Nothing is kept yet."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import replace

from s2edit_core.errors import PolicyRefused
from s2edit_core.request.spec import EditRequest, LearningRequest
from s2edit_jobs.access.policy import refused
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.jobs.refusals import note_refusal
from s2edit_jobs.library.library import Identity, Library, check_consent, ttl_of
from s2edit_jobs.records import trace
from s2edit_jobs.records.files import EXTENSIONS, Upload, modes_of
from s2edit_jobs.records.record import InputFile, JobRequest, JobSpec, Owner, new_job_id
from s2edit_jobs.records.testmode import OVERDUE, Wishes, wishes_in
from s2edit_jobs.stores.artifacts import edit_key


def draft(
    services: Services,
    owner: Owner,
    request: JobRequest,
    files: Mapping[str, Upload],
    *,
    deadline_s: float | None = None,
    webhook_url: str | None = None,
    consent: str | None = None,
    identity_ttl_s: float | None = None,
    parent: str | None = None,
    job_id: str | None = None,
    created_at: float | None = None,
) -> JobSpec:
    """What `Jobs.accept` takes: a new id (unless given), and a place for every file.

    `deadline_s` counts from `created_at`, which is now unless given.
    With `request.identity`, that identity's photo and mask stand in where no photo is given, and its prompt, subject and
    limit of pixels for those that the request leaves open. `consent` and `identity_ttl_s` are kept with an identity that is
    learned. In test mode the words of its prompt are heeded (`testmode`). Raises `IdentityNotFound`, `PolicyRefused`,
    `PromptInvalid` for such a word that means nothing, `OptionInvalid` where a consent is needed and missing, and
    `ServiceUnavailable`.
    """
    job_id, now = job_id or new_job_id(), time.time() if created_at is None else created_at
    inputs = _places(owner, job_id, files, request)
    if isinstance(request, EditRequest) and request.identity is not None:
        identity = Library(services).identity(owner, request.identity)
        request = _with(identity, request, own_photo="image" in files)
        if "image" not in files:  # another photo's mask is not the identity's
            inputs = {**identity.inputs, **inputs}
    wishes = wishes_in(request.prompt or "") if owner.test else Wishes()
    try:  # with what the identity brings: one that was imported may say anything
        if wishes.refused:
            raise refused("prompt")
        _check_policy(services, request, files, consent)
    except PolicyRefused as error:
        note_refusal(services, owner, None, error)
        raise
    if wishes.fails == OVERDUE:
        deadline_s = 0.0
    return JobSpec(
        job_id,
        owner,
        now,
        request,
        inputs,
        deadline_at=None if deadline_s is None else now + deadline_s,
        webhook_url=webhook_url,
        consent=consent,
        identity_ttl_s=ttl_of(services.settings, identity_ttl_s),
        traceparent=trace.current(),
        parent=parent,
    )


def refiled(spec: JobSpec, files: Mapping[str, Upload]) -> JobSpec:
    """The draft `spec` with `files` as they are kept, without their metadata."""
    return replace(spec, inputs={**spec.inputs, **_places(spec.owner, spec.id, files, spec.request)})


def _with(identity: Identity, request: EditRequest, *, own_photo: bool) -> EditRequest:
    """`request` with the words of the identity where it leaves them open, and its photo scaled as it was learned from."""
    return replace(
        request,
        source_prompt=request.source_prompt or identity.source_prompt,
        subject=request.subject or identity.subject,
        max_pixels=request.max_pixels or (None if own_photo else identity.max_pixels),
    )


def _check_policy(services: Services, request: JobRequest, files: Mapping[str, Upload], consent: str | None) -> None:
    for name in ("prompt", "source_prompt", "subject", "name"):
        if text := getattr(request, name, None):
            services.policy.check_prompt(text, field=name)
    if isinstance(request, EditRequest) and request.negative_prompt:
        services.policy.check_prompt(_as_wish(request.negative_prompt), field="negative_prompt")
    if "image" in files:
        services.policy.check_image(files["image"].data, field="image")
    learns = isinstance(request, LearningRequest) or (isinstance(request, EditRequest) and request.identity is None)
    if learns:
        check_consent(services.settings, consent)


def _as_wish(negative_prompt: str) -> str:
    """What it asks for, in words that a policy for prompts knows: “clothes” asks for a picture without clothes."""
    return ", ".join([negative_prompt, *(f"without {word}" for word in re.findall(r"\w+", negative_prompt))])


def _places(owner: Owner, job_id: str, files: Mapping[str, Upload], request: JobRequest) -> dict[str, InputFile]:
    modes = modes_of(files, request)
    return {
        name: InputFile(
            key=edit_key(owner, job_id, name + EXTENSIONS.get(upload.media_type, "")),
            sha256=upload.sha256,
            size_bytes=len(upload.data),
            media_type=upload.media_type,
            mask_mode=modes.get(name, "auto"),
            told=upload.told,
        )
        for name, upload in files.items()
    }
