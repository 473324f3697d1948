"""The mask of a person, found ahead of any edit: for a page or an app that shows it and lets it be corrected."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response

from api.deps import AllowanceDep, Caller, ChangesDep, JobsDep, ServicesDep, VocabularyDep, get_principal
from api.following.edit_state import HEADERS
from api.routes.edits import APPLIED, LOCATION, PREFER, accepted
from api.routes.learnings import Ahead, Key
from api.wire.concept_schemas import MaskForm
from api.wire.forms import exact_parts
from api.wire.problems import responses
from api.wire.schemas import Edit

router = APIRouter(tags=["masks"], responses=responses(422, 503))


async def exact_mask(request: Request) -> None:
    await exact_parts(request, MaskForm)


@router.post(
    "/masks",
    operation_id="createMask",
    summary="Find the person in a photo",
    status_code=202,
    responses={202: {"headers": {**HEADERS, **APPLIED, "Location": LOCATION}}, **responses(400, 409, 413, 415, 429)},
    dependencies=[Depends(get_principal), Depends(exact_mask)],
    form_limits={"max_files": 8, "max_fields": 32, "max_part_size": 16_384},
)
async def create_mask(
    form: Annotated[MaskForm, Form(media_type="multipart/form-data")],
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
    """The mask that an edit of the same photo would use. Follow the job at `Location`; once it has succeeded, `mask` links to a
    PNG, and the report says how many people were seen and how sure the choice is. Send the mask, corrected or not, with an edit.

    An edit without one finds the person by itself. A token pays for a mask as for an edit.
    """
    asking = Ahead(None, form, owner, services, jobs, vocabulary, allowance)
    return await accepted(asking, response, changes, idempotency_key, prefer)
