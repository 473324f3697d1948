from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from api.app import create_app
from api.description.answers import LINKS
from api.description.shared_responses import responses_of
from tests.unit.api import pictures
from tests.unit.api.conftest import Api

OPERATIONS = {
    ("post", "/edits"): "createEdit",
    ("get", "/edits/{edit_id}"): "getEdit",
    ("get", "/edits/{edit_id}/events"): "streamEdit",
    ("post", "/edits/{edit_id}/cancel"): "cancelEdit",
    ("get", "/edits"): "listEdits",
    ("post", "/identities"): "createIdentity",
    ("post", "/masks"): "createMask",
    ("get", "/identities"): "listIdentities",
    ("post", "/identities/import"): "importIdentity",
    ("get", "/identities/{identity_id}"): "getIdentity",
    ("patch", "/identities/{identity_id}"): "renameIdentity",
    ("delete", "/users/{user}"): "eraseUser",
    ("delete", "/edits/{edit_id}"): "eraseEdit",
    ("delete", "/identities/{identity_id}"): "eraseIdentity",
    ("get", "/receipts/keys"): "getReceiptKeys",
    ("post", "/uploads"): "createUpload",
    ("get", "/uploads/{upload_id}"): "getUpload",
    ("delete", "/uploads/{upload_id}"): "eraseUpload",
    ("get", "/identities/{identity_id}/export"): "exportIdentity",
    ("post", "/attributes"): "createAttribute",
    ("get", "/attributes"): "listAttributes",
    ("get", "/attributes/{attribute_id}"): "getAttribute",
    ("patch", "/attributes/{attribute_id}"): "renameAttribute",
    ("delete", "/attributes/{attribute_id}"): "eraseAttribute",
    ("post", "/tokens"): "createToken",
    ("get", "/files/{key}"): "getFile",
    ("put", "/files/{key}"): "putFile",
    ("get", "/healthz"): "getLiveness",
    ("get", "/readyz"): "getReadiness",
    ("get", "/edits/{edit_id}/preview"): "getPreview",
    ("get", "/model"): "getModel",
    ("post", "/v1/images/edits"): "createImageEdit",
    ("get", "/v1/models"): "listModels",
    ("get", "/v1/models/{model}"): "retrieveModel",
}


@pytest.fixture
def schema(api: Api) -> dict[str, Any]:
    described: dict[str, Any] = api.client.get("/openapi.json").json()
    return described


def test_importing_the_app_loads_no_torch() -> None:
    code = "import sys, api.app; print(sorted({'torch', 'diffusers', 'transformers', 'safetensors'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_operation_has_its_stable_name(schema: dict[str, Any]) -> None:
    described = {
        (method, path): operation["operationId"] for path, item in schema["paths"].items() for method, operation in item.items()
    }
    assert described == OPERATIONS


def test_every_error_is_described_as_a_problem_or_in_the_shape_of_openai(schema: dict[str, Any]) -> None:
    for path, item in schema["paths"].items():
        kind, name = ("application/json", "OpenAIError") if path.startswith("/v1/") else ("application/problem+json", "Problem")
        for operation in item.values():
            errors = {status: answer for status, answer in responses_of(operation, schema).items() if status >= "4"}
            assert "default" in errors
            for answer in errors.values():
                assert answer["content"] == {kind: {"schema": {"$ref": f"#/components/schemas/{name}"}}}
    assert "HTTPValidationError" not in schema["components"]["schemas"]


def test_the_form_is_described_part_by_part(schema: dict[str, Any]) -> None:
    content = schema["paths"]["/edits"]["post"]["requestBody"]["content"]
    assert set(content) == {"multipart/form-data", "application/json"}
    form = schema["components"]["schemas"]["EditForm"]
    assert form["additionalProperties"] is False
    assert form["required"] == ["prompt"]
    assert all("description" in part for part in form["properties"].values())
    assert {part["type"] for part in form["properties"].values()} == {
        "string",
        "integer",
        "number",
        "array",
        "boolean",
    }  # left out, or there: never null
    assert form["properties"]["prompt"]["examples"]


def test_the_headers_that_apps_follow_are_described(schema: dict[str, Any]) -> None:
    told = set(schema["paths"]["/edits"]["post"]["responses"]["202"]["headers"])
    assert {"Location", "ETag", "Retry-After", "Preference-Applied", "RateLimit", "X-Request-Id"} <= told
    assert "304" in schema["paths"]["/edits/{edit_id}"]["get"]["responses"]
    (user,) = [one for one in schema["paths"]["/edits"]["post"]["parameters"] if one["name"] == "S2Edit-User"]
    assert user["schema"]["pattern"] == r"^[A-Za-z0-9_-]{1,64}$"


def test_links_lead_to_operations_that_take_what_they_give(schema: dict[str, Any]) -> None:
    """The fuzz test follows the JSON pointers."""
    operations = {operation["operationId"]: operation for item in schema["paths"].values() for operation in item.values()}
    begun = {(name, status) for name, one in operations.items() for status, answer in one["responses"].items() if "links" in answer}
    assert begun == set(LINKS)
    for links in LINKS.values():
        for target, parameter, _ in links.values():
            assert parameter in {one["name"] for one in operations[target]["parameters"]}


def test_what_wants_credentials_says_so(schema: dict[str, Any]) -> None:
    assert {one["scheme"] for one in schema["components"]["securitySchemes"].values()} == {"bearer"}
    for path, item in schema["paths"].items():
        for operation in item.values():
            guarded = path not in ("/healthz", "/readyz", "/files/{key}", "/receipts/keys")
            assert bool(operation["security"]) is guarded, path
            assert ("401" in operation["responses"]) is guarded


def test_the_documentation_page_is_served(api: Api) -> None:
    assert "swagger" in api.client.get("/docs").text.lower()


def test_what_is_sent_to_apps_is_described(schema: dict[str, Any]) -> None:
    (operation,) = schema["webhooks"]["job-over"].values()
    assert operation["operationId"] == "onJobOver"
    assert {one["name"] for one in operation["parameters"]} == {"webhook-id", "webhook-timestamp", "webhook-signature"}
    assert set(operation["responses"]) == {"204", "default"}


def test_the_stream_is_described_with_an_example(schema: dict[str, Any]) -> None:
    content = schema["paths"]["/edits/{edit_id}/events"]["get"]["responses"]["200"]["content"]["text/event-stream"]
    example = content["examples"]["stream"]["value"]
    assert {"event: edit", "event: gap"} <= set(example.splitlines())


def test_the_description_is_valid_openapi_and_its_examples_fit_it(schema: dict[str, Any]) -> None:
    validate(schema)
    tried = 0
    for name, model in schema["components"]["schemas"].items():
        for example in model.get("examples", []):
            OAS31Validator({"$ref": f"#/components/schemas/{name}", **schema}).validate(example)
            tried += 1
        for part in model.get("properties", {}).values():
            for example in part.get("examples", []):
                OAS31Validator({**part, "components": schema["components"]}).validate(example)
                tried += 1
    assert tried > 20


def test_operation_names_are_one_of_a_kind(schema: dict[str, Any]) -> None:
    operations = [operation for item in schema["paths"].values() for operation in item.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    assert all(operation["summary"] and operation["tags"] for operation in operations)


def test_the_form_of_the_examples_is_accepted(api: Api, schema: dict[str, Any]) -> None:
    """Send every part with its first example, except webhook URLs, which the test service does not support."""
    for path, model in (("/edits", "EditForm"), ("/identities", "IdentityForm"), ("/attributes", "AttributeForm")):
        properties = schema["components"]["schemas"][model]["properties"]
        shown = {name: str(part["examples"][0]) for name, part in properties.items() if "examples" in part}
        shown.pop("webhook_url")
        answer = api.post(path, image=pictures.photo(), mask=pictures.mask(), **shown)
        assert answer.status_code == 202, answer.json()


def test_no_search_for_garbage_walks_through_what_a_process_has_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S2EDIT_REDIS_URL", "redis://127.0.0.1:9")
    monkeypatch.setenv("S2EDIT_DATA_DIR", str(tmp_path))
    monkeypatch.setattr("api.app.configure_logs", lambda: None)
    gc.unfreeze()
    create_app()
    assert gc.get_freeze_count() > 50_000
