"""A paused worker is resumed only after another attempt has taken over its job."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lab.storm.faults.takeovers import Takeovers


def write(folder: Path, pid: int, what: str, **values: Any) -> None:
    with (folder / f"{pid}.jsonl").open("a") as file:
        file.write(json.dumps({"pid": pid, "what": what, **values}) + "\n")


def test_a_job_is_taken_over_once_a_newer_attempt_has_claimed_it_and_over_once_that_has_ended_it(tmp_path: Path) -> None:
    takeovers = Takeovers(tmp_path)

    def seen() -> tuple[bool, bool]:
        takeovers.read()
        return takeovers.is_taken_over(1, over=False), takeovers.is_taken_over(1, over=True)

    write(tmp_path, 1, "claim", job="e_1", fence=5)
    write(tmp_path, 2, "claim", job="e_2", fence=6)
    write(tmp_path, 2, "left", job="e_2", over=True)
    assert seen() == (False, False)
    write(tmp_path, 2, "claim", job="e_1", fence=7)
    write(tmp_path, 2, "left", job="e_1", over=False)
    assert seen() == (True, False)
    write(tmp_path, 3, "claim", job="e_1", fence=8)
    write(tmp_path, 3, "left", job="e_1", over=True)
    assert seen() == (True, True)


def test_a_line_that_is_being_written_is_read_later(tmp_path: Path) -> None:
    takeovers = Takeovers(tmp_path)
    write(tmp_path, 1, "claim", job="e_1", fence=5)
    (tmp_path / "2.jsonl").write_text('{"pid": 2, "what": "claim", ')
    takeovers.read()
    assert not takeovers.is_taken_over(1, over=False)
    with (tmp_path / "2.jsonl").open("a") as file:
        file.write('"job": "e_1", "fence": 6}\n')
    takeovers.read()
    assert takeovers.is_taken_over(1, over=False)


def test_a_worker_without_a_job_need_not_wait(tmp_path: Path) -> None:
    assert Takeovers(tmp_path).is_taken_over(1, over=True)
