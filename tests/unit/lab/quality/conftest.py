"""Fixtures of the quality bench's tests: two cats, each with the edits `sleeping` and `collar`."""

from __future__ import annotations

import pytest

from lab.quality.phases import Case
from lab.quality.population import Population, Subject
from lab.quality.worlds.measures import Judges
from s2edit_core.pipeline import S2EditPipeline


@pytest.fixture(scope="package")
def cats(pipe: S2EditPipeline, world_judges: Judges) -> Population:
    return Population(pipe, "cat", world_judges)


@pytest.fixture(scope="package")
def two_cats(cats: Population) -> list[Subject]:
    """Cats with captions that are short enough for the tiny model."""
    return [cats.unseen(1, ("sleeping", "collar"), number)[0] for number in (1, 3)]


@pytest.fixture(scope="package")
def cases(cats: Population, two_cats: list[Subject]) -> list[Case]:
    return [cats.case_of(subject) for subject in two_cats]
