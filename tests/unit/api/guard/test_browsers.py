"""Web pages: CORS, and the protection against foreign pages."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError

from api.app import create_app
from api.description.shared_responses import responses_of
from api.guard.browsers import EXPOSED_HEADERS, METHODS
from s2edit_jobs.access.keys import KeyRing
from s2edit_jobs.settings import ROOT, Settings
from s2edit_jobs.stores.artifacts import put_headers
from s2edit_jobs.stores.object_store.filesystem_artifacts import FilesystemArtifactStore
from tests.unit.api import pictures
from tests.unit.api.conftest import Api
from tests.unit.api.guard.test_auth import NOBODYS, bearer
from tests.unit.api.wire.test_bad_input import assert_problem

APP = "https://app.example.com"
HERE = ("127.0.0.1", 5000)


def started(api: Api, *, host: str = "127.0.0.1:8000", **settings: Any) -> TestClient:
    """Restart the service with other settings, for a client on this machine."""
    api.limit(**settings)
    api.client = TestClient(create_app(api.services), base_url=f"http://{host}", client=HERE, raise_server_exceptions=False)
    return api.client


OWN_HEADERS = "authorization, content-digest, content-type, idempotency-key, if-none-match, last-event-id, prefer, s2edit-user"
SDK_HEADERS = (
    "authorization, content-type, openai-organization, openai-project, x-stainless-arch, x-stainless-lang, x-stainless-os, "
    "x-stainless-package-version, x-stainless-retry-count, x-stainless-runtime, x-stainless-runtime-version, x-stainless-timeout"
)
"""What OpenAI's SDK for browsers sends."""
TRACING_HEADERS = "baggage, sentry-trace, traceparent, tracestate, x-request-id"


def preflight(client: TestClient, path: str, *, method: str, headers: str = "", origin: str = APP) -> Any:
    asked = {"Access-Control-Request-Headers": headers} if headers else {}
    return client.options(path, headers={"Origin": origin, "Access-Control-Request-Method": method, **asked})


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8000", "localhost:8000", "LOCALHOST", "localhost.", "s2edit.localhost:80", "[::1]:8000"]
)
def test_an_open_service_answers_by_its_address_and_as_localhost(api: Api, host: str) -> None:
    started(api)
    assert_problem(api.client.get(NOBODYS, headers={"Host": host}), 404, "not_found")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "[", "x@y"]
)
@pytest.mark.parametrize("auth", ["auto", "open"])
def test_an_open_service_answers_by_no_name_that_others_may_own(api: Api, host: str, auth: str) -> None:
    """After DNS rebinding, the browser considers the page to be of the same origin as the service."""
    started(api, auth=auth)
    kept = api.kept()
    for answer in (api.client.get(NOBODYS, headers={"Host": host}), api.edit(headers={"Host": host, "Origin": f"http://{host}"})):
        assert_problem(answer, 421, "host_foreign")
    assert api.kept() == kept


def test_no_page_gets_in_by_the_address_that_it_says_to_come_from(api: Api) -> None:
    """A server in front of the app may use the header as the client address."""
    started(api, auth="open")
    client = TestClient(api.client.app, base_url="http://evil.example", client=("anywhere", 0))
    assert_problem(client.get(NOBODYS, headers={"X-Forwarded-For": "anywhere"}), 421, "host_foreign")


def test_an_open_service_answers_by_its_public_name(api: Api) -> None:
    started(api, public_url="https://edits.example", auth="open")
    there = {"Host": "edits.example", "Origin": "https://edits.example"}
    assert api.edit(headers=there).status_code == 202
    assert api.edit(headers={**there, "Host": "127.0.0.1:8000"}).status_code == 202  # by a proxy that names it otherwise


@pytest.mark.parametrize(
    "origin", [APP, "null", "http://127.0.0.1:3000", "http://localhost:8000", "http://127.0.0.1:8000.evil.example", "http://["]
)
def test_an_open_service_does_nothing_for_pages_of_other_origins(api: Api, origin: str) -> None:
    started(api)
    kept = api.kept()
    for answer in (api.edit(headers={"Origin": origin}), api.client.delete(NOBODYS, headers={"Origin": origin})):
        assert_problem(answer, 403, "origin_foreign")
    assert api.kept() == kept


def test_an_open_service_does_what_its_own_page_asks(api: Api) -> None:
    started(api)
    assert api.edit(headers={"Origin": "http://127.0.0.1:8000"}).status_code == 202


def test_an_open_service_does_what_pages_ask_that_were_let_in_by_name(api: Api) -> None:
    started(api, cors_origins=APP)
    answer = api.edit(headers={"Origin": APP})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (202, APP)
    started(api, cors_origins="*")  # whoever it is must show something
    assert_problem(api.edit(headers={"Origin": APP}), 403, "origin_foreign")
    assert_problem(api.client.get("/edits", headers={"Origin": APP}), 403, "origin_foreign")


def test_who_shows_a_key_may_call_by_any_name_and_from_any_page(api: Api) -> None:
    _, text = KeyRing(api.artifacts).create("acme")
    started(api, auth="keys", host="edits.example")
    assert api.edit(headers={**bearer(text, "ann"), "Origin": APP}).status_code == 202


def test_without_the_setting_no_page_may_read_anything(api: Api) -> None:
    started(api)
    assert preflight(api.client, "/edits", method="POST").status_code == 405
    assert not [name for name in api.client.get("/healthz", headers={"Origin": APP}).headers if name.startswith("access-control")]


def test_a_preflight_needs_no_key(api: Api) -> None:
    KeyRing(api.artifacts).create("acme")
    client = started(api, auth="keys", cors_origins=f"{APP} http://localhost:3000")
    for method in METHODS:
        for headers in (OWN_HEADERS, SDK_HEADERS, TRACING_HEADERS):
            answer = preflight(client, "/edits", method=method, headers=headers)
            assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, APP)
            assert {*headers.split(", ")} <= {*answer.headers["access-control-allow-headers"].split(", ")}
    assert preflight(client, "/edits", method="POST", origin="https://other.example").status_code == 400
    assert "access-control-allow-credentials" not in answer.headers


def test_answers_and_errors_may_be_read_by_the_page(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    _, text = KeyRing(api.artifacts).create("acme")
    client = started(api, auth="keys", cors_origins=APP, user_writes_per_minute=3)
    page = {"Origin": APP}
    mine = {**bearer(text, "ann"), **page}
    answers = {
        202: api.edit(headers=mine),
        401: client.post("/edits", content=b"x", headers=page),  # by the upload guard
        413: client.post("/edits", content=b"x" * 100_001, headers=mine),  # by the limit
        404: client.get(NOBODYS, headers=mine),
        422: api.edit(headers=mine, prompt=""),
        429: api.edit(headers=mine),
    }
    monkeypatch.setattr(api.services.store.records, "get", lambda *_: 1 / 0)
    answers[500] = client.get(NOBODYS, headers=mine)
    for status, answer in answers.items():
        assert answer.status_code == status, answer.text
        assert answer.headers["access-control-allow-origin"] == APP
        assert answer.headers["access-control-expose-headers"] == ", ".join(EXPOSED_HEADERS)


def test_pages_may_read_every_described_header() -> None:
    described = json.loads((ROOT / "clients" / "openapi.json").read_text(encoding="utf-8"))
    answers = [
        answer
        for verbs in described["paths"].values()
        for verb in verbs.values()
        for answer in responses_of(verb, described).values()
    ]
    named = {name.lower() for answer in answers for name in answer.get("headers", {})}
    safelisted = {"cache-control", "content-language", "content-length", "content-type", "expires", "last-modified", "pragma"}
    for_browsers = {"content-security-policy", "x-accel-buffering", "x-content-type-options"}
    assert named - safelisted - for_browsers <= {name.lower() for name in EXPOSED_HEADERS}


def test_any_origin_may_be_let_in_with_a_token(api: Api) -> None:
    _, text = KeyRing(api.artifacts).create("acme")
    client = started(api, auth="keys", cors_origins="*")
    answer = client.get("/edits", headers={**bearer(text), "Origin": "https://anything.example"})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "*")
    assert "access-control-allow-credentials" not in answer.headers


def test_pages_may_send_uploads_and_fetch_results_by_signed_urls(api: Api, tmp_path: Path) -> None:
    folder = FilesystemArtifactStore(tmp_path / "files", "http://127.0.0.1:8000", "key")
    api.services = replace(api.services, settings=api.services.settings.model_copy(update={"cors_origins": APP}), artifacts=folder)
    client = TestClient(create_app(api.services), base_url="http://127.0.0.1:8000", client=HERE)
    page, photo = {"Origin": APP}, pictures.photo()
    upload = client.post("/uploads", json={"media_type": "image/png", "size_bytes": len(photo)}, headers=page).json()
    put = upload["put"]
    by_page = [name.lower() for name in put["headers"] if name != "Content-Length"]  # that one the browser sets itself
    allowed = preflight(client, put["url"], method="PUT", headers=",".join(by_page))
    assert allowed.status_code == 200, allowed.text
    sent = client.put(put["url"], content=photo, headers={**put["headers"], **page})
    assert (sent.status_code, sent.headers["access-control-allow-origin"]) == (200, APP)
    folder.put("t/a/result.png", photo, media_type="image/png")
    got = client.get(folder.presigned_get("t/a/result.png", expires_s=60), headers=page)
    assert (got.content, got.headers["access-control-allow-origin"]) == (photo, APP)


def test_the_bucket_s_list_lets_pages_send_what_uploads_ask_for() -> None:
    (rule,) = json.loads((ROOT / "deploy" / "s3-cors.json").read_text())["CORSRules"]
    assert {name.lower() for name in put_headers("image/png", 1)} - {"content-length"} == set(rule["AllowedHeaders"])
    assert {"GET", "PUT", "POST"} == set(rule["AllowedMethods"])


@pytest.mark.parametrize(
    "origins", ["app.example.com", "https://app.example.com/", "https://App.example.com", "ftp://x", "https://a,https://b/c"]
)
def test_what_is_no_origin_is_no_setting(origins: str) -> None:
    with pytest.raises(ValidationError, match="every origin"):
        Settings(cors_origins=origins)


def test_the_documentation_comes_from_this_service_alone(api: Api) -> None:
    page = api.client.get("/docs")
    loaded = re.findall(r'(?:src|href|url:)[=\s]+["\']([^"\']+)', page.text)
    assert len(loaded) == 4
    for address in loaded:
        if not address.startswith("data:"):
            assert api.client.get(f"http://testserver/{address}").status_code == 200, address
    assert "https://" not in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert re.search(r"script-src 'self' 'sha256-[^']+';", policy)
    assert_problem(api.client.get("/docs/assets/nothing.js"), 404, "not_found")
