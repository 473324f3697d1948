"""Meaningful requests: the fuzzer's valid requests often get contents that the service can process.

A schema does not describe, for example, which ids exist, or that an image part must be a decodable picture.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from schemathesis import Case
from schemathesis.core.parameters import ParameterLocation

from lab.fuzz import world as fuzz_world
from lab.fuzz.wire import Observed
from lab.fuzz.world import USER

PHOTO, MASK, FILE = fuzz_world.photo(), fuzz_world.mask(), fuzz_world.identity_file()
PROMPTS = (
    "a photo of a smiling woman",
    "a photo of a woman with red hair",
    "a photo of a man, smiling",
    "a photo of a woman with [A] hat",
)
CONTROLS: tuple[Mapping[str, Any], ...] = (
    {},
    {"negative_prompt": "glasses"},
    {"strength": 0.7},
    {"output_format": "jpeg", "output_quality": 80},
    {"output_format": "webp", "keep_alpha": False},
)
OPENAI_CONTROLS: tuple[Mapping[str, Any], ...] = ({}, {"n": 2}, {"stream": True}, {"response_format": "url"}, {"quality": "low"})
PHOTO_URL = f"data:image/png;base64,{base64.b64encode(PHOTO).decode()}"
ID_PREFIXES: Mapping[str, str] = {"edit_id": "e", "identity_id": "c", "attribute_id": "a", "upload_id": "u"}
"""First letter of the ids by path parameter."""
CHANGED = 0.7
"""Share of the requests that get meaningful contents."""
KEPT = 0.1
"""Share of the generated parts that are kept in such a request."""


class ValidRequests:
    """A generator of meaningful contents, which changes cases in place. `observed` returns what their caller has received."""

    def __init__(self, rng: random.Random, observed: Callable[[], Observed]) -> None:
        self._rng = rng
        self._observed = observed
        self.valid: set[str] = set()  # ids of changed cases that are valid, although the fuzzer takes all files for invalid
        self._used: set[str] = set()  # upload links, which work once
        self._bodies: Mapping[str, Callable[[str], dict[str, Any]]] = {
            "createEdit": self._edit,
            "createIdentity": lambda kind: {"prompt": self._rng.choice(PROMPTS[:3]), **self._pictures(kind)},
            "createMask": lambda kind: {**self._sent(kind, image=PHOTO), **self._maybe_pixel(kind)},
            "createAttribute": lambda kind: {**self._sent(kind, image=PHOTO, mask=MASK), "prompt": PROMPTS[3]},
            "importIdentity": lambda _: {"file": FILE},
            "createImageEdit": self._image_edit,
            "createUpload": lambda _: {"media_type": "image/png", "size_bytes": len(PHOTO)},
        }

    def apply(self, case: Case[Any]) -> None:
        """Change the case. In a request that must be rejected, change only the ids."""
        valid = case.meta is None or case.meta.generation.mode.is_positive
        if case.operation.definition.raw.get("security") and not _is_negative(case, ParameterLocation.HEADER):
            case.headers["S2Edit-User"] = USER
        if self._rng.random() > CHANGED:
            return
        for name, value in case.path_parameters.items():
            known = self._observed().ids[ID_PREFIXES.get(name, "")]
            if known and value not in known and not _is_negative(case, ParameterLocation.PATH):
                case.path_parameters[name] = self._rng.choice(known)
        if "model" in case.path_parameters and valid:
            case.path_parameters["model"] = self._rng.choice(fuzz_world.MODELS)
        if valid:
            self.valid.add(case.id)
            self._change_parts(case, str(case.operation.definition.raw.get("operationId")))

    def _change_parts(self, case: Case[Any], operation: str) -> None:
        if operation in ("getFile", "putFile"):
            self._use_link(case)
        if operation in self._bodies and isinstance(case.body, dict):
            kept = {name: value for name, value in case.body.items() if self._rng.random() < KEPT}
            case.body = kept | self._bodies[operation](str(case.media_type))
        self._headers(case)

    def _edit(self, media_type: str) -> dict[str, Any]:
        ids, rng = self._observed().ids, self._rng
        body: dict[str, Any] = {"prompt": rng.choice(PROMPTS[:3]), **rng.choice(CONTROLS)}
        if ids["a"] and rng.random() < 0.3:
            body |= {"prompt": PROMPTS[3], "attributes": [rng.choice(ids["a"])]}
        if ids["c"] and rng.random() < 0.3:
            return body | {"identity": rng.choice(ids["c"])}
        if ids["e"] and rng.random() < 0.3:
            return body | {"parent": rng.choice(ids["e"])}
        return body | self._pictures(media_type)

    def _image_edit(self, media_type: str) -> dict[str, Any]:
        body = {"prompt": self._rng.choice(PROMPTS[:3]), **self._rng.choice(OPENAI_CONTROLS)}
        return body | ({"images": [{"image_url": PHOTO_URL}]} if media_type == "application/json" else {"image": PHOTO})

    def _pictures(self, media_type: str) -> dict[str, Any]:
        """Return photo and mask, or the photo with or without a pixel of the person."""
        if self._rng.random() < 0.5:
            return self._sent(media_type, image=PHOTO, mask=MASK)
        return {**self._sent(media_type, image=PHOTO), **self._maybe_pixel(media_type)}

    def _sent(self, media_type: str, **files: bytes) -> dict[str, Any]:
        """Return the files of a form. JSON has ids of uploads in their place, as far as there are any."""
        if media_type != "application/json":
            return files
        known = self._observed().ids["u"]
        return {name: self._rng.choice(known) for name in files if known}

    def _maybe_pixel(self, media_type: str) -> dict[str, Any]:
        """Return nothing, or a pixel inside or outside the photo."""
        at = self._rng.choice((None, [32, 32], [99, 99]))
        return {} if at is None else {"at": at if media_type == "application/json" else ",".join(map(str, at))}

    def _headers(self, case: Case[Any]) -> None:
        some = {
            "prefer": self._rng.choice(("wait=1", "wait=0", "respond-async, wait=1")),
            "if-none-match": self._rng.choice(('"1"', 'W/"2"', "*")),
            "last-event-id": self._rng.choice(("0", "3", "999")),
            "idempotency-key": f"key-{self._rng.randrange(20)}",
        }
        for name, value in some.items():
            if any(header.lower() == name for header in case.headers):
                case.headers[name] = value

    def _use_link(self, case: Case[Any]) -> None:
        links = [
            link for link in self._observed().links if ("/uploads/" in link) == (case.method == "PUT") and link not in self._used
        ]
        if not links:
            return
        link = self._rng.choice(links)
        url = urlsplit(link)
        case.path_parameters["key"] = unquote(url.path).partition("/files/")[2]
        case.query = dict(parse_qsl(url.query))
        if case.method == "PUT":
            self._used.add(link)
            case.headers.update({"Content-Type": "image/png", "If-None-Match": "*"})
            case.media_type, case.body = "image/png", PHOTO


def _is_negative(case: Case[Any], location: ParameterLocation) -> bool:
    """Return whether the fuzzer made this part of the request invalid."""
    return case.meta is not None and case.meta.is_negative_at(location)
