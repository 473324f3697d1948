"""Hostile files: each of `tests/hostile.py` is rejected, fails with its own reason or is valid, at little cost."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from s2edit_core.errors import ImageInvalid
from s2edit_core.pictures.files import declared_picture
from s2edit_core.request.picture_limits import CPU_S, cpu_s, memory_bytes
from s2edit_jobs.bootstrap import Services, build_services
from s2edit_jobs.decoding.decoders import DecoderPool
from s2edit_jobs.settings import Settings
from tests.doubles import DecodingEngine
from tests.hostile import corpus, summary
from tests.stores import Database, MemoryArtifactStore, MemoryJobQueue
from tests.unit.api import pictures
from tests.unit.api.conftest import OWNER, PROMPT
from worker.attempts.runner import run_job

REASONS = {
    *("image_format", "image_damaged", "image_too_large", "image_too_small", "image_mode", "image_profile", "image_too_costly"),
    "part_empty",
}
NO_LESS_THAN = 600


@pytest.fixture
def services(model_folder: Path, tmp_path: Path) -> Services:
    settings = Settings(model=str(model_folder), data_dir=tmp_path, max_unfinished_edits_per_user=10_000)
    return build_services(settings, artifacts=MemoryArtifactStore(), store=Database().store(), queue=MemoryJobQueue())


@pytest.fixture
def client(services: Services) -> Iterator[TestClient]:
    with TestClient(create_app(services), raise_server_exceptions=False) as client:
        yield client


def worked(client: TestClient, services: Services, answer: Any) -> Any:
    """Run the accepted edit once and return how it ends."""
    edit_id = answer.json()["id"]
    run_job(edit_id, services, DecodingEngine(steps=1))
    record = services.store.records.get(OWNER, edit_id)
    assert record.attempt == 1
    return client.get(answer.headers["location"]).json()


def post(client: TestClient, part: str, data: bytes) -> Any:
    files = {"image": ("a.png", pictures.photo()), "mask": ("a.png", pictures.mask()), part: ("a.png", data)}
    return client.post("/edits", data={"prompt": PROMPT}, files=files)


class Watched:
    """Measures the decoder process, also after it was replaced."""

    def __init__(self) -> None:
        self.decoders = DecoderPool(1)
        self.peak_bytes = 0  # since it was last asked for

    def cpu_s(self) -> float:
        """Return the processor time of the current process."""
        if not self.decoders._idle:
            return 0.0
        spent = psutil.Process(self.decoders._idle[0]._process.pid).cpu_times()
        return spent.user + spent.system

    def look(self) -> None:
        idle = self.decoders._idle
        if idle:
            process = Path(f"/proc/{idle[0]._process.pid}")
            status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
            self.peak_bytes = max(self.peak_bytes, int(status["VmHWM"].split()[0]) * 1024)
            (process / "clear_refs").write_text("5")  # forget the peak

    def peak(self) -> int:
        """Return the peak memory since the last call."""
        self.look()
        peak, self.peak_bytes = self.peak_bytes, 0
        return peak


def budget(data: bytes) -> tuple[float, int]:
    """Return the processor time and memory that a file may cost, by its header."""
    try:
        found = declared_picture(data)
    except ImageInvalid:
        return CPU_S, memory_bytes("PNG", 0, len(data))
    pixels = found.size[0] * found.size[1]
    return cpu_s(pixels), memory_bytes(found.format, pixels, len(data))


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    watched = Watched()
    monkeypatch.setattr("api.wire.forms.decoders", lambda: watched.decoders)
    monkeypatch.setattr("worker.engines.engine.decoders", lambda: watched.decoders)
    yield watched
    watched.decoders.close()


def timed_post(client: TestClient, data: bytes) -> tuple[Any, float]:
    """Return the response and its cost. Other work of the process counts too, so an expensive request is repeated."""
    for _ in range(2):
        began = time.process_time()
        answer = post(client, "image", data)
        own = time.process_time() - began
        if own <= CPU_S / 2:
            break
    return answer, own


def test_every_hostile_file_is_answered_at_little_cost(client: TestClient, services: Services, watched: Watched) -> None:
    """Costs are processor time, because wall time depends on the load of the machine."""
    files = corpus()
    assert len(files) >= NO_LESS_THAN
    wrong, fine, late, reasons = [], 0, 0, set()
    for name, data in files.items():
        before = watched.cpu_s()
        answer, own = timed_post(client, data)
        watched.look()
        spent = max(0.0, watched.cpu_s() - before)
        if answer.status_code == 202:
            edit = worked(client, services, answer)
            if edit["state"] == "succeeded":
                fine += 1
            elif edit["error"]["code"] in REASONS and edit["error"]["field"] == "image":
                late += 1
            else:
                wrong.append((name, edit["state"], str(edit["error"])))
        elif answer.status_code == 422 and answer.json()["code"] in REASONS:
            reasons.add(answer.json()["code"])
        elif not (answer.status_code == 422 and answer.json()["code"].startswith("mask_size")):  # the default mask may not fit it
            wrong.append((name, answer.status_code, answer.text[:200]))
        seconds, memory = budget(data)
        peak = watched.peak()
        if max(spent, watched.cpu_s() - before - spent) > 1.1 * seconds or own > CPU_S / 2:  # the good mask's share is in it too
            wrong.append((name, own, spent))
        if peak > memory:
            wrong.append((name, peak, memory))
    assert wrong == []
    assert fine >= 50  # some are harmless, and stay so
    assert 0 < late < len(files) / 20  # most show what they are without being decoded, or look odd enough to be decoded at once
    assert {"image_format", "image_damaged", "image_too_large", "image_too_costly"} <= reasons


def test_hostile_masks_are_answered_too(client: TestClient, services: Services, watched: Watched) -> None:
    files = corpus()
    for name in [name for number, name in enumerate(files) if number % 16 == 0 or "bomb" in name]:
        answer = post(client, "mask", files[name])
        assert answer.status_code in (202, 422), name
        if answer.status_code == 422:
            assert answer.json()["field"] == "mask", name
        else:
            edit = worked(client, services, answer)
            assert edit["state"] == "succeeded" or edit["error"]["field"] == "mask", name
        assert watched.peak() <= budget(files[name])[1], name


def test_the_corpus_is_the_same_every_time() -> None:
    code = "import tests.hostile as it; print(it.summary())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert summary() == other
