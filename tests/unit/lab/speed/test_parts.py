"""Timing, plot, and the summary's ratios."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from lab.speed import plot, table, timing
from lab.speed.phases.crowds import pass_sizes
from lab.speed.phases.jobs import Cost, extrapolated, portion
from lab.speed.summary import summary
from lab.speed.timing import Timing, alternate, digits
from s2edit_core.request.presets import PRESETS
from s2edit_core.unet import backbone as engine


def done(result: dict[str, Any]) -> dict[str, Any]:
    return {"state": "done", "result": result}


def test_the_median_resists_one_slow_run() -> None:
    assert Timing.of([1.0, 1.1, 0.9, 50.0, 1.0]).median_s == 1.0
    assert Timing.of([2.0]) == Timing(2.0, 2.0, 2.0, 1, 2.0)


def test_works_are_timed_in_turn() -> None:
    calls: list[str] = []
    works = {name: lambda name=name: calls.append(name) for name in "ab"}  # type: ignore[misc]
    timings = alternate(works, torch.device("cpu"), within_s=0, least=3)
    assert "".join(calls) == "ababab"
    assert timings["a"].runs == timings["b"].runs == 3


def test_numbers_keep_four_digits() -> None:
    assert (digits(0.000123456), digits(123456.0), digits(1 / 3, 2)) == (0.0001235, 123500.0, 0.33)


@pytest.mark.parametrize(("threads", "counted"), [(1, "the processor's"), (4, "the clock's")])
def test_one_thread_counts_the_processors_seconds_and_more_the_clocks(
    monkeypatch: pytest.MonkeyPatch, threads: int, counted: str
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    clocks = SimpleNamespace(process_time=lambda: "the processor's", perf_counter=lambda: "the clock's")
    monkeypatch.setattr(timing, "time", clocks)
    assert timing.now(torch.device("cpu")) == counted


def test_a_share_of_a_preset_keeps_two_steps_of_each_phase_and_the_whole_start() -> None:
    part = portion(PRESETS["balanced"], 0.1)
    learning = part.learning
    assert (part.steps, learning.start_steps, learning.token_steps, learning.joint_steps) == (5, 100, 5, 5)
    least = portion(PRESETS["instant"], 0.001)
    assert (least.steps, least.learning.token_steps, least.learning.joint_steps) == (2, 2, 2)
    assert portion(PRESETS["paper"], 1.0) == PRESETS["paper"]


def test_each_phase_is_extrapolated_by_its_own_ratio() -> None:
    full = {"phases": {"learning": {"seconds": 20.0}, "decoding": {"seconds": 1.0}}}
    part = {"phases": {"learning": {"seconds": 2.0}, "decoding": {"seconds": 1.0}}}
    costs = {"learning": Cost(5.0), "decoding": Cost(3.0)}
    assert extrapolated(costs, full, part) == {"learning": 50.0, "decoding": 3.0}


def test_calls_are_split_as_the_engine_splits_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MAX_ROWS_PER_PASS", 16)
    assert pass_sizes([2, 16, 24, 33], None) == [2, 16, 16, 8, 16, 16, 1]
    assert pass_sizes([2, 24, 33], 32) == [2, 24, 32, 1]


CROWD = {"cold_s_per_user": 4.0, "warm_s_per_user": 0.5}
PHASES = {
    "job/float32/balanced": done({"share_of_steps": 1, "seconds": 12.0, "warm": {"seconds": 1.5, "over_bare": 1.1}}),
    "reference": done({"cold_s": 60.0, "warm_s": 3.0}),
    "job/float32/instant": done({"share_of_steps": 1, "seconds": 5.0, "warm": {"seconds": 0.8, "over_bare": 1.1}}),
    "users/float32/16": done({"users": 16, "preset": "balanced", "extrapolated": CROWD}),
    "users/float32/4": done({"users": 4, "preset": "balanced", "extrapolated": {"cold_s_per_user": 6.0, "warm_s_per_user": 1.0}}),
    "users/float32/16/instant": done(
        {"users": 16, "preset": "instant", "measured": {"cold_s_per_user": 2.0, "warm_s_per_user": 0.4}}
    ),
    "scheduled/float32/16": done({"users": 16, "seconds": 40.0, "over_lockstep": 1.1}),
    "scheduled/float32/1/instant": done({"users": 1, "seconds": 6.0, "over_lockstep": None}),
    "scheduled/float32/16/instant": done({"users": 16, "seconds": 38.4, "over_lockstep": 1.2}),
    "users/float32/64": {"state": "failed", "error": "no"},
}


def test_the_summary_compares_with_one_at_a_time_and_with_the_reference() -> None:
    found = summary(PHASES)
    assert found["float32: reference over a cold balanced job"] == 5.0
    assert found["float32: reference over a warm balanced edit"] == 2.0
    assert found["float32: 16 cold balanced jobs, throughput over one at a time"] == 3.0
    assert found["float32: 16 warm balanced edits, throughput over one at a time"] == 3.0
    assert found["float32: 16 cold balanced jobs, throughput over the reference"] == 15.0
    assert found["float32: 16 cold instant jobs, throughput over one at a time"] == 2.5
    assert found["float32: 16 warm instant edits, throughput over one at a time"] == 2.0
    assert found["float32: 16 cold instant jobs, throughput over the reference"] == 30.0
    assert not any("64" in name for name in found)
    through = {name: value for name, value in found.items() if "through the scheduler" in name}
    assert through == {
        "float32: 16 balanced jobs through the scheduler, time over lockstep": 1.1,
        "float32: 16 instant jobs through the scheduler, time over lockstep": 1.2,
        "float32: 16 instant jobs through the scheduler, throughput over one at a time": 2.5,
    }


def test_the_plot_shows_every_line_in_order_of_users() -> None:
    lines = plot.lines_of(PHASES)
    assert [line.name for line in lines] == [
        "reference way, first edit",
        "reference way, further edit",
        "shared passes, first edit",
        "shared passes, further edit",
    ]
    assert lines[0].points == ((4, 60.0), (16, 60.0))
    assert lines[2].points == ((4, 6.0), (16, 4.0))
    picture = plot.draw(lines, "Seconds per edit")
    colours = {colour for _, colour in picture.getcolors(2**20) or []}
    assert set(plot.COLOURS) <= colours


def test_the_plot_shows_the_seconds_of_one_user_that_the_tables_show() -> None:
    crowd = {"cold_s_per_user": 12.1, "warm_s_per_user": 1.9}
    one = {"users/float32/1": done({"users": 1, "preset": "balanced", "extrapolated": crowd})}
    lines = {line.name: dict(line.points) for line in plot.lines_of(PHASES | one)}
    assert (lines["shared passes, first edit"][1], lines["shared passes, further edit"][1]) == (12.0, 1.5)
    part = {"job/float32/balanced": done({"share_of_steps": 0.1, "seconds": 2.0, "warm": {"seconds": 1.5}})}
    lines = {line.name: dict(line.points) for line in plot.lines_of(PHASES | one | part)}
    assert (lines["shared passes, first edit"][1], lines["shared passes, further edit"][1]) == (12.1, 1.9)


def test_labels_of_near_lines_do_not_overlap() -> None:
    assert plot.spread([300.0, 100.0, 295.0]) == [315.0, 100.0, 295.0]
    close = plot.spread([200.0, 201.0, 202.0, 203.0])
    assert all(below - above >= plot.LABEL_PX for above, below in pairwise(close))


def test_a_results_file_is_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "speed-some.json"
    file.write_text(json.dumps({"about": {"model": "models/world-128", "device": "cpu"}, "phases": PHASES}))
    monkeypatch.setattr("sys.argv", ["plot", "--results", str(file)])
    plot.main()
    assert Image.open(tmp_path / "speed-some.png").size == plot.SIZE
    file.write_text(json.dumps({"about": {}, "phases": {}}))
    with pytest.raises(SystemExit, match="nothing to plot"):
        plot.main()


def test_without_crowds_there_is_no_plot() -> None:
    assert plot.lines_of({}) == []
    with pytest.raises(ValueError, match="nothing to plot"):
        plot.draw([], "")


def test_ticks_are_round_numbers() -> None:
    assert plot.ticks(0.3, 12) == [0.5, 1, 2, 5, 10]


def test_the_tables_show_jobs_and_passes() -> None:
    buckets = {"1": {"rows_per_s": 20.0, "share": 0.5}, "16": {"error": "too little memory"}}
    about = {"model": "models/world-128", "device": "cpu", "threads": 1, "machine": {"torch": "2"}}
    phases = PHASES | {"passes/float32/stock": done({"title": "stock UNet", "buckets": buckets})}
    text = table.render({"about": about, "phases": phases})
    assert "| reference way, one at a time | 60 | 3 |" in text
    assert "| float32, balanced, alone | 12 | 1.5 |" in text
    assert "| float32, balanced, 16 users together, each | 4 | 0.5 |" in text
    assert "| float32, instant, 16 users together, each | 2 | 0.4 |" in text
    assert "| stock UNet, float32 | 20 (50 %) | – |" in text
