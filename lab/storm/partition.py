"""Cut workers off from Redis: `python -m lab.storm.partition --out lab/results/partition.json`, as root on Linux.

Each worker runs in its own network namespace with one link to Redis. While edits run, links are cut for less and for more than a
lease; packets are dropped silently. Another worker must take over the edit, and a worker that is cut off must not publish a second
outcome. It could: the object store stays reachable.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lab.storm.app import planned_edit
from lab.storm.checks.history import outcomes_won
from lab.storm.promises import SEED, Trial
from lab.storm.system.engines import EngineChoice, Reference, unsigned
from lab.storm.system.processes import ProcessGroup, StormSetup, run_api, run_housekeeper, run_worker
from s2edit_jobs.bootstrap import build_services
from s2edit_jobs.records.record import JobSpec, Outcome
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.embedded_redis import EmbeddedRedis

NEW_NETWORK = 0x40000000  # CLONE_NEWNET


class NetworkedRedis(EmbeddedRedis):
    """The embedded Redis, which also listens on TCP without protection. Use it only with addresses that nobody else reaches."""

    def __init__(self, data_dir: Path, addresses: Sequence[str], port: int) -> None:
        super().__init__(data_dir)
        self._addresses = addresses
        self._port = port

    def _options(self) -> list[str]:
        return [*super()._options(), "--port", str(self._port), "--protected-mode", "no", "--bind", *self._addresses]


@dataclass(frozen=True, slots=True)
class Link:
    """A link between this network namespace and a worker's: `10.199.<number>.1` on this side, `.2` on the worker's."""

    number: int

    @property
    def namespace(self) -> str:
        return f"s2edit-{os.getpid()}-{self.number}"

    @property
    def address(self) -> str:
        return f"10.199.{self.number}.1"

    @property
    def device(self) -> str:
        return f"s2e{os.getpid() % 100_000}h{self.number}"

    def up(self) -> None:
        _ip("link", "set", self.device, "up")

    def cut(self) -> None:
        _ip("link", "set", self.device, "down")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)  # noqa: S603, S607


@contextmanager
def linked(number: int) -> Iterator[Link]:
    link = Link(number)
    there = link.device.replace("h", "t")
    _ip("netns", "add", link.namespace)
    try:
        _ip("link", "add", link.device, "type", "veth", "peer", "name", there)
        _ip("link", "set", there, "netns", link.namespace)
        _ip("addr", "add", f"{link.address}/30", "dev", link.device)
        _ip("-n", link.namespace, "addr", "add", f"10.199.{number}.2/30", "dev", there)
        _ip("-n", link.namespace, "link", "set", there, "up")
        link.up()
        yield link
    finally:
        _ip("netns", "delete", link.namespace)  # this deletes the link too


def run_cut_off_worker(setup: StormSetup, number: int, namespace: str) -> None:
    with open(f"/run/netns/{namespace}") as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), NEW_NETWORK):
            raise OSError(ctypes.get_errno(), "can't enter the network namespace")
    run_worker(setup, number)


def partition(*, jobs: int, workers: int, cuts: int, lease_s: float) -> dict[str, Any]:
    rng = random.Random(SEED)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="partition-")))
        links = [stack.enter_context(linked(number)) for number in range(workers)]
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=512))
        port = 20_000 + os.getpid() % 20_000
        redis = stack.enter_context(NetworkedRedis(folder / "redis", [link.address for link in links], port))
        settings = Settings(
            auth="open",
            redis_url=redis.url,
            data_dir=folder / "data",
            public_url=f"http://127.0.0.1:{listener.getsockname()[1]}",
            lease_s=lease_s,
            heartbeat_interval_s=lease_s / 4,
            max_attempts=20,
            max_unfinished_edits_per_user=jobs,
        )
        setup = StormSetup(settings, folder, EngineChoice(step_s=0.1))
        setup.make_folders()
        processes = ProcessGroup()
        stack.callback(processes.stop)
        trial = Trial(setup, build_services(settings), processes, listener)
        processes.add("api", run_api, setup, listener)
        processes.add("housekeeper", run_housekeeper, setup)
        for link in links:
            worker_setup = replace(setup, settings=settings.model_copy(update={"redis_url": f"redis://{link.address}:{port}"}))
            processes.add(f"worker-{link.number}", run_cut_off_worker, worker_setup, link.number, link.namespace)
        with trial.client() as http, ThreadPoolExecutor(8) as crowd:
            list(crowd.map(lambda number: trial.post(http, planned_edit(SEED, number)), range(jobs)))
        began = time.monotonic()
        cuts_made = 0
        for number in range(cuts):
            link = rng.choice(links)
            link.cut()
            cuts_made += 1
            time.sleep(lease_s * (0.5 if number % 3 == 0 else 2.0))
            link.up()
            time.sleep(lease_s / 2)
            if trial.count_objects("outcome.json") == jobs:
                break
        trial.wait(lambda: trial.count_objects("outcome.json") == jobs)
        return {"edits": jobs, "workers": workers, "lease_s": lease_s, "cuts": cuts_made, **_verdict(trial)} | {
            "took_s": round(time.monotonic() - began, 1)
        }


def _verdict(trial: Trial) -> dict[str, Any]:
    event_log, artifacts = trial.event_log(), trial.services.artifacts
    reference = Reference(trial.setup.engine_choice, trial.setup.settings)
    won = outcomes_won(event_log)
    lost, wrong = [], []
    for key in [key for key in artifacts.list("t/") if key.endswith("/spec.json")]:
        spec = JobSpec.from_json(artifacts.get(key))
        outcome = Outcome.from_json(artifacts.get(key.replace("spec.json", "outcome.json")))
        if outcome.state.value != "succeeded":
            lost.append(spec.id)
            continue
        inputs, prompt = trial.inputs(spec), spec.request.prompt
        assert prompt is not None
        if hashlib.sha256(unsigned(artifacts.get(outcome.artifacts["result"]))).hexdigest() != reference.result(prompt, inputs):
            wrong.append(spec.id)
    claims = Counter(line["job"] for line in event_log if line["what"] == "claim")
    return {
        "lost": len(lost),
        "duplicated": sum(count > 1 for count in won.values()),
        "wrong": len(wrong),
        "edits_taken_again": sum(count > 1 for count in claims.values()),
        "outcomes_refused": sum(line["what"] == "outcome" and not line["won"] for line in event_log),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m lab.storm.partition", description=__doc__.partition("\n")[0] if __doc__ else ""
    )
    parser.add_argument("--jobs", type=int, default=150, help="number of edits")
    parser.add_argument("--workers", type=int, default=3, help="number of workers")
    parser.add_argument("--cuts", type=int, default=30, help="number of times that a worker is cut off")
    parser.add_argument("--lease", type=float, default=2.0, help="seconds")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    given = parser.parse_args(arguments)
    figures = partition(jobs=given.jobs, workers=given.workers, cuts=given.cuts, lease_s=given.lease)
    print(json.dumps(figures, indent=1))
    if given.out:
        given.out.write_text(json.dumps(figures, indent=1) + "\n")
    return 1 if figures["lost"] or figures["duplicated"] or figures["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
