"""The engine without a model, for test mode, storms and tests: no torch, no weights.

It runs through the same phases as the real engine, makes the same artifacts and rejects the same prompts. A `Painter` makes the
pictures. Results depend only on the request, its files and the seed. A concept is a valid file, with a fingerprint that no live
model has. Results have no content credentials, because no model has edited them.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from s2edit_core.concepts.seal import OPEN, sealed
from s2edit_core.delivery import report
from s2edit_core.delivery.output import Output
from s2edit_core.errors import ArtifactMismatch, MaskInvalid, OptionInvalid
from s2edit_core.pictures.input_scale import InputScale
from s2edit_core.request.plan import EditPlan, digest, plan_edit, plan_learning
from s2edit_core.request.prompts import ResolvedPrompts, ResolvedReference, resolve_prompts, resolve_reference
from s2edit_core.request.spec import CONCEPT_FORMAT, PLACEHOLDER, EditRequest, LearningRequest, MaskRequest, Phase, Progress
from s2edit_jobs.library.concept_files import metadata_of
from s2edit_jobs.records.record import JobRequest
from s2edit_jobs.records.testmode import MASK_NOT_FOUND, Directives, parse_directives
from s2edit_jobs.stores.model_facts import TEST_FINGERPRINT, ModelFacts, of_test_mode
from worker.engines.engine import Artifact, Check, DetectedMask, EditInputs, EditResult, PreviewedProgress
from worker.engines.painters import Painter, TintPainter

TEST_STEPS = 5
"""Fewest steps of each phase in test mode."""
STEP_S = 0.1
"""Longest step of a slow job, in seconds. A cancellation is noticed within one step."""


@dataclass(frozen=True, slots=True)
class _Run:
    """One edit in progress."""

    plan: EditPlan
    prompts: ResolvedPrompts
    attributes: dict[str, dict[str, Any]]  # the report's facts on each attribute, by placeholder
    scale: InputScale


def engine_of_test_mode(facts: ModelFacts) -> ModelessEngine:
    """Return the engine of test mode, which uses the subject words of the live model with these facts."""
    return ModelessEngine(of_test_mode(facts))


@dataclass
class ModelessEngine:
    """An engine without a model. Thread-safe.

    Each phase has `steps` steps of `step_s` seconds. Learning yields a checkpoint every `checkpoint_every` steps, if not 0. With
    `own_photo`, a concept learned from another photo is rejected: tests detect mixed-up artifacts by that.
    """

    facts: ModelFacts
    name: str = "test mode"
    painter: Painter = field(default_factory=TintPainter)
    steps: int = TEST_STEPS
    step_s: float = 0.0
    checkpoint_every: int = 0
    own_photo: bool = False

    def peak_memory_bytes(self) -> None:
        """Return None: there is no device."""

    def most_jobs(self) -> None:
        """Return None: there is no device."""

    @contextmanager
    def session(self, owner: str) -> Iterator[Self]:  # noqa: ARG002 - there is no device to take turns at
        yield self

    def pass_stats(self) -> None:
        """Return None: there is no device."""

    def companions_s(self) -> float:
        """Return 0: nothing is shared."""
        return 0.0

    def close(self) -> None:
        """Do nothing: there are no threads."""

    def find_mask(
        self,
        request: JobRequest,
        photo: bytes,
        *,
        check: Check | None = None,  # noqa: ARG002  its steps are short
    ) -> Generator[Progress, None, DetectedMask]:
        """Find a mask. In an edit or a learning, the directives take effect later, except for the failure `mask_not_found`."""
        directives = self._directives(request.prompt)
        alone = isinstance(request, MaskRequest)
        found = self.painter.find(request, photo, self.name)
        yield from self._phase("preparing", directives.duration_s if alone else 0.0)
        if alone or directives.fails == MASK_NOT_FOUND:
            directives.raise_failure()
        if found is None:
            raise MaskInvalid("nobody was found in the photo", field="mask", reason=MASK_NOT_FOUND)
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
        check: Check | None = None,  # noqa: ARG002
    ) -> Generator[Progress | Artifact, None, dict[str, Any]]:
        reference, directives = resolve_reference(request, self.facts.subjects), self._directives(request.prompt)
        scale = self.painter.read(request, inputs)
        concept_id = self._concept_id(request, inputs, reference, scale)
        steps = yield from self._learning(concept_id, inputs, checkpoint, directives.duration_s)
        directives.raise_failure()
        facts = self._concept_facts(reference, request.seed)
        concept = self._concept(reference, facts, inputs)
        yield Artifact("concept", concept_id, concept, reference.prompt, reference.subject, placeholder=reference.placeholder)
        files = {"image": inputs.image, "mask": inputs.mask}
        return self._common(steps, {"learning": directives.duration_s}, files) | {
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
        check: Check | None = None,  # noqa: ARG002
    ) -> Generator[Progress | Artifact, None, EditResult]:
        """Run an edit. A slow job is slow in the editing phase, never while learning, for which other jobs may wait."""
        run, directives, steps = self._begin(request, inputs), self._directives(request.prompt), 0
        reference = ResolvedReference(run.prompts.source, run.prompts.subject, PLACEHOLDER)
        if concept is None:
            steps = yield from self._learning(run.plan.concept_id, inputs, checkpoint, 0.0)
            concept = self._concept(reference, self._concept_facts(reference, request.seed), inputs)
            yield Artifact("concept", run.plan.concept_id, concept, run.prompts.source, run.prompts.subject)
        learned = self._about(concept)["facts"]
        if self.own_photo and load(concept)["token"].tobytes() != self._token(inputs).tobytes():
            raise ArtifactMismatch("the concept was learned from another photo")
        inverted = f"{self.name} {run.plan.inversion_id}".encode()
        if inversion is None:
            yield from self._phase("inverting")
            yield Artifact("inversion", run.plan.inversion_id, inverted)
        elif inversion != inverted:
            raise ArtifactMismatch("the inversion was not made by this engine")
        preview = self.painter.previews(request, run.prompts.target, inputs)
        for progress in self._phase("editing", directives.duration_s):
            yield _previewed(progress, preview)
        directives.raise_failure()
        yield Progress("finishing", 0, 1)
        files, measures = self.painter.draw(request, run.prompts.target, inputs)
        facts = self._report(request, run, learned, inputs, steps, directives.duration_s) | measures[0] | {"variants": measures[1:]}
        return EditResult(files[0], facts, tuple(files[1:]), media_type=Output.of(request).media_type)

    def _directives(self, prompt: str | None) -> Directives:
        """Return the prompt's directives. Only test mode has them."""
        return parse_directives(prompt or "") if self.facts.fingerprint == TEST_FINGERPRINT else Directives()

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
            bank=self.facts.word_bank(prompts.subject),
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
            bank=self.facts.word_bank(reference.subject, reference.placeholder),
            scaled_to=scale.scaled_to,
        )

    def _learning(
        self, concept_id: str, inputs: EditInputs, checkpoint: bytes | None, duration_s: float
    ) -> Generator[Progress | Artifact, None, int]:
        """Return the number of steps taken. A checkpoint contains a digest of photo and mask, and the number of steps."""
        mark = b"checkpoint" + hashlib.sha256(inputs.image + inputs.mask).digest()
        if checkpoint is not None and not checkpoint.startswith(mark):
            raise ArtifactMismatch("the checkpoint was not made by this engine")
        done = int(checkpoint[len(mark) :]) if checkpoint is not None else 0
        taken = 0
        for progress in self._phase("learning", duration_s, after=done):
            yield progress
            taken += 1
            if self.checkpoint_every and progress.step % self.checkpoint_every == 0:
                yield Artifact("checkpoint", concept_id, mark + str(progress.step).encode(), step=progress.step)
        return taken

    def _phase(self, phase: Phase, duration_s: float = 0.0, *, after: int = 0) -> Generator[Progress, None, None]:
        steps = max(self.steps, math.ceil(duration_s / STEP_S))
        for step in range(after + 1, steps + 1):
            progress = Progress(phase, step, steps)
            self._take_step(progress, duration_s / steps or self.step_s)
            yield progress

    def _take_step(self, progress: Progress, duration_s: float) -> None:  # noqa: ARG002  tests override this
        time.sleep(duration_s)

    def _token(self, inputs: EditInputs) -> NDArray[np.float32]:
        """Return the token embedding, derived from photo and mask. The concept has no other weights."""
        values = np.frombuffer(hashlib.sha256(inputs.image + inputs.mask).digest(), np.uint8)
        return np.resize(values, self.facts.width).astype(np.float32) / np.float32(255)

    def _concept_facts(self, reference: ResolvedReference, seed: int) -> dict[str, Any]:
        """Return the report's facts on a concept: those of one that was learned in no steps."""
        return {
            "subject": reference.subject,
            "prompt": reference.prompt,
            "seed": seed,
            "steps": 0,
            "phases": {},
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
            **OPEN,
        }
        return sealed(save({"token": self._token(inputs)}, metadata={"s2edit": json.dumps(about, sort_keys=True)}))

    def _about(self, concept: bytes) -> dict[str, Any]:
        """Return the concept's metadata. Raise `ArtifactMismatch` if this engine did not make it."""
        try:
            about = metadata_of(concept)
        except OptionInvalid as error:
            raise ArtifactMismatch(str(error)) from error
        if (about.get("format"), about.get("fingerprint")) != (CONCEPT_FORMAT, self.facts.fingerprint):
            raise ArtifactMismatch(f"the concept was not made by the engine {self.name!r}")
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
        """Return the facts of every report. In test mode, `test` is set and no learning steps are counted."""
        test = self.facts.fingerprint == TEST_FINGERPRINT
        return ({"test": True} if test else {}) | {
            "seconds": seconds,
            "learning_steps": 0 if test else steps,
            "unet_evaluations": 0,
            "inputs": {name: digest(data) for name, data in files.items()},
            "model": {"name": self.name, "fingerprint": self.facts.fingerprint},
            "versions": report.versions(),
        }


def _previewed(progress: Progress, preview: Callable[[float], bytes]) -> PreviewedProgress:
    """Return `progress` with a preview that depends on how far the edit is, and on nothing else that changes."""
    share = progress.step / progress.total
    return PreviewedProgress(progress.phase, progress.step, progress.total, draw=lambda: preview(share))
