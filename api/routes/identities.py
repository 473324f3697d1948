"""Learn identities before any edit, list, get, export and import them."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response
from starlette.concurrency import run_in_threadpool

from api.deps import Caller, LibraryDep, PrincipalDep, ServicesDep, SlowCallsDep, get_principal
from api.following.edit_state import signed_link
from api.following.long_polls import PREFER
from api.routes.submissions import ACCEPTED, FORM_LIMITS, IdempotencyKey, LearningSubmission, or_json, respond
from api.wire.bodies.strict_forms import FormRoute
from api.wire.bodies.strict_json import StrictRoute
from api.wire.concept_schemas import Export, Identity, IdentityChange, IdentityDocument, IdentityForm, IdentityPage, ImportForm
from api.wire.edit_answers import Edit
from api.wire.forms import parts_of
from api.wire.pages import LINK_HEADER, Cursor, Limit, cursor_of, next_link, position_of
from api.wire.problems import responses
from s2edit_core.errors import OptionInvalid
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.intake.drafts import check_text
from s2edit_jobs.library import concepts as stored

router = APIRouter(route_class=FormRoute, tags=["identities"], responses=responses(422, 503))
changes = APIRouter(tags=["identities"], responses=responses(422, 503), route_class=StrictRoute)
"""Routes that take JSON."""


@router.post(
    "/identities",
    operation_id="createIdentity",
    summary="Learn an identity",
    status_code=202,
    responses=ACCEPTED,
    dependencies=[Depends(get_principal), Depends(parts_of(IdentityForm))],
    openapi_extra=or_json(IdentityDocument),
    form_limits=FORM_LIMITS,
)
async def create_identity(
    form: Annotated[IdentityForm, Form(media_type="multipart/form-data")],
    request: Request,
    response: Response,
    principal: PrincipalDep,
    idempotency_key: IdempotencyKey = None,
    prefer: Annotated[str | None, PREFER] = None,
) -> Edit:
    """Learn a person before any edit. An edit of the same photo, mask and source prompt then uses the identity by itself.

    Poll or stream the job at `Location`. Once it has succeeded, `identity` is the id that edits name. Without a mask the service
    finds the person, as for an edit.

    The JSON variant names pictures by the ids of uploads, see `POST /uploads`.
    """
    return await respond(LearningSubmission(request, principal, form, idempotency_key), response, prefer)


@router.post(
    "/identities/import",
    operation_id="importIdentity",
    summary="Import an identity",
    status_code=201,
    responses={
        201: {"headers": {"Location": {"description": "The path of the identity.", "schema": {"type": "string"}}}},
        **responses(400, 409, 413, 415),
    },
    dependencies=[Depends(get_principal), Depends(parts_of(ImportForm))],
    form_limits={"max_files": 2, "max_fields": 8, "max_part_size": 16_384},
)
async def import_identity(
    form: Annotated[ImportForm, Form(media_type="multipart/form-data")],
    owner: Caller,
    library: LibraryDep,
    services: ServicesDep,
    response: Response,
) -> Identity:
    """Import the file of an export from a service with the same model. The file has no photo, so each edit must send one.

    Importing the same file again returns the same identity, with the consent and the expiry of the first import.
    """
    if form.file is None:
        raise OptionInvalid("the part 'file' is missing: send the exported file", field="file", reason="file_missing")
    data, options = await form.file.read(), form.model_dump(exclude={"file"})
    identity = await run_in_threadpool(library.import_identity, owner, data, **options)
    response.headers["Location"] = f"/identities/{identity.id}"
    return Identity.of(identity, expires_at=stored.identity_expires_at(services.settings, identity))


@router.get(
    "/identities",
    operation_id="listIdentities",
    summary="List identities",
    responses={200: {"headers": LINK_HEADER}},
)
async def list_identities(
    owner: Caller,
    services: ServicesDep,
    library: LibraryDep,
    slow: SlowCallsDep,
    response: Response,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> IdentityPage:
    """Identities come in the order of their ids."""
    page = await slow.run(lambda: library.identities(owner, after=position_of(cursor, "c_"), limit=limit))
    next_cursor = cursor_of(page.last)
    response.headers.update(next_link("/identities", next_cursor, limit=limit))
    return IdentityPage(items=[_present(services, identity) for identity in page.items], next_cursor=next_cursor)


@router.get("/identities/{identity_id}", operation_id="getIdentity", summary="Get an identity", responses=responses(404))
def get_identity(identity_id: str, owner: Caller, library: LibraryDep, services: ServicesDep) -> Identity:
    """Get what the identity was learned with. Edits that name it can leave out photo, mask, source prompt and subject."""
    return _present(services, library.identity(owner, identity_id))


@changes.patch(
    "/identities/{identity_id}",
    operation_id="renameIdentity",
    summary="Rename an identity",
    responses=responses(400, 404, 409, 413, 415),
)
def rename_identity(identity_id: str, body: IdentityChange, owner: Caller, library: LibraryDep, services: ServicesDep) -> Identity:
    """Change the name for people. Identities that an edit has learned have none at first."""
    if body.name:
        check_text(services, owner, body.name, field="name")
    return _present(services, library.rename_identity(owner, identity_id, body.name))


@router.get(
    "/identities/{identity_id}/export",
    operation_id="exportIdentity",
    summary="Export an identity",
    responses=responses(404),
)
def export_identity(identity_id: str, owner: Caller, library: LibraryDep, services: ServicesDep) -> Export:
    """Get a link to one safetensors file with the learned identity, its model, prompt and subject, but without the photo."""
    identity, exported = library.identity(owner, identity_id), library.exported(owner, identity_id)
    link = signed_link(services, exported.key, f"{identity.id}.safetensors")
    return Export(
        identity=identity.id,
        url=link.url,
        expires_at=link.expires_at,
        sha256=exported.sha256,
        size_bytes=exported.size_bytes,
        source_prompt=identity.source_prompt,
        subject=identity.subject,
    )


def _present(services: Services, identity: stored.Identity) -> Identity:
    photo, expires_at = identity.inputs.get("image"), stored.identity_expires_at(services.settings, identity)
    if photo is None:
        return Identity.of(identity, expires_at=expires_at)
    name = identity.id + PurePosixPath(photo.key).suffix
    return Identity.of(identity, expires_at=expires_at, photo=signed_link(services, photo.key, name, kept_until=expires_at))


router.include_router(changes)
