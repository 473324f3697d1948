"""The app in a storm: it asks for edits with a key each, again and again until it is answered, and looks at them meanwhile."""

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

from lab.storm.engines import Cast
from lab.storm.history import OVER, Asked, Heard, Seen
from worker.engines.engine import EditInputs

SIDE_PX = 64
EDITS_PER_PHOTO = 6
USERS = 8
COLOURS = ("red", "black", "blond", "brown", "white", "grey")
CANCELED = 0.03
"""Share of the edits that the app cancels again."""
LOOK_S = 0.3
"""Pause between two looks at everything that is open: looking is most of what the API does in a storm."""


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


@dataclass(frozen=True, slots=True)
class Wish:
    """The edit of one number: everything about it follows from the storm's seed."""

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


def wish(seed: int, number: int, users: int = USERS, *, one_prompt: bool = False) -> Wish:
    """With `one_prompt`, the edits of one photo ask for the same."""
    rng = random.Random(f"{seed} {number}")
    user, batch = number % users, number // (users * EDITS_PER_PHOTO)
    photo = np.random.default_rng([seed, user, batch])
    colour = random.Random(f"{seed} {user} {batch}").choice(COLOURS) if one_prompt else rng.choice(COLOURS)
    mask = Image.new("L", (SIDE_PX, SIDE_PX), 0)
    ImageDraw.Draw(mask).ellipse([16, 16, 48, 48], fill=255)
    return Wish(
        number=number,
        user=f"user-{user}",
        prompt=f"a photo of a woman with {colour} hair",
        image=_png(Image.fromarray(photo.integers(0, 256, (SIDE_PX, SIDE_PX, 3), dtype=np.uint8))),
        mask=_png(mask),
        cancel=rng.random() < CANCELED,
    )


@dataclass
class App:
    """`askers` threads ask for the edits, one looks at those that are not over, and one follows the stream of one after another.

    `within` bounds how many are open.
    """

    url: str
    seed: int
    jobs: int
    webhook_url: str
    cast: Cast
    results: Mapping[int, str]  # digest of the picture that must come out, by the number of the wish
    askers: int = 4
    within: int = 96
    asked: list[Asked] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)  # answers that no accident excuses
    answers: list[float] = field(default_factory=list)  # seconds until a request was answered with 202, tries included

    def __post_init__(self) -> None:
        self._numbers = deque(range(self.jobs))
        self._open: dict[str, Asked] = {}
        self._followed: set[str] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask_on, daemon=True) for _ in range(self.askers)]
        self._threads.append(threading.Thread(target=self._look_on, daemon=True))
        self._threads.append(threading.Thread(target=self._listen_on, daemon=True))

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    @property
    def over(self) -> int:
        """How many edits have been seen to end."""
        return len(self.asked) - len(self._open)

    @property
    def finished(self) -> bool:
        return len(self.asked) == self.jobs and not self._open

    def open_jobs(self) -> list[str]:
        with self._lock:
            return list(self._open)

    def _ask_on(self) -> None:
        with httpx.Client(base_url=self.url, timeout=20) as http:
            while not self._stop.is_set():
                if len(self._open) >= self.within:
                    time.sleep(0.01)
                    continue
                try:
                    number = self._numbers.popleft()
                except IndexError:
                    return
                self._ask(http, wish(self.seed, number, one_prompt=self.cast.one_prompt))

    def _ask(self, http: httpx.Client, wanted: Wish) -> None:
        began = time.monotonic()
        files = {"image": ("photo.png", wanted.image), "mask": ("mask.png", wanted.mask)}
        form = {"prompt": wanted.prompt, "webhook_url": self.webhook_url, **self.cast.form}
        headers = {"S2Edit-User": wanted.user, "Idempotency-Key": wanted.key}
        while not self._stop.is_set():
            answer = _try(lambda: http.post("/edits", data=form, files=files, headers=headers))
            if answer is not None and answer.status_code == httpx.codes.ACCEPTED:
                break
            if answer is not None and answer.status_code not in (409, 429, 503):
                self.unexpected.append(f"asking for {wanted.key}: {answer.status_code} {answer.text[:200]}")
                return
            time.sleep(0.05)
        else:
            return
        self.answers.append(time.monotonic() - began)
        job = str(answer.json()["id"])
        if wanted.cancel:
            self._cancel(http, job, wanted.user)
        asked = Asked(wanted.key, wanted.user, job, canceled=wanted.cancel, result=self.results[wanted.number])
        with self._lock:
            self.asked.append(asked)
            self._open[job] = asked

    def _cancel(self, http: httpx.Client, job: str, user: str) -> None:
        while not self._stop.is_set():
            answer = _try(lambda: http.post(f"/edits/{job}/cancel", headers={"S2Edit-User": user}))
            if answer is not None and answer.status_code == httpx.codes.ACCEPTED:
                return
            time.sleep(0.05)

    def _look_on(self) -> None:
        rng = random.Random(self.seed)
        with httpx.Client(base_url=self.url, timeout=20) as http:
            while not self._stop.is_set():
                for job in self.open_jobs():
                    if self._stop.is_set():
                        return
                    self._look(http, self._open[job], rng)
                self._stop.wait(LOOK_S)

    def _look(self, http: httpx.Client, asked: Asked, rng: random.Random) -> None:
        if rng.random() < 0.02:
            stranger = replace(asked, user="stranger")
            self._note(stranger, _try(lambda: http.get(f"/edits/{asked.job}", headers={"S2Edit-User": "stranger"})))
        answer = _try(lambda: http.get(f"/edits/{asked.job}", headers={"S2Edit-User": asked.user}))
        look = self._note(asked, answer)
        if look is not None and look.state in OVER:
            self._note(asked, _try(lambda: http.get(f"/edits/{asked.job}", headers={"S2Edit-User": asked.user})))
            with self._lock:
                del self._open[asked.job]

    def _listen_on(self) -> None:
        rng = random.Random(self.seed + 1)
        with httpx.Client(base_url=self.url, timeout=20) as http:
            while not self._stop.is_set():
                if jobs := self.open_jobs():
                    self._follow(http, rng.choice(jobs))
                time.sleep(0.02)

    def _follow(self, http: httpx.Client, job: str) -> None:
        """To the edit's end, over as many connections as it takes."""
        asked = self._open.get(job)
        if asked is None or job in self._followed:
            return
        self._followed.add(job)
        last: Heard | None = None
        while not self._stop.is_set() and (last is None or last.state not in OVER):
            headers = {"S2Edit-User": asked.user} | ({"Last-Event-ID": str(last.sequence)} if last else {})
            try:
                with http.stream("GET", f"/edits/{job}/events", headers=headers) as answer:
                    for event in _events(answer.iter_lines(), job):
                        last = event
                        self.heard.append(event)
            except httpx.TransportError:
                time.sleep(0.05)

    def _note(self, asked: Asked, answer: httpx.Response | None) -> Seen | None:
        if answer is not None and answer.status_code not in (200, 404, 503):
            self.unexpected.append(f"looking at {asked.job}: {answer.status_code} {answer.text[:200]}")
        if answer is None or answer.status_code not in (200, 404):
            return None
        if answer.status_code == 404:
            look = Seen(asked.job, asked.user, 0, "", found=False)
        else:
            edit = answer.json()
            picture = (edit["result"] or {}).get("url", "").partition("?")[0]
            look = Seen(asked.job, asked.user, edit["sequence"], edit["state"], artifacts=picture)
        self.seen.append(look)
        return look


def _events(lines: Iterable[str], job: str) -> Iterator[Heard]:
    gap, kind = False, ""
    for line in lines:
        name, _, value = line.partition(": ")
        if name == "event":
            kind = value
            gap |= kind == "gap"
        elif name == "data" and kind == "edit":
            edit = json.loads(value)
            yield Heard(job, edit["sequence"], edit["state"], gap)
            gap = False


def _try(call: object) -> httpx.Response | None:
    """None where nobody answers."""
    assert callable(call)
    try:
        answer: httpx.Response = call()
    except httpx.TransportError:
        return None
    return answer
