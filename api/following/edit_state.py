"""The response for an edit: its state, fresh links to its files, and the headers for polling."""

from __future__ import annotations

import re
import time
from pathlib import PurePosixPath
from typing import Any

from fastapi import Response

from api.wire.edit_answers import Edit, Link, Picture, Report
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.lifecycle.lifetimes import expires_at, results_expire_at, results_expired
from s2edit_jobs.records.files import media_type_of
from s2edit_jobs.records.record import JobRecord, JobState, to_datetime
from s2edit_jobs.settings import Settings

POLL_S = 1
"""Seconds until the next poll, sent as `Retry-After`."""
HEADERS = {
    "ETag": {
        "description": 'The `sequence` of the edit as a weak tag, such as `W/"12"`. For an edit that has succeeded, it also '
        "changes before its links expire, and when its results do.",
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "Seconds until the next poll; absent once the edit is over.",
        "schema": {"type": "integer"},
    },
}


def present(services: Services, record: JobRecord, response: Response, *, estimated: bool = True) -> Edit:
    """Return the response body for `record` with fresh links, and set the headers of `response`.

    Pass `estimated=False` for a state of the past, which needs no estimate of the time that is left.
    """
    response.headers.update(tag_headers(services.settings, record))
    if record.state is not JobState.SUCCEEDED:
        eta_s = Jobs(services).seconds_left(record) if estimated else None
        return Edit.of(record, eta_s=eta_s, **_expiry(services, record))
    return Edit.of(record, report=_report(services, record), **_pictures(services, record), **_expiry(services, record))


def listed(services: Services, record: JobRecord) -> Edit:
    """Return the item for `record` in a list: without the report, which would have to be read."""
    return Edit.of(record, **_pictures(services, record), **_expiry(services, record))


def tag_headers(settings: Settings, record: JobRecord) -> dict[str, str]:
    """Return the headers that a 304 has too."""
    # no-store: a browser that revalidates its cache by itself would keep using expired links.
    # The tag is weak, because two answers of the same state have other links.
    headers = {"ETag": f'W/"{_tag(settings, record)}"', "Cache-Control": "no-store"}
    return headers if record.state.over else {**headers, "Retry-After": str(POLL_S)}


def matches(if_none_match: str, settings: Settings, record: JobRecord) -> bool:
    """Return whether the header names the current state, by the weak comparison of RFC 9110 §13.1.2."""
    return if_none_match.strip() == "*" or _tag(settings, record) in re.findall(r'"([^"]*)"', if_none_match)


def _tag(settings: Settings, record: JobRecord) -> str:
    """Return the sequence and, for an answer with links, the period that its links belong to.

    A period is half as long as links are valid, so a link that a 304 confirms stays valid for at least that time. The last link
    to a file ends with the file, and so does its period.
    """
    if record.state is not JobState.SUCCEEDED:
        return str(record.sequence)
    now, expired = time.time(), results_expired(settings, record)
    until = expires_at(settings, record) if expired else results_expire_at(settings, record)
    late = until is not None and until - now < 1  # then `signed_link` makes links of a second
    period = int(now) // (1 if late else max(1, settings.result_url_ttl_s // 2))
    return f"{record.sequence}-{period}{'-expired' if expired else ''}"


def signed_link(services: Services, key: str, filename: str, *, kept_until: float | None = None) -> Link:
    """Return a link that ends with the file: nobody may fetch it later, even if the next sweep has yet to erase it."""
    now, expires_s = time.time() // 1, services.settings.result_url_ttl_s
    if kept_until is not None:
        expires_s = max(1, min(expires_s, int(kept_until - now)))  # an erasure that is late answers with a link of a second
    url = services.artifacts.presigned_get(key, expires_s=expires_s, filename=filename)
    return Link(url=url, expires_at=to_datetime(now + expires_s))


def _expiry(services: Services, record: JobRecord) -> dict[str, Any]:
    settings = services.settings
    return {"expires_at": expires_at(settings, record), "results_expire_at": results_expire_at(settings, record)}


def _pictures(services: Services, record: JobRecord) -> dict[str, Any]:
    """Return links to the result, its variants and the mask, as far as the job has them and they have not expired."""
    if results_expired(services.settings, record):
        return {}
    names = sorted(name for name in record.artifacts if name.startswith("result"))
    until = results_expire_at(services.settings, record)
    results = [_picture(services, record.artifacts[name], record.id + name.removeprefix("result"), until) for name in names]
    return {"results": results, "mask": _mask(services, record)}


def _picture(services: Services, key: str, stem: str, until: float | None) -> Picture:
    kind = media_type_of(key)
    link = signed_link(services, key, stem + PurePosixPath(key).suffix, kept_until=until)
    return Picture(url=link.url, expires_at=link.expires_at, media_type=kind)


def _mask(services: Services, record: JobRecord) -> Link | None:
    """Return a link to the mask. None until the job succeeds, and for old jobs that did not store it."""
    key = record.artifacts.get("mask")
    if not key:
        return None
    until = results_expire_at(services.settings, record)
    return signed_link(services, key, f"{record.id}_mask{PurePosixPath(key).suffix}", kept_until=until)


def _report(services: Services, record: JobRecord) -> Report | None:
    values = Jobs(services).report(record)
    if values is None:
        return None
    until = expires_at(services.settings, record)
    link = signed_link(services, record.artifacts["report"], f"{record.id}.json", kept_until=until)
    return Report(url=link.url, expires_at=link.expires_at, values=values)
