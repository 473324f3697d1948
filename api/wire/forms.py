"""The form of `POST /edits` as it came: nothing unknown, nothing twice, and pictures that may be used."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import cast

from fastapi import HTTPException, Request, UploadFile
from pydantic import BaseModel
from starlette.datastructures import UploadFile as ReceivedFile

from api.wire.digests import check as check_digest
from api.wire.schemas import AT_PATTERN, EditForm
from s2edit_core.delivery.output import LONGEST_SIDE, Output
from s2edit_core.errors import ImageInvalid, InvalidInput, MaskInvalid, OptionInvalid, PromptInvalid
from s2edit_core.pictures.containers import Header, read_header
from s2edit_core.pictures.files import media_type, same_frame
from s2edit_core.request import spec
from s2edit_core.request.limits import MIN_SIDE, check_photo_size, scaled_size
from s2edit_core.request.spec import EditRequest, MaskMode
from s2edit_jobs.decoding.decoders import decoders
from s2edit_jobs.records.files import Upload
from s2edit_jobs.records.webhooks import check_url
from s2edit_jobs.settings import Settings

FILES = ("image", "mask", "edit_mask")
REPEATED = ("attributes",)
"""Parts that may come once for each value."""
SMALL_PIXELS = 1_000_000
"""A mask of so many is decoded within some milliseconds, so one that can't be used is refused at once."""


async def exact_form(request: Request) -> None:
    await exact_parts(request, EditForm)


async def exact_parts(request: Request, form: type[BaseModel]) -> None:
    """Refuse what a form parser would drop in silence. Raises `InvalidInput`, or `HTTPException` 415."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "multipart/form-data":
        raise HTTPException(415, "send the edit as multipart/form-data, or with uploads as application/json")
    parts = (await request.form()).multi_items()
    for name, count in Counter(name for name, _ in parts).items():
        if name not in form.model_fields:
            known = ", ".join(form.model_fields)
            raise OptionInvalid(f"unknown part {name!r}; known are {known}", field=name, reason="option_unknown")
        if count > 1 and name not in REPEATED:
            raise OptionInvalid(f"the part {name!r} was sent {count} times: send it once", field=name, reason="part_repeated")
    for name, value in parts:
        _check_kind(name, value)


def _check_kind(name: str, value: str | ReceivedFile) -> None:
    if isinstance(value, ReceivedFile) != (name in (*FILES, "file")):
        wanted = "a file: give it a filename" if name in (*FILES, "file") else "text, not a file"
        raise OptionInvalid(f"the part {name!r} must be {wanted}", field=name, reason="part_kind")
    if name == "prompt" and value == "":  # FastAPI takes an empty part for a missing one
        raise PromptInvalid("the prompt is empty: say what the picture should show", field=name, reason="prompt_empty")


def read_files(form: EditForm) -> dict[str, Upload]:
    """The files that came, by part; call it in a thread.

    Raises `ImageInvalid` where there is no photo, though neither an identity nor a parent brings one.
    """
    files = read_parts({"image": form.image, "mask": form.mask, "edit_mask": form.edit_mask})
    check_complete(files, form.identity, form.parent)
    return files


def read_parts(parts: Mapping[str, UploadFile | None], *needed: str) -> dict[str, Upload]:
    """Return the files that came, by part; call it in a thread.

    Raises `ImageInvalid` or `MaskInvalid` where one of `needed` is missing, and `HTTPException` 400 for another content digest.
    """
    for name in needed:
        if parts.get(name) is None:
            raise missing(name)
    files = {name: upload.file.read() for name, upload in parts.items() if upload is not None}
    for name, data in files.items():
        check_digest(cast(UploadFile, parts[name]).headers.get("content-digest"), data, f"the part {name!r}")
    return {name: Upload(data, media_type(data)) for name, data in files.items()}


def check_complete(files: Collection[str], identity: str | None, parent: str | None) -> None:
    """Raises `ImageInvalid` where the photo is missing: a mask needs the photo that it was drawn on."""
    if "image" not in files and parent is None and (identity is None or "mask" in files):
        raise missing("image")


def pixel_of(at: str | list[int] | None) -> list[int] | str | None:
    """Read the pixel that a form writes as `x,y`. What is none stays as it is, and the request refuses it."""
    return [int(number) for number in at.split(",")] if isinstance(at, str) and re.fullmatch(AT_PATTERN, at) else at


def check_at(at: tuple[int, int] | None, inputs: Collection[str], photo: Callable[[], bytes]) -> None:
    """Raises `OptionInvalid` for a pixel that is not in the photo, as far as a look at the file tells, or is of no use.

    `inputs` are the names of the job's pictures, `photo` gives the photo's bytes.
    """
    if at is None:
        return
    if "mask" in inputs:
        raise OptionInvalid(
            "`at` points at a person to be found, but there is a mask already: leave out one of the two",
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
    wholly: bool = False,
) -> dict[str, Upload]:
    """Hold what came to what the engine can use, and give it as it may be kept: without metadata. Call it in a thread.

    `photo` gives the bytes that the masks belong to; one of more than `max_pixels` counts as scaled down to so many. `modes`
    say how the masks are read, `person` whether `mask` marks one. A plain and whole file is believed until the worker decodes it, a
    small mask and whatever is unusual is decoded here; `wholly` has everything decoded. Raises `ImageInvalid` or `MaskInvalid`.
    """
    if not files:
        return {}
    masks = {name: files[name].data for name in ("mask", "edit_mask") if name in files}
    data = photo()
    header, headers = read_header(data), {name: read_header(mask) for name, mask in masks.items()}
    turned = {name: found.orientation for name, found in {**headers, "image": header}.items() if found is not None}
    if header is not None:
        check_photo_size(header.size, max_pixels)
    size = scaled_size(header.size, max_pixels) if header is not None else (0, 0)
    if wholly or header is None or header.looks_flat or min(size) < MIN_SIDE:
        turned = decoders().check(data, masks, modes, max_pixels=max_pixels, person=person)
    elif doubtful := {name: mask for name, mask in masks.items() if _is_doubtful(headers[name], size)}:
        turned |= decoders().check_masks(size, doubtful, modes, person=person, sent_pixels=header.pixels)
    return {name: upload.without_metadata(turned[name], name) for name, upload in files.items()}


def _is_doubtful(mask: Header | None, size: tuple[int, int]) -> bool:
    """Whether decoding the mask of a photo of `size` may refuse it, or costs next to nothing."""
    return mask is None or mask.looks_flat or mask.pixels <= SMALL_PIXELS or not same_frame(mask.size, size)


def check_output(request: EditRequest, photo: Callable[[], bytes]) -> None:
    """Raises `OptionInvalid` for a format that can't hold a picture as long as the photo, where a look at its file tells that."""
    wanted = Output.of(request)
    if wanted.format in LONGEST_SIDE and (header := read_header(photo())) is not None:
        wanted.check_size(scaled_size(header.size, request.max_pixels))


def check_webhook(url: str | None, settings: Settings) -> None:
    """Raises `OptionInvalid` for an address that nothing is sent to, or where nothing is sent at all."""
    if url is None:
        return
    if not settings.webhook_keys:
        raise OptionInvalid(
            "this service sends no webhooks: follow the edit instead", field="webhook_url", reason="webhook_unavailable"
        )
    check_url(url, allow_private=settings.webhook_allow_private)


def missing(name: str) -> InvalidInput:
    kind = ImageInvalid if name == "image" else MaskInvalid
    return kind(
        f"the part {name!r} is missing: send it as a file, or as an upload's id in JSON", field=name, reason=f"{name}_missing"
    )
