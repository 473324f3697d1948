"""`Content-Digest` on bodies and on parts of forms."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import httpx
import pytest

from s2edit_jobs.stores.object_store.filesystem_artifacts import FilesystemArtifactStore
from tests.unit.api import pictures
from tests.unit.api.conftest import PROMPT, Api
from tests.unit.api.routes.test_uploads import App
from tests.unit.api.wire.test_bad_input import assert_problem


def digest(data: bytes, name: str = "sha-256") -> str:
    return f"{name}=:{base64.b64encode(hashlib.new(name.replace('-', ''), data).digest()).decode()}:"


@pytest.fixture
def body() -> httpx.Request:
    files = {"image": ("a.png", pictures.photo()), "mask": ("a.png", pictures.mask())}
    request = httpx.Request("POST", "http://testserver/edits", data={"prompt": PROMPT}, files=files)
    request.read()
    return request


def send(api: Api, body: httpx.Request, header: str) -> httpx.Response:
    headers = {"Content-Type": body.headers["content-type"], "Content-Digest": header}
    answer: httpx.Response = api.client.post("/edits", content=body.content, headers=headers)
    return answer


@pytest.mark.parametrize("name", ["sha-256", "sha-512"])
def test_a_body_that_agrees_is_taken(api: Api, body: httpx.Request, name: str) -> None:
    assert send(api, body, digest(body.content, name)).status_code == 202


@pytest.mark.parametrize("header", ["md5=:AAAA:", "unixsum=:AAAA:, " + digest(b"other", "sha-512").replace("sha-512", "sha-51x")])
def test_unknown_algorithms_are_passed_over(api: Api, body: httpx.Request, header: str) -> None:
    assert send(api, body, header).status_code == 202


@pytest.mark.parametrize(
    "header",
    [
        digest(b"other"),
        digest(b"other", "sha-512"),
        digest(b""),
        "sha-256=::",
        "sha-256=:AAA:",
        "sha-256=AAAA",
        "sha-256",
        "",
        "x",
        f"{digest(b'other')}, md5=:AAAA:",
    ],
)
def test_another_body_is_refused_and_nothing_is_kept(api: Api, body: httpx.Request, header: str) -> None:
    problem = assert_problem(send(api, body, header), 400, "digest_mismatch")
    assert "Content-Digest" in problem["detail"]
    assert problem["retryable"] == ("send it again" in problem["detail"])
    assert api.kept() == ({}, [], [])


@pytest.mark.parametrize(("header", "retryable"), [(digest(b"damaged on its way"), True), ("sha-256", False)])
def test_only_damage_is_worth_a_retry(api: Api, body: httpx.Request, header: str, retryable: bool) -> None:
    assert assert_problem(send(api, body, header), 400, "digest_mismatch")["retryable"] is retryable


def test_one_of_two_digests_that_disagrees_is_enough(api: Api, body: httpx.Request) -> None:
    both = f"{digest(body.content)}, {digest(b'other', 'sha-512')}"
    assert_problem(send(api, body, both), 400, "digest_mismatch")


@pytest.mark.parametrize(("data", "status"), [(pictures.photo(), 202), (b"other", 400)])
def test_a_part_may_have_its_own(api: Api, data: bytes, status: int) -> None:
    image = ("a.png", pictures.photo(), "image/png", {"Content-Digest": digest(data)})
    answer = api.client.post("/edits", data={"prompt": PROMPT}, files={"image": image, "mask": ("a.png", pictures.mask())})
    assert answer.status_code == status
    if status == 400:
        assert assert_problem(answer, 400, "digest_mismatch")["retryable"]
        assert api.kept() == ({}, [], [])


def test_an_upload_that_was_changed_on_its_way_is_not_kept(api: Api, tmp_path: Path) -> None:
    app = App(api, FilesystemArtifactStore(tmp_path / "objects", "http://testserver", "key"))
    announced = app.announce(b"picture")
    put = announced.json()["put"]
    for data, status in ((b"Picture", 400), (b"picture", 200)):
        answer = app.http.put(put["url"], content=data, headers={**put["headers"], "Content-Digest": digest(b"picture")})
        assert answer.status_code == status


def test_a_stream_that_reads_no_body_is_not_cut_by_its_digest(api: Api) -> None:
    edit = api.edit().json()["id"]
    api.work()
    answer = api.client.get(f"/edits/{edit}/events", headers={"Content-Digest": digest(b"other")})
    assert answer.status_code == 200
    assert '"state":"succeeded"' in answer.text
