"""Finished edits, the settings that let them expire, and sweeps."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from s2edit_core.request.spec import EditRequest
from s2edit_jobs.library.last_use import DAY_S
from s2edit_jobs.library.retention import Retention
from s2edit_jobs.records.record import JobState, Owner
from s2edit_jobs.stores.artifacts import edit_key
from tests.unit.worker.conftest import ANN, REQUEST, InProcessService

HOUR_S = 3600.0
WEEK_S = 7 * DAY_S
BOB = Owner("app", "bob")


class RecordingAudit:
    def __init__(self) -> None:
        self.entries: list[tuple[str, str | None, str]] = []

    def record(self, action: str, _owner: Owner, what: str | None, outcome: str) -> None:
        self.entries.append((action, what, outcome))


def configured(service: InProcessService, **settings: Any) -> None:
    service.services = replace(service.services, settings=service.services.settings.model_copy(update=settings))


def done(service: InProcessService, request: EditRequest = REQUEST) -> str:
    job_id = service.accept(request)
    service.work()
    assert service.get(job_id).state is JobState.SUCCEEDED
    return job_id


def slid(guidance: float) -> EditRequest:
    return replace(REQUEST, guidance_scale=guidance)


def names_of(service: InProcessService, job_id: str) -> set[str]:
    folder = edit_key(ANN, job_id, "")
    return {key.removeprefix(folder).partition("-")[0].partition(".")[0] for key in service.artifacts.list(folder)}


def inversions(service: InProcessService) -> set[str]:
    return set(service.artifacts.folders(f"{ANN.prefix}inversions/"))


def used(service: InProcessService) -> list[str]:
    return [key for key in service.artifacts.list(f"{ANN.prefix}concepts/") if "used-" in key]


def sweep(service: InProcessService) -> dict[str, int]:
    return dict(Retention(service.services, clock=lambda: time.time()).sweep())
