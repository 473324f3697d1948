"""What the load bench makes of the events and the requests that its users saw."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cli.markdown import marks
from lab.load import figures, run
from lab.load.events import phases, total
from lab.load.scenario import Edited, Observed, Scenario, Subject
from lab.load.table import MARK, render
from lab.speed.record import Record
from s2edit_jobs.settings import ROOT


def event(at_s: float, state: str, phase: str | None = None) -> dict[str, Any]:
    return {
        "created_at": "2026-11-26T12:00:00Z",
        "updated_at": f"2026-11-26T12:00:{at_s:09.6f}Z",
        "state": state,
        "phase": phase,
    }


def test_a_phase_lasts_until_the_next_one_begins() -> None:
    events = [
        event(0, "queued"),
        event(2, "running"),
        event(2.5, "running", "learning"),
        event(4, "running", "learning"),
        event(6, "queued", "learning"),  # its worker has died
        event(7, "running", "learning"),
        event(8, "running", "finishing"),
        event(8.25, "succeeded", "finishing"),
    ]
    assert phases(events) == {"queue": 3.0, "preparing": 0.5, "learning": 4.5, "delivery": 0.25}
    assert total(events[-1]) == 8.25


def edited(user: str, total_s: float, *, first: bool = False, state: str = "succeeded") -> Edited:
    return Edited(user, first, state, total_s, {"queue": total_s / 2, "editing": total_s / 2}, "c_1")


ALONE = Observed([edited("single-0", 1.0), edited("single-0", 3.0)], seconds=5.0)
FLOODED = Observed(
    [edited("single-0", 6.0), *(edited("flood-0", 9.0, first=True) for _ in range(4)), edited("flood-0", 1.0, state="failed")],
    seconds=60.0,
)
CROWD = Observed(
    [edited("crowd-0", 8.0, first=True), edited("crowd-0", 2.0), edited("crowd-1", 1.0, state="failed")],
    {"GET /edits": [1.0, 2.0, 3.0]},
    {"GET /edits": {"503": 1}},
    30.0,
)


def test_the_figures_are_those_of_what_succeeded() -> None:
    found = figures.crowd(CROWD)
    assert (found["edits_per_minute"], found["not_succeeded"]) == (4.0, 1)
    assert found["first"]["total_s"] == {"p50": 8.0, "p99": 8.0, "max": 8.0, "count": 1}
    assert found["further"]["phases_s"]["queue"]["p50"] == 1.0
    assert found["api_ms"]["GET /edits"] == {"p50": 2.0, "p99": 3.0, "max": 3.0, "count": 3, "refused": {"503": 1}}
    fair = figures.fairness(ALONE, FLOODED)
    assert (fair["median_beside_over_alone"], fair["flood_edits_per_minute"]) == (3.0, 4.0)
    assert figures.fairness(Observed(seconds=1.0), FLOODED)["median_beside_over_alone"] is None


def test_values_survive_the_way_to_the_users_process_and_back(tmp_path: Path) -> None:
    scenario = Scenario("http://127.0.0.1:1", [Subject("a.png", "woman")], 2.5, crowd=3, identity="c_1")
    for value in (scenario, CROWD):
        value.write(tmp_path / "value.json")
        assert type(value).read(tmp_path / "value.json") == value


def results(path: Path) -> dict[str, Any]:
    record = Record(path, run.about(1))
    for name in ("fake/1", "fake/16"):
        result = {"load_average": {"before": 1.5}, "crowd": figures.crowd(CROWD), "fairness": figures.fairness(ALONE, FLOODED)}
        record.run(name, lambda result=result: result)  # type: ignore[misc]
    record.put_summary(run.summary(record))
    read: dict[str, Any] = json.loads(path.read_text())
    return read


def test_the_tables_have_a_column_per_phase(tmp_path: Path) -> None:
    found = results(tmp_path / "load.json")
    assert found["summary"] == {
        "fake: edits a minute, 16 at a time over one at a time": 1.0,
        "fake/1: single user's edit beside a flood over alone": 3.0,
        "fake/16: single user's edit beside a flood over alone": 3.0,
    }
    tables = render(found)
    assert "| edits a minute | 4 | 4 |" in tables
    assert "| – queue | 4 · 4 | 4 · 4 |" in tables
    assert "| `GET /edits` | 2 · 3 | 2 · 3 |" in tables


def test_a_run_writes_each_phase_and_skips_it_the_next_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted: list[Scenario] = []

    @contextmanager
    def served(_: Path, *, jobs: int, fake: bool) -> Iterator[str]:
        yield f"http://127.0.0.1:{jobs + fake}"

    def observe(scenario: Scenario, _: Path) -> Observed:
        wanted.append(scenario)
        return FLOODED if scenario.flood else CROWD if scenario.crowd else ALONE

    monkeypatch.setattr(run, "served", served)
    monkeypatch.setattr(run, "observe", observe)
    monkeypatch.setattr(run, "PEOPLE", 1)
    out = tmp_path / "load.json"
    for _ in range(2):
        with pytest.raises(SystemExit, match="0"):
            run.main(["--only", "fake/16", "--out", str(out)])
    assert [(each.crowd, each.flood, each.single) for each in wanted] == [(0, 0, True), (0, 0, True), (8, 0, False), (0, 32, True)]
    assert [each.identity for each in wanted] == [None, "c_1", None, "c_1"]
    result = json.loads(out.read_text())["phases"]["fake/16"]["result"]
    assert result["fairness"]["median_beside_over_alone"] == 3.0
    assert {"before", "after"} == set(result["load_average"])


@pytest.mark.parametrize("name", ["fake/1", "model/16"])
def test_a_phase_that_does_not_fit_into_the_budget_is_skipped(name: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        run.main(["--only", name, "--budget", "10", "--out", str(tmp_path / "load.json")])
    assert json.loads((tmp_path / "load.json").read_text())["phases"][name]["state"] == "skipped"


def test_the_page_shows_what_was_measured() -> None:
    page = (ROOT / "docs" / "evidence.md").read_text()
    begin, end = marks(MARK)
    assert page.split(begin)[1].split(end)[0].strip() == render(json.loads((ROOT / run.OUT).read_text())).strip()
