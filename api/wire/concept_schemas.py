"""The wire of identities, attributes and masks, and of lists."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import UploadFile
from pydantic import BaseModel, ConfigDict, Field

from api.wire.schemas import PHOTO, Edit, Identity, Link, MaxPixels, Pixel, moment, never_null
from s2edit_core.request.spec import MaskMode, PresetName
from s2edit_jobs.library.library import Attribute as LearnedAttribute

MAX_NAME = 100
IdentityLife = Annotated[
    float | None, Field(gt=0, le=315_360_000, description="Seconds after which the identity is erased", examples=[2_592_000])
]


class AheadForm(BaseModel):
    """What every job takes that ends without a picture. Whatever is not named here is refused."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=never_null)

    image: Annotated[UploadFile | None, Field(description=f"The photo: {PHOTO}")] = None
    max_pixels: MaxPixels = None
    deadline_s: Annotated[
        float | None, Field(gt=0, le=604_800, description="Seconds from now after which it is no longer wanted", examples=[600])
    ] = None
    webhook_url: Annotated[
        str | None,
        Field(
            max_length=2000,
            description="https:// address that is told when the job is over, as of an edit",
            examples=["https://app.example.com/hooks/s2edit"],
        ),
    ] = None


class MaskForm(AheadForm):
    """The parts of `POST /masks`."""

    prompt: Annotated[
        str | None,
        Field(
            description="What the photo shows: an edit's `source_prompt`. Some ways to find a person go by it",
            examples=["a photo of a woman with black hair"],
        ),
    ] = None
    at: Pixel = None


class LearningForm(AheadForm):
    """What every learning takes."""

    mask: Annotated[UploadFile | None, Field(description="Where it is seen: white inside, black outside, of the photo's frame")] = (
        None
    )
    preset: Annotated[PresetName | None, Field(description="As of an edit; default `balanced`", examples=["balanced"])] = None
    seed: Annotated[int | None, Field(description="0 to 2⁶³ − 1; default 0", examples=[0])] = None
    mask_mode: Annotated[
        MaskMode | None, Field(description="How `mask` marks the region, as of an edit; default `auto`", examples=["auto"])
    ] = None
    consent: Annotated[
        str | None,
        Field(
            max_length=2000,
            description="That the person in the photo agrees to its use, in your words; kept with the request and with an identity",
            examples=["Ada Example agreed in the app on 24 November 2026"],
        ),
    ] = None


class IdentityForm(LearningForm):
    """The parts of `POST /identities`: a person, learned ahead of any edit."""

    mask: Annotated[
        UploadFile | None,
        Field(description="The person's region: white inside, black outside, of the photo's frame. Left out: the person is found"),
    ] = None
    at: Pixel = None
    prompt: Annotated[
        str, Field(description="What the photo shows: an edit's `source_prompt`", examples=["a photo of a woman with black hair"])
    ]
    subject: Annotated[
        str | None,
        Field(description="The word of the prompt that names the person. Left out: searched for", examples=["woman"]),
    ] = None
    identity_ttl_s: IdentityLife = None


class AttributeForm(LearningForm):
    """The parts of `POST /attributes`: a makeup, a hat, a hairstyle that any identity may wear. Nobody but you knows where it is in
    the photo, so `mask` is needed."""

    prompt: Annotated[
        str,
        Field(
            description="What the photo shows, with a placeholder before the word for the attribute. It is a capital in brackets, "
            "then letters or digits: `[A]`, `[Makeup]`; `[I]` names identities",
            examples=["a woman with [A] makeup"],
        ),
    ]
    name: Annotated[
        str | None,
        Field(min_length=1, max_length=MAX_NAME, description="For people; that of the first learning stays", examples=["Evening"]),
    ] = None


class ImportForm(BaseModel):
    """The parts of `POST /identities/import`."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=never_null)

    file: Annotated[UploadFile | None, Field(description="A file that an export has given: safetensors, nothing else")] = None
    consent: Annotated[
        str | None,
        Field(
            max_length=2000,
            description="That the person agrees to this use of the identity, in your words; kept with it",
            examples=["Ada Example agreed in the app on 24 November 2026"],
        ),
    ] = None
    identity_ttl_s: IdentityLife = None


class Attribute(BaseModel):
    """What may be put on anybody: edits name it in `attributes` and write its `placeholder` in their prompt."""

    id: str
    name: Annotated[str | None, Field(examples=["Evening"])]
    placeholder: Annotated[str, Field(examples=["[A]"])]
    subject: Annotated[str, Field(description="The word that stands after the placeholder", examples=["makeup"])]
    prompt: Annotated[str, Field(description="What it was learned with", examples=["a woman with [A] makeup"])]
    created_at: datetime

    @classmethod
    def of(cls, attribute: LearnedAttribute) -> Attribute:
        return cls(
            id=attribute.id,
            name=attribute.name,
            placeholder=attribute.placeholder,
            subject=attribute.subject,
            prompt=attribute.prompt,
            created_at=moment(attribute.created_at),
        )


class Export(Link):
    """The identity's file, for another service that has the same model. `sha256` is of its bytes, in hexadecimal."""

    identity: str
    format: Literal["safetensors"] = "safetensors"
    sha256: str
    size_bytes: int
    source_prompt: str | None
    subject: str | None


class AttributePage(BaseModel):
    """`next_cursor` is null where the list has ended."""

    items: list[Attribute]
    next_cursor: str | None


class IdentityPage(BaseModel):
    """`next_cursor` is null where the list has ended."""

    items: list[Identity]
    next_cursor: str | None


class EditPage(BaseModel):
    """`next_cursor` is null where the list has ended."""

    items: list[Edit]
    next_cursor: str | None
