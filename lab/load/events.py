"""The times of an edit from its events, which carry the service's own clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

QUEUE, DELIVERY = "queue", "delivery"
"""Names of phases: waiting for a worker; from the last evaluation to the stored result, which an edit calls `finishing`."""
Edit = Mapping[str, Any]
"""An edit as the API shows it."""


def phases(events: Iterable[Edit]) -> dict[str, float]:
    """Return the seconds by phase of an edit from its events. A phase lasts until the event that shows the next one."""
    seconds: dict[str, float] = {}
    at, phase = 0.0, QUEUE
    for event in events:
        now = datetime.fromisoformat(event["updated_at"]).timestamp()
        if at:
            seconds[phase] = seconds.get(phase, 0.0) + max(0.0, now - at)
        at = now
        phase = QUEUE if event["state"] == "queued" else event["phase"] or "preparing"
    return {DELIVERY if name == "finishing" else name: round(spent, 4) for name, spent in seconds.items()}


def total(edit: Edit) -> float:
    """Return the seconds from the edit's acceptance to its end."""
    begun, ended = (datetime.fromisoformat(edit[name]) for name in ("created_at", "updated_at"))
    return (ended - begun).total_seconds()
