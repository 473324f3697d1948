"""Folders of what device tokens have spent, by whose names it shows when they may go."""

from __future__ import annotations

import re

TOKENS = "tokens"
"""The kind of these folders among those of a user."""
SWEEP_AFTER_S = 300
"""Seconds from the end of a token until its objects are removed, because clocks may differ."""
_NAME = re.compile(r"([0-9]{1,12})-[0-9a-f]{32}")


def is_over(name: str, now: float) -> bool:
    """Return whether `name`, `<end of the token>-<its id>`, is that of a token that ended long enough ago."""
    found = _NAME.fullmatch(name)
    return found is not None and int(found[1]) + SWEEP_AFTER_S < now
