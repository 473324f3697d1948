"""Learned attributes, such as a makeup or a hat, that edits can apply to any identity."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response

from api.deps import Caller, LibraryDep, PrincipalDep, ServicesDep, SlowCallsDep, get_principal
from api.following.long_polls import PREFER
from api.routes.submissions import ACCEPTED, FORM_LIMITS, IdempotencyKey, LearningSubmission, or_json, respond
from api.wire.bodies.strict_forms import FormRoute
from api.wire.bodies.strict_json import StrictRoute
from api.wire.concept_schemas import Attribute, AttributeChange, AttributeDocument, AttributeForm, AttributePage
from api.wire.edit_answers import Edit
from api.wire.forms import parts_of
from api.wire.pages import LINK_HEADER, Cursor, Limit, cursor_of, next_link, position_of
from api.wire.problems import responses
from s2edit_jobs.intake.drafts import check_text

router = APIRouter(route_class=FormRoute, tags=["attributes"], responses=responses(422, 503))
changes = APIRouter(tags=["attributes"], responses=responses(422, 503), route_class=StrictRoute)
"""Routes that take JSON."""


@router.post(
    "/attributes",
    operation_id="createAttribute",
    summary="Learn an attribute",
    status_code=202,
    responses=ACCEPTED,
    dependencies=[Depends(get_principal), Depends(parts_of(AttributeForm))],
    openapi_extra=or_json(AttributeDocument),
    form_limits=FORM_LIMITS,
)
async def create_attribute(
    form: Annotated[AttributeForm, Form(media_type="multipart/form-data")],
    request: Request,
    response: Response,
    principal: PrincipalDep,
    idempotency_key: IdempotencyKey = None,
    prefer: Annotated[str | None, PREFER] = None,
) -> Edit:
    """Learn an attribute from a reference photo of any person. Edits apply it inside their edit mask, whoever is in the photo.

    Poll or stream the job at `Location`. Once it has succeeded, `attribute` is the id that edits name.

    The JSON variant names pictures by the ids of uploads, see `POST /uploads`.
    """
    return await respond(LearningSubmission(request, principal, form, idempotency_key), response, prefer)


@router.get(
    "/attributes",
    operation_id="listAttributes",
    summary="List attributes",
    responses={200: {"headers": LINK_HEADER}},
)
async def list_attributes(
    owner: Caller, library: LibraryDep, slow: SlowCallsDep, response: Response, limit: Limit = 20, cursor: Cursor = None
) -> AttributePage:
    """Attributes come in the order of their ids."""
    page = await slow.run(lambda: library.attributes(owner, after=position_of(cursor, "a_"), limit=limit))
    next_cursor = cursor_of(page.last)
    response.headers.update(next_link("/attributes", next_cursor, limit=limit))
    return AttributePage(items=[Attribute.of(attribute) for attribute in page.items], next_cursor=next_cursor)


@router.get("/attributes/{attribute_id}", operation_id="getAttribute", summary="Get an attribute", responses=responses(404))
def get_attribute(attribute_id: str, owner: Caller, library: LibraryDep) -> Attribute:
    """Get the placeholder by which prompts name the attribute, and the prompt that it was learned with."""
    return Attribute.of(library.attribute(owner, attribute_id))


@changes.patch(
    "/attributes/{attribute_id}",
    operation_id="renameAttribute",
    summary="Rename an attribute",
    responses=responses(400, 404, 409, 413, 415),
)
def rename_attribute(
    attribute_id: str, body: AttributeChange, owner: Caller, library: LibraryDep, services: ServicesDep
) -> Attribute:
    """Change the name for people. Prompts name the attribute by its placeholder, which stays."""
    if body.name:
        check_text(services, owner, body.name, field="name")
    return Attribute.of(library.rename_attribute(owner, attribute_id, body.name))


router.include_router(changes)
