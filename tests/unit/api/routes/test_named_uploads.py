"""Requests that name uploads in place of files: every route that accepts a job takes them, by the same rules."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.record import DailyUsage
from s2edit_jobs.settings import ROOT
from s2edit_jobs.stores.artifacts import upload_key
from s2edit_jobs.stores.model_facts import report_loaded
from tests.canary_pictures import canary_files
from tests.doubles import FakeEngine
from tests.unit.api import pictures
from tests.unit.api.conftest import OWNER, Api
from tests.unit.api.routes.test_uploads import DAY_S, NEVER, PROMPTS, App, app, left, made_older, swept
from tests.unit.api.wire.test_bad_input import assert_problem
from tests.unit.api.wire.test_metadata import assert_tells_nothing, upright
from worker.attempts.runner import run_job

__all__ = ["app"]  # a fixture

KEY = {"Idempotency-Key": "order-1"}
PICTURES = {
    "/edits": ("image", "mask", "edit_mask"),
    "/identities": ("image", "mask"),
    "/attributes": ("image", "mask"),
    "/masks": ("image",),
}
"""The pictures that each path takes."""
NAMED = [(path, name) for path, names in PICTURES.items() for name in names]
LEARNS = ["/identities", "/attributes"]
FINDS = ["/edits", "/identities", "/masks"]
"""The paths that find the person themselves, at a pixel or not."""
BYTES = {"image": pictures.photo(), "mask": pictures.mask(), "edit_mask": pictures.mask()}
every_path = pytest.mark.parametrize("path", PICTURES)
every_picture = pytest.mark.parametrize(("path", "name"), NAMED)


def sent(app: App, path: str, **changes: str | None) -> dict[str, Any]:
    """Upload the pictures that `path` takes, all but those in `changes`. Return their ids."""
    return {name: changes[name] if name in changes else app.upload(BYTES[name]) for name in PICTURES[path]}


def by_form(app: App, path: str, *, headers: dict[str, str] | None = None, **parts: str) -> Any:
    """POST the same pictures as files."""
    files = {name: ("x.png", BYTES[name]) for name in PICTURES[path]}
    return app.http.post(path, data={**PROMPTS[path], **parts}, files=files, headers=headers)


def done(api: Api, app: App, answer: Any, engine: FakeEngine | None = None) -> dict[str, Any]:
    """Run the queued jobs. Return that of `answer`."""
    assert answer.status_code == 202, answer.json()
    while api.queue.messages:
        run_job(api.queue.messages.popleft(), app.services, engine or FakeEngine())
    job: dict[str, Any] = app.http.get(answer.headers["location"]).json()
    assert job["state"] == "succeeded", job
    return job


class TestAccepted:
    @every_path
    def test_a_job_of_uploads_is_the_job_of_the_same_files(self, app: App, path: str) -> None:
        answer = app.post(path, **sent(app, path), max_pixels=1_000_000, deadline_s=600)
        assert answer.status_code == 202, answer.json()
        assert answer.headers["location"] == f"/edits/{answer.json()['id']}"
        other = by_form(app, path, max_pixels="1000000")
        uploaded, filed = (Jobs(app.services).spec(OWNER, job.json()["id"]) for job in (answer, other))
        assert uploaded.request == filed.request
        assert {name: file.sha256 for name, file in uploaded.inputs.items()} == {
            name: file.sha256 for name, file in filed.inputs.items()
        }
        assert set(uploaded.inputs) == set(PICTURES[path])
        assert app.store.get(uploaded.inputs["image"].key) == pictures.photo()
        assert uploaded.deadline_at == pytest.approx(uploaded.created_at + 600)

    def test_a_person_is_learned_and_the_next_edit_knows_her(self, api: Api, app: App) -> None:
        asked = {"name": "Ada", "consent": "she agreed", "subject": "woman", "seed": 7, "identity_ttl_s": 3600.5}
        learned = done(api, app, app.post("/identities", **sent(app, "/identities"), **asked))
        identity = app.http.get(f"/identities/{learned['identity']}").json()
        assert (identity["name"], identity["consent"]["statement"], identity["has_photo"]) == ("Ada", "she agreed", True)
        engine, pair = FakeEngine(), sent(app, "/identities")
        edit = done(api, app, app.edit(**pair, source_prompt="a photo of a woman", seed=7), engine)
        assert (edit["identity"], engine.learned) == (learned["identity"], 0)

    def test_an_attribute_is_learned_and_an_edit_applies_it(self, api: Api, app: App) -> None:
        learned = done(api, app, app.post("/attributes", **sent(app, "/attributes"), name="Bowler"))
        attribute = app.http.get(f"/attributes/{learned['attribute']}").json()
        assert (attribute["name"], attribute["placeholder"], attribute["subject"]) == ("Bowler", "[A]", "hat")
        asked = {"attributes": [attribute["id"]], "prompt": "a photo of a woman with [A] hat"}
        edit = done(api, app, app.edit(**{**sent(app, "/edits"), **asked}))
        assert edit["result"]["url"]

    def test_a_mask_is_found(self, api: Api, app: App) -> None:
        job = done(api, app, app.post("/masks", **sent(app, "/masks")))
        link = app.http.get(job["mask"]["url"])
        assert link.content == FakeEngine().mask(pictures.photo(), None)

    @pytest.mark.parametrize("path", FINDS)
    def test_the_mask_may_be_missing_and_a_pixel_named(self, app: App, path: str) -> None:
        answer = app.post(path, image=app.upload(pictures.photo()), at=[4, 5])
        assert answer.status_code == 202, answer.json()
        assert Jobs(app.services).spec(OWNER, answer.json()["id"]).request.at == (4, 5)

    @every_path
    def test_an_upload_may_be_used_again(self, app: App, path: str) -> None:
        ids = sent(app, path)
        assert [app.post(path, **ids).status_code for _ in range(2)] == [202, 202]

    @every_path
    def test_null_is_as_good_as_left_out(self, app: App, path: str) -> None:
        nulls = {"max_pixels": None, "deadline_s": None, "webhook_url": None}
        assert app.post(path, **sent(app, path), **nulls).status_code == 202

    @every_path
    def test_nothing_but_the_picture_is_left_of_an_upload(self, app: App, path: str) -> None:
        photo = canary_files()["jpeg"]
        ids = {"image": app.upload(photo, media_type="image/jpeg")}
        ids |= {name: app.upload(pictures.mask(upright("jpeg"))) for name in PICTURES[path][1:]}
        assert app.post(path, **ids).status_code == 202
        assert_tells_nothing({key: app.store.get(key) for key in app.store.list("")})
        assert app.http.get(f"/uploads/{ids['image']}").json()["state"] == "arrived"


class TestRepeated:
    @every_path
    def test_the_same_request_again_is_one_job(self, app: App, path: str) -> None:
        ids = sent(app, path)
        jobs = {app.post(path, **ids, headers=KEY).json()["id"] for _ in range(2)}
        assert len(jobs | {by_form(app, path, headers=KEY).json()["id"]}) == 1
        assert_problem(app.post(path, **ids, max_pixels=70_000, headers=KEY), 422, "idempotency_key_reused")

    @every_path
    def test_its_uploads_are_kept_as_long_as_its_key_counts(self, app: App, path: str) -> None:
        ids = sent(app, path)
        first = app.post(path, **ids, headers=KEY)
        for upload_id in ids.values():
            made_older(app, upload_id, app.services.settings.idempotency_ttl_s - 60)
        assert swept(app) == 0
        assert app.post(path, **ids, headers=KEY).json()["id"] == first.json()["id"]

    @every_path
    def test_one_whose_job_was_erased_is_told_so(self, app: App, path: str) -> None:
        """Also if the upload has gone, too."""
        ids = sent(app, path)
        app.http.delete(app.post(path, **ids, headers=KEY).headers["location"])
        app.http.delete(f"/uploads/{ids['image']}")
        assert_problem(app.post(path, **ids, headers=KEY), 410, "edit_erased")


class TestRefused:
    @every_path
    def test_the_photo_may_not_be_missing(self, app: App, path: str) -> None:
        assert_problem(app.post(path, **sent(app, path, image=None)), 422, "image_missing", "image")

    def test_nor_may_the_region_of_an_attribute(self, app: App) -> None:
        assert_problem(app.post("/attributes", **sent(app, "/attributes", mask=None)), 422, "mask_missing", "mask")

    @pytest.mark.parametrize("upload_id", [NEVER, "nonsense", "../x", "", "u_" + "0" * 60])
    @every_picture
    def test_an_unknown_upload_is_named(self, app: App, path: str, name: str, upload_id: str) -> None:
        problem = assert_problem(app.post(path, **sent(app, path, **{name: upload_id})), 422, "upload_unknown", name)
        assert problem["errors"][0]["pointer"] == f"#/{name}"

    @every_picture
    def test_an_unfinished_upload_is_told_from_an_unknown_one(self, app: App, path: str, name: str) -> None:
        waiting = app.announce(BYTES[name]).json()["id"]
        assert_problem(app.post(path, **sent(app, path, **{name: waiting})), 422, "upload_unfinished", name)

    @pytest.mark.parametrize("headers", [None, KEY])
    @every_picture
    def test_an_expired_upload_is_unknown(self, app: App, path: str, name: str, headers: dict[str, str] | None) -> None:
        old = app.upload(BYTES[name])
        made_older(app, old, DAY_S + 1)
        assert_problem(app.post(path, **sent(app, path, **{name: old}), headers=headers), 422, "upload_unknown", name)

    @every_picture
    def test_an_erased_upload_is_unknown(self, app: App, path: str, name: str) -> None:
        erased = app.upload(BYTES[name])
        assert app.http.delete(f"/uploads/{erased}").status_code == 200
        assert_problem(app.post(path, **sent(app, path, **{name: erased}), headers=KEY), 422, "upload_unknown", name)
        assert left(app, erased) == []

    @every_path
    def test_one_that_is_erased_meanwhile_leaves_nothing(self, app: App, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
        ids, put = sent(app, path), app.store.put

        def erased_before(key: str, data: bytes, **how: Any) -> None:
            if key.endswith("kept.json"):
                app.store.delete_prefix(key.removesuffix("kept.json"))
            put(key, data, **how)

        monkeypatch.setattr(app.store, "put", erased_before)
        assert_problem(app.post(path, **ids, headers=KEY), 422, "upload_unknown", "image")
        assert left(app, ids["image"]) == []

    @every_path
    def test_a_foreign_upload_is_unknown(self, app: App, path: str) -> None:
        answer = app.post(path, **sent(app, path), headers={"S2Edit-User": "mallory"})
        assert_problem(answer, 422, "upload_unknown", "image")
        assert list(app.store.list("t/default/u/mallory/")) == []

    @pytest.mark.parametrize(
        ("kept", "changes"),
        [
            (pictures.photo()[:-1], {}),
            (pictures.photo() + b"!", {}),
            (b"", {}),
            (pictures.photo()[:-1] + b"!", {}),
            (pictures.photo(format="JPEG"), {"sha256": None}),
            (b"%PDF" + pictures.photo()[4:], {"sha256": None}),
        ],
        ids=["shorter", "longer", "empty", "another digest", "another length", "not of its type"],
    )
    @every_path
    def test_bytes_that_are_not_what_was_announced_are_refused(
        self, app: App, path: str, kept: bytes, changes: dict[str, Any]
    ) -> None:
        """The store of this test does not enforce the signed headers."""
        upload_id = app.announce(pictures.photo(), **changes).json()["id"]
        app.store.put(upload_key(OWNER, upload_id, "file.png"), kept, media_type="image/png")
        assert_problem(app.post(path, **sent(app, path, image=upload_id)), 422, "upload_mismatch", "image")

    @every_path
    def test_a_refused_request_leaves_nothing_behind(self, app: App, path: str) -> None:
        cut = app.upload(pictures.photo()[:-200])
        ids = sent(app, path)
        before = list(app.store.list(""))
        assert_problem(app.post(path, **{**ids, "image": cut}), 422, "image_damaged", "image")
        if path != "/masks":
            for empty in ("", " "):
                assert_problem(app.post(path, **ids, prompt=empty, headers=KEY), 422, "prompt_empty", "prompt")
            assert_problem(app.post(path, **ids, prompt="a woman with [A] (hat:1.3)", headers=KEY), 422, "prompt_syntax", "prompt")
        assert list(app.store.list("")) == before

    @pytest.mark.parametrize("path", LEARNS)
    def test_a_mask_that_marks_nothing_is_refused_at_once(self, app: App, path: str) -> None:
        nothing = app.upload(pictures.mask(fill="nothing"))
        assert_problem(app.post(path, **sent(app, path, mask=nothing)), 422, "mask_empty", "mask")

    @pytest.mark.parametrize("path", LEARNS)
    def test_learning_counts_as_by_a_form(self, app: App, path: str) -> None:
        settings = app.services.settings.model_copy(update={"tenant_learnings_per_day": 1})
        app.services = replace(app.services, settings=settings)
        app.http = TestClient(create_app(app.services))
        report_loaded(app.store, settings.model, FakeEngine.facts)
        app.services.store.usage.book("default", DailyUsage(learnings=1))
        assert_problem(app.post(path, **sent(app, path)), 429, "quota_spent")


class TestBodies:
    @pytest.mark.parametrize("at", [[4], [4, 5, 6], [-1, 4], [4.5, 4], ["4", "5"], "4,5", {"x": 4}, 4])
    @pytest.mark.parametrize("path", FINDS)
    def test_a_pixel_is_two_whole_numbers(self, app: App, path: str, at: Any) -> None:
        answer = app.post(path, image=app.upload(pictures.photo()), at=at)
        assert answer.status_code == 422
        assert answer.json()["field"].startswith("at")

    @pytest.mark.parametrize(
        ("path", "values", "code", "field"),
        [
            ("/edits", {"stepz": 20}, "option_unknown", "stepz"),
            ("/edits", {"steps": "abc"}, "option_invalid", "steps"),
            ("/edits", {"steps": "20"}, "option_invalid", "steps"),
            ("/edits", {"variants": True}, "option_invalid", "variants"),
            ("/edits", {"steps": [1]}, "option_invalid", "steps"),
            ("/edits", {"prompt": None}, "option_invalid", "prompt"),
            ("/identities", {"steps": 20}, "option_unknown", "steps"),
            ("/identities", {"edit_mask": NEVER}, "option_unknown", "edit_mask"),
            ("/identities", {"dry_run": True}, "option_unknown", "dry_run"),
            ("/identities", {"seed": "7"}, "option_invalid", "seed"),
            ("/identities", {"name": ""}, "option_invalid", "name"),
            ("/identities", {"identity_ttl_s": "60"}, "option_invalid", "identity_ttl_s"),
            ("/identities", {"prompt": None}, "option_invalid", "prompt"),
            ("/attributes", {"at": [4, 5]}, "option_unknown", "at"),
            ("/attributes", {"preset": 1}, "option_invalid", "preset"),
            ("/attributes", {"prompt": ["[A] hat"]}, "option_invalid", "prompt"),
            ("/masks", {"mask": NEVER}, "option_unknown", "mask"),
            ("/masks", {"max_pixels": "1000000"}, "option_invalid", "max_pixels"),
            *((path, {"image": wrong}, "option_invalid", "image") for path in PICTURES for wrong in ({"id": "x"}, ["u_1"], 7)),
        ],
    )
    def test_a_wrong_value_is_named(self, app: App, path: str, values: dict[str, Any], code: str, field: str) -> None:
        assert_problem(app.post(path, **{**sent(app, path), **values}), 422, code, field)

    @every_picture
    def test_a_form_takes_no_upload(self, app: App, path: str, name: str) -> None:
        """Not even beside files."""
        files: dict[str, Any] = {each: ("x.png", BYTES[each]) for each in PICTURES[path]}
        files[name] = (None, app.upload(BYTES[name]))
        before = list(app.store.list(""))
        problem = assert_problem(app.http.post(path, data=PROMPTS[path], files=files), 422, "part_kind", name)
        assert "must be a file" in problem["detail"]
        assert list(app.store.list("")) == before

    @every_path
    def test_json_takes_no_file(self, app: App, path: str) -> None:
        """What is sent as one kind of body is read as that, whatever it holds."""
        ids = {**PROMPTS[path], **sent(app, path)}
        form = app.http.build_request("POST", path, files={"image": ("x.png", BYTES["image"])})
        answer = app.http.post(path, content=form.read(), headers={"Content-Type": "application/json"})
        assert answer.json()["code"] == "body_invalid"
        multipart = {"Content-Type": "multipart/form-data; boundary=x"}
        assert_problem(app.http.post(path, content=json.dumps(ids), headers=multipart), 400, "malformed_request")

    @pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", "application/jsonp", ""])
    @every_path
    def test_another_content_type_is_refused(self, app: App, path: str, kind: str) -> None:
        body = json.dumps({**PROMPTS[path], **sent(app, path)})
        problem = assert_problem(app.http.post(path, content=body, headers={"Content-Type": kind}), 415, "unsupported_media_type")
        assert problem["detail"].endswith("send the request as multipart/form-data, or with uploads as application/json")

    def test_where_only_a_form_is_taken_the_refusal_offers_nothing_else(self, app: App) -> None:
        answer = app.http.post("/identities/import", json={"file": NEVER})
        assert assert_problem(answer, 415, "unsupported_media_type")["detail"].endswith("send the request as multipart/form-data")

    @pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON"])
    @every_path
    def test_json_may_be_spelled_otherwise(self, app: App, path: str, kind: str) -> None:
        body = json.dumps({**PROMPTS[path], **sent(app, path)})
        assert app.http.post(path, content=body, headers={"Content-Type": kind}).status_code == 202

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b"[" * 60_000])
    @every_path
    def test_a_body_that_is_no_object_is_refused(self, app: App, path: str, body: bytes) -> None:
        answer = app.http.post(path, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code in (400, 422)
        assert answer.headers["content-type"] == "application/problem+json"


def described() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Yield path, form and document of every route that takes pictures in both ways."""
    schema = json.loads((ROOT / "clients" / "openapi.json").read_text(encoding="utf-8"))
    models = schema["components"]["schemas"]
    for path in PICTURES:
        content = schema["paths"][path]["post"]["requestBody"]["content"]
        assert set(content) == {"multipart/form-data", "application/json"}
        yield path, *(models[one["schema"]["$ref"].rpartition("/")[2]] for one in content.values())


def test_the_description_knows_both_ways_of_asking() -> None:
    """Both bodies have the same fields, and files where the other has ids."""
    for path, form, document in described():
        assert form["properties"].keys() == document["properties"].keys(), path
        assert form.get("required") == document.get("required"), path
        files = {name for name, part in form["properties"].items() if part.get("format") == "binary"}
        assert files == set(PICTURES[path])
        for name in files:
            assert document["properties"][name]["anyOf"] == [{"type": "string", "maxLength": 64}, {"type": "null"}]
