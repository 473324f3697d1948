"""The decoder pool: its answers, and decoders that die, hang or exceed their limits."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from s2edit_core.errors import ImageInvalid, MaskInvalid
from s2edit_core.request.picture_limits import MAX_MEMORY_BYTES, MEMORY_BYTES
from s2edit_jobs.decoding import decoders as module
from s2edit_jobs.decoding.decoders import DecoderPool, decoders
from tests.unit.api import pictures


class TestDecoders:
    @pytest.fixture
    def pool(self) -> Iterator[DecoderPool]:
        pool = DecoderPool(1)
        yield pool
        pool.close()

    def check(self, pool: DecoderPool) -> None:
        pool.check(pictures.photo(), {"mask": pictures.mask()})

    def process(self, pool: DecoderPool) -> psutil.Process:
        return psutil.Process(pool._idle[0]._process.pid)

    def test_a_good_picture_costs_little(self, pool: DecoderPool) -> None:
        self.check(pool)
        began = time.process_time(), sum(self.process(pool).cpu_times()[:2])
        for _ in range(20):
            self.check(pool)
        spent = time.process_time() - began[0] + sum(self.process(pool).cpu_times()[:2]) - began[1]
        assert spent / 20 < 0.05

    def test_its_verdict_is_the_decoders_own(self, pool: DecoderPool) -> None:
        with pytest.raises(ImageInvalid) as refused:
            pool.check(b"hello", {})
        assert (refused.value.field, refused.value.reason) == ("image", "image_format")
        with pytest.raises(MaskInvalid) as refused:
            pool.check(pictures.photo(), {"edit_mask": pictures.mask(fill="nothing")})
        assert (refused.value.field, refused.value.reason) == ("edit_mask", "mask_empty")
        process = self.process(pool)
        self.check(pool)
        assert self.process(pool) == process  # a rejected file does not end the process

    def test_one_that_died_idle_is_replaced(self, pool: DecoderPool) -> None:
        self.check(pool)
        self.process(pool).kill()
        pool._idle[0]._process.wait()
        self.check(pool)

    @pytest.mark.parametrize(("number", "reason"), [(11, "image_damaged"), (9, "image_too_costly"), (27, "image_too_costly")])
    def test_one_that_dies_at_work_takes_one_picture_with_it(
        self, pool: DecoderPool, number: int, reason: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.check(pool)
        ask = module._Decoder.ask

        def dies(decoder: module._Decoder, *values: Any, **how: Any) -> Any:
            decoder._process.send_signal(number)
            decoder._process.wait()
            return ask(decoder, *values, **how)

        with monkeypatch.context() as patched:
            patched.setattr(module._Decoder, "ask", dies)
            with pytest.raises(ImageInvalid) as refused:
                self.check(pool)
        assert refused.value.reason == reason
        self.check(pool)

    def test_one_that_hangs_is_ended(self, pool: DecoderPool, monkeypatch: pytest.MonkeyPatch) -> None:
        self.check(pool)
        process = self.process(pool)
        monkeypatch.setattr(module, "ANSWER_TIMEOUT_S", 0.2)
        monkeypatch.setattr(module, "EXIT_TIMEOUT_S", 0.2)
        process.suspend()
        with pytest.raises(ImageInvalid, match="too much time"):
            self.check(pool)
        assert not process.is_running()

    def test_it_sees_no_secrets_and_may_write_no_files(self, pool: DecoderPool, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("S2EDIT_SIGNING_KEY", "canary")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
        self.check(pool)
        process = self.process(pool)
        assert "canary" not in process.environ().values()
        assert process.rlimit(psutil.RLIMIT_FSIZE) == (0, 0)
        assert process.rlimit(psutil.RLIMIT_DATA) == (MEMORY_BYTES, MAX_MEMORY_BYTES)

    def test_it_ends_with_its_connection(self) -> None:
        pool = DecoderPool(1)
        self.check(pool)
        decoder = pool._idle[0]
        decoder._connection.close()
        assert decoder._process.wait(10) == 0

    def test_a_process_has_its_own(self) -> None:
        assert decoders() is decoders()
        assert module._pool_of_process(1) is not module._pool_of_process(2)
