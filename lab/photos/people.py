"""People of the benches on photographs, whom no training has drawn."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from lab.quality.worlds.edits import FIRST, Case, cases_of
from lab.world.domain import Subject
from lab.world.domains import DOMAINS

PEOPLE = DOMAINS["person"]


def sampled(number: int) -> Subject:
    """Return person `number` (from 0) of the benches."""
    return PEOPLE.sample(FIRST + number)


def unseen(people: int, edits: Sequence[str]) -> list[Case]:
    """Return the first `people` to whom at least one of the edits applies, with those that do."""
    return list(islice(cases_of(PEOPLE.name, edits), people))
