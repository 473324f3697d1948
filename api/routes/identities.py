"""Learned identities: learn ahead, list, look at, export, import."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response
from starlette.concurrency import run_in_threadpool

from api.deps import AllowanceDep, Caller, ChangesDep, JobsDep, LibraryDep, ServicesDep, VocabularyDep, get_principal
from api.following.edit_state import HEADERS
from api.routes.edits import APPLIED, LOCATION, PREFER, accepted
from api.routes.learnings import Ahead, Key
from api.wire.concept_schemas import Export, IdentityForm, IdentityPage, ImportForm
from api.wire.forms import exact_parts
from api.wire.pages import LINK_HEADER, Cursor, Limit, cursor_of, next_link, position_of
from api.wire.problems import responses
from api.wire.schemas import Consent, Edit, Identity, moment
from s2edit_core.errors import OptionInvalid
from s2edit_jobs.library import library as kept

router = APIRouter(tags=["identities"], responses=responses(422, 503))


async def exact_identity(request: Request) -> None:
    await exact_parts(request, IdentityForm)


async def exact_import(request: Request) -> None:
    await exact_parts(request, ImportForm)


@router.post(
    "/identities",
    operation_id="createIdentity",
    summary="Learn an identity ahead of any edit",
    status_code=202,
    responses={202: {"headers": {**HEADERS, **APPLIED, "Location": LOCATION}}, **responses(400, 409, 413, 415, 429)},
    dependencies=[Depends(get_principal), Depends(exact_identity)],
    form_limits={"max_files": 8, "max_fields": 32, "max_part_size": 16_384},
)
async def create_identity(
    form: Annotated[IdentityForm, Form(media_type="multipart/form-data")],
    response: Response,
    owner: Caller,
    services: ServicesDep,
    jobs: JobsDep,
    vocabulary: VocabularyDep,
    changes: ChangesDep,
    allowance: AllowanceDep,
    idempotency_key: Key = None,
    prefer: Annotated[str | None, PREFER] = None,
) -> Edit:
    """Follow the learning at `Location`; once it has succeeded, `identity` is the id that edits name. An edit of the same photo,
    mask and source prompt finds it by itself. Without a mask the person is found, as by an edit."""
    asking = Ahead("identity", form, owner, services, jobs, vocabulary, allowance)
    return await accepted(asking, response, changes, idempotency_key, prefer)


@router.post(
    "/identities/import",
    operation_id="importIdentity",
    summary="Bring an exported identity",
    status_code=201,
    responses={
        201: {"headers": {"Location": {"description": "The identity", "schema": {"type": "string"}}}},
        **responses(400, 409, 413, 415),
    },
    dependencies=[Depends(get_principal), Depends(exact_import)],
    form_limits={"max_files": 2, "max_fields": 8, "max_part_size": 16_384},
)
async def import_identity(
    form: Annotated[ImportForm, Form(media_type="multipart/form-data")], owner: Caller, library: LibraryDep, response: Response
) -> Identity:
    """The file must be of the very model that this service has. It holds no photo: edits with it send one.

    The same file is the same identity: consent and life of the first time stay.
    """
    if form.file is None:
        raise OptionInvalid("the part 'file' is missing: send it as a file", field="file", reason="file_missing")
    data, said = await form.file.read(), form.model_dump(exclude={"file"})
    identity = await run_in_threadpool(library.import_identity, owner, data, **said)
    response.headers["Location"] = f"/identities/{identity.id}"
    return _shown(identity)


@router.get(
    "/identities",
    operation_id="listIdentities",
    summary="List learned identities",
    responses={200: {"headers": LINK_HEADER}},
)
def list_identities(
    owner: Caller, library: LibraryDep, response: Response, limit: Limit = 20, cursor: Cursor = None
) -> IdentityPage:
    """In the order of their ids."""
    page = library.identities(owner, after=position_of(cursor, "c_"), limit=limit)
    following = cursor_of(page.last)
    response.headers.update(next_link("/identities", following, limit=limit))
    return IdentityPage(items=[_shown(identity) for identity in page.items], next_cursor=following)


@router.get("/identities/{identity_id}", operation_id="getIdentity", summary="See a learned identity", responses=responses(404))
def get_identity(identity_id: str, owner: Caller, library: LibraryDep) -> Identity:
    """What it was learned with: later edits that name it may leave out photo, mask, source prompt and subject."""
    return _shown(library.identity(owner, identity_id))


@router.get(
    "/identities/{identity_id}/export",
    operation_id="exportIdentity",
    summary="Get an identity as a file",
    responses=responses(404),
)
def export_identity(identity_id: str, owner: Caller, library: LibraryDep, services: ServicesDep) -> Export:
    """A link to what was learned, as one safetensors file that names its model, prompt and subject. The photo is not in it."""
    identity, exported = library.identity(owner, identity_id), library.exported(owner, identity_id)
    expires_s = services.settings.result_url_ttl_s
    return Export(
        identity=identity.id,
        url=services.artifacts.presigned_get(exported.key, expires_s=expires_s, filename=f"{identity.id}.safetensors"),
        expires_at=moment(time.time() // 1 + expires_s),
        sha256=exported.sha256,
        size_bytes=exported.size_bytes,
        source_prompt=identity.source_prompt,
        subject=identity.subject,
    )


def _shown(identity: kept.Identity) -> Identity:
    consent = identity.consent
    return Identity(
        id=identity.id,
        source_prompt=identity.source_prompt,
        subject=identity.subject,
        created_at=moment(identity.created_at),
        expires_at=None if identity.expires_at is None else moment(identity.expires_at),
        consent=None if consent is None else Consent(statement=consent.statement, given_at=moment(consent.given_at)),
        has_photo=bool(identity.inputs),
    )
