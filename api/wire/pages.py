"""Pagination. A cursor is an opaque position in a list; only this module reads it."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query

from api.wire.fields import WHOLE
from s2edit_core.errors import OptionInvalid

MAX_LIMIT = 100
_POSITION = re.compile(r"1:([A-Za-z0-9_]{1,64})")

Limit = Annotated[
    int,
    Query(ge=1, le=MAX_LIMIT, description="The maximum number of items. A page may hold fewer without being the last one."),
    WHOLE,
]
Cursor = Annotated[
    str | None,
    Query(
        max_length=200,
        description="The `next_cursor` of the previous page. Default: the first page.",
        examples=["MTplXzAx"],
    ),
]


def cursor_of(last: str | None) -> str | None:
    """Return the cursor of the page that begins after the id `last`."""
    return None if last is None else base64.urlsafe_b64encode(f"1:{last}".encode()).decode().rstrip("=")


def position_of(cursor: str | None, prefix: str) -> str | None:
    """Return the id, starting with `prefix`, after which the page of `cursor` begins. None is the first page.

    Raises `OptionInvalid` for a cursor that `cursor_of` has not made for such a list.
    """
    if cursor is None:
        return None
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        text = ""
    found = _POSITION.fullmatch(text)
    if found is None or not found[1].startswith(prefix) or cursor_of(found[1]) != cursor:
        raise OptionInvalid(
            "the cursor does not belong to this list: send the `next_cursor` of a page unchanged, or leave `cursor` out",
            field="cursor",
            reason="cursor_invalid",
        )
    return found[1]


def next_link(path: str, cursor: str | None, **filters: str | int | None) -> dict[str, str]:
    """Return the `Link` header of the next page (RFC 8288), or nothing for the last page."""
    if cursor is None:
        return {}
    query = {name: value for name, value in {**filters, "cursor": cursor}.items() if value is not None}
    return {"Link": f'<{path}?{urlencode(query)}>; rel="next"'}


LINK_HEADER = {"Link": {"description": "The next page as `rel=next`; absent on the last page.", "schema": {"type": "string"}}}
