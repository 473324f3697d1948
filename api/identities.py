"""Learned identities, as far as an app needs to know them."""

from __future__ import annotations

from fastapi import APIRouter

from api.deps import Caller, JobsDep
from api.problems import responses
from api.schemas import Consent, Identity, moment

router = APIRouter(tags=["identities"])


@router.get(
    "/identities/{identity_id}",
    operation_id="getIdentity",
    summary="See a learned identity",
    responses=responses(404, 422, 503),
)
def get_identity(identity_id: str, owner: Caller, jobs: JobsDep) -> Identity:
    """What it was learned with: later edits that name it may leave out photo, mask, source prompt and subject."""
    identity = jobs.identity(owner, identity_id)
    consent = identity.consent
    return Identity(
        id=identity.id,
        source_prompt=identity.source_prompt,
        subject=identity.subject,
        created_at=moment(identity.created_at),
        expires_at=None if identity.expires_at is None else moment(identity.expires_at),
        consent=None if consent is None else Consent(statement=consent.statement, given_at=moment(consent.given_at)),
    )
