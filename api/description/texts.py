"""What the OpenAPI description says beside what FastAPI knows: who may call what, what tags and parameters mean, and examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from api.description.examples import EXAMPLES
from api.guard.auth import scope_of
from api.guard.device_tokens import DEVICE_SCOPES
from api.wire.schemas import EditDocument
from s2edit_jobs.access.keys import Scope

TAGS = {
    "edits": "Ask for an edit, follow it by polls, long polls or server-sent events, cancel it",
    "identities": "People, learned once and named by any number of edits",
    "attributes": "A makeup, a hat, a hairstyle that anybody may wear",
    "masks": "Where the person is in a photo, to be shown and corrected before an edit",
    "erasure": "Remove things for good, with a signed receipt",
    "uploads": "Send large pictures straight to the store, and name them in edits",
    "files": "What signed URLs lead to, where the service keeps files itself",
    "health": "For load balancers",
    "tokens": "What a phone or a browser may hold in place of a key",
    "webhooks": "What the service sends",
}
SECURITY_SCHEMES = {
    "apiKey": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "s2e_…",
        "description": "An API key of your tenant, for your backend alone. `S2Edit-User` names the user whose things a request is "
        "about. One that begins with `test_` is for an app's own tests: no model works for it. Until a service has its first key, "
        "programs on its own machine need none",
    },
    "deviceToken": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A token of `POST /tokens`, for a phone or a browser: for one user, some minutes and a number of edits",
    },
}
PARAMETERS = {
    "edit_id": "The `id` of an edit or of a learning",
    "identity_id": "The `id` of an identity",
    "attribute_id": "The `id` of an attribute",
    "upload_id": "The `id` of an upload",
    "user": "The user, as `S2Edit-User` names them",
    "key": "Where the file lies; part of the signed URL",
    "expires": "When the URL runs out, in seconds since the epoch; part of the signed URL",
    "signature": "Part of the signed URL",
    "S2Edit-User": "Whose edits and identities these are. Left out: the device token's user, or `default`",
}
"""What parameters mean that are described nowhere else, by name."""


def complete(schema: dict[str, Any]) -> None:
    """Say it in `schema`, as FastAPI has made it."""
    schema["info"]["license"] = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
    schema["tags"] = [{"name": name, "description": meaning} for name, meaning in TAGS.items()]
    components = schema["components"]
    components["securitySchemes"] = SECURITY_SCHEMES
    components["schemas"][EditDocument.__name__] = EditDocument.model_json_schema()
    for name, examples in EXAMPLES.items():
        components["schemas"][name]["examples"] = examples
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            _add_callers(operation, scope_of(method.upper(), path))
            _explain(operation.get("parameters", []))
    for values in _objects(components["schemas"]):
        if values.get("contentMediaType") == "application/octet-stream":
            values["format"] = "binary"  # what generators of clients know files by


def _add_callers(operation: dict[str, Any], scope: Scope) -> None:
    """By what a request may be authenticated; both schemes are for some scopes."""
    if "security" in operation:
        schemes = ["apiKey", "deviceToken"] if scope in DEVICE_SCOPES else ["apiKey"]
        operation["security"] = [{scheme: [scope]} for scheme in schemes]


def _explain(parameters: list[dict[str, Any]]) -> None:
    for parameter in parameters:
        if parameter["name"] in PARAMETERS:
            parameter["description"] = parameter["schema"]["description"] = PARAMETERS[parameter["name"]]
        if parameter["name"] == "S2Edit-User":  # clients that sent the default would contradict a token
            parameter["schema"].pop("default", None)


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every object inside `value`."""
    if isinstance(value, Mapping):
        assert isinstance(value, dict)
        yield value
    inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    for item in inside:
        yield from _objects(item)
