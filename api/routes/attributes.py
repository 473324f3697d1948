"""Learned attributes: what may be put on anybody."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response

from api.deps import AllowanceDep, Caller, ChangesDep, JobsDep, LibraryDep, ServicesDep, VocabularyDep, get_principal
from api.following.edit_state import HEADERS
from api.routes.edits import APPLIED, LOCATION, PREFER, accepted
from api.routes.learnings import Ahead, Key
from api.wire.concept_schemas import Attribute, AttributeForm, AttributePage
from api.wire.forms import exact_parts
from api.wire.pages import LINK_HEADER, Cursor, Limit, cursor_of, next_link, position_of
from api.wire.problems import responses
from api.wire.schemas import Edit

router = APIRouter(tags=["attributes"], responses=responses(422, 503))


async def exact_attribute(request: Request) -> None:
    await exact_parts(request, AttributeForm)


@router.post(
    "/attributes",
    operation_id="createAttribute",
    summary="Learn an attribute",
    status_code=202,
    responses={202: {"headers": {**HEADERS, **APPLIED, "Location": LOCATION}}, **responses(400, 409, 413, 415, 429)},
    dependencies=[Depends(get_principal), Depends(exact_attribute)],
    form_limits={"max_files": 8, "max_fields": 32, "max_part_size": 16_384},
)
async def create_attribute(
    form: Annotated[AttributeForm, Form(media_type="multipart/form-data")],
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
    """From a reference photo of anybody. Follow the learning at `Location`; once it has succeeded, `attribute` is the id that
    edits name. It acts where an edit may change its photo, whoever is in that."""
    asking = Ahead("attribute", form, owner, services, jobs, vocabulary, allowance)
    return await accepted(asking, response, changes, idempotency_key, prefer)


@router.get(
    "/attributes",
    operation_id="listAttributes",
    summary="List learned attributes",
    responses={200: {"headers": LINK_HEADER}},
)
def list_attributes(
    owner: Caller, library: LibraryDep, response: Response, limit: Limit = 20, cursor: Cursor = None
) -> AttributePage:
    """In the order of their ids."""
    page = library.attributes(owner, after=position_of(cursor, "a_"), limit=limit)
    following = cursor_of(page.last)
    response.headers.update(next_link("/attributes", following, limit=limit))
    return AttributePage(items=[Attribute.of(attribute) for attribute in page.items], next_cursor=following)


@router.get("/attributes/{attribute_id}", operation_id="getAttribute", summary="See a learned attribute", responses=responses(404))
def get_attribute(attribute_id: str, owner: Caller, library: LibraryDep) -> Attribute:
    """How edits write it, and what it was learned with."""
    return Attribute.of(library.attribute(owner, attribute_id))
