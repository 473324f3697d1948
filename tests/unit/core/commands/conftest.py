"""A working folder with pictures, and the tiny model in the place of any."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.request import presets
from s2edit_core.request.options import ColumnOptions, LearningOptions
from s2edit_core.request.presets import PRESETS
from s2edit_core.unet.backbone import Backbone
from tests.unit.core.commands.runs import picture, region


@pytest.fixture(autouse=True)
def folder(backbone32: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with pictures to work in, presets of a few steps, and the tiny model in the place of any."""
    learning = LearningOptions(start_steps=8, token_steps=6, joint_steps=6, batch=1)
    columns = ColumnOptions(person_steps=2, column_steps=2, batch=1, views=2)
    short = {name: replace(preset, steps=3, learning=learning, attribute=columns) for name, preset in PRESETS.items()}
    monkeypatch.setattr(presets, "PRESETS", short)
    monkeypatch.setattr(S2EditPipeline, "from_pretrained", lambda _model, device: S2EditPipeline(backbone32, name="tiny"))
    monkeypatch.chdir(tmp_path)
    picture(1).save("photo.png")
    picture(2).save("reference.png")
    for name, box in (("face", (16, 16, 48, 48)), ("lips", (28, 38, 36, 42)), ("their-lips", (24, 40, 40, 46))):
        region(*box).save(f"{name}.png")
    return tmp_path
