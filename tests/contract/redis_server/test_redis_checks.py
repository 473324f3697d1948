"""What is looked at before a Redis is used: whether it is one that the service supports, and whether it keeps what it is given."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from s2edit_jobs.bootstrap import NotConfigured, check_redis
from s2edit_jobs.records.errors import StoreUnavailable
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.redis_errors import NO_CLUSTER
from s2edit_jobs.stores.redis_store import ServerUnsupported, redis_job_store, server_problems
from tests.doubles import FakeEngine
from tests.logged import logging_to_memory
from tests.servers.redis_servers import OwnRedis
from worker.process import WorkerProcess


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OwnRedis]:
    with OwnRedis(tmp_path / "redis") as server:
        yield server


def port_for_a_cluster() -> int:
    """A free port whose neighbour, 10,000 higher, is free too: a cluster's nodes talk there."""
    while True:
        port = random.randrange(20_000, 50_000)
        try:
            for number in (port, port + 10_000):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", number))
        except OSError:
            continue
        return port


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[OwnRedis]:
    with OwnRedis(tmp_path / "redis", cluster_enabled="yes", port=str(port_for_a_cluster()), bind="127.0.0.1") as server:
        yield server


def test_the_redis_that_comes_with_the_service_has_no_problem(server: OwnRedis) -> None:
    assert server_problems(server.url) == []


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-lru", "volatile-ttl", "allkeys-random"])
def test_a_policy_that_drops_keys_is_a_problem(server: OwnRedis, policy: str) -> None:
    with server.client() as admin:
        admin.config_set("maxmemory-policy", policy)
    (problem,) = server_problems(server.url)
    assert problem.startswith(f"maxmemory-policy is {policy}")


def test_a_redis_that_keeps_nothing_is_a_problem_and_one_with_snapshots_is_none(server: OwnRedis) -> None:
    with server.client() as admin:
        admin.config_set("appendonly", "no")
        (problem,) = server_problems(server.url)
        assert "keeps nothing on its disk" in problem
        admin.config_set("save", "60 1")
        assert server_problems(server.url) == []


def test_a_redis_that_cannot_write_its_files_is_a_problem(server: OwnRedis) -> None:
    (server.data_dir / "dump.rdb" / "in the way").mkdir(parents=True)
    with server.client() as admin:
        admin.config_set("save", "60 1")
        admin.bgsave()
        deadline = time.monotonic() + 30
        while not server_problems(server.url):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    (problem,) = server_problems(server.url)
    assert problem.startswith("rdb_last_bgsave_status is err")


def test_a_replica_is_a_problem(server: OwnRedis) -> None:
    with server.client() as admin:
        admin.execute_command("REPLICAOF", "127.0.0.1", "1")
    (problem,) = server_problems(server.url)
    assert "is a replica" in problem


def test_where_nobody_may_ask_for_the_configuration_the_rest_is_still_looked_at(server: OwnRedis) -> None:
    """Managed servers forbid CONFIG."""
    with server.client() as admin:
        admin.config_set("maxmemory-policy", "allkeys-lru")
        admin.config_set("appendonly", "no")
        admin.execute_command("ACL", "SETUSER", "default", "-config")
    (problem,) = server_problems(server.url)
    assert problem.startswith("maxmemory-policy is allkeys-lru")


def test_a_redis_that_is_down_or_refuses_is_unavailable(server: OwnRedis) -> None:
    with server.client() as admin:
        admin.execute_command("ACL", "SETUSER", "default", "-info")
    with pytest.raises(StoreUnavailable):
        server_problems(server.url)
    server.stop()
    with pytest.raises(StoreUnavailable):
        server_problems(server.url)


def test_problems_are_logged_at_the_start_and_a_redis_that_is_down_stops_nobody(server: OwnRedis, tmp_path: Path) -> None:
    settings = Settings(redis_url=server.url, data_dir=tmp_path)
    with server.client() as admin:
        admin.config_set("maxmemory-policy", "allkeys-lru")
    with logging_to_memory() as log:
        check_redis(settings)
    (line,) = [line for line in log.lines if line["action"] == "redis_problem"]
    assert "allkeys-lru" in line["problem"]
    server.stop()
    check_redis(settings)


@pytest.mark.parametrize("url", ["sentinel://h:26379/0", "redis+sentinel://h:26379/primary", "redis+cluster://h", "http://h:6379"])
def test_a_url_that_names_no_primary_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="it must begin with redis://, rediss:// or unix:// and name the primary"):
        Settings(redis_url=url)


class TestCluster:
    def test_it_is_not_supported(self, cluster: OwnRedis, tmp_path: Path) -> None:
        with pytest.raises(ServerUnsupported, match=NO_CLUSTER):
            server_problems(cluster.url)
        with pytest.raises(NotConfigured, match=NO_CLUSTER):
            check_redis(Settings(redis_url=cluster.url, data_dir=tmp_path))

    def test_an_api_does_not_start(self, cluster: OwnRedis, tmp_path: Path) -> None:
        env = {**os.environ, "S2EDIT_REDIS_URL": cluster.url, "S2EDIT_DATA_DIR": str(tmp_path / "data")}
        ended = subprocess.run(
            [sys.executable, "-m", "uvicorn", "--factory", "api.serve:create_app", "--port", "0"],
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode != 0
        assert NO_CLUSTER in ended.stderr.splitlines()[-1]

    def test_a_worker_does_not_start_and_loads_no_model(self, cluster: OwnRedis, tmp_path: Path) -> None:
        loaded = []

        def load(_settings: Settings) -> FakeEngine:
            loaded.append(1)
            return FakeEngine()

        with pytest.raises(SystemExit, match=NO_CLUSTER):
            WorkerProcess(Settings(redis_url=cluster.url, data_dir=tmp_path), load).start()
        assert not loaded

    def test_whoever_uses_one_all_the_same_is_told(self, cluster: OwnRedis) -> None:
        store = redis_job_store(cluster.url, timeout_s=2.0)
        with pytest.raises(StoreUnavailable, match=NO_CLUSTER):
            store.leases.claim(lease_s=9)
        with cluster.client() as admin:
            admin.execute_command("CLUSTER", "ADDSLOTS", *range(100))  # some of the slots are another node's
        with pytest.raises(StoreUnavailable, match=NO_CLUSTER):
            store.usage.count_refusal("prompt")
