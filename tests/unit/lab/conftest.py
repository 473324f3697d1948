"""Fixtures of the lab's tests: a tiny pipeline and untrained judges. The tests do not depend on their weights."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from lab.judges.attributes import AttributeJudge
from lab.judges.identities import Error, IdentityRegressor
from lab.quality.worlds.measures import Judges
from lab.training.scorer import Scorer
from lab.world.domains import DOMAINS
from s2edit_core.pipeline import S2EditPipeline
from tests.tiny import tiny_backbone


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def pipe() -> S2EditPipeline:
    return S2EditPipeline(tiny_backbone(dtype=torch.float32))


@pytest.fixture(scope="session")
def world_judges() -> Judges:
    """Judges of people, cats and churches that have learned nothing."""
    torch.manual_seed(0)
    labels = {name: domain.labels for name, domain in DOMAINS.items()}
    classes = {name: sum(len(each) for each in by.values()) for name, by in labels.items()}
    names = {name: domain.identity_names for name, domain in DOMAINS.items()}
    unseen = {name: {number: Error(0.5, 0.6) for number in numbers} for name, numbers in names.items()}
    accuracy = {name: dict.fromkeys(by, 0.9) for name, by in labels.items()}
    judge = AttributeJudge(Scorer(classes).eval(), labels, accuracy)
    return Judges(judge, IdentityRegressor(Scorer({name: len(each) for name, each in names.items()}).eval(), names, unseen))
