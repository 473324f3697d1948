"""Delivers webhooks from the outbox, at least once each, until the receiver takes them or has had more than two days."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

import structlog
from standardwebhooks import Webhook

from s2edit_jobs.bootstrap import Services
from s2edit_jobs.jobs.jobs import Jobs
from s2edit_jobs.records.errors import ArtifactMissing, JobNotFound, ServiceUnavailable
from s2edit_jobs.records.record import JobSpec, Outcome
from s2edit_jobs.records.testmode import wishes_in
from s2edit_jobs.records.webhooks import delay_s, message, message_id
from s2edit_jobs.stores.artifacts import JSON, edit_key
from s2edit_jobs.stores.markers import OUTBOX
from worker.housekeeping import outgoing

log = structlog.get_logger(__name__)

LEASE_S = 40.0
"""After this, a message whose sender has died is tried by another; longer than one try takes."""
LOOK_S = 1.0
GONE = 410
"""The receiver wants no more, says the specification."""

AGAIN_S = 1.0
"""After this, a message is sent once more that test mode was asked to send twice."""

Post = Callable[[str, bytes, dict[str, str]], int]


class Messenger:
    """`deliver_next` from a thread. `post` is for tests."""

    def __init__(self, services: Services, *, post: Post | None = None, rng: random.Random | None = None) -> None:
        self._services = services
        self._jobs = Jobs(services)
        self._post = post or self._really_post
        self._rng = rng or random.Random()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="messenger", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns at once; a message under way goes on."""
        self._done.set()

    def deliver_next(self) -> bool:
        """Try the message that is due longest; False if none is. Raises `ServiceUnavailable`."""
        taken = self._services.store.outbox.take(lease_s=LEASE_S)
        if taken is None:
            return False
        job_id, tries = taken
        try:
            spec, outcome = self._of(job_id)
        except ArtifactMissing:  # told before, or erased since
            self._services.artifacts.delete_prefix(OUTBOX + job_id)
            self._services.store.outbox.end(job_id)
            return True
        self._try(spec, outcome, tries)
        return True

    def _of(self, job_id: str) -> tuple[JobSpec, Outcome]:
        artifacts = self._services.artifacts
        spec = JobSpec.from_json(artifacts.get(artifacts.get(OUTBOX + job_id).decode()))
        return spec, Outcome.from_json(artifacts.get(edit_key(spec.owner, job_id, "outcome.json")))

    def _try(self, spec: JobSpec, outcome: Outcome, tries: int) -> None:
        said = self._send(spec, outcome)
        delivered = isinstance(said, int) and 200 <= said < 300
        wait_s = None if delivered or said == GONE else delay_s(tries, self._rng)
        if delivered and tries == 1 and _wanted_twice(spec):
            wait_s = AGAIN_S
        log.info("a webhook was tried", action="webhook_tried", job_id=spec.id, tries=tries, said=said, again_in_s=wait_s)
        if wait_s is not None:
            self._services.store.outbox.put_off(spec.id, wait_s)
            return
        told = {"delivered_at": time.time() if delivered else None, "tries": tries, "said": said}
        artifacts = self._services.artifacts
        with suppress(JobNotFound):  # erased while it was told
            place = edit_key(spec.owner, spec.id, "webhook.json")
            self._jobs.put_for(spec.owner, spec.id, place, json.dumps(told).encode(), media_type=JSON)
        artifacts.delete_prefix(OUTBOX + spec.id)
        self._services.store.outbox.end(spec.id)

    def _send(self, spec: JobSpec, outcome: Outcome) -> int | str:
        """The status of the answer, or the kind of error."""
        body, name, now = message(spec.id, outcome, spec.kind, test=spec.owner.test), message_id(spec.id), datetime.now(UTC)
        signatures = [Webhook(secret).sign(name, now, body) for secret in self._services.settings.webhook_keys]
        headers = {
            "Content-Type": JSON,
            "User-Agent": "s2edit",
            "webhook-id": name,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signatures),
        }
        try:
            return self._post(spec.webhook_url or "", body.encode(), headers)
        except Exception as error:  # whatever a stranger's server brings about
            return type(error).__name__

    def _really_post(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        return outgoing.post(url, body, headers, allow_private=self._services.settings.webhook_allow_private)

    def _run(self) -> None:
        while not self._done.is_set():
            try:
                while not self._done.is_set() and self.deliver_next():
                    pass
            except ServiceUnavailable as error:
                log.warning("the messenger waits for a service", action="messenger_failed", error=str(error))
            except Exception:
                log.exception("a message could not be handled", action="messenger_failed")
            self._done.wait(LOOK_S)


def _wanted_twice(spec: JobSpec) -> bool:
    """As if the receiver's answer had been lost on its way."""
    return spec.owner.test and wishes_in(spec.request.prompt or "").webhook_twice
