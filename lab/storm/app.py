"""The client in a storm: it posts edits with an idempotency key each until they are accepted, and polls two thirds of them."""

from __future__ import annotations

import io
import json
import random
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import httpx
import numpy as np
from PIL import Image, ImageDraw

from lab.storm.checks.history import OVER, AcceptedEdit, Poll, StreamEvent
from lab.storm.system.engines import SLOW_EDITING, SLOW_LEARNING, EngineChoice
from worker.engines.engine import EditInputs

SIDE_PX = 64
EDITS_PER_PHOTO = 6
USERS = 8
COLOURS = ("red", "black", "blond", "brown", "white", "grey")
CANCELED_SHARE = 0.03
"""Share of the edits that the client cancels."""
POLL_INTERVAL_S = 0.3
"""Pause between two rounds of polls over all open edits. Most requests of a storm are polls."""
MIN_SLOW_EVERY, MAX_SLOW, MAX_SLOW_PHOTOS = 10, 40, 10
"""One edit in so many is slow, but at most so many per storm; and so many photos are learned slowly."""
LAST_LOOKS_S = 60.0


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


@dataclass(frozen=True, slots=True)
class PlannedEdit:
    """An edit to post. Everything about it follows from the storm's seed, its size and the edit's number."""

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

    @property
    def looked_at(self) -> bool:
        """Whether the client looks at the edit before all is calm. A GET enters an edit again that Redis has lost."""
        return self.number % 3 != 1

    @property
    def repeated(self) -> bool:
        """Whether the client sends the request twice, at the same time and with the same key. The answer counts as a look."""
        return self.number % 9 == 0


def planned_edit(seed: int, number: int, users: int = USERS, *, one_prompt: bool = False, jobs: int = 0) -> PlannedEdit:
    """Return the edit of that number. Some edits of a storm of `jobs` are slow.

    With `one_prompt`, all edits of a photo have the same prompt.
    """
    rng = random.Random(f"{seed} {number}")
    user, batch = number % users, number // (users * EDITS_PER_PHOTO)
    photo = np.random.default_rng([seed, user, batch])
    colour = random.Random(f"{seed} {user} {batch}").choice(COLOURS) if one_prompt else rng.choice(COLOURS)
    mask = Image.new("L", (SIDE_PX, SIDE_PX), 0)
    ImageDraw.Draw(mask).ellipse([16, 16, 48, 48], fill=255)
    planned = PlannedEdit(
        number=number,
        user=f"user-{user}",
        prompt=f"a photo of a woman with {_slowness(number, user, batch, jobs)}{colour} hair",
        image=_png(Image.fromarray(photo.integers(0, 256, (SIDE_PX, SIDE_PX, 3), dtype=np.uint8))),
        mask=_png(mask),
        cancel=rng.random() < CANCELED_SHARE,
    )
    return planned if planned.looked_at else replace(planned, cancel=False)


def _slowness(number: int, user: int, batch: int, jobs: int) -> str:
    """Return the words of the prompt that make the edit slow: a bounded number of edits, and of photos, per storm."""
    if not jobs:
        return ""
    every = max(MIN_SLOW_EVERY, jobs // MAX_SLOW)
    every += every % 3 == 0  # otherwise the client would look at all of them, or at none
    editing = number % every == every // 2
    learning = user == 3 and batch % max(1, jobs // (USERS * EDITS_PER_PHOTO * MAX_SLOW_PHOTOS)) == 0
    return f"{SLOW_LEARNING} " * learning + f"{SLOW_EDITING} " * editing


@dataclass
class ClientApp:
    """A client with several threads: `posters` post edits, one polls the open edits, one follows event streams one after another.

    It keeps at most `max_open` edits open, and never looks at a third of the edits until `look_at_all`. `late` edits are posted
    when `post_late` is called.
    """

    url: str
    seed: int
    jobs: int
    webhook_url: str
    engine_choice: EngineChoice
    results: Mapping[int, str]  # digest of the expected picture, by number of the edit
    late: int = 0
    posters: int = 4
    max_open: int = 96
    accepted: list[AcceptedEdit] = field(default_factory=list)
    polls: list[Poll] = field(default_factory=list)
    events: list[StreamEvent] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)  # answers that no injected fault explains
    answers: list[float] = field(default_factory=list)  # seconds from the first try of a post to its 202

    def __post_init__(self) -> None:
        unlooked = [number for number in range(self.jobs) if not self._planned(number).looked_at]
        self._late = deque(unlooked[len(unlooked) - self.late :])
        self._numbers = deque(number for number in range(self.jobs) if number not in self._late)
        self._open: dict[str, AcceptedEdit] = {}
        self._last: dict[str, Poll] = {}
        self._streamed: set[str] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._post_edits, daemon=True) for _ in range(self.posters)]
        self._threads.append(threading.Thread(target=self._poll_edits, daemon=True))
        self._threads.append(threading.Thread(target=self._follow_edits, daemon=True))
        self._late_threads: list[threading.Thread] = []

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in (*self._threads, *self._late_threads):
            thread.join(60)

    @property
    def over(self) -> int:
        """The number of edits that a poll has found ended."""
        with self._lock:
            return len({one.job for one in self.accepted if one.looked_at}) - len(self._open)

    @property
    def all_accepted(self) -> bool:
        with self._lock:
            return len({one.key for one in self.accepted}) == self.jobs

    @property
    def finished(self) -> bool:
        """Whether every edit was accepted, and every edit that the client looks at is over."""
        return self.all_accepted and not self._open

    def unlooked(self) -> list[AcceptedEdit]:
        """Return the accepted edits that the client does not look at."""
        with self._lock:
            return [one for one in self.accepted if not one.looked_at]

    def open_jobs(self) -> list[str]:
        with self._lock:
            return list(self._open)

    def advanced_jobs(self, sequence: int) -> list[str]:
        """Return the open jobs whose last poll has found them running with at least this sequence."""
        with self._lock:
            return [job for job, poll in self._last.items() if poll.state == "running" and poll.sequence >= sequence]

    def post_late(self, count: int) -> None:
        """Begin to post `count` of the late edits."""
        for _ in range(min(count, len(self._late))):
            self._late_threads.append(threading.Thread(target=self._post_one, args=(self._late.popleft(),), daemon=True))
            self._late_threads[-1].start()

    @property
    def posting_late(self) -> bool:
        return any(thread.is_alive() for thread in self._late_threads)

    def look_at_all(self) -> None:
        """Poll every edit once, after everything is over. Call it after `stop`."""
        left, ends = {one.job: one for one in self.accepted}, time.monotonic() + LAST_LOOKS_S
        with httpx.Client(base_url=self.url, timeout=5) as http:
            while left and time.monotonic() < ends:
                job, one = next(iter(left.items()))
                answer = _try(partial(http.get, f"/edits/{job}", headers={"S2Edit-User": one.user}))
                if self._record(one, answer) is not None:
                    del left[job]
                else:
                    time.sleep(0.1)
        self.unexpected += [f"{job}: the last look at it had no answer" for job in left]

    def _planned(self, number: int) -> PlannedEdit:
        one_prompt = self.engine_choice.one_prompt
        return planned_edit(self.seed, number, one_prompt=one_prompt, jobs=0 if one_prompt else self.jobs)

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
                self._post(http, self._planned(number))

    def _post_one(self, number: int) -> None:
        with httpx.Client(base_url=self.url, timeout=20) as http:
            self._post(http, self._planned(number))

    def _post(self, http: httpx.Client, wanted: PlannedEdit) -> None:
        repetition = threading.Thread(target=self._repeat, args=(wanted,), daemon=True) if wanted.repeated else None
        if repetition is not None:
            repetition.start()
        began = time.monotonic()
        job = self._send(http, wanted)
        if job is not None:
            self.answers.append(time.monotonic() - began)
            if wanted.cancel:
                self._cancel(http, job, wanted.user)
            self._accept(wanted, job)
        if repetition is not None:
            repetition.join()

    def _repeat(self, wanted: PlannedEdit) -> None:
        with httpx.Client(base_url=self.url, timeout=20) as http:
            job = self._send(http, wanted)
        if job is not None:
            self._accept(wanted, job)

    def _send(self, http: httpx.Client, wanted: PlannedEdit) -> str | None:
        """Post the edit until it is accepted. Return its id, or None if it was refused or the storm ends."""
        files = {"image": ("photo.png", wanted.image), "mask": ("mask.png", wanted.mask)}
        form = {"prompt": wanted.prompt, "webhook_url": self.webhook_url, **self.engine_choice.form}
        headers = {"S2Edit-User": wanted.user, "Idempotency-Key": wanted.key}
        while not self._stop.is_set():
            answer = _try(lambda: http.post("/edits", data=form, files=files, headers=headers))
            if answer is not None and answer.status_code == httpx.codes.ACCEPTED:
                return str(answer.json()["id"])
            if answer is not None and answer.status_code not in (409, 429, 503):
                self.unexpected.append(f"posting {wanted.key}: {answer.status_code} {answer.text[:200]}")
                return None
            time.sleep(0.05)
        return None

    def _accept(self, wanted: PlannedEdit, job: str) -> None:
        result = self.results[wanted.number]
        accepted = AcceptedEdit(wanted.key, wanted.user, job, canceled=wanted.cancel, result=result, looked_at=wanted.looked_at)
        with self._lock:
            known = any(one.job == job for one in self.accepted)
            self.accepted.append(accepted)
            if wanted.looked_at and not known:
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
                self._last.pop(accepted.job, None)

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
            poll = Poll(accepted.job, accepted.user, 0, "", found=False, at=time.time())
        else:
            edit = answer.json()
            picture = (edit["result"] or {}).get("url", "").partition("?")[0]
            poll = Poll(accepted.job, accepted.user, edit["sequence"], edit["state"], artifacts=picture, at=time.time())
        self.polls.append(poll)
        if poll.found and accepted.job in self._open:
            self._last[accepted.job] = poll
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
