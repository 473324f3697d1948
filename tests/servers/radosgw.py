"""A real S3 server for tests: Ceph's radosgw with one monitor and one OSD, from Debian's or Ubuntu's packages.

`python -m tests.servers.radosgw FOLDER` supervises the servers. It prints a line of JSON once the gateway answers. When its
standard input ends, because the parent is done or was killed, it stops the servers and removes the folder.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.embedded_redis import end_with_parent

PACKAGES = ("radosgw", "ceph-mon", "ceph-osd")
PROGRAMS = ("radosgw", "radosgw-admin", "ceph-mon", "ceph-osd", "ceph", "ceph-authtool", "monmaptool")
START_S = 120.0
"""Longest start in seconds; an idle machine needs a tenth."""
STOP_S = 10.0
PORTS = 70
"""Number of consecutive ports: the gateway's, the monitor's, and from the tenth on those that the daemons choose from."""

CONFIGURATION = """
[global]
fsid = {fsid}
mon_initial_members = a
keyring = {root}/keyring
mon_host = v2:127.0.0.1:{monitor_port}
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
run_dir = {root}/run
admin_socket = {root}/run/$name.$pid.asok
log_file = {root}/log/$name.log
pid_file =
crash_dir = {root}/log
osd_crush_chooseleaf_type = 0
osd_pool_default_size = 1
osd_pool_default_min_size = 1
mon_allow_pool_size_one = true
osd_pool_default_pg_num = 1
osd_pool_default_pgp_num = 1
osd_pool_default_pg_autoscale_mode = off
mon_max_pg_per_osd = 1000
ms_bind_ipv6 = false
ms_bind_msgr1 = false
ms_bind_port_min = {first_port}
ms_bind_port_max = {last_port}
[mon.a]
mon_data = {root}/mon
mon_data_avail_crit = 1
mon_data_avail_warn = 1
[osd]
osd_data = {root}/osd
osd_objectstore = bluestore
bluestore_block_size = 4294967296
bluestore_block_create = true
osd_memory_target = 939524096
[client.rgw]
rgw_data = {root}/rgw
rgw_frontends = beast endpoint=127.0.0.1:{port}
rgw_thread_pool_size = 32
rgw_dns_name = 127.0.0.1
rgw_lc_debug_interval = {day_s}
rgw_lc_max_objs = 1
rgw_lc_max_worker = 1
"""
"""Lifecycle rules are read from one object by one thread: from 32 by three, every `DAY_S`, they took a tenth of a core."""
DAY_S = 2
"""Seconds that the server's lifecycle rules take for a day."""
KEYS: tuple[tuple[str, dict[str, str]], ...] = (
    ("mon.", {"mon": "allow *"}),
    ("client.admin", {"mon": "allow *", "osd": "allow *", "mgr": "allow *"}),
    ("osd.0", {"mon": "allow profile osd", "osd": "allow *", "mgr": "allow profile osd"}),
    ("client.rgw", {"mon": "allow rw", "osd": "allow rwx", "mgr": "allow rw"}),
)


class RadosgwError(RuntimeError):
    """The server can't be installed or started."""


def install() -> None:
    """Install missing packages, which needs root. Raises `RadosgwError`."""
    if _installed():
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise RadosgwError(f"these tests need a real S3 server: run as root `apt-get install {' '.join(PACKAGES)}`")
    with Path(tempfile.gettempdir(), "s2edit-radosgw-install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another test run may install them at the same time
        if not _installed():
            environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            apt = ["apt-get", "--quiet", "--option", "DPkg::Lock::Timeout=120"]
            install_them = [*apt, "install", "--yes", "--no-install-recommends", *PACKAGES]
            for command in ([*apt, "update"], install_them):
                done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400)
            if done.returncode != 0 or not _installed():
                raise RadosgwError(f"`{' '.join(install_them)}` failed: {(done.stderr or done.stdout).strip()[-800:]}")


def _installed() -> bool:
    return all(shutil.which(program) for program in PROGRAMS)


@contextmanager
def running() -> Iterator[Settings]:
    """Start a server and yield its settings. It has no bucket yet. Raises `RadosgwError`."""
    install()
    folder = Path(tempfile.mkdtemp(prefix="s2edit-rgw-", dir="/tmp"))  # TMPDIR may be too long for the daemons' sockets
    supervisor = subprocess.Popen(
        [sys.executable, "-m", "tests.servers.radosgw", str(folder)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C must reach the tests only; the end of its input stops the supervisor
    )
    assert supervisor.stdin is not None
    assert supervisor.stdout is not None
    try:
        answer = json.loads(supervisor.stdout.readline() or '{"error": "the supervisor died"}')
        if "error" in answer:
            raise RadosgwError(f"radosgw did not start: {answer['error']}")
        yield Settings(
            s3_endpoint_url=answer["url"],
            s3_bucket="s2edit",
            s3_access_key_id=answer["id"],
            s3_secret_access_key=SecretStr(answer["secret"]),
        )
    finally:
        supervisor.stdin.close()
        supervisor.wait(4 * STOP_S)


class _Cluster:
    """Monitor, OSD and gateway with their data in one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.port = _free_ports()
        self.id, self.secret = "tests", secrets.token_hex(20)
        self._fsid = str(uuid.uuid4())
        self._environment = {**os.environ, "CEPH_CONF": str(root / "ceph.conf")}
        self._daemons: list[subprocess.Popen[bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the daemons one after another. Raises `RadosgwError`."""
        self._write_configuration()
        self._make_keyring()
        self._launch("ceph-mon", "-f", "-i", "a")
        self._until("the monitor", self._monitor_answers)
        osd = str(uuid.uuid4())
        self._run("ceph", "osd", "new", osd)
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self._launch("ceph-osd", "-f", "-i", "0")
        self._until("the OSD", lambda: "1 up" in self._run("ceph", "osd", "stat"))
        self._launch("radosgw", "-f", "-n", "client.rgw")
        self._run("radosgw-admin", "user", "create", "--uid=tests", "--display-name=tests", f"--access-key={self.id}",
                 f"--secret={self.secret}")  # fmt: skip
        self._until("the gateway", self._gateway_answers)

    def stop(self) -> None:
        """Kill the daemons. A clean shutdown is not necessary, because nobody needs the data again."""
        for daemon in reversed(self._daemons):
            daemon.kill()
        for daemon in self._daemons:
            daemon.wait(STOP_S)

    def _write_configuration(self) -> None:
        for name in ("mon", "osd", "rgw", "run", "log"):
            (self.root / name).mkdir()
        ports = {
            "day_s": DAY_S,
            "port": self.port,
            "monitor_port": self.port + 1,
            "first_port": self.port + 10,
            "last_port": self.port + PORTS - 1,
        }
        (self.root / "ceph.conf").write_text(CONFIGURATION.format(root=self.root, fsid=self._fsid, **ports))

    def _make_keyring(self) -> None:
        keyring, monmap = str(self.root / "keyring"), str(self.root / "monmap")
        for name, rights in KEYS:
            caps = [part for daemon, right in rights.items() for part in ("--cap", daemon, right)]
            self._run("ceph-authtool", *(["--create-keyring"] if name == "mon." else []), keyring, "--gen-key", "-n", name, *caps)
        self._run("monmaptool", "--create", "--fsid", self._fsid, "--addv", "a", f"[v2:127.0.0.1:{self.port + 1}]", monmap)
        self._run("ceph-mon", "--mkfs", "-i", "a", "--keyring", keyring, "--monmap", monmap)

    def _run(self, *command: str) -> str:
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=START_S)
        if done.returncode != 0:
            raise RadosgwError(f"`{' '.join(command[:3])}` failed: {done.stderr.strip()[-800:]}")
        return done.stdout

    def _launch(self, *command: str) -> None:
        with (self.root / "log" / f"{command[0]}.out").open("ab") as log:
            self._daemons.append(
                subprocess.Popen(
                    command,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    preexec_fn=end_with_parent(signal.SIGKILL),
                )
            )

    def _until(self, what: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_S
        while not ready():
            if any(daemon.poll() is not None for daemon in self._daemons) or time.monotonic() > deadline:
                raise RadosgwError(f"{what} does not answer: {self._log_tail()}")
            time.sleep(0.1)

    def _log_tail(self) -> str:
        lines = [
            line for log in sorted((self.root / "log").glob("*")) for line in log.read_text(errors="replace").splitlines()[-3:]
        ]
        return " | ".join(lines)[-2000:]

    def _monitor_answers(self) -> bool:
        command = ["ceph", "--connect-timeout", "5", "mon", "stat"]
        return subprocess.run(command, env=self._environment, capture_output=True, timeout=60).returncode == 0

    def _gateway_answers(self) -> bool:
        with socket.socket() as connection:
            return connection.connect_ex(("127.0.0.1", self.port)) == 0


def _free_ports() -> int:
    """Return the first of `PORTS` consecutive free ports, below the range of ephemeral ports."""
    for first in range(20_000 + os.getpid() % 100 * 100, 32_000, PORTS):
        try:
            for port in range(first, first + PORTS):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise RadosgwError("no free ports")


def _print_json(**values: str) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def main(folder: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    cluster = None
    try:
        try:
            cluster = _Cluster(folder)
            cluster.start()
        except (RadosgwError, OSError, subprocess.SubprocessError) as error:
            _print_json(error=str(error))
            return
        _print_json(url=cluster.url, id=cluster.id, secret=cluster.secret)
        sys.stdin.read()
    finally:
        if cluster is not None:
            cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
