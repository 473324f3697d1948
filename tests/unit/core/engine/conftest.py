"""The real engine over the tiny model, and one edit that learns and inverts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.request import presets
from s2edit_core.request.options import ColumnOptions, LearningOptions
from s2edit_core.request.presets import PRESETS
from s2edit_core.unet.backbone import Backbone
from tests.tiny import tiny_backbone
from tests.unit.core.engine.runs import Run
from worker.engines.s2edit_engine import S2EditEngine


@pytest.fixture(scope="package")
def backbone() -> Backbone:
    return tiny_backbone(dtype=torch.float32)


@pytest.fixture(scope="package")
def engine(backbone: Backbone) -> Iterator[S2EditEngine]:
    """With presets of a few steps of learning: what is shown here does not depend on how long it lasts."""
    learning = LearningOptions(start_steps=8, token_steps=2, joint_steps=2, batch=2)
    with pytest.MonkeyPatch.context() as patch:
        columns = ColumnOptions(person_steps=2, column_steps=2, batch=2, views=2)
        short = {name: replace(preset, learning=learning, attribute=columns) for name, preset in PRESETS.items()}
        patch.setattr(presets, "PRESETS", short)
        patch.setattr(S2EditPipeline, "from_pretrained", lambda _model, device, dtype: S2EditPipeline(backbone))
        yield S2EditEngine("tiny", device="cpu")


@pytest.fixture(scope="package")
def cold(engine: S2EditEngine) -> Run:
    return Run(engine)
