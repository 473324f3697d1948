"""The signed URLs of the filesystem store, from signing to serving."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from s2edit_jobs.stores.object_store.filesystem_artifacts import FilesystemArtifactStore
from tests.unit.api.conftest import Api
from tests.unit.api.wire.test_bad_input import assert_problem

KEY = "t/default/u/default/edits/e_1/result.png"
OTHER = "t/default/u/ada/edits/e_2/result.png"
NOW = 1_790_000_000


@pytest.fixture
def store(tmp_path: Path) -> FilesystemArtifactStore:
    store = FilesystemArtifactStore(tmp_path / "objects", "http://testserver", "a signing key", clock=lambda: NOW)
    for key in (KEY, OTHER, KEY.replace(".png", ".json"), KEY.replace("result.png", "spec.html")):
        store.put(key, key.encode(), media_type="image/png")
    return store


@pytest.fixture
def client(api: Api, store: FilesystemArtifactStore) -> TestClient:
    return TestClient(create_app(replace(api.services, artifacts=store)))


def test_a_signed_url_is_served(client: TestClient, store: FilesystemArtifactStore) -> None:
    answer = client.get(store.presigned_get(KEY, expires_s=60))
    assert (answer.status_code, answer.content) == (200, KEY.encode())
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "private"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert "content-disposition" not in answer.headers


@pytest.mark.parametrize(
    ("name", "media_type"), [("result.json", "application/json"), ("spec.html", "application/octet-stream")], ids=["JSON", "HTML"]
)
def test_the_media_type_is_the_keys(client: TestClient, store: FilesystemArtifactStore, name: str, media_type: str) -> None:
    answer = client.get(store.presigned_get(KEY.replace("result.png", name), expires_s=60))
    assert answer.headers["content-type"] == media_type


@pytest.mark.parametrize("name", ["edited.png", 'a "b"; c.png', "größe.png"])
def test_a_signed_name_is_served_as_an_attachment(client: TestClient, store: FilesystemArtifactStore, name: str) -> None:
    answer = client.get(store.presigned_get(KEY, expires_s=60, filename=name))
    assert answer.status_code == 200
    assert answer.headers["content-disposition"].startswith("attachment; filename")


def changed(url: str, **values: str | None) -> str:
    parts = urlsplit(url)
    query = {**dict(parse_qsl(parts.query)), **values}
    return parts._replace(query=urlencode({name: value for name, value in query.items() if value is not None})).geturl()


TAMPERED: dict[str, Callable[[str], str]] = {
    "another file": lambda url: url.replace(KEY, OTHER),
    "a file that is not there": lambda url: url.replace("result", "nothing"),
    "outside": lambda url: url.replace(KEY, "t/%2e%2e/%2e%2e/etc/passwd"),
    "a longer life": lambda url: changed(url, expires=str(NOW + 9999)),
    "no life": lambda url: changed(url, expires=None),
    "a life in words": lambda url: changed(url, expires="for ever"),
    "another name": lambda url: changed(url, name="x.html"),
    "no name": lambda url: changed(url, name=None),
    "another signature": lambda url: changed(url, signature="A" * 43),
    "no signature": lambda url: changed(url, signature=None),
    "a strange signature": lambda url: changed(url, signature="é\N{SNOWMAN}"),
    "nothing at all": lambda url: url.partition("?")[0],
}


@pytest.mark.parametrize("tamper", TAMPERED.values(), ids=TAMPERED.keys())
def test_a_changed_url_is_refused(client: TestClient, store: FilesystemArtifactStore, tamper: Callable[[str], str]) -> None:
    url = tamper(store.presigned_get(KEY, expires_s=60, filename="edited.png"))
    assert_problem(client.get(url), 403, "link_invalid")


def test_an_expired_url_is_refused(client: TestClient, store: FilesystemArtifactStore) -> None:
    assert_problem(client.get(store.presigned_get(KEY, expires_s=0)), 403, "link_invalid")


def test_a_url_of_another_key_is_refused(client: TestClient, store: FilesystemArtifactStore) -> None:
    forger = FilesystemArtifactStore(store.root, "http://testserver", "another signing key", clock=lambda: NOW)
    assert_problem(client.get(forger.presigned_get(KEY, expires_s=60)), 403, "link_invalid")


def test_a_signed_file_that_is_gone_is_404(client: TestClient, store: FilesystemArtifactStore) -> None:
    url = store.presigned_get(KEY, expires_s=60)
    store.delete_prefix(KEY)
    assert_problem(client.get(url), 404, "not_found")


def test_another_store_serves_its_own_urls(api: Api) -> None:
    answer: Any = api.client.get(f"/files/{KEY}?expires=1&signature=x")
    assert_problem(answer, 404, "not_found")


def test_a_part_of_a_file_is_served(client: TestClient, store: FilesystemArtifactStore) -> None:
    answer = client.get(store.presigned_get(KEY, expires_s=60), headers={"Range": "bytes=2-4"})
    assert (answer.status_code, answer.content) == (206, KEY.encode()[2:5])
    assert answer.headers["content-range"] == f"bytes 2-4/{len(KEY)}"


class TestUnchanged:
    @pytest.mark.parametrize("shape", ["{}", "W/{}", '"other", {}', "*"])
    def test_a_file_that_the_client_has_is_304(self, client: TestClient, store: FilesystemArtifactStore, shape: str) -> None:
        url = store.presigned_get(KEY, expires_s=60)
        first = client.get(url)
        for headers in ({}, {"Range": "bytes=0-3"}):
            again = client.get(url, headers={**headers, "If-None-Match": shape.format(first.headers["etag"])})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == first.headers["etag"]
            assert again.headers["x-content-type-options"] == "nosniff"
        assert client.head(url, headers={"If-None-Match": shape.format(first.headers["etag"])}).status_code == 304

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"If-None-Match": '"another"'}, 200),
            ({"If-None-Match": ""}, 200),
            ({"If-Modified-Since": "Wed, 01 Jan 2070 00:00:00 GMT"}, 304),
            ({"If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}, 200),
            ({"If-Modified-Since": "yesterday"}, 200),
            ({"If-Modified-Since": "Wed, 01 Jan 2070 00:00:00"}, 200),
            ({"If-Modified-Since": "Wed, 01 Jan 2070 00:00:00 GMT", "If-None-Match": '"another"'}, 200),
        ],
    )
    def test_a_tag_decides_over_a_date(
        self, client: TestClient, store: FilesystemArtifactStore, headers: dict[str, str], status: int
    ) -> None:
        answer = client.get(store.presigned_get(KEY, expires_s=60), headers=headers)
        assert (answer.status_code, answer.content) == (status, KEY.encode() if status == 200 else b"")

    def test_a_link_that_was_changed_tells_nothing(self, client: TestClient, store: FilesystemArtifactStore) -> None:
        url = store.presigned_get(KEY, expires_s=60)
        assert client.get(changed(url, signature="x"), headers={"If-None-Match": "*"}).status_code == 403


def test_a_part_beyond_the_end_is_a_problem_too(client: TestClient, store: FilesystemArtifactStore) -> None:
    answer = client.get(store.presigned_get(KEY, expires_s=60), headers={"Range": "bytes=9999-"})
    assert_problem(answer, 416, "range_invalid")
    assert answer.headers["content-range"] == f"bytes */{len(KEY)}"


@pytest.mark.parametrize(
    "asked", ["bytes=4-2", "lines=1-2", "x", "", "bytes=", "bytes=0-1_0", "bytes=0-1;", "bytes=a-b", "bytes=+1-2", "bytes=0-1,9-4"]
)
def test_a_range_that_cannot_be_read_counts_as_none(client: TestClient, store: FilesystemArtifactStore, asked: str) -> None:
    answer = client.get(store.presigned_get(KEY, expires_s=60), headers={"Range": asked})
    assert (answer.status_code, answer.content) == (200, KEY.encode())


@pytest.mark.parametrize(
    ("asked", "first", "end"), [("bytes=2-4", 2, 5), ("BYTES=2-4", 2, 5), ("bytes = 2 - 4", 2, 5), ("bytes=-3", -3, None)]
)
def test_a_range_may_be_written_so(
    client: TestClient, store: FilesystemArtifactStore, asked: str, first: int, end: int | None
) -> None:
    answer = client.get(store.presigned_get(KEY, expires_s=60), headers={"Range": asked})
    assert (answer.status_code, answer.content) == (206, KEY.encode()[first:end])
