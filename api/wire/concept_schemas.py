"""The request and response schemas of identities, attributes and masks."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import UploadFile
from pydantic import BaseModel, ConfigDict, Field

from api.wire.edit_answers import Link
from api.wire.fields import (
    NUMBER,
    PHOTO_FORMATS,
    SHORTEST_S,
    WHOLE,
    Id,
    IdentityTtl,
    MaxPixels,
    Name,
    Pixel,
    PixelPair,
    Statement,
    drop_null_types,
)
from s2edit_core.request.presets import PresetName
from s2edit_core.request.spec import MAX_SEED, MaskMode
from s2edit_jobs.library import concepts
from s2edit_jobs.records.record import to_datetime


class PhotoPart(BaseModel):
    """What all forms of jobs without a result share."""

    model_config = ConfigDict(json_schema_extra=drop_null_types)

    image: Annotated[UploadFile | None, Field(description=f"The photo (required): {PHOTO_FORMATS}.")] = None


class PhotoId(BaseModel):
    """What all JSON bodies of jobs without a result share."""

    model_config = ConfigDict(strict=True)  # a form has only text, JSON has numbers

    image: Annotated[Id | None, Field(description="The id of the photo's upload (required).")] = None


class JobOptions(BaseModel):
    """What all jobs without a result take besides the pictures. Unknown fields are rejected."""

    model_config = ConfigDict(extra="forbid")

    max_pixels: MaxPixels = None
    deadline_s: Annotated[
        float | None,
        Field(
            ge=SHORTEST_S,
            le=604_800,
            description="Seconds from now until the job must be done, 0.001 to 604,800 (a week). After that it fails with "
            "`deadline_exceeded`.",
            examples=[600],
        ),
        NUMBER,
    ] = None
    webhook_url: Annotated[
        Statement | None,
        Field(
            description="An https:// URL that receives a webhook when the job is over, at least once. The format is that of "
            "Standard Webhooks. At most 2,000 characters.",
            examples=["https://app.example.com/hooks/s2edit"],
        ),
    ] = None


class MaskOptions(JobOptions):
    """Everything in `POST /masks` except the picture and the pixel."""

    prompt: Annotated[
        str | None,
        Field(
            description="A description of the photo, like an edit's `source_prompt`. Some segmenters use it to find the person.",
            examples=["a photo of a woman with black hair"],
        ),
    ] = None


class MaskForm(MaskOptions, PhotoPart):
    """`POST /masks` as a form; the photo is a file."""

    at: Pixel = None


class MaskDocument(MaskOptions, PhotoId):
    """`POST /masks` as JSON; the photo is the id of an upload. A null field counts as absent."""

    at: PixelPair = None


class ConceptOptions(JobOptions):
    """What identities and attributes share."""

    preset: Annotated[
        PresetName | None,
        Field(
            description="`balanced` (default), `instant` (fewer steps) or `paper` (as published, slow).",
            examples=["balanced"],
        ),
    ] = None
    seed: Annotated[
        int | None, Field(ge=0, le=MAX_SEED, description="The random seed, 0 to 2⁶³ − 1; default 0.", examples=[0]), WHOLE
    ] = None
    mask_mode: Annotated[
        MaskMode | None,
        Field(
            description="How `mask` marks its region: `luminance` (white), `alpha` (painted on transparent), `inverted_alpha` "
            "(transparent) or `auto` (default: white or painted; an ambiguous mask is rejected). All but `auto` need a mask.",
            examples=["auto"],
        ),
    ] = None
    consent: Annotated[
        Statement | None,
        Field(
            description="Your statement that the person in the photo agrees to its use. It is stored with the request and with a "
            "learned identity, unless it has a statement already.",
            examples=["Ada Example agreed in the app on 24 November 2026"],
        ),
    ] = None


class IdentityOptions(ConceptOptions):
    """Everything in `POST /identities` except the pictures and the pixel."""

    prompt: Annotated[
        str,
        Field(
            description="A description of the photo, like an edit's `source_prompt`.",
            examples=["a photo of a woman with black hair"],
        ),
    ]
    subject: Annotated[
        str | None,
        Field(
            description="The one to four words in the prompt that name the person. Default: the service looks for them.",
            examples=["woman"],
        ),
    ] = None
    name: Annotated[
        Name | None,
        Field(
            description="A name for people, of 1 to 100 characters. If the person is learned already, it is stored where there was "
            "no name yet; `PATCH /identities/{identity_id}` changes it.",
            examples=["Ada"],
        ),
    ] = None
    identity_ttl_s: IdentityTtl = None


class IdentityForm(IdentityOptions, PhotoPart):
    """`POST /identities` as a form; pictures are files."""

    mask: Annotated[
        UploadFile | None,
        Field(description="The person's region, white on black, as large as the photo. Default: the service finds the person."),
    ] = None
    at: Pixel = None


class IdentityDocument(IdentityOptions, PhotoId):
    """`POST /identities` as JSON; pictures are the ids of uploads. A null field counts as absent."""

    mask: Annotated[
        Id | None,
        Field(
            description="The id of the upload with the person's region, white on black, as large as the photo. Default: the "
            "service finds the person."
        ),
    ] = None
    at: PixelPair = None


class AttributeOptions(ConceptOptions):
    """Everything in `POST /attributes` except the pictures."""

    prompt: Annotated[
        str,
        Field(
            description="A description of the photo with a placeholder before the word for the attribute: a capital letter in "
            "brackets, then letters or digits, such as `[A]` or `[Makeup]`. `[I]` is reserved for identities.",
            examples=["a woman with [A] makeup"],
        ),
    ]
    subject: Annotated[
        str | None,
        Field(
            description="The one to four words after the placeholder that name the attribute. Default: the first one. So `[A] eye "
            "shadow` needs `eye shadow` here.",
            examples=["makeup"],
        ),
    ] = None
    name: Annotated[
        Name | None,
        Field(
            description="A name for people, of 1 to 100 characters. If the attribute is learned already, it is stored where there "
            "was no name yet; `PATCH /attributes/{attribute_id}` changes it.",
            examples=["Evening"],
        ),
    ] = None


class AttributeForm(AttributeOptions, PhotoPart):
    """`POST /attributes` as a form; pictures are files."""

    mask: Annotated[
        UploadFile | None,
        Field(
            description="The region of the attribute (required, because the service can't find it), white on black, as large as "
            "the photo."
        ),
    ] = None


class AttributeDocument(AttributeOptions, PhotoId):
    """`POST /attributes` as JSON; pictures are the ids of uploads. A null field counts as absent."""

    mask: Annotated[
        Id | None,
        Field(
            description="The id of the upload with the region of the attribute (required, because the service can't find it), "
            "white on black, as large as the photo."
        ),
    ] = None


class ImportForm(BaseModel):
    """`POST /identities/import` as a form."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=drop_null_types)

    file: Annotated[
        UploadFile | None, Field(description="A safetensors file from `GET /identities/{identity_id}/export` (required).")
    ] = None
    consent: Annotated[
        Statement | None,
        Field(
            description="Your statement that the person agrees to this use of the identity. It is stored with the identity.",
            examples=["Ada Example agreed in the app on 24 November 2026"],
        ),
    ] = None
    identity_ttl_s: IdentityTtl = None


class NameChange(BaseModel):
    """What changes a name for people."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[
        Name | None, Field(description="The new name for people, of 1 to 100 characters; null removes it.", examples=["Ada"])
    ]


class IdentityChange(NameChange):
    """What `PATCH /identities/{identity_id}` changes."""


class AttributeChange(NameChange):
    """What `PATCH /attributes/{attribute_id}` changes."""


class Consent(BaseModel):
    """The statement of consent that came with an identity."""

    statement: Annotated[str, Field(description="The statement, as it was sent.")]
    given_at: Annotated[datetime, Field(description="When the service received the statement.")]


class Identity(BaseModel):
    """A person, learned from one photo, mask and prompt."""

    id: Annotated[str, Field(description="The id that edits name as `identity`.")]
    name: Annotated[str | None, Field(description="The name for people, if one was given.", examples=["Ada"])] = None
    source_prompt: Annotated[
        str | None, Field(description="The description of the photo that it was learned with.", examples=["a photo of a [I] woman"])
    ]
    subject: Annotated[str | None, Field(description="The words of the prompt that name the person.", examples=["woman"])]
    created_at: Annotated[datetime, Field(description="When the identity was learned or imported.")]
    expires_at: Annotated[
        datetime | None, Field(description="When the service erases the identity; null if it never does so by itself.")
    ] = None
    consent: Annotated[Consent | None, Field(description="The statement of the person's consent; null if none was sent.")] = None
    has_photo: Annotated[
        bool, Field(description="Whether the photo is stored with it. Without one, as after an import, each edit sends a photo.")
    ] = True
    photo: Annotated[
        Link | None, Field(description="The photo that it was learned with, to show it; null if none is stored with it.")
    ] = None

    @classmethod
    def of(cls, identity: concepts.Identity, *, expires_at: float | None, photo: Link | None = None) -> Identity:
        """Build the response for a stored identity, which is erased at `expires_at`."""
        consent = identity.consent
        return cls(
            id=identity.id,
            name=identity.name,
            source_prompt=identity.source_prompt,
            subject=identity.subject,
            created_at=to_datetime(identity.created_at),
            expires_at=None if expires_at is None else to_datetime(expires_at),
            consent=None if consent is None else Consent(statement=consent.statement, given_at=to_datetime(consent.given_at)),
            has_photo=bool(identity.inputs),
            photo=photo,
        )


class Attribute(BaseModel):
    """A learned attribute. Edits name it in `attributes` and write its `placeholder` in their prompt."""

    id: Annotated[str, Field(description="The id that edits name in `attributes`.")]
    name: Annotated[str | None, Field(description="The name for people, if one was given.", examples=["Evening"])]
    placeholder: Annotated[str, Field(description="The placeholder that stands for it in prompts.", examples=["[A]"])]
    subject: Annotated[str, Field(description="The word after the placeholder.", examples=["makeup"])]
    prompt: Annotated[str, Field(description="The prompt that it was learned with.", examples=["a woman with [A] makeup"])]
    created_at: Annotated[datetime, Field(description="When the attribute was learned.")]

    @classmethod
    def of(cls, attribute: concepts.Attribute) -> Attribute:
        """Build the response for a stored attribute."""
        return cls(
            id=attribute.id,
            name=attribute.name,
            placeholder=attribute.placeholder,
            subject=attribute.subject,
            prompt=attribute.prompt,
            created_at=to_datetime(attribute.created_at),
        )


class Export(Link):
    """A signed URL of an identity's file, for another service with the same model."""

    identity: Annotated[str, Field(description="The id of the identity.")]
    format: Annotated[Literal["safetensors"], Field(description="The format of the file.")] = "safetensors"
    sha256: Annotated[str, Field(description="The SHA-256 digest of the file, in hexadecimal.")]
    size_bytes: Annotated[int, Field(description="The size of the file.")]
    source_prompt: Annotated[str | None, Field(description="The description of the photo that the identity was learned with.")]
    subject: Annotated[str | None, Field(description="The words of the prompt that name the person.")]


class AttributePage(BaseModel):
    """One page of a list of attributes."""

    items: Annotated[list[Attribute], Field(description="The attributes of this page, in the order of their ids.")]
    next_cursor: Annotated[str | None, Field(description="The `cursor` of the next page; null on the last page.")]


class IdentityPage(BaseModel):
    """One page of a list of identities."""

    items: Annotated[list[Identity], Field(description="The identities of this page, in the order of their ids.")]
    next_cursor: Annotated[str | None, Field(description="The `cursor` of the next page; null on the last page.")]
