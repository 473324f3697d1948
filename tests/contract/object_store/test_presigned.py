"""Presigned URLs and forms, sent to the servers that accept them: the signed request works, and every changed one is rejected.

moto only takes part in the tests of valid requests, because it ignores signatures, dates, signed headers and policies.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.artifacts import ArtifactStore, SignedForm
from s2edit_jobs.stores.object_store.filesystem_artifacts import FilesystemArtifactStore
from tests.contract.conftest import store_of
from tests.stores import Database, MemoryJobQueue

KEY = "t/app/u/ann/uploads/u_1/image.png"
ANNOUNCED = "t/app/u/ann/uploads/u_1/upload.json"
OTHER = "t/app/u/bob/uploads/u_2/image.png"
PICTURE = b"as good as a picture"
TTL_S = 300


@dataclass(frozen=True)
class Request:
    """A request, of which tests make changed copies."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""


class Served:
    """A store, and a client of the server that accepts its links."""

    def __init__(self, store: ArtifactStore, http: httpx.Client) -> None:
        self.store = store
        self.http = http
        self.store.put(ANNOUNCED, b"{}", media_type="application/json")
        for key in (KEY, OTHER):
            store.put(key, PICTURE, media_type="image/png")

    def send(self, request: Request) -> httpx.Response:
        return self.http.request(request.method, request.url, headers=dict(request.headers), content=request.body or None)

    def download(self) -> Request:
        return Request("GET", self.store.presigned_get(KEY, expires_s=TTL_S, filename="edit.png"), {})

    def upload(self) -> Request:
        """Return a PUT of `KEY`, after deleting the object."""
        self.store.delete_prefix(KEY)
        put = self.store.presigned_put(KEY, expires_s=TTL_S, media_type="image/png", size_bytes=len(PICTURE))
        return Request("PUT", put.url, put.headers, PICTURE)

    def form(self) -> SignedForm:
        self.store.delete_prefix(KEY)
        form = self.store.presigned_post(KEY, expires_s=TTL_S, media_type="image/png", min_bytes=10, max_bytes=len(PICTURE))
        assert form is not None
        return form

    def post(self, form: SignedForm, body: bytes = PICTURE) -> httpx.Response:
        return self.http.post(form.url, data=dict(form.fields), files={"file": ("x.png", body)})


def serve(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    store = store_of(name, request, tmp_path)
    if isinstance(store, FilesystemArtifactStore):
        with TestClient(create_app(Services(store, Database().store(), MemoryJobQueue(), Settings(data_dir=tmp_path)))) as client:
            yield Served(store, client)
    else:
        with httpx.Client(timeout=30, trust_env=False) as client:
            yield Served(store, client)


@pytest.fixture(params=["filesystem", "moto", "radosgw"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    yield from serve(request.param, request, tmp_path)


@pytest.fixture(params=["filesystem", "radosgw"])
def strict(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    yield from serve(request.param, request, tmp_path)


class TestValid:
    def test_a_link_returns_the_object_as_an_attachment(self, served: Served) -> None:
        answer = served.send(served.download())
        assert (answer.status_code, answer.content) == (200, PICTURE)
        disposition = answer.headers["content-disposition"]
        assert disposition.startswith("attachment; filename")
        assert "edit.png" in disposition

    def test_an_upload_is_stored(self, served: Served) -> None:
        assert served.send(served.upload()).status_code == 200
        assert served.store.get(KEY) == PICTURE

    def test_an_upload_works_only_once(self, served: Served) -> None:
        upload = served.upload()
        served.send(upload)
        again = replace(upload, body=PICTURE.upper())
        assert served.send(again).status_code == 412
        assert served.store.get(KEY) == PICTURE

    def test_only_stores_that_enforce_the_policy_return_a_form(self, served: Served, request: pytest.FixtureRequest) -> None:
        form = served.store.presigned_post(KEY, expires_s=TTL_S, media_type="image/png", min_bytes=1, max_bytes=99)
        assert (form is not None) == ("radosgw" in request.node.name)

    def test_a_form_upload_is_stored(self, radosgw: Settings, request: pytest.FixtureRequest, tmp_path: Path) -> None:
        for served in serve("radosgw", request, tmp_path):
            assert served.post(served.form()).status_code in (200, 201, 204)
            assert served.store.get(KEY) == PICTURE


def changed_value(value: str) -> Iterator[str]:
    """Yield changed values."""
    yield ""
    yield value + "0"
    yield value[:-1]
    for place in {0, len(value) // 2, len(value) - 1}:
        yield value[:place] + ("1" if value[place] == "0" else "0") + value[place + 1 :]
    if value.swapcase() != value:
        yield value.swapcase()


def changed_paths(path: str) -> Iterator[tuple[str, str]]:
    yield "another object", path.replace(KEY, OTHER)
    yield "a missing object", path.replace("image.png", "nothing.png")
    yield "its folder", path.rpartition("/")[0] + "/"
    for text in ("x", "/", "%20", "%00", "/%2e%2e/image.png"):
        yield f"{text} appended", path + text
    yield "a letter's case", path.replace("image", "Image")


def changed_queries(query: str) -> Iterator[tuple[str, str]]:
    fields = parse_qsl(query, keep_blank_values=True)
    for place, (name, value) in enumerate(fields):
        others = [field for field in fields if field[0] != name]
        yield f"no {name}", urlencode(others)
        for other in changed_value(value):
            yield f"{name}={other[:80]}", urlencode([*fields[:place], (name, other), *fields[place + 1 :]])
            yield f"two of {name}, then {other[:80]}", urlencode([*fields, (name, other)])
        if name.lower().endswith("expires"):
            yield f"a longer {name}", urlencode([*others, (name, str(int(value) + 100))])
    for name in (
        "name",
        "response-content-type",
        "response-content-disposition",
        "acl",
        "uploads",
        "versionId",
        "foo",
        "x-amz-acl",
    ):
        if name not in dict(fields):
            yield f"{name} added", f"{query}&{urlencode({name: 'public-read'})}"
            yield f"{name} added before", f"{urlencode({name: 'public-read'})}&{query}"


def changed_urls(request: Request) -> Iterator[tuple[str, Request]]:
    url = urlsplit(request.url)
    for method in {"GET", "HEAD", "PUT", "POST", "DELETE", "PATCH"} - {request.method}:
        yield f"method {method}", replace(request, method=method)
    for what, path in changed_paths(url.path):
        yield f"path: {what}", replace(request, url=url._replace(path=path).geturl())
    for what, query in changed_queries(url.query):
        yield f"query: {what}", replace(request, url=url._replace(query=query).geturl())
    yield "no query", replace(request, url=url._replace(query="").geturl())


def changed_headers(request: Request) -> Iterator[tuple[str, Request]]:
    others = {"Content-Type": ("text/html", "image/jpeg", "image/png; a=b", ""), "If-None-Match": ('"x"', "")}
    for name, values in others.items():
        rest = {one: value for one, value in request.headers.items() if one != name}
        yield f"no {name}", replace(request, headers=rest)
        for value in values:
            yield f"{name}: {value}", replace(request, headers={**rest, name: value})
    unsized = {name: value for name, value in request.headers.items() if name != "Content-Length"}
    for body in (PICTURE + b"!", PICTURE[:-1], b""):
        yield f"{len(body)} bytes", replace(request, headers={**unsized, "Content-Length": str(len(body))}, body=body)


def accepted(served: Served, changes: Iterator[tuple[str, Request]]) -> list[str]:
    """Return the changed requests that were not rejected."""
    tried = [(what, served.send(request).status_code) for what, request in changes]
    assert tried
    return [f"{what}: {status}" for what, status in tried if not 400 <= status < 500]


class TestRejected:
    def test_every_changed_link(self, strict: Served) -> None:
        download = strict.download()
        # The API serves HEAD wherever it serves GET; S3 signs the method.
        may = ["method HEAD: 200"] if isinstance(strict.store, FilesystemArtifactStore) else []
        assert accepted(strict, changed_urls(download)) == may
        assert strict.store.get(KEY) == strict.store.get(OTHER) == PICTURE
        assert strict.send(download).status_code == 200

    def test_every_changed_upload(self, strict: Served) -> None:
        upload = strict.upload()
        assert accepted(strict, changed_urls(upload)) == []
        assert accepted(strict, changed_headers(upload)) == []
        assert list(strict.store.list("")) == [ANNOUNCED, OTHER]
        assert strict.store.get(OTHER) == PICTURE
        assert strict.send(upload).status_code == 200  # the unchanged request still works

    def test_every_changed_form(self, radosgw: Settings, request: pytest.FixtureRequest, tmp_path: Path) -> None:
        for served in serve("radosgw", request, tmp_path):
            form = served.form()
            tried = [(what, served.post(changed).status_code) for what, changed in changed_forms(form)]
            tried += [(f"{len(body)} bytes", served.post(form, body).status_code) for body in (PICTURE + b"!", PICTURE[:9], b"")]
            assert len(tried) >= 60
            assert [one for one in tried if not 400 <= one[1] < 500] == []
            assert list(served.store.list("")) == [ANNOUNCED, OTHER]
            assert served.post(form).status_code in (200, 201, 204)

    @pytest.mark.parametrize("what", ["download", "upload"])
    def test_an_expired_request(self, strict: Served, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tests.contract.object_store.test_presigned.TTL_S", 1)
        ask: Callable[[], Request] = getattr(strict, what)
        request = ask()
        time.sleep(2.1)
        assert strict.send(request).status_code == 403

    def test_an_expired_form(
        self, radosgw: Settings, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tests.contract.object_store.test_presigned.TTL_S", 1)
        for served in serve("radosgw", request, tmp_path):
            form = served.form()
            time.sleep(2.1)
            assert served.post(form).status_code == 403


def changed_forms(form: SignedForm) -> Iterator[tuple[str, SignedForm]]:
    for name, value in form.fields.items():
        others = {one: kept for one, kept in form.fields.items() if one != name}
        yield f"no {name}", replace(form, fields=others)
        for other in changed_value(value):
            yield f"{name}={other[:80]}", replace(form, fields={**form.fields, name: other})
    yield "another object", replace(form, fields={**form.fields, "key": OTHER})
    for name in ("acl", "success_action_redirect", "success_action_status", "x-amz-meta-a", "Content-Disposition", "Cache-Control"):
        yield f"{name} added", replace(form, fields={**form.fields, name: "public-read"})
