"""Records as Redis keeps them: a hash of strings for each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, fields
from typing import Any

from s2edit_jobs.records.errors import JobNotFound, LeaseLost
from s2edit_jobs.records.record import KINDS, PHASES, Failure, JobRecord, JobState, Lease, Owner

_FAILURE_FIELDS = tuple(field.name for field in fields(Failure))


def job_key(job_id: str) -> str:
    return f"s2edit:job:{job_id}"


def mapping(flat: list[str] | None) -> dict[str, str]:
    """Return what HGETALL has answered inside a script; empty for false."""
    return dict(zip(flat[::2], flat[1::2], strict=True)) if flat else {}


def owned(values: Mapping[str, str], owner: Owner, job_id: str) -> JobRecord:
    """Return the record. Raise `JobNotFound` for an unknown job, for another owner's, and for a damaged record.

    The object store knows what a damaged record should say, and `Records.add` replaces it.
    """
    try:
        record = record_of(values)
    except (KeyError, ValueError, TypeError):
        raise JobNotFound(job_id) from None
    if record.owner != owner:
        raise JobNotFound(job_id)
    return record


def still_held(lease: Lease, values: Mapping[str, str]) -> JobRecord:
    """Return the record. Raise `LeaseLost` where the script has answered nothing."""
    if not values:
        raise LeaseLost(lease.job_id)
    return record_of(values)


def failure_of(text: str) -> Failure | None:
    """Return the failure, without the fields that only a newer release knows. None for a text that holds none."""
    values = {name: value for name, value in _object_in(text).items() if name in _FAILURE_FIELDS}
    return Failure(**{"code": "internal", "message": "", **values}) if values else None


def _object_in(text: str) -> dict[str, Any]:
    """Return the JSON object in `text`; an empty one if there is none."""
    try:
        values = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def failure_json(failure: Failure | None) -> str:
    return json.dumps(asdict(failure)) if failure else ""


def fields_of(record: JobRecord) -> dict[str, str]:
    return {
        "id": record.id,
        "tenant": record.owner.tenant,
        "user": record.owner.user,
        "state": record.state,
        "sequence": str(record.sequence),
        "created_at": repr(record.created_at),
        "updated_at": repr(record.updated_at),
        "phase": record.phase or "",
        "step": str(record.step),
        "total": str(record.total),
        "attempt": str(record.attempt),
        "cancel_requested": "1" if record.cancel_requested else "",
        "artifacts": json.dumps(dict(record.artifacts)),
        "identity": record.identity or "",
        "failure": failure_json(record.failure),
        "preset": record.preset,
        "deadline_at": repr(record.deadline_at) if record.deadline_at is not None else "",
        "webhook": "1" if record.webhook else "",
        "waits_for": record.waits_for or "",
        "kind": record.kind,
        "parent": record.parent or "",
        "preview": str(record.preview),
    }


def event_records(values: Mapping[str, str], events: Iterable[tuple[str, list[str]]]) -> list[JobRecord]:
    """Return the record after each event. An event that only another release can read is left out, as if it were lost."""
    records = []
    for name, entry in events:
        with suppress(KeyError, ValueError, TypeError):
            records.append(record_of({**values, **mapping(entry), "sequence": name.partition("-")[0]}))
    return records


def record_of(values: Mapping[str, str]) -> JobRecord:
    """Return the record in a hash or event. A newer release may have written fields, phases and kinds that this one ignores."""
    phase, kind = values["phase"], values.get("kind")
    return JobRecord(
        id=values["id"],
        owner=Owner(tenant=values["tenant"], user=values["user"]),
        state=JobState(values["state"]),
        sequence=int(values["sequence"]),
        created_at=float(values["created_at"]),
        updated_at=float(values["updated_at"]),
        phase=next((known for known in PHASES if known == phase), None),
        step=int(values["step"]),
        total=int(values["total"]),
        attempt=int(values["attempt"]),
        cancel_requested=values["cancel_requested"] == "1",
        artifacts=dict(json.loads(values["artifacts"])),  # damaged ones are read from the object store instead
        identity=values["identity"] or None,
        failure=failure_of(values["failure"]),
        preset=values["preset"],
        deadline_at=float(values["deadline_at"]) if values["deadline_at"] else None,
        webhook=values["webhook"] == "1",
        waits_for=values["waits_for"] or None,
        kind=next((known for known in KINDS if known == kind), "edit"),
        parent=values.get("parent") or None,
        preview=int(number) if (number := values.get("preview", "")).isdecimal() else 0,  # a damaged one costs only the preview
    )
