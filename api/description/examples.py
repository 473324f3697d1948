"""Examples of JSON bodies for the OpenAPI description, by schema name.

They are not in the models, because FastAPI drops null values from the examples of a model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from s2edit_core.base_model.model_files import SHIPPED_NAME

EDIT_ID = "e_01a20cdd974a71128ec3f808269cd504"
IDENTITY_ID = "c_28e53ba2fe96501a6aa2e4a26de5553c"
ATTRIBUTE_ID = "a_5b1f0cf2d1a84fd4c0a9d6f0b77ab1e3"
UPLOAD_ID = "u_01a20cdd1f2e7c3a9d40b1c2d3e4f506"
MASK_UPLOAD_ID = "u_01a20cdd1f2e7c3a9d40b1c2d3e4f507"
SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
LATER = "2026-11-23T22:25:51Z"
FILES = "https://s2edit.example.com/files/t/acme/u/ann"
SIGNED = "expires=1795472751&signature=Zm9yIGRvY3VtZW50YXRpb24"

RUNNING: Mapping[str, Any] = {
    "id": EDIT_ID,
    "kind": "edit",
    "state": "running",
    "phase": "learning",
    "progress": {"phase": "learning", "step": 30, "total": 100, "fraction": 0.3},
    "preview": None,
    "created_at": "2026-11-23T22:10:05.120000Z",
    "updated_at": "2026-11-23T22:10:09.480000Z",
    "sequence": 34,
    "cancel_requested": False,
    "expires_at": None,
    "results_expire_at": None,
    "deadline_at": None,
    "eta_s": 41.5,
    "identity": None,
    "attribute": None,
    "parent": None,
    "test": False,
    "result": None,
    "results": [],
    "mask": None,
    "report": None,
    "error": None,
}
RESULT = {"url": f"{FILES}/edits/{EDIT_ID}/result-1.png?{SIGNED}", "expires_at": LATER, "media_type": "image/png"}
REPORT = {
    "url": f"{FILES}/edits/{EDIT_ID}/report-1.json?{SIGNED}",
    "expires_at": LATER,
    "values": {
        "learning_steps": 100,
        "mask": {
            "source": "found",
            "segmenter": "mediapipe",
            "people": 1,
            "confidence": 0.97,
            "box": [212, 96, 871, 1280],
            "seconds": 0.02,
        },
        "seconds": {"learning": 1.9, "inverting": 0.6, "editing": 0.5, "total": 3.1},
    },
}
SUCCEEDED: Mapping[str, Any] = {
    **RUNNING,
    "state": "succeeded",
    "phase": None,
    "progress": None,
    "updated_at": "2026-11-23T22:10:51.250000Z",
    "sequence": 181,
    "eta_s": None,
    "identity": IDENTITY_ID,
    "result": RESULT,
    "results": [RESULT],
    "mask": {"url": f"{FILES}/edits/{EDIT_ID}/mask-found.png?{SIGNED}", "expires_at": LATER},
    "report": REPORT,
}
IDENTITY: Mapping[str, Any] = {
    "id": IDENTITY_ID,
    "name": "Ada",
    "source_prompt": "a photo of a [I] woman",
    "subject": "woman",
    "created_at": "2026-11-23T22:10:31.800000Z",
    "expires_at": None,
    "consent": {"statement": "Ada Example agreed in the app on 23 November 2026", "given_at": "2026-11-23T22:10:05.120000Z"},
    "has_photo": True,
    "photo": {"url": f"{FILES}/concepts/{IDENTITY_ID}/image.png?{SIGNED}", "expires_at": LATER},
}
ATTRIBUTE: Mapping[str, Any] = {
    "id": ATTRIBUTE_ID,
    "name": "Evening",
    "placeholder": "[A]",
    "subject": "makeup",
    "prompt": "a woman with [A] makeup",
    "created_at": "2026-11-23T22:12:02Z",
}

MODEL_OBJECT = {"id": SHIPPED_NAME, "object": "model", "created": 1795000000, "owned_by": "s2edit"}

EXAMPLES: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "Edit": [RUNNING, SUCCEEDED],
    "EditDocument": [
        {
            "image": UPLOAD_ID,
            "prompt": "a photo of a woman with blond hair, smiling",
            "preset": "balanced",
            "seed": 7,
        },
        {
            "image": UPLOAD_ID,
            "mask": MASK_UPLOAD_ID,
            "prompt": "a photo of a woman with blond hair, smiling",
        },
        {
            "identity": IDENTITY_ID,
            "prompt": "a photo of a woman with glasses",
            "negative_prompt": "hat",
            "output_format": "jpeg",
            "output_quality": 90,
        },
    ],
    "IdentityDocument": [
        {"image": UPLOAD_ID, "prompt": "a photo of a woman with black hair", "name": "Ada"},
        {"image": UPLOAD_ID, "mask": MASK_UPLOAD_ID, "prompt": "a photo of a woman with black hair", "subject": "woman"},
    ],
    "AttributeDocument": [
        {"image": UPLOAD_ID, "mask": MASK_UPLOAD_ID, "prompt": "a woman with [A] makeup", "name": "Evening"},
    ],
    "MaskDocument": [{"image": UPLOAD_ID, "at": [4, 5]}],
    "EditPage": [{"items": [RUNNING], "next_cursor": None}],
    "DryRun": [{"learning": "needed", "identity": IDENTITY_ID, "eta_s": 44.0, "warnings": []}],
    "Identity": [IDENTITY],
    "IdentityChange": [{"name": "Ada"}],
    "IdentityPage": [{"items": [IDENTITY], "next_cursor": None}],
    "Export": [
        {
            "url": f"{FILES}/concepts/{IDENTITY_ID}/concept.safetensors?{SIGNED}",
            "expires_at": LATER,
            "identity": IDENTITY_ID,
            "format": "safetensors",
            "sha256": SHA256,
            "size_bytes": 412_360,
            "source_prompt": "a photo of a [I] woman",
            "subject": "woman",
        }
    ],
    "Attribute": [ATTRIBUTE],
    "AttributeChange": [{"name": "Evening"}],
    "AttributePage": [{"items": [ATTRIBUTE], "next_cursor": None}],
    "UploadRequest": [{"media_type": "image/png", "size_bytes": 1_834_221, "sha256": SHA256}],
    "UploadView": [
        {
            "id": UPLOAD_ID,
            "state": "waiting",
            "media_type": "image/png",
            "size_bytes": 1_834_221,
            "sha256": SHA256,
            "created_at": "2026-11-23T22:10:51Z",
            "upload_expires_at": "2026-11-24T22:10:51Z",
            "expires_at": LATER,
            "put": {
                "url": f"{FILES}/uploads/{UPLOAD_ID}/file.png?{SIGNED}",
                "headers": {"Content-Type": "image/png", "If-None-Match": "*"},
            },
            "form": None,
        }
    ],
    "TokenRequest": [{"expires_in_s": 600, "edits": 1, "uploads": 3, "scopes": ["edits:read", "edits:write"]}],
    "Token": [
        {
            "token": "eyJhbGciOiJIUzI1NiIsImtpZCI6IjNmMmE5YzE3In0.eyJzdWIiOiJhbm4i….…",
            "token_type": "Bearer",
            "user": "ann",
            "scopes": ["edits:read", "edits:write"],
            "edits": 1,
            "uploads": 3,
            "expires_at": LATER,
        }
    ],
    "Receipt": [
        {
            "erased": "edit",
            "id": EDIT_ID,
            "objects": 7,
            "erased_at": LATER,
            "receipt": "eyJhbGciOiJFUzI1NiIsInR5cCI6InMyZWRpdC1yZWNlaXB0K2p3dCJ9.eyJlcmFzZWQi….…",
        }
    ],
    "KeySet": [
        {
            "keys": [
                {
                    "kty": "EC",
                    "crv": "P-256",
                    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
                    "kid": "3f2a9c17",
                    "use": "sig",
                    "alg": "ES256",
                }
            ]
        }
    ],
    "Health": [{"status": "ok"}],
    "ImagesView": [
        {
            "created": 1795472751,
            "output_format": "png",
            "quality": "high",
            "size": "1024x768",
            "background": "opaque",
            "id": EDIT_ID,
            "identity": IDENTITY_ID,
            "warnings": ["the model was trained without the word “rde”, and may ignore or mistake it"],
            "safety_identifier": "ann",
            "data": [{"b64_json": "iVBORw0KGgo…"}],
        }
    ],
    "ModelList": [{"object": "list", "data": [MODEL_OBJECT]}],
    "ModelObject": [MODEL_OBJECT],
    "ServedModel": [
        {
            "name": SHIPPED_NAME,
            "shipped": True,
            "domains": [{"subjects": ["woman", "man", "person"], "attribute_words": ["red", "hair", "smiling", "glasses"]}],
            "phase_seconds": {"preparing": 0.1, "learning": 7.3, "inverting": 1.3, "editing": 1.1, "finishing": 0.2},
            "user": "default",
            "scopes": ["edits:read", "edits:write", "identities"],
            "test": False,
            "max_upload_bytes": 50_000_000,
            "max_pixels": 50_000_000,
            "min_side": 32,
            "photo_types": ["image/png", "image/jpeg", "image/webp", "image/avif", "image/heic"],
        }
    ],
    "OpenAIError": [
        {
            "error": {
                "message": "the prompt is an instruction: say what the picture should show",
                "type": "invalid_request_error",
                "param": "prompt",
                "code": "prompt_instruction",
            }
        }
    ],
}
