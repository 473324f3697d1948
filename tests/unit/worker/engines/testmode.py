"""Helpers for tests of test mode: accept, run and inspect its jobs."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
from PIL import Image

from s2edit_core.request.spec import EditRequest
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.records.files import Upload
from s2edit_jobs.records.record import JobRequest, Owner, tenant_of_test_mode
from tests.doubles import FakeEngine
from tests.unit.api import pictures
from tests.unit.worker.conftest import ANN, InProcessService
from worker.attempts.runner import run_attempt
from worker.engines.engine import Artifact, DetectedMask, EditInputs, EditResult
from worker.engines.modeless_engine import ModelessEngine, engine_of_test_mode

TEST = Owner(tenant_of_test_mode(ANN.tenant), ANN.user)
PROMPT = "a photo of a woman with red hair"
INPUTS = EditInputs(pictures.photo(), pictures.mask())
FILES = {"image": Upload(INPUTS.image, "image/png"), "mask": Upload(INPUTS.mask, "image/png")}
ENGINE = engine_of_test_mode(FakeEngine.facts)


def accept(service: InProcessService, words: str = "", owner: Owner = TEST, **named: Any) -> str:
    request = EditRequest(prompt=f"{PROMPT} {words}".strip())
    return service.jobs.accept(draft(service.services, owner, request, FILES, **named), FILES).id


def work(service: InProcessService, engine: ModelessEngine = ENGINE) -> bool:
    """Run an attempt at the next test job. Return False if there is none."""
    lease = service.store.leases.claim(lease_s=15, test=True)
    if lease is not None:
        run_attempt(lease, service.services, engine, stop=service.stop)
    return lease is not None


def report_of(service: InProcessService, job_id: str) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(service.artifacts.get(service.jobs.get(TEST, job_id).artifacts["report"]))
    return values


def edited(inputs: EditInputs = INPUTS, *, kept: bool = False, **request: Any) -> tuple[EditResult, list[Any]]:
    """Return the engine's result and everything that it yielded."""
    wanted = EditRequest(**{"prompt": PROMPT, **request})
    made = {step.kind: step.data for step in edited(inputs, **request)[1] if isinstance(step, Artifact)} if kept else {}
    steps, seen = ENGINE.edit(wanted, inputs, concept=made.get("concept"), inversion=made.get("inversion")), []
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as end:
            return end.value, seen


def looked_for(request: JobRequest, photo: bytes = INPUTS.image) -> DetectedMask:
    """Return the mask that the engine finds."""
    steps = ENGINE.find_mask(request, photo)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: DetectedMask = end.value
            return found


def pixels(png: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
