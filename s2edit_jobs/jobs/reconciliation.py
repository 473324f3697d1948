"""Hold the jobs that Redis has kept against the object store, after Redis has begun a new life.

A Redis that restarts may have lost its last second, or come back from a snapshot of last week. Jobs that it shows as queued may
have ended since, or may have been erased with their user. `Jobs.rebuild` covers the other direction: jobs that only the object
store knows.
"""

from __future__ import annotations

from s2edit_jobs.bootstrap import Services
from s2edit_jobs.jobs.jobs import Jobs
from s2edit_jobs.records.errors import JobNotFound
from s2edit_jobs.records.record import JobRecord
from s2edit_jobs.records.set_aside import set_aside


def reconcile(services: Services, generation: str) -> int:
    """End the unfinished jobs that are over in the object store, and erase those that it does not have. Return their number.

    Does nothing if the job store's `generation` was reconciled before. Raise `ServiceUnavailable`; safe to repeat.
    """
    jobs, corrected = Jobs(services), 0
    for record in services.store.records.settle(generation):
        with set_aside("restored job", record.id):
            corrected += _correct(jobs, services, record)
    return corrected


def _correct(jobs: Jobs, services: Services, record: JobRecord) -> bool:
    try:
        jobs.spec(record.owner, record.id)
    except JobNotFound:
        services.store.maintenance.erase(record.owner, record.id)
        return True
    outcome = jobs.outcome(record.owner, record.id)
    if outcome is None:
        return False
    services.store.records.finish(record.id, record.owner, outcome)
    return True
