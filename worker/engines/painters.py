"""The picture parts of the engine without a model: one draws on the photo, the other only hashes bytes."""

from __future__ import annotations

import colorsys
import hashlib
import struct
import threading
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from s2edit_core.delivery import report
from s2edit_core.delivery.output import Output, encode_result
from s2edit_core.delivery.preview_files import encode_preview, preview_size
from s2edit_core.pictures.files import decode_original, decode_photo, encode_png, grown, inside_of
from s2edit_core.pictures.input_scale import InputScale
from s2edit_core.pictures.mask_files import decode_mask
from s2edit_core.request.plan import digest
from s2edit_core.request.spec import EditRequest, LearningRequest, check_at
from s2edit_jobs.decoding.decoders import decoders
from s2edit_jobs.records.record import JobRequest
from worker.engines.engine import DetectedMask, EditInputs, check_pictures

Drawn = tuple[list[bytes], list[dict[str, Any]]]
"""The picture files, and the report's figures for each."""

WORD = "TEST"
PERSON = (0.6, 0.8)
"""Size of the ellipse that stands for a person, as fractions of the photo's width and height."""
SHARE = 0.5
"""Opacity of the colour over the photo."""
_drawing = threading.Lock()
"""Allows one drawing at a time: photos may be large, and the worker's memory is for live edits."""


class Painter(Protocol):
    """Finds masks and draws results. Every method is deterministic: its result depends on its arguments only."""

    def check(self, request: EditRequest | LearningRequest, inputs: EditInputs) -> None:
        """Check the files before anything decodes them in the worker. Raise `ImageInvalid` or `MaskInvalid`."""

    def read(self, request: EditRequest | LearningRequest, inputs: EditInputs) -> InputScale:
        """Return the photo's size. Raise `InvalidInput` for masks and options that do not fit it."""

    def find(self, request: JobRequest, photo: bytes, segmenter: str) -> DetectedMask | None:
        """Find the person; None if there is nobody. Raise `InvalidInput` as `read` does."""

    def draw(self, request: EditRequest, prompt: str, inputs: EditInputs) -> Drawn:
        """Make the result and its variants. `prompt` is the resolved target prompt."""

    def previews(self, request: EditRequest, prompt: str, inputs: EditInputs) -> Callable[[float], bytes]:
        """Return what makes a preview of the result when a share of the edit is done, above 0 and at most 1.

        Its first call prepares what the next ones use.
        """


class TintPainter:
    """Draws real pictures: the photo, with a colour and the word TEST over the edit mask. Prompt and seed determine the colour.

    If no mask is sent, it is an ellipse.
    """

    def check(self, request: EditRequest | LearningRequest, inputs: EditInputs) -> None:
        check_pictures(inputs, request.max_pixels, person=isinstance(request, EditRequest) or request.kind == "identity")

    def read(self, request: EditRequest | LearningRequest, inputs: EditInputs) -> InputScale:
        photo = decode_photo(inputs.image, request.max_pixels)
        person = isinstance(request, EditRequest) or request.kind == "identity"
        if isinstance(request, EditRequest):
            Output.of(request).check_size(photo.size)
        decode_mask(inputs.mask, photo.size, mode=inputs.mask_mode, person=person)
        if inputs.edit_mask is not None:
            decode_mask(inputs.edit_mask, photo.size, "edit_mask", inputs.edit_mask_mode)
        return InputScale.of(inputs.image, photo.size, request.max_pixels)

    def find(self, request: JobRequest, photo: bytes, segmenter: str) -> DetectedMask:
        decoders().check(photo, {}, max_pixels=request.max_pixels)
        size = decode_photo(photo, request.max_pixels).size
        scale = InputScale.of(photo, size, request.max_pixels)
        check_at(request.at, scale.sent)
        mask = stand_in(size, scale.pixel(request.at))
        return DetectedMask(encode_png(mask), segmenter, 1, 1.0, mask.getbbox() or (0, 0, *size))

    def draw(self, request: EditRequest, prompt: str, inputs: EditInputs) -> Drawn:
        with _drawing:
            return self._draw(request, prompt, inputs)

    def _draw(self, request: EditRequest, prompt: str, inputs: EditInputs) -> Drawn:
        original, wanted = decode_original(inputs.image, request.max_pixels), Output.of(request)
        photo = original.photo
        edit_mask = _edit_mask(inputs, photo.size)
        files, measures = [], []
        for i in range(request.variants):
            result = tinted(photo, edit_mask, _cause(request, prompt, inputs, i))
            file, output = encode_result(result, original, edit_mask, wanted)
            files.append(file)
            measures.append(report.delivered(report.changes(photo, result, result, edit_mask), output) | _whole(photo))
        return files, measures

    def previews(self, request: EditRequest, prompt: str, inputs: EditInputs) -> Callable[[float], bytes]:
        @cache
        def ends() -> tuple[Image.Image, Image.Image]:
            with _drawing:
                photo = decode_photo(inputs.image, request.max_pixels)
                region = _edit_mask(inputs, photo.size)
            small = photo.resize(preview_size(photo.size), Image.Resampling.BOX)
            return small, tinted(small, region.resize(small.size), _cause(request, prompt, inputs, 0))

        return lambda share: encode_preview(Image.blend(*ends(), share))


class DigestPainter:
    """Uses bytes instead of pictures: any bytes count as a photo or a mask, and a result is a digest of its inputs.

    Tests and storms compare such results without the cost of real pictures.
    """

    SIZE = (64, 64)

    def __init__(self, people: int = 1) -> None:
        self.people = people  # in every photo

    def check(self, request: EditRequest | LearningRequest, inputs: EditInputs) -> None:
        pass

    def read(self, request: EditRequest | LearningRequest, inputs: EditInputs) -> InputScale:  # noqa: ARG002
        return InputScale(self.SIZE, self.SIZE)

    def find(self, request: JobRequest, photo: bytes, segmenter: str) -> DetectedMask | None:
        if not self.people:
            return None
        return DetectedMask(self.mask(photo, request.at), segmenter, self.people, 0.9, (0, 0, 1, 1))

    def mask(self, photo: bytes, at: tuple[int, int] | None) -> bytes:
        return f"mask at {at} of ".encode() + photo

    def previews(self, request: EditRequest, prompt: str, inputs: EditInputs) -> Callable[[float], bytes]:
        return lambda share: hashlib.sha256(f"{share:g} of {request.seed} {prompt}".encode() + inputs.image).digest()

    def draw(self, request: EditRequest, prompt: str, inputs: EditInputs) -> Drawn:
        parts = [inputs.image, inputs.mask, prompt.encode(), *inputs.attributes]
        result = request.output_format.encode() + hashlib.sha256(b"|".join(parts)).digest()
        files = [result, *(result + str(i).encode() for i in range(1, request.variants))]
        return files, [{} for _ in files]


def _edit_mask(inputs: EditInputs, size: tuple[int, int]) -> Image.Image:
    if inputs.edit_mask is None:
        return grown(decode_mask(inputs.mask, size, mode=inputs.mask_mode))
    return decode_mask(inputs.edit_mask, size, "edit_mask", inputs.edit_mask_mode)


def _cause(request: EditRequest, prompt: str, inputs: EditInputs, variant: int) -> str:
    """Return what determines the colour of a variant."""
    seed = str((request.seed + variant) % 2**63)
    return "|".join([*_asked(request, prompt), seed, *(digest(concept) for concept in inputs.attributes)])


def _asked(request: EditRequest, prompt: str) -> list[str]:
    """Return the options of the request that determine the colour."""
    further = [request.negative_prompt or "", f"{request.strength:g}"]
    return [prompt] if further == ["", "1"] else [prompt, *further]


def _whole(photo: Image.Image) -> dict[str, Any]:
    """Return the report's sections on delivery and canvas: the whole edit mask is tinted, in the photo's own frame."""
    delivery = {"way": "difference", "replaced": 0.0, "shifted": 1.0, "left": 0.0}
    return {"delivery": delivery, "canvas": {"box": [0, 0, *photo.size], "frame": list(photo.size), "stretch": 1.0}}


def tinted(photo: Image.Image, edit_mask: Image.Image, cause: str) -> Image.Image:
    """Return `photo` with a colour derived from `cause`, and a word, inside `edit_mask`. Pixels outside do not change."""
    hue, saturation, value = (number / 2**16 for number in struct.unpack_from("<3H", hashlib.sha256(cause.encode()).digest()))
    # All three vary: of pictures that differ in hue alone, two of five look the same once in fifty times.
    colour = tuple(round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.8 + 0.2 * saturation, 0.8 + 0.2 * value))
    region = Image.fromarray((inside_of(edit_mask) * 255).astype(np.uint8))
    left, top, right, bottom = region.getbbox() or (0, 0, *photo.size)
    cover = Image.new("RGB", photo.size, colour)
    font = ImageFont.load_default(size=max(8.0, (right - left) / len(WORD)))
    ImageDraw.Draw(cover).text(((left + right) / 2, (top + bottom) / 2), WORD, fill="white", font=font, anchor="mm")
    return Image.composite(Image.blend(photo, cover, SHARE), photo, region)


def stand_in(size: tuple[int, int], at: tuple[int, int] | None) -> Image.Image:
    """Return a mask of `size`: an ellipse around `at`, or in the middle without it."""
    x, y = at or (size[0] // 2, size[1] // 2)
    across, down = (max(1, round(side * share / 2)) for side, share in zip(size, PERSON, strict=True))
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).ellipse([x - across, y - down, x + across, y + down], fill=255)
    return mask
