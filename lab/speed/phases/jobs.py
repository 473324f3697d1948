"""Whole jobs, phase by phase: one alone, or those of many users in shared passes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lab.measures.metrics import psnr
from lab.speed.record import Result
from lab.speed.subjects import Person
from lab.speed.timing import digits, now
from s2edit_core.concepts.concept import Concept
from s2edit_core.delivery.canvas import to_image
from s2edit_core.method.inversion import Inversion, invert
from s2edit_core.method.learning.learning import learn_concepts
from s2edit_core.method.learning.lesson import Lesson
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.request.presets import PRESETS, Preset, PresetName
from s2edit_core.unet.rows import Algorithm, Answers, Rows, drive_all
from s2edit_core.unet.rows import Result as Outcome

PHASES = ("encoding", "preparing", "learning", "conditioning", "inverting", "editing", "decoding")
"""`preparing`: attribute words, and [I] turned away from them. `conditioning`: K, V and gates of the source prompt. `editing`
includes K and V of the target prompt, `decoding` the return to the photo.
"""
LEAST_STEPS = 2
WARM_UP_SHARE = 0.02


@dataclass
class Cost:
    """Seconds, and evaluated rows, of one phase of all jobs together."""

    seconds: float = 0.0
    rows: int = 0
    with_gradients: int = 0

    def about(self) -> Result:
        return {"seconds": digits(self.seconds), "rows": self.rows, "with_gradients": self.with_gradients}


class Meter:
    """An `Evaluate` that counts rows for the current phase. `calls` holds the number of rows of each call."""

    def __init__(self, pipe: S2EditPipeline) -> None:
        self.pipe = pipe
        self.costs: dict[str, Cost] = defaultdict(Cost)
        self.calls: list[int] = []
        self._phase = ""
        self._until_rows: tuple[str, str] | None = None
        self._began = 0.0

    def __call__(self, rows: Rows) -> Answers:
        if rows and self._until_rows is not None:
            self._switch(self._until_rows[1])
            self._until_rows = None
        cost = self.costs[self._phase]
        cost.rows += len(rows)
        cost.with_gradients += sum(row.target is not None for row in rows)
        if rows:
            self.calls.append(len(rows))
        return self.pipe.backbone.evaluate(rows)

    @contextmanager
    def phase(self, name: str, until_rows: str | None = None) -> Iterator[None]:
        """Count what the block does as phase `name`; with `until_rows`, as that phase until it evaluates its first rows."""
        self._until_rows = (until_rows, name) if until_rows else None
        self._phase = until_rows or name
        self._began = self._now()
        try:
            yield
        finally:
            self._switch("")
            self._until_rows = None

    def _switch(self, name: str) -> None:
        now = self._now()
        self.costs[self._phase].seconds += now - self._began
        self._phase, self._began = name, now

    def _now(self) -> float:
        return now(self.pipe.backbone.device)

    def about(self) -> dict[str, Result]:
        return {name: self.costs[name].about() for name in PHASES if name in self.costs}


@dataclass(frozen=True, eq=False)
class Jobs:
    """Finished jobs: what a further edit of each person needs, and what was drawn."""

    people: tuple[Person, ...]
    concepts: tuple[Concept, ...]
    inversions: tuple[Inversion, ...]
    frames: tuple[Image.Image, ...]  # the model's decoded output
    costs: dict[str, Cost] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        return sum(cost.seconds for cost in self.costs.values())

    def psnr_to_answers(self) -> float | None:
        """Return the mean PSNR of the frames to the true answers in dB; None where no answer is known."""
        found = [psnr_to_answer(person, frame) for person, frame in zip(self.people, self.frames, strict=True)]
        known = [each for each in found if each is not None]
        return round(sum(known) / len(known), 2) if known else None


def psnr_to_answer(person: Person, frame: Image.Image) -> float | None:
    """Return the PSNR in dB of the model's frame to the true answer, as the quality bench measures it."""
    if person.answer is None:
        return None
    box = person.canvas.box
    shown = frame.resize((box[2] - box[0], box[3] - box[1]), Image.Resampling.LANCZOS)
    return psnr(np.asarray(shown), np.asarray(person.answer.crop(box)))


def portion(preset: Preset, share: float) -> Preset:
    """Return `preset` with this share of its steps in every phase, at least `LEAST_STEPS`.

    The steps before the first one stay: a worker computes their result once per prompt, here in the warm-up.
    """

    def part(steps: int) -> int:
        return min(steps, max(LEAST_STEPS, round(share * steps)))

    learning = preset.learning
    return replace(
        preset,
        steps=part(preset.steps),
        learning=replace(
            learning,
            token_steps=part(learning.token_steps),
            joint_steps=part(learning.joint_steps),
        ),
    )


def run_together(algorithms: Sequence[Algorithm[Outcome]], meter: Meter) -> list[Outcome]:
    """Run the algorithms in shared passes."""
    return drive_all(algorithms, meter)


def cold(pipe: S2EditPipeline, people: Sequence[Person], preset: PresetName, *, share: float = 1.0, seed: int = 0) -> Jobs:
    """Learn, invert and edit `people` together, each phase of all of them before the next one.

    `share` is the part of each phase's steps that is run.
    """
    meter, how = Meter(pipe), portion(PRESETS[preset], share)
    backbone, guidance = pipe.backbone, pipe.guidance(how.guidance_scale, preset)
    with meter.phase("encoding"):
        latents = [backbone.encode_image(person.canvas.source()) for person in people]
    lessons = [
        Lesson(z, person.canvas.mask(person.canvas.identity_mask), person.prompt, person.subject)
        for z, person in zip(latents, people, strict=True)
    ]
    with meter.phase("learning", until_rows="preparing"):
        learned = run_together([learn_concepts(backbone, [lesson], how.learning, seed=seed) for lesson in lessons], meter)
    concepts = [concept for (concept,) in learned]
    with meter.phase("conditioning"):
        sources = [pipe.source(person.canvas, person.prompt, c) for person, c in zip(people, concepts, strict=True)]
    with meter.phase("inverting"):
        inversions = run_together(
            [
                invert(backbone, z, source, how.inversion, steps=how.steps, guidance_scale=guidance)
                for z, source in zip(latents, sources, strict=True)
            ],
            meter,
        )
    jobs = Jobs(tuple(people), tuple(concepts), tuple(inversions), ())
    return replace(jobs, frames=tuple(edit(pipe, jobs, how, meter)), costs=dict(meter.costs))


def edit(pipe: S2EditPipeline, jobs: Jobs, how: Preset, meter: Meter) -> list[Image.Image]:
    """Edit everybody together, and return the decoded frames. Nothing that was learned or inverted is made again."""
    with meter.phase("editing"):
        edited = sample(pipe, jobs, how, meter)
    with meter.phase("decoding"):
        return decode(pipe, jobs, edited)


def sample(pipe: S2EditPipeline, jobs: Jobs, how: Preset, meter: Meter) -> list[Tensor]:
    """Sample everybody's edit together, and return the edited latents."""
    injection = how.injection if how.injection.acts else None
    return run_together(
        [
            pipe.edit_rows(person.canvas, person.target, c, inversion, injection=injection, source_prompt=person.prompt)
            for person, c, inversion in zip(jobs.people, jobs.concepts, jobs.inversions, strict=True)
        ],
        meter,
    )


def decode(pipe: S2EditPipeline, jobs: Jobs, edited: Sequence[Tensor]) -> list[Image.Image]:
    """Decode the edited latents, bring each edit back to its photo, and return the decoded frames."""
    frames = []
    for person, inversion, z in zip(jobs.people, jobs.inversions, edited, strict=True):
        drawn, before = (pipe.decoded(latent) for latent in (z, inversion.path[0]))
        if not bool(torch.isfinite(drawn).all()):
            raise ValueError("the decoded picture is not finite")
        pipe.deliver(person.canvas, before, drawn)
        frames.append(to_image(drawn))
    return frames


def costs_about(costs: dict[str, Cost]) -> Result:
    """Return JSON values: seconds and rows by phase, and in all."""
    return {
        "seconds": digits(sum(cost.seconds for cost in costs.values())),
        "phases": {name: costs[name].about() for name in PHASES if name in costs},
    }


def extrapolated(costs: dict[str, Cost], full_one: Result, part_one: Result) -> dict[str, float]:
    """Return the seconds of each phase if all steps were run.

    `full_one` and `part_one` are results of one job with all steps and with the same share of them. What remains of a phase grows
    with its steps alike for one job and for many, so each phase is multiplied by the ratio of those two.
    """
    found = {}
    for name, cost in costs.items():
        full, part = (each["phases"].get(name, {}).get("seconds") for each in (full_one, part_one))
        found[name] = digits(cost.seconds * (full / part if full and part else 1.0))
    return found
