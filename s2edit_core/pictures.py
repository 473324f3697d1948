"""Uploaded files to pictures: one place for formats, limits, orientation and the checks of masks. No torch.

Whoever decodes (a process apart for the verdict, the engine for the pixels) decodes here, so both see the same.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageFilter, UnidentifiedImageError, features

from s2edit_core.errors import ImageInvalid, MaskInvalid

MAGIC = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp"}
BRANDS = dict.fromkeys((b"avif", b"avis"), "image/avif") | dict.fromkeys(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), "image/heic"
)
"""What files of the ISO base media format say in their first box that they are."""
MAX_BRANDS = 32
PLAIN = ("PNG", "JPEG", "WEBP")
READABLE = "PNG, JPEG, WebP or AVIF"
MAX_PIXELS = 40_000_000
MIN_SIDE = 32
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
EDIT_GROWTH = 0.3
"""The same for the default edit mask. A hat needs that much; what an edit leaves alone stays the photo, however wide the mask."""
MAX_DPI = 65_535
"""More does not fit into a JPEG."""
COMPACT = ("AVIF", "HEIF")
HEAVY_PIXELS = 12_000_000


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
    if kind == "image/avif" and not features.check("avif"):
        message = f"the {field} is AVIF, which the Pillow installed here can't read: send it as PNG, JPEG or WebP"
        raise ImageInvalid(message, field=field, reason="image_format")
    if kind == "image/heic" and not _reads_heic():
        message = f"the {field} is HEIC, which is read only where s2edit[heic] is installed: send it as {READABLE}"
        raise ImageInvalid(message, field=field, reason="image_format")
    return {"image/avif": ("AVIF",), "image/heic": ("HEIF",)}.get(kind, PLAIN)


def _reads_heic() -> bool:
    """Whether Pillow reads HEIC, having been told of pillow-heif where that is installed (the extra `heic`)."""
    if "HEIF" not in Image.OPEN:
        try:
            from pillow_heif import register_heif_opener
        except ImportError:
            return False
        register_heif_opener(thumbnails=False)
    return True


def open_picture(data: bytes, field: str) -> tuple[Image.Image, Image.Transpose | None]:
    """Decode the first frame as it is stored, and say how to turn it upright.

    Turning, like every other change of the pixels, is left for later: a picture of the largest size fits in memory once.
    Raises `ImageInvalid` for whatever is not sound or not of an accepted format, `MemoryError` where memory does not suffice.
    """
    picture, formats = None, _formats(data, field)
    try:
        picture = Image.open(io.BytesIO(data), formats=formats)  # reads the header only
        _check_pixels(picture, field)
        picture.load()
        _check_pixels(picture, field)  # a HEIC may turn out otherwise than it said
        return picture, TURNS.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageInvalid(
            f"the {field} has more than {MAX_PIXELS / 1e6:.0f} megapixels: send it smaller", field=field, reason="image_too_large"
        ) from error
    except (ImageInvalid, MemoryError):
        raise
    except Exception as error:  # Pillow's decoders raise many kinds for damaged files
        if isinstance(error, UnidentifiedImageError) and formats == PLAIN:
            raise ImageInvalid(f"the {field} is not a {READABLE} image: send one", field=field, reason="image_format") from error
        if picture is not None and _is_heavy(picture):
            kind = picture.format if picture.format in COMPACT else "progressive JPEG"
            message = f"the {field} is damaged, or too large for a file of its kind, {kind}: send it as a baseline JPEG"
            raise ImageInvalid(message, field=field, reason="image_too_costly") from error
        raise ImageInvalid(
            f"the {field} is damaged or cut off: save and send it anew", field=field, reason="image_damaged"
        ) from error


def _check_pixels(picture: Image.Image, field: str) -> None:
    pixels = picture.width * picture.height
    if pixels > MAX_PIXELS:
        raise ImageInvalid(
            f"the {field} has {pixels / 1e6:.0f} megapixels; at most {MAX_PIXELS / 1e6:.0f} are accepted: send it smaller",
            field=field,
            reason="image_too_large",
        )


def _is_heavy(picture: Image.Image) -> bool:
    """Some kinds are held in memory three times over while they are decoded; want of memory looks like damage then."""
    heavy = bool(picture.info.get("progressive")) or picture.format in COMPACT
    return heavy and picture.width * picture.height > HEAVY_PIXELS


def decode_photo(data: bytes) -> Image.Image:
    """The photo as sRGB `RGB`, upright; alpha is laid on white. Nothing else of the file is left. Raises `ImageInvalid`."""
    picture, turn = _photo(data)
    colours = _in_srgb(picture)
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


def decode_original(data: bytes) -> Original:
    """The photo with its own colours, alpha, profile and resolution. Raises `ImageInvalid`, as `decode_photo` does.

    Grey and CMYK photos become sRGB: an edit brings colours that their own spaces have not.
    """
    picture, turn = _photo(data)
    profile, dpi = picture.info.get("icc_profile") or None, _dpi(picture, turn)
    own, alpha = _parts(in_8_bits(picture))
    del picture
    if turn is not None:
        own, alpha = own.transpose(turn), alpha.transpose(turn) if alpha is not None else None
    colours = (_to_srgb(own, profile) if profile else own).convert("RGB")
    if own.mode != "RGB" or colours is own or profile is None or not _takes_colours(profile):
        own, profile = colours, None
    photo = colours if alpha is None else Image.composite(colours, Image.new("RGB", colours.size, "white"), alpha)
    for each in (photo, own):
        each.info = {}
    return Original(photo, own, alpha, profile, dpi)


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


def check_photo(data: bytes) -> tuple[tuple[int, int], int]:
    """Width and height of what `decode_photo` makes of the same bytes, for half its memory; and the file's orientation, 1..8.

    Raises `ImageInvalid`.
    """
    picture, turn = _photo(data)
    _in_srgb(picture.crop((0, 0, 1, 1)))  # whether its colours can be read at all
    return (picture.size[::-1] if turn in SIDEWAYS else picture.size), orientation_of(turn)


def orientation_of(turn: Image.Transpose | None) -> int:
    return 1 if turn is None else ORIENTATIONS[turn]


def _photo(data: bytes) -> tuple[Image.Image, Image.Transpose | None]:
    picture, turn = open_picture(data, "image")
    if min(picture.size) < MIN_SIDE:
        raise ImageInvalid(
            f"the image is {picture.width}×{picture.height}; each side needs {MIN_SIDE} pixels or more",
            field="image",
            reason="image_too_small",
        )
    if picture.mode == "CMYK" and not picture.info.get("icc_profile"):
        raise ImageInvalid("the image is CMYK without a colour profile: send RGB", field="image", reason="image_mode")
    return picture, turn


def _in_srgb(picture: Image.Image) -> Image.Image:
    profile = picture.info.get("icc_profile")
    colours, alpha = _parts(in_8_bits(picture))
    if profile:
        colours = _to_srgb(colours, profile)
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
    return (picture if picture.mode in ("L", "CMYK") else picture.convert("RGB")), None


def in_8_bits(picture: Image.Image) -> Image.Image:
    """16-bit grey scaled to 8 bits, where Pillow's own conversion would clip; its transparent level, if any, counts as painted."""
    if not picture.mode.startswith("I"):
        return picture
    return Image.fromarray(np.rint(np.asarray(picture, dtype=np.float64) / 257).clip(0, 255).astype(np.uint8))


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
