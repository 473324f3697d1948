"""From a request in OpenAI's terms to one as `POST /edits` takes it, and from the errors of that one back to OpenAI's terms."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile

from api.openai.body import Body, Source
from api.openai.parameters import OWN, PRESETS, OpenAIOptions, check_known
from api.wire.edit_requests import EditDocument
from api.wire.fields import ID_PATTERN, IN_WORDS
from api.wire.forms import parse_pixel
from s2edit_core.errors import ImageInvalid, InvalidInput, MaskInvalid, OptionInvalid, PromptInvalid
from s2edit_core.pictures.data_urls import body_of, decoded, is_data_url
from s2edit_core.request.spec import LOSSLESS
from s2edit_jobs.value_rules import fault, field_schema

Model = TypeVar("Model", bound=BaseModel)
PARTS: Mapping[str, str] = {"image": "image", "person_mask": "mask", "edit_mask": "edit_mask"}
"""The part of `POST /edits` for each picture; `mask` takes the place of `edit_mask`."""
_FIELD_NAMES: Mapping[str, str] = {"variants": "n", "output_quality": "output_compression", "mask": "person_mask"}
"""OpenAI's names of fields of `POST /edits`."""
_MESSAGE_NAMES: Mapping[str, str] = {"variants": "n", "output_quality": "output_compression"}
_OF_MASK: Mapping[str, str] = {
    "mask_empty": "the mask has no transparent pixel: make transparent what may change",
    "mask_opaque": "the mask has no transparency, so it marks nothing: make transparent what may change, or send a picture that is "
    "white where something may change as `edit_mask`",
}
"""What is wrong with a mask that marks its region by transparency, by the reason of the error."""
_IMAGE_MISSING = "there is no photo: send it as `image`, in JSON as `images`, or name an `identity` or a `parent`"
MAX_DATA_URL_CHARS = 20_971_520
"""Of a picture in JSON, as in OpenAI's API. Larger ones come in a form or as uploads."""


@dataclass(frozen=True)
class Asked:
    """A request, translated. `document` and `files` are as `POST /edits` takes them.

    `names` are the parameters of the request by the fields of `POST /edits`, for messages. `by_transparency` says that the mask
    marks its region so.
    """

    options: OpenAIOptions
    document: EditDocument
    files: dict[str, UploadFile | bytes]
    user: str | None
    names: Mapping[str, str] = field(default_factory=dict)
    by_transparency: bool = False

    @property
    def size(self) -> tuple[int, int] | None:
        """The size that the result must have; None for any."""
        if self.options.size in (None, "auto"):
            return None
        width, _, height = str(self.options.size).partition("x")
        return int(width), int(height)

    def in_its_terms(self, error: InvalidInput) -> InvalidInput:
        """Return the error in the terms of the request."""
        name, reason = error.field.removeprefix("options."), error.reason
        field, message = self.told(name, reason, str(error))
        return type(error)(message, field=field or name, reason=reason)

    def told(self, name: str | None, code: str, message: str) -> tuple[str | None, str]:
        """Return parameter and message of an error in the terms of the request."""
        if name == "edit_mask" and self.by_transparency and code in _OF_MASK:
            return "mask", _OF_MASK[code]
        if code == "image_missing":
            return "image", _IMAGE_MISSING
        words = re.compile(rf"\b({'|'.join(map(re.escape, self.names))})\b") if self.names else None
        said = words.sub(lambda found: self.names[found[1]], message) if words else message
        if name == "mask":
            said = re.sub(r"\b(send|give) a mask\b", r"\1 a person_mask", said)
        return (self.names.get(name) or _FIELD_NAMES.get(name, name) if name is not None else None), said


def user_of(body: Body) -> str | None:
    """Return the user that the body names, as `named_user` does."""
    return named_user(body)[1]


def named_user(body: Body) -> tuple[str, str | None]:
    """Return the parameter of the body that names a user, and the user, None if there is none.

    Raises `OptionInvalid` for two different ones, or a name that can't be one.
    """
    named = {name: body.values[name] for name in ("safety_identifier", "user") if body.values.get(name) not in (None, "")}
    for name, value in named.items():
        if not isinstance(value, str) or not re.fullmatch(ID_PATTERN, value):
            raise OptionInvalid(
                f"{name} must be 1 to 64 letters, digits, hyphens and underscores: send a hash of names that have other characters",
                field=name,
            )
    if len(set(named.values())) > 1:
        raise OptionInvalid("`user` and `safety_identifier` name two users: send one of them", field="user", reason="user_unclear")
    return next(iter(named.items()), ("user", None))


def translate(body: Body) -> Asked:
    """Return the request. Raises `InvalidInput`, or `RequestValidationError` for values of a wrong type."""
    check_known(body.values, body.pictures)
    for name, value in body.values.items():
        if any(isinstance(one, UploadFile) for one in (value if isinstance(value, list) else [value])):
            raise OptionInvalid(f"the parameter {name!r} must be text: send it without a filename", field=name, reason="part_kind")
    if body.values.get("prompt") == "":
        raise PromptInvalid("the prompt is empty: describe what the picture should show", field="prompt", reason="prompt_empty")
    theirs = {name: value for name, value in body.values.items() if name in OpenAIOptions.model_fields}
    options = _validated(OpenAIOptions, theirs, body)
    _check_streaming(options)
    values = {name: body.values[name] for name in OWN if name in body.values}
    pictures = dict(body.pictures)
    values |= _mask_of(pictures, options, values) | _output_of(options, values) | _preset_of(options, values)
    if options.n is not None:
        values["variants"] = options.n
    values["at"] = _pixel(values.get("at"))
    sources = {PARTS[name]: _source_of(name, source) for name, source in pictures.items()}
    ids = {name: source for name, source in sources.items() if isinstance(source, str)}
    document = _validated(EditDocument, {**values, **ids}, body)
    by_transparency = "mask" in body.pictures and options.mask_mode in (None, "inverted_alpha")
    renamed = {"edit_mask": "mask", "edit_mask_mode": "mask_mode"} if "mask" in body.pictures else {}
    return Asked(
        options=options,
        document=document,
        files={name: source for name, source in sources.items() if not isinstance(source, str)},
        user=user_of(body),
        names={**_MESSAGE_NAMES, **renamed},
        by_transparency=by_transparency,
    )


def _validated(model: type[Model], values: Mapping[str, Any], body: Body) -> Model:
    """Return `values` as `model`. A form has only text, JSON has numbers."""
    try:
        return model.model_validate(values, strict=body.typed)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        told = [fault(field_schema(model, str(each["loc"][0])), each, IN_WORDS) for each in faults]
        raise RequestValidationError(
            [{**each, "loc": ("body", *each["loc"]), "wrong": wrong} for each, wrong in zip(faults, told, strict=True)]
        ) from None


def _check_streaming(options: OpenAIOptions) -> None:
    if options.partial_images and not options.stream:
        raise OptionInvalid(
            "partial_images are sent in a stream: set stream, or leave partial_images out",
            field="partial_images",
            reason="option_unsupported",
        )
    if options.stream and options.response_format == "url":
        raise OptionInvalid(
            "a stream sends pictures as b64_json: leave out stream for a link, or response_format for a stream",
            field="response_format",
            reason="option_unsupported",
        )


def _mask_of(pictures: dict[str, Source], options: OpenAIOptions, values: Mapping[str, Any]) -> dict[str, Any]:
    """Make of OpenAI's mask the edit mask of `pictures`, and return how it is read."""
    if "mask" not in pictures:
        if options.mask_mode is not None:
            raise OptionInvalid(
                "mask_mode says how `mask` is read, and there is none: send it, or leave out mask_mode",
                field="mask_mode",
                reason="mask_mode_without_mask",
            )
        return {}
    if "edit_mask" in pictures:
        raise OptionInvalid(
            "both `mask` and `edit_mask` say what may change: send one of them", field="edit_mask", reason="masks_unclear"
        )
    if values.get("edit_mask_mode") is not None:
        raise OptionInvalid(
            "edit_mask_mode says how `edit_mask` is read: send mask_mode for `mask`", field="edit_mask_mode", reason="masks_unclear"
        )
    pictures["edit_mask"] = pictures.pop("mask")
    return {"edit_mask_mode": options.mask_mode or "inverted_alpha"}


def _output_of(options: OpenAIOptions, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return format, quality and transparency of the result."""
    kind, level = options.output_format or "png", options.output_compression
    if kind == "png" and level not in (None, 100):
        raise OptionInvalid(
            "a PNG is lossless: leave output_compression out, or choose jpeg or webp",
            field="output_compression",
            reason="quality_without_loss",
        )
    values: dict[str, Any] = {"output_format": kind}
    if kind != "png":
        values["output_quality"] = LOSSLESS if level is None else max(1, level)
    if options.background == "opaque":
        if given.get("keep_alpha") not in (None, ""):
            raise OptionInvalid(
                "both `background` and `keep_alpha` choose the transparency: send one of them",
                field="background",
                reason="background_unclear",
            )
        values["keep_alpha"] = False
    return values


def _preset_of(options: OpenAIOptions, values: Mapping[str, Any]) -> dict[str, Any]:
    if options.quality in (None, "auto"):
        return {}
    if values.get("preset") is not None:
        raise OptionInvalid(
            "both `quality` and `preset` choose the preset: send one of them", field="quality", reason="preset_unclear"
        )
    return {"preset": PRESETS[options.quality]}


def _pixel(at: Any) -> Any:
    """Return the pixel as JSON has it. A form has `x,y`, or the part twice."""
    if isinstance(at, list) and all(isinstance(one, str) for one in at):
        at = ",".join(at)
    return parse_pixel(at)


def _source_of(name: str, source: Source) -> UploadFile | bytes | str:
    """Return a file, the bytes of a picture, or the id of an upload."""
    if isinstance(source, UploadFile):
        return source
    if isinstance(source, bytes):
        return _decoded(name, source)
    if is_data_url(source):
        if (body := body_of(source)) is None:
            raise _unreadable(name, "the data URL is not base64: send data:image/png;base64,…")
        return _decoded(name, body)
    if re.match(r"[a-z]+:", source, flags=re.IGNORECASE):
        raise _unreadable(
            name,
            "the service fetches no pictures from the web: send the file itself, a base64 data URL or the id of an upload; to go "
            "on from an earlier edit, name it as `parent`",
        )
    return source.strip()


def _decoded(name: str, data: bytes) -> bytes:
    if len(data) > MAX_DATA_URL_CHARS:
        raise _unreadable(name, f"the data URL is longer than {MAX_DATA_URL_CHARS} characters: send the picture in a form")
    try:
        return decoded(data)
    except ValueError:
        raise _unreadable(name, "the data URL is not valid base64: send data:image/png;base64,…") from None


def _unreadable(name: str, message: str) -> InvalidInput:
    kind = ImageInvalid if name == "image" else MaskInvalid
    return kind(message, field=name, reason="picture_unreadable")
