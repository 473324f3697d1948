"""Run the engine for one attempt: find the mask, learn, edit; and store the intermediate artifacts.

A concept is learned by one job at a time. Artifacts of earlier attempts and edits are reused; what is damaged or belongs to another
model is computed again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from typing import Any, TypeVar

import structlog

from s2edit_core.errors import ArtifactMismatch
from s2edit_core.request.plan import EditPlan
from s2edit_core.request.spec import EditRequest, LearningRequest, Progress
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.intake.budgets import check_learning
from s2edit_jobs.library.concept_files import check_stored_concept
from s2edit_jobs.library.concepts import CONCEPT, INVERSION, SAFETENSORS, Library
from s2edit_jobs.library.erased_concepts import is_erased_for
from s2edit_jobs.lifecycle.jobs import CHECKPOINTS, Jobs
from s2edit_jobs.lifecycle.learnings import drop_unlearned
from s2edit_jobs.records.errors import (
    ArtifactExists,
    ArtifactMissing,
    IdentityNotFound,
    JobNotFound,
    LearningsSpent,
    RecordDamaged,
    ServiceUnavailable,
)
from s2edit_jobs.records.record import Failure, JobSpec
from s2edit_jobs.records.set_aside import count_aside
from s2edit_jobs.stores.artifacts import concept_key, inversion_key
from worker.attempts.control import AttemptControl, WaitsForConcept
from worker.attempts.inputs import concept_erased, identity_erased
from worker.engines.engine import Artifact, DetectedMask, EditInputs, EditResult, Engine

_CHECKPOINT = re.compile(rf"/{CHECKPOINTS}[0-9]{{6,}}\.safetensors$")
log = structlog.get_logger(__name__)
Result = TypeVar("Result")


class EngineRun:
    """Drives the engine's generators for one attempt.

    Every method raises what `AttemptControl.check` raises, `S2EditError`, `LearningsSpent` and `ServiceUnavailable`.
    """

    def __init__(self, services: Services, jobs: Jobs, engine: Engine, control: AttemptControl) -> None:
        self._services = services
        self._artifacts = services.artifacts
        self._queue = services.queue
        self._reservations = services.store.reservations
        self._jobs = jobs
        self._library = Library(services)
        self._inversions = services.settings.max_inversions_per_identity
        self._engine = engine
        self._control = control
        self._concept_id = ""  # the concept of the current edit, with which its inversion is erased

    def companions_s(self) -> float:
        """Return for how many seconds this attempt has waited while the device worked for others."""
        return self._engine.companions_s()

    def find_mask(self, spec: JobSpec, photo: bytes) -> DetectedMask:
        """Find the person in a photo that came without a mask."""
        return self._drive(spec, self._engine.find_mask(spec.request, photo, check=self._control.poll))

    def learn(self, spec: JobSpec, request: LearningRequest, inputs: EditInputs) -> tuple[str, dict[str, Any]]:
        """Learn a concept without an edit, unless it is known. Return its id and the report."""
        concept_id = self._engine.plan_learning(request, inputs)
        self._control.concepts.use(spec, [concept_id])
        known = self._read_concept(concept_key(spec.owner, concept_id, CONCEPT)) or self._reserve(spec, concept_id)
        if known is not None:
            self._library.complete(spec, concept_id)
            return concept_id, {"concept_id": concept_id, "learning_steps": 0}
        checkpoint = self._latest_checkpoint(spec, concept_id)
        if checkpoint is not None:
            try:
                steps = self._engine.learn(request, inputs, checkpoint=checkpoint, check=self._control.poll)
                return concept_id, self._drive(spec, steps)
            except ArtifactMismatch as error:
                log.warning("the checkpoint does not fit: learning from the start", action="cache_dropped", reason=str(error))
        return concept_id, self._drive(spec, self._engine.learn(request, inputs, check=self._control.poll))

    def edit(self, spec: JobSpec, request: EditRequest, inputs: EditInputs) -> tuple[str, EditResult]:
        """Run an edit with the stored artifacts. Return the concept's id and the result.

        If a stored artifact does not fit, try again with fewer: first without the inversion, then without the concept.
        """
        plan = self._engine.plan(request, inputs)
        self._concept_id = plan.concept_id
        self._control.concepts.use(spec, [plan.concept_id, *request.attributes])
        concept = self._read_concept(concept_key(spec.owner, plan.concept_id, CONCEPT))
        can_learn = self._can_learn(spec, request)
        if concept is None and not can_learn:
            raise ArtifactMismatch("the identity's file is missing or damaged: import it again")
        concept = concept or self._reserve(spec, plan.concept_id)
        inversion = self._read(inversion_key(spec.owner, plan.inversion_id, INVERSION)) if concept else None
        checkpoint = None if concept else self._latest_checkpoint(spec, plan.concept_id)
        from_scratch = [(None, None, None)] if can_learn else []
        choices = list(dict.fromkeys([(concept, inversion, checkpoint), (concept, None, None), *from_scratch]))
        for stored in choices:
            if concept is not None and stored[0] is None:
                self._reserve(spec, plan.concept_id)
            try:
                result = self._edit_with(spec, request, inputs, *stored)
                self._record_use(spec, plan)
                return plan.concept_id, result
            except ArtifactMismatch as error:
                if stored == choices[-1]:
                    raise
                log.warning("a stored artifact does not fit: computing it again", action="cache_dropped", reason=str(error))
        raise AssertionError("the last choice returns or raises")

    def release(self, failure: Failure | None = None) -> None:
        """Queue the jobs that wait for this job's concept. With `failure`, they will fail too.

        If the job store is down, the reaper queues them after this job's end.
        """
        with suppress(ServiceUnavailable):
            for job_id in self._reservations.release(self._control.lease, failure):
                self._queue.notify(job_id)

    def _edit_with(
        self,
        spec: JobSpec,
        request: EditRequest,
        inputs: EditInputs,
        concept: bytes | None,
        inversion: bytes | None,
        checkpoint: bytes | None,
    ) -> EditResult:
        steps = self._engine.edit(
            request, inputs, concept=concept, inversion=inversion, checkpoint=checkpoint, check=self._control.poll
        )
        return self._drive(spec, steps)

    def _record_use(self, spec: JobSpec, plan: EditPlan) -> None:
        """Record the use of the identity and the inversion. A store that is down costs a date, and not the edit."""
        with suppress(ServiceUnavailable):
            self._library.record_use(spec, plan.concept_id, plan.inversion_id, limit=self._inversions)

    def _can_learn(self, spec: JobSpec, request: EditRequest) -> bool:
        """Whether this job has the photo to learn the concept from. It has none for an imported identity.

        Raise `OptionInvalid` if the identity was erased.
        """
        if request.identity is None:
            return True
        try:
            return bool(self._library.identity(spec.owner, request.identity).inputs)
        except IdentityNotFound:
            raise identity_erased() from None

    def _reserve(self, spec: JobSpec, concept_id: str) -> bytes | None:
        """Make this the only job that learns the concept. Return the concept instead if it was stored meanwhile.

        Raise `WaitsForConcept` if another job is learning it, `OptionInvalid` if it was erased after this job was accepted, or
        `LearningsSpent`.
        """
        if is_erased_for(self._artifacts, spec, concept_id):
            raise concept_erased(spec, concept_id)
        key = concept_key(spec.owner, concept_id, CONCEPT)
        if not self._reservations.reserve(self._control.lease, key):
            raise WaitsForConcept
        concept = self._read_concept(key)
        if concept is not None:
            self.release()
            return concept
        if not self._control.lease.learning_booked:  # else an earlier attempt has begun it
            try:
                check_learning(self._services, spec.owner)
            except LearningsSpent:
                self.release()
                raise
        return None

    def _latest_checkpoint(self, spec: JobSpec, concept_id: str) -> bytes | None:
        """Return the checkpoint with the most steps."""
        keys = [key for key in self._artifacts.list(concept_key(spec.owner, concept_id, CHECKPOINTS)) if _CHECKPOINT.search(key)]
        return self._read(keys[-1]) if keys else None

    def _drive(self, spec: JobSpec, steps: Generator[Progress | Artifact, None, Result]) -> Result:
        """Run a generator of the engine to its end: store its artifacts and publish its progress."""
        with closing(steps):
            while True:
                self._control.check()
                try:
                    step = next(steps)
                except StopIteration as end:
                    result: Result = end.value
                    return result
                if isinstance(step, Artifact):
                    self._control.watch.advance()
                    self._store(spec, step)
                    self._control.watch.skip()
                else:
                    self._control.publish(step)

    def _store(self, spec: JobSpec, artifact: Artifact) -> None:
        if artifact.kind == "checkpoint":
            key = concept_key(spec.owner, artifact.id, f"{CHECKPOINTS}{artifact.step:06}.safetensors")
            with suppress(ArtifactExists):  # an earlier attempt stored the same checkpoint
                self._jobs.put_for(spec.owner, spec.id, key, artifact.data, media_type=SAFETENSORS, only_if_absent=True)
        elif artifact.kind == "inversion":
            self._library.keep_inversion(spec, self._concept_id, artifact.id, artifact.data)
        else:
            try:
                self._store_metadata(spec, artifact)  # first: readers of the concept must find its metadata
                self._library.keep_concept(spec, artifact.id, artifact.data)
            except JobNotFound:  # erased, and this job may have lost its reservation before
                drop_unlearned(self._artifacts, concept_key(spec.owner, artifact.id, CONCEPT), spec.id)
                raise
            self.release()
            self._artifacts.delete_prefix(concept_key(spec.owner, artifact.id, CHECKPOINTS))

    def _store_metadata(self, spec: JobSpec, artifact: Artifact) -> None:
        request = spec.request
        if isinstance(request, LearningRequest) and request.kind == "attribute":
            self._library.keep_attribute(
                spec,
                artifact.id,
                name=request.name,
                prompt=artifact.source_prompt or request.prompt,
                subject=artifact.subject or "",
                placeholder=artifact.placeholder,
            )
            return
        self._library.keep_identity(spec, artifact.id, source_prompt=artifact.source_prompt, subject=artifact.subject)

    def _read_concept(self, key: str) -> bytes | None:
        """Return the concept, or None if it is missing or damaged and must be learned again. Raise `RecordNewer`."""
        return self._read(key, check_stored_concept)

    def _read(self, key: str, check: Callable[[bytes], None] = lambda _: None) -> bytes | None:
        """Return the object, or None if it is missing or damaged. `check` raises `RecordDamaged` for damaged bytes."""
        try:
            data = self._artifacts.get(key)
            check(data)
            return data
        except ArtifactMissing:
            return None
        except RecordDamaged as error:
            count_aside("artifact", key, error)
            return None
