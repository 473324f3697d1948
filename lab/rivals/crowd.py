"""Many users at once: who gets an answer, whose it is, what it changed, and how long it took."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from lab.rivals.client import Answer, Server
from lab.rivals.marks import Portrait, openai_mask, png, read

MAX_USERS, MAX_EDITS = 64, 32
"""Together at most 2,048 requests, which the mark can number."""


@dataclass(frozen=True, slots=True)
class Request:
    """One edit: its number, which the photo carries, and its user."""

    number: int
    user: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What an answer turned out to be."""

    verdict: str
    mark: int | None = None
    extra: int = 0
    outside: int | None = None
    outside_share: float = 0.0
    untouched: bool = False


def run(server: Server, portrait: Portrait, *, users: int, edits: int, at_once: int, named: bool = True) -> dict[str, Any]:
    """Send `edits` edits of each user, `at_once` at a time, and return what came of them.

    With `named`, requests carry the user's name as `user`.
    """
    if not (1 <= users <= MAX_USERS and 1 <= edits <= MAX_EDITS):
        raise ValueError(f"at most {MAX_USERS} users and {MAX_EDITS} edits of each")
    requests = [Request(1 + edit * users + user, user) for edit in range(edits) for user in range(users)]
    mask = openai_mask(portrait.kept)

    def ask(request: Request) -> Answer:
        fields = {"prompt": portrait.prompt, **({"user": f"user-{request.user}"} if named else {})}
        return server.ask(fields, {"image": png(portrait.marked(request.number)), "mask": mask})

    began = time.perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        answers = list(pool.map(ask, requests))
    seconds = time.perf_counter() - began
    owners = {request.number: request.user for request in requests}
    seen = [judge(portrait, request, answer, owners) for request, answer in zip(requests, answers, strict=True)]
    return {
        "users": users,
        "edits_each": edits,
        "at_once": at_once,
        **_counts(seen, answers),
        **_times([answer.seconds for answer in answers if answer.usable], seconds),
    }


def judge(portrait: Portrait, request: Request, answer: Answer, owners: dict[int, int]) -> Seen:
    """Say whose picture an answer is, and what it changed."""
    if not answer.usable:
        return Seen("lost")
    picture, extra = answer.pictures[0], len(answer.pictures) - 1
    mark = read(picture.pixels, portrait.size)
    if mark is None or mark not in owners:
        return Seen("unmarked", extra=extra)
    if mark != request.number:
        return Seen("swapped" if owners[mark] != request.user else "mixed up", mark, extra)
    if picture.size != portrait.size:
        return Seen("resized", mark, extra)
    difference = np.abs(picture.pixels.astype(int) - portrait.marked(request.number)).max(axis=2)
    outside = difference[portrait.kept]
    untouched = not difference[~portrait.kept].any()
    return Seen("right", mark, extra, int(outside.max()), float((outside > 0).mean()), untouched)


def _counts(seen: Sequence[Seen], answers: Sequence[Answer]) -> dict[str, Any]:
    """Count the faults. An answer that two requests got, and a picture that nobody asked for, count as doubled."""
    verdicts = Counter(one.verdict for one in seen)
    marks = Counter(one.mark for one in seen if one.mark is not None)
    measured = [one for one in seen if one.outside is not None]
    return {
        "requests": len(seen),
        "right": verdicts["right"],
        "lost": verdicts["lost"],
        "swapped": verdicts["swapped"],
        "mixed_up": verdicts["mixed up"],
        "doubled": sum(count - 1 for count in marks.values()) + sum(one.extra for one in seen),
        "unmarked": verdicts["unmarked"],
        "resized": verdicts["resized"],
        "untouched": sum(one.untouched for one in measured),
        "changed_outside": sum(one.outside != 0 for one in measured),
        "outside_max_level": max((one.outside or 0 for one in measured), default=None),
        "outside_share": round(max((one.outside_share for one in measured), default=0.0), 4),
        "why_lost": dict(Counter(answer.fault or "" for answer in answers if not answer.usable)),
    }


def _times(each: Sequence[float], whole: float) -> dict[str, Any]:
    if not each:
        return {"p50_s": None, "p99_s": None, "per_minute": 0.0}
    p50, p99 = np.percentile(each, [50, 99])
    return {"p50_s": round(float(p50), 2), "p99_s": round(float(p99), 2), "per_minute": round(60 * len(each) / whole, 1)}
