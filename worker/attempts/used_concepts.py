"""End a running attempt whose identity or attribute was erased.

An erasure leaves a record in `erased/<id>` before it deletes anything. A thread of its own looks for that while the attempt runs,
because an object store that hangs must stop neither the device nor the heartbeat. The attempt looks once more before its result
becomes visible, so that a result is published only if nothing was erased until then.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import TracebackType

import structlog

from s2edit_jobs.library.erased_concepts import is_erased_for
from s2edit_jobs.records.errors import JobsError
from s2edit_jobs.records.record import JobSpec
from s2edit_jobs.stores.artifacts import ArtifactStore
from worker.attempts.inputs import concept_erased

INTERVAL_S = 1.0
"""Seconds between two looks at the object store."""
log = structlog.get_logger(__name__)


class UsedConcepts:
    """The identity and the attributes that an attempt uses or learns. Use it as a context manager around the attempt."""

    def __init__(self, artifacts: ArtifactStore, *, job_id: str) -> None:
        self._artifacts = artifacts
        self._job_id = job_id
        self._used: tuple[JobSpec, Sequence[str]] | None = None
        self._erased: str | None = None
        self._done = threading.Event()

    def use(self, spec: JobSpec, concept_ids: Sequence[str]) -> None:
        """Set what the attempt at the job uses from now on. Raise as `confirm`."""
        self._used = spec, concept_ids
        self.confirm()

    def check(self) -> None:
        """Raise `OptionInvalid` if something is known to be erased. Uses no I/O."""
        if self._used is not None and self._erased is not None:
            raise concept_erased(self._used[0], self._erased)

    def confirm(self) -> None:
        """Look now. Raise `OptionInvalid` if something was erased after the job was accepted, or `ServiceUnavailable`."""
        self._look()
        self.check()

    def __enter__(self) -> UsedConcepts:
        # It is not joined: it may wait for a store that does not answer.
        threading.Thread(target=self._run, name=f"erasures {self._job_id}", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._done.set()

    def _run(self) -> None:
        while not self._done.wait(INTERVAL_S):
            try:
                self._look()
            except JobsError as error:  # the next look may succeed, and the last one must
                log.info("no look for erasures", action="look_failed", job_id=self._job_id, error=type(error).__name__)

    def _look(self) -> None:
        if self._used is None or self._erased is not None:
            return
        spec, concept_ids = self._used
        self._erased = next((each for each in concept_ids if is_erased_for(self._artifacts, spec, each)), None)
