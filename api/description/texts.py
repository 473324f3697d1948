"""Texts of the OpenAPI description: tags, parameters, security schemes and examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from api.description.examples import EXAMPLES
from api.guard.auth import scope_of
from api.guard.device_tokens import DEVICE_SCOPES
from api.wire.concept_schemas import AttributeDocument, IdentityDocument, MaskDocument
from api.wire.edit_requests import EditDocument
from s2edit_jobs.access.keys import Scope

TAGS = {
    "edits": "Create, list, cancel and follow edits by polls, long polls or server-sent events.",
    "identities": "People, learned once and used by any number of edits.",
    "attributes": "A makeup, a hat or a hairstyle, learned once and applied to any identity.",
    "masks": "Find the person in a photo, to show and correct the mask before an edit.",
    "model": "What the served model knows, for pages that suggest words to their users.",
    "erasure": "Erase data for good, with a signed receipt.",
    "uploads": "Send large pictures directly to the object store and name them in requests.",
    "files": "Signed URLs of files that the service stores itself, without S3.",
    "health": "Checks for load balancers.",
    "tokens": "Credentials for a phone or browser, which must not hold an API key.",
    "openai": "The same edits for clients of OpenAI's API: their SDKs, LiteLLM and other gateways.",
    "webhooks": "Requests that the service sends to your server.",
}
SECURITY_SCHEMES = {
    "apiKey": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "s2e_…",
        "description": "An API key of your tenant. Only your backend should hold it, and `S2Edit-User` names the user that a "
        "request acts for. A key that begins with `test_` is for the tests of your app: its jobs run without a model. Until the "
        "first key exists, programs on the machine of the service need none.",
    },
    "deviceToken": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A token from `POST /tokens` for a phone or browser, limited to one user, a short time and a number "
        "of edits.",
    },
}
PARAMETERS = {
    "edit_id": "The `id` of an edit or other job.",
    "identity_id": "The `id` of an identity.",
    "attribute_id": "The `id` of an attribute.",
    "upload_id": "The `id` of an upload.",
    "model": "The name of a model.",
    "user": "The name of the user, as in `S2Edit-User`.",
    "key": "The key of the file; part of the signed URL.",
    "expires": "When the URL expires, in seconds since the epoch; part of the signed URL.",
    "signature": "The signature; part of the signed URL.",
    "S2Edit-User": "The user that the request acts for. Default: the user of the device token, else `default`.",
}
"""Descriptions of parameters that their routes do not describe, by name."""
DOCUMENTS = (EditDocument, IdentityDocument, AttributeDocument, MaskDocument)
"""The JSON bodies of routes that take a form, too."""


def add_texts(schema: dict[str, Any]) -> None:
    """Add texts, examples and security schemes to `schema`, FastAPI's description."""
    schema["info"]["contact"] = {"name": "The operator of this service"}
    schema["info"]["license"] = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
    schema["tags"] = [{"name": name, "description": meaning} for name, meaning in TAGS.items()]
    components = schema["components"]
    components["securitySchemes"] = SECURITY_SCHEMES
    for document in DOCUMENTS:
        components["schemas"][document.__name__] = document.model_json_schema()
    for name, examples in EXAMPLES.items():
        components["schemas"][name]["examples"] = examples
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            _add_security(operation, scope_of(method.upper(), path))
            _describe(operation.get("parameters", []))
            _describe_success(operation["responses"], components["schemas"])
    for values in _objects(components["schemas"]):
        if values.get("contentMediaType") == "application/octet-stream":
            values["format"] = "binary"  # client generators recognise files by this format


def _add_security(operation: dict[str, Any], scope: Scope) -> None:
    """Name the schemes that authenticate an operation, and the scope. Device tokens can have only some scopes.

    An open operation says so by an empty list. Only OAuth schemes can declare scopes, so ours are in an extension and in the text.
    """
    if "security" not in operation:
        operation["security"] = []
        return
    schemes = ["apiKey", "deviceToken"] if scope in DEVICE_SCOPES else ["apiKey"]
    operation["security"] = [{scheme: []} for scheme in schemes]
    operation["x-scope"] = scope
    operation["description"] = f"{operation.get('description', '')}\n\nScope: `{scope}`.".lstrip()


def _describe(parameters: list[dict[str, Any]]) -> None:
    """Add the descriptions of `PARAMETERS`."""
    for parameter in parameters:
        if parameter["name"] in PARAMETERS:
            parameter["description"] = parameter["schema"]["description"] = PARAMETERS[parameter["name"]]
        if parameter["name"] == "S2Edit-User":  # a generated client that sends the default would contradict its token
            parameter["schema"].pop("default", None)


def _describe_success(responses: dict[str, Any], schemas: Mapping[str, Any]) -> None:
    """Replace FastAPI's "Successful Response" by the description of the schema."""
    for answer in responses.values():
        schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
        if answer["description"] == "Successful Response" and "$ref" in schema:
            answer["description"] = schemas[schema["$ref"].rpartition("/")[2]]["description"]


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every object inside `value`."""
    if isinstance(value, Mapping):
        assert isinstance(value, dict)
        yield value
    inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    for item in inside:
        yield from _objects(item)
