"""Faults that headers do not show: found at once where decoding is cheap or requested, else by the worker."""

from __future__ import annotations

import io
import zlib
from typing import Any

import pytest
from PIL import Image, ImageDraw

from tests.doubles import DecodingEngine
from tests.hostile import png
from tests.unit.api import pictures
from tests.unit.api.conftest import OWNER, Api
from tests.unit.api.wire.test_bad_input import assert_problem

BROKEN = png(pictures.SIZE, pixels=zlib.compress(b"no pixels"))
"""A complete file that can't be decoded."""
LARGE = (1100, 1000)


def large(kind: str, *, level: int = 1) -> bytes:
    """Return a picture too large to be decoded at once, compressed so little that its size does not show that it is flat."""
    picture = Image.new("L", LARGE, 255 if kind == "full" else 0)
    if kind == "drawn":
        ImageDraw.Draw(picture).ellipse([300, 300, 800, 800], fill=255)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=level)
    return buffer.getvalue()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that records each call to the decoder."""
    from s2edit_jobs.decoding import decoders as module

    names: list[str] = []
    ask = module._Decoder.ask

    def noting(decoder: module._Decoder, name: str, *rest: Any, **how: Any) -> Any:
        names.append(name)
        return ask(decoder, name, *rest, **how)

    monkeypatch.setattr(module._Decoder, "ask", noting)
    return names


@pytest.mark.parametrize("route", ["edit", "identity", "attribute"])
def test_a_photo_that_does_not_decode_ends_the_job_once_and_for_all(api: Api, route: str) -> None:
    answer = getattr(api, route)(image=BROKEN)
    assert answer.status_code == 202
    engine = api.work(DecodingEngine())
    job = api.get(answer.headers["location"]).json()
    assert (job["state"], job["error"]["code"], job["error"]["field"]) == ("failed", "image_damaged", "image")
    assert job["error"]["retryable"] is False
    assert engine.learned == 0
    record = api.store.records.get(OWNER, job["id"])
    assert record.attempt == 1


@pytest.mark.parametrize("path", ["/edits", "/identities", "/masks"])
def test_so_does_one_that_came_without_a_mask(api: Api, path: str) -> None:
    answer = api.post(path, image=BROKEN, prompt="a photo of a woman")
    assert answer.status_code == 202
    engine = api.work(DecodingEngine())
    error = api.get(answer.headers["location"]).json()["error"]
    assert (error["code"], error["field"], engine.found) == ("image_damaged", "image", 0)


def test_a_dry_run_decodes_it_all(api: Api, asked: list[str]) -> None:
    assert_problem(api.edit(image=BROKEN, dry_run="true"), 422, "image_damaged", "image")
    assert api.edit(dry_run="true").status_code == 200
    assert asked == ["image", "image", "mask"]


def test_a_small_mask_is_decoded_at_once_and_a_plain_photo_is_not(api: Api, asked: list[str]) -> None:
    assert api.edit().status_code == 202
    assert asked == ["mask"]


def test_a_large_mask_waits_for_the_worker(api: Api, asked: list[str]) -> None:
    photo = pictures.photo(LARGE, "JPEG")
    assert api.edit(image=photo, mask=large("drawn")).status_code == 202
    assert asked == []


@pytest.mark.parametrize(("kind", "code"), [("empty", "mask_empty"), ("full", "mask_full")])
def test_a_large_flat_mask_fails_with_the_code_that_a_small_one_is_refused_with(api: Api, kind: str, code: str) -> None:
    answer = api.edit(image=pictures.photo(LARGE, "JPEG"), mask=large(kind))
    assert answer.status_code == 202
    api.work(DecodingEngine())
    assert api.get(answer.headers["location"]).json()["error"]["code"] == code


def test_a_large_mask_that_is_so_small_a_file_that_it_must_be_empty_is_refused(api: Api) -> None:
    answer = api.edit(image=pictures.photo(LARGE, "JPEG"), mask=large("empty", level=6))
    assert_problem(answer, 422, "mask_empty", "mask")


def test_a_large_mask_of_another_frame_is_refused(api: Api) -> None:
    answer = api.edit(image=pictures.photo((1000, 1100), "JPEG"), mask=large("drawn"))
    assert_problem(answer, 422, "mask_size", "mask")
