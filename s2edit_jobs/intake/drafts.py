"""Turn a request into a draft: the spec of a job that is not yet accepted. Nothing is stored here."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import replace

from s2edit_core.errors import PolicyRefused
from s2edit_core.request.spec import EditRequest, LearningRequest
from s2edit_jobs.access.policy import refused
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.library.concepts import Identity, Library
from s2edit_jobs.library.identity_terms import check_consent, ttl_of
from s2edit_jobs.lifecycle.refusals import record_refusal
from s2edit_jobs.records import trace
from s2edit_jobs.records.files import EXTENSIONS, Upload, mask_modes
from s2edit_jobs.records.record import InputFile, JobRequest, JobSpec, Owner, new_job_id
from s2edit_jobs.records.testmode import OVERDUE, Directives, parse_directives
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
    key_marker: str = "",
    job_id: str | None = None,
    created_at: float | None = None,
) -> JobSpec:
    """Return the spec for `Jobs.accept`, with an object key for every file. The job id is new unless `job_id` is given.

    `key_marker` is the name of the marker of the request's Idempotency-Key. `deadline_s` counts from `created_at`, by default now.
    `consent` and `identity_ttl_s` are stored with the identity that the job learns. If `request.identity` is set and no photo is
    sent, the identity's photo and mask are used. The identity also supplies the prompt, subject and pixel limit where the request
    has none. In test mode, the prompt's directives are applied (`testmode`).

    Raise `IdentityNotFound`, `PolicyRefused`, `PromptInvalid` for an unknown test directive, `OptionInvalid` if consent is required
    and missing, or `ServiceUnavailable`.
    """
    job_id, now = job_id or new_job_id(), time.time() if created_at is None else created_at
    inputs = _input_files(owner, job_id, files, request)
    if isinstance(request, EditRequest) and request.identity is not None:
        identity = Library(services).identity(owner, request.identity)
        request = _with_identity(identity, request, own_photo="image" in files)
        if "image" not in files:  # the identity's mask fits the identity's photo only
            inputs = {**identity.inputs, **inputs}
    directives = parse_directives(request.prompt or "") if owner.test else Directives()
    try:  # check also the texts that the identity supplies: an imported one may contain anything
        if directives.refused:
            raise refused("prompt")
        _check_policy(services, request, files, consent)
    except PolicyRefused as error:
        record_refusal(services, owner, None, error)
        raise
    if directives.fails == OVERDUE:
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
        key_marker=key_marker,
        by_marker=True,
    )


def check_text(services: Services, owner: Owner, text: str, *, field: str) -> None:
    """Raise `PolicyRefused` for a text that is no part of a job, such as a person's new name."""
    try:
        services.policy.check_prompt(text, field=field)
    except PolicyRefused as error:
        record_refusal(services, owner, None, error)
        raise


def with_files(spec: JobSpec, files: Mapping[str, Upload]) -> JobSpec:
    """Return the draft with other contents of its files: those without metadata, as they will be stored."""
    return replace(spec, inputs={**spec.inputs, **_input_files(spec.owner, spec.id, files, spec.request)})


def _with_identity(identity: Identity, request: EditRequest, *, own_photo: bool) -> EditRequest:
    """Return `request` with the identity's prompt and subject as defaults, and with its pixel limit if its photo is used."""
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
        services.policy.check_prompt(_as_request(request.negative_prompt), field="negative_prompt")
    if "image" in files:
        services.policy.check_image(files["image"].data, field="image")
    learns = isinstance(request, LearningRequest) or (isinstance(request, EditRequest) and request.identity is None)
    if learns:
        check_consent(services.settings, consent)


def _as_request(negative_prompt: str) -> str:
    """Rephrase a negative prompt so that a policy for prompts can judge it: “clothes” becomes “clothes, without clothes”."""
    return ", ".join([negative_prompt, *(f"without {word}" for word in re.findall(r"\w+", negative_prompt))])


def _input_files(owner: Owner, job_id: str, files: Mapping[str, Upload], request: JobRequest) -> dict[str, InputFile]:
    modes = mask_modes(files, request)
    return {
        name: InputFile(
            key=edit_key(owner, job_id, name + EXTENSIONS.get(upload.media_type, "")),
            sha256=upload.sha256,
            size_bytes=len(upload.data),
            media_type=upload.media_type,
            mask_mode=modes.get(name, "auto"),
            mask_report=upload.mask_report,
        )
        for name, upload in files.items()
    }
