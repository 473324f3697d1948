"""Fill an object store and Redis with the code of an earlier commit: one of everything that it stores.

The JSON files beside this one were written by commit 49d8a72, the last before stored records had versions:

    git worktree add /tmp/old 49d8a72
    PYTHONPATH=/tmp/old python tests/data/records-0.1/make.py tests/data/records-0.1

`store.json` holds the objects by key (bytes in base64), `redis.json` every key of Redis with its type, `jobs.json` the jobs by
name. `scripts.json` has the Lua by which a worker of that commit claims a job, and finds jobs that nobody was notified of.
`tests/unit/jobs/test_upgrade.py` finishes the jobs with the present code, and runs the scripts on jobs of the present code.
"""

from __future__ import annotations

import base64
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from pydantic import SecretStr
from s2edit_jobs.access.ended_tokens import end_tokens

from api.app import create_app
from s2edit_core.errors import NumbersNotFinite
from s2edit_jobs.access.keys import KeyRing
from s2edit_jobs.bootstrap import build_services
from s2edit_jobs.records.errors import StoreUnavailable
from s2edit_jobs.records.record import Owner
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.celery_queue import CeleryQueue
from s2edit_jobs.stores.model_facts import report_failure, report_loaded
from s2edit_jobs.stores.redis_store.leases import CLAIM, ORPHANS
from tests.doubles import FACTS, FakeEngine
from tests.stores import Database, MemoryArtifactStore, MemoryJobQueue, stop_redis
from tests.unit.api.model_folder import write_model_folder
from tests.unit.api.pictures import mask, photo
from worker.attempts.runner import run_job
from worker.engines.painters import TintPainter

ANN = Owner("default", "ann")
MODEL = "the/model"
HOOK = "https://app.example.com/hooks"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
LONG_S = 315_360_000  # ten years, so that nothing expires before the test


class Writer:
    """The service of that commit, with the means to fill it."""

    def __init__(self, folder: Path) -> None:
        self.artifacts, self.database, self.queue = MemoryArtifactStore(), Database(), MemoryJobQueue()
        settings = Settings(
            model=str(write_model_folder(folder / "model")), data_dir=folder, auth="open", webhook_secrets=SecretStr(SECRET)
        )
        self.services = build_services(settings, artifacts=self.artifacts, store=self.database.store(), queue=self.queue)
        self.client = TestClient(create_app(self.services), headers={"S2Edit-User": ANN.user})
        self.jobs: dict[str, str] = {}

    def post(self, what: str, path: str, *, key: str | None = None, **parts: Any) -> str:
        """POST a form: bytes are files. Return the job's id, which is also kept under `what`."""
        files = [
            (name, (f"{name}.png", value) if isinstance(value, bytes) else (None, str(value))) for name, value in parts.items()
        ]
        answer = self.client.post(path, files=files, headers={"Idempotency-Key": key} if key else {})
        assert answer.status_code == 202, answer.json()
        self.jobs[what] = answer.json()["id"]
        return self.jobs[what]

    def work(self, engine: FakeEngine | None = None) -> None:
        while self.queue.messages:
            run_job(self.queue.messages.popleft(), self.services, engine or FakeEngine(painter=TintPainter()))

    def of(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.get(f"/edits/{self.jobs[name]}").json()
        return found


def fail(_: object) -> None:
    raise NumbersNotFinite("the computation overflowed: try another seed")


def add_finished(service: Writer) -> None:
    both = {"image": photo(), "mask": mask()}
    service.post("identity, done", "/identities", **both, prompt="a photo of a woman", consent="yes", identity_ttl_s=LONG_S)
    service.post("attribute, done", "/attributes", **both, prompt="a woman with [A] hat", name="Bowler")
    service.post("mask, done", "/masks", image=photo())
    service.post("edit, done", "/edits", **both, prompt="a photo of a woman smiling", key="an-earlier-request", webhook_url=HOOK)
    service.work()
    for name in service.jobs:
        assert service.of(name)["state"] == "succeeded", service.of(name)
    service.post("edit, failed", "/edits", **both, prompt="a photo of a woman with a hat", webhook_url=HOOK)
    service.work(FakeEngine(on_step=fail))
    assert service.of("edit, failed")["state"] == "failed"
    service.post("edit, canceled", "/edits", **both, prompt="a photo of a woman with a hat")
    service.client.delete("/edits/nothing")
    service.client.post(f"/edits/{service.jobs['edit, canceled']}/cancel")
    service.work()
    assert service.of("edit, canceled")["state"] == "canceled"


def add_unfinished(service: Writer) -> None:
    both = {"image": photo(), "mask": mask()}
    identity, attribute = service.of("identity, done")["identity"], service.of("attribute, done")["attribute"]
    service.post("edit, plain", "/edits", **both, prompt="a photo of a woman laughing", key="a-request")
    service.post(
        "edit, with all options",
        "/edits",
        **both,
        edit_mask=mask(),
        prompt="a photo of a [I] young woman in a hat",
        source_prompt="a photo of a [I] young woman",
        subject="young woman",
        preset="paper",
        steps=7,
        guidance_scale=3.5,
        negative_prompt="glasses",
        strength=0.5,
        seed=2**62,
        mask_mode="luminance",
        edit_mask_mode="luminance",
        output_format="webp",
        output_quality=90,
        keep_alpha="false",
        max_pixels=1_000_000,
        consent="she agreed",
        identity_ttl_s=LONG_S,
        webhook_url=HOOK,
    )
    service.post("edit, variants", "/edits", **both, prompt="a photo of a woman in rain", variants=3, preset="instant")
    service.post("edit, at a pixel", "/edits", image=photo(), prompt="a photo of a woman in snow", at="48,64")
    service.post("edit, of an identity", "/edits", prompt="a photo of a [I] woman in a hat", identity=identity)
    service.post(
        "edit, with an attribute", "/edits", prompt="a photo of a [I] woman with [A] hat", identity=identity, attributes=attribute
    )
    service.post("edit, of a parent", "/edits", prompt="a photo of a [I] woman, old", parent=service.jobs["edit, done"])
    service.post("edit, late", "/edits", **both, prompt="a photo of a woman at night", deadline_s=60, webhook_url=HOOK)
    service.post("identity", "/identities", **both, prompt="a photo of a man", subject="man", preset="instant", seed=4)
    service.post("attribute", "/attributes", **both, prompt="a woman with [A] makeup", name="Evening")
    service.post("mask", "/masks", image=photo(), prompt="a photo of a woman", at="40,60", max_pixels=1_000_000)


def add_the_rest(service: Writer) -> None:
    artifacts = service.artifacts
    upload = service.client.post("/uploads", json={"media_type": "image/png", "size_bytes": len(photo())}).json()["id"]
    artifacts.put(f"{ANN.prefix}uploads/{upload}/file.png", photo(), media_type="image/png")
    used = {"image": upload, "prompt": "a photo of a woman in the sun"}
    answer = service.client.post("/edits", json=used, headers={"Idempotency-Key": "with-an-upload"})
    service.jobs["edit, of an upload"] = answer.json()["id"]
    ring = KeyRing(artifacts)
    key, _ = ring.create("app", note="of the phone app")
    ring.create("app", test=True)
    ring.rotate(key.id, grace_s=60)
    end_tokens(artifacts, Owner("default", "bob"), now=1_790_000_000)
    report_loaded(artifacts, MODEL, FACTS)
    report_failure(artifacts, MODEL, "it has no VAE")

    def down(*_: object) -> None:
        raise StoreUnavailable("down")

    records = service.services.store.records
    records.add = down  # type: ignore[method-assign]
    service.post("edit, pending", "/edits", image=photo(), mask=mask(), prompt="a photo of a woman in the morning")
    service.services.queue.notify(service.jobs["edit, pending"])
    lease = service.services.store.leases.claim(lease_s=1)
    assert lease is not None
    service.jobs["edit, of a dead worker"] = service.jobs.pop(next(n for n, i in service.jobs.items() if i == lease.job_id))
    queue = CeleryQueue(service.database.url)
    for job_id in service.jobs.values():
        queue.notify(job_id)


def dump_redis(service: Writer) -> dict[str, Any]:
    client, read = service.database.client, {}
    for key in sorted(client.scan_iter()):
        kind = client.type(key)
        value: Any = {
            "string": lambda key=key: client.get(key),
            "hash": lambda key=key: client.hgetall(key),
            "list": lambda key=key: client.lrange(key, 0, -1),
            "set": lambda key=key: sorted(client.smembers(key)),
            "zset": lambda key=key: client.zrange(key, 0, -1, withscores=True),
            "stream": lambda key=key: client.xrange(key),
        }[kind]()
        read[key] = [kind, value]
    return read


def main(out: Path) -> None:
    (out / "scripts.json").write_text(json.dumps({"claim": CLAIM, "orphans": ORPHANS}, indent=0) + "\n", encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        service = Writer(Path(folder))
        with service.client:
            add_finished(service)
            add_unfinished(service)
            add_the_rest(service)
        objects = {key: base64.b64encode(data).decode() for key, data in sorted(service.artifacts.objects.items())}
        for name, value in (("store", objects), ("redis", dump_redis(service)), ("jobs", service.jobs)):
            (out / f"{name}.json").write_text(json.dumps(value, indent=0, ensure_ascii=False) + "\n", encoding="utf-8")
    stop_redis()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
