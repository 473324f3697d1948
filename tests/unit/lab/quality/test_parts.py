"""The cache of parts: a part is computed once, and an incomplete one is never used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from lab.quality.parts import load_or_run, name_of
from lab.quality.phases import RECONSTRUCTION, Case, Method, Outcome
from s2edit_core.pipeline import S2EditPipeline


@dataclass(frozen=True)
class Counted(Method):
    runs: list[int] = field(default_factory=list, repr=False)

    def run(self, pipe: S2EditPipeline, cases: Sequence[Case], guidance: float) -> Outcome:
        self.runs.append(len(cases))
        return super().run(pipe, cases, guidance)


def test_a_part_is_computed_once(pipe: S2EditPipeline, cases: list[Case], tmp_path: Path) -> None:
    method = Counted("m", steps=2)
    first, second = (load_or_run(pipe, method, cases[:1], 3.0, tmp_path) for _ in range(2))
    assert method.runs == [1]
    assert set(first.pictures) == {(0, name) for name in (*cases[0].targets, RECONSTRUCTION)}
    for key, picture in first.pictures.items():
        assert picture.size == (32, 32)
        assert np.array_equal(np.asarray(picture), np.asarray(second.pictures[key]))
    assert second.costs == first.costs
    assert second.costs["edit"].evaluations == 2 * 2 * len(cases[0].targets)
    assert second.about == first.about == [{}]


def test_an_interrupted_save_leaves_no_usable_part(
    pipe: S2EditPipeline, cases: list[Case], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = Counted("m", steps=2)
    with monkeypatch.context() as patch:
        patch.setattr("lab.quality.parts.asdict", lambda _: 1 / 0)  # fail after the pictures are written, before the facts
        with pytest.raises(ZeroDivisionError):
            load_or_run(pipe, method, cases[:1], 3.0, tmp_path)
    assert [path.suffix for path in tmp_path.iterdir()] == [".part"]
    part = load_or_run(pipe, method, cases[:1], 3.0, tmp_path)
    assert method.runs == [1, 1]
    assert part.costs["invert"].evaluations == 2
    assert [path.suffix for path in tmp_path.iterdir()] == [""]


def test_the_name_of_a_part_depends_on_all_its_inputs(cases: list[Case]) -> None:
    method = Method("m")
    case, other = cases
    names = {
        name_of("model", 3.0, method, [case]),
        name_of("another", 3.0, method, [case]),
        name_of("model", 5.0, method, [case]),
        name_of("model", 3.0, replace(method, steps=20), [case]),
        name_of("model", 3.0, method, [other]),
        name_of("model", 3.0, method, [replace(case, prompt="a photo of a dog")]),
        name_of("model", 3.0, method, [replace(case, targets={})]),
        name_of("model", 3.0, method, cases),
    }
    assert len(names) == 8
    assert name_of("model", 3.0, replace(method, title="another title"), [case]) in names
