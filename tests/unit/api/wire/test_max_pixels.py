"""`max_pixels`: photos above the limit, and the option with edits, identities and later edits."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from PIL import Image, ImageDraw

from lab.world.phone_files import heic, scene
from s2edit_jobs.decoding import decoders as module
from s2edit_jobs.stores.artifacts import concept_key, edit_key
from s2edit_jobs.stores.model_facts import report_loaded
from tests.doubles import DecodingEngine, FakeEngine
from tests.unit.api import pictures
from tests.unit.api.conftest import OWNER, Api
from tests.unit.api.routes.test_uploads import App, app
from tests.unit.api.wire.test_bad_input import assert_problem

__all__ = ["app"]  # a fixture
OVER = pictures.png_bomb(9_000, 6_000)
"""54 megapixels of one colour. `FRAMED` is a mask of the same size."""
FRAMED = pictures.mask((900, 600))


def asked(api: Api, job_id: str) -> Any:
    """Return the request as the worker reads it."""
    return json.loads(api.artifacts.get(edit_key(OWNER, job_id, "spec.json")))["request"]


@pytest.mark.parametrize("route", ["edit", "identity", "attribute"])
def test_a_photo_over_the_limit_is_taken_on_where_it_may_be_scaled_down(api: Api, route: str) -> None:
    problem = assert_problem(getattr(api, route)(image=OVER, mask=FRAMED), 422, "image_too_large", "image")
    assert "max_pixels" in problem["detail"]
    answer = getattr(api, route)(image=OVER, mask=FRAMED, max_pixels="1000000")
    assert answer.status_code == 202, answer.json()
    assert asked(api, answer.json()["id"])["max_pixels"] == 1_000_000
    api.work(DecodingEngine())
    assert api.get(answer.headers["location"]).json()["state"] == "succeeded"


def test_it_is_taken_by_json_too(app: App) -> None:
    uploads = {"image": app.upload(OVER), "mask": app.upload(FRAMED)}
    assert_problem(app.edit(**uploads), 422, "image_too_large", "image")
    answer = app.edit(**uploads, max_pixels=1_000_000)
    assert answer.status_code == 202, answer.json()
    spec = json.loads(app.store.get(edit_key(OWNER, answer.json()["id"], "spec.json")))
    assert spec["request"]["max_pixels"] == 1_000_000


def test_what_is_not_scaled_is_not_told_of(api: Api) -> None:
    answer = api.edit()
    assert "max_pixels" not in asked(api, answer.json()["id"])


def test_an_identity_keeps_how_its_photo_is_scaled(api: Api) -> None:
    identity = api.learned(api.identity(image=OVER, mask=FRAMED, max_pixels="1000000"))
    kept = json.loads(api.artifacts.get(concept_key(OWNER, identity, "identity.json")))
    assert kept["max_pixels"] == 1_000_000
    edit = api.edit(image=None, mask=None, identity=identity)
    assert edit.status_code == 202, edit.json()
    assert asked(api, edit.json()["id"])["max_pixels"] == 1_000_000
    other = api.edit(image=None, mask=None, identity=identity, max_pixels="2000000")
    assert asked(api, other.json()["id"])["max_pixels"] == 2_000_000
    own = api.edit(identity=identity)
    assert "max_pixels" not in asked(api, own.json()["id"]), "another photo is not the identity's"


def test_an_identity_of_a_photo_as_it_was_says_nothing_of_it(api: Api) -> None:
    identity = api.learned(api.identity())
    assert "max_pixels" not in json.loads(api.artifacts.get(concept_key(OWNER, identity, "identity.json")))


@pytest.mark.parametrize("write", ["plain", "unusual"])
def test_a_dry_run_names_the_identity_of_the_scaled_photo(api: Api, write: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The size comes from the header, or from decoding if there is none."""
    report_loaded(api.artifacts, api.services.settings.model, FakeEngine.facts)
    photo, mask = pictures.photo((400, 300)), pictures.mask((400, 300))
    if write == "unusual":
        monkeypatch.setattr("s2edit_jobs.intake.forecast.read_header", lambda _: None)
    said = api.edit(image=photo, mask=mask, max_pixels="76800", dry_run="true").json()
    whole = api.edit(image=photo, mask=mask, dry_run="true").json()
    unscaled = api.edit(image=photo, mask=mask, max_pixels="120000", dry_run="true").json()
    assert said["identity"] != whole["identity"] == unscaled["identity"]


def test_a_heic_of_tiles_is_taken_on_by_its_header(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker decodes its pixels."""
    names: list[str] = []
    ask = module._Decoder.ask

    def noting(decoder: module._Decoder, name: str, *rest: Any, **how: Any) -> Any:
        names.append(name)
        return ask(decoder, name, *rest, **how)

    monkeypatch.setattr(module._Decoder, "ask", noting)
    api.limit(max_upload_bytes=10_000_000)
    size = (700, 600)
    answer = api.edit(image=heic(scene(size), quality=20), mask=pictures.mask(size))
    assert answer.status_code == 202, answer.json()
    assert names == ["mask"]
    api.work(DecodingEngine())
    assert "image" in names
    assert api.get(answer.headers["location"]).json()["state"] == "succeeded"


def square(side: int, size: tuple[int, int] = (1200, 900)) -> bytes:
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).rectangle((400, 400, 399 + side, 399 + side), fill=255)
    return pictures.encoded(mask)


@pytest.mark.parametrize("side", [33, 60, 120])
@pytest.mark.parametrize("way", ["plain", "unusual", "worker"])
def test_a_person_that_max_pixels_makes_too_small_is_told_how_many_would_do(
    api: Api, side: int, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = pictures.photo((1200, 900))
    if way == "unusual":
        monkeypatch.setattr("api.wire.forms.read_header", lambda _: None)
    if way == "worker":  # the mask is large, so nobody but the worker decodes it
        monkeypatch.setattr("api.wire.forms.SMALL_PIXELS", 1000)

    def ask(max_pixels: int) -> tuple[str, str]:
        answer = api.edit(image=photo, mask=square(side), max_pixels=str(max_pixels))
        if answer.status_code == 422:
            problem = assert_problem(answer, 422, "mask_too_small", "mask")
            return "mask_too_small", problem["detail"]
        api.work(DecodingEngine())
        job = api.get(answer.headers["location"]).json()
        return (job["state"], "") if job["state"] == "succeeded" else (job["error"]["code"], job["error"]["message"])

    code, told = ask(65_536)
    assert code == "mask_too_small"
    assert "in the photo, which max_pixels has scaled down to 295×221" in told
    enough = int(re.search(r"set max_pixels to (\d+) or more", told)[1])  # type: ignore[index]
    assert 65_536 < enough <= 1200 * 900
    assert ask(enough)[0] == "succeeded"


def test_a_person_too_small_in_the_photo_as_sent_is_not_sent_back_with_more_pixels(api: Api) -> None:
    for limit in ({}, {"max_pixels": "65536"}):
        problem = assert_problem(
            api.edit(image=pictures.photo((1200, 900)), mask=square(29), **limit), 422, "mask_too_small", "mask"
        )
        assert problem["detail"].endswith("mark the whole region, or send a larger photo")


def test_what_vanishes_when_the_photo_is_scaled_is_too_small_and_not_empty(api: Api) -> None:
    lips = square(5)
    problem = assert_problem(
        api.edit(image=pictures.photo((1200, 900)), mask=square(400), edit_mask=lips, max_pixels="65536"),
        422,
        "mask_too_small",
        "edit_mask",
    )
    enough = re.search(r"set max_pixels to (\d+) or more", problem["detail"])[1]  # type: ignore[index]
    assert api.edit(image=pictures.photo((1200, 900)), mask=square(400), edit_mask=lips, max_pixels=enough).status_code == 202
