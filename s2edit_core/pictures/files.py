"""Uploaded files to pictures: one place for formats, limits, orientation and the checks of masks. No torch.

Whoever decodes (a process apart for the verdict, the engine for the pixels) decodes here, so both see the same.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import AvifImagePlugin, ExifTags, Image, ImageCms, ImageFile, ImageFilter, UnidentifiedImageError, features

from s2edit_core.errors import ImageInvalid, MaskInvalid
from s2edit_core.pictures.colour_codes import ColourCodes
from s2edit_core.request.limits import CEILING_PIXELS, MIN_SIDE, check_mask_size, check_photo_size, scaled_size

MAGIC = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp"}
BRANDS = dict.fromkeys((b"avif", b"avis"), "image/avif") | dict.fromkeys(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), "image/heic"
)
"""What files of the ISO base media format say in their first box that they are."""
MAX_BRANDS = 32
PLAIN = ("PNG", "JPEG", "WEBP")
DRAWN_SMALLER = ("JPEG", "MPO")
"""Formats, in Pillow's words, that can be decoded at a half, a quarter or an eighth of their size."""
REDUCING_GAP = 3.0
"""How many times larger than wanted a picture is when Lanczos takes over from averages of whole blocks."""
READABLE = "PNG, JPEG, WebP, AVIF or HEIC"
EVERYWHERE = "PNG, JPEG or WebP"
ASPECT_TOLERANCE = 0.01
"""A mask whose aspect differs by less than this share is taken as a mask of the same frame at another scale."""


TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture upright, by its EXIF orientation."""
ORIENTATIONS = {turn: orientation for orientation, turn in TURNS.items()}
SIDEWAYS = frozenset(TURNS[orientation] for orientation in (5, 6, 7, 8))
INSIDE = 128
"""A mask pixel of this value or more belongs to the region."""
GROWTH = 0.12
"""How far the surroundings that are always seen reach beyond the identity mask, relative to the longer side of its box."""
EDIT_GROWTH = 0.2
"""The same for the default edit mask. A hat needs that much; what an edit leaves alone stays the photo, however wide the mask."""
MAX_DPI = 65_535
"""More does not fit into a JPEG."""


def media_type(data: bytes) -> str:
    """What `data` is by its first bytes; whether it is sound, and can be read here, is another matter."""
    if data[4:8] == b"ftyp":
        end = min(int.from_bytes(data[:4]), len(data), 16 + 4 * MAX_BRANDS)
        brands = [data[8:12], *(data[at : at + 4] for at in range(16, end, 4))]
        return next((BRANDS[brand] for brand in brands if brand in BRANDS), "application/octet-stream")
    return next((name for start, name in MAGIC.items() if data.startswith(start)), "application/octet-stream")


def _formats(data: bytes, field: str) -> tuple[str, ...]:
    """What `data` may be, in Pillow's words. Raises `ImageInvalid` for what only another installation can read."""
    kind = media_type(data)
    if kind == "image/avif" and not reads(kind):
        message = f"the {field} is AVIF, which the Pillow installed here can't read: send it as {EVERYWHERE}"
        raise ImageInvalid(message, field=field, reason="image_format")
    if kind == "image/heic" and not reads(kind):
        message = f"the {field} is HEIC, which is read only where s2edit[heic] is installed: send it as {EVERYWHERE}"
        raise ImageInvalid(message, field=field, reason="image_format")
    return {"image/avif": ("AVIF",), "image/heic": ("HEIF",)}.get(kind, PLAIN)


def reads(kind: str) -> bool:
    """Whether files of that media type can be decoded here, as far as that depends on what is installed."""
    if kind == "image/avif":
        return bool(features.check("avif"))
    return kind != "image/heic" or _reads_heic()


def _reads_heic() -> bool:
    """Whether Pillow reads HEIC, having been told of pillow-heif where that is installed (the extra `heic`)."""
    if "HEIF" not in Image.OPEN:
        try:
            from pillow_heif import register_heif_opener
        except ImportError:
            return False
        options = {"decode_threads": AvifImagePlugin.DEFAULT_MAX_THREADS} if AvifImagePlugin.DEFAULT_MAX_THREADS else {}
        register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, **options)
    return True


def use_one_thread() -> None:
    """Decode in a single thread from here on, where a codec could use several: each takes memory of its own."""
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1


@dataclass(frozen=True, slots=True)
class Announced:
    """What a file says of itself before anything is decoded: its format, in Pillow's words, and its size as stored."""

    format: str
    size: tuple[int, int]


def announced(data: bytes, field: str = "image") -> Announced:
    """Read the header alone. Raises `ImageInvalid` for what is not of a format that is read here, or has no sound header."""
    formats = _formats(data, field)
    if (canvas := _webp_canvas(data)) is not None:
        return Announced("WEBP", canvas)
    with _telling_errors(field, formats), Image.open(io.BytesIO(data), formats=formats) as picture:
        return Announced("JPEG" if picture.format == "MPO" else str(picture.format), picture.size)


def _webp_canvas(data: bytes) -> tuple[int, int] | None:
    """Width and height of a WebP, which Pillow opens only with memory for all its pixels; None of any other file."""
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
    """Decode the first frame as it is stored, and say how to turn it upright; a photo scaled down to `max_pixels`.

    Turning, like every other change of the pixels, is left for later: a picture of the largest size fits in memory once.
    Raises `ImageInvalid` for whatever is not sound or not of an accepted format, `MemoryError` where memory does not suffice.
    """
    formats = _formats(data, field)

    def check(size: tuple[int, int]) -> None:
        check_photo_size(size, max_pixels) if is_photo else check_mask_size(size, field)

    if (canvas := _webp_canvas(data)) is not None:
        check(canvas)
    with _telling_errors(field, formats):
        picture = Image.open(io.BytesIO(data), formats=formats)  # reads the header only
        check(picture.size)
        size, box = scaled_size(picture.size, max_pixels), None
        if size != picture.size and picture.format in DRAWN_SMALLER:
            _, box = picture.draft(None, size) or (None, None)
        picture.load()
        if box is None and size != scaled_size(picture.size, max_pixels):  # a HEIC may turn out otherwise than it said
            check(picture.size)
            size = scaled_size(picture.size, max_pixels)
        turn = TURNS.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
        return (picture if picture.size == size else _scaled(picture, size, box)), turn


@contextmanager
def _telling_errors(field: str, formats: tuple[str, ...]) -> Iterator[None]:
    """Whatever Pillow and its codecs raise, as `ImageInvalid`; but for want of memory."""
    try:
        yield
    except (ImageInvalid, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        message = (
            f"the {field} has more than {CEILING_PIXELS / 1e6:.0f} megapixels, which is more than can be read: send it smaller"
        )
        raise ImageInvalid(message, field=field, reason="image_too_large") from error
    except Exception as error:  # Pillow's decoders raise many kinds for damaged files
        if isinstance(error, UnidentifiedImageError) and formats == PLAIN:
            raise ImageInvalid(f"the {field} is not a {READABLE} image: send one", field=field, reason="image_format") from error
        raise ImageInvalid(
            f"the {field} is damaged or cut off: save and send it anew", field=field, reason="image_damaged"
        ) from error


def _scaled(picture: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float] | None) -> Image.Image:
    """What `box` of `picture` shows, all of it if that is None, at `size`; in a mode that can be mixed, with the same profile."""
    mixable = in_8_bits(picture)
    if mixable.mode in ("P", "PA", "1") or "transparency" in picture.info:
        colours, alpha = _parts(mixable)
        if alpha is not None:
            colours.putalpha(alpha)
        mixable = colours
    scaled = mixable.resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=REDUCING_GAP)
    scaled.info = {name: value for name, value in picture.info.items() if name != "transparency"}
    return scaled


def decode_photo(data: bytes, max_pixels: int | None = None) -> Image.Image:
    """The photo as sRGB `RGB`, upright; alpha is laid on white. Nothing else of the file is left. Raises `ImageInvalid`.

    One of more than `max_pixels` is scaled down to so many.
    """
    picture, turn = _photo(data, max_pixels)
    colours = _in_srgb(picture)
    del picture  # a large one would be held once more
    if turn is not None:
        colours = colours.transpose(turn)
    colours.info = {}
    return colours


@dataclass(frozen=True, eq=False)
class Original:
    """A photo as `decode_photo` gives it, and what of its file a result can keep. All pictures are upright and of one size."""

    photo: Image.Image  # RGB, sRGB, laid on white: what the model sees
    colours: Image.Image  # RGB, in the space of `profile`, without the alpha; `photo` itself where these are the same
    alpha: Image.Image | None = None  # L
    profile: bytes | None = None  # ICC, of RGB pictures, and one that colours can be brought back to; None: sRGB
    dpi: tuple[float, float] | None = None
    unread: str | None = None  # colours of the file that were read as sRGB and are others


def decode_original(data: bytes, max_pixels: int | None = None) -> Original:
    """The photo with its own colours, alpha, profile and resolution. Raises `ImageInvalid`, as `decode_photo` does.

    One of more than `max_pixels` is scaled down to so many. Grey and CMYK photos become sRGB: an edit brings colours that their
    own spaces have not.
    """
    picture, turn = _photo(data, max_pixels)
    profile, dpi = picture.info.get("icc_profile") or None, _dpi(picture, turn)
    own, alpha = _parts(in_8_bits(picture))
    del picture
    if turn is not None:
        own, alpha = own.transpose(turn), alpha.transpose(turn) if alpha is not None else None
    colours = (_to_srgb(own, profile) if profile else own).convert("RGB")
    if own.mode != "RGB" or colours is own or profile is None or not _takes_colours(profile):
        own, profile = colours, None
    elif isinstance(own, ImageFile.ImageFile):
        own = own.copy()  # a copy knows nothing of the file
    photo = colours if alpha is None else Image.composite(colours, Image.new("RGB", colours.size, "white"), alpha)
    for each in (photo, own):
        each.info = {}
    codes = _codes(data) if profile is None else None
    return Original(photo, own, alpha, profile, dpi, codes.unread if codes is not None else None)


def _takes_colours(profile: bytes) -> bool:
    """Whether sRGB colours can be converted to it: a profile of a camera or a scanner may lead one way only."""
    try:
        from_srgb(profile)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return False
    return True


def from_srgb(profile: bytes) -> ImageCms.ImageCmsTransform:
    """What brings sRGB colours into the space of an RGB `profile`. Raises `ImageCms.PyCMSError` where it can't be done."""
    own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return ImageCms.buildTransform(ImageCms.createProfile("sRGB"), own, "RGB", "RGB")


def to_srgb(profile: bytes) -> ImageCms.ImageCmsTransform:
    """The way `decode_photo` takes from an RGB `profile`."""
    own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return ImageCms.buildTransform(own, ImageCms.createProfile("sRGB"), "RGB", "RGB")


def _dpi(picture: Image.Image, turn: Image.Transpose | None) -> tuple[float, float] | None:
    """Across and down, of the upright picture; None where the file says nothing that makes sense."""
    try:
        across, down = (float(each) for each in picture.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    if not (1 <= across <= MAX_DPI and 1 <= down <= MAX_DPI):
        return None
    return (down, across) if turn in SIDEWAYS else (across, down)


def check_photo(data: bytes, max_pixels: int | None = None) -> tuple[tuple[int, int], int]:
    """Width and height of what `decode_photo` makes of the same bytes, for half its memory; and the file's orientation, 1..8.

    Raises `ImageInvalid`.
    """
    picture, turn = _photo(data, max_pixels)
    _in_srgb(picture.crop((0, 0, 1, 1)))  # whether its colours can be read at all
    return (picture.size[::-1] if turn in SIDEWAYS else picture.size), orientation_of(turn)


def orientation_of(turn: Image.Transpose | None) -> int:
    return 1 if turn is None else ORIENTATIONS[turn]


def _photo(data: bytes, max_pixels: int | None) -> tuple[Image.Image, Image.Transpose | None]:
    picture, turn = open_picture(data, "image", is_photo=True, max_pixels=max_pixels)
    if min(picture.size) < MIN_SIDE:
        scaled = "" if max_pixels is None else f" at max_pixels={max_pixels}"
        raise ImageInvalid(
            f"the image is {picture.width}×{picture.height}{scaled}; each side needs {MIN_SIDE} pixels or more",
            field="image",
            reason="image_too_small",
        )
    if picture.mode == "CMYK" and not picture.info.get("icc_profile"):
        raise ImageInvalid("the image is CMYK without a colour profile: send RGB", field="image", reason="image_mode")
    if not picture.info.get("icc_profile") and (codes := _codes(data)) is not None and codes.profile is not None:
        picture.info["icc_profile"] = codes.profile
    return picture, turn


def _codes(data: bytes) -> ColourCodes | None:
    return ColourCodes.of(data) if media_type(data) in ("image/avif", "image/heic") else None


def _in_srgb(picture: Image.Image) -> Image.Image:
    profile = picture.info.get("icc_profile")
    colours, alpha = _parts(in_8_bits(picture))
    if profile:
        colours = _to_srgb(colours, profile)
    if colours.mode != "RGB" or isinstance(colours, ImageFile.ImageFile):  # a copy knows nothing of the file
        colours = colours.convert("RGB")
    if alpha is not None:
        colours = Image.composite(colours, Image.new("RGB", colours.size, "white"), alpha)
    return colours


def _parts(picture: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """The colours as `L`, `RGB` or `CMYK`, which are the modes that colour profiles speak of; and the alpha, if there is one."""
    if picture.mode == "1":
        picture = picture.convert("L")
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        grey = picture.mode in ("L", "LA")
        layered = picture.convert("LA" if grey else "RGBA")
        return layered.convert("L" if grey else "RGB"), layered.getchannel("A")
    return (picture if picture.mode in ("L", "RGB", "CMYK") else picture.convert("RGB")), None


def in_8_bits(picture: Image.Image) -> Image.Image:
    """16-bit grey scaled to 8 bits, where Pillow's own conversion would clip; its transparent level, if any, counts as painted."""
    if not picture.mode.startswith("I"):
        return picture
    levels = np.asarray(picture).astype(np.int32)
    levels += 128
    levels //= 257
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))


def _to_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    """`picture` (`L`, `RGB` or `CMYK`) as `RGB`; as it is where the profile is unusable, unless that leaves no reading of it."""
    try:
        converted = ImageCms.profileToProfile(
            picture, ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        if picture.mode == "CMYK":
            raise ImageInvalid(
                "the image's colour profile is unusable: send it as RGB", field="image", reason="image_profile"
            ) from None
        return picture  # a broken profile on RGB pixels: the pixels themselves are the best reading
    return converted if converted is not None else picture


def same_frame(mask: tuple[int, int], photo: tuple[int, int]) -> bool:
    """Whether a mask of that width and height covers what a photo of these does."""
    return abs(mask[0] * photo[1] / (mask[1] * photo[0]) - 1) <= ASPECT_TOLERANCE


def check_mask(mask: Image.Image, size: tuple[int, int], field: str) -> None:
    """Raises `MaskInvalid` unless `mask` is L, of `size` (width, height), and white somewhere."""
    if mask.mode != "L":
        raise MaskInvalid(f"the {field} is {mask.mode}: convert it to L (`decode_mask` does)", field=field, reason="mask_mode")
    if mask.size != size:
        raise MaskInvalid(f"the {field} is {mask.size} and the photo {size}: sizes must agree", field=field, reason="mask_size")
    if not inside_of(mask).any():
        raise MaskInvalid(f"the {field} is empty: paint the region white", field=field, reason="mask_empty")


def inside_of(mask: Image.Image) -> NDArray[np.bool_]:
    return np.asarray(mask) >= INSIDE


def grown(mask: Image.Image, growth: float = EDIT_GROWTH) -> Image.Image:
    """The default edit mask: the identity mask (L) and a margin around it, where hats, hair and glasses may reach.

    `growth` is the margin's width, relative to the longer side of the box around the mask.
    """
    check_mask(mask, mask.size, "mask")
    inside = inside_of(mask)
    reach = max(1, round(growth * max(int(inside.any(axis=1).sum()), int(inside.any(axis=0).sum()))))
    hard = Image.fromarray((inside * 255).astype(np.uint8))
    blurred = np.asarray(hard.filter(ImageFilter.BoxBlur(reach)), dtype=np.float32)
    return Image.fromarray(((blurred > 1) * 255).astype(np.uint8))


def encode_png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=False, compress_level=4)
    return buffer.getvalue()
