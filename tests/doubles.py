"""A deterministic engine without torch: the same steps, artifacts and errors as the real one, on bytes instead of tensors."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

from s2edit_core.errors import ArtifactMismatch
from s2edit_core.plan import EditPlan, plan_edit
from s2edit_core.prompts import ResolvedPrompts, resolve_prompts
from s2edit_core.spec import EditRequest, Phase, Progress
from worker.engine import Edited, EditInputs, Made

SUBJECTS = ("woman", "man")


def _digest(*parts: bytes) -> bytes:
    return hashlib.sha256(b"|".join(parts)).digest()


@dataclass
class FakeEngine:
    """`steps` per phase, each lasting `step_s`. `on_step` is called before every step: there a test raises, waits or meddles."""

    steps: int = 3
    step_s: float = 0.0
    on_step: Callable[[Progress], None] | None = None
    learned: int = 0
    inverted: int = 0
    closed: int = 0  # edits that were closed before their end
    events: list[Progress] = field(default_factory=list)

    def prompts(self, request: EditRequest) -> ResolvedPrompts:
        return resolve_prompts(request, SUBJECTS)

    def plan(self, request: EditRequest, inputs: EditInputs) -> EditPlan:
        prompts = self.prompts(request)
        return plan_edit(
            request,
            image=inputs.image,
            mask=inputs.mask,
            model="fake",
            source_prompt=prompts.source,
            subject=prompts.subject,
            crop=(0, 0, 64, 64),
        )

    def edit(
        self, request: EditRequest, inputs: EditInputs, *, concept: bytes | None, inversion: bytes | None
    ) -> Generator[Progress | Made, None, Edited]:
        try:
            plan, prompts = self.plan(request, inputs), self.prompts(request)
            learning_steps = 0
            if concept is None:
                yield from self._phase("learning")
                learning_steps = self.steps
                self.learned += 1
                concept = b"concept" + _digest(inputs.image, inputs.mask)
                yield Made("concept", plan.concept_id, concept, source_prompt=prompts.source, subject=prompts.subject)
            elif concept != b"concept" + _digest(inputs.image, inputs.mask):
                raise ArtifactMismatch("the concept was not made by this engine")
            if inversion is None:
                yield from self._phase("inverting")
                self.inverted += 1
                inversion = b"inversion" + _digest(concept)
                yield Made("inversion", plan.inversion_id, inversion)
            elif inversion != b"inversion" + _digest(concept):
                raise ArtifactMismatch("the inversion was not made by this engine")
            yield from self._phase("editing")
            return Edited(self.result(request, inputs), {"learning_steps": learning_steps})
        except GeneratorExit:
            self.closed += 1
            raise

    def result(self, request: EditRequest, inputs: EditInputs) -> bytes:
        """What any edit of these inputs ends in."""
        return b"png" + _digest(inputs.image, inputs.mask, self.prompts(request).target.encode())

    def _phase(self, phase: Phase) -> Generator[Progress, None, None]:
        for step in range(1, self.steps + 1):
            progress = Progress(phase, step, self.steps)
            self.events.append(progress)
            if self.on_step is not None:
                self.on_step(progress)
            time.sleep(self.step_s)
            yield progress
