"""The overhead bench: its photo, its figures and its bare app."""

from __future__ import annotations

import io
import socket
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from lab.service.overhead import Call, bare_app, figures, form_of, photo, server, timed
from lab.storm.partition import NetworkedRedis
from s2edit_core.pictures.files import decode_photo
from s2edit_core.pictures.mask_files import decode_mask
from s2edit_jobs.records.record import Load
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.redis_store import redis_job_store
from tests.unit.worker.conftest import ANN


def test_the_photo_has_the_requested_size_and_can_be_decoded() -> None:
    data = photo(100_000)
    assert 100_000 <= len(data) < 200_000
    assert min(decode_photo(data).size) >= 128
    body, kind = form_of(data)
    assert data in body
    assert kind.startswith("multipart/form-data; boundary=")


def test_the_mask_of_the_form_fits_its_photo() -> None:
    data = photo(20_000)
    body, _ = form_of(data)
    begins = body.rindex(b"\x89PNG")
    decode_mask(body[begins:], Image.open(io.BytesIO(data)).size)


def test_figures_are_milliseconds() -> None:
    assert figures([0.001] * 99 + [0.1]) == {"requests": 100, "p50_ms": 1.0, "p99_ms": pytest.approx(1.99)}


def test_the_bare_app_reads_the_whole_body() -> None:
    body, kind = form_of(photo(20_000))
    with TestClient(bare_app("redis://127.0.0.1:1")) as client:
        assert client.post("/body", content=body, headers={"Content-Type": kind}).json() == {"bytes": len(body)}
        assert client.post("/form", content=body, headers={"Content-Type": kind}).json() == {"parts": 3}
        assert client.get("/edits/e_1", headers={"If-None-Match": '"3"'}).status_code == 304


def test_every_request_is_timed_and_an_unexpected_answer_is_an_error(tmp_path: Path) -> None:
    settings = Settings(redis_url="redis://127.0.0.1:1", data_dir=tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as listener, server(settings, listener, tmp_path, bare=True) as address:
        good = Call(address, "GET", "/edits/e_1", None, {}, 304)
        assert len(timed(good, requests=12, at_once=3)) == 12
        with pytest.raises(RuntimeError, match="304"):
            timed(Call(address, "GET", "/edits/e_1", None, {}, 200), requests=1, at_once=1)


def test_a_networked_redis_listens_on_its_addresses(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with NetworkedRedis(tmp_path / "redis", ["127.0.0.1"], port) as redis:
        for url in (redis.url, f"redis://127.0.0.1:{port}"):
            assert redis_job_store(url, timeout_s=5.0).admission.take_slot(ANN, "e_1", of_owner=0, of_tenant=0, in_all=0) == Load(
                of_owner=0, of_tenant=0, in_all=0
            )
