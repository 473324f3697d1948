"""Webhooks: the message that reports the end of a job, the check of its URL, and the retry schedule.

Messages follow the Standard Webhooks specification (standardwebhooks.com). The outbox is in the object store: one marker per job
with a webhook, written before the job is accepted and removed once the message has arrived. The job store schedules the tries.
"""

from __future__ import annotations

import json
import random
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from s2edit_core.errors import OptionInvalid
from s2edit_jobs.records.record import JobKind, Outcome, to_datetime

DELAYS_S = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Seconds to wait after each failed try, as the specification proposes. Together they cover more than two days of downtime."""
JITTER = 0.2


def delay_s(tries: int, rng: random.Random) -> float | None:
    """Return the seconds until the next try after `tries` failed ones, or None to give up. Jitter spreads simultaneous retries."""
    if tries > len(DELAYS_S):
        return None
    return DELAYS_S[tries - 1] * rng.uniform(1 - JITTER, 1 + JITTER)


def message_id(job_id: str) -> str:
    """Return the message id. It is the same for every try, so receivers can recognise repetitions."""
    return f"msg_{job_id}"


def message(job_id: str, outcome: Outcome, kind: JobKind = "edit", *, test: bool = False) -> str:
    """Return the JSON body. It contains no links and no pictures; the receiver fetches the edit. Test mode sets `test`."""
    failure = outcome.failure
    data: dict[str, Any] = {"id": job_id, "state": outcome.state}
    if kind != "mask":
        data["attribute" if kind == "attribute" else "identity"] = outcome.identity
    if test:
        data["test"] = True
    if failure is not None:
        data["error"] = {"code": failure.code, "message": failure.message, "retryable": failure.retryable, "field": failure.field}
    moment = to_datetime(outcome.finished_at).isoformat().replace("+00:00", "Z")
    return json.dumps({"type": f"{kind}.{outcome.state}", "timestamp": moment, "data": data}, ensure_ascii=False)


def check_url(url: str, *, allow_private: bool) -> str:
    """Return `url`, or raise `OptionInvalid` if webhooks cannot be sent there.

    A private IP address is refused at once. The one that a host name resolves to is checked on every connection
    (`worker.housekeeping.outgoing`).
    """
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").removesuffix(".")
        host.encode("idna")
    except ValueError:
        raise _refused("webhook_url must be an https:// URL with a host name") from None
    if parts.scheme not in (("https", "http") if allow_private else ("https",)) or not host:
        raise _refused("webhook_url must be an https:// URL with a host name")
    try:
        is_port = parts.port != 0
    except ValueError:
        is_port = False
    if not is_port:
        raise _refused("the port of webhook_url must be a number from 1 to 65535")
    if not allow_private and _is_private(host):
        raise _refused("webhook_url must not lead to this machine or to a private address")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise _refused("webhook_url must not contain a user name, a password or a fragment")
    if not url.isascii() or any(character.isspace() for character in url):
        raise _refused("webhook_url must be ASCII without spaces: percent-encode other characters")
    return url


def _is_private(host: str) -> bool:
    try:
        return not ip_address(host).is_global
    except ValueError:  # a name
        return f".{host}".endswith(".localhost")


def _refused(words: str) -> OptionInvalid:
    return OptionInvalid(words, field="webhook_url", reason="webhook_invalid")
