"""A storm over the service: `python -m lab.storm --jobs 1000 --kills 100 --seed 1`.

Real processes on this machine: the API, workers with a fake engine, a private Redis, files. While an app asks for edits, processes
are killed at random and at every named crash point, Redis is killed and emptied, workers are paused past their lease or told to
stop, doorbells are rung twice or lost. What the app saw and what the store holds at the end is held against a model of the promise
(`storm_history`). Everything random follows from the seed; how the operating system runs the processes does not.
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

from lab.storm.app import App, wish
from lab.storm.control import Losses, both_controls
from lab.storm.engines import Cast, EngineName, Reference
from lab.storm.history import Findings, History, Kept, check, outcomes_won, restart_seconds
from lab.storm.points import POINTS, read_diaries
from lab.storm.processes import Scene, Troop, run_api, run_worker
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
"""Share of the edits over which the blows are spread; the rest is calm, and shows that all comes to its end."""
POINTS_HORIZON = 0.7
MEMORY = Path("/dev/shm")  # noqa: S108  a folder of its own is made in it
"""Where everything is written, if there is such a place: SIGKILL loses nothing that was written, on a disk or in memory."""


@dataclass(frozen=True, slots=True)
class Plan:
    jobs: int
    kills: int
    seed: int
    workers: int = 4
    lease_s: float = 6.0
    cast: Cast = field(default_factory=Cast)
    patience_s: float = 120.0  # without any edit ending, after the last disturbance

    def blows(self) -> list[tuple[float, str]]:
        """What happens, and after which share of the edits.

        As many kills as possible are at named points, each once before any comes again, but not more than half; they come early, so
        that somebody comes by. Of every other disturbance there is one for every fifty kills, at least one.
        """
        rng = random.Random(self.seed)
        named = [f"point {point}" for point in rng.sample(POINTS, len(POINTS))]
        count = min(self.kills, max(len(named), self.kills // 2))
        at_points = [named[i % len(named)] for i in range(count)]
        others = rng.choices(["kill worker", "kill api", "kill redis"], weights=[85, 10, 5], k=self.kills - count)
        others += ["empty redis", "pause worker", "stop worker", "ring twice", "lose rings"] * max(1, self.kills // 50)
        early = [(POINTS_HORIZON * rng.random(), blow) for blow in at_points]
        return sorted(early + [(HORIZON * rng.random(), blow) for blow in others])


@dataclass
class Result:
    plan: Plan
    history: History
    findings: Findings
    diary: list[dict[str, Any]]
    killed: dict[int, float]  # process id → when
    blows: Counter[str]
    webhooks: int  # that came; more than edits where one was sent again
    took_s: float
    answers_s: Sequence[float] = field(default_factory=list)

    @property
    def points(self) -> set[str]:
        return set(self._crashes)

    @property
    def kills(self) -> int:
        """That happened: an armed point that nobody came by is none."""
        return sum(count for blow, count in self.blows.items() if blow.startswith("kill")) + len(self._crashes)

    @property
    def _crashes(self) -> list[str]:
        return [str(line["point"]) for line in self.diary if line["what"] == "crash"]

    def line(self) -> str:
        counts = self.findings.counts()
        waits = restart_seconds(self.diary, self.killed)
        p99 = f"{_quantiles(waits)['p99']:.1f} s" if len(waits) > 1 else "unknown"
        of_model = " of the shipped model" if self.plan.cast.name == "model" else ""
        learned = Counter(line["key"] for line in self.diary if line["what"] == "learned")
        return (
            f"storm, seed {self.plan.seed}: {self.plan.jobs} edits{of_model}, {self.kills} kills "
            f"({len(self.points)} of {len(POINTS)} crash points): {counts['lost']} lost, {counts['duplicated']} duplicated, "
            f"{counts['wrong_owner']} with a wrong owner, {counts['out_of_order']} out of order; "
            f"{self.webhooks} webhooks told of their ends; "
            f"{len(learned)} identities learned {sum(learned.values())} times; "
            f"orphans restarted within {p99} (p99 of {len(waits)}); {self.took_s:.0f} s"
        )

    def to_dict(self) -> dict[str, Any]:
        return {
            "line": self.line(),
            "findings": vars(self.findings),
            "points": sorted(self.points),
            "points_missed": sorted(set(POINTS) - self.points),
            "blows": dict(self.blows),
            "plan": asdict(self.plan),
            "restart_s": _quantiles(restart_seconds(self.diary, self.killed)),
            "answered_s": _quantiles(self.answers_s),  # until a request had its 202, tries included
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
            redis_url=redis.url,
            data_dir=folder / "data",
            public_url=f"http://127.0.0.1:{listener.getsockname()[1]}",
            lease_s=plan.lease_s,
            heartbeat_interval_s=plan.lease_s / 4,
            reap_interval_s=min(1.0, plan.lease_s / 4),
            max_attempts=100,  # a storm kills good jobs too
            max_unfinished_edits_per_user=1000,
            webhook_secrets=SecretStr(receiver.secret),
            webhook_allow_private=True,
        )
        self._scene = Scene(self._settings, folder, plan.cast)
        self._scene.armed.mkdir()
        self._scene.diaries.mkdir()
        self._listener = listener
        self._services: Services = build_services(self._settings)
        self._troop = Troop(plan.cast)
        self._app = App(self._settings.public_url, plan.seed, plan.jobs, receiver.url, plan.cast, self._reference())
        self._app.within = min(self._app.within, 8 + plan.jobs // 10)  # else a short storm has been asked for before it begins
        self._paused: dict[str, float] = {}
        self._killed: dict[int, float] = {}
        self._dealt: Counter[str] = Counter()
        self._owed: deque[str] = deque()  # kills that found nobody, or a point that is still armed

    def run(self) -> Result:
        self._began = time.monotonic()
        try:
            self._troop.add("api", run_api, self._scene, self._listener)
            for number in range(self._plan.workers):
                self._troop.add(f"worker-{number}", run_worker, self._scene, number)
            self._app.start()
            self._rage()
            self._app.stop()
        finally:
            self._troop.stop()
        diary = read_diaries(self._scene.diaries)
        history = History(self._app.asked, self._app.seen, self._kept(diary), self._app.heard)
        findings = check(history)
        findings.lost += self._app.unexpected
        findings.lost += [f"{job}: no webhook told of its end" for job in self._untold()]
        if self._receiver.forged:
            findings.wrong_owner.append(f"{self._receiver.forged} webhooks had a wrong signature")
        if len(self._app.asked) < self._plan.jobs:
            findings.lost.append(f"only {len(self._app.asked)} of {self._plan.jobs} edits were accepted in time")
        crashes = {line["pid"]: line["at"] for line in diary if line["what"] == "crash"}
        return Result(
            plan=self._plan,
            history=history,
            findings=findings,
            diary=diary,
            killed={**self._killed, **crashes},
            blows=self._dealt,
            webhooks=sum(self._receiver.told.values()),
            took_s=time.monotonic() - self._began,
            answers_s=self._app.answers,
        )

    def _reference(self) -> dict[int, str]:
        """What must come out: digests of the pictures of an undisturbed run, by the number of the edit."""
        reference = Reference(self._plan.cast, self._settings)
        one_prompt = self._plan.cast.one_prompt
        wishes = [wish(self._plan.seed, number, one_prompt=one_prompt) for number in range(self._plan.jobs)]
        return {one.number: reference.result(one.prompt, one.inputs) for one in wishes}

    def _rage(self) -> None:
        """Deal the blows while the edits go on, then wait until all are over, or for `patience_s` without anything new."""
        blows = self._plan.blows()
        next_blow, over, told, since, shown = 0, -1, -1, time.monotonic(), 0.0
        while (
            not (self._app.finished and next_blow == len(blows) and not self._untold())
            and time.monotonic() - since < self._plan.patience_s
        ):
            if (self._app.over, len(self._receiver.told)) != (over, told):
                over, told, since = self._app.over, len(self._receiver.told), time.monotonic()
            if next_blow < len(blows) and over >= blows[next_blow][0] * self._plan.jobs:
                self._deal(blows[next_blow][1])
                next_blow += 1
            elif self._owed and over < HORIZON * self._plan.jobs:
                self._deal(self._owed.popleft())
            if time.monotonic() - shown > 1.0:
                shown = time.monotonic()
                self._show()
            self._mend()
            time.sleep(TICK_S)

    def _show(self) -> None:
        """For whoever waits: a storm in the background says how far it is."""
        if self._progress is not None:
            kills = sum(count for blow, count in self._dealt.items() if blow.startswith("kill"))
            said = {
                "asked": len(self._app.asked),
                "over": self._app.over,
                "told": len(self._receiver.told),
                "kills": kills,  # besides those at crash points
                "armed": len(list(self._scene.armed.iterdir())),
                "seconds": round(time.monotonic() - self._began),
            }
            self._progress.write_text(json.dumps(said) + "\n")

    def _untold(self) -> list[str]:
        """The edits whose end no webhook has told."""
        return [asked.job for asked in self._app.asked if message_id(asked.job) not in self._receiver.told]

    def _mend(self) -> None:
        self._redis.restart_if_dead()
        self._troop.restart_dead()
        for name, until in list(self._paused.items()):
            if time.monotonic() > until:
                self._troop.kill(name, signal.SIGCONT)
                del self._paused[name]

    def _deal(self, blow: str) -> None:
        kind, _, what = blow.partition(" ")
        if kind == "point":
            armed = self._scene.armed / what
            if armed.exists():
                self._owed.append("kill worker")
            armed.touch()
            return
        if blow == "kill redis":
            os.kill(self._redis.pid, signal.SIGKILL)
        elif kind in ("kill", "stop", "pause"):
            if not self._strike(kind, what):
                if kind == "kill":
                    self._owed.append(blow)
                return
        else:
            try:
                self._meddle(blow)
            except (RedisError, ServiceUnavailable):  # it is down at this moment
                return
        self._dealt[blow] += 1

    def _strike(self, kind: str, what: str) -> bool:
        """False if nobody of that kind was there."""
        names = self._troop.names(what)
        if not names:
            return False
        name = self._rng.choice(names)
        number = {"kill": signal.SIGKILL, "stop": signal.SIGTERM, "pause": signal.SIGSTOP}[kind]
        pid = self._troop.kill(name, number)
        if kind == "pause":
            self._paused[name] = time.monotonic() + 1.5 * self._plan.lease_s
        elif kind == "kill" and pid is not None:
            self._killed[pid] = time.time()
        return pid is not None

    def _meddle(self, blow: str) -> None:
        with Redis.from_url(self._redis.url, socket_timeout=2) as client:
            if blow == "empty redis":
                client.flushall()
            elif blow == "lose rings":
                client.delete(QUEUE)
            else:
                for job in self._app.open_jobs():
                    self._services.queue.ring(job)

    def _kept(self, diary: Sequence[dict[str, Any]]) -> list[Kept]:
        artifacts, won = self._services.artifacts, outcomes_won(diary)
        kept = []
        for key in artifacts.list("t/"):
            if not key.endswith("/spec.json"):
                continue
            spec = JobSpec.from_json(artifacts.get(key))
            end = key.replace("spec.json", "outcome.json")
            outcome = Outcome.from_json(artifacts.get(end)) if artifacts.exists(end) else None
            picture = outcome.artifacts.get("result") if outcome else None
            # Who writes an outcome and is killed before it can say so writes no line: so no line counts as one.
            kept.append(
                Kept(
                    spec.id,
                    user=key.split("/")[3],
                    state=outcome.state if outcome else None,
                    result=hashlib.sha256(artifacts.get(picture)).hexdigest() if picture else "",
                    outcomes_won=max(1, won[end]),
                )
            )
        return kept


def storm(plan: Plan, *, folder: Path | None = None, progress: Path | None = None) -> Result:
    """In a new folder below `folder`; how far it is stands in the file `progress`."""
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
    parser.add_argument("--engine", choices=get_args(EngineName), default="fake", help="model: the shipped one, cut to few steps")
    parser.add_argument("--lease", type=float, default=6.0, help="seconds; the service's own default is 6")
    parser.add_argument(
        "--control", action="store_true", help="then as many kills on plain Celery tasks, without and with an emptied Redis"
    )
    parser.add_argument("--out", type=Path, help="where the figures go, as JSON")
    parser.add_argument("--history", type=Path, help="where all that was seen and kept goes, as JSON")
    parser.add_argument("--folder", type=Path, help="where the storm's own folder is made; by default in memory")
    parser.add_argument("--progress", type=Path, help="a file that says every second how far the storm is, as JSON")
    given = parser.parse_args(arguments)
    plan = Plan(given.jobs, given.kills, given.seed, workers=given.workers, lease_s=given.lease, cast=Cast(given.engine))
    result = storm(plan, folder=given.folder, progress=given.progress)
    print(result.line(), flush=True)
    losses: list[Losses] = []
    if given.control:
        losses = both_controls(jobs=plan.jobs, kills=plan.kills, seed=plan.seed, workers=plan.workers, step_s=plan.cast.step_s)
    if given.out:
        given.out.write_text(json.dumps({**result.to_dict(), "control": [one.line() for one in losses]}, indent=1) + "\n")
    if given.history:
        given.history.write_text(json.dumps({"history": result.history.to_dict(), "diary": result.diary}))
    for found in (*result.findings.lost, *result.findings.duplicated, *result.findings.wrong_owner, *result.findings.out_of_order):
        print(f"  {found}", file=sys.stderr)
    return 0 if result.findings.clean else 1


if __name__ == "__main__":
    sys.exit(main())
