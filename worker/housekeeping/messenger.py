"""Send webhooks from the outbox, each at least once. Failed tries are repeated for more than two days.

Any number of messengers may run at a time. A receiver that repeatedly does not answer rests for a while. Meanwhile, tries of its
tenant's messages to it are left out and count as failed. That holds back no other tenant's messages to the same host. A tenant's
messages occupy only some of the messengers. When a webhook has arrived or is given up, `webhook.json` in the job's folder says how,
for people who look there.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from urllib.parse import urlsplit

import structlog
from standardwebhooks import Webhook

from s2edit_jobs.bootstrap import Services
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.errors import ArtifactMissing, JobNotFound, RecordDamaged, RecordNewer, ServiceUnavailable
from s2edit_jobs.records.record import JobSpec, Outcome
from s2edit_jobs.records.set_aside import count_aside
from s2edit_jobs.records.testmode import parse_directives
from s2edit_jobs.records.unreadable import damaged_outcome
from s2edit_jobs.records.webhooks import delay_s, message, message_id
from s2edit_jobs.stores.artifacts import JSON, edit_key
from s2edit_jobs.stores.markers import OUTBOX, read_marker
from worker.housekeeping import outgoing
from worker.housekeeping.breaker import REST_S, Breaker, Receiver
from worker.housekeeping.loop import Loop
from worker.metrics import WEBHOOKS

log = structlog.get_logger(__name__)

LEASE_S = 40.0
"""Seconds after which another messenger takes over a message whose sender died: longer than one try."""
AT_ONCE = 6
"""Most messages of one tenant that all housekeepers together send at a time, so that its receivers hold up no other tenant."""
POLL_S = 1.0
"""Seconds between two looks at an empty outbox."""
STALLED_S = 5 * LEASE_S
"""Seconds without a completed try after which the messenger counts as stalled."""
NEWER_WAIT_S = 60.0
"""Seconds until a message is due again whose job only a newer release can read. Then a messenger of that release may take it."""
GONE = 410
"""Status by which the receiver declines all further tries, according to the specification."""
RESTS = "receiver_rests"
"""What stands for the answer to a try that is left out because the receiver rests. It counts as a failed one. Otherwise, messages
to a receiver that is down would be taken every minute, and never be given up."""
REPEAT_S = 1.0
"""Seconds after which a test-mode message with the directive webhook_twice is sent again."""

Post = Callable[[str, bytes, dict[str, str]], int]


class Messenger(Loop):
    """Sends messages from the outbox. Messengers of a process share a `breaker`. `post` replaces the HTTP client in tests."""

    def __init__(
        self,
        services: Services,
        *,
        breaker: Breaker | None = None,
        post: Post | None = None,
        rng: random.Random | None = None,
        stop: threading.Event | None = None,
        name: str = "messenger",
    ) -> None:
        super().__init__(name, pause_s=POLL_S, stalled_s=STALLED_S, stop=stop)
        self._services = services
        self._jobs = Jobs(services)
        self._breaker = breaker or Breaker()
        self._post = post or self._really_post
        self._rng = rng or random.Random()

    def step(self) -> bool:
        return self.send_next()

    def send_next(self) -> bool:
        """Try the message that is due longest. Return False if none is due. Raise `ServiceUnavailable`."""
        taken = self._services.store.outbox.take(lease_s=LEASE_S, at_once=AT_ONCE)
        if taken is None:
            return False
        job_id, tries = taken
        try:
            self._try(*self._of(job_id), tries)
        except (ArtifactMissing, JobNotFound):  # already sent, or erased
            self._end(job_id)
        except RecordNewer as error:
            log.info("a webhook waits for a newer release", action="webhook_waits", job_id=job_id, error=str(error))
            self._services.store.outbox.put_off(job_id, NEWER_WAIT_S, counted=False)
        except RecordDamaged as error:  # nobody knows where to send it
            count_aside("webhook", job_id, error)
            self._end(job_id)
        except ServiceUnavailable:
            raise
        except Exception as error:
            count_aside("webhook", job_id, error)
            self._try_later(job_id, tries)
        return True

    def _of(self, job_id: str) -> tuple[JobSpec, Outcome]:
        """Return what the message is made of. A damaged outcome is sent as a failure."""
        place = read_marker(self._services.artifacts, OUTBOX + job_id)
        spec = self._jobs.spec(place.owner, job_id)
        try:
            outcome = self._jobs.stored_outcome(place.owner, job_id)
        except RecordDamaged:
            outcome = damaged_outcome(job_id)
        if outcome is None:
            raise ArtifactMissing("outcome.json")
        return spec, outcome

    def _try_later(self, job_id: str, tries: int) -> None:
        """Put off a message that this process fails to handle, or give it up after as many tries as any other."""
        if (wait_s := delay_s(tries, self._rng)) is None:
            self._end(job_id)
        else:
            self._services.store.outbox.put_off(job_id, wait_s)

    def _end(self, job_id: str) -> None:
        self._services.artifacts.delete_prefix(OUTBOX + job_id)
        self._services.store.outbox.end(job_id)

    def _try(self, spec: JobSpec, outcome: Outcome, tries: int) -> None:
        receiver = Receiver(spec.owner.tenant, urlsplit(spec.webhook_url or "").netloc)
        rests_s = self._breaker.wait_s(receiver)
        answer = RESTS if rests_s > 0 else self._exchange(receiver, spec, outcome)
        arrived = isinstance(answer, int) and 200 <= answer < 300
        wait_s = None if arrived or answer == GONE else delay_s(tries, self._rng)
        if wait_s is not None:
            wait_s = max(wait_s, rests_s * self._rng.uniform(1, 1.2))
        if arrived and tries == 1 and _is_sent_twice(spec):
            wait_s = REPEAT_S
        log.info("tried to send a webhook", action="webhook_tried", job_id=spec.id, tries=tries, said=answer, again_in_s=wait_s)
        WEBHOOKS.labels("delivered" if arrived else "given_up" if wait_s is None else "repeated").inc()
        if wait_s is not None:
            self._services.store.outbox.put_off(spec.id, wait_s)
            return
        record = {"delivered_at": time.time() if arrived else None, "tries": tries, "said": answer}
        with suppress(JobNotFound):  # erased meanwhile
            key = edit_key(spec.owner, spec.id, "webhook.json")
            self._jobs.put_for(spec.owner, spec.id, key, json.dumps(record).encode(), media_type=JSON)
        self._end(spec.id)

    def _exchange(self, receiver: Receiver, spec: JobSpec, outcome: Outcome) -> int | str:
        """Send the message as `_send` does, and let the breaker know."""
        answer = self._send(spec, outcome)
        if self._breaker.record(receiver, answered=isinstance(answer, int)):
            host = receiver.host.rpartition("@")[2]
            what = {"tenant": receiver.tenant, "host": host, "rests_s": REST_S}
            log.warning("a receiver of webhooks does not answer", action="receiver_rests", **what)
        return answer

    def _send(self, spec: JobSpec, outcome: Outcome) -> int | str:
        """Post the message. Return the status of the answer, or the name of the exception."""
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
        except Exception as error:  # an unknown server may cause any error
            return type(error).__name__

    def _really_post(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        return outgoing.post(url, body, headers, allow_private=self._services.settings.webhook_allow_private)


def _is_sent_twice(spec: JobSpec) -> bool:
    """Whether test mode shall send the message twice, as if the receiver's first answer was lost."""
    return spec.owner.test and parse_directives(spec.request.prompt or "").webhook_twice
