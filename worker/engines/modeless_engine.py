"""The engine without a model, for test mode, storms and tests: no torch, no weights.

It goes through the phases of the real engine, makes the same artifacts, and refuses the same prompts. A `Painter` makes the
pictures. What is made depends on the request, its files and the seed alone, so whoever knows these knows the result. The concept is
a file like others, of a model that no live service has. No result carries content credentials: no model has edited anything.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from s2edit_core.delivery import report
from s2edit_core.delivery.output import Output
from s2edit_core.errors import ArtifactMismatch, MaskInvalid, OptionInvalid
from s2edit_core.pictures.input_scale import InputScale
from s2edit_core.request.plan import EditPlan, digest, plan_edit, plan_learning
from s2edit_core.request.prompts import ResolvedPrompts, ResolvedReference, resolve_prompts, resolve_reference
from s2edit_core.request.spec import CONCEPT_FORMAT, PLACEHOLDER, EditRequest, LearningRequest, MaskRequest, Phase, Progress
from s2edit_jobs.library.concept_files import about_of
from s2edit_jobs.records.record import JobRequest
from s2edit_jobs.records.testmode import MASK_NOT_FOUND, Wishes, wishes_in
from s2edit_jobs.stores.model_facts import TEST_FINGERPRINT, ModelFacts, of_test_mode
from worker.engines.engine import Edited, EditInputs, Found, Made
from worker.engines.painters import Painter, TintPainter

TEST_STEPS = 5
"""Of each phase of test mode, at least."""
STEP_S = 0.1
"""The longest step of a job that is to be slow: a cancellation is noticed that soon."""


@dataclass(frozen=True, slots=True)
class _Run:
    """One edit under way."""

    plan: EditPlan
    prompts: ResolvedPrompts
    attributes: dict[str, dict[str, Any]]  # by placeholder, what is reported of each
    scale: InputScale


def engine_of_test_mode(facts: ModelFacts) -> ModelessEngine:
    """Return the engine of test mode beside the live model of these facts, whose words it knows people by."""
    return ModelessEngine(of_test_mode(facts))


@dataclass
class ModelessEngine:
    """May be used from several threads at a time.

    Each phase has `steps` steps of `step_s` seconds. With `checkpoint_every`, learning yields a checkpoint that often. With
    `own_photo`, a concept that was learned from another photo is refused: where no request asks for that, it tells of a mix-up.
    """

    facts: ModelFacts
    name: str = "test mode"
    painter: Painter = field(default_factory=TintPainter)
    steps: int = TEST_STEPS
    step_s: float = 0.0
    checkpoint_every: int = 0
    own_photo: bool = False

    def find_mask(
        self,
        request: JobRequest,
        photo: bytes,
        *,
        check: Callable[[], None] | None = None,  # noqa: ARG002  its steps are short
    ) -> Generator[Progress, None, Found]:
        """In an edit or a learning, what is slow or fails otherwise comes later."""
        wishes = self._wishes(request.prompt)
        alone = isinstance(request, MaskRequest)
        found = self.painter.find(request, photo, self.name)
        yield from self._phase("preparing", wishes.lasts_s if alone else 0.0)
        if alone or wishes.fails == MASK_NOT_FOUND:
            wishes.check_fate()
        if found is None:
            raise MaskInvalid("nobody is there", field="mask", reason=MASK_NOT_FOUND)
        return found

    def plan_learning(self, request: LearningRequest, inputs: EditInputs) -> str:
        self.painter.check(request, inputs)
        reference = resolve_reference(request, self.facts.subjects)
        return self._concept_id(request, inputs, reference, self.painter.read(request, inputs))

    def learn(
        self,
        request: LearningRequest,
        inputs: EditInputs,
        *,
        checkpoint: bytes | None = None,
        check: Callable[[], None] | None = None,  # noqa: ARG002
    ) -> Generator[Progress | Made, None, dict[str, Any]]:
        reference, wishes = resolve_reference(request, self.facts.subjects), self._wishes(request.prompt)
        scale = self.painter.read(request, inputs)
        concept_id = self._concept_id(request, inputs, reference, scale)
        steps = yield from self._learning(concept_id, inputs, checkpoint, wishes.lasts_s)
        wishes.check_fate()
        facts = self._concept_facts(reference, request.seed)
        concept = self._concept(reference, facts, inputs)
        yield Made("concept", concept_id, concept, reference.prompt, reference.subject, placeholder=reference.placeholder)
        files = {"image": inputs.image, "mask": inputs.mask}
        return self._common(steps, {"learning": wishes.lasts_s}, files) | {
            "concept_id": concept_id,
            "concept": facts,
            **scale.facts,
        }

    def plan(self, request: EditRequest, inputs: EditInputs) -> EditPlan:
        self.painter.check(request, inputs)
        return self._begin(request, inputs).plan

    def edit(
        self,
        request: EditRequest,
        inputs: EditInputs,
        *,
        concept: bytes | None,
        inversion: bytes | None,
        checkpoint: bytes | None = None,
        check: Callable[[], None] | None = None,  # noqa: ARG002
    ) -> Generator[Progress | Made, None, Edited]:
        """A job that is to be slow is so while editing: never while learning, which others may wait for."""
        run, wishes, steps = self._begin(request, inputs), self._wishes(request.prompt), 0
        reference = ResolvedReference(run.prompts.source, run.prompts.subject, PLACEHOLDER)
        if concept is None:
            steps = yield from self._learning(run.plan.concept_id, inputs, checkpoint, 0.0)
            concept = self._concept(reference, self._concept_facts(reference, request.seed), inputs)
            yield Made("concept", run.plan.concept_id, concept, run.prompts.source, run.prompts.subject)
        learned = self._about(concept)["facts"]
        if self.own_photo and load(concept)["token"].tobytes() != self._token(inputs).tobytes():
            raise ArtifactMismatch("the concept was learned from another photo")
        inverted = f"{self.name} {run.plan.inversion_id}".encode()
        if inversion is None:
            yield from self._phase("inverting")
            yield Made("inversion", run.plan.inversion_id, inverted)
        elif inversion != inverted:
            raise ArtifactMismatch("the inversion was not made by this engine")
        yield from self._phase("editing", wishes.lasts_s)
        wishes.check_fate()
        yield Progress("finishing", 0, 1)
        files, measures = self.painter.draw(request, run.prompts.target, inputs)
        told = self._report(request, run, learned, inputs, steps, wishes.lasts_s) | measures[0] | {"variants": measures[1:]}
        return Edited(files[0], told, tuple(files[1:]), media_type=Output.of(request).media_type)

    def _wishes(self, prompt: str | None) -> Wishes:
        """Only test mode heeds the words `[test:…]`."""
        return wishes_in(prompt or "") if self.facts.fingerprint == TEST_FINGERPRINT else Wishes()

    def _begin(self, request: EditRequest, inputs: EditInputs) -> _Run:
        abouts = [self._about(data) for data in inputs.attributes]
        prompts = resolve_prompts(request, self.facts.subjects, [(about["placeholder"], about["subject"]) for about in abouts])
        scale = self.painter.read(request, inputs)
        plan = plan_edit(
            request,
            image=inputs.image,
            mask=inputs.mask,
            mask_mode=inputs.mask_mode,
            model=self.facts.fingerprint,
            source_prompt=prompts.source,
            subject=prompts.subject,
            crop=(0, 0, *scale.decoded),
            attribute_words=self.facts.attribute_words,
            scaled_to=scale.scaled_to,
        )
        return _Run(plan, prompts, {about["placeholder"]: about["facts"] for about in abouts}, scale)

    def _concept_id(self, request: LearningRequest, inputs: EditInputs, reference: ResolvedReference, scale: InputScale) -> str:
        return plan_learning(
            request,
            image=inputs.image,
            mask=inputs.mask,
            mask_mode=inputs.mask_mode,
            model=self.facts.fingerprint,
            reference=reference,
            attribute_words=self.facts.attribute_words,
            subjects=self.facts.subjects,
            scaled_to=scale.scaled_to,
        )

    def _learning(
        self, concept_id: str, inputs: EditInputs, checkpoint: bytes | None, lasts_s: float
    ) -> Generator[Progress | Made, None, int]:
        """Return how many steps it took now. A checkpoint is the photo's mark and the steps done."""
        mark = b"checkpoint" + hashlib.sha256(inputs.image + inputs.mask).digest()
        if checkpoint is not None and not checkpoint.startswith(mark):
            raise ArtifactMismatch("the checkpoint was not made by this engine")
        done = int(checkpoint[len(mark) :]) if checkpoint is not None else 0
        taken = 0
        for progress in self._phase("learning", lasts_s, after=done):
            yield progress
            taken += 1
            if self.checkpoint_every and progress.step % self.checkpoint_every == 0:
                yield Made("checkpoint", concept_id, mark + str(progress.step).encode(), step=progress.step)
        return taken

    def _phase(self, phase: Phase, lasts_s: float = 0.0, *, after: int = 0) -> Generator[Progress, None, None]:
        steps = max(self.steps, math.ceil(lasts_s / STEP_S))
        for step in range(after + 1, steps + 1):
            progress = Progress(phase, step, steps)
            self._take_step(progress, lasts_s / steps or self.step_s)
            yield progress

    def _take_step(self, progress: Progress, lasts_s: float) -> None:  # noqa: ARG002  for who looks on
        time.sleep(lasts_s)

    def _token(self, inputs: EditInputs) -> NDArray[np.float32]:
        """What the pictures decide of a concept; keys and values stay as they are."""
        seen = np.frombuffer(hashlib.sha256(inputs.image + inputs.mask).digest(), np.uint8)
        return np.resize(seen, self.facts.width).astype(np.float32) / np.float32(255)

    def _concept_facts(self, reference: ResolvedReference, seed: int) -> dict[str, Any]:
        """What is reported of a concept, as of one that was learned in no steps."""
        return {
            "subject": reference.subject,
            "prompt": reference.prompt,
            "seed": seed,
            "steps": 0,
            "loss_end": 0.0,
            "max_abs_cosine_to_bank": 0.0,
            "mean_abs_cosine_to_bank": 0.0,
        }

    def _concept(self, reference: ResolvedReference, facts: dict[str, Any], inputs: EditInputs) -> bytes:
        about = {
            "format": CONCEPT_FORMAT,
            "fingerprint": self.facts.fingerprint,
            "facts": facts,
            "placeholder": reference.placeholder,
            "subject": reference.subject,
        }
        return save({"token": self._token(inputs)}, metadata={"s2edit": json.dumps(about, sort_keys=True)})

    def _about(self, concept: bytes) -> dict[str, Any]:
        """Return the concept's metadata. Raise `ArtifactMismatch` for one that was not made here."""
        try:
            about = about_of(concept)
        except OptionInvalid as error:
            raise ArtifactMismatch(str(error)) from error
        if (about.get("format"), about.get("fingerprint")) != (CONCEPT_FORMAT, self.facts.fingerprint):
            raise ArtifactMismatch(f"the concept was not made in {self.name}")
        return about

    def _report(
        self, request: EditRequest, run: _Run, learned: dict[str, Any], inputs: EditInputs, steps: int, slow_s: float
    ) -> dict[str, Any]:
        preset = request.resolve()
        files = {name: data for name in ("image", "mask", "edit_mask") if (data := getattr(inputs, name)) is not None}
        seconds = {"preparing": 0.0, "learning": 0.0, "inverting": 0.0, "editing": slow_s, "finishing": 0.0, "total": slow_s}
        return self._common(steps, seconds, files) | {
            "concept_id": run.plan.concept_id,
            "inversion_id": run.plan.inversion_id,
            "concept": learned,
            "inversion": {
                "canvas": digest(inputs.image + inputs.mask)[:32],
                "prompt": run.prompts.source,
                "concept": run.plan.concept_id.removeprefix("c_"),
                "tier": preset.inversion.tier,
                "steps": preset.steps,
            },
            "source_prompt": run.prompts.source,
            "source_prompt_origin": run.prompts.origin,
            "prompt": run.prompts.target,
            "negative_prompt": request.negative_prompt,
            "strength": request.strength,
            "subject": run.prompts.subject,
            "preset": preset.name,
            "guidance_scale": preset.guidance_scale,
            "seed": request.seed,
            "attributes": run.attributes,
            **run.scale.facts,
            "leakage": dict.fromkeys((PLACEHOLDER, *run.attributes), 0.0),
            "provenance": None,
            "watermark": None,
        }

    def _common(self, steps: int, seconds: dict[str, float], files: dict[str, bytes]) -> dict[str, Any]:
        """In test mode the report says so, and that nothing was learned."""
        test = self.facts.fingerprint == TEST_FINGERPRINT
        return ({"test": True} if test else {}) | {
            "seconds": seconds,
            "learning_steps": 0 if test else steps,
            "unet_evaluations": 0,
            "inputs": {name: digest(data) for name, data in files.items()},
            "model": {"name": self.name, "fingerprint": self.facts.fingerprint},
            "versions": report.versions(),
        }
