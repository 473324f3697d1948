"""A run in miniature: every phase on a tiny model, resuming, a failing phase, and a budget."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lab.speed import plan, run
from lab.speed.phases.reference_cost import Part
from lab.speed.plan import Scale
from lab.speed.record import DONE, FAILED, SKIPPED, Record
from s2edit_core.errors import DeviceOutOfMemory
from s2edit_core.request.presets import PRESETS
from s2edit_core.unet.backbone import Backbone
from tests.tiny import save_tiny

MINIATURE = Scale(
    buckets=(1, 2),
    within_s=0.01,
    side=64,
    identities=(2,),
    one_job=1.0,
    users=(1, 2),
    share=0.5,
    whole_jobs=(2,),
    scheduled=(2,),
    reference=Part(learning=1, single=1, inverting=1, null_text=1, editing=1, stop_early=False),
    batches=(1,),
    profiled=(1,),
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def measure(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Run `lab.speed` in miniature with further arguments, and return the results file; the exit code is in `exit`."""
    monkeypatch.setitem(plan.SCALES, "cpu quick", MINIATURE)
    for name, preset in PRESETS.items():
        learning = replace(preset.learning, start_steps=3, token_steps=4, joint_steps=4, batch=2)
        monkeypatch.setitem(PRESETS, name, replace(preset, steps=5, learning=learning))  # type: ignore[arg-type]

    def measured(*arguments: str) -> dict[str, Any]:
        out = tmp_path / "speed.json"
        with pytest.raises(SystemExit) as exit_:
            run.main(["--device", "cpu", "--quick", "--model", str(model), "--out", str(out), *arguments])
        return {"exit": exit_.value.code, **(json.loads(out.read_text()) if out.is_file() else {})}

    return measured


def test_every_phase_ends_with_a_result(measure: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    found = measure()
    assert {name: entry.get("error") for name, entry in found["phases"].items() if entry["state"] != DONE} == {}
    assert found["exit"] == 0
    results = {name: entry["result"] for name, entry in found["phases"].items()}
    two = results["passes/float32/users"]["buckets"]["2"]
    assert two["rows_per_s"] == pytest.approx(2 / two["seconds"], rel=1e-2)
    flops = results["floor"]["tflop_forward"]
    assert two["tflops"] == pytest.approx(2 / two["fastest"] * flops, rel=1e-2)
    assert two["share"] == pytest.approx(two["tflops"] / results["ceilings"]["matrix_tflops"]["float32"], rel=1e-2)
    job = results["job/float32/balanced"]
    assert job["phases"]["learning"]["rows"] == job["phases"]["learning"]["with_gradients"] == 8 * 2
    assert job["phases"]["inverting"]["rows"] == 3 * 5
    assert job["warm"]["rows"] == job["phases"]["editing"]["rows"]
    scheduled = results["scheduled/float32/2"]
    assert sum(int(n) * passes for n, passes in scheduled["passes_by_rows"].items()) == sum(
        phase["rows"] for phase in results["users/float32/2"]["phases"].values()
    )
    whole = results["users/float32/2"]["extrapolated"]
    assert whole["cold_s"] == pytest.approx(sum(whole["phases"].values()), rel=1e-2)
    instant = results["users/float32/2/instant"]
    assert instant["phases"]["learning"]["rows"] == 2 * results["job/float32/instant"]["phases"]["learning"]["rows"]
    assert instant["measured"]["cold_s"] == pytest.approx(instant["seconds"], rel=1e-2)
    assert results["reference"]["phases"]["null-text"]["measured"].startswith("1 of 50 timesteps")
    assert "float32: reference over a cold balanced job" in found["summary"]
    assert Image.open(tmp_path / "speed.png").size == (900, 520)


def test_finished_phases_are_not_run_again(measure: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    first = measure("--only", "ceilings", "--only", "floor")
    again = measure("--only", "ceilings", "--only", "text/*")
    assert again["phases"]["ceilings"] == first["phases"]["ceilings"]
    assert set(again["phases"]) == {"ceilings", "floor", "text/float32"}
    assert "ceilings: done before" in capsys.readouterr().out


def test_a_later_run_without_time_keeps_the_ratios_of_an_earlier_one(measure: Callable[..., dict[str, Any]]) -> None:
    first = measure("--only", "ceilings", "--only", "passes/float32/users")
    assert first["summary"]
    assert measure("--only", "text/*", "--budget", "0")["summary"] == first["summary"]


def test_a_failing_phase_is_recorded_and_the_rest_runs(
    measure: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(*_: object) -> object:
        raise DeviceOutOfMemory("none left")

    with monkeypatch.context() as broken:
        broken.setattr(Backbone, "encode_image", no_memory)
        found = measure("--only", "job/float32/instant", "--only", "text/*")
    failed = found["phases"]["job/float32/instant"]
    assert (found["exit"], failed["state"]) == (1, FAILED)
    assert failed["error"] == "DeviceOutOfMemory: none left"
    assert any("encode_image" in line for line in failed["trace"])
    assert found["phases"]["text/float32"]["state"] == DONE
    repaired = measure("--only", "job/float32/instant")
    assert (repaired["exit"], repaired["phases"]["job/float32/instant"]["state"]) == (0, DONE)


def test_a_bucket_without_memory_ends_its_phase_with_the_smaller_ones(
    measure: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate = Backbone.evaluate

    def one_row_fits(self: Backbone, rows: Any) -> Any:
        if len(rows) > 1:
            raise DeviceOutOfMemory("too little memory")
        return evaluate(self, rows)

    monkeypatch.setattr(Backbone, "evaluate", one_row_fits)
    buckets = measure("--only", "passes/float32/users")["phases"]["passes/float32/users"]["result"]["buckets"]
    assert buckets["1"]["rows_per_s"] > 0
    assert "too little memory" in buckets["2"]["error"]


def test_phases_beyond_the_budget_are_skipped(measure: Callable[..., dict[str, Any]]) -> None:
    found = measure("--budget", "0", "--only", "ceilings")
    assert found["phases"]["ceilings"]["state"] == SKIPPED
    assert "did not fit" in found["phases"]["ceilings"]["reason"]


def test_results_of_other_settings_are_not_mixed(measure: Callable[..., dict[str, Any]]) -> None:
    measure("--only", "ceilings")
    assert "other settings" in str(measure("--only", "ceilings", "--seed", "1")["exit"])


def test_unknown_phases_are_refused(measure: Callable[..., dict[str, Any]]) -> None:
    assert "no phase is called 'nothing'" in str(measure("--only", "nothing")["exit"])


def test_a_skipped_phase_keeps_its_earlier_failure(tmp_path: Path) -> None:
    record = Record(tmp_path / "speed.json", {})

    def fail() -> dict[str, Any]:
        raise ValueError("no")

    assert not record.run("phase", fail)
    record.skip("phase", "no time")
    assert Record(tmp_path / "speed.json", {}).phases["phase"]["error"] == "ValueError: no"
