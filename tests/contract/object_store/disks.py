"""A data folder that can be unmounted, and the processes that use it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from s2edit_jobs.stores.object_store.filesystem_artifacts import FilesystemArtifactStore
from s2edit_jobs.stores.object_store.presence import ProvenStore
from s2edit_jobs.stores.redis_store.object_store_id import RedisStoreMemory
from tests.stores import Database

KEY = "t/app/u/ann/edits/e_1/spec.json"


@dataclass
class Disk:
    """A data folder that can be unmounted, and processes that use it."""

    tmp_path: Path
    database: Database = field(default_factory=Database)

    @property
    def root(self) -> Path:
        return self.tmp_path / "data" / "artifacts"

    def process(self, *, redis: bool = True) -> FilesystemArtifactStore:
        """The store in a process that has just started."""
        memory = RedisStoreMemory(self.database.url, timeout_s=5.0) if redis else None
        return FilesystemArtifactStore(self.root, "http://testserver", "key", memory=memory)

    @contextmanager
    def unmounted(self, *, mount_point: bool = True) -> Iterator[None]:
        """Take the folder away. Its mount point, an empty folder, stays in its place, or nothing does."""
        elsewhere = self.tmp_path / "elsewhere"
        self.root.rename(elsewhere)
        if mount_point:
            self.root.mkdir()
        try:
            yield
            assert not self.root.exists() or list(self.root.iterdir()) == [], "something was written into the mount point"
        finally:
            shutil.rmtree(self.root, ignore_errors=True)
            elsewhere.rename(self.root)


def put(store: ProvenStore, key: str = KEY) -> None:
    store.put(key, b"{}", media_type="application/json")
