"""Redis servers that a test may change, fill up, demote and restore: the one of `tests/stores.py` is shared by all tests."""

from __future__ import annotations

from pathlib import Path

import redis

from s2edit_jobs.stores.embedded_redis import EmbeddedRedis


class OwnRedis(EmbeddedRedis):
    """A Redis of this test alone. `options` are those of redis.conf, such as `{"cluster-enabled": "yes"}`."""

    def __init__(self, data_dir: Path, **options: str) -> None:
        super().__init__(data_dir)
        self.options = options
        self.waits = True

    def _options(self) -> list[str]:
        more = {name.replace("_", "-"): value for name, value in self.options.items()}
        return [*super()._options(), *(part for name, value in more.items() for part in (f"--{name}", value))]

    def _wait_until_ready(self) -> None:
        if self.waits:
            super()._wait_until_ready()

    def client(self, **options: str) -> redis.Redis:
        return redis.Redis.from_url(self.url, decode_responses=True, **options)


class SnapshotRedis(OwnRedis):
    """A Redis that forgets what was not saved: `save`, go on, `restore`."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir, appendonly="no")

    def save(self) -> None:
        with self.client() as client:
            client.save()

    def restore(self) -> None:
        """Lose everything since `save`."""
        self.stop()
        self.start()
