from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from tests.unit.api.conftest import Api

OPERATIONS = {
    ("post", "/edits"): "createEdit",
    ("get", "/edits/{edit_id}"): "getEdit",
    ("get", "/edits/{edit_id}/events"): "streamEdit",
    ("post", "/edits/{edit_id}/cancel"): "cancelEdit",
    ("get", "/identities/{identity_id}"): "getIdentity",
    ("post", "/tokens"): "createToken",
    ("get", "/files/{key}"): "getFile",
    ("get", "/healthz"): "getLiveness",
    ("get", "/readyz"): "getReadiness",
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


def test_every_error_is_described_as_a_problem(schema: dict[str, Any]) -> None:
    for item in schema["paths"].values():
        for operation in item.values():
            errors = {status: answer for status, answer in operation["responses"].items() if status >= "4"}
            assert "default" in errors
            for answer in errors.values():
                assert answer["content"] == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    assert "HTTPValidationError" not in schema["components"]["schemas"]


def test_the_form_is_described_part_by_part(schema: dict[str, Any]) -> None:
    content = schema["paths"]["/edits"]["post"]["requestBody"]["content"]
    assert set(content) == {"multipart/form-data"}
    form = schema["components"]["schemas"]["EditForm"]
    assert form["additionalProperties"] is False
    assert form["required"] == ["prompt"]
    assert "attributes" not in form["properties"]
    assert all("description" in part for part in form["properties"].values())
    assert {part["type"] for part in form["properties"].values()} == {
        "string",
        "integer",
        "number",
    }  # left out, or there: never null
    assert form["properties"]["prompt"]["examples"]


def test_the_headers_that_apps_follow_are_described(schema: dict[str, Any]) -> None:
    assert set(schema["paths"]["/edits"]["post"]["responses"]["202"]["headers"]) == {"Location", "ETag", "Retry-After"}
    assert "304" in schema["paths"]["/edits/{edit_id}"]["get"]["responses"]
    (user,) = [one for one in schema["paths"]["/edits"]["post"]["parameters"] if one["name"] == "S2Edit-User"]
    assert user["schema"]["pattern"] == r"^[A-Za-z0-9_-]{1,64}$"


def test_what_wants_credentials_says_so(schema: dict[str, Any]) -> None:
    assert schema["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    for path, item in schema["paths"].items():
        for operation in item.values():
            guarded = path not in ("/healthz", "/readyz", "/files/{key}")
            assert ("security" in operation) is guarded, path
            assert ("401" in operation["responses"]) is guarded


def test_the_documentation_page_is_served(api: Api) -> None:
    assert "swagger" in api.client.get("/docs").text.lower()
