"""A service below a path prefix: whatever it says of its own paths can be followed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from tests.unit.api import pictures
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


@pytest.mark.parametrize(
    ("path", "prompt"),
    [("/edits", "a photo of a woman smiling"), ("/identities", "a photo of a woman"), ("/attributes", "a woman with [A] hat")],
)
def test_the_location_of_a_new_job_can_be_followed(proxied: Proxied, path: str, prompt: str) -> None:
    answer = created(proxied, path, prompt)
    assert answer.headers["location"].startswith(f"{PREFIX}/edits/")
    assert proxied.client.get(answer.headers["location"]).status_code == 200


def test_the_next_page_can_be_followed(proxied: Proxied) -> None:
    for number in range(3):
        created(proxied, "/edits", f"a photo of a woman with {'red' if number else 'black'} hair")
    page = proxied.client.get(f"{PREFIX}/edits?limit=2")
    following = page.links["next"]["url"]
    assert following.startswith(f"{PREFIX}/edits?")
    assert len(proxied.client.get(following).json()["items"]) == 1


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
