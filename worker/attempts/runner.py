"""Run one attempt at a job: claim the job, work, and end the attempt.

    claimed ──has an outcome already──▶ finished with that outcome
       │ ──too many attempts──▶ failed, parked
       ▼
    working ──result──▶ succeeded        ──S2EditError──▶ failed        ──cancellation requested──▶ canceled
       │ ──other exception──▶ handed back, counted      ──worker stops──▶ handed back, not counted
       │ ──store down──▶ handed back for a second, not counted
       │ ──needs a newer release──▶ handed back for some seconds, not counted    ──record damaged──▶ failed
       │ ──the device fails──▶ handed back, counted apart; after a sticky fault the worker ends
       │ ──the last attempt, beside others──▶ waits for them, then works alone
       │ ──another job learns the same concept──▶ waits for it, not counted      ──deadline──▶ failed
       │ ──its identity or an attribute is erased──▶ failed       ──nothing more may be learned today──▶ failed
       └──lease lost──▶ nothing is published

A job that is handed back after a failure waits before the next attempt, longer each time. Attempts may run at any time and any
number of times. A Celery message only says that work exists; the job store decides which job is next.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from typing import Any

import structlog
from structlog.contextvars import bind_contextvars, bound_contextvars, unbind_contextvars

from s2edit_core.errors import DeviceFault, DeviceOutOfMemory, InvalidInput, NumbersNotFinite, PolicyRefused, S2EditError
from s2edit_core.request.plan import digest
from s2edit_core.request.spec import EditRequest, LearningRequest, MaskRequest
from s2edit_core.request.texts import counted
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.error_messages import message_of
from s2edit_jobs.lifecycle.jobs import DEADLINE, Jobs
from s2edit_jobs.lifecycle.refusals import record_refusal
from s2edit_jobs.records.errors import (
    ArtifactMissing,
    JobNotFound,
    JobsError,
    LearningsSpent,
    LeaseLost,
    RecordDamaged,
    RecordNewer,
    ServiceUnavailable,
)
from s2edit_jobs.records.estimates import shared_measurements
from s2edit_jobs.records.record import DailyUsage, JobSpec, JobState, Lease, Outcome
from s2edit_jobs.records.set_aside import count_aside
from s2edit_jobs.records.trace import trace_id
from s2edit_jobs.records.unreadable import RECORD_DAMAGED
from worker.attempts.company import Company, must_run_alone
from worker.attempts.control import AttemptControl, Canceled, DeadlinePassed, Stopping, WaitsForConcept
from worker.attempts.engine_run import EngineRun
from worker.attempts.inputs import engine_inputs, read_files
from worker.attempts.job_mask import JobMasks
from worker.attempts.publishing import Publisher, failed_outcome, outcome_of
from worker.attempts.tallies import count
from worker.attempts.worker_health import WorkerHealth
from worker.engines.engine import Engine
from worker.metrics import DEVICE_S, QUEUE_WAIT_S, attempt_ended, phases_measured

log = structlog.get_logger(__name__)

PARKED = "parked"
"""Error code of a job that was given up after too many attempts."""
ADVICE = "try another photo, or tell the operator of the service: the workers' logs show the cause under the id of the edit"
"""What to do if the attempts at a job have ended for a reason that its user cannot know."""
QUOTA_SPENT = "quota_spent"
"""Error code of a job that would have to learn something when the tenant may learn nothing more that day."""
OWN_FAILURES = (DEADLINE, "identity_unknown", "attribute_unknown", "record_damaged")
"""Codes that say nothing about jobs that wait for the same concept: these may have more time, be accepted after an erasure, or have
files that are whole."""
NEWER_WAIT_S = 10.0
"""Seconds for which a job of a newer release leaves the queue. Then a worker of that release may take it."""
DOWN_WAIT_S = 1.0
"""Seconds for which a job leaves the queue if Redis or the object store is down. Without a pause, idle threads would claim it and
hand it back hundreds of times a second, because the job store itself may be up."""
FIRST_DELAY_S, LONGEST_DELAY_S = 2.0, 300.0
DELAY_GROWTH = 4
"""A job is free again 2 s after its first failed attempt, 8 s after its second, then 32 s, and so on."""


def given_up(attempts: int, reason: str, advice: str = ADVICE) -> str:
    """Return the message of a job that was given up after so many attempts."""
    return f"the edit was given up after {counted(attempts, 'attempt')}: {reason}; {advice}"


def run_job(
    job_id: str, services: Services, engine: Engine, *, stop: threading.Event | None = None, health: WorkerHealth | None = None
) -> None:
    """Run an attempt at the next job, if there is one. `job_id` is the job that the notification names, for the log.

    `stop` is set when the worker is about to exit. The job then goes back to the queue unfinished. `health` ends a process that can
    do no job any more.
    """
    stop = stop or threading.Event()
    company = health.company if health is not None else Company()

    def claim(passing: Collection[str]) -> Lease | None:
        return services.store.leases.claim(lease_s=services.settings.lease_s, passing=passing)

    try:
        with company.next_job(claim, stop) as lease:
            if lease is not None:
                run_attempt(lease, services, engine, stop=stop, health=health)
            elif stop.is_set():
                services.queue.notify(job_id)
            else:
                log.info("no job is queued", action="not_claimed", job_id=job_id)
    except ServiceUnavailable as error:
        log.warning("no job could be claimed", action="claim_failed", job_id=job_id, error=str(error))


def run_attempt(
    lease: Lease, services: Services, engine: Engine, *, stop: threading.Event, health: WorkerHealth | None = None
) -> None:
    """Run one attempt at a claimed job: publish an outcome or hand the job back. Raise only what ends the process."""
    with engine.session(lease.owner.name) as session:
        _Attempt(lease, services, session, stop, health).run()


class _Attempt:
    def __init__(
        self, lease: Lease, services: Services, engine: Engine, stop: threading.Event, health: WorkerHealth | None
    ) -> None:
        self._lease = lease
        self._stop = stop
        self._health = health
        self._services = services
        self._jobs = Jobs(services)
        self._masks = JobMasks(self._jobs)
        self._control = AttemptControl(lease, services, stop, health)
        self._engine = EngineRun(services, self._jobs, engine, self._control)
        confirm = self._control.concepts.confirm
        self._publisher = Publisher(lease, services, self._jobs, stored=self._control.watch.skip, confirm=confirm)

    def run(self) -> None:
        """Run the attempt. Every log line names the job and, in test mode, says so."""
        lease = self._lease
        company = self._health.company.present(lease.job_id, lease.owner.name) if self._health is not None else nullcontext()
        with company, bound_contextvars(job_id=lease.job_id, attempt=lease.attempt, **({"test": True} if lease.owner.test else {})):
            try:
                self._try()
            finally:
                unbind_contextvars("trace_id")
                self._book()

    def _try(self) -> None:
        log.info("attempt begins", action="attempt_begins")
        try:
            with self._control.heartbeat, self._control.concepts:
                self._end(outcome := self._settled() or self._work())
            self._judge(outcome)
        except LeaseLost:
            attempt_ended("lease_lost")
            log.warning("the lease was lost: nothing is published", action="lease_lost")
        except WaitsForConcept:
            attempt_ended("waits")
            log.info("another job learns the same concept: waiting for it", action="waits")
        except Stopping as stopping:
            if stopping.hung:
                self._hand_back("hung", failed=True, delay_s=self._delay_s(self._lease.attempt))
                return
            self._hand_back("stopping")
            self._notify()
        except RecordNewer as error:
            log.warning("the job needs a worker of a newer release", action="record_newer", error=str(error))
            self._hand_back("record_newer", delay_s=NEWER_WAIT_S)
        except JobNotFound:
            self._forget()
        except ServiceUnavailable as error:  # the reaper notifies again when the service is back
            log.warning(
                "a service is down: the job goes back to the queue",
                action="service_unavailable",
                error=str(error),
                cause=message_of(error.__cause__),
            )
            self._hand_back("service_unavailable", delay_s=DOWN_WAIT_S)
        except Exception as error:
            self._failed(error)
        except BaseException:  # a signal, or a library that exits; if the worker was not told to stop, the job may be the reason
            self._hand_back("interrupted", failed=not self._stop.is_set(), delay_s=self._delay_s(self._lease.attempt))
            raise

    def _judge(self, outcome: Outcome) -> None:
        """Let the outcome count for or against the worker. A device that fails may compute wrong numbers without an error."""
        if self._health is None:
            return
        if outcome.state is JobState.SUCCEEDED:
            self._health.succeeded()
        elif outcome.failure is not None and outcome.failure.code == NumbersNotFinite.code:
            self._health.failed(self._lease.job_id)

    def _failed(self, error: Exception) -> None:
        """End an attempt after an unexpected error or a failure of its device."""
        if isinstance(error, ArtifactMissing) and self._is_erased():
            self._forget()
            return
        if isinstance(error, MemoryError):
            error = DeviceOutOfMemory("this machine has too little memory")
        if isinstance(error, DeviceFault):
            log.exception("the device has failed", action="device_fault", sticky=error.sticky)
            count("device_faults" if error.sticky else "out_of_memory")
            self._retry_after_fault(error)
            if self._health is not None:
                self._health.device_failed(self._lease.job_id, error)
            return
        log.exception("the attempt failed", action="attempt_failed")
        count("failed_attempts")
        self._retry_or_park()
        if self._health is not None and not isinstance(error, JobsError):  # whose reason lies in what is stored
            self._health.failed(self._lease.job_id)

    def _settled(self) -> Outcome | None:
        """Return an outcome that needs no work, or None.

        An earlier attempt may have written the outcome and died, the attempts may be used up, or the awaited learning has failed.
        """
        lease = self._lease
        if (outcome := self._jobs.outcome(lease.owner, lease.job_id)) is not None:
            return outcome
        if lease.attempt > self._services.settings.max_attempts:
            return failed_outcome(lease, PARKED, given_up(lease.attempt - 1, "the last one lost its worker"))
        return outcome_of(lease, JobState.FAILED, failure=lease.learning_failure) if lease.learning_failure is not None else None

    def _work(self) -> Outcome:
        lease = self._lease
        try:
            spec = self._jobs.spec(lease.owner, lease.job_id)
            self._control.deadline_at = spec.deadline_at
            if lease.attempt == 1 and not lease.owner.test:
                QUEUE_WAIT_S.observe(max(0.0, time.time() - spec.created_at))  # the API's clock may be ahead
            if spec.traceparent is not None:
                bind_contextvars(trace_id=trace_id(spec.traceparent))
            self._control.check()
            with self._turn():
                return self._run_request(spec)
        except RecordDamaged as error:
            count_aside("job", lease.job_id, error)
            return failed_outcome(lease, RECORD_DAMAGED, f"{error}: send the request again")
        except Canceled:
            return outcome_of(lease, JobState.CANCELED)
        except DeadlinePassed:
            return failed_outcome(lease, DEADLINE, "the edit did not finish before its deadline", retryable=True)
        except (S2EditError, LearningsSpent) as error:
            if isinstance(error, DeviceFault) and not lease.owner.test:  # test mode has no device
                raise
            return self._outcome_of(error)

    def _outcome_of(self, error: S2EditError | LearningsSpent) -> Outcome:
        lease = self._lease
        if isinstance(error, LearningsSpent):  # without a mask, the API could not know that there is something to learn
            return failed_outcome(lease, QUOTA_SPENT, f"{error}: try again after midnight UTC", retryable=True)
        if isinstance(error, InvalidInput):  # the code and the field are those that the API would answer with
            if isinstance(error, PolicyRefused):
                record_refusal(self._services, lease.owner, lease.job_id, error)
            field = error.field.removeprefix("options.")
            return failed_outcome(lease, error.reason, str(error), retryable=error.retryable, field=field)
        return failed_outcome(lease, error.code, str(error), retryable=error.retryable)

    def _turn(self) -> AbstractContextManager[None]:
        """Return the right to use the engine beside other attempts of this process, or alone."""
        if self._health is None:
            return nullcontext()
        alone = must_run_alone(self._lease, self._services.settings.max_attempts)

        def wait() -> None:
            self._control.watch.skip()
            self._control.check()

        return self._health.company.working(alone=alone, while_waiting=wait)

    def _run_request(self, spec: JobSpec) -> Outcome:
        files = read_files(self._jobs, spec)
        self._control.watch.skip()
        mask = self._masks.of(spec, files, lambda: self._engine.find_mask(spec, files["image"]))
        files_with_mask = {**files, "mask": mask.data}
        if isinstance(spec.request, MaskRequest):
            return self._publisher.publish(mask, None, self._mask_report(spec, files_with_mask))
        # Treat a mask that was found like one that was sent, so that concept ids and identities include it.
        spec = replace(spec, inputs={**spec.inputs, "mask": mask.file})
        inputs = engine_inputs(self._jobs, spec, files_with_mask)
        if isinstance(spec.request, LearningRequest):
            return self._publisher.publish(mask, *self._engine.learn(spec, spec.request, inputs))
        assert isinstance(spec.request, EditRequest)
        concept_id, result = self._engine.edit(spec, spec.request, inputs)
        pictures = (result.picture, *result.variants)
        return self._publisher.publish(mask, concept_id, result.report, pictures, result.media_type)

    def _mask_report(self, spec: JobSpec, files: Mapping[str, bytes]) -> dict[str, Any]:
        """Return the report of a job that only finds a mask."""
        seconds = {phase: round(spent, 3) for phase, spent in self._control.clock.seconds().items()}
        inputs = {name: digest(data) for name, data in files.items()}
        return {"inputs": inputs, "seconds": seconds, **({"test": True} if spec.owner.test else {})}

    def _end(self, outcome: Outcome) -> None:
        record = self._jobs.finish(self._lease.owner, self._lease.job_id, outcome)
        log.info("the job is over", action="job_over", state=record.state)
        attempt_ended(outcome.state.value, outcome.failure.code if outcome.failure is not None else "")
        # Jobs that wait for this job's concept fail with it, unless the reason is this job's own.
        failure = record.failure
        self._engine.release(failure if failure is not None and failure.code not in OWN_FAILURES else None)
        if outcome.state is not JobState.SUCCEEDED or not (seconds := self._control.clock.seconds()):
            return
        phases_measured(record.preset, seconds)
        with suppress(ServiceUnavailable):
            for preset, measured in ({record.preset: seconds} | shared_measurements(record.preset, seconds)).items():
                self._services.store.estimates.measured(preset, measured)

    def _book(self) -> None:
        """Book the seconds of the attempt on its tenant, however it has ended. Test jobs use no time of the device.

        `AttemptControl.publish` has booked what it learned.
        """
        if self._lease.owner.test or not (charged_s := self._charged_s()):
            return
        DEVICE_S.inc(charged_s)
        with suppress(ServiceUnavailable):
            self._services.store.usage.book(self._lease.owner.tenant, DailyUsage(worker_s=charged_s))

    def _charged_s(self) -> float:
        """Return the seconds of this attempt, of shared passes its share only: all attempts together are charged what they took."""
        return max(0.0, self._control.clock.seconds().get("total", 0.0) - self._engine.companions_s())

    def _retry_or_park(self) -> None:
        attempt = self._lease.attempt
        if attempt < self._services.settings.max_attempts:
            self._hand_back("attempt_failed", failed=True, delay_s=self._delay_s(attempt))
            return
        self._give_up(PARKED, given_up(attempt, "the last one ended with an error inside the service"))

    def _retry_after_fault(self, fault: DeviceFault) -> None:
        """Hand the job back uncounted, but not for ever: it may be what makes the devices fail."""
        faults = self._lease.device_faults + 1
        if faults < self._services.settings.max_attempts:
            self._hand_back("device_fault" if fault.sticky else "out_of_memory", device_fault=True, delay_s=self._delay_s(faults))
            return
        if fault.sticky:
            message = given_up(faults, "the device failed in each", f"try again later, {ADVICE}")
        else:
            message = given_up(faults, "there was too little memory in each", "try again later, or send a smaller photo")
        self._give_up(fault.code, message, retryable=fault.retryable)

    def _give_up(self, code: str, message: str, *, retryable: bool = False) -> None:
        with suppress(ServiceUnavailable, LeaseLost):
            self._end(failed_outcome(self._lease, code, message, retryable=retryable))

    def _delay_s(self, failures: int) -> float:
        """Return how long the job waits after so many failures. Jobs of test mode fail because they are asked to."""
        if self._lease.owner.test:
            return 0.0
        return float(min(LONGEST_DELAY_S, FIRST_DELAY_S * DELAY_GROWTH ** (failures - 1)))

    def _hand_back(self, reason: str, *, failed: bool = False, device_fault: bool = False, delay_s: float = 0.0) -> None:
        attempt_ended("handed_back", reason)
        log.info("the job goes back to the queue", action="handed_back", counted=failed, after_s=delay_s)
        with suppress(ServiceUnavailable):  # otherwise the lease expires
            self._services.store.leases.hand_back(self._lease, failed=failed, device_fault=device_fault, delay_s=delay_s)
            if failed and not delay_s:
                self._notify()

    def _notify(self) -> None:
        """Notify the workers of the job. Without this, a reaper does so within a second."""
        with suppress(ServiceUnavailable):
            self._services.queue.notify(self._lease.job_id)

    def _forget(self) -> None:
        """Remove the job from the job store, because it was erased from the object store."""
        attempt_ended("erased")
        log.info("the job was erased", action="job_erased")
        with suppress(ServiceUnavailable):
            self._services.store.erasure.erase(self._lease.owner, self._lease.job_id)

    def _is_erased(self) -> bool:
        try:
            return not self._jobs.exists(self._lease.owner, self._lease.job_id)
        except ServiceUnavailable:
            return False
