"""Every adapter of a port, under one name each."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer
from pydantic import SecretStr

from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.artifacts import ArtifactStore
from s2edit_jobs.stores.object_store.filesystem_artifacts import FilesystemArtifactStore
from s2edit_jobs.stores.object_store.s3_artifacts import S3ArtifactStore, make_client
from tests.servers.radosgw import running
from tests.stores import Database, MemoryArtifactStore


@pytest.fixture(scope="session")
def moto() -> Iterator[Settings]:
    """An S3 server inside this process. It believes any signature, so it says nothing about those."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield Settings(
        s3_endpoint_url=f"http://{host}:{port}",
        s3_bucket="s2edit",
        s3_access_key_id="id",
        s3_secret_access_key=SecretStr("secret"),
    )
    server.stop()


@pytest.fixture(scope="session")
def radosgw() -> Iterator[Settings]:
    """A real S3 server. Where it can't be had, its tests fail and say why: nothing else here shows that links are safe."""
    with running() as settings:
        yield settings


STORES = ("memory", "filesystem", "moto", "radosgw")


@pytest.fixture(params=STORES)
def artifacts(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    return store_of(request.param, request, tmp_path)


def store_of(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    """An empty store of that kind."""
    if name == "memory":
        return MemoryArtifactStore()
    if name == "filesystem":
        return FilesystemArtifactStore(tmp_path / "artifacts", "http://testserver", "key")
    settings: Settings = request.getfixturevalue(name)
    bucket = f"bucket-{time.time_ns()}"
    client = make_client(settings, settings.s3_endpoint_url)
    client.create_bucket(Bucket=bucket)
    return S3ArtifactStore(client, bucket, page_size=10, post_forms=name == "radosgw")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test of radosgw may have to wait until it is installed."""
    for item in items:
        if "radosgw" in item.name or "radosgw" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(600))


@dataclass
class StoreCase:
    """The job store, its database, and the clock that a test moves."""

    database: Database = field(default_factory=Database)
    now: list[float] = field(default_factory=lambda: [1_800_000_000.0])

    def __post_init__(self) -> None:
        self.store = self.database.store(clock=lambda: self.now[0])

    def let_pass(self, seconds: float) -> None:
        self.now[0] += seconds

    def forget(self) -> None:
        """Lose everything."""
        self.database.empty()


@pytest.fixture
def case() -> StoreCase:
    return StoreCase()
