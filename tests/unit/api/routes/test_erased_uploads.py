"""Uploads are erased by themselves, and with their users."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from s2edit_jobs.library.erasure import Erasure
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.errors import ArtifactsUnavailable
from s2edit_jobs.stores.artifacts import upload_key
from s2edit_jobs.stores.object_store.filesystem_artifacts import FilesystemArtifactStore
from tests.admin import admin_headers
from tests.canary_pictures import canary_files
from tests.unit.api import pictures
from tests.unit.api.conftest import OWNER, Api
from tests.unit.api.routes.test_uploads import DAY_S, NEVER, App, left, made_older, swept
from tests.unit.api.wire.test_bad_input import assert_problem


@pytest.fixture
def app(api: Api, tmp_path: Path) -> App:
    return App(api, FilesystemArtifactStore(tmp_path / "objects", "http://testserver", "a signing key"))


@pytest.mark.parametrize("key", [None, "order-1"])
def test_one_goes_with_its_bytes_and_the_edit_keeps_its_copy(app: App, key: str | None) -> None:
    image, mask = app.upload(pictures.photo()), app.upload(pictures.mask())
    headers = {"Idempotency-Key": key} if key else None
    edit = app.edit(headers=headers, image=image, mask=mask).json()
    receipt = app.http.delete(f"/uploads/{image}").json()
    assert (receipt["erased"], receipt["id"], receipt["objects"]) == ("upload", image, 3 if key else 2)
    assert left(app, image) == []
    assert left(app, mask)
    assert_problem(app.http.get(f"/uploads/{image}"), 404, "not_found")
    assert_problem(app.http.delete(f"/uploads/{image}"), 404, "not_found")
    assert_problem(app.edit(headers=headers, image=image, mask=mask), 422, "upload_unknown", "image")
    spec = Jobs(app.services).spec(OWNER, edit["id"])
    assert app.store.get(spec.inputs["image"].key) == pictures.photo()


def test_one_that_waits_expired_or_is_damaged_goes_too(app: App) -> None:
    waiting, expired = app.announce(pictures.photo()), app.upload(pictures.photo())
    made_older(app, expired, DAY_S + 1)
    damaged = f"u_{'d' * 32}"
    app.store.put(upload_key(OWNER, damaged, "upload.json"), b"{", media_type="application/json")
    for upload_id in (waiting.json()["id"], expired, damaged):
        assert app.http.delete(f"/uploads/{upload_id}").status_code == 200
        assert left(app, upload_id) == []
    assert_problem(app.send(waiting, pictures.photo()), 404, "not_found")


def test_what_is_not_the_users_stays(app: App) -> None:
    upload = app.upload(pictures.photo(), user="bob")
    for upload_id in (upload, NEVER, "u_1", "e_1"):
        assert_problem(app.http.delete(f"/uploads/{upload_id}"), 404, "not_found")
    assert app.http.get(f"/uploads/{upload}", headers={"S2Edit-User": "bob"}).status_code == 200


def test_an_erasure_that_was_cut_short_can_be_repeated(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    upload_id = app.upload(pictures.photo())
    delete = app.store.delete_prefix

    def cut(prefix: str) -> int:
        if prefix.endswith(f"{upload_id}/"):
            raise ArtifactsUnavailable("down")
        return delete(prefix)

    with monkeypatch.context() as outage:
        outage.setattr(app.store, "delete_prefix", cut)
        assert_problem(app.http.delete(f"/uploads/{upload_id}"), 503, "artifacts_unavailable")
    assert app.http.delete(f"/uploads/{upload_id}").status_code == 200
    assert left(app, upload_id) == []


def test_an_edit_that_uses_it_meanwhile_leaves_nothing_in_it(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = canary_files()["jpeg"]
    image, mask = app.upload(photo, media_type="image/jpeg"), app.upload(pictures.mask())
    put = app.store.put

    def erased_before(key: str, data: bytes, **how: Any) -> None:
        if "/bare." in key and left(app, image):
            assert app.http.delete(f"/uploads/{image}").status_code == 200
        put(key, data, **how)

    monkeypatch.setattr(app.store, "put", erased_before)
    assert_problem(app.edit(image=image, mask=mask), 422, "upload_unknown", "image")
    assert left(app, image) == []


def test_an_upload_goes_and_bytes_that_come_by_its_link_are_not_kept(app: App) -> None:
    data = pictures.photo()
    arrived, waiting = app.upload(data), app.announce(data)
    assert app.http.delete("/users/default", headers=admin_headers(app.store)).status_code == 200
    assert app.http.get(f"/uploads/{arrived}").status_code == 404
    assert_problem(app.send(waiting, data), 404, "not_found")
    assert list(app.store.list("t/")) == []


def test_none_is_announced_meanwhile(app: App) -> None:
    erasure = Erasure(app.services)
    begun, _ = erasure.begin(OWNER)
    assert_problem(app.announce(pictures.photo()), 409, "being_erased")
    assert list(app.store.list("t/")) == []
    erasure.complete(begun)
    assert app.announce(pictures.photo()).status_code == 201


def test_what_a_bucket_took_by_an_old_link_is_swept_up(app: App) -> None:
    kept = app.upload(pictures.photo())
    app.store.put(upload_key(OWNER, NEVER, "file.png"), b"late", media_type="image/png")
    assert swept(app) == 1
    assert app.http.get(f"/uploads/{kept}").json()["state"] == "arrived"
