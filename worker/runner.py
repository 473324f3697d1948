"""One attempt at one job: claim, work, publish once.

    claimed ──outcome is there already──▶ finished with it
       │ ──too many attempts──▶ failed, parked
       ▼
    working ──result──▶ succeeded        ──S2EditError──▶ failed        ──wish to cancel──▶ canceled
       │ ──other exception──▶ handed back, counted      ──worker stops, store down──▶ handed back, not counted
       └──lease lost──▶ nothing is published

Safe to run twice, for any job id, at any time.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Generator
from contextlib import closing, suppress

import structlog

from s2edit_core.errors import ArtifactMismatch, InvalidInput, S2EditError
from s2edit_core.plan import EditPlan, digest
from s2edit_core.spec import Progress
from s2edit_jobs.artifacts import concept_key, edit_key, inversion_key
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.errors import ArtifactMissing, JobNotFound, LeaseLost, ServiceUnavailable
from s2edit_jobs.jobs import JSON, Jobs
from s2edit_jobs.record import Failure, JobSpec, JobState, Lease, Outcome
from worker.engine import Edited, EditInputs, Engine, Made
from worker.heartbeat import Heartbeat

log = structlog.get_logger(__name__)

SHOW_EVERY_S = 0.2
SAFETENSORS = "application/octet-stream"
PARKED = "parked"
"""Code of a job that was given up after too many attempts."""


class InputDamaged(Exception):
    """A stored upload is not what was accepted."""


class _Canceled(Exception):
    pass


class _Stopping(Exception):
    pass


def run_job(job_id: str, services: Services, engine: Engine, *, stop: threading.Event | None = None) -> None:
    """Work on the job if it is free. `stop`: the worker is about to end; an unfinished job goes back to the queue."""
    stop = stop or threading.Event()
    try:
        if stop.is_set():
            services.queue.ring(job_id)
            return
        lease = services.store.claim(job_id, lease_s=services.settings.lease_s)
    except ServiceUnavailable as error:
        log.warning("the job could not be claimed", action="claim_failed", job_id=job_id, error=str(error))
        return
    if lease is None:
        log.info("the job is over, unknown or in other hands", action="not_claimed", job_id=job_id)
        return
    _Attempt(lease, services, engine, stop).run()


class _Attempt:
    def __init__(self, lease: Lease, services: Services, engine: Engine, stop: threading.Event) -> None:
        self._lease = lease
        self._services = services
        self._artifacts = services.artifacts
        self._jobs = Jobs(services)
        self._engine = engine
        self._stop = stop
        self._heart = Heartbeat(services.store, lease, interval_s=services.settings.heartbeat_s)
        self._shown: tuple[str, float] = ("", 0.0)
        self._log = log.bind(job_id=lease.job_id, attempt=lease.attempt)

    def run(self) -> None:
        """Never raises: whatever happens is either published or handed back."""
        self._log.info("attempt begins", action="attempt_begins")
        try:
            with self._heart:
                self._end(self._settled() or self._work())
        except LeaseLost:
            self._log.warning("the lease was lost: nothing is published", action="lease_lost")
        except _Stopping:
            self._hand_back(failed=False, ring=True)
        except JobNotFound:
            self._forget()
        except ServiceUnavailable as error:  # the reaper rings when it is back
            self._log.warning("a service is down: the job goes back", action="service_unavailable", error=str(error))
            self._hand_back(failed=False, ring=False)
        except Exception as error:
            self._log.exception("the attempt failed", action="attempt_failed")
            self._give_up_or_retry(error)

    def _settled(self) -> Outcome | None:
        """The outcome that needs no work: written before by an attempt that then died, or too many attempts."""
        lease = self._lease
        if (outcome := self._jobs.outcome(lease.owner, lease.job_id)) is not None:
            return outcome
        if lease.attempt > self._services.settings.max_attempts:
            return self._failed(PARKED, f"the edit was given up: its worker was lost {lease.attempt - 1} times")
        return None

    def _work(self) -> Outcome:
        spec = self._jobs.spec(self._lease.owner, self._lease.job_id)
        try:
            self._check()
            inputs = self._read(spec)
            plan = self._engine.plan(spec.request, inputs)
            edited = self._edit(spec, inputs, plan)
            return self._publish(plan, edited)
        except _Canceled:
            return self._outcome(JobState.CANCELED)
        except InvalidInput as error:  # as the API says it when it finds it first
            return self._failed(error.reason, str(error), retryable=error.retryable, field=error.field.removeprefix("options."))
        except S2EditError as error:
            return self._failed(error.code, str(error), retryable=error.retryable)

    def _edit(self, spec: JobSpec, inputs: EditInputs, plan: EditPlan) -> Edited:
        """With what was made before; what turns out damaged, or made by another model, is left out and made once more."""
        concept = self._cached(concept_key(spec.owner, plan.concept_id, "concept.safetensors"))
        inversion = self._cached(inversion_key(spec.owner, plan.inversion_id, "inversion.safetensors")) if concept else None
        choices = dict.fromkeys([(concept, inversion), (concept, None), (None, None)])
        for kept_concept, kept_inversion in choices:
            try:
                return self._drive(spec, self._engine.edit(spec.request, inputs, concept=kept_concept, inversion=kept_inversion))
            except ArtifactMismatch as error:
                if kept_concept is None:
                    raise
                self._log.warning("what was kept does not fit: making it again", action="cache_dropped", reason=str(error))
        raise AssertionError("the last choice keeps nothing, so it returns or raises")

    def _drive(self, spec: JobSpec, steps: Generator[Progress | Made, None, Edited]) -> Edited:
        with closing(steps):
            while True:
                self._check()
                try:
                    step = next(steps)
                except StopIteration as end:
                    edited: Edited = end.value
                    return edited
                if isinstance(step, Made):
                    self._keep(spec, step)
                else:
                    self._show(step)

    def _check(self) -> None:
        if self._heart.lost:
            raise LeaseLost(self._lease.job_id)
        if self._heart.cancel_requested:
            raise _Canceled
        if self._stop.is_set():
            raise _Stopping

    def _keep(self, spec: JobSpec, made: Made) -> None:
        if made.kind == "inversion":
            key = inversion_key(spec.owner, made.id, "inversion.safetensors")
        else:
            # The identity first: so whoever finds the concept finds what a later edit needs beside it.
            self._jobs.keep_identity(spec, made.id, source_prompt=made.source_prompt, subject=made.subject)
            key = concept_key(spec.owner, made.id, "concept.safetensors")
        self._artifacts.put(key, made.data, media_type=SAFETENSORS)

    def _show(self, progress: Progress) -> None:
        phase, shown_at = self._shown
        now = time.monotonic()
        if progress.phase == phase and progress.step < progress.total and now - shown_at < SHOW_EVERY_S:
            return
        self._shown = (progress.phase, now)
        with suppress(ServiceUnavailable):  # a number that nobody saw
            self._services.store.progress(self._lease, progress)

    def _publish(self, plan: EditPlan, edited: Edited) -> Outcome:
        """Keys no other attempt writes; they count once an outcome names them."""
        lease = self._lease
        with suppress(ServiceUnavailable):  # then the outcome, written once, decides
            self._services.store.renew(lease)
        result = edit_key(lease.owner, lease.job_id, f"result-{lease.fence}.png")
        report = edit_key(lease.owner, lease.job_id, f"report-{lease.fence}.json")
        self._artifacts.put(result, edited.image_png, media_type="image/png")
        self._artifacts.put(report, json.dumps(edited.report, ensure_ascii=False).encode(), media_type=JSON)
        return self._outcome(JobState.SUCCEEDED, artifacts={"result": result, "report": report}, identity=plan.concept_id)

    def _end(self, outcome: Outcome) -> None:
        record = self._jobs.finish(self._lease.owner, self._lease.job_id, outcome)
        self._log.info("the job is over", action="job_over", state=record.state)

    def _give_up_or_retry(self, error: Exception) -> None:
        if self._lease.attempt < self._services.settings.max_attempts:
            self._hand_back(failed=True, ring=True)
            return
        message = f"the edit was given up after {self._lease.attempt} attempts: {type(error).__name__}"
        with suppress(ServiceUnavailable, LeaseLost):
            self._end(self._failed(PARKED, message))

    def _hand_back(self, *, failed: bool, ring: bool) -> None:
        self._log.info("the job goes back to the queue", action="handed_back", counted=failed)
        with suppress(ServiceUnavailable):  # else the lease runs out, and a reaper rings
            self._services.store.hand_back(self._lease, failed=failed)
            if ring:
                self._services.queue.ring(self._lease.job_id)

    def _forget(self) -> None:
        """The job was erased from the object store: let go of it here too, and write nothing there."""
        self._log.info("the job was erased", action="job_erased")
        with suppress(ServiceUnavailable, JobNotFound):
            erased = self._failed("erased", "the edit was erased")
            self._services.store.finish(self._lease.job_id, self._lease.owner, erased)

    def _read(self, spec: JobSpec) -> EditInputs:
        files = {name: self._artifacts.get(file.key) for name, file in spec.inputs.items()}
        for name, data in files.items():
            if digest(data) != spec.inputs[name].sha256:
                raise InputDamaged(name)
        return EditInputs(image=files["image"], mask=files["mask"], edit_mask=files.get("edit_mask"))

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
