"""Lists in parts: what an app gives back to see the next part says nothing but where that begins, and only to us."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query

from s2edit_core.errors import OptionInvalid

MAX_LIMIT = 100
_POSITION = re.compile(r"1:([A-Za-z0-9_]{1,64})")

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many at most; a page may hold fewer and not be the last")]
Cursor = Annotated[
    str | None,
    Query(max_length=200, description="The `next_cursor` of the page before. Left out: from the beginning", examples=["MTplXzAx"]),
]


def cursor_of(last: str | None) -> str | None:
    """For the page that begins behind the id `last`."""
    return None if last is None else base64.urlsafe_b64encode(f"1:{last}".encode()).decode().rstrip("=")


def position_of(cursor: str | None, start: str) -> str | None:
    """The id that `cursor` begins behind, which begins with `start`. Raises `OptionInvalid` for what `cursor_of` has not made."""
    if cursor is None:
        return None
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        text = ""
    found = _POSITION.fullmatch(text)
    if found is None or not found[1].startswith(start) or cursor_of(found[1]) != cursor:
        raise OptionInvalid(
            "the cursor is none of this list: give back the `next_cursor` of a page as it came, or begin without one",
            field="cursor",
            reason="cursor_invalid",
        )
    return found[1]


def next_link(path: str, cursor: str | None, **filters: str | int | None) -> dict[str, str]:
    """The header that names the next page (RFC 8288); none where the list has ended."""
    if cursor is None:
        return {}
    query = {name: value for name, value in {**filters, "cursor": cursor}.items() if value is not None}
    return {"Link": f'<{path}?{urlencode(query)}>; rel="next"'}


LINK_HEADER = {"Link": {"description": "The next page, `rel=next`, if there is one", "schema": {"type": "string"}}}
