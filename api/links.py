"""Which answer leads to which request, as OpenAPI links: so a tool can follow what it has made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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


def add_links(operation: dict[str, Any]) -> None:
    """Those that begin at an operation of the description."""
    for status, answer in operation["responses"].items():
        if links := LINKS.get((operation["operationId"], status)):
            answer["links"] = {
                name: {"operationId": target, "parameters": {parameter: f"$response.body#{place}"}}
                for name, (target, parameter, place) in links.items()
            }
