"""The control experiment: the same kills on plain Celery tasks with `acks_late` and the other settings that Celery recommends.

`python -m lab.storm --control` runs it after a storm, `python -m lab.storm.control` alone. A task sleeps as long as an edit of the
storm takes, then appends a line to a file. A task without a line was lost; one with two lines was repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from celery import Celery
from redis import Redis
from redis.exceptions import RedisError

from lab.storm.system.processes import ProcessGroup
from s2edit_jobs.stores.celery_queue import broker_url
from s2edit_jobs.stores.embedded_redis import EmbeddedRedis

TASK = "control.work"


@dataclass(frozen=True, slots=True)
class Losses:
    jobs: int
    kills: int  # that took place: none follows the last effect
    emptied: bool
    work_s: float
    visibility_timeout_s: float
    lost: int
    repeated: int

    def line(self) -> str:
        emptied = ", Redis emptied once" if self.emptied else ""
        return (
            f"plain Celery (acks_late), {self.jobs} tasks, {self.kills} kills{emptied}: {self.lost} lost, {self.repeated} repeated"
        )


def control_app(redis_url: str, *, visibility_timeout_s: float) -> Celery:
    app = Celery("control", broker=broker_url(redis_url), set_as_current=False)
    app.conf.update(
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_ignore_result=True,
        worker_prefetch_multiplier=1,
        worker_pool="solo",
        worker_enable_remote_control=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={"visibility_timeout": visibility_timeout_s},
    )
    return app


def run_control_worker(redis_url: str, folder: Path, number: int, work_s: float, visibility_timeout_s: float) -> None:
    log = os.open(folder / "control.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    app = control_app(redis_url, visibility_timeout_s=visibility_timeout_s)

    @app.task(name=TASK)  # type: ignore[untyped-decorator]
    def work(job: int) -> None:
        time.sleep(work_s)
        with (folder / "effects").open("a") as effects:
            effects.write(f"{job}\n")

    app.worker_main(["worker", "--without-mingle", "--without-gossip", "--loglevel", "ERROR", "--hostname", f"c{number}@storm"])


def control(
    *,
    jobs: int,
    kills: int,
    seed: int,
    workers: int,
    work_s: float,
    empty: bool,
    visibility_timeout_s: float = 10.0,
    idle_s: float = 150.0,
) -> Losses:
    """Send `jobs` tasks and kill `kills` processes, every twentieth time Redis. With `empty`, flush Redis half-way.

    Ends when all tasks are done or none has ended for `idle_s` seconds. kombu restores unacknowledged messages only occasionally.
    """
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="storm-control-") as name, EmbeddedRedis(Path(name) / "redis") as redis:
        folder, processes = Path(name), ProcessGroup()
        (folder / "effects").touch()
        try:
            for number in range(workers):
                processes.add(f"worker-{number}", run_control_worker, redis.url, folder, number, work_s, visibility_timeout_s)
            sender = control_app(redis.url, visibility_timeout_s=visibility_timeout_s)
            for job in range(jobs):
                sender.send_task(TASK, args=(job,))
            killed = _kill_and_wait(folder, redis, processes, rng, jobs=jobs, kills=kills, empty=empty, idle_s=idle_s)
        finally:
            processes.stop()
        done = Counter((folder / "effects").read_text().split())
    lost, repeated = jobs - len(done), done.total() - len(done)
    return Losses(jobs, killed, empty, work_s, visibility_timeout_s, lost=lost, repeated=repeated)


def both_controls(*, jobs: int, kills: int, seed: int, workers: int, step_s: float) -> list[Losses]:
    """Run the experiment without and with a flushed Redis. A task takes as long as the twelve steps of an edit in a storm."""
    losses = []
    for empty in (False, True):
        losses.append(control(jobs=jobs, kills=kills, seed=seed, workers=workers, work_s=12 * step_s, empty=empty))
        print(losses[-1].line(), flush=True)
    return losses


def _kill_and_wait(
    folder: Path,
    redis: EmbeddedRedis,
    processes: ProcessGroup,
    rng: random.Random,
    *,
    jobs: int,
    kills: int,
    empty: bool,
    idle_s: float,
) -> int:
    """Kill processes while the tasks go on, and return the number of kills."""
    killed, before, since = 0, -1, time.monotonic()
    while time.monotonic() - since < idle_s:
        effects = (folder / "effects").read_text().count("\n")
        if effects != before:
            before, since = effects, time.monotonic()
        if effects >= jobs:
            break
        if killed < kills and effects >= 0.95 * jobs * killed / kills:
            killed += 1
            if killed % 20 == 10:
                os.kill(redis.pid, signal.SIGKILL)
            else:
                processes.signal(rng.choice(processes.living("worker")), signal.SIGKILL)
        if empty and effects >= jobs // 2:
            with suppress(RedisError), Redis.from_url(redis.url) as client:
                client.flushall()
                empty = False
        redis.restart_if_dead()
        processes.restart_dead()
        time.sleep(0.02)
    return killed


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.storm.control", description="the kills of a storm on plain Celery tasks")
    parser.add_argument("--jobs", type=int, default=1000, help="number of tasks")
    parser.add_argument("--kills", type=int, default=100, help="number of killed workers")
    parser.add_argument("--seed", type=int, default=1, help="seed of the order of kills")
    parser.add_argument("--workers", type=int, default=4, help="number of workers")
    parser.add_argument("--step", type=float, default=0.002, help="seconds per step; a task takes twelve steps")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    given = parser.parse_args(arguments)
    losses = both_controls(jobs=given.jobs, kills=given.kills, seed=given.seed, workers=given.workers, step_s=given.step)
    if given.out:
        given.out.write_text(json.dumps([{"line": one.line(), **asdict(one)} for one in losses], indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
