"""The OpenAPI description: complete texts, examples that run, and the credentials of every operation."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator

from api.description.examples import EXAMPLES, IDENTITY_ID
from api.description.shared_responses import responses_of
from api.guard.device_tokens import DEVICE_SCOPES
from cli.openapi import text
from s2edit_jobs.settings import ROOT
from s2edit_jobs.stores.object_store.filesystem_artifacts import FilesystemArtifactStore
from tests.unit.api import pictures
from tests.unit.api.conftest import Api
from tests.unit.api.routes.test_uploads import App

SCHEMA: dict[str, Any] = json.loads((ROOT / "clients" / "openapi.json").read_text(encoding="utf-8"))
"""The committed description; `tests/clients` compares it with the app's."""
OPERATIONS = [(method, path, SCHEMA["paths"][path][method]) for path in SCHEMA["paths"] for method in SCHEMA["paths"][path]]
MODELS = SCHEMA["components"]["schemas"]


def named(operation: dict[str, Any]) -> str:
    return str(operation["operationId"])


def name_of(schema: dict[str, Any]) -> str | None:
    """Return the name of the model that the schema refers to."""
    return schema["$ref"].rpartition("/")[2] if "$ref" in schema else None


def documents() -> Iterator[tuple[str, str]]:
    """Yield operation and model of every JSON body that is sent or received."""
    for _, _, operation in OPERATIONS:
        for said in (operation.get("requestBody", {}), *responses_of(operation, SCHEMA).values()):
            for media_type, content in said.get("content", {}).items():
                if media_type.endswith("json") and (model := name_of(content["schema"])):
                    yield named(operation), model


def test_no_setting_of_this_machine_is_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S2EDIT_PUBLIC_URL", "https://s2edit.example.com")
    monkeypatch.setenv("S2EDIT_AUTH", "keys")
    assert json.loads(text()) == SCHEMA


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=[named(operation) for _, _, operation in OPERATIONS])
def test_every_operation_and_parameter_says_what_it_is(method: str, path: str, operation: dict[str, Any]) -> None:
    assert operation["description"]
    assert set(operation["tags"]) <= {tag["name"] for tag in SCHEMA["tags"] if tag["description"]}
    assert {name for name in re.findall(r"{(\w+)}", path)} == {
        one["name"] for one in operation.get("parameters", []) if one["in"] == "path"
    }
    assert [one["name"] for one in operation.get("parameters", []) if not one.get("description")] == []


def test_every_model_says_what_it_is() -> None:
    assert [name for name, model in MODELS.items() if not model.get("description")] == []


def test_every_document_has_an_example() -> None:
    found = set(documents())
    assert ("createEdit", "Edit") in found
    assert sorted({model for _, model in found if not MODELS[model].get("examples")}) == []


@pytest.mark.parametrize("name", [name for name in EXAMPLES if not name.endswith(("Request", "Document"))])
def test_the_examples_of_answers_are_whole(name: str) -> None:
    for example in EXAMPLES[name]:
        assert set(example) == set(MODELS[name]["properties"])


@pytest.mark.parametrize(("path", "name"), [("/tokens", "TokenRequest"), ("/uploads", "UploadRequest")])
def test_the_documents_of_the_examples_are_taken(api: Api, path: str, name: str) -> None:
    for example in EXAMPLES[name]:
        api.limit(max_upload_bytes=10_000_000)
        answer = api.client.post(path, json=example)
        assert answer.status_code == 201, answer.text


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/edits", "EditDocument"),
        ("/identities", "IdentityDocument"),
        ("/attributes", "AttributeDocument"),
        ("/masks", "MaskDocument"),
    ],
)
def test_the_jobs_of_the_examples_are_taken(api: Api, tmp_path: Path, path: str, name: str) -> None:
    """The ids of uploads are replaced by real ones."""
    app = App(api, FilesystemArtifactStore(tmp_path / "objects", "http://testserver", "a signing key"))
    api.artifacts = app.store  # type: ignore[assignment]
    api.learned_identity(identity_id=IDENTITY_ID)
    uploads = {"image": app.upload(pictures.photo()), "mask": app.upload(pictures.mask())}
    for example in EXAMPLES[name]:
        answer = app.http.post(path, json={**example, **{part: uploads[part] for part in uploads if part in example}})
        assert answer.status_code == 202, answer.text


def test_the_stream_of_the_example_holds_edits() -> None:
    content = SCHEMA["paths"]["/edits/{edit_id}/events"]["get"]["responses"]["200"]["content"]["text/event-stream"]
    events = [
        dict(re.findall(r"^(\w+): (.*)$", event, re.MULTILINE)) for event in content["examples"]["stream"]["value"].split("\n\n")
    ]
    (shown,) = [event for event in events if event.get("event") == "edit"]
    edit = json.loads(shown["data"])
    OAS31Validator({"$ref": "#/components/schemas/Edit", **SCHEMA}).validate(edit)
    assert shown["id"] == str(edit["sequence"])


def test_a_device_token_opens_what_is_said_to_take_one_and_nothing_else(api: Api) -> None:
    wish = {"edits": 1000, "uploads": 1000, "scopes": sorted(DEVICE_SCOPES)}
    token = api.client.post("/tokens", json=wish).json()["token"]
    told = {"apiKey": 0, "deviceToken": 0}
    for method, path, operation in OPERATIONS:
        schemes = [scheme for way in operation.get("security", []) for scheme in way]
        for scheme in schemes:
            told[scheme] += 1
        answer = api.client.request(method, re.sub(r"{\w+}", "x", path), headers={"Authorization": f"Bearer {token}"})
        refused = answer.status_code == 403 and answer.json()["code"] == "scope_missing"
        assert refused == (schemes == ["apiKey"]), named(operation)
    assert told["apiKey"] > told["deviceToken"] > 10


def test_nobody_is_made_to_name_a_user() -> None:
    """A client that sends default values would contradict its device token."""
    users = [one for _, _, operation in OPERATIONS for one in operation.get("parameters", []) if one["name"] == "S2Edit-User"]
    assert users
    assert all("default" not in one["schema"] and not one["required"] for one in users)


def test_it_is_written_without_settings_keys_or_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data"
    for name, value in {"DATA_DIR": str(folder), "S3_BUCKET": "b", "PUBLIC_URL": "https://edits.example", "MODEL": "none"}.items():
        monkeypatch.setenv(f"S2EDIT_{name}", value)
    assert text() == (ROOT / "clients" / "openapi.json").read_text(encoding="utf-8")
    assert not folder.exists()
