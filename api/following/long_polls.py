"""Long polls: the header `Prefer: wait=N` (RFC 7240), by which an app asks the service to hold a response back."""

from __future__ import annotations

import re

from fastapi import Header

MAX_WAIT_S = 60
"""The longest wait, whatever the app prefers: many proxies give up soon after."""
PREFER = Header(
    description=f"`wait=N`: hold the response back for up to N seconds, at most {MAX_WAIT_S}, until the edit is over. With "
    "`If-None-Match`, until it has changed. If too many responses are held back already, it comes at once.",
    examples=["wait=30"],
)
APPLIED_HEADER = {"Preference-Applied": {"description": "The part of `Prefer` that was applied.", "schema": {"type": "string"}}}


def wait_s_of(prefer: str | None) -> int:
    """Return the seconds to hold the response back; 0 if the header asks for no wait."""
    wait = re.search(r"(?:^|[,;\s])wait\s*=\s*\"?([0-9]{1,9})", prefer or "", flags=re.IGNORECASE)
    return min(MAX_WAIT_S, int(wait[1])) if wait else 0


def applied(wait_s: int) -> dict[str, str]:
    """Return the header that confirms the wait."""
    return {"Preference-Applied": f"wait={wait_s}"}
