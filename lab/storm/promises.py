"""Promises that a number stands for, each tried on real processes: `python -m lab.storm.promises --out lab/results/promises.json`.

- Many posts with one Idempotency-Key, while the API is killed at its crash points: one edit.
- Many first edits of one photo at the same moment, on several workers: one learning run.
- A job that lasts many visibility timeouts, so that its ring comes back again and again: one attempt.
"""

from __future__ import annotations

import argparse
import json
import random
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

from lab.storm.app import Wish, wish
from lab.storm.engines import Cast
from lab.storm.points import POINTS, read_diaries
from lab.storm.processes import Scene, Troop, run_api, run_worker
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
class Stage:
    """A service of real processes over a folder, for one trial."""

    scene: Scene
    services: Services
    troop: Troop
    listener: socket.socket
    ids: set[str] = field(default_factory=set)  # of the edits that a 202 named

    def start(self, *, workers: int, **worker: Any) -> None:
        self.troop.add("api", run_api, self.scene, self.listener)
        for number in range(workers):
            self.troop.add(f"worker-{number}", run_worker, replace(self.scene, **worker), number)

    def post(self, http: httpx.Client, wanted: Wish, key: str | None = None) -> str:
        """The edit's id, asked for until there is one."""
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
        raise TimeoutError("the edit was not taken on in time")

    def client(self) -> httpx.Client:
        limits = httpx.Limits(max_connections=CROWD, max_keepalive_connections=CROWD)
        return httpx.Client(base_url=self.scene.settings.public_url, timeout=30, limits=limits)

    def kept(self, name: str) -> int:
        """How many objects of that name the store holds."""
        return sum(key.endswith(f"/{name}") for key in self.services.artifacts.list("t/"))

    def inputs(self, spec: JobSpec) -> EditInputs:
        """What the edit was asked with."""
        image, mask = (self.services.artifacts.get(spec.inputs[name].key) for name in ("image", "mask"))
        return EditInputs(image, mask)

    def diary(self) -> list[dict[str, Any]]:
        return read_diaries(self.scene.diaries)

    def over(self) -> set[str]:
        """The edits of whose end a worker has written."""
        return {line["job"] for line in self.diary() if line["what"] == "left" and line["over"]}

    def wait(self, done: Callable[[], bool]) -> None:
        ends = time.monotonic() + PATIENCE_S
        while not done():
            if time.monotonic() > ends:
                raise TimeoutError("it did not come to its end in time")
            self.troop.restart_dead()
            time.sleep(0.02)


@contextmanager
def stage(*, step_s: float = 0.01) -> Iterator[Stage]:
    with (
        tempfile.TemporaryDirectory(prefix="promises-") as name,
        EmbeddedRedis(Path(name) / "redis") as redis,
        socket.create_server(("127.0.0.1", 0), backlog=512) as listener,
    ):
        settings = Settings(
            redis_url=redis.url, data_dir=Path(name) / "data", public_url=f"http://127.0.0.1:{listener.getsockname()[1]}"
        )
        scene = Scene(settings, Path(name), Cast(step_s=step_s))
        scene.armed.mkdir()
        scene.diaries.mkdir()
        troop = Troop()
        try:
            yield Stage(scene, build_services(settings), troop, listener)
        finally:
            troop.stop()


def one_key(*, posts: int) -> dict[str, Any]:
    """The API dies at one crash point after the other, as far as requests still reach them, and three times more wherever it is."""
    rng, wanted = random.Random(SEED), wish(SEED, 0, users=1)
    with stage() as here:
        here.start(workers=0)
        kills = 0
        with here.client() as http, ThreadPoolExecutor(CROWD) as crowd:
            left = list(API_POINTS)
            (here.scene.armed / left.pop(0)).touch()
            posted = [crowd.submit(here.post, http, wanted, "one") for _ in range(posts)]
            at = sorted(rng.sample(range(posts), 3))

            def rage() -> bool:
                nonlocal kills
                if left and not any(
                    here.scene.armed.iterdir()
                ):  # one at a time: a death elsewhere might carry a request past its point
                    (here.scene.armed / left.pop(0)).touch()
                over = sum(one.done() for one in posted)
                if at and over >= at[0]:
                    at.pop(0)
                    kills += here.troop.kill("api") is not None
                return over == posts

            here.wait(rage)
            for one in posted:
                one.result()
        points = {line["point"] for line in here.diary() if line["what"] == "crash"}
        return {"posts": posts, "kills": kills + len(points), "points": sorted(points), "edits": here.kept("spec.json")} | {
            "ids_told": len(here.ids)
        }


def one_photo(*, edits: int, workers: int) -> dict[str, Any]:
    first = wish(SEED, 0, users=1)
    wishes = [replace(first, prompt=wish(SEED, number, users=1).prompt) for number in range(edits)]
    with stage() as here:
        here.start(workers=workers)
        with here.client() as http, ThreadPoolExecutor(CROWD) as crowd:
            list(crowd.map(lambda wanted: here.post(http, wanted), wishes))
        here.wait(lambda: len(here.over()) == edits)
        diary = here.diary()
        claims = Counter(line["job"] for line in diary if line["what"] == "claim")
        return {
            "edits": edits,
            "workers": workers,
            "learning_runs": sum(line["what"] == "learned" for line in diary),
            "waited": sum(line["what"] == "left" and not line["over"] for line in diary),
            "claims": claims.total(),
            "succeeded": sum(
                json.loads(here.services.artifacts.get(key))["state"] == "succeeded"
                for key in here.services.artifacts.list("t/")
                if key.endswith("/outcome.json")
            ),
        }


def one_long_job(*, timeouts: int, visibility_timeout_s: float) -> dict[str, Any]:
    """Two workers: while one is at it, the other brings the ring back that was not acknowledged in time.

    kombu looks for such rings every 100 seconds.
    """
    with stage(step_s=timeouts * visibility_timeout_s / 12) as here:
        here.start(workers=2, visibility_timeout_s=visibility_timeout_s)
        with here.client() as http:
            here.post(http, wish(SEED, 0, users=1))
        here.wait(lambda: len(here.over()) == 1)
        diary = here.diary()
        claimed = next(line["at"] for line in diary if line["what"] == "claim")
        ended = next(line["at"] for line in diary if line["what"] == "outcome")
        return {
            "visibility_timeout_s": visibility_timeout_s,
            "lasted_s": round(ended - claimed, 1),
            "rings_that_came_back": sum(line["what"] == "nothing to claim" for line in diary),
            "attempts": sum(line["what"] == "claim" for line in diary),
            "outcomes": sum(line["what"] == "outcome" for line in diary),
        }


@dataclass(frozen=True, slots=True)
class Promises:
    one_key: dict[str, Any]
    one_photo: dict[str, Any]
    one_long_job: dict[str, Any]

    @property
    def kept(self) -> bool:
        return bool(
            self.one_key["edits"] == self.one_key["ids_told"] == 1
            and self.one_photo["learning_runs"] == 1
            and self.one_photo["succeeded"] == self.one_photo["edits"]
            and self.one_long_job["rings_that_came_back"] > 0
            and self.one_long_job["attempts"] == self.one_long_job["outcomes"] == 1
        )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.storm.promises", description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--posts", type=int, default=1000)
    parser.add_argument("--edits", type=int, default=100)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--timeouts", type=int, default=20)
    parser.add_argument("--visibility-timeout", type=float, default=6.5, help="seconds")
    parser.add_argument("--out", type=Path, help="where the figures go, as JSON")
    given = parser.parse_args(arguments)
    made = Promises(
        one_key(posts=given.posts),
        one_photo(edits=given.edits, workers=given.workers),
        one_long_job(timeouts=given.timeouts, visibility_timeout_s=given.visibility_timeout),
    )
    said = json.dumps({"kept": made.kept, **asdict(made)}, indent=1)
    print(said)
    if given.out:
        given.out.write_text(said + "\n")
    return 0 if made.kept else 1


if __name__ == "__main__":
    sys.exit(main())
