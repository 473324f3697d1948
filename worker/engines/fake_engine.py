"""The engine's twin without torch, for tests and for storms: the same steps, artifacts and errors, on bytes instead of tensors.

Its results depend on its inputs alone, so that whoever knows what was asked knows what must come out.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from s2edit_core.delivery.output import Output
from s2edit_core.errors import ArtifactMismatch, MaskInvalid
from s2edit_core.request.plan import EditPlan, plan_edit, plan_learning
from s2edit_core.request.prompts import ResolvedPrompts, ResolvedReference, resolve_prompts, resolve_reference
from s2edit_core.request.spec import EditRequest, LearningRequest, Phase, Progress
from s2edit_jobs.records.record import JobRequest
from s2edit_jobs.stores.model_facts import ModelFacts
from worker.engines.engine import Edited, EditInputs, Found, Made

SUBJECTS = ("woman", "man")


def _digest(*parts: bytes) -> bytes:
    return hashlib.sha256(b"|".join(parts)).digest()


def _attribute(reference: ResolvedReference, inputs: EditInputs) -> bytes:
    return f"attribute {reference.placeholder} {reference.subject} ".encode() + _digest(inputs.image, inputs.mask)


def _worn(attribute: bytes) -> tuple[str, str]:
    """Placeholder and subject."""
    kind, placeholder, subject, _ = attribute.split(b" ", 3)
    if kind != b"attribute":
        raise ArtifactMismatch("the attribute was not made by this engine")
    return placeholder.decode(), subject.decode()


@dataclass
class FakeEngine:
    """`steps` per phase, each lasting `step_s`; a checkpoint after every `checkpoint_every` learning steps, if that is not 0.

    `on_step` is called before every step: there a test raises, waits or meddles.
    """

    steps: int = 3
    step_s: float = 0.0
    checkpoint_every: int = 0
    on_step: Callable[[Progress], None] | None = None
    people: int = 1  # in every photo; without any, no mask is found
    found: int = 0
    learned: int = 0
    inverted: int = 0
    closed: int = 0  # edits that were closed before their end
    events: list[Progress] = field(default_factory=list)
    check: Callable[[], None] = lambda: None  # what the edit under way was given; a step here is one evaluation, so nobody calls it

    facts = ModelFacts(fingerprint="fake", width=4, layers=((6, 4), (8, 4)), subjects=SUBJECTS)

    def prompts(self, request: EditRequest, inputs: EditInputs) -> ResolvedPrompts:
        return resolve_prompts(request, SUBJECTS, [_worn(data) for data in inputs.attributes])

    def mask(self, photo: bytes, at: tuple[int, int] | None) -> bytes:
        """The one that is found."""
        return f"mask at {at} of ".encode() + photo

    def find_mask(
        self, request: JobRequest, photo: bytes, *, check: Callable[[], None] | None = None
    ) -> Generator[Progress, None, Found]:
        self.check = check or (lambda: None)
        try:
            yield from self._phase("preparing")
            if not self.people:
                raise MaskInvalid("nobody is there", field="mask", reason="mask_not_found")
            self.found += 1
            return Found(self.mask(photo, request.at), "fake", self.people, 0.9, (0, 0, 1, 1))
        except GeneratorExit:
            self.closed += 1
            raise

    def plan_learning(self, request: LearningRequest, inputs: EditInputs) -> str:
        reference = resolve_reference(request, SUBJECTS)
        return plan_learning(
            request, image=inputs.image, mask=inputs.mask, mask_mode=inputs.mask_mode, model="fake", reference=reference
        )

    def learn(
        self,
        request: LearningRequest,
        inputs: EditInputs,
        *,
        checkpoint: bytes | None = None,
        check: Callable[[], None] | None = None,
    ) -> Generator[Progress | Made, None, dict[str, Any]]:
        self.check = check or (lambda: None)
        try:
            concept_id, reference = self.plan_learning(request, inputs), resolve_reference(request, SUBJECTS)
            steps = yield from self._learning(concept_id, inputs, checkpoint)
            self.learned += 1
            data = _attribute(reference, inputs) if request.kind == "attribute" else b"concept" + _digest(inputs.image, inputs.mask)
            yield Made("concept", concept_id, data, reference.prompt, reference.subject, placeholder=reference.placeholder)
            return {"learning_steps": steps}
        except GeneratorExit:
            self.closed += 1
            raise

    def plan(self, request: EditRequest, inputs: EditInputs) -> EditPlan:
        prompts = self.prompts(request, inputs)
        return plan_edit(
            request,
            image=inputs.image,
            mask=inputs.mask,
            mask_mode=inputs.mask_mode,
            model="fake",
            source_prompt=prompts.source,
            subject=prompts.subject,
            crop=(0, 0, 64, 64),
        )

    def edit(
        self,
        request: EditRequest,
        inputs: EditInputs,
        *,
        concept: bytes | None,
        inversion: bytes | None,
        checkpoint: bytes | None = None,
        check: Callable[[], None] | None = None,
    ) -> Generator[Progress | Made, None, Edited]:
        self.check = check or (lambda: None)
        try:
            plan, prompts = self.plan(request, inputs), self.prompts(request, inputs)
            learning_steps = 0
            if concept is None:
                learning_steps = yield from self._learning(plan.concept_id, inputs, checkpoint)
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
            picture = self.result(request, inputs)
            others = tuple(picture + str(i).encode() for i in range(1, request.variants))
            return Edited(picture, {"learning_steps": learning_steps}, others, media_type=Output.of(request).media_type)
        except GeneratorExit:
            self.closed += 1
            raise

    def result(self, request: EditRequest, inputs: EditInputs) -> bytes:
        """What any edit of these inputs ends in."""
        target = self.prompts(request, inputs).target.encode()
        return request.output_format.encode() + _digest(inputs.image, inputs.mask, target, *inputs.attributes)

    def _learning(self, concept_id: str, inputs: EditInputs, checkpoint: bytes | None) -> Generator[Progress | Made, None, int]:
        """How many steps it took now."""
        mark = b"checkpoint" + _digest(inputs.image, inputs.mask)
        if checkpoint is not None and not checkpoint.startswith(mark):
            raise ArtifactMismatch("the checkpoint was not made by this engine")
        done = int(checkpoint[len(mark) :]) if checkpoint is not None else 0
        for progress in self._phase("learning", after=done):
            yield progress
            if self.checkpoint_every and progress.step % self.checkpoint_every == 0:
                yield Made("checkpoint", concept_id, mark + str(progress.step).encode(), step=progress.step)
        return self.steps - done

    def _phase(self, phase: Phase, *, after: int = 0) -> Generator[Progress, None, None]:
        for step in range(after + 1, self.steps + 1):
            progress = Progress(phase, step, self.steps)
            self.events.append(progress)
            if self.on_step is not None:
                self.on_step(progress)
            time.sleep(self.step_s)
            yield progress
