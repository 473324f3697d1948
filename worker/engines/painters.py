"""What the engine without a model does with pictures: it draws on them, or it only digests their bytes."""

from __future__ import annotations

import colorsys
import hashlib
import threading
from typing import Any, Protocol

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from s2edit_core.delivery import report
from s2edit_core.delivery.output import Output, encode_result
from s2edit_core.pictures.files import decode_original, decode_photo, encode_png, grown, inside_of
from s2edit_core.pictures.input_scale import InputScale
from s2edit_core.pictures.mask_files import decode_mask
from s2edit_core.request.plan import digest
from s2edit_core.request.spec import EditRequest, LearningRequest, check_at
from s2edit_jobs.decoding.decoders import decoders
from s2edit_jobs.records.record import JobRequest
from worker.engines.engine import EditInputs, Found, check_pictures

Drawn = tuple[list[bytes], list[dict[str, Any]]]
"""The pictures' files, and what a report says of each."""

WORD = "TEST"
PERSON = (0.6, 0.8)
"""How much of the photo's width and height the ellipse takes that stands for a person."""
SHARE = 0.5
"""How much of the region is the colour's, the rest the photo's."""
_drawing = threading.Lock()
"""A photo may be large, and the worker's memory is the live edits': one at a time."""


class Painter(Protocol):
    """Everything here depends on its arguments alone."""

    def check(self, request: EditRequest | LearningRequest, inputs: EditInputs) -> None:
        """Check the files before anything decodes them in the worker. Raise `ImageInvalid` or `MaskInvalid`."""

    def read(self, request: EditRequest | LearningRequest, inputs: EditInputs) -> InputScale:
        """Return the photo's size. Raise `InvalidInput` for masks and options that do not fit it."""

    def find(self, request: JobRequest, photo: bytes, segmenter: str) -> Found | None:
        """Find the person; None if there is nobody. Raise `InvalidInput` as `read` does."""

    def draw(self, request: EditRequest, prompt: str, inputs: EditInputs) -> Drawn:
        """Make the result and its variants. `prompt` is the resolved target prompt."""


class TintPainter:
    """Real pictures: the photo with a colour over the region that may change, which prompt and seed decide, and the word TEST.

    A mask that was not given is an ellipse.
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

    def find(self, request: JobRequest, photo: bytes, segmenter: str) -> Found:
        decoders().check(photo, {}, max_pixels=request.max_pixels)
        size = decode_photo(photo, request.max_pixels).size
        scale = InputScale.of(photo, size, request.max_pixels)
        check_at(request.at, scale.sent)
        mask = stand_in(size, scale.pixel(request.at))
        return Found(encode_png(mask), segmenter, 1, 1.0, mask.getbbox() or (0, 0, *size))

    def draw(self, request: EditRequest, prompt: str, inputs: EditInputs) -> Drawn:
        with _drawing:
            return self._draw(request, prompt, inputs)

    def _draw(self, request: EditRequest, prompt: str, inputs: EditInputs) -> Drawn:
        original, wanted = decode_original(inputs.image, request.max_pixels), Output.of(request)
        photo = original.photo
        if inputs.edit_mask is None:
            edit_mask = grown(decode_mask(inputs.mask, photo.size, mode=inputs.mask_mode))
        else:
            edit_mask = decode_mask(inputs.edit_mask, photo.size, "edit_mask", inputs.edit_mask_mode)
        files, measures = [], []
        for i in range(request.variants):
            asked = [*_asked(request, prompt), str((request.seed + i) % 2**63), *(digest(worn) for worn in inputs.attributes)]
            result = tinted(photo, edit_mask, "|".join(asked))
            file, output = encode_result(result, original, edit_mask, wanted)
            files.append(file)
            measures.append(report.delivered(report.changes(photo, result, result, edit_mask), output) | _whole(photo))
        return files, measures


class DigestPainter:
    """Bytes instead of pictures: any bytes are a photo or a mask, and a result is a digest of what it was made from.

    A storm or a test compares such results and need not pay for pictures.
    """

    SIZE = (64, 64)

    def __init__(self, people: int = 1) -> None:
        self.people = people  # in every photo

    def check(self, request: EditRequest | LearningRequest, inputs: EditInputs) -> None:
        pass

    def read(self, request: EditRequest | LearningRequest, inputs: EditInputs) -> InputScale:  # noqa: ARG002
        return InputScale(self.SIZE, self.SIZE)

    def find(self, request: JobRequest, photo: bytes, segmenter: str) -> Found | None:
        if not self.people:
            return None
        return Found(self.mask(photo, request.at), segmenter, self.people, 0.9, (0, 0, 1, 1))

    def mask(self, photo: bytes, at: tuple[int, int] | None) -> bytes:
        return f"mask at {at} of ".encode() + photo

    def draw(self, request: EditRequest, prompt: str, inputs: EditInputs) -> Drawn:
        parts = [inputs.image, inputs.mask, prompt.encode(), *inputs.attributes]
        result = request.output_format.encode() + hashlib.sha256(b"|".join(parts)).digest()
        files = [result, *(result + str(i).encode() for i in range(1, request.variants))]
        return files, [{} for _ in files]


def _asked(request: EditRequest, prompt: str) -> list[str]:
    """What of the request decides the colour."""
    further = [request.negative_prompt or "", f"{request.strength:g}"]
    return [prompt] if further == ["", "1"] else [prompt, *further]


def _whole(photo: Image.Image) -> dict[str, Any]:
    """What a report says of delivery and canvas: all of the edit mask is tinted, in the photo's own frame."""
    delivery = {"way": "difference", "replaced": 0.0, "shifted": 1.0, "left": 0.0}
    return {"delivery": delivery, "canvas": {"box": [0, 0, *photo.size], "frame": list(photo.size), "stretch": 1.0}}


def tinted(photo: Image.Image, edit_mask: Image.Image, cause: str) -> Image.Image:
    """`photo` with the colour that `cause` leads to, and a word, inside `edit_mask`; outside not one pixel is changed."""
    hue = int.from_bytes(hashlib.sha256(cause.encode()).digest()[:4]) / 2**32
    colour = tuple(round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.8, 0.9))
    region = Image.fromarray((inside_of(edit_mask) * 255).astype(np.uint8))
    left, top, right, bottom = region.getbbox() or (0, 0, *photo.size)
    cover = Image.new("RGB", photo.size, colour)
    font = ImageFont.load_default(size=max(8.0, (right - left) / len(WORD)))
    ImageDraw.Draw(cover).text(((left + right) / 2, (top + bottom) / 2), WORD, fill="white", font=font, anchor="mm")
    return Image.composite(Image.blend(photo, cover, SHARE), photo, region)


def stand_in(size: tuple[int, int], at: tuple[int, int] | None) -> Image.Image:
    """A mask of `size`: an ellipse around `at`, in the middle if nobody is pointed at."""
    x, y = at or (size[0] // 2, size[1] // 2)
    across, down = (max(1, round(side * share / 2)) for side, share in zip(size, PERSON, strict=True))
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).ellipse([x - across, y - down, x + across, y + down], fill=255)
    return mask
