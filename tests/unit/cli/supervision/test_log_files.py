"""The logs of `s2edit up`: a crash's log outlives restarts, and no log fills the disk."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli.supervision import log_files
from cli.supervision.processes import Child, Command


def kept(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}


def test_the_logs_of_the_last_runs_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    for run in range(9):
        log_files.begin_run(log)
        assert not log.exists()
        log.write_text(f"run {run}")
    assert kept(tmp_path) == {"worker.log": "run 8"} | {f"worker.log.{n}": f"run {8 - n}" for n in range(1, 6)}


def test_a_run_that_wrote_nothing_pushes_out_no_log(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    log.write_text("crash")
    for _ in range(9):
        log_files.begin_run(log)
        log.touch()
    assert kept(tmp_path) == {"worker.log": "", "worker.log.1": "crash"}


def test_a_process_writes_on_into_an_emptied_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "MAX_BYTES", 100)
    log = tmp_path / "worker.log"
    program = "import sys\nfor line in sys.stdin:\n    sys.stdout.write(line); sys.stdout.flush()"
    with (
        log.open("ab") as output,
        subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=output, text=True) as child,
    ):
        assert child.stdin is not None
        for number in range(9):
            line = f"{number}" * 60 + "\n"
            child.stdin.write(line)
            child.stdin.flush()
            while line not in log.read_text():
                time.sleep(0.01)
            log_files.limit(log)
        child.stdin.close()
    files = kept(tmp_path)
    assert files.pop("worker.log") == "8" * 60 + "\n"
    assert [*files] == [f"worker.log.{n}" for n in range(1, 5)]
    assert "".join(reversed(files.values())) == "".join(f"{number}" * 60 + "\n" for number in range(8))


def test_a_full_disk_empties_the_log_and_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes()[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(log_files, "MAX_BYTES", 100)
    monkeypatch.setattr(shutil, "copyfile", no_space)
    log = tmp_path / "worker.log"
    log.write_text("x" * 101)
    (tmp_path / "worker.log.1").write_text("before")
    log_files.limit(log)
    assert kept(tmp_path) == {"worker.log": "", "worker.log.2": "before"}


def test_the_last_error_is_found_in_a_log_that_was_emptied(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    log.write_text("earlier\n" * 100)
    child = Child(Command("worker", [sys.executable, "-c", "pass"], {}, log))
    child.start()
    child.finish(time.monotonic() + 30)
    log.write_text("RuntimeError: out of memory\n")
    assert child.last_error() == "RuntimeError: out of memory"
