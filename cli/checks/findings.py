"""The results of the checks of `s2edit doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "note", "broken"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. `broken`: edits can't work. `note`: they work, with a limitation."""

    part: str
    verdict: Verdict
    text: str
