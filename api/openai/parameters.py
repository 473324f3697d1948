"""OpenAI's parameters of `POST /v1/images/edits`: which are honoured, how, and which are refused for which reason."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.wire.fields import ID_PATTERN, SIZE_PATTERN, WHOLE
from api.wire.known_names import LONGEST, unknown
from s2edit_core.errors import OptionInvalid
from s2edit_core.request.presets import PresetName
from s2edit_core.request.spec import MAX_VARIANTS, MaskMode, OutputFormat

MAX_PARTIAL_IMAGES = 3
Quality = Literal["auto", "low", "medium", "high"]
PRESETS: Mapping[Quality, PresetName] = {"low": "instant", "medium": "balanced", "high": "balanced"}
"""The preset of each quality. `balanced` is the best that was measured, so `high` asks for no other."""
QUALITIES: Mapping[PresetName, Quality] = {"instant": "low", "balanced": "high", "paper": "high"}
"""The quality that an answer names, by the preset that was used."""


class OpenAIOptions(BaseModel):
    """OpenAI's parameters that are honoured, except the pictures."""

    model_config = ConfigDict(extra="forbid")

    model: Annotated[
        str | None,
        Field(description="The served model, or one of its aliases: see `GET /v1/models`. Any other is refused."),
    ] = None
    n: Annotated[
        int | None,
        Field(
            ge=1,
            le=MAX_VARIANTS,
            description=f"The number of pictures, 1 to {MAX_VARIANTS}; default 1. The first is the edit itself, the others are its "
            "variants.",
        ),
        WHOLE,
    ] = None
    size: Annotated[
        str | None,
        Field(
            pattern=SIZE_PATTERN,
            description="`auto` (default), or the photo's own size such as `1024x768`. The result always has the photo's size, so "
            "any other is refused.",
        ),
    ] = None
    quality: Annotated[
        Quality | None,
        Field(
            description="The preset: `low` is `instant`; `medium`, `high` and `auto` (default) are `balanced`, the best measured. "
            "`xhigh`, `max` and `standard` are refused."
        ),
    ] = None
    response_format: Annotated[
        Literal["b64_json", "url"] | None,
        Field(
            description="`b64_json` (default), or `url`: a signed link that needs no credentials and expires; not with `stream`."
        ),
    ] = None
    output_format: Annotated[
        OutputFormat | None,
        Field(
            description="`png` (default), `jpeg` or `webp`. JPEG and lossy WebP change pixels outside the mask too. `gif` and "
            "`svg` are refused."
        ),
    ] = None
    output_compression: Annotated[
        int | None,
        Field(
            ge=0,
            le=100,
            description="The quality of a JPEG or WebP, 0 to 100 (default; a WebP is then lossless); 0 counts as 1. A PNG is "
            "lossless and takes only 100.",
        ),
        WHOLE,
    ] = None
    background: Annotated[
        Literal["auto", "opaque"] | None,
        Field(
            description="`auto` (default) keeps the photo's transparency where the format can, `opaque` places the photo on white. "
            "`transparent` is refused: the service removes no background."
        ),
    ] = None
    input_fidelity: Annotated[
        Literal["high"] | None,
        Field(description="`high`: the person is always learned from the photo. `low` is refused."),
    ] = None
    moderation: Annotated[
        Literal["auto"] | None,
        Field(description="`auto`: the service's own policy always applies. `low` is refused."),
    ] = None
    stream: Annotated[
        bool | None,
        Field(description="Answer with server-sent events: `image_edit.partial_image` and, per picture, `image_edit.completed`."),
    ] = None
    partial_images: Annotated[
        int | None,
        Field(
            ge=0,
            le=MAX_PARTIAL_IMAGES,
            description=f"Previews to send while the edit runs, at most {MAX_PARTIAL_IMAGES}; only with `stream`. Default 0. Each "
            "is a small WebP of the whole photo. A fast edit may have fewer.",
        ),
        WHOLE,
    ] = None
    user: Annotated[
        str | None,
        Field(
            pattern=ID_PATTERN,
            description="The user whose data the request is about, as `S2Edit-User`: 1 to 64 letters, digits, hyphens and "
            "underscores.",
        ),
    ] = None
    safety_identifier: Annotated[
        str | None,
        Field(pattern=ID_PATTERN, description="OpenAI's newer name for `user`. If both are sent, they must be equal."),
    ] = None
    mask_mode: Annotated[
        MaskMode | None,
        Field(
            description="How `mask` marks its region: `inverted_alpha` (default, what is transparent), `alpha` (what is painted on "
            "transparent), `luminance` (what is white) or `auto`."
        ),
    ] = None


PICTURES: Mapping[str, str] = {
    "image": "The photo, under the name `image` or `image[]`. A second one is refused. Optional with an `identity` or a `parent`.",
    "mask": "Its transparent pixels mark what may change; outside, not a pixel changes. Default: the person that the service "
    "finds, slightly enlarged; the whole photo where edits change the scene, as with churches.",
    "edit_mask": "The same as a black-and-white picture, white where something may change; instead of `mask`.",
    "person_mask": "The person's region, white on black: the `mask` of `POST /edits`. Default: the service finds the person.",
}
"""The pictures of a request and what they mean. A form sends files; JSON sends objects with `image_url` or `file_id`."""

OWN = (
    *("prompt", "source_prompt", "subject", "identity", "attributes", "parent", "at", "preset", "steps", "guidance_scale"),
    *("negative_prompt", "strength", "keep_alpha", "seed", "edit_mask_mode", "max_pixels"),
    *("consent", "identity_ttl_s", "deadline_s", "webhook_url"),
)
"""Fields of `POST /edits` that mean the same here."""

_ONE_PICTURE = "the service returns still pictures of pixels"
REFUSED: Mapping[str, str] = {
    "complexity": "the service plans no picture: choose `quality`, or `preset` and `steps`",
    "frame_count": f"{_ONE_PICTURE}, no animations",
    "frame_duration_ms": f"{_ONE_PICTURE}, no animations",
    "markup": "the service reads no drawings on the photo: mark the region by `mask`, and describe the result in `prompt`",
    "svg": f"{_ONE_PICTURE}, no drawings",
    "style": "an edit keeps the style of the photo: describe the result in `prompt`",
    "variants": "send `n`, which is the number of pictures",
    "output_quality": "send `output_compression`, which is the quality of a JPEG or WebP",
    "dry_run": "only POST /edits has dry runs",
}
"""Parameters that are refused whatever their value, and why."""

REFUSED_VALUES: Mapping[tuple[str, str], str] = {
    ("quality", "xhigh"): "`high` is the most that the service has",
    ("quality", "max"): "`high` is the most that the service has",
    ("quality", "standard"): "it belongs to retired models: choose low, medium, high or auto",
    ("output_format", "gif"): "the service returns no animations: choose png, jpeg or webp",
    ("output_format", "svg"): "the service returns no drawings: choose png, jpeg or webp",
    ("background", "transparent"): "the service removes no background: `auto` keeps the transparency that the photo has",
    ("input_fidelity", "low"): "the service always keeps the person: leave it out, or send high",
    ("moderation", "low"): "the service's policy always applies: leave it out, or send auto",
}
"""Values of OpenAI's that can't be honoured, and why."""


def known_names() -> Collection[str]:
    """Return every name that is honoured."""
    return (*PICTURES, *OWN, *OpenAIOptions.model_fields)


def check_known(values: Mapping[str, Any], pictures: Collection[str]) -> None:
    """Raise `OptionInvalid` for a parameter that is unknown or can't be honoured."""
    for name in (*values, *pictures):
        if name in REFUSED:
            raise _unsupported(name, f"the parameter {name!r} can't be honoured: {REFUSED[name]}")
        if name not in known_names():
            raise OptionInvalid(unknown("parameter", name, known_names()), field=name[:LONGEST], reason="option_unknown")
    for name, value in values.items():
        if isinstance(value, str) and (why := REFUSED_VALUES.get((name, value.strip().lower()))) is not None:
            raise _unsupported(name, f"{name}={value.strip().lower()} can't be honoured: {why}")


def _unsupported(name: str, message: str) -> OptionInvalid:
    return OptionInvalid(message, field=name, reason="option_unsupported")
