"""Faults of the object store's folder: full, away, with foreign files in it, and with a job of a newer release."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from lab.storm.system.ports import FULL
from lab.storm.system.processes import StormSetup
from s2edit_jobs.records.record import new_job_id
from s2edit_jobs.stores.artifacts import JSON, ArtifactStore
from s2edit_jobs.stores.markers import unfinished_key

FULL_S = 1.0
AWAY_S = 1.0
FOREIGN_NAMES = (".DS_Store", "spec.json~", ".nfs00000001")
FOREIGN_FOLDERS = 20
NEWER = 1000
"""A version of records that no release has."""


class StoreFaults:
    """Causes faults of the store, and ends those that last. `newer` holds the keys of the specs of a newer release."""

    def __init__(self, setup: StormSetup, artifacts: ArtifactStore, rng: random.Random) -> None:
        self._armed = setup.armed
        self._folder = setup.settings.artifacts_dir
        self._away = self._folder.with_name("unmounted")
        self._artifacts = artifacts
        self._rng = rng
        self._full_until: float | None = None
        self._back_at: float | None = None
        self.newer: list[str] = []
        self.causes: Mapping[str, Callable[[], bool]] = {
            "full disk": self._fill,
            "store away": self._take_away,
            "foreign files": self._leave_foreign_files,
            "newer record": self._accept_newer,
        }

    @property
    def is_away(self) -> bool:
        return self._back_at is not None

    @property
    def idle(self) -> bool:
        return self._full_until is None and self._back_at is None

    def tick(self) -> None:
        """End what has lasted long enough."""
        if self._full_until is not None and time.monotonic() > self._full_until:
            self._full_until = None
            (self._armed / FULL).unlink(missing_ok=True)
        if self._back_at is not None and time.monotonic() > self._back_at:
            self._back_at = None
            self._bring_back()

    def _fill(self) -> bool:
        (self._armed / FULL).touch()
        self._full_until = time.monotonic() + FULL_S
        return True

    def _take_away(self) -> bool:
        """Rename the folder, as if it was not mounted."""
        if self._back_at is not None:
            return False
        self._folder.rename(self._away)
        self._back_at = time.monotonic() + AWAY_S
        return True

    def _bring_back(self) -> None:
        """Bring the store back. What was written meanwhile, to a folder of the same name, is hidden by it."""
        if self._folder.exists():
            self._folder.rename(self._folder.with_name(f"hidden-{time.time_ns()}"))
        self._away.rename(self._folder)

    def _leave_foreign_files(self) -> bool:
        """Put files of editors and file managers into some folders."""
        folders = [self._folder, *(path for path in self._folder.rglob("*") if path.is_dir())]
        for folder in self._rng.sample(folders, min(len(folders), FOREIGN_FOLDERS)):
            self._leave_in(folder)
        return True

    def _leave_in(self, folder: Path) -> None:
        for name in FOREIGN_NAMES:
            if folder.is_dir():  # not removed meanwhile
                (folder / name).write_bytes(b"\x00\x01 of another program")

    def _accept_newer(self) -> bool:
        """Put a copy of a job into the store, as accepted by a newer release: no process of this one may touch it."""
        if self._back_at is not None:
            return False
        key = next((key for key in self._artifacts.list("t/") if key.endswith("/spec.json")), None)
        if key is None:
            return False
        spec, job = json.loads(self._artifacts.get(key)), new_job_id()
        values = {**spec, "id": job, "version": NEWER, "from_the_future": {"a": [1]}}
        newer_key = key.replace(spec["id"], job)
        self._artifacts.put(newer_key, json.dumps(values).encode(), media_type=JSON)
        self._artifacts.put(unfinished_key(job), newer_key.encode(), media_type="text/plain")
        self.newer.append(newer_key)
        return True
