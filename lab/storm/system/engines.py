"""The engines of a storm: the engine without a model, which allows many edits, and the shipped model with few steps.

`FaultyEngine` wraps either: it signs pictures with its attempt, makes some edits slow, and can be sick or hang.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import threading
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lab.storm.system.points import FaultPoints
from s2edit_core.errors import DeviceFault
from s2edit_core.request import presets, spec
from s2edit_core.request.plan import EditPlan
from s2edit_core.request.spec import EditRequest, Progress
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.model_facts import ModelFacts
from worker.engines.engine import Artifact, Check, EditInputs, EditResult, Engine, EngineWrapper
from worker.engines.modeless_engine import ModelessEngine
from worker.engines.painters import DigestPainter

EngineName = Literal["fake", "model"]
CHECKPOINT_STEPS = 2
SLOW_LEARNING, SLOW_EDITING = "curly", "long"
"""Words of a prompt that make learning or editing slow, so that faults meet it half-way."""
SLOW_LEASES = {"learning": 1.6, "editing": 2.4}
"""How long a slow phase lasts, in leases."""
EVALUATION_S = 0.1
"""How long an evaluation of a slow phase lasts."""
SICK, HUNG = "sick engine", "hung engine"
"""Files that arm a device fault that stays until the process ends, and an evaluation that never returns."""
_MARK = b"|attempt "
"""Before the signature of the attempt, at the end of a picture."""
ROUNDING_LEVELS = 0.1
"""By how many of 255 levels, on average, a picture of the model may differ from the reference. In shared passes, sums are rounded
in another order, and learning from a photo of noise amplifies that. Pictures of other photos differ by 60 levels or more."""
PixelArray = NDArray[np.int16]
Result = TypeVar("Result")
FACTS = ModelFacts(fingerprint="fake", width=4, layers=((6, 4), (8, 4)), subjects=("woman", "man"))
"""Of the model that the deterministic engine stands for."""


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """The engine that the workers load, and the matching request of the client."""

    name: EngineName = "fake"
    steps: int = 4  # without a model, per phase
    step_s: float = 0.002

    @property
    def form(self) -> Mapping[str, str]:
        """The fields of the form besides prompt and pictures."""
        return {} if self.name == "fake" else {"preset": "instant", "steps": "2"}

    @property
    def one_prompt(self) -> bool:
        """Whether all edits of a photo must have the same prompt.

        The model separates the identity from the words of the edit that learns it. With several prompts, the resulting bytes would
        depend on which edit comes first.
        """
        return self.name == "model"

    def request(self, prompt: str) -> EditRequest:
        """Return the request that the API makes of `prompt` and `form`."""
        return EditRequest(prompt=prompt) if self.name == "fake" else EditRequest(prompt=prompt, preset="instant", steps=2)

    def load(self, settings: Settings) -> Engine:
        """Load the engine. Call it in a process of its own: it shortens the model's presets for the whole process."""
        if self.name == "fake":
            return ModelessEngine(
                FACTS,
                "fake",
                DigestPainter(),
                steps=self.steps,
                step_s=self.step_s,
                checkpoint_every=CHECKPOINT_STEPS,
                own_photo=True,
            )
        import torch

        from worker.engines import s2edit_engine

        torch.set_num_threads(1)
        s2edit_engine.CHECKPOINT_STEPS = CHECKPOINT_STEPS
        instant = presets.PRESETS["instant"]
        learning = replace(instant.learning, token_steps=3, joint_steps=3, batch=2)
        presets.PRESETS = {**presets.PRESETS, "instant": replace(instant, learning=learning)}
        return s2edit_engine.S2EditEngine(settings.model, "cpu", jobs=settings.worker_jobs)


def signed(picture: bytes, attempt: str) -> bytes:
    """Return the picture with the signature of its attempt: otherwise a late writer would write the same bytes."""
    return picture + _MARK + attempt.encode()


def unsigned(picture: bytes) -> bytes:
    """Return the picture as the engine made it."""
    return picture.rpartition(_MARK)[0]


class FaultyEngine(EngineWrapper):
    """An engine with the faults that `points` arms. Its pictures are signed, and its slow edits last some leases."""

    def __init__(self, engine: Engine, points: FaultPoints, lease_s: float) -> None:
        super().__init__(engine)
        self._points = points
        self._lease_s = lease_s
        self._sick = threading.Event()  # a device is the same for all sessions
        self._count = itertools.count()

    def plan(self, request: EditRequest, inputs: EditInputs) -> EditPlan:
        self._evaluate("")
        return super().plan(request, inputs)

    def edit(
        self,
        request: EditRequest,
        inputs: EditInputs,
        *,
        concept: bytes | None,
        inversion: bytes | None,
        checkpoint: bytes | None = None,
        check: Check | None = None,
    ) -> Generator[Progress | Artifact, None, EditResult]:
        steps = super().edit(request, inputs, concept=concept, inversion=inversion, checkpoint=checkpoint, check=check)
        words = {"learning": SLOW_LEARNING, "editing": SLOW_EDITING}
        slow = {phase for phase, word in words.items() if word in (request.prompt or "")}
        result = yield from self._with_faults(steps, slow, check or (lambda: None))
        return replace(result, picture=signed(result.picture, f"{os.getpid()}-{next(self._count)}"))

    def _with_faults(
        self, steps: Generator[Any, None, Result], slow: set[str], check: Callable[[], None]
    ) -> Generator[Any, None, Result]:
        phase = ""
        while True:
            self._evaluate(phase)
            try:
                step = next(steps)
            except StopIteration as end:
                result: Result = end.value
                return result
            yield step
            phase = step.phase if isinstance(step, Progress) and step.phase in slow else ""
            if phase:
                _sleep(SLOW_LEASES[phase] * self._lease_s / step.total, check)

    def _evaluate(self, phase: str) -> None:
        """Have the faults of an evaluation. `phase` is set if it is slow."""
        points = self._points
        if not self._sick.is_set() and points.take(SICK):
            points.event_log.write("sick")
            self._sick.set()
        if self._sick.is_set():
            raise device_fault()
        if phase:
            points.reach(f"engine.{phase}")
            if points.take(HUNG):
                points.event_log.write("hung")
                time.sleep(3600)


def _sleep(seconds: float, check: Callable[[], None]) -> None:
    """Sleep as long as a slow step takes, and call `check` as before each evaluation of the model."""
    for _ in range(max(1, round(seconds / EVALUATION_S))):
        check()
        time.sleep(EVALUATION_S)


def device_fault() -> DeviceFault:
    """Return the error that a broken device raises on every call, as the real engine's guard names it."""
    fault = DeviceFault("the device has failed")
    fault.__cause__ = RuntimeError("CUDA error: an illegal memory access was encountered")
    return fault


def _pixels(picture: bytes) -> PixelArray:
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"), dtype=np.int16)


@dataclass
class Reference:
    """A run without faults: the same edits one after another, with one learning run per photo."""

    engine_choice: EngineChoice
    settings: Settings
    _engine: Engine | None = None
    _artifacts: dict[str, bytes] = field(default_factory=dict)  # concepts and inversions, by id
    rounding_levels: float = 0.0  # the largest difference of a picture that was recognised
    _pixels: dict[str, PixelArray] = field(default_factory=dict)  # of the results of the model, by digest

    def result(self, prompt: str, inputs: EditInputs) -> str:
        """Return the digest of the resulting picture."""
        if self._engine is None:
            self._engine = replace(self.engine_choice, step_s=0.0).load(self.settings)
        engine, request = self._engine, self.engine_choice.request(prompt)
        plan = engine.plan(request, inputs)
        concept, inversion = self._artifacts.get(plan.concept_id), self._artifacts.get(plan.inversion_id)
        steps = engine.edit(request, inputs, concept=concept, inversion=inversion if concept else None)
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                digest = hashlib.sha256(end.value.picture).hexdigest()
                if self.engine_choice.name == "model":
                    self._pixels[digest] = _pixels(end.value.picture)
                return digest
            if not isinstance(step, spec.Progress) and step.kind != "checkpoint":
                self._artifacts[step.id] = step.data

    def recognise(self, picture: bytes) -> str:
        """Return the digest of the reference that `picture` is but for rounding, or its own if it is none."""
        digest = hashlib.sha256(picture).hexdigest()
        if digest in self._pixels or not self._pixels:
            return digest
        found = _pixels(picture)
        levels = {
            each: float(np.abs(pixels - found).mean()) for each, pixels in self._pixels.items() if pixels.shape == found.shape
        }
        nearest = min(levels, key=lambda each: levels[each], default=digest)
        if levels.get(nearest, ROUNDING_LEVELS + 1) > ROUNDING_LEVELS:
            return digest
        self.rounding_levels = max(self.rounding_levels, levels[nearest])
        return nearest
