"""Ways to have a real Redis refuse, each undone at its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import redis

from tests.servers.redis_servers import OwnRedis


@contextmanager
def full_memory(server: OwnRedis) -> Iterator[None]:
    with server.client() as admin:
        admin.config_set("maxmemory", 1)
        yield
        admin.config_set("maxmemory", 0)


@contextmanager
def full_disk(server: OwnRedis) -> Iterator[None]:
    """A snapshot can't be written: a folder stands in its place."""
    (server.data_dir / "dump.rdb" / "in the way").mkdir(parents=True)
    with server.client() as admin:
        admin.config_set("save", "3600 1")
        admin.bgsave()
        deadline = time.monotonic() + 30
        while admin.info("persistence")["rdb_last_bgsave_status"] == "ok":  # type: ignore[index]
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield
        admin.config_set("save", "")


@contextmanager
def away(server: OwnRedis) -> Iterator[None]:
    """Nobody reaches the server, which goes on: its socket has another name, and all connections are closed."""
    path = Path(server.url.removeprefix("unix://"))
    hidden = path.rename(path.with_name("away.sock"))
    with redis.Redis.from_url(f"unix://{hidden}") as admin:
        admin.client_kill_filter(_type="normal", skipme=True)
    yield
    hidden.rename(path)


@contextmanager
def no_replicas(server: OwnRedis) -> Iterator[None]:
    with server.client() as admin:
        admin.config_set("min-replicas-to-write", 1)
        yield
        admin.config_set("min-replicas-to-write", 0)


@contextmanager
def demoted(server: OwnRedis) -> Iterator[None]:
    with server.client() as admin:
        admin.execute_command("REPLICAOF", "127.0.0.1", "1")
        yield
        admin.execute_command("REPLICAOF", "NO", "ONE")


@contextmanager
def demoted_and_cut_off(server: OwnRedis) -> Iterator[None]:
    with server.client() as admin, demoted(server):
        admin.config_set("replica-serve-stale-data", "no")
        yield
        admin.config_set("replica-serve-stale-data", "yes")


@contextmanager
def busy(server: OwnRedis) -> Iterator[None]:
    def run() -> None:
        with server.client() as client, suppress(redis.ResponseError):
            client.eval("while true do end", 0)

    with server.client() as admin:
        admin.config_set("lua-time-limit", 10)
        thread = threading.Thread(target=run)
        thread.start()
        until_refused(admin)
        yield
        admin.script_kill()
        thread.join()


def until_refused(client: redis.Redis) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            client.get("s2edit:life")
        except redis.RedisError:
            return
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def forbidden(server: OwnRedis) -> Iterator[None]:
    with server.client() as admin:
        admin.execute_command("ACL", "SETUSER", "admin", "on", ">secret", "~*", "&*", "+@all")
        admin.execute_command("ACL", "SETUSER", "default", "-@all")
    yield
    with server.client(username="admin", password="secret") as admin:
        admin.execute_command("ACL", "SETUSER", "default", "+@all")


@contextmanager
def loading(server: OwnRedis) -> Iterator[None]:
    """It has restarted and reads its file slowly. It answers clients after every 1,024 commands."""
    with server.client() as admin, admin.pipeline(transaction=False) as commands:
        for number in range(24_000):
            commands.set(f"other:{number}", number)
        commands.execute()
    server.stop()
    server.waits = False
    server.options = {"key_load_delay": "100"}
    server.start()
    deadline = time.monotonic() + 30
    with server.client() as admin:
        while True:
            try:
                admin.get("s2edit:life")
            except redis.exceptions.BusyLoadingError:
                break
            except redis.ConnectionError:
                assert time.monotonic() < deadline
                time.sleep(0.005)
    yield


READABLE = {"full memory": full_memory, "full disk": full_disk, "no replicas": no_replicas, "demoted": demoted}
"""Refusals of writes only."""
SILENT = {"cut off": demoted_and_cut_off, "busy": busy, "forbidden": forbidden}
"""Refusals of everything."""
