"""The page on the method prints how to use the library; it works with the shipped model, cut to few steps."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cli.demo.samples import sample
from s2edit_core import pipeline
from s2edit_core.request.options import LearningOptions
from s2edit_jobs.settings import ROOT
from tests.pages import blocks


def test_the_printed_use_of_the_library_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = [text for language, text in blocks("docs/method.md") if language == "python"]
    few = partial(LearningOptions, start_steps=1, token_steps=1, joint_steps=1, batch=1)
    monkeypatch.setattr(pipeline, "LearningOptions", few)
    short = replace(pipeline.PRESETS["balanced"], steps=2)
    monkeypatch.setattr(pipeline, "PRESETS", {"balanced": short})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").symlink_to(ROOT / "models")
    photo, made_up = sample().photo, sample("makeup")
    (tmp_path / "demo-out").mkdir()
    for name, picture in (("source", photo), ("makeup", made_up.photo), ("makeup-mask", made_up.mask)):
        picture.save(tmp_path / "demo-out" / f"{name}.png")
    names: dict[str, Any] = {}
    exec(code, names)
    assert Image.open(tmp_path / "edited.png").size == photo.size
    assert names["identity"].placeholder == "[I]"
    assert names["makeup"].placeholder == "[A]"
    assert names["out"].reports[0]["leakage"]
