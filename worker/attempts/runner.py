"""One attempt at one job: claim, work, publish once.

    claimed ──outcome is there already──▶ finished with it
       │ ──too many attempts──▶ failed, parked
       ▼
    working ──result──▶ succeeded        ──S2EditError──▶ failed        ──wish to cancel──▶ canceled
       │ ──other exception──▶ handed back, counted      ──worker stops, store down──▶ handed back, not counted
       │ ──another job learns the same concept──▶ waits for it, not counted      ──deadline──▶ failed
       └──lease lost──▶ nothing is published

Safe to run at any time, any number of times: a ring says that there is work, and the job store which.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any, TypeVar

import structlog
from structlog.contextvars import bind_contextvars, bound_contextvars, unbind_contextvars

from s2edit_core.errors import ArtifactMismatch, InvalidInput, OptionInvalid, PolicyRefused, S2EditError
from s2edit_core.request.plan import EditPlan, digest
from s2edit_core.request.spec import EditRequest, LearningRequest, MaskRequest, Progress
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.jobs.jobs import CHECKPOINTS, DEADLINE, Jobs
from s2edit_jobs.jobs.refusals import note_refusal
from s2edit_jobs.library.library import CONCEPT, INVERSION, SAFETENSORS, Library
from s2edit_jobs.records.errors import (
    ArtifactExists,
    ArtifactMissing,
    IdentityNotFound,
    JobNotFound,
    LeaseLost,
    ServiceUnavailable,
)
from s2edit_jobs.records.files import EXTENSIONS, MASKS
from s2edit_jobs.records.record import Failure, JobSpec, JobState, Lease, Outcome, Spent
from s2edit_jobs.records.trace import trace_id
from s2edit_jobs.stores.artifacts import JSON, concept_key, edit_key, inversion_key
from worker.attempts.heartbeat import Heartbeat
from worker.attempts.phase_clock import PhaseClock
from worker.attempts.used_mask import UsedMask, UsedMasks
from worker.engines.engine import Edited, EditInputs, Engine, Found, Made

log = structlog.get_logger(__name__)
Result = TypeVar("Result")

SHOW_EVERY_S = 0.2
PARKED = "parked"
"""Code of a job that was given up after too many attempts."""


class InputDamaged(Exception):
    """A stored upload is not what was accepted."""


class _Canceled(Exception):
    pass


class _Stopping(Exception):
    pass


class _TooLate(Exception):
    pass


class _Waits(Exception):
    """Another job learns the concept. This one has no lease any more."""


def run_job(job_id: str, services: Services, engine: Engine, *, stop: threading.Event | None = None) -> None:
    """Work on the job whose turn it is, if there is one; `job_id` is the one that rang.

    `stop`: the worker is about to end; an unfinished job goes back to the queue.
    """
    stop = stop or threading.Event()
    try:
        if stop.is_set():
            services.queue.ring(job_id)
            return
        lease = services.store.leases.claim(lease_s=services.settings.lease_s)
    except ServiceUnavailable as error:
        log.warning("no job could be claimed", action="claim_failed", job_id=job_id, error=str(error))
        return
    if lease is None:
        log.info("no job waits for a worker", action="not_claimed", job_id=job_id)
        return
    work_on(lease, services, engine, stop=stop)


def work_on(lease: Lease, services: Services, engine: Engine, *, stop: threading.Event) -> None:
    """One attempt at the job that was claimed. Never raises: whatever happens is either published or handed back."""
    _Attempt(lease, services, engine, stop).run()


def _identity_erased() -> OptionInvalid:
    return OptionInvalid("the identity that the edit names was erased: learn it again", field="identity", reason="identity_unknown")


class _Attempt:
    def __init__(self, lease: Lease, services: Services, engine: Engine, stop: threading.Event) -> None:
        self._lease = lease
        self._services = services
        self._artifacts = services.artifacts
        self._jobs = Jobs(services)
        self._library = Library(services)
        self._masks = UsedMasks(self._jobs)
        self._engine = engine
        self._stop = stop
        self._heart = Heartbeat(services.store.leases, lease, interval_s=services.settings.heartbeat_interval_s)
        self._shown: tuple[str, float] = ("", 0.0)
        self._heard_at = time.monotonic()
        self._deadline_at: float | None = None
        self._uses = ""  # the concept of the edit under way
        self._mask: UsedMask | None = None  # of the job under way
        self._clock = PhaseClock()

    def run(self) -> None:
        """Every line of the log names the job, and says whether it is one of test mode."""
        lease = self._lease
        with bound_contextvars(job_id=lease.job_id, attempt=lease.attempt, **({"test": True} if lease.owner.test else {})):
            try:
                self._try()
            finally:
                unbind_contextvars("trace_id")

    def _try(self) -> None:
        log.info("attempt begins", action="attempt_begins")
        try:
            with self._heart:
                self._end(self._settled() or self._work())
        except LeaseLost:
            log.warning("the lease was lost: nothing is published", action="lease_lost")
        except _Waits:
            log.info("another job learns the same concept: waiting for it", action="waits")
        except _Stopping:
            self._hand_back(failed=False, ring=True)
        except JobNotFound:
            self._forget()
        except ServiceUnavailable as error:  # the reaper rings when it is back
            log.warning("a service is down: the job goes back", action="service_unavailable", error=str(error))
            self._hand_back(failed=False, ring=False)
        except Exception as error:
            if isinstance(error, ArtifactMissing) and self._is_erased():
                self._forget()
                return
            log.exception("the attempt failed", action="attempt_failed")
            self._give_up_or_retry(error)

    def _settled(self) -> Outcome | None:
        """The outcome that needs no work: written before by an attempt that then died, too many attempts, or a failed learning."""
        lease = self._lease
        if (outcome := self._jobs.outcome(lease.owner, lease.job_id)) is not None:
            return outcome
        if lease.attempt > self._services.settings.max_attempts:
            return self._failed(PARKED, f"the edit was given up: its worker was lost {lease.attempt - 1} times")
        return self._outcome(JobState.FAILED, failure=lease.verdict) if lease.verdict is not None else None

    def _work(self) -> Outcome:
        spec = self._jobs.spec(self._lease.owner, self._lease.job_id)
        self._deadline_at = spec.deadline_at
        if spec.traceparent is not None:
            bind_contextvars(trace_id=trace_id(spec.traceparent))
        try:
            self._check()
            files = self._read(spec)
            self._mask = mask = self._masks.of(spec, files, lambda: self._find_mask(spec, files))
            if isinstance(spec.request, MaskRequest):
                return self._publish(None, self._facts_of_finding(spec, files, mask))
            # From here on as if it had come with the request: so ids and identities hold it.
            spec = replace(spec, inputs={**spec.inputs, "mask": mask.file})
            inputs = self._inputs(spec, {**files, "mask": mask.data})
            if isinstance(spec.request, LearningRequest):
                return self._learn(spec, spec.request, inputs)
            assert isinstance(spec.request, EditRequest)
            plan = self._engine.plan(spec.request, inputs)
            edited = self._edit(spec, spec.request, inputs, plan)
            return self._publish(plan.concept_id, edited.report, (edited.picture, *edited.variants), edited.media_type)
        except _Canceled:
            return self._outcome(JobState.CANCELED)
        except _TooLate:
            return self._failed(DEADLINE, "the edit's deadline passed before it was done", retryable=True)
        except InvalidInput as error:  # as the API says it when it finds it first
            if isinstance(error, PolicyRefused):
                note_refusal(self._services, self._lease.owner, self._lease.job_id, error)
            return self._failed(error.reason, str(error), retryable=error.retryable, field=error.field.removeprefix("options."))
        except S2EditError as error:
            return self._failed(error.code, str(error), retryable=error.retryable)

    def _find_mask(self, spec: JobSpec, files: Mapping[str, bytes]) -> Found:
        return self._drive(spec, self._engine.find_mask(spec.request, files["image"], check=self._listen))

    def _facts_of_finding(self, spec: JobSpec, files: Mapping[str, bytes], mask: UsedMask) -> dict[str, Any]:
        """The report of a job that finds a mask and does nothing else."""
        seconds = {phase: round(spent, 3) for phase, spent in self._clock.seconds().items()}
        inputs = {name: digest(data) for name, data in {**files, "mask": mask.data}.items()}
        return {"inputs": inputs, "seconds": seconds, **({"test": True} if spec.owner.test else {})}

    def _edit(self, spec: JobSpec, request: EditRequest, inputs: EditInputs, plan: EditPlan) -> Edited:
        """With what was made before; what turns out damaged, or made by another model, is left out and made once more."""
        self._uses = plan.concept_id
        concept = self._cached(concept_key(spec.owner, plan.concept_id, CONCEPT))
        may_learn = self._may_learn(spec, request)
        if concept is None and not may_learn:
            raise ArtifactMismatch("the identity's file is gone: import it again")
        concept = concept or self._turn_to_learn(spec, plan.concept_id)
        inversion = self._cached(inversion_key(spec.owner, plan.inversion_id, INVERSION)) if concept else None
        checkpoint = None if concept else self._checkpoint(spec, plan.concept_id)
        anew = [(None, None, None)] if may_learn else []
        choices = list(dict.fromkeys([(concept, inversion, checkpoint), (concept, None, None), *anew]))
        for one, other, start in choices:
            if concept is not None and one is None:
                self._turn_to_learn(spec, plan.concept_id)
            try:
                steps = self._engine.edit(request, inputs, concept=one, inversion=other, checkpoint=start, check=self._listen)
                return self._drive(spec, steps)
            except ArtifactMismatch as error:
                if (one, other, start) == choices[-1]:
                    raise
                log.warning("what was kept does not fit: making it again", action="cache_dropped", reason=str(error))
        raise AssertionError("the last choice returns or raises")

    def _may_learn(self, spec: JobSpec, request: EditRequest) -> bool:
        """Whether the concept can be made from this job's photo: one that was imported can't. Raises `OptionInvalid` if erased."""
        if request.identity is None:
            return True
        try:
            return bool(self._library.identity(spec.owner, request.identity).inputs)
        except IdentityNotFound:
            raise _identity_erased() from None

    def _learn(self, spec: JobSpec, request: LearningRequest, inputs: EditInputs) -> Outcome:
        """A concept without an edit. One that is there already is not learned again."""
        concept_id = self._engine.plan_learning(request, inputs)
        known = self._cached(concept_key(spec.owner, concept_id, CONCEPT)) or self._turn_to_learn(spec, concept_id)
        if known is not None:
            return self._publish(concept_id, {"concept_id": concept_id, "learning_steps": 0})
        checkpoint = self._checkpoint(spec, concept_id)
        if checkpoint is not None:
            try:
                steps = self._engine.learn(request, inputs, checkpoint=checkpoint, check=self._listen)
                return self._publish(concept_id, self._drive(spec, steps))
            except ArtifactMismatch as error:
                log.warning("the checkpoint does not fit: learning anew", action="cache_dropped", reason=str(error))
        steps = self._engine.learn(request, inputs, check=self._listen)
        return self._publish(concept_id, self._drive(spec, steps))

    def _turn_to_learn(self, spec: JobSpec, concept_id: str) -> bytes | None:
        """Be the only job that learns the concept; or the concept, if it has come since the first look. Raises `_Waits`."""
        if not self._services.store.reservations.reserve(self._lease, concept_key(spec.owner, concept_id, CONCEPT)):
            raise _Waits
        concept = self._cached(concept_key(spec.owner, concept_id, CONCEPT))
        if concept is not None:
            self._release()
        return concept

    def _release(self, verdict: Failure | None = None) -> None:
        """Wake the jobs that wait for what this one learns. If that fails, they notice its end."""
        with suppress(ServiceUnavailable):
            for job_id in self._services.store.reservations.release(self._lease, verdict):
                self._services.queue.ring(job_id)

    def _checkpoint(self, spec: JobSpec, concept_id: str) -> bytes | None:
        """The one of most steps."""
        keys = list(self._artifacts.list(concept_key(spec.owner, concept_id, CHECKPOINTS)))
        return self._cached(keys[-1]) if keys else None

    def _drive(self, spec: JobSpec, steps: Generator[Progress | Made, None, Result]) -> Result:
        with closing(steps):
            while True:
                self._check()
                try:
                    step = next(steps)
                except StopIteration as end:
                    result: Result = end.value
                    return result
                if isinstance(step, Made):
                    self._keep(spec, step)
                else:
                    self._show(step)

    def _check(self) -> None:
        if self._heart.lost:
            raise LeaseLost(self._lease.job_id)
        if self._heart.cancel_requested:
            raise _Canceled
        if self._deadline_at is not None and time.time() > self._deadline_at:
            raise _TooLate
        if self._stop.is_set():
            raise _Stopping

    def _listen(self) -> None:
        """Between two evaluations, of which many may lie between two steps: is the job still wanted, and still ours?"""
        self._check()
        if time.monotonic() - self._heard_at < SHOW_EVERY_S:
            return
        self._heard_at = time.monotonic()
        with suppress(ServiceUnavailable):
            if self._services.store.leases.renew(self._lease).cancel_requested:
                raise _Canceled

    def _keep(self, spec: JobSpec, made: Made) -> None:
        if made.kind == "checkpoint":
            key = concept_key(spec.owner, made.id, f"{CHECKPOINTS}{made.step:06}.safetensors")
            with suppress(ArtifactExists):  # an earlier attempt came as far, and to the same state
                self._put(key, made.data, media_type=SAFETENSORS, only_if_absent=True)
        elif made.kind == "inversion":
            self._library.keep_inversion(spec, self._uses, made.id, made.data)
        else:
            # The identity first: so whoever finds the concept finds what a later edit needs beside it.
            self._keep_facts(spec, made)
            self._library.keep_concept(spec, made.id, made.data)
            self._release()
            self._artifacts.delete_prefix(concept_key(spec.owner, made.id, CHECKPOINTS))

    def _keep_facts(self, spec: JobSpec, made: Made) -> None:
        if isinstance(spec.request, LearningRequest) and spec.request.kind == "attribute":
            self._library.keep_attribute(
                spec,
                made.id,
                name=spec.request.name,
                prompt=made.source_prompt or spec.request.prompt,
                subject=made.subject or "",
                placeholder=made.placeholder,
            )
            return
        self._library.keep_identity(spec, made.id, source_prompt=made.source_prompt, subject=made.subject)

    def _put(self, key: str, data: bytes, *, media_type: str, only_if_absent: bool = False) -> None:
        lease = self._lease
        self._jobs.put_for(lease.owner, lease.job_id, key, data, media_type=media_type, only_if_absent=only_if_absent)

    def _show(self, progress: Progress) -> None:
        self._clock.enter(progress.phase)
        phase, shown_at = self._shown
        now = time.monotonic()
        if progress.phase == phase and progress.step < progress.total and now - shown_at < SHOW_EVERY_S:
            return
        self._shown = (progress.phase, now)
        self._heard_at = now
        with suppress(ServiceUnavailable):  # a number that nobody saw
            if self._services.store.events.progress(self._lease, progress).cancel_requested:
                raise _Canceled

    def _publish(
        self, concept_id: str | None, report: dict[str, Any], pictures: Sequence[bytes] = (), media_type: str = "image/png"
    ) -> Outcome:
        """Keys no other attempt writes; they count once an outcome names them. `media_type` is that of the pictures."""
        lease, mask = self._lease, self._mask
        assert mask is not None
        with suppress(ServiceUnavailable):  # then the outcome, written once, decides
            self._services.store.leases.renew(lease)
        artifacts = {"report": edit_key(lease.owner, lease.job_id, f"report-{lease.fence}.json")}
        for i, picture in enumerate(pictures):
            name = f"result_{i}" if i else "result"
            artifacts[name] = edit_key(lease.owner, lease.job_id, f"{name}-{lease.fence}{EXTENSIONS[media_type]}")
            self._put(artifacts[name], picture, media_type=media_type)
        artifacts["mask"] = self._own_mask(mask)
        report = {**report, "mask": dict(mask.told)}
        self._put(artifacts["report"], json.dumps(report, ensure_ascii=False).encode(), media_type=JSON)
        return self._outcome(JobState.SUCCEEDED, artifacts=artifacts, identity=concept_id)

    def _own_mask(self, mask: UsedMask) -> str:
        """Its key in the job's folder; that of an identity is copied there, so that it is not erased with the identity."""
        owner, job_id = self._lease.owner, self._lease.job_id
        if mask.file.key.startswith(edit_key(owner, job_id, "")):
            return mask.file.key
        key = edit_key(owner, job_id, f"mask-{self._lease.fence}{EXTENSIONS.get(mask.file.media_type, '')}")
        self._put(key, mask.data, media_type=mask.file.media_type)
        return key

    def _end(self, outcome: Outcome) -> None:
        record = self._jobs.finish(self._lease.owner, self._lease.job_id, outcome)
        log.info("the job is over", action="job_over", state=record.state)
        # If the learning was still to be done, this is why it failed; a missed deadline is this job's alone.
        failure = record.failure
        self._release(failure if failure is not None and failure.code != DEADLINE else None)
        if not (seconds := self._clock.seconds()):
            return
        with suppress(ServiceUnavailable):
            if outcome.state is JobState.SUCCEEDED:
                self._services.store.estimates.measured(record.preset, seconds)
            if self._lease.owner.test:  # no time of the model's
                return
            # However it ended: the time was spent.
            self._services.store.usage.book(self._lease.owner.tenant, Spent(int("learning" in seconds), seconds["total"]))

    def _give_up_or_retry(self, error: Exception) -> None:
        if self._lease.attempt < self._services.settings.max_attempts:
            self._hand_back(failed=True, ring=True)
            return
        message = f"the edit was given up after {self._lease.attempt} attempts: {type(error).__name__}"
        with suppress(ServiceUnavailable, LeaseLost):
            self._end(self._failed(PARKED, message))

    def _hand_back(self, *, failed: bool, ring: bool) -> None:
        log.info("the job goes back to the queue", action="handed_back", counted=failed)
        with suppress(ServiceUnavailable):  # else the lease runs out, and a reaper rings
            self._services.store.leases.hand_back(self._lease, failed=failed)
            if ring:
                self._services.queue.ring(self._lease.job_id)

    def _forget(self) -> None:
        """The job was erased from the object store: let go of it here too, and write nothing there."""
        log.info("the job was erased", action="job_erased")
        with suppress(ServiceUnavailable):
            self._services.store.maintenance.erase(self._lease.owner, self._lease.job_id)

    def _is_erased(self) -> bool:
        try:
            self._jobs.spec(self._lease.owner, self._lease.job_id)
        except JobNotFound:
            return True
        except ServiceUnavailable:
            return False
        return False

    def _read(self, spec: JobSpec) -> dict[str, bytes]:
        """Return the files that were accepted, by name.

        Raises `OptionInvalid` where the photo was erased and the job was not: it belonged to an identity.
        """
        try:
            files = {name: self._artifacts.get(file.key) for name, file in spec.inputs.items()}
        except ArtifactMissing:
            self._jobs.spec(spec.owner, spec.id)
            raise _identity_erased() from None
        for name, data in files.items():
            if digest(data) != spec.inputs[name].sha256:
                raise InputDamaged(name)
        return files

    def _inputs(self, spec: JobSpec, files: Mapping[str, bytes]) -> EditInputs:
        """Raises `OptionInvalid` where an attribute was erased."""
        worn = spec.request.attributes if isinstance(spec.request, EditRequest) else ()
        attributes = tuple(self._attribute(spec, attribute_id) for attribute_id in worn)
        modes = {f"{name}_mode": spec.inputs[name].mask_mode for name in MASKS if name in files}
        return EditInputs(
            image=files["image"], mask=files["mask"], edit_mask=files.get("edit_mask"), attributes=attributes, **modes
        )

    def _attribute(self, spec: JobSpec, attribute_id: str) -> bytes:
        try:
            return self._artifacts.get(concept_key(spec.owner, attribute_id, CONCEPT))
        except ArtifactMissing:
            raise OptionInvalid(
                f"the attribute {attribute_id!r} was erased: learn it again", field="attributes", reason="attribute_unknown"
            ) from None

    def _cached(self, key: str) -> bytes | None:
        try:
            return self._artifacts.get(key)
        except ArtifactMissing:
            return None

    def _failed(self, code: str, message: str, *, retryable: bool = False, field: str | None = None) -> Outcome:
        failure = Failure(code=code, message=message, retryable=retryable, field=field)
        return self._outcome(JobState.FAILED, failure=failure)

    def _outcome(
        self,
        state: JobState,
        *,
        artifacts: dict[str, str] | None = None,
        identity: str | None = None,
        failure: Failure | None = None,
    ) -> Outcome:
        return Outcome(
            state=state,
            attempt=self._lease.attempt,
            finished_at=time.time(),
            artifacts=artifacts or {},
            identity=identity,
            failure=failure,
        )
