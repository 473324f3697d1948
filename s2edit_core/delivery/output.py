"""From an edited picture to the delivered file, in the photo's own colours, with its alpha and resolution. Loads no torch.

The model works in sRGB on white, and `canvas` returns such a picture. Where the edit changed nothing, and so everywhere outside the
edit mask, the file holds the photo's own values instead: wide-gamut colours are not clipped, and transparent pixels keep their
alpha and the colours hidden under it. Changed pixels are converted to the photo's colour profile.

The default format is PNG whatever the photo's format is. A JPEG or lossy WebP changes pixels everywhere, and the report says by how
much.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageCms
from PIL.PngImagePlugin import PngInfo

from s2edit_core.delivery import report
from s2edit_core.errors import OptionInvalid
from s2edit_core.pictures.colours import from_srgb, to_srgb
from s2edit_core.pictures.files import Original
from s2edit_core.request.spec import LOSSLESS, QUALITY, EditRequest, OutputFormat

MEDIA_TYPES: dict[OutputFormat, str] = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
LONGEST_SIDE: dict[OutputFormat, int] = {"jpeg": 65_500, "webp": 16_383}
"""In pixels: the limit of the format or of its encoder."""
FADED = 32.0
"""Where an edit moves a pixel by this many levels or more, no part of the old colour that sRGB can't represent is added back."""
FINE_COLOURS = 90
"""From this quality on, a JPEG stores colours at full resolution, since hair and lips have fine edges of colour."""
LARGE_PIXELS = 4_000_000
"""A larger PNG is compressed with less effort: in a third less time, with a seventh less compression. A larger lossy WebP is
written in half the time: at 12 megapixels it is then 3 % smaller at quality 95 and 7 % larger at quality 80, both with 0.15 dB
less.
"""
STRIP_PIXELS = 2_000_000
"""Pixels processed at a time; floating-point values take four times the memory."""

Floats = NDArray[np.float32]


SUFFIXES: dict[str, OutputFormat] = {"": "png", ".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}
"""The format of each file name suffix."""


def format_of(file: str | Path) -> OutputFormat:
    """Return the format that a file's suffix selects. Raises `OptionInvalid` for a suffix that is not in `SUFFIXES`."""
    suffix = Path(file).suffix.lower()
    if suffix not in SUFFIXES:
        raise OptionInvalid(f"results are PNG, JPEG or WebP: name the file .png, .jpg or .webp, not {file}", field="output")
    return SUFFIXES[suffix]


def check_writable(file: str | Path, field: str = "output") -> None:
    """Raise `OptionInvalid` unless a file can be written there. Call it before the work that fills the file."""
    path = Path(file)
    folder = path.absolute().parent
    if not folder.is_dir():
        raise OptionInvalid(f"there is no folder {path.parent} to write {path.name} into", field=field)
    if path.is_dir():
        raise OptionInvalid(f"{path} is a folder: name a file in it", field=field)
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise OptionInvalid(f"you may not write {path}: choose another place", field=field)


@dataclass(frozen=True, slots=True)
class Output:
    """The requested form of a result."""

    format: OutputFormat = "png"
    quality: int = QUALITY  # of JPEG and WebP; a WebP of `LOSSLESS` is lossless
    keep_alpha: bool | None = None  # None: if the format can

    @classmethod
    def of(cls, request: EditRequest) -> Output:
        """Return the output that `request` asks for."""
        quality = QUALITY if request.output_quality is None else request.output_quality
        return cls(request.output_format, quality, request.keep_alpha)

    @property
    def media_type(self) -> str:
        """The media type of the file."""
        return MEDIA_TYPES[self.format]

    @property
    def lossless(self) -> bool:
        """Whether the file holds exactly the result's pixels."""
        return self.format == "png" or (self.format == "webp" and self.quality == LOSSLESS)

    @property
    def alpha(self) -> bool:
        """Whether the photo's alpha, if it has one, is kept."""
        return self.keep_alpha is not False and self.format != "jpeg"

    def check_size(self, size: tuple[int, int]) -> None:
        """Raise `OptionInvalid` if a picture of that width and height exceeds the format's limit."""
        longest = LONGEST_SIDE.get(self.format, max(size))
        if max(size) > longest:
            raise OptionInvalid(
                f"the image is {size[0]}×{size[1]}, but a {self.format} has at most {longest} pixels per side: choose png, or a "
                "smaller max_pixels",
                field="options.output_format",
                reason="output_too_large",
            )


def encode_result(result: Image.Image, original: Original, edit_mask: Image.Image, wanted: Output) -> tuple[bytes, dict[str, Any]]:
    """Return the file of `result` (RGB, sRGB, of the photo's size), and its entries in the report as JSON values.

    For a lossy file, the entries include the change outside `edit_mask` (L) that decoding it shows, compared with the photo in its
    own colours. Raises `ValueError` for a result of another size or mode, and as `Output.check_size`.
    """
    wanted.check_size(result.size)
    kept = original if wanted.alpha else flattened(original)
    picture = in_own_colours(result, kept)
    data, lost = _encoded(picture, kept, wanted), original.unread
    facts: dict[str, Any] = {
        "format": wanted.format,
        "lossless": wanted.lossless,
        "quality": None if wanted.format == "png" else wanted.quality,
        "alpha": None if original.alpha is None else "kept" if kept.alpha is not None else "laid on white",
        "profile": ("sRGB" if kept.profile is None else "the photo's") + (f", as which {lost} was read" if lost else ""),
        "dpi": [round(each, 2) for each in kept.dpi] if kept.dpi is not None and wanted.format != "webp" else None,
    }
    if not wanted.lossless:
        with Image.open(io.BytesIO(data)) as decoded:
            facts["outside_edit_mask"] = report.outside_change(*_as_seen(kept, decoded), edit_mask)
    return data, facts


def _as_seen(kept: Original, decoded: Image.Image) -> tuple[Image.Image, Image.Image]:
    """Return the photo and the file, both laid on white where transparent, because invisible pixels do not count as changed."""
    if kept.alpha is None:
        return kept.colours, decoded.convert("RGB")
    white, layered = Image.new("RGB", decoded.size, "white"), decoded.convert("RGBA")
    photo, file = (
        Image.composite(kept.colours, white, kept.alpha),
        Image.composite(layered.convert("RGB"), white, layered.getchannel("A")),
    )
    return photo, file


def flattened(original: Original) -> Original:
    """Return the photo without its alpha, laid on white as the model sees it."""
    return original if original.alpha is None else Original(original.photo, original.photo, dpi=original.dpi)


def in_own_colours(result: Image.Image, original: Original) -> Image.Image:
    """Return `result`, an edit of `original.photo`, as `RGB` or `RGBA` in the photo's own colour space.

    Unchanged pixels have the photo's own values, and changed pixels those of the result, seen through the alpha. The part of an old
    colour that sRGB can't represent fades as the edit moves away from that colour. So there is no visible seam where an edit
    begins, and nothing of the old colour remains under a new one. Raises `ValueError` for another size or mode.
    """
    if result.mode != "RGB" or result.size != original.photo.size:
        raise ValueError(f"expected an edit of the photo, RGB {original.photo.size}, got {result.mode} {result.size}")
    if original.colours is original.photo:
        return result
    changed = ImageChops.difference(result, original.photo).getbbox()
    picture = original.colours.copy()
    if changed is not None:
        left, top, right, bottom = changed
        rows = max(1, STRIP_PIXELS // (right - left))
        for start in range(top, bottom, rows):
            box = (left, start, right, min(start + rows, bottom))
            picture.paste(_own_strip(result.crop(box), original, box), box[:2])
    if original.alpha is not None:
        picture.putalpha(original.alpha)
    return picture


def _own_strip(result: Image.Image, original: Original, box: tuple[int, int, int, int]) -> Image.Image:
    """Return one strip of the result in the photo's own colour space."""
    photo, own = original.photo.crop(box), original.colours.crop(box)
    before = photo if original.alpha is None else _seen(own, original.profile)
    move = _floats(result) - _floats(photo)
    if original.alpha is not None:  # on white, a colour shows in proportion to its alpha
        share = _floats(original.alpha.crop(box))[..., None] / 255
        move = np.divide(move, share, out=np.zeros_like(move), where=share > 0)
    changed = _largest(np.abs(move)) > 0
    after = (_floats(before) + move).clip(0, 255)
    colours = after if original.profile is None else _converted(after, before, own, original.profile)
    pixels = np.where(changed, np.rint(colours).clip(0, 255), _floats(own))
    return Image.fromarray(pixels.astype(np.uint8))


def _seen(own: Image.Image, profile: bytes | None) -> Image.Image:
    """Return colours of the photo's own space in sRGB, before they are laid on white."""
    if profile is None:
        return own
    seen = ImageCms.applyTransform(own, to_srgb(profile))
    assert seen is not None
    return seen


def _converted(after: Floats, before: Image.Image, own: Image.Image, profile: bytes) -> Floats:
    """Convert sRGB colours `after` to the space of `profile`, and add back what sRGB could not represent of `own`.

    `before` is `own` as sRGB showed it.
    """
    transform = from_srgb(profile)
    new = ImageCms.applyTransform(Image.fromarray(np.rint(after).astype(np.uint8)), transform)
    old = ImageCms.applyTransform(before, transform)
    assert new is not None
    assert old is not None
    left: Floats = (1 - _largest(np.abs(after - _floats(before))) / FADED).clip(0, 1)
    found: Floats = _floats(new) + left * (_floats(own) - _floats(old))
    return found


def _largest(x: Floats) -> Floats:
    """Return the maximum of the three channels, `(H, W, 1)`, several times as fast as a maximum along the last axis."""
    return np.maximum(np.maximum(x[..., :1], x[..., 1:2]), x[..., 2:])


def _floats(picture: Image.Image) -> Floats:
    return np.asarray(picture, dtype=np.float32)


def _encoded(picture: Image.Image, original: Original, wanted: Output) -> bytes:
    options: dict[str, Any] = {"icc_profile": original.profile}
    if wanted.format == "png":
        level = 4 if picture.width * picture.height <= LARGE_PIXELS else 1
        options |= {"compress_level": level, "pnginfo": None if original.profile else _srgb_chunk(), "dpi": original.dpi}
    elif wanted.format == "jpeg":
        dpi = None if original.dpi is None else tuple(round(each) for each in original.dpi)
        fine = wanted.quality >= FINE_COLOURS
        options |= {"quality": wanted.quality, "subsampling": 0 if fine else 2} | ({"dpi": dpi} if dpi else {})
    elif wanted.lossless:
        options |= {"lossless": True, "exact": True, "quality": 20, "method": 2}  # quality and method: the effort
    else:
        method = 4 if picture.width * picture.height <= LARGE_PIXELS else 2
        options |= {"quality": wanted.quality, "alpha_quality": 100, "exact": True, "method": method}
    buffer = io.BytesIO()
    picture.save(buffer, wanted.format.upper(), **options)
    return buffer.getvalue()


def _srgb_chunk() -> PngInfo:
    """Return a chunk that declares sRGB colours, with the rendering intent for photos (0)."""
    chunk = PngInfo()
    chunk.add(b"sRGB", b"\0")
    return chunk
