"""What the description says of answers beside their bodies: their headers, and which requests they lead to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEADERS = {
    name: {"description": description, "schema": {"type": "string"}}
    for name, description in {
        "X-Request-Id": "Of this request, as logs have it",
        "RateLimit-Policy": "The limits that hold for the caller; draft-ietf-httpapi-ratelimit-headers",
        "RateLimit": "How they stand after this request",
        "WWW-Authenticate": "What is missing (RFC 6750)",
        "Retry-After": "Seconds until the next try",
        "S2Edit-Test": "`true` where the key or token is for test mode; absent otherwise",
    }.items()
}
"""Those that answers of all operations may have."""
RETRIED = ("409", "429", "503")

Link = tuple[str, str, str]  # operation, parameter, where its value stands in the answer

_OF_JOB: Mapping[str, Link] = {
    "follow": ("getEdit", "edit_id", "/id"),
    "stream": ("streamEdit", "edit_id", "/id"),
    "cancel": ("cancelEdit", "edit_id", "/id"),
    "erase": ("eraseEdit", "edit_id", "/id"),
}
_OF_IDENTITY: Mapping[str, Link] = {
    "look": ("getIdentity", "identity_id", "/id"),
    "export": ("exportIdentity", "identity_id", "/id"),
    "erase": ("eraseIdentity", "identity_id", "/id"),
}
LINKS: Mapping[tuple[str, str], Mapping[str, Link]] = {
    ("createEdit", "202"): _OF_JOB,
    ("createIdentity", "202"): _OF_JOB,
    ("createAttribute", "202"): _OF_JOB,
    ("createMask", "202"): _OF_JOB,
    ("getEdit", "200"): {
        "identity": ("getIdentity", "identity_id", "/identity"),
        "attribute": ("getAttribute", "attribute_id", "/attribute"),
        "parent": ("getEdit", "edit_id", "/parent"),
    },
    ("listEdits", "200"): {"first": ("getEdit", "edit_id", "/items/0/id")},
    ("importIdentity", "201"): _OF_IDENTITY,
    ("getIdentity", "200"): _OF_IDENTITY,
    ("listIdentities", "200"): {"first": ("getIdentity", "identity_id", "/items/0/id")},
    ("listAttributes", "200"): {"first": ("getAttribute", "attribute_id", "/items/0/id")},
    ("getAttribute", "200"): {"erase": ("eraseAttribute", "attribute_id", "/id")},
    ("createUpload", "201"): {"look": ("getUpload", "upload_id", "/id")},
}
"""By operation and status, then by the link's name."""


def add_headers(operation: dict[str, Any]) -> None:
    """Those of `HEADERS` that each answer of an operation may have."""
    guarded = "security" in operation
    for status, answer in operation["responses"].items():
        names = ["X-Request-Id"]
        if guarded and status != "401":
            names += ["RateLimit-Policy", "RateLimit", "S2Edit-Test"]
        if guarded and status in ("401", "403", "421"):
            names.append("WWW-Authenticate")
        if status in RETRIED:
            names.append("Retry-After")
        answer["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in names} | answer.get("headers", {})


def add_links(operation: dict[str, Any]) -> None:
    """Those that begin at an operation of the description."""
    for status, answer in operation["responses"].items():
        if links := LINKS.get((operation["operationId"], status)):
            answer["links"] = {
                name: {"operationId": target, "parameters": {parameter: f"$response.body#{place}"}}
                for name, (target, parameter, place) in links.items()
            }
