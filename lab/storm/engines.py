"""The engines of a storm: the engine without a model, which allows many edits, and the shipped model with few steps."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from s2edit_core.request import spec
from s2edit_core.request.spec import EditRequest
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.model_facts import ModelFacts
from worker.engines.engine import EditInputs, Engine
from worker.engines.modeless_engine import ModelessEngine
from worker.engines.painters import DigestPainter

EngineName = Literal["fake", "model"]
CHECKPOINT_STEPS = 2
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
        instant = spec.PRESETS["instant"]
        learning = replace(instant.learning, token_steps=3, joint_steps=3, batch=2)
        spec.PRESETS = {**spec.PRESETS, "instant": replace(instant, learning=learning)}
        return s2edit_engine.S2EditEngine(settings.model, "cpu")


@dataclass
class Reference:
    """A run without faults: the same edits one after another, with one learning run per photo."""

    engine_choice: EngineChoice
    settings: Settings
    _engine: Engine | None = None
    _artifacts: dict[str, bytes] = field(default_factory=dict)  # concepts and inversions, by id

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
                return hashlib.sha256(end.value.picture).hexdigest()
            if not isinstance(step, spec.Progress) and step.kind != "checkpoint":
                self._artifacts[step.id] = step.data
