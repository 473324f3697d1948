"""Picture files to pictures: formats, limits, orientation and colour, in one place, and checks of masks. Loads no torch.

The process that validates uploads and the engine that uses the pixels both decode here, so they see the same picture.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import AvifImagePlugin, ExifTags, Image, ImageFile, ImageFilter, ImageMode, UnidentifiedImageError, features

from s2edit_core.errors import ImageInvalid, MaskInvalid
from s2edit_core.pictures.colour_codes import ColourCodes, adobe_rgb_profile, unread_colours
from s2edit_core.pictures.colours import convert_to_srgb, in_8_bits, split_alpha, takes_srgb
from s2edit_core.pictures.exif import EXIF, declares_adobe_rgb
from s2edit_core.pictures.png_chunks import PNG_MAGIC
from s2edit_core.request.picture_limits import CEILING_PIXELS, MIN_SIDE, check_mask_size, check_photo_size, scaled_size

MAGIC = {PNG_MAGIC: "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp"}
"""Media types by the first bytes of a file."""
BRANDS = dict.fromkeys((b"avif", b"avis"), "image/avif") | dict.fromkeys(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), "image/heic"
)
"""Media types by the brands in the first box of an ISO base media file."""
PHOTO_TYPES = tuple(dict.fromkeys([*MAGIC.values(), *BRANDS.values()]))
"""The media types of photos. `reads` says which of them this installation can decode."""
MAX_BRANDS = 32
PILLOW_FORMATS = ("PNG", "JPEG", "WEBP")
"""The formats that Pillow always reads, by its names."""
DRAFT_FORMATS = ("JPEG", "MPO")
"""Formats, by Pillow's names, that can be decoded at a half, a quarter or an eighth of their size."""
REDUCING_GAP = 3.0
"""Pillow averages whole blocks until the picture is this many times larger than the target, then applies Lanczos."""
READABLE = "PNG, JPEG, WebP, AVIF or HEIC"
"""The readable formats, for messages."""
ALWAYS_READABLE = "PNG, JPEG or WebP"
"""The formats that every installation can read, for messages."""
ASPECT_TOLERANCE = 0.01
"""A mask whose aspect ratio differs from the photo's by less than this share covers the same frame at another scale."""


TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The transposition that makes a picture upright, by its Exif orientation."""
ORIENTATIONS = {turn: orientation for orientation, turn in TURNS.items()}
"""The Exif orientation of each transposition."""
SIDEWAYS = frozenset(TURNS[orientation] for orientation in (5, 6, 7, 8))
"""The transpositions that swap width and height."""
INSIDE = 128
"""A mask pixel of this value or more belongs to the region."""
EDIT_GROWTH = 0.2
"""Margin of the default edit mask, relative to the longer side of the identity mask's box. A hat needs this much. A wide edit mask
does no harm: what the edit does not change stays as in the photo.
"""
MAX_DPI = 65_535
"""The largest resolution that a JPEG can store."""
JFIF_UNITS = (1, 2)
"""Of a resolution in a JFIF header: per inch and per centimetre. 0 is only an aspect ratio."""


def media_type(data: bytes) -> str:
    """Return the media type of `data` by its first bytes. The file may still be damaged, or of a format that can't be read here."""
    if data[4:8] == b"ftyp":
        end = min(int.from_bytes(data[:4]), len(data), 16 + 4 * MAX_BRANDS)
        brands = [data[8:12], *(data[at : at + 4] for at in range(16, end, 4))]
        return next((BRANDS[brand] for brand in brands if brand in BRANDS), "application/octet-stream")
    return next((name for start, name in MAGIC.items() if data.startswith(start)), "application/octet-stream")


def _formats(data: bytes, field: str) -> tuple[str, ...]:
    """Return the formats, by Pillow's names, that `data` may have.

    Raises `ImageInvalid` for a format that this installation can't read.
    """
    kind = media_type(data)
    if kind == "image/avif" and not reads(kind):
        message = f"the {field} is AVIF, which the Pillow installed here can't read: send it as {ALWAYS_READABLE}"
        raise ImageInvalid(message, field=field, reason="image_format")
    if kind == "image/heic" and not reads(kind):
        message = f"the {field} is HEIC, which is read only where s2edit[heic] is installed: send it as {ALWAYS_READABLE}"
        raise ImageInvalid(message, field=field, reason="image_format")
    return {"image/avif": ("AVIF",), "image/heic": ("HEIF",)}.get(kind, PILLOW_FORMATS)


def reads(kind: str) -> bool:
    """Return whether this installation can decode files of the media type `kind`."""
    if kind == "image/avif":
        return bool(features.check("avif"))
    return kind != "image/heic" or _reads_heic()


def _reads_heic() -> bool:
    """Return whether Pillow reads HEIC, after registering pillow-heif if that is installed (the extra `heic`)."""
    if "HEIF" not in Image.OPEN:
        try:
            from pillow_heif import register_heif_opener
        except ImportError:
            return False
        options = {"decode_threads": AvifImagePlugin.DEFAULT_MAX_THREADS} if AvifImagePlugin.DEFAULT_MAX_THREADS else {}
        register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, **options)
    return True


def use_one_thread() -> None:
    """Decode in a single thread from now on: each thread of a codec takes memory of its own."""
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1


@dataclass(frozen=True, slots=True)
class DeclaredPicture:
    """The format, by Pillow's name, and the size as stored that a file declares, before anything is decoded."""

    format: str
    size: tuple[int, int]


def declared_picture(data: bytes, field: str = "image") -> DeclaredPicture:
    """Read the header of `data` alone. Raises `ImageInvalid` for a file of no accepted format, or with a damaged header."""
    formats = _formats(data, field)
    if (canvas := _webp_canvas(data)) is not None:
        return DeclaredPicture("WEBP", canvas)
    with _raising_image_invalid(field, formats), Image.open(io.BytesIO(data), formats=formats) as picture:
        return DeclaredPicture("JPEG" if picture.format == "MPO" else str(picture.format), picture.size)


def _webp_canvas(data: bytes) -> tuple[int, int] | None:
    """Return width and height of a WebP, which Pillow opens only with memory for all its pixels; None for any other file."""
    if data[8:12] != b"WEBP" or media_type(data) != "image/webp" or len(data) < 30:
        return None
    if data[12:16] == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if data[12:16] == b"VP8L":
        packed = int.from_bytes(data[21:25], "little")
        return 1 + (packed & 0x3FFF), 1 + (packed >> 14 & 0x3FFF)
    return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF


def open_picture(
    data: bytes, field: str, *, is_photo: bool = False, max_pixels: int | None = None
) -> tuple[Image.Image, Image.Transpose | None]:
    """Decode the first frame as it is stored, and return it with the transposition that makes it upright.

    A photo is scaled down to `max_pixels`. Transposing and other changes of pixels are left to the caller, so that the largest
    picture is in memory only once. Raises `ImageInvalid` for a file that is damaged, too large or of no accepted format,
    `MemoryError` if memory runs out.
    """
    formats = _formats(data, field)

    def check(size: tuple[int, int]) -> None:
        check_photo_size(size, max_pixels) if is_photo else check_mask_size(size, field)

    if (canvas := _webp_canvas(data)) is not None:
        check(canvas)
    with _raising_image_invalid(field, formats):
        picture = Image.open(io.BytesIO(data), formats=formats)  # reads the header only
        check(picture.size)
        size, box = scaled_size(picture.size, max_pixels), None
        if size != picture.size and picture.format in DRAFT_FORMATS:
            _, box = picture.draft(None, size) or (None, None)
        picture.load()
        if box is None and size != scaled_size(picture.size, max_pixels):  # a HEIC may decode to another size than it declares
            check(picture.size)
            size = scaled_size(picture.size, max_pixels)
        turn = TURNS.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
        return (picture if picture.size == size else _scaled(picture, size, box)), turn


@contextmanager
def _raising_image_invalid(field: str, formats: tuple[str, ...]) -> Iterator[None]:
    """Raise `ImageInvalid` in place of any error of Pillow and its codecs, except `MemoryError`."""
    try:
        yield
    except (ImageInvalid, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        message = f"the {field} has more than {CEILING_PIXELS / 1e6:.0f} megapixels, the most that can be read: send a smaller one"
        raise ImageInvalid(message, field=field, reason="image_too_large") from error
    except Exception as error:  # for damaged files, Pillow's decoders raise errors of many kinds
        if isinstance(error, UnidentifiedImageError) and formats == PILLOW_FORMATS:
            raise ImageInvalid(f"the {field} is not a {READABLE} image: send one", field=field, reason="image_format") from error
        raise ImageInvalid(
            f"the {field} is damaged or incomplete: save it again and send the new file", field=field, reason="image_damaged"
        ) from error


def _scaled(picture: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float] | None) -> Image.Image:
    """Return the part `box` of `picture`, by default all of it, scaled to `size`.

    The result has a mode that can be interpolated, and the same profile.
    """
    pixels = in_8_bits(picture)
    if pixels.mode in ("P", "PA", "1") or "transparency" in picture.info:
        colours, alpha = split_alpha(pixels)
        if alpha is not None:
            colours.putalpha(alpha)
        pixels = colours
    scaled = pixels.resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=REDUCING_GAP)
    scaled.info = {name: value for name, value in picture.info.items() if name != "transparency"}
    return scaled


def decode_photo(data: bytes, max_pixels: int | None = None) -> Image.Image:
    """Return the photo as sRGB `RGB`, upright, with alpha laid on white and without metadata. Raises `ImageInvalid`.

    A photo of more than `max_pixels` is scaled down to that.
    """
    picture, turn = _photo(data, max_pixels)
    colours = _in_srgb(picture)
    del picture  # frees the memory of a large photo
    if turn is not None:
        colours = colours.transpose(turn)
    colours.info = {}
    return colours


@dataclass(frozen=True, eq=False)
class Original:
    """A photo as `decode_photo` returns it, with the parts of its file that a result can keep.

    All pictures are upright and of one size.
    """

    photo: Image.Image  # RGB, sRGB, laid on white: what the model sees
    colours: Image.Image  # RGB, in the space of `profile`, without alpha; `photo` itself if the two are equal
    alpha: Image.Image | None = None  # L
    profile: bytes | None = None  # an RGB ICC profile that sRGB colours can be converted to; None: sRGB
    dpi: tuple[float, float] | None = None
    unread: str | None = None  # the file's colour space, if it was read as sRGB without being sRGB


def decode_original(data: bytes, max_pixels: int | None = None) -> Original:
    """Return the photo with its own colours, alpha, profile and resolution. Raises `ImageInvalid`, as `decode_photo` does.

    A photo of more than `max_pixels` is scaled down to that. Grey and CMYK photos become sRGB, because an edit may add colours that
    their own spaces lack.
    """
    picture, turn = _photo(data, max_pixels)
    profile, dpi = picture.info.get("icc_profile") or None, _dpi(picture, turn, media_type(data))
    unread = None if profile else unread_colours(data)
    own, alpha = split_alpha(in_8_bits(picture))
    del picture
    if alpha is not None and data[8:12] == b"WEBP" and alpha.getextrema()[0] == 255:
        alpha = None  # an animated one may have it only for what later frames leave out
    if turn is not None:
        own, alpha = own.transpose(turn), alpha.transpose(turn) if alpha is not None else None
    colours = (convert_to_srgb(own, profile) if profile else own).convert("RGB")
    if own.mode != "RGB" or colours is own or profile is None or not takes_srgb(profile):
        own, profile = colours, None
    elif isinstance(own, ImageFile.ImageFile):
        own = own.copy()  # a copy drops the file's metadata
    photo = colours if alpha is None else Image.composite(colours, Image.new("RGB", colours.size, "white"), alpha)
    for each in (photo, own):
        each.info = {}
    return Original(photo, own, alpha, profile, dpi, unread)


def _dpi(picture: Image.Image, turn: Image.Transpose | None, kind: str) -> tuple[float, float] | None:
    """Return the resolution across and down of the upright picture; None if the file has none that is plausible.

    A JPEG has it in its JFIF header. Without one, Pillow takes that of the Exif data, or invents 72 dpi.
    """
    if kind == "image/jpeg" and picture.info.get("jfif_unit") not in JFIF_UNITS:
        return None
    try:
        across, down = (float(each) for each in picture.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    if not (1 <= across <= MAX_DPI and 1 <= down <= MAX_DPI):
        return None
    return (down, across) if turn in SIDEWAYS else (across, down)


def check_photo(data: bytes, max_pixels: int | None = None) -> tuple[tuple[int, int], int]:
    """Return width and height that `decode_photo` would return, with half its memory, and the file's orientation, 1..8.

    Raises `ImageInvalid`.
    """
    picture, turn = _photo(data, max_pixels)
    _in_srgb(picture.crop((0, 0, 1, 1)))  # checks that its colours can be converted
    return (picture.size[::-1] if turn in SIDEWAYS else picture.size), orientation_of(turn)


def orientation_of(turn: Image.Transpose | None) -> int:
    """Return the Exif orientation of a transposition."""
    return 1 if turn is None else ORIENTATIONS[turn]


def _photo(data: bytes, max_pixels: int | None) -> tuple[Image.Image, Image.Transpose | None]:
    """Open a photo. Raises `ImageInvalid`, also for one that is too small, or CMYK without a profile."""
    picture, turn = open_picture(data, "image", is_photo=True, max_pixels=max_pixels)
    if min(picture.size) < MIN_SIDE:
        scaled = "" if max_pixels is None else f" at max_pixels={max_pixels}"
        raise ImageInvalid(
            f"the image is {picture.width}×{picture.height}{scaled}; each side needs {MIN_SIDE} pixels or more",
            field="image",
            reason="image_too_small",
        )
    if picture.mode == "CMYK" and not picture.info.get("icc_profile"):
        raise ImageInvalid("the image is CMYK without a colour profile: convert it to RGB", field="image", reason="image_mode")
    _use_declared(picture, data)
    return picture, turn


def _use_declared(picture: Image.Image, data: bytes) -> None:
    """Give a photo the profile of the colour space that its file declares by codes, or a JPEG without a profile in its Exif data.

    In a PNG, codes go before a profile, unless they can't be converted.
    """
    kind = media_type(data)
    if kind == "image/jpeg" and picture.mode == "RGB" and "icc_profile" not in picture.info:
        if declares_adobe_rgb(picture.info.get("exif", b"").removeprefix(EXIF)):
            picture.info["icc_profile"] = adobe_rgb_profile()
        return
    codes = ColourCodes.of(data) if kind in ("image/avif", "image/heic", "image/png") else None
    if codes is None or (picture.info.get("icc_profile") and (kind != "image/png" or codes.unread)):
        return
    is_grey = ImageMode.getmode(picture.mode).basemode == "L"  # the greys of these spaces are sRGB's
    picture.info["icc_profile"] = None if is_grey else codes.profile


def _in_srgb(picture: Image.Image) -> Image.Image:
    """Return the picture as sRGB `RGB`, with alpha laid on white."""
    profile = picture.info.get("icc_profile")
    colours, alpha = split_alpha(in_8_bits(picture))
    if profile:
        colours = convert_to_srgb(colours, profile)
    if colours.mode != "RGB" or isinstance(colours, ImageFile.ImageFile):  # converting drops the file's metadata
        colours = colours.convert("RGB")
    if alpha is not None:
        colours = Image.composite(colours, Image.new("RGB", colours.size, "white"), alpha)
    return colours


def same_frame(mask: tuple[int, int], photo: tuple[int, int]) -> bool:
    """Return whether a mask of that size (width, height) covers the same frame as a photo of that size."""
    return abs(mask[0] * photo[1] / (mask[1] * photo[0]) - 1) <= ASPECT_TOLERANCE


def check_mask(mask: Image.Image, size: tuple[int, int], field: str) -> None:
    """Raise `MaskInvalid` unless `mask` is L, of `size` (width, height), and white somewhere."""
    if mask.mode != "L":
        raise MaskInvalid(
            f"the {field} has the mode {mask.mode}: convert it to L, or use `decode_mask`", field=field, reason="mask_mode"
        )
    if mask.size != size:
        found, wanted = (f"{width}×{height}" for width, height in (mask.size, size))
        raise MaskInvalid(
            f"the {field} is {found} and the photo {wanted}: they must have one size", field=field, reason="mask_size"
        )
    if not inside_of(mask).any():
        raise MaskInvalid(f"the {field} is empty: paint the region white", field=field, reason="mask_empty")


def inside_of(mask: Image.Image) -> NDArray[np.bool_]:
    """Return which pixels of `mask` (L) are inside: `(h, w)`."""
    return np.asarray(mask) >= INSIDE


def grown(mask: Image.Image, growth: float = EDIT_GROWTH) -> Image.Image:
    """Return the default edit mask: the identity mask (L) with a margin that hats, hair and glasses may reach.

    `growth` is the margin's width, relative to the longer side of the mask's box. Raises `MaskInvalid` for an empty mask.
    """
    check_mask(mask, mask.size, "mask")
    inside = inside_of(mask)
    reach = max(1, round(growth * max(int(inside.any(axis=1).sum()), int(inside.any(axis=0).sum()))))
    hard = Image.fromarray((inside * 255).astype(np.uint8))
    blurred = np.asarray(hard.filter(ImageFilter.BoxBlur(reach)), dtype=np.float32)
    return Image.fromarray((((blurred > 1) | inside) * 255).astype(np.uint8))


def encode_png(picture: Image.Image) -> bytes:
    """Return `picture` as a PNG file."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=False, compress_level=4)
    return buffer.getvalue()
