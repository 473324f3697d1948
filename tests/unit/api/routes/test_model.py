"""`GET /model`: what the served model knows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from s2edit_core.base_model.model_card import ModelCard
from s2edit_core.base_model.model_files import SHIPPED_MODEL, SHIPPED_NAME
from s2edit_core.request.domains import Domain
from s2edit_jobs.access.keys import SCOPES, USUAL_SCOPES, KeyRing
from s2edit_jobs.settings import ROOT, Settings
from s2edit_jobs.stores.model_facts import ModelFacts, report_loaded
from tests.unit.api import pictures
from tests.unit.api.conftest import Api
from tests.unit.api.model_folder import write_model_folder


def client_of(api: Api, model: str) -> TestClient:
    settings = Settings(**{**api.services.settings.model_dump(exclude_unset=True), "model": model})
    return TestClient(create_app(replace(api.services, settings=settings)))


def test_the_shipped_model_says_what_it_is_and_knows(api: Api) -> None:
    found = client_of(api, SHIPPED_MODEL).get("/model").json()
    assert (found["name"], found["shipped"], found["test"]) == (SHIPPED_NAME, True, False)
    card = ModelCard.read(ROOT / SHIPPED_MODEL)
    known = [(tuple(each["subjects"]), tuple(each["attribute_words"])) for each in found["domains"]]
    assert known == [(each.subjects, each.attribute_words) for each in card.domains]
    assert "woman" in known[0][0]
    assert found["phase_seconds"]["learning"] > found["phase_seconds"]["editing"] > 0
    assert (found["max_upload_bytes"], found["max_pixels"]) == (api.services.settings.max_upload_bytes, 50_000_000)


def test_it_says_what_the_caller_may_do_and_which_photos_it_takes(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    found = api.get("/model", user="ada").json()
    assert (found["user"], found["scopes"]) == ("ada", sorted(USUAL_SCOPES))
    assert found["min_side"] == 32
    assert api.edit(image=pictures.photo((31, 64)), mask=None).json()["code"] == "image_too_small"
    assert found["photo_types"] == ["image/png", "image/jpeg", "image/webp", "image/avif", "image/heic"]
    monkeypatch.setattr("s2edit_core.pictures.files._reads_heic", lambda: False)
    assert api.get("/model").json()["photo_types"] == found["photo_types"][:-1]
    key = KeyRing(api.artifacts).create("default", SCOPES)[1]
    assert api.client.get("/model", headers={"Authorization": f"Bearer {key}"}).json()["scopes"] == sorted(SCOPES)


def test_another_folder_is_named_without_its_path(api: Api, tmp_path: Path) -> None:
    found = client_of(api, str(write_model_folder(tmp_path / "mine"))).get("/model").json()
    assert (found["name"], found["shipped"]) == ("mine", False)
    assert str(tmp_path) not in str(found)


def test_a_model_of_the_hub_is_known_once_a_worker_has_reported_it(api: Api) -> None:
    client = client_of(api, "owner/name")
    assert client.get("/model").json()["domains"] is None
    facts = ModelFacts("f", 8, (), ("cat",), ("fluffy",), domains=(Domain(("cat",), ("fluffy",)),))
    report_loaded(api.services.artifacts, "owner/name", facts)
    found = client.get("/model").json()
    assert (found["name"], found["shipped"], found["phase_seconds"]) == ("owner/name", False, {})
    assert found["domains"] == [{"subjects": ["cat"], "attribute_words": ["fluffy"]}]


def test_the_shipped_model_is_recognised_by_its_place(api: Api) -> None:
    assert client_of(api, str(ROOT / SHIPPED_MODEL)).get("/model").json()["shipped"]
