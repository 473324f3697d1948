"""Steps that only delay a job if they fail: the reaper repeats them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from s2edit_jobs.records.errors import ServiceUnavailable

log = structlog.get_logger(__name__)


@contextmanager
def delaying_only(what: str, job_id: str) -> Iterator[None]:
    """Log an error and continue: it cannot change what was decided about the job, and the reaper repeats the step."""
    try:
        yield
    except ServiceUnavailable as error:
        log.warning(
            "a service is down: the reaper will repeat this step",
            action="left_to_reaper",
            what=what,
            job_id=job_id,
            error=str(error),
        )
    except Exception:
        log.exception("a step of the job failed: the reaper will repeat it", action="left_to_reaper", what=what, job_id=job_id)
