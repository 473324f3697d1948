"""The service that is fuzzed: in this process, over the memory twins and a folder, with a worker that makes its edits end."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image, ImageDraw
from safetensors.numpy import save
from starlette.types import ASGIApp

from api.app import create_app
from api.guard.device_tokens import DEVICE_SCOPES, MAX_BUDGET
from s2edit_core.request.spec import EditRequest
from s2edit_jobs.access.keys import SCOPES, KeyRing
from s2edit_jobs.bootstrap import Services, build_artifacts, build_services
from s2edit_jobs.records.record import Owner
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.memory import MemoryJobQueue, MemoryJobStore
from s2edit_jobs.stores.model_facts import tell
from worker.attempts.runner import run_job
from worker.engines.engine import EditInputs
from worker.engines.fake_engine import FakeEngine

SIDE_PX = 64
USER = "ann"
ORIGIN = "https://app.example.com"
UNLIMITED = dict.fromkeys(("user_reads", "user_writes", "tenant_reads", "tenant_writes"), 0)
SENDING_TRIES = 20
WORK_S = 0.005
"""Pause of the idle worker in seconds."""


def png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def photo() -> bytes:
    return png(Image.linear_gradient("L").resize((SIDE_PX, SIDE_PX)).convert("RGB"))


def mask() -> bytes:
    picture = Image.new("L", (SIDE_PX, SIDE_PX), 0)
    ImageDraw.Draw(picture).ellipse([16, 16, 48, 48], fill=255)
    return png(picture)


def identity_file() -> bytes:
    """Return an identity file as another service with the same model would export it."""
    facts = FakeEngine.facts
    tensors = {"token": np.ones(facts.width, np.float32)}
    tensors |= {
        f"{kind}.{i}.weight": np.zeros(shape, np.float32) for kind in ("keys", "values") for i, shape in enumerate(facts.layers)
    }
    about = {
        "format": "s2edit-concept-2",
        "fingerprint": facts.fingerprint,
        "facts": {"prompt": "a photo of a [I] woman", "steps": 100},
        "placeholder": "[I]",
        "subject": "woman",
    }
    return save(tensors, metadata={"s2edit": json.dumps(about)})


class PictureEngine(FakeEngine):
    """A fake engine with pictures as results, so that edits can have a parent."""

    def result(self, request: EditRequest, inputs: EditInputs) -> bytes:  # noqa: ARG002
        return inputs.image

    def mask(self, photo: bytes, at: tuple[int, int] | None) -> bytes:  # noqa: ARG002
        return mask()


@dataclass(frozen=True, slots=True)
class World:
    """The fuzzed service and an API key per tenant."""

    app: FastAPI
    services: Services
    keys: Mapping[str, str]  # by tenant

    def callers(self) -> dict[str, dict[str, str]]:
        """Return headers by caller: two users of two tenants, and a device of the first with a fresh token."""
        tenant, key = next(iter(self.keys.items()))
        token = self.app.state.auth.tokens.issue(
            Owner(tenant, USER),
            scopes=DEVICE_SCOPES,
            expires_in_s=3600,
            edits=MAX_BUDGET,
            uploads=MAX_BUDGET,
            key_id=key.split("_")[1],
        )[1]
        return {**{f"a key of {name}": _bearer(key) for name, key in self.keys.items()}, "a device token": _bearer(token)}


def _bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def send_upload(app: ASGIApp, headers: Mapping[str, str]) -> None:
    """Announce an upload as the caller of `headers`, and send its bytes to the URL in the answer.

    The fuzzer itself would use such a link only by chance. `app` adds invalid headers to some requests, so this retries; it raises
    `RuntimeError` after `SENDING_TRIES`.
    """
    http, data = TestClient(app), photo()
    announced = {"media_type": "image/png", "size_bytes": len(data)}
    for _ in range(SENDING_TRIES):
        answer = http.post("/uploads", json=announced, headers={**headers, "S2Edit-User": USER})
        put = answer.json().get("put")
        if answer.is_success and http.put(put["url"], headers=put["headers"], content=data).is_success:
            return
    raise RuntimeError(f"none of {SENDING_TRIES} uploads was accepted")


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """Start the service with its files in `folder`. Rates are unlimited, because a fuzzer that only gets 429 finds nothing."""
    settings = Settings(
        data_dir=folder,
        auth="keys",
        cors_origins=ORIGIN,
        audit_log="off",
        max_upload_bytes=200_000,
        webhook_secrets="whsec_" + "A" * 32,  # type: ignore[arg-type]
        **{f"{name}_per_minute": value for name, value in UNLIMITED.items()},  # type: ignore[arg-type]
    )
    artifacts, queue = build_artifacts(settings), MemoryJobQueue()
    services = build_services(settings, artifacts=artifacts, store=MemoryJobStore(), queue=queue)
    keys = {tenant: KeyRing(artifacts).create(tenant, SCOPES)[1] for tenant in ("acme", "umbrella")}
    engine, stop = PictureEngine(), threading.Event()
    tell(artifacts, settings.model, engine.facts)

    def work() -> None:
        while not stop.is_set():
            if queue.rings:
                run_job(queue.rings.popleft(), services, engine)
            else:
                stop.wait(WORK_S)

    worker = threading.Thread(target=work, name="worker", daemon=True)
    worker.start()
    try:
        yield World(create_app(services), services, keys)
    finally:
        stop.set()
        worker.join()
