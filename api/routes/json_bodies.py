"""The routes that accept a job, as JSON with uploads instead of files. The routes of the forms describe both in OpenAPI."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response
from starlette.datastructures import Headers
from starlette.routing import Match
from starlette.types import Scope

from api.deps import PrincipalDep
from api.following.long_polls import PREFER
from api.routes.edit_submissions import EditSubmission
from api.routes.edits import create
from api.routes.submissions import IdempotencyKey, LearningSubmission, respond
from api.wire.bodies.strict_json import StrictRoute
from api.wire.concept_schemas import AttributeDocument, IdentityDocument, MaskDocument
from api.wire.edit_answers import Edit
from api.wire.edit_requests import EditDocument


class JsonRoute(StrictRoute):
    """A route that matches only JSON bodies. Others fall through to the next route of the same path."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        content_type = Headers(scope=scope).get("content-type", "").partition(";")[0].strip().lower()
        return super().matches(scope) if content_type == "application/json" else (Match.NONE, {})


router = APIRouter(route_class=JsonRoute, include_in_schema=False)


@router.post("/edits", operation_id="createEditOfUploads", status_code=202, response_model=Edit)
async def create_edit(
    document: Annotated[EditDocument, Body()],
    request: Request,
    response: Response,
    principal: PrincipalDep,
    idempotency_key: IdempotencyKey = None,
    prefer: Annotated[str | None, PREFER] = None,
) -> Edit | Response:
    """Create an edit of uploaded pictures."""
    return await create(EditSubmission(request, principal, document, idempotency_key), response, prefer)


@router.post("/identities", operation_id="createIdentityOfUploads", status_code=202)
async def create_identity(
    document: Annotated[IdentityDocument, Body()],
    request: Request,
    response: Response,
    principal: PrincipalDep,
    idempotency_key: IdempotencyKey = None,
    prefer: Annotated[str | None, PREFER] = None,
) -> Edit:
    """Learn a person from uploaded pictures."""
    return await respond(LearningSubmission(request, principal, document, idempotency_key), response, prefer)


@router.post("/attributes", operation_id="createAttributeOfUploads", status_code=202)
async def create_attribute(
    document: Annotated[AttributeDocument, Body()],
    request: Request,
    response: Response,
    principal: PrincipalDep,
    idempotency_key: IdempotencyKey = None,
    prefer: Annotated[str | None, PREFER] = None,
) -> Edit:
    """Learn an attribute from uploaded pictures."""
    return await respond(LearningSubmission(request, principal, document, idempotency_key), response, prefer)


@router.post("/masks", operation_id="createMaskOfUpload", status_code=202)
async def create_mask(
    document: Annotated[MaskDocument, Body()],
    request: Request,
    response: Response,
    principal: PrincipalDep,
    idempotency_key: IdempotencyKey = None,
    prefer: Annotated[str | None, PREFER] = None,
) -> Edit:
    """Find the person in an uploaded photo."""
    return await respond(LearningSubmission(request, principal, document, idempotency_key), response, prefer)
