"""Headers and links of the responses in the OpenAPI description."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEADERS = {
    name: {"description": description, "schema": {"type": "string"}}
    for name, description in {
        "X-Request-Id": "The id of the request, as it appears in the logs.",
        "RateLimit-Policy": "The rate limits of the caller (draft-ietf-httpapi-ratelimit-headers).",
        "RateLimit": "What is left of each rate limit after this request.",
        "WWW-Authenticate": "Why the credentials were rejected, and the missing scope if any (RFC 6750).",
        "Retry-After": "Seconds to wait before a retry.",
        "X-Should-Retry": "`false` if the same request would fail again. OpenAI's SDKs obey it.",
        "S2Edit-User": "The user that the request has acted for.",
        "S2Edit-Test": "`true` for a key or token of test mode; absent otherwise.",
    }.items()
}
"""Headers that the responses of every operation may have."""
RETRYABLE = ("409", "429", "503")

Link = tuple[str, str, str]  # target operation, its parameter, JSON pointer to the value in the response

_OF_JOB: Mapping[str, Link] = {
    "follow": ("getEdit", "edit_id", "/id"),
    "stream": ("streamEdit", "edit_id", "/id"),
    "preview": ("getPreview", "edit_id", "/id"),
    "cancel": ("cancelEdit", "edit_id", "/id"),
    "erase": ("eraseEdit", "edit_id", "/id"),
}
_OF_IDENTITY: Mapping[str, Link] = {
    "look": ("getIdentity", "identity_id", "/id"),
    "rename": ("renameIdentity", "identity_id", "/id"),
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
    ("getAttribute", "200"): {
        "rename": ("renameAttribute", "attribute_id", "/id"),
        "erase": ("eraseAttribute", "attribute_id", "/id"),
    },
    ("createUpload", "201"): {
        "look": ("getUpload", "upload_id", "/id"),
        "erase": ("eraseUpload", "upload_id", "/id"),
    },
}
"""The links of the responses, by operation and status, then by link name."""


def add_headers(operation: dict[str, Any]) -> None:
    """Add the headers of `HEADERS` that each response of `operation` may have."""
    guarded = bool(operation["security"])
    for status, answer in operation["responses"].items():
        names = ["X-Request-Id"]
        if guarded and status != "401":
            names += ["RateLimit-Policy", "RateLimit", "S2Edit-User", "S2Edit-Test"]
        if guarded and status in ("401", "403", "421"):
            names.append("WWW-Authenticate")
        if status in RETRYABLE:
            names.append("Retry-After")
        answer["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in names} | answer.get("headers", {})


def add_links(operation: dict[str, Any]) -> None:
    """Add the links of the responses of `operation`."""
    for status, answer in operation["responses"].items():
        if links := LINKS.get((operation["operationId"], status)):
            answer["links"] = {
                name: {"operationId": target, "parameters": {parameter: f"$response.body#{pointer}"}}
                for name, (target, parameter, pointer) in links.items()
            }
