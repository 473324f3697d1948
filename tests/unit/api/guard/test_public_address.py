"""A service below a path prefix or at several addresses: whatever it says of its own paths can be followed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from api.description.shared_responses import responses_of
from s2edit_jobs.stores.model_facts import report_loaded
from s2edit_jobs.stores.object_store.filesystem_artifacts import FilesystemArtifactStore
from tests.doubles import FakeEngine
from tests.unit.api import pictures
from tests.unit.api.concept_files import concept_file
from tests.unit.api.conftest import Api

PREFIX = "/photos/v1"


@dataclass
class Proxied:
    """The service as a proxy serves it: the prefix is removed from every request, anything else is not its own."""

    client: TestClient
    services: Any


@pytest.fixture
def proxied(api: Api) -> Iterator[Proxied]:
    settings = api.services.settings.model_copy(update={"public_url": f"https://app.example.com{PREFIX}"})
    services = type(api.services)(api.artifacts, api.store, api.queue, settings)
    service = create_app(services)

    async def forward(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            if not scope["path"].startswith(f"{PREFIX}/"):
                await send({"type": "http.response.start", "status": 404, "headers": []})
                await send({"type": "http.response.body", "body": b"not below the prefix"})
                return
            scope = {
                **scope,
                "path": scope["path"].removeprefix(PREFIX),
                "raw_path": scope["raw_path"].removeprefix(PREFIX.encode()),
            }
        await service(scope, receive, send)

    with TestClient(forward, base_url="http://testserver") as client:  # type: ignore[arg-type]
        yield Proxied(client, services)


def created(proxied: Proxied, path: str, prompt: str) -> Any:
    files = {"image": ("a.png", pictures.photo()), "mask": ("b.png", pictures.mask()), "prompt": (None, prompt)}
    answer = proxied.client.post(PREFIX + path, files=files)
    assert answer.status_code == 202, answer.text
    return answer


def with_header(proxied: Proxied, header: str) -> set[tuple[str, str]]:
    """Return method and path of every operation with this header in one of its answers, as the service describes itself."""
    described = proxied.client.get(f"{PREFIX}/openapi.json").json()
    return {
        (method, path)
        for path, operations in described["paths"].items()
        for method, operation in operations.items()
        if any(header in answer.get("headers", {}) for answer in responses_of(operation, described).values())
    }


def test_the_location_of_whatever_is_made_can_be_followed(proxied: Proxied) -> None:
    """A new operation with a `Location` must be added here."""
    made = {
        "/edits": lambda: created(proxied, "/edits", "a photo of a woman smiling"),
        "/identities": lambda: created(proxied, "/identities", "a photo of a woman"),
        "/attributes": lambda: created(proxied, "/attributes", "a woman with [A] hat"),
        "/masks": lambda: proxied.client.post(f"{PREFIX}/masks", files={"image": ("a.png", pictures.photo())}),
        "/uploads": lambda: proxied.client.post(f"{PREFIX}/uploads", json={"media_type": "image/png", "size_bytes": 9}),
        "/identities/import": lambda: proxied.client.post(f"{PREFIX}/identities/import", files={"file": ("c", concept_file())}),
    }
    report_loaded(proxied.services.artifacts, proxied.services.settings.model, FakeEngine().facts)
    assert with_header(proxied, "Location") == {("post", path) for path in made}
    for path, make in made.items():
        location = make().headers["location"]
        assert location.startswith(f"{PREFIX}/"), path
        assert proxied.client.get(location).status_code == 200, path


def test_the_next_page_of_every_list_can_be_followed(proxied: Proxied, api: Api) -> None:
    for number in range(3):
        created(proxied, "/edits", f"a photo of a woman with {'red' if number else 'black'} hair")
        api.learned_identity(identity_id=f"c_{number:032}")
        api.learned(api.attribute(seed=str(number)))
    for _, path in with_header(proxied, "Link"):
        page = proxied.client.get(f"{PREFIX}{path}?limit=2")
        following = page.links["next"]["url"]
        assert following.startswith(f"{PREFIX}{path}?")
        assert proxied.client.get(following).json()["items"], path


def test_a_redirect_stays_below_the_prefix(proxied: Proxied) -> None:
    answer = proxied.client.get(f"{PREFIX}/edits/", follow_redirects=False)
    assert answer.headers["location"] == f"{PREFIX}/edits"
    assert proxied.client.get(f"{PREFIX}/edits/").status_code == 200


def test_an_upload_can_be_followed(proxied: Proxied) -> None:
    answer = proxied.client.post(f"{PREFIX}/uploads", json={"media_type": "image/png", "size_bytes": 9})
    assert proxied.client.get(answer.headers["location"]).status_code == 200


def test_the_description_names_the_prefix(proxied: Proxied) -> None:
    assert proxied.client.get(f"{PREFIX}/openapi.json").json()["servers"][0]["url"] == PREFIX


def test_without_a_prefix_paths_stay_as_they_are(api: Api) -> None:
    assert api.edit().headers["location"].startswith("/edits/e_")


def upload_link(api: Api, folder: Path, *, host: str, **headers: str) -> str:
    """Return the URL that an upload is sent to, for a service whose files lie in `folder`, when `host` is asked for it."""
    files = FilesystemArtifactStore(folder, api.services.settings.public_url, "key")
    client = TestClient(create_app(replace(api.services, artifacts=files)), base_url="http://testserver")
    wanted = {"media_type": "image/png", "size_bytes": 9}
    answer = client.post("/uploads", json=wanted, headers={"Host": host, **headers})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["put"]["url"])


@pytest.mark.parametrize("host", ["192.168.1.7:8000", "10.0.0.2", "[fd00::7]:8000", "edits.local:8000"])
def test_links_begin_with_the_host_that_was_asked(api: Api, tmp_path: Path, host: str) -> None:
    assert upload_link(api, tmp_path, host=host).startswith(f"http://{host}/files/")


@pytest.mark.parametrize("host", ["", "a b", "evil.example/x?", "user@evil.example", "a.example:8000:1", "[", "a.example:800000"])
def test_what_is_no_host_gets_into_no_link(api: Api, tmp_path: Path, host: str) -> None:
    assert upload_link(api, tmp_path, host=host).startswith("http://127.0.0.1:8000/files/")


def test_links_begin_with_the_public_address_if_there_is_one(api: Api, tmp_path: Path) -> None:
    api.limit(public_url=f"https://app.example.com{PREFIX}")
    for host in ("192.168.1.7:8000", "127.0.0.1:8000"):
        assert upload_link(api, tmp_path, host=host).startswith(f"https://app.example.com{PREFIX}/files/")


def test_a_path_prefix_on_this_machine_stays_in_links(api: Api, tmp_path: Path) -> None:
    api.limit(public_url=f"http://localhost:9000{PREFIX}")
    assert upload_link(api, tmp_path, host="192.168.1.7:9000").startswith(f"http://192.168.1.7:9000{PREFIX}/files/")


def test_nobody_chooses_links_by_the_headers_of_a_proxy(api: Api, tmp_path: Path) -> None:
    forged = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Prefix": "/evil", "Forwarded": "host=evil.example"}
    assert "evil" not in upload_link(api, tmp_path, host="192.168.1.7:8000", **forged)


def test_the_pages_policy_follows_the_host(api: Api, tmp_path: Path) -> None:
    files = FilesystemArtifactStore(tmp_path, api.services.settings.public_url, "key")
    client = TestClient(create_app(replace(api.services, artifacts=files)), base_url="http://192.168.1.7:8000")
    assert "http://192.168.1.7:8000" in client.get("/").headers["content-security-policy"]
    assert "evil" not in client.get("/", headers={"Host": "evil.example; script-src *"}).headers["content-security-policy"]
