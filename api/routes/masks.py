"""Find the person in a photo before any edit, so that an app can show and correct the mask."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response

from api.deps import PrincipalDep, get_principal
from api.following.long_polls import PREFER
from api.routes.submissions import ACCEPTED, FORM_LIMITS, IdempotencyKey, LearningSubmission, or_json, respond
from api.wire.bodies.strict_forms import FormRoute
from api.wire.concept_schemas import MaskDocument, MaskForm
from api.wire.edit_answers import Edit
from api.wire.forms import parts_of
from api.wire.problems import responses

router = APIRouter(route_class=FormRoute, tags=["masks"], responses=responses(422, 503))


@router.post(
    "/masks",
    operation_id="createMask",
    summary="Find the person in a photo",
    status_code=202,
    responses=ACCEPTED,
    dependencies=[Depends(get_principal), Depends(parts_of(MaskForm))],
    openapi_extra=or_json(MaskDocument),
    form_limits=FORM_LIMITS,
)
async def create_mask(
    form: Annotated[MaskForm, Form(media_type="multipart/form-data")],
    request: Request,
    response: Response,
    principal: PrincipalDep,
    idempotency_key: IdempotencyKey = None,
    prefer: Annotated[str | None, PREFER] = None,
) -> Edit:
    """Find the mask that an edit of the same photo would use, for example to correct it and send it with the edit.

    Poll or stream the job at `Location`. Once it has succeeded, `mask` links to a PNG, and the report says how many people were
    found and how certain the choice is. An edit without a mask does this by itself. A device token pays for a mask as for an edit.

    The JSON variant names the photo by the id of an upload, see `POST /uploads`.
    """
    return await respond(LearningSubmission(request, principal, form, idempotency_key), response, prefer)
