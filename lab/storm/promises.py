"""Check exactly-once guarantees on real processes: `python -m lab.storm.promises --out lab/results/promises.json`.

- Many posts with one Idempotency-Key, while the API is killed at its crash points, create one edit.
- Many simultaneous first edits of one photo, on several workers, cause one learning run.
- A job that outlasts many visibility timeouts, so that Celery redelivers its message, has one attempt.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from lab.storm.app import PlannedEdit, planned_edit
from lab.storm.system.engines import EngineChoice
from lab.storm.system.points import POINTS, read_event_logs
from lab.storm.system.processes import ProcessGroup, StormSetup, run_api, run_housekeeper, run_worker
from s2edit_jobs.bootstrap import Services, build_services
from s2edit_jobs.records.record import JobSpec
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.embedded_redis import EmbeddedRedis
from worker.engines.engine import EditInputs

SEED = 1
CROWD = 32
PATIENCE_S = 400.0
API_POINTS = [point for point in POINTS if point.startswith("api.")]


@dataclass
class Trial:
    """A service of real processes and a temporary folder, for one check."""

    setup: StormSetup
    services: Services
    processes: ProcessGroup
    listener: socket.socket
    ids: set[str] = field(default_factory=set)  # of the edits in the 202 answers

    def start(self, *, workers: int, **worker: Any) -> None:
        self.processes.add("api", run_api, self.setup, self.listener)
        self.processes.add("housekeeper", run_housekeeper, self.setup)
        for number in range(workers):
            self.processes.add(f"worker-{number}", run_worker, replace(self.setup, **worker), number)

    def post(self, http: httpx.Client, wanted: PlannedEdit, key: str | None = None) -> str:
        """Post the edit, retry until it is accepted, and return its id. Raises `TimeoutError` or `RuntimeError`."""
        files = {"image": ("photo.png", wanted.image), "mask": ("mask.png", wanted.mask)}
        headers = {"S2Edit-User": wanted.user} | ({"Idempotency-Key": key} if key else {})
        ends = time.monotonic() + PATIENCE_S
        while time.monotonic() < ends:
            try:
                answer = http.post("/edits", data={"prompt": wanted.prompt}, files=files, headers=headers)
            except httpx.TransportError:
                continue
            if answer.status_code == httpx.codes.ACCEPTED:
                self.ids.add(str(answer.json()["id"]))
                return str(answer.json()["id"])
            if answer.status_code not in (409, 503):
                raise RuntimeError(f"{answer.status_code} {answer.text}")
            time.sleep(0.05)
        raise TimeoutError("the edit was not accepted in time")

    def client(self) -> httpx.Client:
        limits = httpx.Limits(max_connections=CROWD, max_keepalive_connections=CROWD)
        return httpx.Client(base_url=self.setup.settings.public_url, timeout=30, limits=limits)

    def count_objects(self, name: str) -> int:
        """Return the number of objects with that name in the store."""
        return sum(key.endswith(f"/{name}") for key in self.services.artifacts.list("t/"))

    def inputs(self, spec: JobSpec) -> EditInputs:
        """Return the pictures that the edit was posted with."""
        image, mask = (self.services.artifacts.get(spec.inputs[name].key) for name in ("image", "mask"))
        return EditInputs(image, mask)

    def event_log(self) -> list[dict[str, Any]]:
        return read_event_logs(self.setup.event_logs)

    def over(self) -> set[str]:
        """Return the ids of the edits whose end a worker has logged."""
        return {line["job"] for line in self.event_log() if line["what"] == "left" and line["over"]}

    def wait(self, done: Callable[[], bool]) -> None:
        ends = time.monotonic() + PATIENCE_S
        while not done():
            if time.monotonic() > ends:
                raise TimeoutError("the trial did not end in time")
            self.processes.restart_dead()
            time.sleep(0.02)


@contextmanager
def start_trial(*, step_s: float = 0.01) -> Iterator[Trial]:
    with (
        tempfile.TemporaryDirectory(prefix="promises-") as name,
        EmbeddedRedis(Path(name) / "redis") as redis,
        socket.create_server(("127.0.0.1", 0), backlog=512) as listener,
    ):
        settings = Settings(
            auth="open",
            redis_url=redis.url,
            data_dir=Path(name) / "data",
            public_url=f"http://127.0.0.1:{listener.getsockname()[1]}",
        )
        setup = StormSetup(settings, Path(name), EngineChoice(step_s=step_s))
        setup.make_folders()
        processes = ProcessGroup()
        try:
            yield Trial(setup, build_services(settings), processes, listener)
        finally:
            processes.stop()


def one_key(*, posts: int) -> dict[str, Any]:
    """Post one edit many times.

    The API crashes at each of its crash points that a request still reaches, and at three random times.
    """
    rng, wanted = random.Random(SEED), planned_edit(SEED, 0, users=1)
    with start_trial() as trial:
        trial.start(workers=0)
        kills = 0
        with trial.client() as http, ThreadPoolExecutor(CROWD) as crowd:
            remaining = list(API_POINTS)
            (trial.setup.armed / remaining.pop(0)).touch()
            posted = [crowd.submit(trial.post, http, wanted, "one") for _ in range(posts)]
            at = sorted(rng.sample(range(posts), 3))

            def crash_and_check() -> bool:
                nonlocal kills
                # Arm one point at a time: after a crash elsewhere, a retried request might not reach its point any more.
                if remaining and not any(trial.setup.armed.iterdir()):
                    (trial.setup.armed / remaining.pop(0)).touch()
                over = sum(one.done() for one in posted)
                if at and over >= at[0]:
                    at.pop(0)
                    kills += sum(trial.processes.signal(pid, signal.SIGKILL) for pid in trial.processes.living("api"))
                return over == posts

            trial.wait(crash_and_check)
            for one in posted:
                one.result()
        points = {line["point"] for line in trial.event_log() if line["what"] == "crash"}
        return {
            "posts": posts,
            "kills": kills + len(points),
            "points": sorted(points),
            "edits": trial.count_objects("spec.json"),
        } | {"ids_returned": len(trial.ids)}


def one_photo(*, edits: int, workers: int) -> dict[str, Any]:
    """Post `edits` edits of one photo at the same time."""
    first = planned_edit(SEED, 0, users=1)
    planned = [replace(first, prompt=planned_edit(SEED, number, users=1).prompt) for number in range(edits)]
    with start_trial() as trial:
        trial.start(workers=workers)
        with trial.client() as http, ThreadPoolExecutor(CROWD) as crowd:
            list(crowd.map(lambda wanted: trial.post(http, wanted), planned))
        trial.wait(lambda: len(trial.over()) == edits)
        event_log = trial.event_log()
        claims = Counter(line["job"] for line in event_log if line["what"] == "claim")
        return {
            "edits": edits,
            "workers": workers,
            "learning_runs": sum(line["what"] == "learned" for line in event_log),
            "waited": sum(line["what"] == "left" and not line["over"] for line in event_log),
            "claims": claims.total(),
            "succeeded": sum(
                json.loads(trial.services.artifacts.get(key))["state"] == "succeeded"
                for key in trial.services.artifacts.list("t/")
                if key.endswith("/outcome.json")
            ),
        }


def one_long_job(*, timeouts: int, visibility_timeout_s: float) -> dict[str, Any]:
    """Run one long job with two workers: while one works, Celery redelivers the unacknowledged message to the other.

    kombu looks for such messages every 100 seconds.
    """
    with start_trial(step_s=timeouts * visibility_timeout_s / 12) as trial:
        trial.start(workers=2, visibility_timeout_s=visibility_timeout_s)
        with trial.client() as http:
            trial.post(http, planned_edit(SEED, 0, users=1))
        trial.wait(lambda: len(trial.over()) == 1)
        event_log = trial.event_log()
        claimed = next(line["at"] for line in event_log if line["what"] == "claim")
        ended = next(line["at"] for line in event_log if line["what"] == "outcome")
        return {
            "visibility_timeout_s": visibility_timeout_s,
            "lasted_s": round(ended - claimed, 1),
            "messages": sum(line["what"] == "notified" for line in event_log),  # that the workers got
            "redelivered": sum(line["what"] == "notified" and line["redelivered"] for line in event_log),
            "attempts": sum(line["what"] == "claim" for line in event_log),
            "outcomes": sum(line["what"] == "outcome" for line in event_log),
        }


@dataclass(frozen=True, slots=True)
class Promises:
    """The figures of all checks. Results files have these keys, and those of the checks."""

    one_key: dict[str, Any]
    one_photo: dict[str, Any]
    one_long_job: dict[str, Any]

    @property
    def kept(self) -> bool:
        return bool(
            self.one_key["edits"] == self.one_key["ids_returned"] == 1
            and self.one_photo["learning_runs"] == 1
            and self.one_photo["succeeded"] == self.one_photo["edits"]
            and self.one_long_job["redelivered"] > 0
            and self.one_long_job["attempts"] == self.one_long_job["outcomes"] == 1
        )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.storm.promises", description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--posts", type=int, default=1000, help="requests with one Idempotency-Key")
    parser.add_argument("--edits", type=int, default=100, help="edits of one photo")
    parser.add_argument("--workers", type=int, default=4, help="number of workers")
    parser.add_argument("--timeouts", type=int, default=20, help="visibility timeouts that one long job lasts")
    parser.add_argument("--visibility-timeout", type=float, default=6.5, help="seconds")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    given = parser.parse_args(arguments)
    promises = Promises(
        one_key(posts=given.posts),
        one_photo(edits=given.edits, workers=given.workers),
        one_long_job(timeouts=given.timeouts, visibility_timeout_s=given.visibility_timeout),
    )
    text = json.dumps({"kept": promises.kept, **asdict(promises)}, indent=1)
    print(text)
    if given.out:
        given.out.write_text(text + "\n")
    return 0 if promises.kept else 1


if __name__ == "__main__":
    sys.exit(main())
