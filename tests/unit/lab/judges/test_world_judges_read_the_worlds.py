"""The judges in the repository read pictures of today's worlds: a changed drawing needs new judges."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch

from lab.judges.attributes import load_judge
from lab.judges.identities import load_regressor
from lab.training.autoencoder import to_range
from lab.world.domain import Domain

FIRST, COUNT = 30_000_000, 24
"""Seeds that neither training nor the benches use."""


@pytest.fixture(params=("person", "cat", "church"))
def domain(request: pytest.FixtureRequest) -> Domain:
    found: Domain = importlib.import_module(f"lab.world.{request.param}").DOMAIN
    return found


def test_the_judge_and_the_regressor_read_unseen_subjects(domain: Domain) -> None:
    subjects = [domain.sample(FIRST + i) for i in range(COUNT)]
    pictures = to_range(np.stack([np.asarray(domain.render(subject)) for subject in subjects]))
    judge, regressor = load_judge(), load_regressor()
    assert dict(judge.labels[domain.name]) == dict(domain.labels)
    found = judge.classes(pictures, domain.name)
    truth = [domain.label(subject.attributes) for subject in subjects]
    right = [int(found[name][i]) == each[name] for i, each in enumerate(truth) for name in each]
    assert np.mean(right) >= 0.97
    vectors = torch.tensor(np.stack([domain.identity_vector(subject.identity) for subject in subjects]))
    own = regressor.error(pictures, domain.name, vectors).mean()
    others = regressor.error(pictures, domain.name, vectors.roll(1, 0)).mean()
    assert own < 0.6 * others
