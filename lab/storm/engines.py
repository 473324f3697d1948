"""The engines of a storm: the deterministic twin, for volume, and the shipped model cut to few steps."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from s2edit_core.request import spec
from s2edit_core.request.spec import EditRequest
from s2edit_jobs.settings import Settings
from worker.engines.engine import EditInputs, Engine
from worker.engines.fake_engine import FakeEngine

EngineName = Literal["fake", "model"]
CHECKPOINT_STEPS = 2


@dataclass(frozen=True, slots=True)
class Cast:
    """Which engine plays, and what the app must ask of it."""

    name: EngineName = "fake"
    steps: int = 4  # of the twin, per phase
    step_s: float = 0.002

    @property
    def form(self) -> Mapping[str, str]:
        """Parts of the form besides the prompt and the pictures."""
        return {} if self.name == "fake" else {"preset": "instant", "steps": "2"}

    @property
    def one_prompt(self) -> bool:
        """The model keeps what it learns apart from what the learning edit asked for: so who learns first shows in the bytes."""
        return self.name == "model"

    def request(self, prompt: str) -> EditRequest:
        """What becomes of a prompt and that form."""
        return EditRequest(prompt=prompt) if self.name == "fake" else EditRequest(prompt=prompt, preset="instant", steps=2)

    def load(self, settings: Settings) -> Engine:
        """In a process of its own: the model's presets are cut short there, for good."""
        if self.name == "fake":
            return FakeEngine(steps=self.steps, step_s=self.step_s, checkpoint_every=CHECKPOINT_STEPS)
        import torch

        from worker.engines import s2edit_engine

        torch.set_num_threads(1)
        s2edit_engine.CHECKPOINT_STEPS = CHECKPOINT_STEPS
        instant = spec.PRESETS["instant"]
        learning = replace(instant.learning, token_steps=3, joint_steps=3, batch=2)
        spec.PRESETS = {**spec.PRESETS, "instant": replace(instant, learning=learning)}
        return s2edit_engine.S2EditEngine(settings.model, "cpu")


@dataclass
class Reference:
    """An undisturbed run: the same edits, one after the other, each photo learned once."""

    cast: Cast
    settings: Settings
    _engine: Engine | None = None
    _kept: dict[str, bytes] = field(default_factory=dict)  # concepts and inversions, by id

    def result(self, prompt: str, inputs: EditInputs) -> str:
        """Digest of the picture that comes out."""
        if self._engine is None:
            self._engine = replace(self.cast, step_s=0.0).load(self.settings)
        engine, request = self._engine, self.cast.request(prompt)
        plan = engine.plan(request, inputs)
        concept, inversion = self._kept.get(plan.concept_id), self._kept.get(plan.inversion_id)
        steps = engine.edit(request, inputs, concept=concept, inversion=inversion if concept else None)
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                return hashlib.sha256(end.value.picture).hexdigest()
            if not isinstance(step, spec.Progress) and step.kind != "checkpoint":
                self._kept[step.id] = step.data
