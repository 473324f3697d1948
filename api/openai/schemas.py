"""The bodies of `POST /v1/images/edits` in the OpenAPI description. `body` and `translation` read them without these schemas."""

from __future__ import annotations

import json
from typing import Any

from api.openai.parameters import OWN, PICTURES, OpenAIOptions
from api.wire.edit_requests import EditDocument, EditForm

EVENTS = ("image_edit.partial_image", "image_edit.completed", "error")
STREAM = {
    "schema": {
        "type": ["object", "string"],
        "description": "One event. The stream as a whole is text.",
        "properties": {
            "event": {"enum": list(EVENTS)},
            "data": {"type": "string", "contentMediaType": "application/json"},
        },
    },
    "examples": {
        "stream": {
            "value": ": edit e_01a20cdd974a71128ec3f808269cd504\n\nevent: image_edit.completed\ndata: "
            + json.dumps(
                {
                    "type": "image_edit.completed",
                    "b64_json": "iVBORw0KGgo…",
                    "created_at": 1795472751,
                    "output_format": "png",
                    "quality": "high",
                    "size": "1024x768",
                    "background": "opaque",
                    "id": "e_01a20cdd974a71128ec3f808269cd504",
                    "identity": "c_28e53ba2fe96501a6aa2e4a26de5553c",
                    "usage": None,
                },
                ensure_ascii=False,
            )
            + "\n"
        }
    },
}
"""The answer of a request with `stream`."""
UNBUFFERED = {"X-Accel-Buffering": {"description": "`no` for a stream: proxies must not buffer it.", "schema": {"type": "string"}}}
_REFERENCE = {
    "type": "object",
    "additionalProperties": False,
    "minProperties": 1,
    "maxProperties": 1,
    "properties": {
        "image_url": {"type": "string", "description": "The picture as a base64 data URL. The service fetches no other URL."},
        "file_id": {"type": "string", "description": "The id of an upload, see `POST /uploads`."},
    },
}


def form_schema() -> dict[str, Any]:
    """Return the schema of the form."""
    files = {
        name: {"type": "string", "contentMediaType": "application/octet-stream", "title": _title(name), "description": meaning}
        for name, meaning in PICTURES.items()
    }
    return {
        **_schema(EditForm.model_json_schema(), files, nullable=False),
        "title": "ImageEditForm",
        "description": "`POST /v1/images/edits` as a form; pictures are files.",
    }


def document_schema() -> dict[str, Any]:
    """Return the schema of the JSON body."""
    pictures: dict[str, Any] = {
        name: {**_REFERENCE, "title": _title(name), "description": meaning} for name, meaning in PICTURES.items() if name != "image"
    }
    images = {
        "type": "array",
        "items": _REFERENCE,
        "minItems": 1,
        "maxItems": 1,
        "title": "Images",
        "description": PICTURES["image"],
    }
    return {
        **_schema(EditDocument.model_json_schema(), {"images": images, **pictures}, nullable=True),
        "title": "ImageEditDocument",
        "description": "`POST /v1/images/edits` as JSON. A null field counts as absent.",
        "examples": [
            {
                "images": [{"image_url": "data:image/png;base64,iVBORw0KGgo…"}],
                "prompt": "a photo of a woman with blond hair, smiling",
                "n": 2,
                "output_format": "webp",
            }
        ],
    }


def _schema(edit: dict[str, Any], pictures: dict[str, Any], *, nullable: bool) -> dict[str, Any]:
    """Return the schema with `pictures`, the parameters of OpenAI, and those of `edit`, the schema of `POST /edits`."""
    theirs: dict[str, Any] = OpenAIOptions.model_json_schema()["properties"]
    own = {name: edit["properties"][name] for name in OWN}
    properties = {"prompt": own.pop("prompt"), **pictures, **theirs, **own}
    if not nullable:
        properties = {name: _without_null(part) for name, part in properties.items()}
    return {"type": "object", "additionalProperties": False, "required": ["prompt"], "properties": properties}


def _without_null(part: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a part of a form, which can be absent but not null."""
    kept = {name: value for name, value in part.items() if name not in ("anyOf", "default")}
    for one in part.get("anyOf", []):
        if one != {"type": "null"}:
            kept |= one
    return kept


def _title(name: str) -> str:
    return name.replace("_", " ").title()


BODIES = {"ImageEditForm": form_schema(), "ImageEditDocument": document_schema()}
"""The schemas of the bodies, by name."""
