"""Telling an app's own server that an edit is over: what is sent, to whom, and when it is tried again.

Messages follow the Standard Webhooks specification (standardwebhooks.com). The outbox is in the object store: a note per job that
is to be told of, written before the job is accepted and removed once it was told. The job store keeps whose turn it is.
"""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from s2edit_core.errors import OptionInvalid
from s2edit_jobs.records.record import JobKind, Outcome

DELAYS_S = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Seconds after each try that failed, as the specification proposes: a receiver may be down for more than two days."""
JITTER = 0.2


def delay_s(tries: int, rng: random.Random) -> float | None:
    """Seconds until the next try after `tries` have failed; None to give up. Spread, so that they don't come all at once."""
    if tries > len(DELAYS_S):
        return None
    return DELAYS_S[tries - 1] * rng.uniform(1 - JITTER, 1 + JITTER)


def message_id(job_id: str) -> str:
    """The same however often it is sent: receivers tell repetitions by it."""
    return f"msg_{job_id}"


def message(job_id: str, outcome: Outcome, kind: JobKind = "edit", *, test: bool = False) -> str:
    """The body. It holds no links and no pictures: whoever reads it asks for the edit. One of test mode says so."""
    failure = outcome.failure
    data: dict[str, Any] = {"id": job_id, "state": outcome.state}
    if kind != "mask":
        data["attribute" if kind == "attribute" else "identity"] = outcome.identity
    if test:
        data["test"] = True
    if failure is not None:
        data["error"] = {"code": failure.code, "message": failure.message, "retryable": failure.retryable, "field": failure.field}
    moment = datetime.fromtimestamp(outcome.finished_at, UTC).isoformat().replace("+00:00", "Z")
    return json.dumps({"type": f"{kind}.{outcome.state}", "timestamp": moment, "data": data}, ensure_ascii=False)


def check_url(url: str, *, allow_private: bool) -> str:
    """The same URL. `OptionInvalid` if it is not one that messages go to. Where its name leads is checked on every connection."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = 0
    if parts.scheme not in (("https", "http") if allow_private else ("https",)) or not parts.hostname or port == 0:
        raise _refused("webhook_url must be an https:// address")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise _refused("webhook_url must not hold a user name, a password or a fragment")
    if not url.isascii() or any(character.isspace() for character in url):
        raise _refused("webhook_url must be written in ASCII without spaces")
    return url


def _refused(words: str) -> OptionInvalid:
    return OptionInvalid(words, field="webhook_url", reason="webhook_invalid")
