"""Field types and helpers that several schemas share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import Field

from s2edit_core.request.limits import CEILING_PIXELS, MAX_PIXELS, MIN_MAX_PIXELS

ID_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"
"""Pattern of every name that becomes part of an object key: users, edits, identities."""
KEY_PATTERN = r"^[\x21-\x7e]{1,255}$"
"""Pattern of an Idempotency-Key."""
IN_WORDS = {
    ID_PATTERN: "1 to 64 letters, digits, hyphens and underscores",
    KEY_PATTERN: "1 to 255 visible ASCII characters, no spaces",
}
"""What a value must be to match the pattern, for messages."""
PIXEL_PATTERN = r"^[0-9]{1,9}, ?[0-9]{1,9}$"
"""Pattern of a pixel in a form. It is only documentation: `api.wire.forms.parse_pixel` reads the text."""
PHOTO_FORMATS = (
    f"PNG, JPEG, WebP, AVIF or HEIC, at most {MAX_PIXELS / 1e6:.0f} megapixels, or {CEILING_PIXELS / 1e6:.0f} with `max_pixels`"
)

Pixel = Annotated[
    str | None,
    Field(
        json_schema_extra={"pattern": PIXEL_PATTERN},
        description="A pixel `x,y` on the person to edit, such as `512,384`, in the photo as displayed, from its top left corner. "
        "It replaces a mask; without both, the service takes the largest person.",
    ),
]
MaxPixels = Annotated[
    int | None,
    Field(
        description=f"Scale a larger photo, and its masks, down to this many pixels: {MIN_MAX_PIXELS:,} to {MAX_PIXELS:,}. "
        f"Default: nothing is scaled, and a photo above {MAX_PIXELS / 1e6:.0f} megapixels is rejected.",
        examples=[12_000_000],
    ),
]
IdentityTtl = Annotated[
    float | None,
    Field(
        gt=0,
        le=315_360_000,
        description="Seconds until the new identity is erased. The service may set a shorter maximum. An identity that exists "
        "already keeps its own time.",
        examples=[2_592_000],
    ),
]


def to_datetime(seconds: float) -> datetime:
    """Convert seconds since the epoch to a UTC time, which pydantic writes as RFC 3339."""
    return datetime.fromtimestamp(seconds, UTC)


def drop_null_types(schema: dict[str, Any]) -> None:
    """Remove `null` from the types of a form's parts: a part can be absent, but a form can't send null."""
    for part in schema["properties"].values():
        types = [one for one in part.pop("anyOf", []) if one != {"type": "null"}]
        part.update(*types)
