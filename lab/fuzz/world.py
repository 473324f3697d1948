"""The service that is fuzzed: in this process, over a private Redis and a folder, with a worker that makes its edits end."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image, ImageDraw
from safetensors.numpy import save
from starlette.types import ASGIApp

from api.app import create_app
from api.guard.device_tokens import DEVICE_SCOPES, MAX_BUDGET
from lab.storm.system.engines import FACTS
from s2edit_core.base_model.model_files import SHIPPED_NAME
from s2edit_jobs.access.keys import SCOPES, KeyRing
from s2edit_jobs.bootstrap import Services, build_services
from s2edit_jobs.records.record import Owner
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.embedded_redis import EmbeddedRedis
from s2edit_jobs.stores.model_facts import report_loaded
from s2edit_jobs.stores.redis_store import redis_job_store
from worker.attempts.runner import run_attempt
from worker.engines.modeless_engine import ModelessEngine

SIDE_PX = 64
USER = "ann"
ORIGIN = "https://app.example.com"
PREFIX = "/photos/v1"
"""Below which a proxy serves the service in some rounds. It removes the prefix from requests."""
MODELS = (SHIPPED_NAME,)
"""The names of the served model."""
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
    facts = FACTS
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


@dataclass(frozen=True, slots=True)
class World:
    """The fuzzed service and an API key per tenant."""

    app: FastAPI
    behind_proxy: FastAPI  # the same, for a proxy that serves it below `PREFIX`
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
        if answer.is_success and http.put(put["url"].replace(PREFIX, "", 1), headers=put["headers"], content=data).is_success:
            return
    raise RuntimeError(f"none of {SENDING_TRIES} uploads was accepted")


def load_preview(app: ASGIApp, headers: Mapping[str, str]) -> None:
    """Make an edit as the caller of `headers` and load its preview, which exists for a minute. Raise as `send_upload` does."""
    http = TestClient(app)
    form: Any = {"image": ("photo.png", photo()), "mask": ("mask.png", mask()), "prompt": (None, "a photo of a smiling woman")}
    for _ in range(SENDING_TRIES):
        answer = http.post("/edits", files=form, headers={**headers, "S2Edit-User": USER, "Prefer": "wait=10"})
        path = f"/edits/{answer.json().get('id')}/preview"
        if answer.is_success and http.get(path, headers={**headers, "S2Edit-User": USER}).is_success:
            return
    raise RuntimeError(f"none of {SENDING_TRIES} edits showed a preview")


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """Start the service with its files in `folder`. Rates are unlimited, because a fuzzer that only gets 429 finds nothing."""
    with EmbeddedRedis(folder / "redis") as redis, _worked(_services(folder, redis.url)) as services:
        keys = {tenant: KeyRing(services.artifacts).create(tenant, SCOPES)[1] for tenant in ("acme", "umbrella")}
        behind_proxy = create_app(_services(folder, redis.url, public_url=ORIGIN + PREFIX))
        yield World(create_app(services), behind_proxy, services, keys)


def _services(folder: Path, redis_url: str, **options: str) -> Services:
    settings = Settings(
        redis_url=redis_url,
        data_dir=folder,
        auth="keys",
        cors_origins=ORIGIN,
        audit_log="off",
        max_upload_bytes=200_000,
        webhook_secrets="whsec_" + "A" * 32,  # type: ignore[arg-type]
        **{f"{name}_per_minute": value for name, value in UNLIMITED.items()},  # type: ignore[arg-type]
        **options,  # type: ignore[arg-type]
    )
    # A machine that fuzzes is busy: it must not look as if Redis were down.
    return build_services(settings, store=redis_job_store(redis_url, timeout_s=5.0))


@contextmanager
def _worked(services: Services) -> Iterator[Services]:
    """The same services, with a worker that takes their jobs."""
    engine, stop = ModelessEngine(FACTS, steps=3), threading.Event()
    report_loaded(services.artifacts, services.settings.model, engine.facts)

    def work() -> None:
        while not stop.is_set():
            if lease := services.store.leases.claim(lease_s=services.settings.lease_s):
                run_attempt(lease, services, engine, stop=stop)
            else:
                stop.wait(WORK_S)

    worker = threading.Thread(target=work, name="worker", daemon=True)
    worker.start()
    try:
        yield services
    finally:
        stop.set()
        worker.join()
