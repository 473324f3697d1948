"""Measure what history costs: `python -m lab.service.history --out lab/results/history.json`.

A data folder holds 100,000 finished jobs of one user, spread over a year. Then

- pages of `GET /edits` are read through the app in this process, with each kind of filter. Redis has forgotten the jobs, as it does
  after a week. The first pages are also read without the index, as an upgraded store is until its survey is complete;
- Redis is emptied, and the job store rebuilt, with several numbers of unfinished jobs;
- a housekeeper's reaper and a worker start.

Requests are calls of the object store's port. On S3 each is one request, but a deletion by prefix, which is two.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from fastapi.testclient import TestClient

from api.app import create_app
from lab.measures.results import dumped
from lab.storm.measured import measured_with
from s2edit_core.request.spec import EditRequest
from s2edit_jobs.bootstrap import Services, build_services
from s2edit_jobs.lifecycle.history import entry_keys
from s2edit_jobs.lifecycle.survey import rebuild
from s2edit_jobs.logs import configure_logs
from s2edit_jobs.records.record import (
    Failure,
    InputFile,
    JobSpec,
    JobState,
    Outcome,
    Owner,
    final_record,
    first_record,
    new_job_id,
)
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.artifacts import ArtifactStore, edit_key
from s2edit_jobs.stores.embedded_redis import EmbeddedRedis
from s2edit_jobs.stores.markers import unfinished_key
from s2edit_jobs.stores.model_facts import assumed_test_facts
from s2edit_jobs.stores.object_store.layout import LayoutWatch
from s2edit_jobs.stores.redis_store import redis_job_store
from worker.engines.modeless_engine import engine_of_test_mode
from worker.housekeeping.reaper import reap
from worker.process import WorkerProcess

ANN = Owner("default", "default")
YEAR_S = 365 * 24 * 3600.0
IDENTITIES = tuple(f"c_{number:032x}" for number in range(20))
RARE_IDENTITY = f"c_{255:032x}"
REASONS = tuple(f"no person was found in the photo: reason {number}" for number in range(5))
CALLS = ("put", "get", "exists", "size_bytes", "list", "folders", "delete_prefix", "delete")
FILTERS: dict[str, dict[str, str]] = {
    "none": {},
    "state=succeeded": {"state": "succeeded"},
    "state=failed": {"state": "failed"},
    "state=queued, of which there is none": {"state": "queued"},
    "kind=edit": {"kind": "edit"},
    "state=canceled&kind=edit, 1 of 1,000": {"state": "canceled", "kind": "edit"},
    "kind=attribute, of which there is none": {"kind": "attribute"},
    "identity, 1 of 20": {"identity": IDENTITIES[0]},
    "identity&state=failed": {"identity": IDENTITIES[0], "state": "failed"},
    "identity, 3 jobs": {"identity": RARE_IDENTITY},
    "identity, unknown": {"identity": f"c_{511:032x}"},
}


class Counted:
    """Counts the calls of an object store."""

    def __init__(self, artifacts: ArtifactStore) -> None:
        self._artifacts = artifacts
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._artifacts, name)
        if name not in CALLS:
            return method

        def call(*values: Any, **options: Any) -> Any:
            self.calls[name] += 1
            return method(*values, **options)

        return call


def finished_jobs(count: int, rng: random.Random) -> Iterator[tuple[JobSpec, Outcome]]:
    """Yield jobs of the last year, oldest first."""
    now = time.time()
    for number in range(count):
        created_at = now - YEAR_S * (count - number) / count
        spec = spec_of(new_job_id(created_at), created_at)
        state = rng.choices([JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED], [959, 40, 1])[0]
        identity = RARE_IDENTITY if number in (7, count // 2, count - 7) else rng.choice(IDENTITIES)
        names = {"result": "result-1.png", "report": "report-1.json", "mask": "mask.png"} if state is JobState.SUCCEEDED else {}
        files = {name: edit_key(ANN, spec.id, file) for name, file in names.items()}
        failure = Failure("mask_not_found", rng.choice(REASONS)) if state is JobState.FAILED else None
        yield spec, Outcome(state, 1, created_at + 9.5, files, identity, failure)


def spec_of(job_id: str, created_at: float) -> JobSpec:
    image = InputFile(edit_key(ANN, job_id, "image.png"), "0" * 64, 1000, "image/png")
    return JobSpec(job_id, ANN, created_at, EditRequest(prompt="a photo of a woman smiling"), {"image": image}, by_marker=True)


def fill(root: Path, count: int, rng: random.Random) -> None:
    """Write the objects of finished jobs as the filesystem driver lays them out, without its syncs to disk."""
    folders: set[str] = set()
    for spec, outcome in finished_jobs(count, rng):
        write(root, edit_key(ANN, spec.id, "spec.json"), spec.to_json(), folders)
        write(root, edit_key(ANN, spec.id, "outcome.json"), outcome.to_json(), folders)
        failure = json.dumps({"code": outcome.failure.code, "message": outcome.failure.message}) if outcome.failure else "{}"
        for key in entry_keys(final_record(first_record(spec), outcome)):
            write(root, key, failure.encode(), folders)


def write(root: Path, key: str, data: bytes, folders: set[str]) -> None:
    """Write a file. `folders` are those that exist."""
    folder = key.rpartition("/")[0]
    if folder not in folders:
        os.makedirs(f"{root}/{folder}", exist_ok=True)
        folders.add(folder)
    descriptor = os.open(f"{root}/{key}", os.O_CREAT | os.O_WRONLY, 0o600)
    os.write(descriptor, data)
    os.close(descriptor)


def accept(root: Path, count: int) -> None:
    """Write the objects of unfinished jobs."""
    for _ in range(count):
        spec = spec_of(new_job_id(), time.time())
        write(root, edit_key(ANN, spec.id, "spec.json"), spec.to_json(), set())
        write(root, unfinished_key(spec.id), edit_key(ANN, spec.id, "spec.json").encode(), set())


def pages(client: TestClient, counted: Counted, query: dict[str, str], count: int) -> dict[str, Any]:
    """Read `count` pages, beginning again after the last one. Return their requests, milliseconds and items.

    The processor's milliseconds are those of this process, so other work on the machine does not lengthen them.
    """
    seconds, cpu_s, requests, items, cursor = [], [], [], [], None
    for _ in range(count):
        counted.calls.clear()
        began, cpu_began = time.perf_counter(), time.process_time()
        answer = client.get("/edits", params={**query, "limit": "20", **({"cursor": cursor} if cursor else {})})
        seconds.append(time.perf_counter() - began)
        cpu_s.append(time.process_time() - cpu_began)
        answer.raise_for_status()
        requests.append(counted.calls.total())
        items.append(len(answer.json()["items"]))
        cursor = answer.json()["next_cursor"]
    return {
        "pages": count,
        "items": f"{min(items)} to {max(items)}",
        "requests_max": max(requests),
        "p50_ms": round(1000 * statistics.median(seconds), 1),
        "p99_ms": p99_ms(seconds),
        "cpu_p99_ms": p99_ms(cpu_s),
    }


def p99_ms(seconds: Sequence[float]) -> float:
    return round(1000 * sorted(seconds)[max(0, round(0.99 * len(seconds)) - 1)], 1)


def timed(counted: Counted, call: Callable[[], object]) -> dict[str, Any]:
    counted.calls.clear()
    began = time.perf_counter()
    call()
    return {"requests": counted.calls.total(), **dict(sorted(counted.calls.items())), "s": round(time.perf_counter() - began, 2)}


def start_worker(services: Services) -> None:
    """Start a worker, whose engine has no model, and stop it before its first job."""
    engine = engine_of_test_mode(assumed_test_facts(services.settings.model))
    worker = WorkerProcess(services.settings, lambda _: engine, build=lambda _: services)
    with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere):  # it sets up the log again
        worker.start()
    worker.stop()


def measure(*, jobs: int, page_count: int, unfinished: Sequence[int], seed: int, folder: Path) -> dict[str, Any]:
    with EmbeddedRedis(folder / "redis") as redis, redis_client(redis.url) as client:
        settings = Settings(redis_url=redis.url, data_dir=folder / "data", auth="open")
        plain = build_services(settings, store=redis_job_store(redis.url, timeout_s=5.0))  # the machine may be busy with other work
        counted = Counted(plain.artifacts)
        services = replace(plain, artifacts=cast(ArtifactStore, counted))
        root = settings.artifacts_dir
        results: dict[str, Any] = {
            "reaper_starts_without_history": timed(counted, lambda: reap(services)),
            "worker_starts_without_history": timed(counted, lambda: start_worker(services)),
        }
        began = time.perf_counter()
        fill(root, jobs, random.Random(seed))
        results["written_s"] = round(time.perf_counter() - began)
        for task in client.keys("s2edit:task:*"):  # every periodic task is due
            client.delete(task)
        results["reaper_starts"] = timed(counted, lambda: reap(services))
        results["worker_starts"] = timed(counted, lambda: start_worker(services))
        with TestClient(create_app(services)) as http:
            gc.collect()
            gc.freeze()  # as the API does in a process of its own
            results["pages"] = {name: pages(http, counted, query, page_count) for name, query in FILTERS.items()}
        outdated = replace(services, layout=cast(LayoutWatch, NeverCurrent()))
        with TestClient(create_app(outdated)) as http:
            results["pages_without_index"] = {
                name: pages(http, counted, FILTERS[name], 3) for name in ("none", "state=failed", "identity, 3 jobs")
            }
        results["rebuilds"], there = {}, 0
        for number in unfinished:
            accept(root, number - there)
            there = number
            client.flushall()
            results["rebuilds"][f"{number} unfinished"] = timed(counted, lambda: rebuild(services))
        return results


class NeverCurrent(LayoutWatch):
    """An upgraded store before its survey is complete."""

    def is_current(self, artifacts: ArtifactStore) -> bool:  # noqa: ARG002
        return False


def redis_client(url: str) -> Any:
    from redis import Redis

    return Redis.from_url(url, decode_responses=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=100_000, help="number of finished jobs")
    parser.add_argument("--pages", type=int, default=50, help="number of pages per filter")
    parser.add_argument("--unfinished", default="0,100,1000", help="numbers of unfinished jobs at a loss of Redis, rising")
    parser.add_argument("--seed", type=int, default=1, help="seed of the drawn jobs")
    parser.add_argument("--folder", type=Path, help="folder for the data; default: the system's temporary one")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    given = parser.parse_args(arguments)
    with open(os.devnull, "w") as nowhere, tempfile.TemporaryDirectory(prefix="history-", dir=given.folder) as folder:
        configure_logs(nowhere)
        found = measure(
            jobs=given.jobs,
            page_count=given.pages,
            unfinished=[int(number) for number in given.unfinished.split(",")],
            seed=given.seed,
            folder=Path(folder),
        )
    about = measured_with()
    about["machine"] |= {"folder": str(given.folder or "temporary"), "load_average": round(os.getloadavg()[0], 1)}
    text = dumped({**about, "seed": given.seed, "finished_jobs": given.jobs, **found})
    sys.stdout.write(text)
    if given.out:
        given.out.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
