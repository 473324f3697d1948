"""The housekeeper process, without starting one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from s2edit_jobs.bootstrap import NotConfigured, Services
from s2edit_jobs.settings import ROOT, Settings
from tests.stores import Database, MemoryArtifactStore, MemoryJobQueue
from tests.waiting import until
from worker.housekeeper import MESSENGERS, HousekeeperProcess


def test_importing_it_loads_no_torch() -> None:
    code = "import sys, worker.housekeeper; print(sorted({'torch', 'diffusers', 'transformers', 'api', 'cli'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_redis_it_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(NotConfigured, match="S2EDIT_REDIS_URL"):
        HousekeeperProcess(Settings(data_dir=tmp_path))


def test_a_loop_that_has_ended_is_a_problem(tmp_path: Path) -> None:
    database = Database()
    settings = Settings(data_dir=tmp_path, redis_url=database.url)
    services = Services(MemoryArtifactStore(), database.store(), MemoryJobQueue(), settings)
    process = HousekeeperProcess(settings, lambda _: services)
    names = ["reaper", *(f"messenger {number}" for number in range(1, MESSENGERS + 1)), "sweeper", "test queue"]
    assert process.problems() == [f"the {name} has ended" for name in names]
    process.start()
    try:
        assert process.problems() == []
        until(lambda: services.store.tasks.last_alive_s("housekeeper") is not None)
    finally:
        process.stop()
    assert process.problems() == []
