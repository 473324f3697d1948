"""What strangers may send: every file of `tests/hostile.py` is taken or refused, and costs little either way."""

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

from api import decoders as module
from api.app import create_app
from api.decoder_process import CPU_S, MEMORY_BYTES
from api.decoders import Decoders, decoders
from s2edit_core.errors import ImageInvalid, MaskInvalid
from s2edit_core.pictures import decode_photo
from s2edit_jobs.bootstrap import build_services
from s2edit_jobs.memory import MemoryArtifactStore, MemoryJobQueue, MemoryJobStore
from s2edit_jobs.settings import Settings
from tests.hostile import corpus, summary
from tests.unit.api import pictures
from tests.unit.api.conftest import PROMPT

REASONS = {"image_format", "image_damaged", "image_too_large", "image_too_small", "image_mode", "image_profile", "image_too_costly"}
NO_LESS_THAN = 600


@pytest.fixture
def client(model_folder: Path, tmp_path: Path) -> Iterator[TestClient]:
    settings = Settings(model=str(model_folder), data_dir=tmp_path, max_edits_per_user=10_000)
    services = build_services(settings, artifacts=MemoryArtifactStore(), store=MemoryJobStore(), queue=MemoryJobQueue())
    with TestClient(create_app(services), raise_server_exceptions=False) as client:
        yield client


def post(client: TestClient, part: str, data: bytes) -> Any:
    files = {"image": ("a.png", pictures.photo()), "mask": ("a.png", pictures.mask()), part: ("a.png", data)}
    return client.post("/edits", data={"prompt": PROMPT}, files=files)


class Watched:
    """The one process that decodes here, and its successors."""

    def __init__(self) -> None:
        self.decoders = Decoders(1)
        self.peak_bytes = 0

    def cpu_s(self) -> float:
        """Spent by the one that idles now."""
        if not self.decoders._idle:
            return 0.0
        spent = psutil.Process(self.decoders._idle[0]._process.pid).cpu_times()
        return spent.user + spent.system

    def look(self) -> None:
        idle = self.decoders._idle
        if idle:
            lines = Path(f"/proc/{idle[0]._process.pid}/status").read_text().splitlines()
            status = dict(line.split(":", 1) for line in lines)
            self.peak_bytes = max(self.peak_bytes, int(status["VmHWM"].split()[0]) * 1024)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    watched = Watched()
    monkeypatch.setattr("api.forms.decoders", lambda: watched.decoders)
    yield watched
    watched.decoders.close()


def test_every_hostile_file_is_answered_at_little_cost(client: TestClient, watched: Watched) -> None:
    """Costs are processor time: on a busy machine the clock on the wall says nothing of a file."""
    files = corpus()
    assert len(files) >= NO_LESS_THAN
    wrong, taken, reasons = [], 0, set()
    for name, data in files.items():
        before, own = watched.cpu_s(), time.process_time()
        answer = post(client, "image", data)
        own = time.process_time() - own
        watched.look()
        spent = max(0.0, watched.cpu_s() - before)
        if answer.status_code == 202:
            taken += 1
            if "bomb" not in name:
                decode_photo(data)  # as the worker will
        elif answer.status_code == 422 and answer.json()["code"] in REASONS:
            reasons.add(answer.json()["code"])
        elif not (answer.status_code == 422 and answer.json()["code"].startswith("mask_size")):  # the default mask may not fit it
            wrong.append((name, answer.status_code, answer.text[:200]))
        if spent > 1.1 * CPU_S or own > CPU_S / 2:  # the good mask's share is in it too
            wrong.append((name, own, spent))
    assert wrong == []
    assert watched.peak_bytes <= MEMORY_BYTES
    assert taken >= 50  # some are harmless, and stay so
    assert {"image_format", "image_damaged", "image_too_large", "image_too_costly"} <= reasons


def test_hostile_masks_are_answered_too(client: TestClient, watched: Watched) -> None:
    files = corpus()
    for name in [name for number, name in enumerate(files) if number % 16 == 0 or "bomb" in name]:
        answer = post(client, "mask", files[name])
        watched.look()
        assert answer.status_code in (202, 422), name
        if answer.status_code == 422:
            assert answer.json()["field"] == "mask", name
    assert watched.peak_bytes <= MEMORY_BYTES


def test_the_corpus_is_the_same_every_time() -> None:
    code = "import tests.hostile as it; print(it.summary())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert summary() == other


class TestDecoders:
    @pytest.fixture
    def pool(self) -> Iterator[Decoders]:
        pool = Decoders(1)
        yield pool
        pool.close()

    def check(self, pool: Decoders) -> None:
        pool.check(pictures.photo(), {"mask": pictures.mask()})

    def process(self, pool: Decoders) -> psutil.Process:
        return psutil.Process(pool._idle[0]._process.pid)

    def test_a_good_picture_costs_little(self, pool: Decoders) -> None:
        self.check(pool)
        began = time.process_time(), sum(self.process(pool).cpu_times()[:2])
        for _ in range(20):
            self.check(pool)
        spent = time.process_time() - began[0] + sum(self.process(pool).cpu_times()[:2]) - began[1]
        assert spent / 20 < 0.05

    def test_its_verdict_is_the_decoders_own(self, pool: Decoders) -> None:
        with pytest.raises(ImageInvalid) as refused:
            pool.check(b"hello", {})
        assert (refused.value.field, refused.value.reason) == ("image", "image_format")
        with pytest.raises(MaskInvalid) as refused:
            pool.check(pictures.photo(), {"edit_mask": pictures.mask(fill="nothing")})
        assert (refused.value.field, refused.value.reason) == ("edit_mask", "mask_empty")
        process = self.process(pool)
        self.check(pool)
        assert self.process(pool) == process  # a refusal costs no process

    def test_one_that_died_idle_is_replaced(self, pool: Decoders) -> None:
        self.check(pool)
        self.process(pool).kill()
        pool._idle[0]._process.wait()
        self.check(pool)

    @pytest.mark.parametrize(("number", "reason"), [(11, "image_damaged"), (9, "image_too_costly"), (27, "image_too_costly")])
    def test_one_that_dies_at_work_takes_one_picture_with_it(
        self, pool: Decoders, number: int, reason: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.check(pool)
        ask = module._Decoder.ask

        def dies(decoder: module._Decoder, *values: Any) -> Any:
            decoder._process.send_signal(number)
            decoder._process.wait()
            return ask(decoder, *values)

        with monkeypatch.context() as patched:
            patched.setattr(module._Decoder, "ask", dies)
            with pytest.raises(ImageInvalid) as refused:
                self.check(pool)
        assert refused.value.reason == reason
        self.check(pool)

    def test_one_that_hangs_is_ended(self, pool: Decoders, monkeypatch: pytest.MonkeyPatch) -> None:
        self.check(pool)
        process = self.process(pool)
        monkeypatch.setattr(module, "WALL_S", 0.2)
        monkeypatch.setattr(module, "END_S", 0.2)
        process.suspend()
        with pytest.raises(ImageInvalid, match="too much time"):
            self.check(pool)
        assert not process.is_running()

    def test_it_sees_no_secrets_and_may_write_no_files(self, pool: Decoders, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("S2EDIT_SIGNING_KEY", "canary")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
        self.check(pool)
        process = self.process(pool)
        assert "canary" not in process.environ().values()
        assert process.rlimit(psutil.RLIMIT_FSIZE) == (0, 0)
        assert process.rlimit(psutil.RLIMIT_DATA) == (MEMORY_BYTES, MEMORY_BYTES)

    def test_it_ends_with_its_connection(self) -> None:
        pool = Decoders(1)
        self.check(pool)
        decoder = pool._idle[0]
        decoder._connection.close()
        assert decoder._process.wait(10) == 0

    def test_a_process_has_its_own(self) -> None:
        assert decoders() is decoders()
        assert module._of_process(1) is not module._of_process(2)
