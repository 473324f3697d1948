"""Inject faults into the running service: `python -m lab.storm --jobs 1000 --kills 100 --seed 1`.

The storm starts real processes on this machine: the API, housekeepers, workers with a fake engine, an embedded Redis and a folder
of files. While a client posts edits, processes are killed at random times and at every named crash point. Workers are paused for
longer than their lease, or stopped. Redis is killed, emptied, cut off and restored to an older state; it loses messages and
records. The store is full or away, answers 500 after it has written, and holds foreign files and a job of a newer release. The
receiver of webhooks refuses first tries, or does not answer.

A GET enters an edit again that Redis has lost, so the client never looks at a third of the edits before all is calm. At the end,
`checks.history` checks the answers to the client, the webhooks and the content of the store against a model of an edit, and
`checks.attempts` checks what the workers did. All random choices follow from the seed; process scheduling does not.

A storm does not see what a power cut loses, a real device, clocks that differ, or S3.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
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

from lab.storm.app import ClientApp, planned_edit
from lab.storm.census import Census, sha256, stored_edits
from lab.storm.checks.attempts import check_attempts
from lab.storm.checks.history import Findings, History, check, lost_times, older_times, restart_seconds
from lab.storm.control import Losses, both_controls
from lab.storm.faults.faults import Faults
from lab.storm.measured import measured_with
from lab.storm.plan import HORIZON, Plan
from lab.storm.receiver import Receiver
from lab.storm.system.engines import EngineChoice, EngineName, Reference
from lab.storm.system.points import POINTS, read_event_logs
from lab.storm.system.processes import ProcessGroup, StormSetup, run_api, run_housekeeper, run_worker
from s2edit_jobs.bootstrap import build_services
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.embedded_redis import EmbeddedRedis

TICK_S = 0.02
HANG_LEASES = 3.0
"""After how many leases without progress a worker counts as hung: a paused worker must come back before."""
MEMORY = Path("/dev/shm")  # noqa: S108  a folder of its own is made in it
"""Default folder of a storm, if it exists. SIGKILL loses no written data, so a file system in memory is as good as a disk."""


@dataclass
class Result:
    plan: Plan
    history: History
    findings: Findings
    event_log: list[dict[str, Any]]
    killed: dict[int, float]  # time of the kill by process id
    disturbances: Counter[str]
    took_s: float
    answers_s: Sequence[float] = field(default_factory=list)
    rounding_levels: float = 0.0

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

    @property
    def webhook_tries(self) -> dict[str, int]:
        """The tries to send webhooks, and those that were refused or not answered."""
        tries = self.history.webhook_tries or ()
        return {"tries": len(tries), "refused": sum(not one.accepted for one in tries)}

    @property
    def learned(self) -> dict[str, int]:
        """How many identities were learned, and how many learnings that took."""
        runs = Counter(line["key"] for line in self.event_log if line["what"] == "learned")
        return {"identities": len(runs), "runs": sum(runs.values())}

    @property
    def unlooked(self) -> int:
        """The number of edits that nobody looked at."""
        return sum(not one.looked_at for one in self.history.accepted)

    @property
    def emptied(self) -> int:
        return self.disturbances["empty redis"]

    @property
    def restarts(self) -> list[float]:
        """The seconds until the jobs of killed processes were claimed again, while Redis was there and had lost nothing."""
        return restart_seconds(self.event_log, self.killed, without=lost_times(self.event_log))

    def line(self) -> str:
        counts = self.findings.counts()
        waits = self.restarts
        p99 = f"{_quantiles(waits)['p99']:.1f} s" if len(waits) > 1 else "unknown"
        of_model = " of the shipped model" if self.plan.engine_choice.name == "model" else ""
        return (
            f"storm, seed {self.plan.seed}: {self.plan.jobs} edits{of_model}, {self.unlooked} of them never looked at, "
            f"{self.kills} kills ({len(self.points)} of {len(POINTS)} crash points), Redis emptied {self.emptied} times: "
            f"{counts['lost']} lost, {counts['duplicated']} duplicated, "
            f"{counts['wrong_owner']} with a wrong owner, {counts['out_of_order']} out of order; "
            f"{self.webhook_tries['tries']} tries of webhooks, {self.webhook_tries['refused']} refused; "
            f"{self.learned['identities']} identities learned {self.learned['runs']} times; "
            f"orphans restarted within {p99} (p99 of {len(waits)}); {self.took_s:.0f} s"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the content of a results file. Existing files and tables rely on the keys `blows` and `cast`."""
        plan = asdict(self.plan)
        plan["cast"] = plan.pop("engine_choice")
        what = Counter(str(line["what"]) for line in self.event_log)
        return {
            "line": self.line(),
            "findings": vars(self.findings),
            "points": sorted(self.points),
            "points_missed": sorted(set(POINTS) - self.points),
            "blows": dict(self.disturbances),
            "faults": {name: what[name] for name in ("crash", "pause", "500", "sick", "hung")},  # that processes had
            "kills": self.kills,
            "looked_at": self.plan.jobs - self.unlooked,
            "plan": plan,
            "restart_s": _quantiles(self.restarts),  # while Redis was there and had lost nothing
            "restart_in_all_s": _quantiles(restart_seconds(self.event_log, self.killed)),
            "rounding_levels": self.rounding_levels,  # largest mean difference of a picture from its reference, of 255
            "answered_s": _quantiles(self.answers_s),  # from the first try of a post to its 202
            "webhooks": self.webhook_tries,
            "learned": self.learned,
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
        self._settings = Settings(
            auth="open",
            redis_url=redis.url,
            data_dir=folder / "data",
            public_url=f"http://127.0.0.1:{listener.getsockname()[1]}",
            lease_s=plan.lease_s,
            heartbeat_interval_s=plan.lease_s / 4,
            reap_interval_s=min(1.0, plan.lease_s / 4),
            worker_jobs=plan.leases,
            max_attempts=100,  # kills must not park an edit
            pass_timeout_s=HANG_LEASES * plan.lease_s,
            max_unfinished_edits_per_user=1000,
            webhook_secrets=SecretStr(receiver.secret),
            webhook_allow_private=True,
        )
        self._setup = StormSetup(self._settings, folder, plan.engine_choice)
        self._setup.make_folders()
        self._listener = listener
        services = build_services(self._settings)
        self._artifacts = services.artifacts
        self._processes = ProcessGroup(plan.engine_choice)
        self._reference = Reference(plan.engine_choice, self._settings)
        self._app = ClientApp(
            self._settings.public_url, plan.seed, plan.jobs, receiver.url, plan.engine_choice, self._results(), late=plan.late
        )
        # With fewer open edits, posting takes longer: otherwise all edits of a short storm would be posted before the first fault.
        self._app.max_open = min(self._app.max_open, 8 + plan.jobs // 10)
        self._census = Census(self._artifacts, self._app)
        self._faults = Faults(plan, self._setup, redis, self._processes, self._app, services, self._census)
        self._shown = 0.0

    def run(self) -> Result:
        self._began = time.monotonic()
        try:
            self._processes.add("api", run_api, self._setup, self._listener)
            for number in range(2):
                self._processes.add(f"housekeeper-{number}", run_housekeeper, self._setup)
            for number in range(self._plan.workers):
                self._processes.add(f"worker-{number}", run_worker, self._setup, number)
            self._app.start()
            self._disturb()
            self._calm_down()
            self._app.stop()
            self._app.look_at_all()
        finally:
            self._processes.stop()
        return self._result()

    def _disturb(self) -> None:
        """Cause the planned disturbances as the edits end."""
        left = deque(self._plan.disturbances())
        to_look_at = self._plan.jobs - self._plan.jobs // 3
        since = Patience(self._plan.patience_s, ends=self._began + self._plan.limit_s)
        while (left or not self._faults.idle) and since.lasts(self._app.over, self._census.over, len(left)):
            share = self._app.over / to_look_at
            if left and share >= left[0][0]:
                self._faults.cause(left.popleft()[1])
            self._faults.tick(last=share >= HORIZON)
            self._tick()

    def _calm_down(self) -> None:
        """Cut Redis off once more, then wait until everything is over. No Redis is lost after that: only the reaper can help."""
        since = Patience(self._plan.patience_s, ends=self._began + self._plan.limit_s)
        self._faults.disarm()
        self._faults.cause("cut redis")
        while not self._over and since.lasts(self._app.over, self._census.over, len(self._receiver.webhook_tries)):
            if self._faults.idle:
                self._app.post_late(self._plan.jobs)
            self._faults.tick(last=True)
            self._tick()

    @property
    def _over(self) -> bool:
        """Whether all edits are over, looked at or not, and all webhooks were accepted."""
        return (
            self._app.finished
            and self._faults.idle
            and not self._census.unfinished()
            and {one.job for one in self._app.accepted} <= self._receiver.reported
        )

    def _tick(self) -> None:
        """Wait a moment, and write the progress of the storm to the file that `--progress` names."""
        if self._progress is not None and time.monotonic() - self._shown > 1.0:
            self._shown = time.monotonic()
            progress = {
                "accepted": len(self._app.accepted),
                "over": self._app.over,
                "unlooked_over": self._census.over,
                "webhooks": len(self._receiver.reported),
                "done": dict(self._faults.done),
                "armed": sorted(path.name for path in self._setup.armed.iterdir()),
                "seconds": round(time.monotonic() - self._began),
            }
            self._progress.write_text(json.dumps(progress) + "\n")
        time.sleep(TICK_S)

    def _result(self) -> Result:
        event_log = read_event_logs(self._setup.event_logs)
        recognise = self._reference.recognise if self._plan.leases > 1 else sha256
        stored = list(stored_edits(self._artifacts, event_log, recognise, apart=self._faults.newer))
        history = History(
            self._app.accepted, self._app.polls, stored, self._app.events, self._receiver.webhook_tries, older_times(event_log)
        )
        findings = check(history) + check_attempts(event_log, stored)
        findings.lost += self._app.unexpected
        for key in self._faults.newer:
            if not self._artifacts.exists(key):
                findings.lost.append(f"{key}: was removed, although only a newer release can read it")
            elif self._artifacts.exists(key.replace("spec.json", "outcome.json")):
                findings.duplicated.append(f"{key}: was ended, although only a newer release can read it")
        if self._receiver.forged:
            findings.wrong_owner.append(f"{self._receiver.forged} webhooks had a wrong signature")
        if not self._app.all_accepted:
            accepted = len({one.key for one in self._app.accepted})
            findings.lost.append(f"only {accepted} of {self._plan.jobs} edits were accepted in time")
        crashes = {line["pid"]: line["at"] for line in event_log if line["what"] == "crash"}
        return Result(
            plan=self._plan,
            history=history,
            findings=findings,
            event_log=event_log,
            killed={**self._faults.killed, **crashes},
            disturbances=self._faults.done,
            took_s=time.monotonic() - self._began,
            answers_s=self._app.answers,
            rounding_levels=self._reference.rounding_levels,
        )

    def _results(self) -> dict[int, str]:
        """Return the digests of the expected pictures, from a run without faults, by number of the edit."""
        choice, jobs = self._plan.engine_choice, self._plan.jobs
        with_slow_ones = 0 if choice.one_prompt else jobs  # as the client posts them
        edits = [planned_edit(self._plan.seed, number, one_prompt=choice.one_prompt, jobs=with_slow_ones) for number in range(jobs)]
        return {one.number: self._reference.result(one.prompt, one.inputs) for one in edits}


class Patience:
    """A wait that ends when nothing has changed for `seconds`, or at the time `ends` of the monotonic clock."""

    def __init__(self, seconds: float, *, ends: float) -> None:
        self._seconds = seconds
        self._ends = ends
        self._since = time.monotonic()
        self._before: tuple[object, ...] = ()

    def lasts(self, *now: object) -> bool:
        """Return whether one of the values has changed within the time."""
        if now != self._before:
            self._before, self._since = now, time.monotonic()
        return time.monotonic() < min(self._since + self._seconds, self._ends)


def storm(plan: Plan, *, folder: Path | None = None, progress: Path | None = None, logs: Path | None = None) -> Result:
    """Run a storm in a new folder below `folder`. Write its progress to the file `progress`, copy its logs to the folder `logs`."""
    folder = folder or (MEMORY if os.access(MEMORY, os.W_OK) else None)
    with (
        tempfile.TemporaryDirectory(prefix="storm-", dir=folder) as name,
        EmbeddedRedis(Path(name) / "redis") as redis,
        socket.create_server(("127.0.0.1", 0), backlog=512) as listener,
        Receiver() as receiver,
    ):
        result = Storm(plan, Path(name), redis, listener, receiver, progress).run()
        if logs is not None:
            logs.mkdir(parents=True, exist_ok=True)
            for path in Path(name).glob("*.log"):
                shutil.copy(path, logs)
        return result


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.storm", description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--jobs", type=int, default=1000, help="number of edits")
    parser.add_argument("--kills", type=int, default=100, help="number of killed processes")
    parser.add_argument("--seed", type=int, default=1, help="seed of the order of faults")
    parser.add_argument("--workers", type=int, default=4, help="number of workers")
    parser.add_argument("--leases", type=int, default=1, help="edits that a worker runs at a time")
    parser.add_argument(
        "--engine", choices=get_args(EngineName), default="fake", help="fake engine, or the shipped model with few steps"
    )
    parser.add_argument("--patience", type=float, default=120.0, help="seconds without any news after which the storm ends")
    parser.add_argument("--limit", type=float, default=3600.0, help="seconds after which the storm ends at the latest")
    parser.add_argument("--lease", type=float, default=6.0, help="lease in seconds; the service's default is 6")
    parser.add_argument(
        "--control", action="store_true", help="then repeat the kills on plain Celery tasks, without and with a flushed Redis"
    )
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    parser.add_argument("--history", type=Path, help="JSON file for the full history and event log")
    parser.add_argument("--folder", type=Path, help="parent of the storm's temporary folder; by default in memory")
    parser.add_argument("--progress", type=Path, help="JSON file for the progress, updated every second")
    parser.add_argument("--logs", type=Path, help="folder for the logs of the processes")
    given = parser.parse_args(arguments)
    plan = Plan(
        given.jobs,
        given.kills,
        given.seed,
        workers=given.workers,
        leases=given.leases,
        lease_s=given.lease,
        engine_choice=EngineChoice(given.engine),
        patience_s=given.patience,
        limit_s=given.limit,
    )
    result = storm(plan, folder=given.folder, progress=given.progress, logs=given.logs)
    print(result.line(), flush=True)
    losses: list[Losses] = []
    if given.control:
        losses = both_controls(
            jobs=plan.jobs, kills=plan.kills, seed=plan.seed, workers=plan.workers, step_s=plan.engine_choice.step_s
        )
    if given.out:
        report = {**measured_with(), **result.to_dict(), "control": [one.line() for one in losses]}
        given.out.write_text(json.dumps(report, indent=1) + "\n")
    if given.history:
        given.history.write_text(json.dumps({"history": result.history.to_dict(), "event_log": result.event_log}))
    for found in (*result.findings.lost, *result.findings.duplicated, *result.findings.wrong_owner, *result.findings.out_of_order):
        print(f"  {found}", file=sys.stderr)
    return 0 if result.findings.clean else 1


if __name__ == "__main__":
    sys.exit(main())
