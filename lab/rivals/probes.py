"""One parameter at a time: is it honoured, refused, or silently ignored?"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from lab.rivals.client import Answer, Fields, Files, Server
from lab.rivals.marks import Portrait, openai_mask, png

HONOURED, REFUSED, IGNORED, FAILED, ACCEPTED = "honoured", "refused", "ignored", "failed", "accepted"
UNSHAPED = "refused, in another shape"
"""A refusal whose message OpenAI's SDKs don't find."""
Value = TypeVar("Value")
PAUSE_S = 6.0
"""Seconds after which a server that refused a probe as busy is asked once more."""
OTHER_SIDE = 256
NUMBER = 0
"""The mark of all probes: a server that keeps what it learned from a photo needs to learn it once."""


@dataclass(frozen=True)
class Probe:
    """Requests that differ from a plain one by `changes`, and a judge of their answers. Without one, they must be refused."""

    name: str
    changes: Sequence[Fields]
    judge: Callable[[Sequence[Answer]], bool] | None = None
    files: Files = field(default_factory=dict)
    without: Sequence[str] = ()


def run(server: Server, portrait: Portrait, *, pause_s: float = PAUSE_S) -> dict[str, Any]:
    """Return the verdict on each parameter as `probes`, and why some have failed as `why`.

    `blocked` counts the probes that the server refused as busy at first: some rest for seconds after an error, whoever caused it.
    """
    plain_fields = {"prompt": portrait.prompt}
    plain_files = {"image": png(portrait.marked(NUMBER)), "mask": openai_mask(portrait.kept)}

    blocked = 0

    def ask(probe: Probe, change: Fields) -> Answer:
        nonlocal blocked
        fields = _less({**plain_fields, **change}, probe.without)
        files = _less({**plain_files, **probe.files}, probe.without)
        answer = server.ask(fields, files)
        if not answer.busy:
            return answer
        blocked += 1
        time.sleep(pause_s)
        return server.ask(fields, files)

    found: dict[str, str] = {}
    why: dict[str, str] = {}
    for probe in probes(portrait):
        answers = [ask(probe, change) for change in probe.changes]
        found[probe.name] = verdict(probe, answers)
        if found[probe.name] in (FAILED, UNSHAPED):
            why[probe.name] = next(f"{answer.fault}: {answer.message}" for answer in answers if not answer.usable)
    return {"probes": found, "why": why, "blocked": blocked}


def verdict(probe: Probe, answers: Sequence[Answer]) -> str:
    """Say what a server did with a parameter."""
    refusals = [answer for answer in answers if answer.refused]
    if refusals:
        return REFUSED if all(answer.shaped for answer in refusals) else UNSHAPED
    if not all(answer.usable for answer in answers):
        return FAILED
    if probe.judge is None:
        return IGNORED
    if probe.judge is accepted:
        return ACCEPTED
    return HONOURED if probe.judge(answers) else IGNORED


def accepted(_answers: Sequence[Answer]) -> bool:
    """Judge nothing: the parameter has no effect that a caller sees."""
    return True


def probes(portrait: Portrait) -> Iterator[Probe]:
    """Yield the probes: those that may be honoured, then those that can only be refused."""
    yield from _honourable(portrait)
    wrong: Mapping[str, Fields] = {
        "n=0": {"n": "0"},
        "n=1000": {"n": "1000"},
        "size=banana": {"size": "banana"},
        "quality=banana": {"quality": "banana"},
        "output_format=bmp": {"output_format": "bmp"},
        "output_compression=101": {"output_compression": "101", "output_format": "jpeg"},
        "response_format=banana": {"response_format": "banana"},
        "background=banana": {"background": "banana"},
        "an unknown parameter": {"colour_of_sky": "green"},
        "an unknown model": {"model": "no-such-model"},
        "an empty prompt": {"prompt": ""},
    }
    for name, change in wrong.items():
        yield Probe(name, [change])
    width, height = portrait.size
    yield Probe("no prompt", [{}], without=["prompt"])
    yield Probe("no image", [{}], without=["image"])
    yield Probe("an image that is none", [{}], files={"image": b"no picture"})
    yield Probe("a mask that is none", [{}], files={"mask": b"no picture"})
    yield Probe("a mask of another shape", [{}], files={"mask": openai_mask(np.zeros((height, width // 2), dtype=bool))})


def _honourable(portrait: Portrait) -> Iterator[Probe]:
    width, height = portrait.size
    yield Probe("n=2", [{"n": "2"}], lambda answers: len(answers[0].pictures) == 2)
    yield Probe("size, another", [{"size": f"{OTHER_SIDE}x{OTHER_SIDE}"}], _sized((OTHER_SIDE, OTHER_SIDE)))
    yield Probe("size, the photo's", [{"size": f"{width}x{height}"}], _sized((width, height)))
    for kind in ("jpeg", "webp"):
        yield Probe(f"output_format={kind}", [{"output_format": kind}], _formatted(kind))
    compressed = [{"output_format": "jpeg", "output_compression": str(quality)} for quality in (10, 95)]
    yield Probe("output_compression", compressed, _compressed)
    yield Probe("response_format=url", [{"response_format": "url"}], lambda answers: answers[0].pictures[0].by_url)
    yield Probe("response_format=b64_json", [{"response_format": "b64_json"}], lambda answers: not answers[0].pictures[0].by_url)
    yield Probe("background=transparent", [{"background": "transparent"}], lambda answers: answers[0].pictures[0].has_alpha)
    yield Probe("stream", [{"stream": "true"}], lambda answers: "image_edit.completed" in answers[0].events)
    yield Probe("seed", [{"seed": "1"}, {"seed": "1"}, {"seed": "2"}], _seeded)
    kept, photo = _smaller(portrait.kept), portrait.marked(NUMBER)

    def masked(answers: Sequence[Answer]) -> bool:
        pixels = answers[0].pictures[0].pixels
        return pixels.shape == photo.shape and bool((pixels[kept] == photo[kept]).all())

    yield Probe("mask, a smaller one", [{}], masked, files={"mask": openai_mask(kept)})
    yield Probe("user", [{"user": "somebody"}], accepted)


def _smaller(kept: np.ndarray) -> np.ndarray:
    """Return where nothing may change if only the upper half of the person may."""
    rows = np.flatnonzero((~kept).any(axis=1))
    smaller = kept.copy()
    smaller[(rows[0] + rows[-1]) // 2 :] = True
    return smaller


def _sized(size: tuple[int, int]) -> Callable[[Sequence[Answer]], bool]:
    return lambda answers: answers[0].pictures[0].size == size


def _formatted(kind: str) -> Callable[[Sequence[Answer]], bool]:
    return lambda answers: answers[0].pictures[0].format == kind.upper()


def _compressed(answers: Sequence[Answer]) -> bool:
    """Compare the tables of quantisation: sizes of files may be equal for a plain picture."""
    tables = []
    for answer in answers:
        with Image.open(io.BytesIO(answer.pictures[0].file)) as image:
            tables.append(getattr(image, "quantization", None))
    return None not in tables and tables[0] != tables[1]


def _seeded(answers: Sequence[Answer]) -> bool:
    one, again, other = (answer.pictures[0].pixels for answer in answers)
    return np.array_equal(one, again) and not np.array_equal(one, other)


def _less(values: Mapping[str, Value], names: Sequence[str]) -> dict[str, Value]:
    return {name: value for name, value in values.items() if name not in names}
