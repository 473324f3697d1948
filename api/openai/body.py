"""The body of `POST /v1/images/edits`: a form, as the SDKs send it, or JSON. Both become one shape."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from fastapi import HTTPException, Request
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from api.openai.parameters import OWN, PICTURES, OpenAIOptions, known_names
from api.wire.bodies.strict_json import MAX_JSON_BYTES, parse
from api.wire.forms import check_filled
from s2edit_core.errors import OptionInvalid

MAX_FILES, MAX_FIELDS, MAX_TEXT_BYTES = 20, 64, 1_000_000
"""Parts of a form: more than any request needs, so that a message can name what is wrong. A text may be a small `data:` URL."""
REPEATED = ("attributes", "at")
"""Parameters that may be repeated, once for each value."""
_DATA_URL = re.compile(rb'(?<!\\)"data:([\w/+.;= \\-]{0,100}?);base64,([^"]*)"', re.IGNORECASE)
"""The media type may have parameters, and JSON may escape its slash."""
_CUT = re.compile(r"data:;base64,#(\d{1,2})")
_NAME = re.compile(r"([^\[]*)(\[\d*\])?")
"""A name, and the brackets by which a form marks a list."""

Source = UploadFile | str | bytes
"""Where a picture comes from: a file, the id of an upload, or the base64 text of a `data:` URL."""


@dataclass
class Body:
    """What was sent: `values` by parameter, and the sources of each picture. `typed` says that values are JSON's."""

    values: dict[str, Any] = field(default_factory=dict)
    pictures: dict[str, Source] = field(default_factory=dict)
    typed: bool = False


async def read_body(request: Request) -> Body:
    """Read the body. Raises `HTTPException`, `OptionInvalid`, and `RequestValidationError` for a body that is no JSON object."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == "multipart/form-data":
        form = await request.form(max_files=MAX_FILES, max_fields=MAX_FIELDS, max_part_size=MAX_TEXT_BYTES)
        return _of_form(form.multi_items())
    if content_type == "application/json":
        data = b"".join([piece async for piece in request.stream()])  # `request.body` would keep it while the edit runs
        return await run_in_threadpool(_of_json, data)
    raise HTTPException(415, "send the request as multipart/form-data or application/json")


def _of_form(parts: list[tuple[str, UploadFile | str]]) -> Body:
    sent: dict[str, list[UploadFile | str]] = defaultdict(list)
    for name, part in parts:
        matched = _NAME.fullmatch(name)
        sent[matched[1] if matched else name.partition("[")[0]].append(part)
    body = Body()
    for name, values in sent.items():
        if name in PICTURES:
            body.pictures[name] = _only(name, values)
            continue
        value: object = values if name in REPEATED else _once(name, values)
        if value == "" and name in OpenAIOptions.model_fields:  # some of OpenAI's clients send empty fields
            continue
        if name in OWN and name != "prompt":
            for text in values:
                if isinstance(text, str):
                    check_filled(name, text)
        body.values[name] = value
    return body


def _only(name: str, values: list[Any]) -> Source:
    """Return the one picture. An edit changes one photo."""
    if len(values) > 1:
        raise OptionInvalid(
            f"{len(values)} pictures were sent as {name!r}: an edit takes one, so send each photo as a request of its own",
            field=name,
            reason="part_repeated",
        )
    source: Source = values[0]
    return source


def _once(name: str, values: list[UploadFile | str]) -> UploadFile | str:
    if len(values) > 1 and name in known_names():
        raise OptionInvalid(f"{name!r} was sent {len(values)} times: send it once", field=name, reason="part_repeated")
    return values[0]


def _of_json(data: bytes) -> Body:
    """Read a JSON body. Pictures are cut out before anything is parsed, so a large body costs little time."""
    cut: list[bytes] = []

    def keep(found: re.Match[bytes]) -> bytes:
        if len(cut) == MAX_FILES:
            raise HTTPException(413, f"the JSON has too many pictures: send at most {MAX_FILES}")
        cut.append(_unescaped(found[2]))
        return b'"data:;base64,#%d"' % (len(cut) - 1)

    rest = _DATA_URL.sub(keep, data)
    if len(rest) > MAX_JSON_BYTES:
        raise HTTPException(413, f"the JSON is too large: apart from base64 data URLs, send at most {MAX_JSON_BYTES} bytes")
    try:
        document = parse(rest)
    except json.JSONDecodeError as error:
        fault = {"type": "json_invalid", "loc": ("body", error.pos), "msg": "", "ctx": {"error": error.msg}}
        raise RequestValidationError([fault]) from None
    if not isinstance(document, dict):
        raise RequestValidationError([{"type": "dict_type", "loc": ("body",), "msg": ""}])
    body = Body(typed=True)
    for name, value in document.items():
        if value is None:  # OpenAI's parameters may be null
            continue
        if name in PICTURES or name == "images":
            _add_picture(body, "image" if name == "images" else name, value, cut)
        else:
            body.values[name] = value
    return body


def _unescaped(data: bytes) -> bytes:
    """Return the text that JSON writes so. PHP escapes slashes, .NET the plus sign."""
    if b"\\" not in data:
        return data
    try:
        return str(json.loads(b'"' + data + b'"')).encode()
    except ValueError:
        return data  # no base64, which the message of whoever decodes it says


def _add_picture(body: Body, name: str, value: Any, cut: list[bytes]) -> None:
    values = value if isinstance(value, list) else [value]
    earlier = [body.pictures[name]] if name in body.pictures else []
    if sources := [*earlier, *(_source(name, one, cut) for one in values)]:
        body.pictures[name] = _only(name, sources)


def _source(name: str, value: Any, cut: list[bytes]) -> Source:
    """Return the source that an object with `image_url` or `file_id`, or their plain text, names."""
    if isinstance(value, dict):
        sent = {key: one for key, one in value.items() if one is not None}
        if len(sent) != 1 or not sent.keys() <= {"image_url", "file_id"}:
            raise _no_picture(name)
        (value,) = sent.values()
        if isinstance(value, dict) and set(value) == {"url"}:  # as in chats
            value = value["url"]
    if not isinstance(value, str):
        raise _no_picture(name)
    found = _CUT.fullmatch(value)
    return cut[int(found[1])] if found and int(found[1]) < len(cut) else value


def _no_picture(name: str) -> OptionInvalid:
    return OptionInvalid(
        f"{name!r} names no picture: in JSON, send an object with either an image_url, which is a base64 data URL, or a file_id, "
        "which is the id of an upload",
        field=name,
        reason="part_kind",
    )
