"""Checks of forms and their pictures before a job is accepted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping

from fastapi import HTTPException, Request
from pydantic import BaseModel
from starlette.datastructures import UploadFile as ReceivedFile

from api.wire.digests import check as check_digest
from api.wire.fields import PIXEL_PATTERN
from api.wire.known_names import unknown
from s2edit_core.delivery.output import LONGEST_SIDE, Output
from s2edit_core.errors import ImageInvalid, InvalidInput, MaskInvalid, OptionInvalid, PromptInvalid
from s2edit_core.pictures.containers import Header, read_header
from s2edit_core.pictures.files import media_type, same_frame
from s2edit_core.request import spec
from s2edit_core.request.picture_limits import MIN_SIDE, check_photo_size, scaled_size
from s2edit_core.request.spec import EditRequest, MaskMode
from s2edit_core.request.texts import is_visible, unfit_character
from s2edit_jobs.decoding.decoders import decoders
from s2edit_jobs.records.files import Upload
from s2edit_jobs.records.webhooks import check_url
from s2edit_jobs.settings import Settings

FILES = ("image", "mask", "edit_mask")
REPEATED = ("attributes",)
"""Parts that may be repeated, once for each value."""
SMALL_PIXELS = 1_000_000
"""Masks up to this size decode within milliseconds, so the API decodes them before it answers."""


async def check_parts(request: Request, form: type[BaseModel]) -> None:
    """Reject unknown, repeated, mistyped and empty parts, which FastAPI would silently drop.

    Raises `InvalidInput`, or `HTTPException` 415 if the body is not a form.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "multipart/form-data":
        or_json = ", or with uploads as application/json" if "image" in form.model_fields else ""
        raise HTTPException(415, f"send the request as multipart/form-data{or_json}")
    parts = (await request.form()).multi_items()
    for name, count in Counter(name for name, _ in parts).items():
        if name not in form.model_fields:
            raise OptionInvalid(unknown("part", name, form.model_fields), field=name, reason="option_unknown")
        if count > 1 and name not in REPEATED:
            raise OptionInvalid(f"the part {name!r} was sent {count} times: send it once", field=name, reason="part_repeated")
    for name, value in parts:
        _check_kind(name, value)


def parts_of(form: type[BaseModel]) -> Callable[[Request], Awaitable[None]]:
    """Return the dependency that checks a request's parts against `form`."""

    async def check(request: Request) -> None:
        await check_parts(request, form)

    return check


def _check_kind(name: str, value: str | ReceivedFile) -> None:
    if isinstance(value, ReceivedFile) != (name in (*FILES, "file")):
        wanted = "a file: send it with a filename" if name in (*FILES, "file") else "text: send it without a filename"
        raise OptionInvalid(f"the part {name!r} must be {wanted}", field=name, reason="part_kind")
    if name == "prompt" and value == "":  # FastAPI would report an empty part as missing
        raise PromptInvalid("the prompt is empty: describe what the picture should show", field=name, reason="prompt_empty")
    if isinstance(value, str) and name != "prompt":
        check_filled(name, value)


def check_filled(name: str, text: str) -> None:
    """Raise `OptionInvalid` for a part without a visible character. An unset variable must not become a default.

    An empty `negative_prompt` says what it means: the result may show anything.
    """
    if name != "negative_prompt" and not is_visible(text) and unfit_character(text) is None:
        raise OptionInvalid(f"the part {name!r} is empty: give it a value, or leave it out", field=name, reason="part_empty")


def read_part(name: str, part: ReceivedFile) -> Upload:
    """Return the file in the part `name`. Blocks. Raises `DigestMismatch`, and `OptionInvalid` for an empty file."""
    data = part.file.read()
    if not data:
        raise OptionInvalid(
            f"the part {name!r} is an empty file: send the picture, or leave it out", field=name, reason="part_empty"
        )
    check_digest(part.headers.get("content-digest"), data, f"the part {name!r}")
    return Upload(data, media_type(data))


def check_has_photo(files: Collection[str], identity: str | None, parent: str | None) -> None:
    """Raise `ImageInvalid` if the photo is missing.

    An identity brings its own photo, but not for a new mask: a mask needs the photo that it was drawn on.
    """
    if "image" in files or parent is not None:
        return
    if identity is None:
        raise missing_part("image")
    if "mask" in files:
        message = "a mask of your own needs the photo: send `image` too, or leave `mask` out to use the identity's"
        raise ImageInvalid(message, field="image", reason="image_missing")


def parse_pixel(at: str | list[int] | None) -> list[int] | str | None:
    """Parse the pixel that a form writes as `x,y`. Anything else is returned unchanged, and `EditRequest` rejects it."""
    return [int(number) for number in at.split(",")] if isinstance(at, str) and re.fullmatch(PIXEL_PATTERN, at) else at


def check_at(at: tuple[int, int] | None, inputs: Collection[str], photo: Callable[[], bytes]) -> None:
    """Raise `OptionInvalid` for a pixel that comes with a mask or, as far as the file header tells, lies outside the photo.

    `inputs` are the names of the job's pictures. `photo` returns the bytes of the photo.
    """
    if at is None:
        return
    if "mask" in inputs:
        raise OptionInvalid(
            "`at` selects the person to find, but there is a mask already: leave out one of the two",
            field="at",
            reason="at_and_mask",
        )
    if (header := read_header(photo())) is not None:
        spec.check_at(at, header.size)


def check_pictures(
    files: Mapping[str, Upload],
    photo: Callable[[], bytes],
    modes: Mapping[str, MaskMode],
    *,
    max_pixels: int | None = None,
    person: bool = True,
    decode_all: bool = False,
) -> dict[str, Upload]:
    """Check that the engine can use the pictures, and return them without metadata. Blocks.

    `photo` returns the bytes of the photo that the masks belong to. A photo of more than `max_pixels` counts as scaled down.
    `modes` say how the masks are read, and `person` whether `mask` marks a person. A file whose header is complete and ordinary
    is trusted until the worker decodes it. Small masks and unusual files are decoded here, and with `decode_all` every file.
    Raises `ImageInvalid` or `MaskInvalid`.
    """
    if not files:
        return {}
    masks = {name: files[name].data for name in ("mask", "edit_mask") if name in files}
    data = photo()
    header, headers = read_header(data), {name: read_header(mask) for name, mask in masks.items()}
    orientations = {name: found.orientation for name, found in {**headers, "image": header}.items() if found is not None}
    if header is not None:
        check_photo_size(header.size, max_pixels)
    size = scaled_size(header.size, max_pixels) if header is not None else (0, 0)
    if decode_all or header is None or header.looks_flat or min(size) < MIN_SIDE:
        orientations = decoders().check(data, masks, modes, max_pixels=max_pixels, person=person)
    elif uncertain := {name: mask for name, mask in masks.items() if _needs_decoding(headers[name], size)}:
        orientations |= decoders().check_masks(size, uncertain, modes, person=person, sent_pixels=header.pixels)
    return {name: upload.without_metadata(orientations[name], name) for name, upload in files.items()}


def _needs_decoding(mask: Header | None, size: tuple[int, int]) -> bool:
    """Return whether the mask of a photo of `size` looks invalid by its header, or is cheap to decode anyway."""
    return mask is None or mask.looks_flat or mask.pixels <= SMALL_PIXELS or not same_frame(mask.size, size)


def check_output(request: EditRequest, photo: Callable[[], bytes]) -> None:
    """Raise `OptionInvalid` if the header of the photo shows that it is too large for the output format."""
    wanted = Output.of(request)
    if wanted.format in LONGEST_SIDE and (header := read_header(photo())) is not None:
        wanted.check_size(scaled_size(header.size, request.max_pixels))


def check_webhook(url: str | None, settings: Settings) -> None:
    """Raise `OptionInvalid` for a URL that the service does not send to, or if it sends no webhooks at all."""
    if url is None:
        return
    if not settings.webhook_keys:
        raise OptionInvalid(
            "this service sends no webhooks: leave out webhook_url and poll the edit",
            field="webhook_url",
            reason="webhook_unavailable",
        )
    check_url(url, allow_private=settings.webhook_allow_private)


def missing_part(name: str) -> InvalidInput:
    """Return the error for a missing picture."""
    kind = ImageInvalid if name == "image" else MaskInvalid
    message = f"the part {name!r} is missing: send it as a file, or in JSON as the id of an upload"
    return kind(message, field=name, reason=f"{name}_missing")
