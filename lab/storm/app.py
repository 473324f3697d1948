"""The client in a storm: it posts edits with an idempotency key each, retries until they are accepted, and polls them."""

from __future__ import annotations

import io
import json
import random
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import httpx
import numpy as np
from PIL import Image, ImageDraw

from lab.storm.engines import EngineChoice
from lab.storm.history import OVER, AcceptedEdit, Poll, StreamEvent
from worker.engines.engine import EditInputs

SIDE_PX = 64
EDITS_PER_PHOTO = 6
USERS = 8
COLOURS = ("red", "black", "blond", "brown", "white", "grey")
CANCELED_SHARE = 0.03
"""Share of the edits that the client cancels."""
POLL_INTERVAL_S = 0.3
"""Pause between two rounds of polls over all open edits. Most requests of a storm are polls."""


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


@dataclass(frozen=True, slots=True)
class PlannedEdit:
    """An edit to post. Everything about it follows from the storm's seed and its number."""

    number: int
    user: str
    prompt: str
    image: bytes
    mask: bytes
    cancel: bool

    @property
    def inputs(self) -> EditInputs:
        return EditInputs(self.image, self.mask)

    @property
    def key(self) -> str:
        return f"storm-{self.number}"


def planned_edit(seed: int, number: int, users: int = USERS, *, one_prompt: bool = False) -> PlannedEdit:
    """Return the edit of that number. With `one_prompt`, all edits of a photo have the same prompt."""
    rng = random.Random(f"{seed} {number}")
    user, batch = number % users, number // (users * EDITS_PER_PHOTO)
    photo = np.random.default_rng([seed, user, batch])
    colour = random.Random(f"{seed} {user} {batch}").choice(COLOURS) if one_prompt else rng.choice(COLOURS)
    mask = Image.new("L", (SIDE_PX, SIDE_PX), 0)
    ImageDraw.Draw(mask).ellipse([16, 16, 48, 48], fill=255)
    return PlannedEdit(
        number=number,
        user=f"user-{user}",
        prompt=f"a photo of a woman with {colour} hair",
        image=_png(Image.fromarray(photo.integers(0, 256, (SIDE_PX, SIDE_PX, 3), dtype=np.uint8))),
        mask=_png(mask),
        cancel=rng.random() < CANCELED_SHARE,
    )


@dataclass
class ClientApp:
    """A client with several threads: `posters` post edits, one polls the open edits, one follows event streams one after another.

    It keeps at most `max_open` edits open.
    """

    url: str
    seed: int
    jobs: int
    webhook_url: str
    engine_choice: EngineChoice
    results: Mapping[int, str]  # digest of the expected picture, by number of the edit
    posters: int = 4
    max_open: int = 96
    accepted: list[AcceptedEdit] = field(default_factory=list)
    polls: list[Poll] = field(default_factory=list)
    events: list[StreamEvent] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)  # answers that no injected fault explains
    answers: list[float] = field(default_factory=list)  # seconds from the first try of a post to its 202

    def __post_init__(self) -> None:
        self._numbers = deque(range(self.jobs))
        self._open: dict[str, AcceptedEdit] = {}
        self._streamed: set[str] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._post_edits, daemon=True) for _ in range(self.posters)]
        self._threads.append(threading.Thread(target=self._poll_edits, daemon=True))
        self._threads.append(threading.Thread(target=self._follow_edits, daemon=True))

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    @property
    def over(self) -> int:
        """The number of edits that a poll has found ended."""
        return len(self.accepted) - len(self._open)

    @property
    def finished(self) -> bool:
        return len(self.accepted) == self.jobs and not self._open

    def open_jobs(self) -> list[str]:
        with self._lock:
            return list(self._open)

    def _post_edits(self) -> None:
        with httpx.Client(base_url=self.url, timeout=20) as http:
            while not self._stop.is_set():
                if len(self._open) >= self.max_open:
                    time.sleep(0.01)
                    continue
                try:
                    number = self._numbers.popleft()
                except IndexError:
                    return
                self._post(http, planned_edit(self.seed, number, one_prompt=self.engine_choice.one_prompt))

    def _post(self, http: httpx.Client, wanted: PlannedEdit) -> None:
        began = time.monotonic()
        files = {"image": ("photo.png", wanted.image), "mask": ("mask.png", wanted.mask)}
        form = {"prompt": wanted.prompt, "webhook_url": self.webhook_url, **self.engine_choice.form}
        headers = {"S2Edit-User": wanted.user, "Idempotency-Key": wanted.key}
        while not self._stop.is_set():
            answer = _try(lambda: http.post("/edits", data=form, files=files, headers=headers))
            if answer is not None and answer.status_code == httpx.codes.ACCEPTED:
                break
            if answer is not None and answer.status_code not in (409, 429, 503):
                self.unexpected.append(f"posting {wanted.key}: {answer.status_code} {answer.text[:200]}")
                return
            time.sleep(0.05)
        else:
            return
        self.answers.append(time.monotonic() - began)
        job = str(answer.json()["id"])
        if wanted.cancel:
            self._cancel(http, job, wanted.user)
        accepted = AcceptedEdit(wanted.key, wanted.user, job, canceled=wanted.cancel, result=self.results[wanted.number])
        with self._lock:
            self.accepted.append(accepted)
            self._open[job] = accepted

    def _cancel(self, http: httpx.Client, job: str, user: str) -> None:
        while not self._stop.is_set():
            answer = _try(lambda: http.post(f"/edits/{job}/cancel", headers={"S2Edit-User": user}))
            if answer is not None and answer.status_code == httpx.codes.ACCEPTED:
                return
            time.sleep(0.05)

    def _poll_edits(self) -> None:
        rng = random.Random(self.seed)
        with httpx.Client(base_url=self.url, timeout=20) as http:
            while not self._stop.is_set():
                for job in self.open_jobs():
                    if self._stop.is_set():
                        return
                    self._poll(http, self._open[job], rng)
                self._stop.wait(POLL_INTERVAL_S)

    def _poll(self, http: httpx.Client, accepted: AcceptedEdit, rng: random.Random) -> None:
        if rng.random() < 0.02:
            stranger = replace(accepted, user="stranger")
            self._record(stranger, _try(lambda: http.get(f"/edits/{accepted.job}", headers={"S2Edit-User": "stranger"})))
        answer = _try(lambda: http.get(f"/edits/{accepted.job}", headers={"S2Edit-User": accepted.user}))
        poll = self._record(accepted, answer)
        if poll is not None and poll.state in OVER:
            self._record(accepted, _try(lambda: http.get(f"/edits/{accepted.job}", headers={"S2Edit-User": accepted.user})))
            with self._lock:
                del self._open[accepted.job]

    def _follow_edits(self) -> None:
        rng = random.Random(self.seed + 1)
        with httpx.Client(base_url=self.url, timeout=20) as http:
            while not self._stop.is_set():
                if jobs := self.open_jobs():
                    self._follow(http, rng.choice(jobs))
                time.sleep(0.02)

    def _follow(self, http: httpx.Client, job: str) -> None:
        """Follow the edit's event stream to its end, and reconnect whenever the connection breaks."""
        accepted = self._open.get(job)
        if accepted is None or job in self._streamed:
            return
        self._streamed.add(job)
        last: StreamEvent | None = None
        while not self._stop.is_set() and (last is None or last.state not in OVER):
            headers = {"S2Edit-User": accepted.user} | ({"Last-Event-ID": str(last.sequence)} if last else {})
            try:
                with http.stream("GET", f"/edits/{job}/events", headers=headers) as answer:
                    for event in _events(answer.iter_lines(), job):
                        last = event
                        self.events.append(event)
            except httpx.TransportError:
                time.sleep(0.05)

    def _record(self, accepted: AcceptedEdit, answer: httpx.Response | None) -> Poll | None:
        if answer is not None and answer.status_code not in (200, 404, 503):
            self.unexpected.append(f"polling {accepted.job}: {answer.status_code} {answer.text[:200]}")
        if answer is None or answer.status_code not in (200, 404):
            return None
        if answer.status_code == 404:
            poll = Poll(accepted.job, accepted.user, 0, "", found=False)
        else:
            edit = answer.json()
            picture = (edit["result"] or {}).get("url", "").partition("?")[0]
            poll = Poll(accepted.job, accepted.user, edit["sequence"], edit["state"], artifacts=picture)
        self.polls.append(poll)
        return poll


def _events(lines: Iterable[str], job: str) -> Iterator[StreamEvent]:
    gap, kind = False, ""
    for line in lines:
        name, _, value = line.partition(": ")
        if name == "event":
            kind = value
            gap |= kind == "gap"
        elif name == "data" and kind == "edit":
            edit = json.loads(value)
            yield StreamEvent(job, edit["sequence"], edit["state"], gap)
            gap = False


def _try(call: object) -> httpx.Response | None:
    """Return the answer, or None for a transport error."""
    assert callable(call)
    try:
        answer: httpx.Response = call()
    except httpx.TransportError:
        return None
    return answer
