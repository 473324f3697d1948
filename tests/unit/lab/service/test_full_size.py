"""The cost of Stable Diffusion, computed from shapes, equals the committed file."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from lab.service import full_size
from lab.service.full_size import MODELS, PRESETS, cost_of
from s2edit_jobs.settings import ROOT

RESULTS = ROOT / "lab" / "results"


@pytest.mark.parametrize("name", MODELS)
def test_the_committed_file_is_up_to_date(name: str) -> None:
    methods = json.loads((RESULTS / "quality.json").read_text())["domains"]["person"]["methods"]
    found = cost_of(*MODELS[name], {preset: methods[preset]["cost"] for preset in PRESETS})
    assert found == json.loads((RESULTS / "full_size.json").read_text())["models"][name]


def test_the_evaluations_are_those_of_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of_people, of_cats = ({"methods": {preset: {"cost": who} for preset in PRESETS}} for who in ("people's", "cats'"))
    (tmp_path / "quality.json").write_text(json.dumps({"domains": {"cat": of_cats, "person": of_people}}))
    monkeypatch.setattr(full_size, "cost_of", lambda _family, _side, evaluations: evaluations)
    monkeypatch.setattr(sys, "argv", ["full_size", f"--quality={tmp_path}/quality.json", f"--out={tmp_path}/out.json"])
    full_size.main()
    found = json.loads((tmp_path / "out.json").read_text())["models"]
    assert found == dict.fromkeys(MODELS, dict.fromkeys(PRESETS, "people's"))


def test_the_figures_are_consistent() -> None:
    cost = {"edit": {"evaluations": 10.0, "with_gradients": 0.0}, "learn": {"evaluations": 4.0, "with_gradients": 4.0}}
    found = cost_of("sd1", 64, dict.fromkeys(PRESETS, cost))
    assert found["parameters"]["unet"] == 859_520_964
    assert found["weights_gb"] == pytest.approx(4 * sum(found["parameters"].values()) / 1e9, abs=0.005)
    assert 2 * found["tflop_per_evaluation"] < found["tflop_per_evaluation_with_gradients"] < 3 * found["tflop_per_evaluation"]
    edit = found["edits"]["balanced"]
    assert edit["first_tflop"] == round(10 * found["tflop_per_evaluation"] + 4 * found["tflop_per_evaluation_with_gradients"])
    assert edit["next_tflop"] == round(10 * found["tflop_per_evaluation"])
