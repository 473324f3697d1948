"""The service that the pages under test belong to: `s2edit up`, with keys of test mode, so that no model is needed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import psutil

from cli.supervision.service import answers, free_port, new_probe
from s2edit_jobs.access.keys import KeyRing
from s2edit_jobs.bootstrap import build_artifacts
from s2edit_jobs.settings import ROOT, Settings
from s2edit_jobs.stores.embedded_redis import end_with_parent
from tests.servers.children import child_of
from tests.waiting import until

START_S, STOP_S = 150.0, 60.0
TENANT = "studio"


class Service:
    """`s2edit up` on one port and one data folder. It can be stopped and started again; keys and edits stay."""

    worker_app, settings = "tests.clients.guide_worker", {"S2EDIT_AUTH": "keys"}

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.key = self.new_key() if "S2EDIT_AUTH" in self.settings else ""
        self.settings = self.settings | settings
        self._process: psutil.Popen | None = None

    def new_key(self, tenant: str = TENANT) -> str:
        """Return a key of test mode. A tenant of its own sees nothing of what other tests do."""
        return KeyRing(build_artifacts(Settings(data_dir=self.folder / "data"))).create(tenant, test=True)[1]

    def start(self) -> None:
        argv = ["up", "--port", str(self.port), "--data-dir", str(self.folder / "data"), "--worker-app", self.worker_app]
        with self._log.open("ab") as log:
            self._process = psutil.Popen(
                [sys.executable, "-m", "cli", *argv],
                cwd=ROOT,
                env={**os.environ, **self.settings},
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=end_with_parent(signal.SIGTERM),  # a test run that is killed leaves nothing either
            )
        process = self._process
        with new_probe() as http:
            until(lambda: process.poll() is not None or answers(http, f"{self.url}/readyz"), START_S)
        assert process.poll() is None, self._log.read_text()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(STOP_S)

    def kill(self, word: str) -> None:
        """Kill the part of the service whose command line contains `word`. `s2edit up` starts it again."""
        assert self._process is not None
        child_of(self._process, word).kill()

    def client(self, key: str = "", user: str = "default") -> httpx.Client:
        """Return a client of the API, for what a test prepares or looks up."""
        headers = {"Authorization": f"Bearer {key or self.key}", "S2Edit-User": user}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, trust_env=False)

    @property
    def _log(self) -> Path:
        return self.folder / "up.txt"
