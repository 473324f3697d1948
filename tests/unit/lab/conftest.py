"""Fixtures of the lab's tests: a tiny pipeline and untrained judges. The tests do not depend on their weights."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from lab.judges.judge import NAMES, Judge
from lab.judges.judge import _Network as JudgeNetwork
from lab.judges.regressor import PARAMETERS, Regressor
from lab.judges.regressor import _Network as RegressorNetwork
from lab.quality.bench import Judges
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
def judges() -> Judges:
    torch.manual_seed(0)
    judge, regressor = JudgeNetwork().eval(), RegressorNetwork().eval()
    return Judges(Judge(judge, dict.fromkeys(NAMES, 0.5)), Regressor(regressor, dict.fromkeys(PARAMETERS, 1.0)))
