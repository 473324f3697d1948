"""Field types and helpers that several schemas share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from s2edit_core.request.numbers import number, whole_number
from s2edit_core.request.picture_limits import CEILING_PIXELS, MAX_PIXELS, MIN_MAX_PIXELS
from s2edit_core.request.spec import MAX_ATTRIBUTES
from s2edit_core.request.texts import is_visible, unfit_character
from s2edit_jobs.value_rules import NOT_DECIMAL

ID_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"
"""Pattern of every name that becomes part of an object key: users, edits, identities."""
KEY_PATTERN = r"^[\x21-\x7e]{1,255}$"
"""Pattern of an Idempotency-Key."""
SEQUENCE_PATTERN = r"^[0-9]{1,18}$"
"""Pattern of a Last-Event-ID."""
DIGEST_PATTERN = r"^[0-9a-f]{64}$"
SIZE_PATTERN = r"^(auto|[1-9][0-9]{0,4}x[1-9][0-9]{0,4})$"
"""Pattern of the size of a picture."""
IN_WORDS = {
    ID_PATTERN: "1 to 64 letters, digits, hyphens and underscores",
    KEY_PATTERN: "1 to 255 visible ASCII characters without spaces",
    SEQUENCE_PATTERN: "the id of an event, in digits",
    DIGEST_PATTERN: "a SHA-256 digest: 64 hexadecimal digits",
    SIZE_PATTERN: "auto, or width and height such as 1024x768",
}
"""What a value must be to match the pattern, for messages."""
MAX_ID_CHARS = 64
SHORTEST_S = 0.001
"""Of a time in seconds that a request may name. A shorter one is a mistake, such as a wrong unit."""
MAX_STATEMENT_CHARS = 2000
"""Of a statement of consent, or a URL."""
MAX_LABEL_CHARS = 100
PIXEL_PATTERN = r"^(0|[1-9][0-9]{0,8}), ?(0|[1-9][0-9]{0,8})$"
"""Pattern of a pixel in a form. It is only documentation: `api.wire.forms.parse_pixel` reads the text."""
PHOTO_FORMATS = (
    f"PNG, JPEG, WebP, AVIF or HEIC, at most {MAX_PIXELS / 1e6:.0f} megapixels, or {CEILING_PIXELS / 1e6:.0f} with `max_pixels`"
)


def _whole(value: object) -> object:
    """Return a whole number sent as `20.0` as the integer. Some languages write every number so."""
    if isinstance(value, str):
        return _plain(value, whole_number)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _number(value: object) -> object:
    return _plain(value, number) if isinstance(value, str) else value


def _plain(text: str, read: Callable[[str], float]) -> str:
    """Return a number of a form as pydantic reads it. It stays a text, which a JSON document must not have in its place."""
    try:
        value = read(text)
    except ValueError as error:
        raise PydanticCustomError(NOT_DECIMAL, "{reason}", {"reason": str(error)}) from None
    return str(value) if isinstance(value, int) else text.strip()


def _fit(text: object) -> object:
    """Return a text without spaces at its ends, or an empty one if it shows nothing. Raise for characters that no text may hold."""
    if not isinstance(text, str):
        return text
    if (found := unfit_character(text)) is not None:
        raise PydanticCustomError("text_invalid", "it contains {found}: remove it", {"found": found})
    return text.strip() if is_visible(text) else ""


def _of_one_line(text: object) -> object:
    """Return the text. Raise for one of several lines, which lists and logs would tear."""
    if isinstance(text, str) and len(text.strip().splitlines()) > 1:
        raise PydanticCustomError("text_invalid", "it contains a line break: write it in one line")
    return text


def _without_blanks(ids: object) -> object:
    return [one for one in ids if not (isinstance(one, str) and not one.strip())] or None if isinstance(ids, list) else ids


WHOLE = BeforeValidator(_whole)
"""Accepts a whole number written as `20.0` or `2e1`, and as text only what JSON accepts. It comes last in `Annotated`, so that the
limits are those of the integer."""
NUMBER = BeforeValidator(_number)
"""Accepts as text only what JSON accepts, as `WHOLE` does for whole numbers. It comes last, too."""
Id = Annotated[str, Field(max_length=MAX_ID_CHARS), BeforeValidator(_fit)]
"""The id of something that exists."""
HexDigest = Annotated[
    str, Field(pattern=DIGEST_PATTERN), BeforeValidator(lambda value: value.strip().lower() if isinstance(value, str) else value)
]
"""A SHA-256 digest in hexadecimal. Capitals are accepted."""
Ids = Annotated[list[Id] | None, Field(max_length=MAX_ATTRIBUTES), BeforeValidator(_without_blanks)]
"""The ids of attributes. Blank ones are left out, because forms send empty fields."""
Statement = Annotated[str, Field(max_length=MAX_STATEMENT_CHARS), BeforeValidator(_fit)]
"""A text that is stored as it is, such as a statement of consent."""
Name = Annotated[str, Field(min_length=1, max_length=MAX_LABEL_CHARS), BeforeValidator(_fit), BeforeValidator(_of_one_line)]
"""A name for people, in one line, which no prompt contains."""
Pixel = Annotated[
    str | None,
    Field(
        json_schema_extra={"pattern": PIXEL_PATTERN},
        description="A pixel `x,y` on the person to edit, such as `512,384`, in the photo as displayed, from its top left corner. "
        "It replaces a mask; without both, the service takes the largest person.",
    ),
]
PixelPair = Annotated[
    list[Annotated[int, Field(ge=0, le=999_999_999), WHOLE]] | None,
    Field(
        min_length=2,
        max_length=2,
        examples=[[512, 384]],
        description="A pixel `[x, y]` on the person to edit, in the photo as displayed, from its top left corner. It replaces "
        "a mask; without both, the service takes the largest person.",
    ),
]
"""`Pixel` in JSON."""
MaxPixels = Annotated[
    int | None,
    Field(
        ge=MIN_MAX_PIXELS,
        le=MAX_PIXELS,
        description=f"Scale a larger photo, and its masks, down to this many pixels: {MIN_MAX_PIXELS:,} to {MAX_PIXELS:,}. "
        f"Default: nothing is scaled, and a photo above {MAX_PIXELS / 1e6:.0f} megapixels is rejected.",
        examples=[12_000_000],
    ),
    WHOLE,
]
IdentityTtl = Annotated[
    float | None,
    Field(
        ge=SHORTEST_S,
        le=315_360_000,
        description="Seconds until the new identity is erased, 0.001 to 315,360,000. The service may set a shorter maximum. An "
        "identity that exists already keeps its own time.",
        examples=[2_592_000],
    ),
    NUMBER,
]


def drop_null_types(schema: dict[str, Any]) -> None:
    """Remove `null` from the types of a form's parts: a part can be absent, but a form can't send null."""
    for part in schema["properties"].values():
        types = [one for one in part.pop("anyOf", []) if one != {"type": "null"}]
        part.update(*types)
