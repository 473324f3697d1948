"""Measure what one tenant's worst allowed behaviour costs another: `python -m lab.neighbours --out lab/results/neighbours.json`.

The API and a housekeeper run in processes of their own with the default limits, beside a real Redis. A thread stands for the
worker: it takes `WORK_S` seconds for each edit and reports progress `STEPS` times. Meanwhile the tenant `small` gets an edit 20
times a second, and posts an edit with a webhook and waits for its end, one after the other. All processes share the cores of the
machine.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import random
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from lab.service.overhead import form_of, mask, photo, server
from lab.service.webhook_receivers import PromptReceiver, dripping
from s2edit_core.request.spec import EditRequest, Progress
from s2edit_jobs.access.keys import KeyRing
from s2edit_jobs.bootstrap import Services, build_services
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.errors import JobsError
from s2edit_jobs.records.files import Upload
from s2edit_jobs.records.record import JobState, Outcome, Owner
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.artifacts import edit_key
from s2edit_jobs.stores.embedded_redis import EmbeddedRedis
from worker.housekeeper import HousekeeperProcess

HOOK_SECRET = "whsec_" + "A" * 32
HOOK_TIMEOUT_S = 20.0
WORK_S = 0.2
STEPS = 10
SECONDS = 8.0
POLL_S = 0.05
USERS = 60
QUEUED_PER_USER = 20
STREAMS = 500
SLOW = 300
GET_P99_MS, EDIT_BEYOND_S, MEMORY_MB = 250.0, 2.0, 512
"""The bars of issue 15."""
PROMPT = "a photo of a woman with long red hair"


@dataclass(frozen=True, slots=True)
class Place:
    """The service under test, with a key of each tenant."""

    address: str
    services: Services
    pid: int
    large: str
    small: str
    hook: str  # where the tenant `small` receives webhooks
    arrived: dict[str, float]  # when it received them, by the edit's id

    @property
    def where(self) -> tuple[str, int]:
        url = httpx.URL(self.address)
        return url.host, url.port or 80

    def headers(self, key: str, user: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {key}", "S2Edit-User": user}

    def queue(self, owner: Owner, webhook_url: str | None = None) -> str:
        """Accept an edit without the API, whose rate limits would take long to fill a queue."""
        picture = photo(20_000)
        files = {"image": Upload(picture, "image/jpeg"), "mask": Upload(mask((128, 128)), "image/png")}
        spec = draft(self.services, owner, EditRequest(prompt=PROMPT), files, webhook_url=webhook_url)
        return Jobs(self.services).accept(spec, files).id


class Worker(threading.Thread):
    """Takes the next job, reports progress, and ends it."""

    def __init__(self, services: Services) -> None:
        super().__init__(daemon=True)
        self._services = services
        self.stopped = threading.Event()

    def run(self) -> None:
        store = self._services.store
        while not self.stopped.is_set():
            lease = store.leases.claim(lease_s=600)
            if lease is None:
                time.sleep(0.02)
                continue
            with suppress(JobsError):
                for step in range(1, STEPS + 1):
                    time.sleep(WORK_S / STEPS)
                    store.events.progress(lease, Progress("editing", step, STEPS))
                result = edit_key(lease.owner, lease.job_id, f"result-{lease.fence}.png")
                self._services.artifacts.put(result, b"result", media_type="image/png")
                outcome = Outcome(JobState.SUCCEEDED, lease.attempt, time.time(), artifacts={"result": result})
                Jobs(self._services).finish(lease.owner, lease.job_id, outcome)


Behaviour = Callable[[Place, threading.Event], None]
"""What the tenant `large` does until the event is set."""


def alone(_place: Place, stop: threading.Event) -> None:
    stop.wait()


def largest_bodies(place: Place, stop: threading.Event) -> None:
    """Four clients send the largest bodies as fast as they are answered: wrong lists, long prompts and photos that are none."""
    lists = json.dumps({"prompt": "x", "attributes": [1] * 20_000}).encode()
    texts = json.dumps({"prompt": "x" * 60_000}).encode()
    broken = httpx.Request("POST", "http://any/", data={"prompt": PROMPT}, files={"image": b"\xff\xd8" + os.urandom(3_500_000)})
    form, kind = broken.read(), broken.headers["content-type"]
    bodies = [(lists, "application/json"), (texts, "application/json"), (form, kind)]

    def send(_number: int) -> None:
        with httpx.Client(base_url=place.address, timeout=60) as client:
            while not stop.is_set():
                body, content_type = random.choice(bodies)
                headers = {**place.headers(place.large, f"user-{random.randrange(USERS)}"), "Content-Type": content_type}
                client.post("/edits", content=body, headers=headers)

    _together(send, 4)


def many_streams(place: Place, stop: threading.Event) -> None:
    """As many streams as a tenant may have, on edits that change all the time, and as many again that are refused."""
    ids = {user: place.queue(Owner("large", user)) for user in (f"user-{number}" for number in range(USERS))}
    host, port = place.where
    with ExitStack() as stack:
        for number in range(2 * STREAMS):
            user = f"user-{number % USERS}"
            peer = stack.enter_context(socket.create_connection((host, port), timeout=10))
            fields = "".join(f"{name}: {value}\r\n" for name, value in place.headers(place.large, user).items())
            peer.sendall(f"GET /edits/{ids[user]}/events HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n".encode())
            if stop.is_set():
                return
        while not stop.wait(0.5):
            for user in random.sample(sorted(ids), 5):
                with suppress(JobsError):
                    Jobs(place.services).get(Owner("large", user), ids[user])


def slow_senders(place: Place, stop: threading.Event) -> None:
    """Half of the connections never end their head, the others drip the bytes of a body."""
    host, port = place.where
    head = "POST /edits HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    peers = []
    with ExitStack() as stack:
        for number in range(2 * SLOW):
            peer = stack.enter_context(socket.create_connection((host, port), timeout=10))
            fields = "".join(f"{n}: {v}\r\n" for n, v in place.headers(place.large, f"user-{number % USERS}").items())
            peer.sendall((head + (f"{fields}Content-Length: 60000\r\n\r\n{{" if number % 2 else fields)).encode())
            peers.append(peer)
        while not stop.wait(1):
            for peer in peers:
                with suppress(OSError):
                    peer.sendall(b" ")


def full_queue(place: Place, stop: threading.Event) -> None:
    """Sixty users with twenty edits each."""
    for number in range(USERS * QUEUED_PER_USER):
        if stop.is_set():
            return
        place.queue(Owner("large", f"user-{number % USERS}"))
    stop.wait()


def guesses(place: Place, stop: threading.Event) -> None:
    """Four clients try keys as fast as they are answered."""

    def send(_number: int) -> None:
        with httpx.Client(base_url=place.address, timeout=60) as client:
            while not stop.is_set():
                client.get("/edits", headers={"Authorization": f"Bearer s2e_{random.getrandbits(64):016x}_{'A' * 43}"})

    _together(send, 4)


def dripping_receivers(place: Place, stop: threading.Event) -> None:
    """Ten edits end per second, and the receivers of their webhooks drip. Each user has its own, so no rest of a host helps."""
    with dripping() as port:
        for number in count():
            if stop.wait(0.1):
                return
            user = number % USERS
            owner = Owner("large", f"user-{user}")
            Jobs(place.services).cancel(owner, place.queue(owner, f"http://127.0.1.{user + 1}:{port}/hook"))


def _together(call: Callable[[int], None], count: int) -> None:
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(call, range(count)))


BEHAVIOURS: dict[str, Behaviour] = {
    one.__name__: one for one in (alone, largest_bodies, many_streams, slow_senders, full_queue, guesses, dripping_receivers)
}


def _serve_housekeeper(settings: Settings, log: Path) -> None:
    """Run in the process of the housekeeper."""
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT), sys.stdout.fileno())
    HousekeeperProcess(settings).run()


@contextmanager
def place_of(folder: Path) -> Iterator[Place]:
    with ExitStack() as stack:
        redis = stack.enter_context(EmbeddedRedis(folder / "redis"))
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=4096))
        settings = Settings(
            auth="keys",
            redis_url=redis.url,
            data_dir=folder / "data",
            audit_log="off",
            webhook_secrets=SecretStr(HOOK_SECRET),
            webhook_allow_private=True,
        )
        services = build_services(settings)
        ring = KeyRing(services.artifacts)
        large, small = (ring.create(tenant)[1] for tenant in ("large", "small"))
        address = stack.enter_context(server(settings, listener, folder))
        (process,) = multiprocessing.active_children()
        housekeeper = multiprocessing.get_context("spawn").Process(
            target=_serve_housekeeper, args=(settings, folder / "housekeeper.log"), daemon=True
        )
        housekeeper.start()
        stack.callback(housekeeper.join)
        stack.callback(housekeeper.kill)
        receiver = PromptReceiver()
        hook = stack.enter_context(receiver.serving())
        worker = Worker(services)
        worker.start()
        stack.callback(worker.stopped.set)
        yield Place(address, services, process.pid or 0, large, small, hook, receiver.arrived)


def memory_of(pid: int) -> int:
    """Return the resident memory of a process in bytes, on Linux."""
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def measure(place: Place, behave: Behaviour, seconds: float) -> dict[str, Any]:
    """Return what the tenant `small` sees while the other behaves so."""
    headers, stop, enough = place.headers(place.small, "zoe"), threading.Event(), threading.Event()
    form, kind = form_of(photo(20_000), webhook_url=place.hook)
    gets: list[float] = []
    edits: list[float] = []
    ended: dict[str, float] = {}
    memory: list[int] = []
    with httpx.Client(base_url=place.address, timeout=120) as client:
        posted = client.post("/edits", content=form, headers={**headers, "Content-Type": kind})
        posted.raise_for_status()
        path = f"/edits/{posted.json()['id']}"

        def edit() -> None:
            with httpx.Client(base_url=place.address, timeout=120) as poster:
                while not enough.is_set():
                    began = time.perf_counter()
                    done = poster.post("/edits", content=form, headers={**headers, "Content-Type": kind, "Prefer": "wait=60"})
                    if done.status_code == httpx.codes.ACCEPTED:
                        edits.append(time.perf_counter() - began)
                        ended[done.json()["id"]] = time.time()
                    time.sleep(0.5)

        other, own = threading.Thread(target=behave, args=(place, stop)), threading.Thread(target=edit)
        other.start()
        own.start()
        time.sleep(min(2.0, seconds / 4))
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            began = time.perf_counter()
            client.get(path, headers=headers).raise_for_status()
            gets.append(time.perf_counter() - began)
            memory.append(memory_of(place.pid))
            time.sleep(POLL_S)
        enough.set()
        own.join()
        _wait_for(lambda: place.arrived.keys() >= ended.keys())
        stop.set()
        other.join()
    cuts = statistics.quantiles(gets, n=100, method="inclusive")
    return {
        "gets": len(gets),
        "get_p50_ms": round(1e3 * cuts[49], 1),
        "get_p99_ms": round(1e3 * cuts[98], 1),
        "edits": len(edits),
        "edit_max_s": round(max(edits), 2),
        "webhook_max_s": round(max(place.arrived.get(one, math.inf) - at for one, at in ended.items()), 2),
        "api_memory_mb": round(max(memory) / 1e6),
    }


def _wait_for(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds, at most `HOOK_TIMEOUT_S`."""
    ends = time.monotonic() + HOOK_TIMEOUT_S
    while not condition() and time.monotonic() < ends:
        time.sleep(POLL_S)


def table(names: Sequence[str], seconds: float) -> dict[str, Any]:
    """Measure each behaviour with a service of its own."""
    rows: dict[str, Any] = {}
    for name in names:
        with tempfile.TemporaryDirectory(prefix="neighbours-") as folder, place_of(Path(folder)) as place:
            rows[name] = measure(place, BEHAVIOURS[name], seconds)
        sys.stderr.write(f"{name}: {rows[name]}\n")
    base = rows.get("alone", {}).get("edit_max_s", 0.0)
    for row in rows.values():
        beyond = row["edit_max_s"] - base
        row["within"] = row["get_p99_ms"] <= GET_P99_MS and beyond <= EDIT_BEYOND_S and row["api_memory_mb"] <= MEMORY_MB
    return {
        "machine": {"cores": os.cpu_count(), "load_before": round(os.getloadavg()[0], 2)},
        "bars": {"get_p99_ms": GET_P99_MS, "edit_beyond_alone_s": EDIT_BEYOND_S, "api_memory_mb": MEMORY_MB},
        "seconds": seconds,
        "behaviours": rows,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.neighbours", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, help="JSON file for the table")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="seconds that each behaviour lasts")
    parser.add_argument(
        "--only", nargs="*", choices=BEHAVIOURS, default=list(BEHAVIOURS), help="behaviours to measure; default: all"
    )
    args = parser.parse_args(arguments)
    result = table(args.only, args.seconds)
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))
    return 0 if all(row["within"] for row in result["behaviours"].values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
