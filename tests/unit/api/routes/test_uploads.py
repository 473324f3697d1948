"""Uploads: announced, sent by a signed request, and kept for a time. `test_named_uploads` has the requests that name them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import tracemalloc
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi.testclient import TestClient
from starlette.requests import Request
from starlette.types import Message

from api.app import create_app
from api.guard.whole_body import IN_MEMORY_BYTES
from s2edit_jobs.access.keys import KeyRing
from s2edit_jobs.library.retention import Retention
from s2edit_jobs.library.uploads import SWEEP_AFTER_S
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.stores.artifacts import upload_key
from s2edit_jobs.stores.object_store.filesystem_artifacts import FilesystemArtifactStore
from tests.logged import logging_to_memory
from tests.unit.api import pictures
from tests.unit.api.conftest import MAX_BODY, OWNER, PROMPT, Api
from tests.unit.api.wire.test_bad_input import assert_problem

NEVER = f"u_{'0' * 32}"
PROMPTS: dict[str, dict[str, str]] = {
    "/edits": {"prompt": PROMPT},
    "/identities": {"prompt": "a photo of a woman"},
    "/attributes": {"prompt": "a woman with [A] hat"},
    "/masks": {},
}
"""The fields that a path requires besides the pictures."""


class App:
    """An app that uploads its pictures to a filesystem store, whose signed URLs the API serves."""

    def __init__(self, api: Api, store: FilesystemArtifactStore) -> None:
        self.store = store
        self.services = replace(api.services, artifacts=store)
        self.http = TestClient(create_app(self.services))

    def announce(self, data: bytes, *, user: str = "default", **changes: Any) -> Any:
        asked = {"media_type": "image/png", "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), **changes}
        asked = {name: value for name, value in asked.items() if value is not None}
        return self.http.post("/uploads", json=asked, headers={"S2Edit-User": user})

    def send(self, upload: Any, data: bytes) -> Any:
        put = upload.json()["put"]
        return self.http.put(put["url"], headers=put["headers"], content=data)

    def upload(self, data: bytes, **changes: Any) -> str:
        """Announce and send an upload. Return its id."""
        upload = self.announce(data, **changes)
        assert self.send(upload, data).status_code == 200
        upload_id: str = upload.json()["id"]
        return upload_id

    def post(self, path: str, *, headers: dict[str, str] | None = None, **values: Any) -> Any:
        """POST a JSON body with the prompt of the path."""
        return self.http.post(path, json={**PROMPTS[path], **values}, headers=headers)

    def edit(self, *, headers: dict[str, str] | None = None, **values: Any) -> Any:
        return self.post("/edits", headers=headers, **values)


def send_parts(app: App, upload: Any, parts: Iterable[Message]) -> list[Message]:
    """Send what was announced, message by message. Return the messages of the answer."""
    put, messages, sent = upload.json()["put"], iter(parts), list[Message]()
    url, headers = urlsplit(put["url"]), {"host": "testserver", **put["headers"]}

    async def receive() -> Message:
        return next(messages)

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "PUT",
        "path": url.path,
        "raw_path": url.path.encode(),
        "query_string": url.query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "server": ("testserver", 80),
        "client": ("testclient", 1),
        "scheme": "http",
        "http_version": "1.1",
    }
    asyncio.run(app.http.app(scope, receive, send))  # type: ignore[arg-type]
    return sent


@pytest.fixture
def app(api: Api, tmp_path: Path) -> Iterator[App]:
    """The app, whose store has nothing half-written in the end."""
    app = App(api, FilesystemArtifactStore(tmp_path / "objects", "http://testserver", "a signing key"))
    yield app
    folder = app.store.root / ".writing"
    assert not folder.exists() or list(folder.iterdir()) == []


class TestSending:
    def test_a_body_that_is_cut_off_is_no_error_of_ours_and_can_be_sent_again(self, app: App) -> None:
        """Anybody can cut off a body, as often as he likes, and would fill the log with stack traces."""
        data = pictures.photo()
        announced = app.announce(data)
        parts: list[Message] = [{"type": "http.request", "body": data[:9], "more_body": True}, {"type": "http.disconnect"}]
        with logging_to_memory() as stream:
            sent = send_parts(app, announced, parts)
        assert stream.of("sender_gone")
        assert not stream.of("request_failed")
        assert sent == []
        assert app.send(announced, data).status_code == 200

    def test_a_large_body_is_not_in_memory_while_it_comes(self, api: Api, tmp_path: Path) -> None:
        size, held = 4 * IN_MEMORY_BYTES, []
        api.limit(max_upload_bytes=size)
        app = App(api, FilesystemArtifactStore(tmp_path / "objects", "http://testserver", "a signing key"))
        announced = app.announce(b"", size_bytes=size, sha256=None)

        def parts() -> Iterator[Message]:
            for left in range(size - 100_000, -1, -100_000):
                held.append(tracemalloc.get_traced_memory()[0])
                yield {"type": "http.request", "body": bytes(100_000), "more_body": left > 0}

        tracemalloc.start()
        try:
            sent = send_parts(app, announced, parts())
        finally:
            tracemalloc.stop()
        assert sent[0]["status"] == 200
        assert max(held) - held[0] < 2 * IN_MEMORY_BYTES
        (key,) = [key for key in app.store.list(OWNER.prefix) if not key.endswith(".json")]
        assert app.store.size_bytes(key) == size

    def test_an_upload_is_announced_sent_and_arrives(self, app: App) -> None:
        data = pictures.photo()
        announced = app.announce(data)
        assert announced.status_code == 201
        upload = announced.json()
        assert announced.headers["location"] == f"/uploads/{upload['id']}"
        assert announced.headers["cache-control"] == "no-store"
        assert (upload["state"], upload["form"]) == ("waiting", None)
        assert upload["put"]["headers"] == {
            "Content-Type": "image/png",
            "Content-Length": str(len(data)),
            "If-None-Match": "*",
        }
        left = datetime.fromisoformat(upload["expires_at"]) - datetime.now().astimezone()
        assert timedelta(seconds=580) < left <= timedelta(seconds=600)
        assert app.send(announced, data).status_code == 200
        arrived = app.http.get(announced.headers["location"]).json()
        assert (arrived["state"], arrived["put"], arrived["expires_at"]) == ("arrived", None, None)
        lives = datetime.fromisoformat(upload["upload_expires_at"]) - datetime.fromisoformat(upload["created_at"])
        assert lives == timedelta(days=1)
        assert arrived["upload_expires_at"] == upload["upload_expires_at"]

    def test_it_lies_under_its_owners_prefix(self, app: App) -> None:
        app.upload(pictures.photo(), user="ada")
        assert list(app.store.list("")) == list(app.store.list("t/default/u/ada/uploads/"))

    def test_the_links_are_fresh_at_every_question(self, app: App) -> None:
        announced = app.announce(pictures.photo())
        again = app.http.get(announced.headers["location"])
        assert again.json()["put"]["url"].startswith(announced.json()["put"]["url"].partition("?")[0])
        assert app.send(again, pictures.photo()).status_code == 200

    def test_its_link_needs_no_credentials_where_keys_are_asked_for(self, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
        """The sender has no credentials but the URL. Without a valid one the service reads no byte."""
        key = KeyRing(app.store).create("acme")[1]
        settings = app.services.settings.model_copy(update={"auth": "keys"})
        app.http = TestClient(create_app(replace(app.services, settings=settings)))
        data = pictures.photo()
        asked = {"media_type": "image/png", "size_bytes": len(data)}
        announced = app.http.post("/uploads", json=asked, headers={"Authorization": f"Bearer {key}"})
        put = announced.json()["put"]
        with monkeypatch.context() as patch:
            patch.setattr(Request, "body", None)
            assert_problem(app.http.put(f"{put['url']}0", headers=put["headers"], content=data), 403, "link_invalid")
            assert_problem(app.http.put(put["url"].partition("?")[0], headers=put["headers"], content=data), 403, "link_invalid")
        assert app.send(announced, data).status_code == 200

    def test_it_can_be_sent_once(self, app: App) -> None:
        announced = app.announce(pictures.photo())
        app.send(announced, pictures.photo())
        assert_problem(app.send(announced, pictures.photo()), 412, "already_exists")

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"media_type": "image/gif"}, "media_type"),
            ({"media_type": "text/html"}, "media_type"),
            ({"media_type": None}, "media_type"),
            ({"size_bytes": 0}, "size_bytes"),
            ({"size_bytes": -1}, "size_bytes"),
            ({"size_bytes": "12"}, "size_bytes"),
            ({"size_bytes": 1.5}, "size_bytes"),
            ({"size_bytes": MAX_BODY + 1}, "size_bytes"),
            ({"sha256": "abc"}, "sha256"),
            ({"sha256": "g" * 64}, "sha256"),
            ({"name": "x"}, "name"),
        ],
    )
    def test_what_can_not_be_announced(self, app: App, changes: dict[str, Any], field: str) -> None:
        answer = app.announce(b"x", **changes)
        assert answer.status_code == 422
        assert answer.json()["field"] == field
        assert list(app.store.list("")) == []

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff"])
    def test_a_body_that_is_no_object_is_refused(self, app: App, body: bytes) -> None:
        answer = app.http.post("/uploads", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code in (400, 422)
        assert answer.headers["content-type"] == "application/problem+json"

    def test_foreign_and_unknown_uploads_look_alike(self, app: App) -> None:
        upload_id = app.upload(pictures.photo(), user="ada")
        answers = [app.http.get(f"/uploads/{one}") for one in (upload_id, NEVER, "nonsense", "u_" + "0" * 40)]
        for answer in answers:
            assert_problem(answer, 404, "not_found")
        assert len({answer.content for answer in answers}) == 1

    def test_an_upload_that_is_kept_beyond_all_calendars_is_still_shown(self, app: App) -> None:
        upload_id = app.upload(pictures.photo())
        app.store.put(upload_key(OWNER, upload_id, "kept.json"), b"1e12", media_type="application/json")
        assert app.http.get(f"/uploads/{upload_id}").json()["upload_expires_at"].startswith("9999-12-31")


DAY_S = 86_400.0


def made_older(app: App, upload_id: str, by_s: float) -> None:
    """Change the upload's announcement to an earlier time."""
    folder = upload_key(OWNER, upload_id, "")
    said = json.loads(app.store.get(f"{folder}upload.json"))
    said["created_at"] -= by_s
    app.store.put(f"{folder}upload.json", json.dumps(said).encode(), media_type="application/json")
    if app.store.exists(f"{folder}kept.json"):
        until = json.loads(app.store.get(f"{folder}kept.json")) - by_s
        app.store.put(f"{folder}kept.json", json.dumps(until).encode(), media_type="application/json")


def swept(app: App) -> int:
    """Return how many objects of uploads a sweep removes."""
    return Retention(app.services).sweep().get("uploads", 0)


def left(app: App, upload_id: str) -> list[str]:
    folder = upload_key(OWNER, upload_id, "")
    return [key.removeprefix(folder) for key in app.store.list(folder)]


def test_an_upload_ends_after_its_life_and_is_removed_with_its_bytes(app: App) -> None:
    old, older, young = (app.upload(pictures.photo()) for _ in range(3))
    made_older(app, old, DAY_S + 1)
    made_older(app, older, DAY_S + SWEEP_AFTER_S + 1)
    made_older(app, young, DAY_S - 60)
    waiting = app.announce(pictures.photo()).json()["id"]
    made_older(app, waiting, 2 * DAY_S)
    damaged = f"u_{'d' * 32}"
    app.store.put(upload_key(OWNER, damaged, "upload.json"), b"{", media_type="application/json")
    for upload_id in (old, older, waiting):
        assert_problem(app.http.get(f"/uploads/{upload_id}"), 404, "not_found")
        assert_problem(app.edit(image=upload_id, mask=young), 422, "upload_unknown", "image")
    assert app.http.get(f"/uploads/{young}").status_code == 200
    assert swept(app) == 4
    assert [bool(left(app, upload_id)) for upload_id in (older, waiting, damaged, old, young)] == [False] * 3 + [True] * 2


def test_an_edit_that_has_taken_it_does_not_miss_it(app: App) -> None:
    image, mask = app.upload(pictures.photo()), app.upload(pictures.mask())
    edit = app.edit(image=image, mask=mask).json()
    for upload_id in (image, mask):
        made_older(app, upload_id, 2 * DAY_S)
    assert swept(app) == 4
    spec = Jobs(app.services).spec(OWNER, edit["id"])
    assert app.store.get(spec.inputs["image"].key) == pictures.photo()


def test_a_request_that_may_come_again_finds_its_uploads_as_long_as_its_key_counts(app: App) -> None:
    asked = {"image": app.upload(pictures.photo()), "mask": app.upload(pictures.mask())}
    once = {"Idempotency-Key": "order-1"}
    first = app.edit(headers=once, **asked)
    assert first.status_code == 202
    for upload_id in asked.values():
        made_older(app, upload_id, app.services.settings.idempotency_ttl_s - 60)
    assert swept(app) == 0
    assert app.edit(headers=once, **asked).json()["id"] == first.json()["id"]
    for upload_id in asked.values():
        made_older(app, upload_id, app.services.settings.idempotency_ttl_s + 2 * SWEEP_AFTER_S + 60)
    assert swept(app) == 6
    assert left(app, asked["image"]) == []


def test_one_that_is_removed_while_its_bytes_are_looked_for_is_unknown_and_not_unfinished(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, mask = app.upload(pictures.photo()), app.upload(pictures.mask())
    size_bytes = app.store.size_bytes

    def removed_before(key: str) -> int:
        app.store.delete_prefix(key.rpartition("/")[0] + "/")
        return size_bytes(key)

    monkeypatch.setattr(app.store, "size_bytes", removed_before)
    assert_problem(app.edit(image=image, mask=mask), 422, "upload_unknown", "image")
