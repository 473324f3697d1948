"""A saving and what it replaces are compared over the edits that both have, on the same subjects."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from lab.quality import savings
from lab.quality.bench import FIGURES

SETTING = {"subjects": 2, "guidance_scale": 3.0, "model": "m", "edits": ["hair", "hat"], "measures": 3, "jury": "j"}


def method(psnr: dict[tuple[int, str], float], learned: int) -> dict[str, Any]:
    records = [{"person": who, "edit": edit, **dict.fromkeys(FIGURES, 0.5), "psnr": value} for (who, edit), value in psnr.items()]
    subjects = [{"person": who, "edit": "reconstruction", "leakage": 0.0} for who in {who for who, _ in psnr}]
    phases = {"learn": (learned, learned), "invert": (150, 0), "edit": (112, 0)}
    cost = {name: {"evaluations": rows, "with_gradients": grads, "seconds": 1.0} for name, (rows, grads) in phases.items()}
    return {"recipe": f"{learned} rows", "cost": cost, "records": records, "subjects": subjects}


def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **changed: Any) -> dict[str, Any]:
    old = method({(0, "hair"): 20.0, (0, "hat"): 21.0, (1, "hair"): 22.0, (2, "hair"): 30.0}, 400)
    new = method({(0, "hair"): 20.5, (0, "hat"): 21.5, (1, "hair"): 22.5}, 200)
    for name, setting, found in (("old", SETTING, old), ("new", {**SETTING, **changed}, new)):
        section = {"setting": setting, "methods": {"balanced": found}}
        others = {"cat": {"setting": {}, "methods": {}}} if name == "old" else {}
        (tmp_path / f"{name}.json").write_text(json.dumps({"domains": {"person": section, **others}}))
    out = tmp_path / "savings.json"
    places = [f"--{name}={tmp_path / name}.json:balanced" for name in ("old", "new")]
    monkeypatch.setattr(sys, "argv", ["savings", *places, f"--out={out}"])
    savings.main()
    return json.loads(out.read_text())  # type: ignore[no-any-return]


def test_only_edits_that_both_have_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    domains = run(tmp_path, monkeypatch, subjects=1)["domains"]
    assert list(domains) == ["person"], "cats have no such method"
    found = domains["person"]
    assert (found["subjects"], found["edits"]) == (2, 3)
    assert found["differences"]["psnr"] == [0.5, 0.5, 0.5]
    assert (found["same"]["psnr"], found["same"]["success"], found["same"]["leakage"]) == (False, True, True)
    assert found["learning_rows"] == [800.0, 400.0], "a row with gradients counts twice"
    assert found["first_edit_rows"] == [1062.0, 662.0]


@pytest.mark.parametrize("changed", [{"model": "other"}, {"jury": "others"}, {"measures": 2}])
def test_results_of_another_model_or_judge_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any]
) -> None:
    with pytest.raises(SystemExit, match=next(iter(changed))):
        run(tmp_path, monkeypatch, **changed)


def test_a_method_that_a_file_lacks_is_named(tmp_path: Path) -> None:
    (tmp_path / "some.json").write_text(json.dumps({"domains": {"cat": {"setting": SETTING, "methods": {"balanced": {}}}}}))
    with pytest.raises(ValueError, match="no method 'instant': choose from balanced"):
        savings.read(f"{tmp_path}/some.json:instant")
