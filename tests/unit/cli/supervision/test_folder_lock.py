"""One `s2edit up` per data folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.supervision.folder_lock import locked
from cli.supervision.processes import StartFailed
from s2edit_jobs.settings import ROOT
from tests.waiting import until

HOLDS = """
import sys, time
from pathlib import Path
from cli.supervision.folder_lock import locked
with locked(Path(sys.argv[1]), "http://127.0.0.1:8123"):
    print("held", flush=True)
    time.sleep(60)
"""


def holder(folder: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", HOLDS, str(folder)], cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


def test_the_second_one_learns_who_holds_the_folder(tmp_path: Path) -> None:
    with holder(tmp_path) as first:
        for _ in range(2):
            with pytest.raises(StartFailed) as caught, locked(tmp_path, "http://127.0.0.1:9"):
                pass
            assert f"process {first.pid}, http://127.0.0.1:8123" in str(caught.value)
            assert str(tmp_path) in str(caught.value)
            assert "--data-dir" in str(caught.value)
        first.kill()


@pytest.mark.parametrize("kill", ["kill", "terminate"])
def test_the_folder_is_free_when_its_holder_ends_however_it_ends(kill: str, tmp_path: Path) -> None:
    with holder(tmp_path) as first:
        getattr(first, kill)()
        until(lambda: first.poll() is not None)
    for _ in range(2):
        with locked(tmp_path, "http://127.0.0.1:9"):
            assert (tmp_path / "up.lock").read_text() == f"process {os.getpid()}, http://127.0.0.1:9\n"


def test_it_makes_the_folder_for_its_owner_alone(tmp_path: Path) -> None:
    with locked(tmp_path / "new", "http://127.0.0.1:9"):
        assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    said = r"can't write into the data folder .*file.*choose another --data-dir"
    with pytest.raises(StartFailed, match=said), locked(tmp_path / "file" / "data", "http://127.0.0.1:9"):
        pass
