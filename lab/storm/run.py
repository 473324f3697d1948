"""Inject faults into the running service: `python -m lab.storm --jobs 1000 --kills 100 --seed 1`.

The storm starts real processes on this machine: the API, workers with a fake engine, an embedded Redis and a folder of files.
While a client posts edits, processes are killed at random times and at every named crash point. Redis is killed and flushed.
Workers are paused for longer than their lease, or stopped. Celery messages are sent twice or lost. At the end, `lab.storm.history`
checks the answers to the client and the content of the store against a model. All random choices follow from the seed; process
scheduling does not.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import socket
import statistics
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_args

from pydantic import SecretStr
from redis import Redis
from redis.exceptions import RedisError

from lab.storm.app import ClientApp, planned_edit
from lab.storm.control import Losses, both_controls
from lab.storm.engines import EngineChoice, EngineName, Reference
from lab.storm.history import Findings, History, StoredEdit, check, outcomes_won, restart_seconds
from lab.storm.points import POINTS, read_event_logs
from lab.storm.processes import ProcessGroup, StormSetup, run_api, run_housekeeper, run_worker
from lab.storm.receiver import Receiver
from s2edit_jobs.bootstrap import Services, build_services
from s2edit_jobs.records.errors import ServiceUnavailable
from s2edit_jobs.records.record import JobSpec, Outcome
from s2edit_jobs.records.webhooks import message_id
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.celery_queue import QUEUE
from s2edit_jobs.stores.embedded_redis import EmbeddedRedis

TICK_S = 0.02
HORIZON = 0.9
"""Share of the edits during which disturbances happen. The rest runs undisturbed, so that all edits can end."""
POINTS_HORIZON = 0.7
"""The same for crash points. They are armed earlier, so that a process still reaches them."""
MEMORY = Path("/dev/shm")  # noqa: S108  a folder of its own is made in it
"""Default folder of a storm, if it exists. SIGKILL loses no written data, so a file system in memory is as good as a disk."""


@dataclass(frozen=True, slots=True)
class Plan:
    jobs: int
    kills: int
    seed: int
    workers: int = 4
    lease_s: float = 6.0
    engine_choice: EngineChoice = field(default_factory=EngineChoice)
    patience_s: float = 120.0  # the storm ends when nothing has happened for so long

    def disturbances(self) -> list[tuple[float, str]]:
        """Return all disturbances, sorted by the share of ended edits after which they happen.

        Half of the kills, but at least one per crash point, are at crash points. Each of the other disturbances happens once per
        fifty kills, and at least once. Results files contain the names, so they stay.
        """
        rng = random.Random(self.seed)
        named = [f"point {point}" for point in rng.sample(POINTS, len(POINTS))]
        count = min(self.kills, max(len(named), self.kills // 2))
        at_points = [named[i % len(named)] for i in range(count)]
        others = rng.choices(["kill worker", "kill api", "kill redis"], weights=[85, 10, 5], k=self.kills - count)
        others += ["empty redis", "pause worker", "stop worker", "ring twice", "lose rings"] * max(1, self.kills // 50)
        early = [(POINTS_HORIZON * rng.random(), disturbance) for disturbance in at_points]
        return sorted(early + [(HORIZON * rng.random(), disturbance) for disturbance in others])


@dataclass
class Result:
    plan: Plan
    history: History
    findings: Findings
    event_log: list[dict[str, Any]]
    killed: dict[int, float]  # time of the kill by process id
    disturbances: Counter[str]
    webhooks: int  # received, including repeated ones
    took_s: float
    answers_s: Sequence[float] = field(default_factory=list)

    @property
    def points(self) -> set[str]:
        return set(self._crashes)

    @property
    def kills(self) -> int:
        """The number of kills that took place. An armed point that no process has reached does not count."""
        return sum(count for disturbance, count in self.disturbances.items() if disturbance.startswith("kill")) + len(self._crashes)

    @property
    def _crashes(self) -> list[str]:
        return [str(line["point"]) for line in self.event_log if line["what"] == "crash"]

    def line(self) -> str:
        counts = self.findings.counts()
        waits = restart_seconds(self.event_log, self.killed)
        p99 = f"{_quantiles(waits)['p99']:.1f} s" if len(waits) > 1 else "unknown"
        of_model = " of the shipped model" if self.plan.engine_choice.name == "model" else ""
        learned = Counter(line["key"] for line in self.event_log if line["what"] == "learned")
        return (
            f"storm, seed {self.plan.seed}: {self.plan.jobs} edits{of_model}, {self.kills} kills "
            f"({len(self.points)} of {len(POINTS)} crash points): {counts['lost']} lost, {counts['duplicated']} duplicated, "
            f"{counts['wrong_owner']} with a wrong owner, {counts['out_of_order']} out of order; "
            f"{self.webhooks} webhooks reported their ends; "
            f"{len(learned)} identities learned {sum(learned.values())} times; "
            f"orphans restarted within {p99} (p99 of {len(waits)}); {self.took_s:.0f} s"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the content of a results file. Existing files and tables rely on the keys `blows` and `cast`."""
        plan = asdict(self.plan)
        plan["cast"] = plan.pop("engine_choice")
        return {
            "line": self.line(),
            "findings": vars(self.findings),
            "points": sorted(self.points),
            "points_missed": sorted(set(POINTS) - self.points),
            "blows": dict(self.disturbances),
            "plan": plan,
            "restart_s": _quantiles(restart_seconds(self.event_log, self.killed)),
            "answered_s": _quantiles(self.answers_s),  # from the first try of a post to its 202
            "webhooks": self.webhooks,
            "took_s": round(self.took_s, 1),
        }


def _quantiles(values: Sequence[float]) -> dict[str, float]:
    if len(values) < 2:
        return {"count": len(values)}
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return {"count": len(values), "p50": round(cuts[49], 3), "p99": round(cuts[98], 3), "max": round(max(values), 3)}


class Storm:
    def __init__(
        self,
        plan: Plan,
        folder: Path,
        redis: EmbeddedRedis,
        listener: socket.socket,
        receiver: Receiver,
        progress: Path | None = None,
    ) -> None:
        self._plan = plan
        self._progress = progress
        self._receiver = receiver
        self._redis = redis
        self._rng = random.Random(plan.seed)
        self._settings = Settings(
            auth="open",
            redis_url=redis.url,
            data_dir=folder / "data",
            public_url=f"http://127.0.0.1:{listener.getsockname()[1]}",
            lease_s=plan.lease_s,
            heartbeat_interval_s=plan.lease_s / 4,
            reap_interval_s=min(1.0, plan.lease_s / 4),
            max_attempts=100,  # kills must not park an edit
            max_unfinished_edits_per_user=1000,
            webhook_secrets=SecretStr(receiver.secret),
            webhook_allow_private=True,
        )
        self._setup = StormSetup(self._settings, folder, plan.engine_choice)
        self._setup.armed.mkdir()
        self._setup.event_logs.mkdir()
        self._listener = listener
        self._services: Services = build_services(self._settings)
        self._processes = ProcessGroup(plan.engine_choice)
        self._app = ClientApp(self._settings.public_url, plan.seed, plan.jobs, receiver.url, plan.engine_choice, self._reference())
        # With fewer open edits, posting takes longer: otherwise all edits of a short storm would be posted before the first fault.
        self._app.max_open = min(self._app.max_open, 8 + plan.jobs // 10)
        self._paused: dict[str, float] = {}
        self._killed: dict[int, float] = {}
        self._done: Counter[str] = Counter()
        self._postponed: deque[str] = deque()  # kills to repeat: no process was there, or the point was still armed

    def run(self) -> Result:
        self._began = time.monotonic()
        try:
            self._processes.add("api", run_api, self._setup, self._listener)
            for number in range(2):
                self._processes.add(f"housekeeper-{number}", run_housekeeper, self._setup)
            for number in range(self._plan.workers):
                self._processes.add(f"worker-{number}", run_worker, self._setup, number)
            self._app.start()
            self._disturb_until_done()
            self._app.stop()
        finally:
            self._processes.stop()
        event_log = read_event_logs(self._setup.event_logs)
        history = History(self._app.accepted, self._app.polls, self._stored_edits(event_log), self._app.events)
        findings = check(history)
        findings.lost += self._app.unexpected
        findings.lost += [f"{job}: no webhook reported its end" for job in self._without_webhook()]
        if self._receiver.forged:
            findings.wrong_owner.append(f"{self._receiver.forged} webhooks had a wrong signature")
        if len(self._app.accepted) < self._plan.jobs:
            findings.lost.append(f"only {len(self._app.accepted)} of {self._plan.jobs} edits were accepted in time")
        crashes = {line["pid"]: line["at"] for line in event_log if line["what"] == "crash"}
        return Result(
            plan=self._plan,
            history=history,
            findings=findings,
            event_log=event_log,
            killed={**self._killed, **crashes},
            disturbances=self._done,
            webhooks=sum(self._receiver.received.values()),
            took_s=time.monotonic() - self._began,
            answers_s=self._app.answers,
        )

    def _reference(self) -> dict[int, str]:
        """Return the digests of the expected pictures, from a run without faults, by number of the edit."""
        reference = Reference(self._plan.engine_choice, self._settings)
        one_prompt = self._plan.engine_choice.one_prompt
        edits = [planned_edit(self._plan.seed, number, one_prompt=one_prompt) for number in range(self._plan.jobs)]
        return {one.number: reference.result(one.prompt, one.inputs) for one in edits}

    def _disturb_until_done(self) -> None:
        """Cause the planned disturbances, then wait until all edits and webhooks are done, or nothing happens for `patience_s`."""
        disturbances = self._plan.disturbances()
        next_disturbance, over, reported, since, shown = 0, -1, -1, time.monotonic(), 0.0
        while (
            not (self._app.finished and next_disturbance == len(disturbances) and not self._without_webhook())
            and time.monotonic() - since < self._plan.patience_s
        ):
            if (self._app.over, len(self._receiver.received)) != (over, reported):
                over, reported, since = self._app.over, len(self._receiver.received), time.monotonic()
            if next_disturbance < len(disturbances) and over >= disturbances[next_disturbance][0] * self._plan.jobs:
                self._disturb(disturbances[next_disturbance][1])
                next_disturbance += 1
            elif self._postponed and over < HORIZON * self._plan.jobs:
                self._disturb(self._postponed.popleft())
            if time.monotonic() - shown > 1.0:
                shown = time.monotonic()
                self._write_progress()
            self._restart_and_resume()
            time.sleep(TICK_S)

    def _write_progress(self) -> None:
        """Write the progress of the storm to the file that `--progress` names."""
        if self._progress is not None:
            kills = sum(count for disturbance, count in self._done.items() if disturbance.startswith("kill"))
            progress = {
                "accepted": len(self._app.accepted),
                "over": self._app.over,
                "webhooks": len(self._receiver.received),
                "kills": kills,  # besides those at crash points
                "armed": len(list(self._setup.armed.iterdir())),
                "seconds": round(time.monotonic() - self._began),
            }
            self._progress.write_text(json.dumps(progress) + "\n")

    def _without_webhook(self) -> list[str]:
        """Return the ids of the accepted edits whose end no webhook has reported."""
        return [edit.job for edit in self._app.accepted if message_id(edit.job) not in self._receiver.received]

    def _restart_and_resume(self) -> None:
        self._redis.restart_if_dead()
        self._processes.restart_dead()
        for name, until in list(self._paused.items()):
            if time.monotonic() > until:
                self._processes.kill(name, signal.SIGCONT)
                del self._paused[name]

    def _disturb(self, disturbance: str) -> None:
        kind, _, what = disturbance.partition(" ")
        if kind == "point":
            armed = self._setup.armed / what
            if armed.exists():
                self._postponed.append("kill worker")
            armed.touch()
            return
        if disturbance == "kill redis":
            os.kill(self._redis.pid, signal.SIGKILL)
        elif kind in ("kill", "stop", "pause"):
            if not self._signal_process(kind, what):
                if kind == "kill":
                    self._postponed.append(disturbance)
                return
        else:
            try:
                self._disturb_redis(disturbance)
            except (RedisError, ServiceUnavailable):  # Redis is down at this moment
                return
        self._done[disturbance] += 1

    def _signal_process(self, kind: str, what: str) -> bool:
        """Kill, stop or pause a random process whose name starts with `what`. Return whether there was one."""
        names = self._processes.names(what)
        if not names:
            return False
        name = self._rng.choice(names)
        number = {"kill": signal.SIGKILL, "stop": signal.SIGTERM, "pause": signal.SIGSTOP}[kind]
        pid = self._processes.kill(name, number)
        if kind == "pause":
            self._paused[name] = time.monotonic() + 1.5 * self._plan.lease_s
        elif kind == "kill" and pid is not None:
            self._killed[pid] = time.time()
        return pid is not None

    def _disturb_redis(self, disturbance: str) -> None:
        with Redis.from_url(self._redis.url, socket_timeout=2) as client:
            if disturbance == "empty redis":
                client.flushall()
            elif disturbance == "lose rings":
                client.delete(QUEUE)
            else:
                for job in self._app.open_jobs():
                    self._services.queue.notify(job)

    def _stored_edits(self, event_log: Sequence[dict[str, Any]]) -> list[StoredEdit]:
        artifacts, won = self._services.artifacts, outcomes_won(event_log)
        stored = []
        for key in artifacts.list("t/"):
            if not key.endswith("/spec.json"):
                continue
            spec = JobSpec.from_json(artifacts.get(key))
            end = key.replace("spec.json", "outcome.json")
            outcome = Outcome.from_json(artifacts.get(end)) if artifacts.exists(end) else None
            picture = outcome.artifacts.get("result") if outcome else None
            # A worker that is killed between writing its outcome and its log line leaves no line, so no line counts as one write.
            stored.append(
                StoredEdit(
                    spec.id,
                    user=key.split("/")[3],
                    state=outcome.state if outcome else None,
                    result=hashlib.sha256(artifacts.get(picture)).hexdigest() if picture else "",
                    outcomes_won=max(1, won[end]),
                )
            )
        return stored


def storm(plan: Plan, *, folder: Path | None = None, progress: Path | None = None) -> Result:
    """Run a storm in a new folder below `folder`, and write its progress to the file `progress`."""
    folder = folder or (MEMORY if os.access(MEMORY, os.W_OK) else None)
    with (
        tempfile.TemporaryDirectory(prefix="storm-", dir=folder) as name,
        EmbeddedRedis(Path(name) / "redis") as redis,
        socket.create_server(("127.0.0.1", 0), backlog=512) as listener,
        Receiver() as receiver,
    ):
        return Storm(plan, Path(name), redis, listener, receiver, progress).run()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.storm", description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument(
        "--engine", choices=get_args(EngineName), default="fake", help="fake engine, or the shipped model with few steps"
    )
    parser.add_argument("--lease", type=float, default=6.0, help="lease in seconds; the service's default is 6")
    parser.add_argument(
        "--control", action="store_true", help="then repeat the kills on plain Celery tasks, without and with a flushed Redis"
    )
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    parser.add_argument("--history", type=Path, help="JSON file for the full history and event log")
    parser.add_argument("--folder", type=Path, help="parent of the storm's temporary folder; by default in memory")
    parser.add_argument("--progress", type=Path, help="JSON file for the progress, updated every second")
    given = parser.parse_args(arguments)
    plan = Plan(
        given.jobs, given.kills, given.seed, workers=given.workers, lease_s=given.lease, engine_choice=EngineChoice(given.engine)
    )
    result = storm(plan, folder=given.folder, progress=given.progress)
    print(result.line(), flush=True)
    losses: list[Losses] = []
    if given.control:
        losses = both_controls(
            jobs=plan.jobs, kills=plan.kills, seed=plan.seed, workers=plan.workers, step_s=plan.engine_choice.step_s
        )
    if given.out:
        given.out.write_text(json.dumps({**result.to_dict(), "control": [one.line() for one in losses]}, indent=1) + "\n")
    if given.history:
        given.history.write_text(json.dumps({"history": result.history.to_dict(), "event_log": result.event_log}))
    for found in (*result.findings.lost, *result.findings.duplicated, *result.findings.wrong_owner, *result.findings.out_of_order):
        print(f"  {found}", file=sys.stderr)
    return 0 if result.findings.clean else 1


if __name__ == "__main__":
    sys.exit(main())
