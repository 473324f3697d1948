"""What the served model knows, for pages and apps that offer it to their users."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from api.deps import PrincipalDep, ServicesDep
from api.wire.problems import responses
from api.wire.query import check_query
from s2edit_core.base_model.model_files import SHIPPED_MODEL, SHIPPED_NAME, local_path
from s2edit_core.pictures.files import PHOTO_TYPES, reads
from s2edit_core.request.domains import Domain
from s2edit_core.request.picture_limits import MAX_PIXELS, MIN_SIDE
from s2edit_core.request.spec import Phase
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.records.errors import ModelUnknown, ServiceUnavailable
from s2edit_jobs.records.vocabulary import ROOT, Vocabulary
from s2edit_jobs.stores.model_facts import facts_of

router = APIRouter(tags=["model"], dependencies=[Depends(check_query)], responses=responses(422, 429))


class ModelDomain(BaseModel):
    """One kind of subject, such as people."""

    subjects: Annotated[list[str], Field(description="The words that name a subject of this kind.", examples=[["woman", "man"]])]
    attribute_words: Annotated[
        list[str], Field(description="Words for what a prompt may change about it.", examples=[["red", "hair", "smiling"]])
    ]


class ServedModel(BaseModel):
    """The model of the service, and the limits of a request."""

    name: Annotated[str, Field(description="The name of the model, without the folders it lies in.", examples=[SHIPPED_NAME])]
    shipped: Annotated[
        bool, Field(description="Whether it is the small model of drawn people, cats and churches that comes with s2edit.")
    ]
    domains: Annotated[list[ModelDomain] | None, Field(description="What the model knows; null until a worker has reported it.")]
    phase_seconds: Annotated[
        dict[Phase, float],
        Field(description="The usual seconds of each phase of a person's first edit, by the model's card; empty if unknown."),
    ]
    user: Annotated[str, Field(description="The user that the caller acts for.", examples=["default"])]
    scopes: Annotated[list[str], Field(description="What the caller may do, for example `edits:write`.")]
    test: Annotated[bool, Field(description="Whether the caller's key is one of test mode, where no model draws the result.")]
    max_upload_bytes: Annotated[int, Field(description="The largest request body in bytes.")]
    max_pixels: Annotated[int, Field(description="The largest photo in pixels, without `max_pixels` in the request.")]
    min_side: Annotated[int, Field(description="The least width and height of a photo, in pixels.")]
    photo_types: Annotated[
        list[str], Field(description="The media types of photos that the service can read.", examples=[["image/png", "image/jpeg"]])
    ]


@router.get("/model", operation_id="getModel", summary="Get what the model knows")
def get_model(request: Request, services: ServicesDep, principal: PrincipalDep) -> ServedModel:
    """Get the model's name, its subjects and the words that it knows, for example to suggest them to a user.

    It also says what the caller may do, and which photos the service takes.
    """
    settings = services.settings
    path = local_path(settings.model, ROOT)
    vocabulary = cast(Vocabulary | None, request.app.state.vocabulary)
    return ServedModel(
        name=path.name if path else settings.model,
        shipped=path is not None and path.resolve() == (ROOT / SHIPPED_MODEL).resolve(),
        domains=_domains(services, vocabulary),
        phase_seconds=dict(vocabulary.phase_seconds) if vocabulary else {},
        user=principal.owner.user,
        scopes=sorted(principal.scopes),
        test=principal.owner.test,
        max_upload_bytes=settings.max_upload_bytes,
        max_pixels=MAX_PIXELS,
        min_side=MIN_SIDE,
        photo_types=[kind for kind in PHOTO_TYPES if reads(kind)],
    )


def _domains(services: Services, vocabulary: Vocabulary | None) -> list[ModelDomain] | None:
    """Return the domains by the model's card, if this process can read it; otherwise as a worker has reported them."""
    domains: tuple[Domain, ...]
    if vocabulary is not None:
        domains = vocabulary.domains
    else:
        try:
            domains = facts_of(services.artifacts, services.settings.model).domains
        except (ModelUnknown, ServiceUnavailable):
            return None
    return [ModelDomain(subjects=list(each.subjects), attribute_words=list(each.attribute_words)) for each in domains]
