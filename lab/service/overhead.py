"""Measure what the API adds to a bare handler: `python -m lab.service.overhead --out lab/results/overhead.json`.

- `POST /edits` with a 2 MB photo, 64 at a time, against bare Starlette handlers that read the same body as bytes or as a form.
  Senders are limited to `PHONE_MBIT_S`, like phones, or send as fast as this machine allows.
- A poll that is answered 304, against bare FastAPI routes that answer 304. One reads nothing; the other reads the job's record from
  Redis in a thread.
- Many streams of server-sent events at one process: the Redis subscriptions that they take, and the delay of an event.

Servers and client are separate processes, which share the cores of the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import io
import json
import multiprocessing
import os
import platform
import resource
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import httpx
import numpy as np
from PIL import Image, ImageDraw
from redis import Redis

from s2edit_core.pictures.files import decode_photo
from s2edit_core.pictures.mask_files import decode_mask
from s2edit_jobs.bootstrap import build_services
from s2edit_jobs.logs import configure_logs
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.embedded_redis import EmbeddedRedis

PHOTO_BYTES = 2_000_000
PHONE_MBIT_S = 10.0
"""Uplink of a phone in a mobile network."""
PIECE_BYTES = 32_768
ROUNDS = 4
"""Number of alternating rounds per server, so that a busy moment of the machine affects all of them."""


def photo(size_bytes: int = PHOTO_BYTES) -> bytes:
    """Return a JPEG of at least that size, with noise like that of a phone's camera."""
    side = 128
    while True:
        smooth = Image.effect_noise((side // 8, side // 8), 90).resize((side, side), Image.Resampling.BICUBIC)
        grain = np.random.default_rng(1).normal(0, 9, (side, side, 3))
        pixels = np.clip(np.asarray(smooth.convert("RGB"), dtype=np.float32) + grain, 0, 255).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
        if buffer.tell() >= size_bytes:
            return buffer.getvalue()
        side = round(side * max(1.02, (size_bytes / buffer.tell()) ** 0.5))


def mask(size: tuple[int, int]) -> bytes:
    picture = Image.new("L", size, 0)
    ImageDraw.Draw(picture).ellipse([size[0] // 4, size[1] // 4, 3 * size[0] // 4, 3 * size[1] // 4], fill=255)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def bare_app(redis_url: str) -> Any:
    """Return the app to compare with: the same web framework with trivial handlers."""
    from fastapi import FastAPI, Request, Response
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def as_body(request: Request) -> JSONResponse:
        return JSONResponse({"bytes": len(await request.body())}, status_code=202)

    async def as_form(request: Request) -> JSONResponse:
        async with request.form() as form:
            return JSONResponse({"parts": len(form)}, status_code=202)

    app = FastAPI()
    app.router.routes += [Route("/body", as_body, methods=["POST"]), Route("/form", as_form, methods=["POST"])]

    redis = Redis.from_url(redis_url, decode_responses=True)

    def unchanged(sequence: str) -> Response:
        return Response(status_code=304, headers={"ETag": f'"{sequence}"', "Cache-Control": "no-store"})

    @app.get("/edits/{edit_id}")
    async def poll(edit_id: str) -> Response:
        return unchanged(str(len(edit_id)))

    @app.get("/reading/{edit_id}")
    def poll_reading(edit_id: str) -> Response:
        return unchanged(cast("dict[str, str]", redis.hgetall(f"s2edit:job:{edit_id}"))["sequence"])

    return app


def _serve(listener: socket.socket, settings: Settings, bare: bool, log: Path) -> None:
    import uvicorn

    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, sys.stdout.fileno())
    os.dup2(out, sys.stderr.fileno())
    if bare:
        app = bare_app(settings.redis_url or "")
    else:  # the bare server must not import it: it changes how much of a form Starlette keeps in memory
        from api.app import create_app

        configure_logs()  # as the service's entry point does
        app = create_app(build_services(settings))
    uvicorn.Server(uvicorn.Config(app, http="api.connection:Connection", log_level="warning", access_log=False)).run(
        sockets=[listener]
    )


@contextmanager
def server(settings: Settings, listener: socket.socket, folder: Path, *, bare: bool = False) -> Iterator[str]:
    """Run a server process on `listener`, and yield its address."""
    process = multiprocessing.get_context("spawn").Process(
        target=_serve, args=(listener, settings, bare, folder / "server.log"), daemon=True
    )
    process.start()
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        httpx.get(f"{address}/", timeout=60)
        yield address
    finally:
        process.kill()
        process.join()


@dataclass(frozen=True, slots=True)
class Call:
    """A request that can be sent any number of times."""

    address: str
    method: str
    path: str
    body: bytes | None
    headers: dict[str, str]
    expected: int
    mbit_s: float | None = None  # bandwidth of the sender's network; None: unlimited

    @property
    def transfer_s(self) -> float:
        """Seconds that the sender's network takes for the body."""
        return 8 * len(self.body or b"") / (self.mbit_s * 1e6) if self.mbit_s else 0.0

    def send(self, connection: http.client.HTTPConnection) -> None:
        if self.body is None or not self.transfer_s:
            connection.request(self.method, self.path, body=self.body, headers=self.headers)
            return
        connection.putrequest(self.method, self.path)
        for name, value in {**self.headers, "Content-Length": str(len(self.body))}.items():
            connection.putheader(name, value)
        connection.endheaders()
        began, per_byte_s = time.perf_counter(), self.transfer_s / len(self.body)
        for start in range(0, len(self.body), PIECE_BYTES):
            piece = self.body[start : start + PIECE_BYTES]
            time.sleep(max(0.0, began + (start + len(piece)) * per_byte_s - time.perf_counter()))
            connection.send(piece)


def timed(call: Call, *, requests: int, at_once: int) -> list[float]:
    """Send requests from `at_once` threads and return the seconds of each. Raises `RuntimeError` for a status not `expected`."""
    url = urlsplit(call.address)
    share = -(-requests // at_once)

    def client(number: int) -> list[float]:
        connection, took = http.client.HTTPConnection(url.hostname or "", url.port, timeout=300), []
        time.sleep(call.transfer_s * number / at_once)  # real senders are not synchronised
        for _ in range(share):
            began = time.perf_counter()
            call.send(connection)
            answer = connection.getresponse()
            text = answer.read()
            took.append(time.perf_counter() - began)
            if answer.status != call.expected:
                raise RuntimeError(f"{call.path}: {answer.status} {text[:300]!r}")
        connection.close()
        return took

    with ThreadPoolExecutor(at_once) as clients:
        return [seconds for one in clients.map(client, range(at_once)) for seconds in one]


def figures(seconds: Sequence[float]) -> dict[str, float]:
    """Return the number of requests with median and 99th percentile in milliseconds."""
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return {"requests": len(seconds), "p50_ms": round(1e3 * cuts[49], 2), "p99_ms": round(1e3 * cuts[98], 2)}


def alternating(calls: dict[str, Call], *, requests: int, at_once: int) -> dict[str, dict[str, float]]:
    took: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        timed(call, requests=at_once, at_once=at_once)  # warm
    for _ in range(ROUNDS):
        for name, call in calls.items():
            took[name] += timed(call, requests=requests // ROUNDS, at_once=at_once)
    return {name: figures(seconds) for name, seconds in took.items()}


def form_of(image: bytes, **options: str) -> tuple[bytes, str]:
    """Return the body of a `POST /edits` and its content type."""
    files = {"image": ("photo.jpg", image), "mask": ("mask.png", mask(Image.open(io.BytesIO(image)).size))}
    data = {"prompt": "a photo of a woman with red hair", **options}
    request = httpx.Request("POST", "http://any/", data=data, files=files)
    return request.read(), request.headers["content-type"]


def decoding_ms(image: bytes) -> float:
    """Return the CPU time in milliseconds for decoding the photo and its mask, as the worker does. The best of five runs."""
    drawn, took = mask(Image.open(io.BytesIO(image)).size), []
    for _ in range(5):
        began = time.process_time()
        decode_mask(drawn, decode_photo(image).size)
        took.append(time.process_time() - began)
    return round(1e3 * min(took), 1)


def uploads(service: str, bare: str, *, requests: int, at_once: int, mbit_s: float | None = None) -> dict[str, Any]:
    body, kind = form_of(photo())
    headers = {"Content-Type": kind}
    calls = {
        "bare_body": Call(bare, "POST", "/body", body, headers, 202, mbit_s),
        "bare_form": Call(bare, "POST", "/form", body, headers, 202, mbit_s),
        "service": Call(service, "POST", "/edits", body, headers, 202, mbit_s),
    }
    result: dict[str, Any] = {"body_bytes": len(body), "at_once": at_once, **alternating(calls, requests=requests, at_once=at_once)}
    for other in ("bare_body", "bare_form"):
        result[f"p99_to_{other}"] = round(result["service"]["p99_ms"] / result[other]["p99_ms"], 2)
    return result


def polls(service: str, bare: str, *, requests: int, at_once: int) -> dict[str, Any]:
    body, kind = form_of(photo(20_000))
    posted = httpx.post(f"{service}/edits", content=body, headers={"Content-Type": kind})
    posted.raise_for_status()
    headers, path = {"If-None-Match": posted.headers["etag"]}, f"/edits/{posted.json()['id']}"
    calls = {
        "bare": Call(bare, "GET", path, None, headers, 304),
        "bare_reading": Call(bare, "GET", path.replace("/edits/", "/reading/"), None, headers, 304),
        "service": Call(service, "GET", path, None, headers, 304),
    }
    result: dict[str, Any] = {"at_once": at_once, **alternating(calls, requests=requests, at_once=at_once)}
    for other in ("bare", "bare_reading"):
        for share in ("p50_ms", "p99_ms"):
            result[f"{share.removesuffix('_ms')}_to_{other}"] = round(result["service"][share] / result[other][share], 2)
    return result


async def _follow_stream(address: str, edit_id: str, opened: Callable[[], None]) -> float:
    """Follow a stream until its edit runs, and return the `time.perf_counter` of that event."""
    url = urlsplit(address)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    try:
        writer.write(f"GET /edits/{edit_id}/events HTTP/1.1\r\nHost: {url.netloc}\r\n\r\n".encode())
        queued = running = False
        while not running:
            line = await reader.readline()
            if not line:
                raise RuntimeError("a stream ended before its edit ran")
            if not queued and b'"state":"queued"' in line:
                queued = True
                opened()
            running = b'"state":"running"' in line
        return time.perf_counter()
    finally:
        writer.close()


async def _all_streams(service: str, settings: Settings, ids: Sequence[str], count: int) -> dict[str, Any]:
    """Open `count` streams over the edits `ids`, then claim every edit and measure the delay of the events."""
    store, opened, all_open = build_services(settings).store, 0, asyncio.Event()

    def one_more() -> None:
        nonlocal opened
        opened += 1
        if opened == count:
            all_open.set()

    began = time.perf_counter()
    streams = [asyncio.create_task(_follow_stream(service, ids[i % len(ids)], one_more)) for i in range(count)]
    await asyncio.wait_for(all_open.wait(), 300)
    opened_s = time.perf_counter() - began
    with Redis.from_url(settings.redis_url or "") as redis:
        subscriptions = len(redis.client_list(_type="pubsub"))
    changed = time.perf_counter()
    claimed = [await asyncio.to_thread(store.leases.claim, edit_id, lease_s=600) for edit_id in ids]
    if None in claimed:
        raise RuntimeError("an edit could not be claimed")
    seen = [at - changed for at in await asyncio.wait_for(asyncio.gather(*streams), 300)]
    return {
        "streams": count,
        "edits": len(ids),
        "redis_subscriptions": subscriptions,
        "all_open_s": round(opened_s, 2),
        "saw_the_event": len(seen),
        "seen_after_s": {"p50": round(statistics.median(seen), 2), "max": round(max(seen), 2)},
    }


def streams(service: str, settings: Settings, *, count: int, edits: int = 50) -> dict[str, Any]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2 * count + 200)), hard))
    body, kind = form_of(photo(20_000))
    ids = []
    for _ in range(edits):
        posted = httpx.post(f"{service}/edits", content=body, headers={"Content-Type": kind})
        posted.raise_for_status()
        ids.append(posted.json()["id"])
    return asyncio.run(_all_streams(service, settings, ids, count))


def measure(*, requests: int, at_once: int, polled: int, opened: int) -> dict[str, Any]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2 * opened + 200)), hard))  # the servers inherit the limit
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="overhead-")))
        redis = stack.enter_context(EmbeddedRedis(folder / "redis"))
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=4096)) for _ in range(2)]
        settings = Settings(
            auth="open",
            redis_url=redis.url,
            data_dir=folder / "data",
            max_unfinished_edits_per_user=1_000_000,
            max_unfinished_edits_per_tenant=1_000_000,
            max_unfinished_edits=1_000_000,
            max_streams_per_user=1_000_000,
            max_streams_per_tenant=1_000_000,
            max_streams=1_000_000,
        )
        service = stack.enter_context(server(settings, sockets[0], folder))
        bare = stack.enter_context(server(settings, sockets[1], folder, bare=True))
        return {
            "machine": {
                "processor": platform.machine(),
                "cores": os.cpu_count(),
                "load_before": round(os.getloadavg()[0], 2),
            },
            "polls": {str(n): polls(service, bare, requests=polled, at_once=n) for n in (1, 16)},
            "streams": streams(service, settings, count=opened),
            "uploads_of_phones": {
                "mbit_s": PHONE_MBIT_S,
                **uploads(service, bare, requests=requests, at_once=at_once, mbit_s=PHONE_MBIT_S),
            },
            "uploads": uploads(service, bare, requests=requests, at_once=at_once),
            "decoding_ms": decoding_ms(photo()),
        }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m lab.service.overhead", description=__doc__.partition("\n")[0] if __doc__ else ""
    )
    parser.add_argument("--requests", type=int, default=1024, help="number of uploads to each server")
    parser.add_argument("--at-once", type=int, default=64, help="requests that are open at a time")
    parser.add_argument("--polls", type=int, default=4000, help="number of polls to each server")
    parser.add_argument("--streams", type=int, default=2000, help="number of event streams")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    given = parser.parse_args(arguments)
    text = json.dumps(measure(requests=given.requests, at_once=given.at_once, polled=given.polls, opened=given.streams), indent=1)
    print(text)
    if given.out:
        given.out.write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
