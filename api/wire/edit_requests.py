"""The request schemas of `POST /edits`, as a form and as JSON."""

from __future__ import annotations

from typing import Annotated

from fastapi import UploadFile
from pydantic import BaseModel, ConfigDict, Field

from api.wire.fields import (
    NUMBER,
    PHOTO_FORMATS,
    SHORTEST_S,
    WHOLE,
    Id,
    IdentityTtl,
    Ids,
    MaxPixels,
    Pixel,
    PixelPair,
    Statement,
    drop_null_types,
)
from s2edit_core.request.presets import MAX_GUIDANCE, MAX_STEPS, MIN_GUIDANCE, MIN_STEPS, PresetName
from s2edit_core.request.spec import MAX_SEED, MAX_VARIANTS, MaskMode, OutputFormat

DEFAULT_EDIT_MASK = "Default: the mask, slightly enlarged; the whole photo where edits change the scene, as with churches."


class EditOptions(BaseModel):
    """Everything in `POST /edits` except the pictures. Unknown fields are rejected."""

    model_config = ConfigDict(extra="forbid")

    prompt: Annotated[
        str,
        Field(
            description="A description of the edited picture, in English. Instructions (“make her hair blond”) are rejected.",
            examples=["a photo of a woman with blond hair, smiling"],
        ),
    ]
    source_prompt: Annotated[
        str | None,
        Field(
            description="A description of the photo as it is now. Default: the prompt of the `parent` or of the `identity`, else a "
            "caption by the service's captioner, else “a photo of a <subject>”.",
            examples=["a photo of a woman"],
        ),
    ] = None
    subject: Annotated[
        str | None,
        Field(
            description="The one to four words in both prompts that name the person. Default: the subject of the `identity`, "
            "else the service looks for it. The identity itself keeps its subject.",
            examples=["woman"],
        ),
    ] = None
    identity: Annotated[
        Id | None,
        Field(description="The id of a learned identity, from an earlier edit's `identity` or from `POST /identities`."),
    ] = None
    attributes: Annotated[
        Ids,
        Field(
            description="The ids of up to 4 learned attributes; a form repeats the part. The prompt must contain the placeholder "
            "of each, as in “a woman with [A] makeup”, and each acts inside the edit mask."
        ),
    ] = None
    parent: Annotated[
        Id | None,
        Field(
            description="The id of an earlier edit to continue from, sent instead of `image`. Its result becomes the photo, its "
            "prompt the source prompt, and its identity and mask are reused, unless this request overrides them.",
        ),
    ] = None
    preset: Annotated[
        PresetName | None,
        Field(
            description="`balanced` (default), `instant` (fewer steps) or `paper` (null-text inversion as published, slow).",
            examples=["balanced"],
        ),
    ] = None
    steps: Annotated[
        int | None,
        Field(
            ge=MIN_STEPS,
            le=MAX_STEPS,
            description=f"The number of denoising steps, {MIN_STEPS} to {MAX_STEPS}. Default: the preset's.",
            examples=[50],
        ),
        WHOLE,
    ] = None
    guidance_scale: Annotated[
        float | None,
        Field(
            ge=MIN_GUIDANCE,
            le=MAX_GUIDANCE,
            description="The classifier-free guidance scale, 1 to 30: how strongly the prompt steers the result. Default: the "
            "model's recommendation for the preset.",
            examples=[3.0],
        ),
        NUMBER,
    ] = None
    negative_prompt: Annotated[
        str | None,
        Field(
            description="What the result should not show, in plain words without placeholders. It acts through guidance, so it "
            "needs a `guidance_scale` above 1.",
            examples=["glasses"],
        ),
    ] = None
    strength: Annotated[
        float | None,
        Field(
            gt=0,
            le=1,
            description="How far back towards noise the edit starts, from 1/`steps` to 1 (default). Lower values stay closer to "
            "the photo.",
            examples=[1.0],
        ),
        NUMBER,
    ] = None
    output_format: Annotated[
        OutputFormat | None,
        Field(
            description="`png` (default, because encoding a JPEG again would change pixels outside the edit mask), `jpeg` or "
            "`webp`. The report's `outside_edit_mask` measures that change.",
            examples=["webp"],
        ),
    ] = None
    output_quality: Annotated[
        int | None,
        Field(
            ge=1,
            le=100,
            description="The quality of a JPEG or WebP, 1 to 100; default 95. A WebP of quality 100 is lossless; a PNG takes no "
            "quality.",
            examples=[95],
        ),
        WHOLE,
    ] = None
    keep_alpha: Annotated[
        bool | None,
        Field(
            description="Whether the result keeps the transparency of the photo. Default: yes, where the format supports it; "
            "otherwise, and with `false`, the photo is placed on white."
        ),
    ] = None
    seed: Annotated[
        int | None,
        Field(
            ge=0,
            le=MAX_SEED,
            description="The random seed, 0 to 2⁶³ − 1; default 0. Equal inputs and seeds give equal pictures. It decides how a "
            "new identity is learned. With a learned `identity`, another seed gives another picture: 0 is the edit itself, and "
            "any other seed draws anew a part of the noise that the edit starts from.",
            examples=[0],
        ),
        WHOLE,
    ] = None
    mask_mode: Annotated[
        MaskMode | None,
        Field(
            description="How `mask` marks its region: `luminance` (white), `alpha` (painted on transparent), `inverted_alpha` "
            "(transparent) or `auto` (default: white or painted; an ambiguous mask is rejected). All but `auto` need a mask in "
            "the request.",
            examples=["auto"],
        ),
    ] = None
    edit_mask_mode: Annotated[
        MaskMode | None,
        Field(description="How `edit_mask` marks its region. Default: as `mask_mode`; allowed only with an `edit_mask`."),
    ] = None
    consent: Annotated[
        Statement | None,
        Field(
            description="Your statement that the person in the photo agrees to being learned and edited. It is stored with the "
            "request and with a newly learned identity.",
            examples=["Ada Example agreed in the app on 24 November 2026"],
        ),
    ] = None
    identity_ttl_s: IdentityTtl = None
    variants: Annotated[
        int | None,
        Field(
            ge=1,
            le=MAX_VARIANTS,
            description=f"The number of pictures, 1 to {MAX_VARIANTS}; default 1. The first is that of `seed`; the others start "
            "from the same inversion with partly redrawn noise, by the seeds that follow `seed`.",
            examples=[3],
        ),
        WHOLE,
    ] = None
    max_pixels: MaxPixels = None
    deadline_s: Annotated[
        float | None,
        Field(
            ge=SHORTEST_S,
            le=604_800,
            description="Seconds from now until the edit must be done, 0.001 to 604,800 (a week). After that it fails with "
            "`deadline_exceeded`.",
            examples=[600],
        ),
        NUMBER,
    ] = None
    webhook_url: Annotated[
        Statement | None,
        Field(
            description="An https:// URL that receives a webhook when the edit is over, at least once. The format is that of "
            "Standard Webhooks. At most 2,000 characters.",
            examples=["https://app.example.com/hooks/s2edit"],
        ),
    ] = None
    dry_run: Annotated[
        bool,
        Field(description="Check the request and estimate its work and duration without starting the edit. Nothing is stored."),
    ] = False


class EditForm(EditOptions):
    """`POST /edits` as a form; pictures are files."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=drop_null_types)

    image: Annotated[
        UploadFile | None,
        Field(description=f"The photo: {PHOTO_FORMATS}. Optional with an `identity` or a `parent`."),
    ] = None
    mask: Annotated[
        UploadFile | None,
        Field(
            description="The person's region, white on black, as large as the photo. With an `identity`, it needs `image` too. "
            "Default: the mask of the `identity` or `parent`, else the service finds the person."
        ),
    ] = None
    at: Pixel = None
    edit_mask: Annotated[
        UploadFile | None,
        Field(description=f"The region that may change, drawn like `mask`. {DEFAULT_EDIT_MASK}"),
    ] = None


class EditDocument(EditOptions):
    """`POST /edits` as JSON; pictures are the ids of uploads. A null field counts as absent."""

    model_config = ConfigDict(extra="forbid", strict=True)  # a form has only text, JSON has numbers

    image: Annotated[
        Id | None,
        Field(description="The id of the photo's upload. Optional with an `identity` or a `parent`."),
    ] = None
    mask: Annotated[
        Id | None,
        Field(
            description="The id of the upload with the person's region, white on black. With an `identity`, it needs `image` too. "
            "Default: the mask of the `identity` or `parent`, else the service finds the person."
        ),
    ] = None
    at: PixelPair = None
    edit_mask: Annotated[
        Id | None,
        Field(description=f"The id of the upload with the region that may change, drawn like `mask`. {DEFAULT_EDIT_MASK}"),
    ] = None
