from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from api.app import create_app
from s2edit_core.request.plan import digest
from s2edit_jobs.access.keys import KeyRing
from s2edit_jobs.bootstrap import Services, build_services
from s2edit_jobs.library.concepts import Identity
from s2edit_jobs.records.record import InputFile, Owner
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.artifacts import concept_key
from s2edit_jobs.stores.job_store import JobStore
from tests.admin import METRICS_TOKEN, admin_headers
from tests.doubles import FakeEngine
from tests.stores import Database, MemoryArtifactStore, MemoryJobQueue
from tests.unit.api import pictures
from tests.unit.api.model_folder import write_model_folder
from worker.attempts.runner import run_job

OWNER = Owner(tenant="default", user="default")
MAX_BODY = 100_000
PROMPT = "a photo of a woman smiling"


@dataclass
class Api:
    """The app over a real Redis, and access to its stores."""

    client: TestClient
    services: Services
    artifacts: MemoryArtifactStore
    database: Database
    store: JobStore
    queue: MemoryJobQueue

    def post(self, path: str, *, user: str | None = None, headers: dict[str, str] | None = None, **parts: Any) -> Any:
        """POST a form: bytes are files, None omits the part, a list repeats it."""
        sent = [(name, one) for name, value in parts.items() for one in (value if isinstance(value, list) else [value])]
        files = [
            (name, (f"{name}.png", value) if isinstance(value, bytes) else (None, value))
            for name, value in sent
            if value is not None
        ]
        return self.client.post(path, files=files, headers={**(headers or {}), **({"S2Edit-User": user} if user else {})})

    def edit(self, *, user: str | None = None, headers: dict[str, str] | None = None, **parts: Any) -> Any:
        """POST a valid edit, changed by `parts`."""
        parts = {"image": pictures.photo(), "mask": pictures.mask(), "prompt": PROMPT, **parts}
        return self.post("/edits", user=user, headers=headers, **parts)

    def attribute(self, *, user: str | None = None, headers: dict[str, str] | None = None, **parts: Any) -> Any:
        """POST a valid attribute, changed by `parts`."""
        parts = {"image": pictures.photo(), "mask": pictures.mask(), "prompt": "a woman with [A] hat", "name": "Bowler", **parts}
        return self.post("/attributes", user=user, headers=headers, **parts)

    def identity(self, *, user: str | None = None, headers: dict[str, str] | None = None, **parts: Any) -> Any:
        """POST a valid identity, changed by `parts`."""
        parts = {"image": pictures.photo(), "mask": pictures.mask(), "prompt": "a photo of a woman", **parts}
        return self.post("/identities", user=user, headers=headers, **parts)

    def work(self, engine: FakeEngine | None = None) -> FakeEngine:
        """Run all queued jobs."""
        engine = engine or FakeEngine()
        while self.queue.messages:
            run_job(self.queue.messages.popleft(), self.services, engine)
        return engine

    def get(self, path: str, *, user: str | None = None) -> Any:
        return self.client.get(path, headers={"S2Edit-User": user} if user else {})

    def delete(self, path: str, *, user: str | None = None) -> Any:
        return self.client.delete(path, headers={"S2Edit-User": user} if user else {})

    def erase_user(self, user: str) -> Any:
        """Erase a user with a key of the scope `admin`."""
        return self.client.delete(f"/users/{user}", headers=admin_headers(self.artifacts))

    def learned(self, answer: Any, *, user: str | None = None) -> str:
        """Run the job of `answer` and return the id of the attribute or identity that it learned."""
        assert answer.status_code == 202, answer.json()
        self.work()
        job = self.get(answer.headers["location"], user=user).json()
        assert job["state"] == "succeeded", job
        found: str = job["attribute"] or job["identity"]
        return found

    def limit(self, **limits: Any) -> None:
        """Change settings of the running app."""
        settings = self.services.settings.model_copy(update=limits)
        self.services = self.client.app.state.services = Services(self.artifacts, self.store, self.queue, settings)  # type: ignore[attr-defined]

    def kept(self) -> tuple[Any, ...]:
        """Return everything that a request could have stored."""
        return dict(self.artifacts.objects), self.store.leases.orphans(), list(self.queue.messages)

    def learned_identity(self, *, owner: Owner = OWNER, identity_id: str = f"c_{'7' * 32}") -> str:
        """Store an identity as a worker does."""
        inputs = {}
        for name, data in (("image", pictures.photo()), ("mask", pictures.mask())):
            key = concept_key(owner, identity_id, f"{name}.png")
            self.artifacts.put(key, data, media_type="image/png")
            inputs[name] = InputFile(key=key, sha256=digest(data), size_bytes=len(data), media_type="image/png")
        identity = Identity(
            id=identity_id, source_prompt="a photo of a [I] woman", subject="woman", created_at=1_790_000_000.5, inputs=inputs
        )
        self.artifacts.put(concept_key(owner, identity_id, "identity.json"), identity.to_json(), media_type="application/json")
        return identity_id


@pytest.fixture(autouse=True)
def _minute_of_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the clock of the rate limits that are counted in memory. Their windows are the minutes of the clock: a test that passed
    from one to the next would have further requests left.
    """
    now = time.time()
    still = SimpleNamespace(time=lambda: now, monotonic=time.monotonic)
    for module in ("api.guard.rates", "limits.storage.memory", "limits.strategies"):
        monkeypatch.setattr(f"{module}.time", still)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model_folder(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def api_settings(model_folder: Path) -> Settings:
    """The settings of `api`, whose environment is read once."""
    return Settings(
        model=str(model_folder), max_upload_bytes=MAX_BODY, result_url_ttl_s=600, metrics_token=SecretStr(METRICS_TOKEN)
    )


@pytest.fixture
def api(api_settings: Settings, tmp_path: Path) -> Iterator[Api]:
    artifacts, database, queue = MemoryArtifactStore(), Database(), MemoryJobQueue()
    store = database.store()
    settings = api_settings.model_copy(update={"data_dir": tmp_path})
    services = build_services(settings, artifacts=artifacts, store=store, queue=queue)
    with TestClient(create_app(services)) as client:
        yield Api(client, services, artifacts, database, store, queue)


@pytest.fixture
def ring(api: Api) -> KeyRing:
    """The API keys of the service."""
    return KeyRing(api.artifacts)
