"""Pictures with a canary in all their metadata, to test that the service removes it: `canary_files()` returns them."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Mapping
from functools import cache

from PIL import ExifTags, Image, ImageCms
from PIL.PngImagePlugin import PngInfo

CANARY = "Canary-52N13E"
"""Bytes that must not appear in anything that the service stores or returns."""
SIZE = (64, 48)
ORIENTATION = 6


def picture() -> Image.Image:
    small = Image.frombytes("RGB", (8, 6), random.Random(3).randbytes(144))
    return small.resize(SIZE, Image.Resampling.BICUBIC)


def exif(orientation: int = ORIENTATION) -> Image.Exif:
    """Return Exif data as a phone writes them, with position and name."""
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = orientation
    tags[ExifTags.Base.Artist] = CANARY
    tags.get_ifd(ExifTags.IFD.GPSInfo).update({ExifTags.GPS.GPSAreaInformation: CANARY.encode(), ExifTags.GPS.GPSLatitudeRef: "N"})
    return tags


def adobe_rgb() -> Image.Exif:
    """Return Exif data that say Adobe RGB as cameras do: without a profile."""
    tags = exif()
    interoperability = {ExifTags.Interop.InteropIndex: "R03", ExifTags.Interop.InteropVersion: CANARY.encode()}
    tags.get_ifd(ExifTags.IFD.Exif).update({ExifTags.Base.ColorSpace: 0xFFFF, ExifTags.IFD.Interop: interoperability})
    return tags


def xmp() -> bytes:
    return f"<x:xmpmeta xmlns:x='adobe:ns:meta/'><exif:GPSLatitude>{CANARY}</exif:GPSLatitude></x:xmpmeta>".encode()


def saved(kind: str, image: Image.Image | None = None, **options: object) -> bytes:
    buffer = io.BytesIO()
    (image or picture()).save(buffer, kind, **options)
    return buffer.getvalue()


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def jpeg(**options: object) -> bytes:
    data = saved("JPEG", exif=exif(), xmp=xmp(), comment=CANARY, quality=90, **options)
    iptc = segment(0xED, b"Photoshop 3.0\x008BIM" + CANARY.encode())
    return data[:2] + segment(0xE0, b"JFXX\0\x13\1\1" + CANARY.encode()) + iptc + segment(0xEC, CANARY.encode()) + data[2:]


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(image: Image.Image | None = None, **options: object) -> bytes:
    words = PngInfo()
    words.add_text("Comment", CANARY)
    words.add_itxt("XML:com.adobe.xmp", xmp().decode())
    words.add_text("Software", CANARY, zip=True)
    data = saved("PNG", image, exif=exif(), pnginfo=words, **options)
    end = data.index(b"IEND") - 4
    extra = (
        chunk(b"tIME", struct.pack(">HBBBBB", 2026, 1, 2, 3, 4, 5))
        + chunk(b"caBX", CANARY.encode())
        + chunk(b"prVt", CANARY.encode())
    )
    return data[:end] + extra + data[end:]


def webp(**options: object) -> bytes:
    data = saved("WEBP", exif=exif(), xmp=xmp(), **options)
    body = data[8:] + struct.pack("<4sI", b"CANA", 14) + CANARY.encode() + b"\0"
    return b"RIFF" + struct.pack("<I", len(body)) + body


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body) + 8) + kind + body


@cache
def canary_files() -> Mapping[str, bytes]:
    """Return files by name. Each has a picture of `SIZE`, with `ORIENTATION` if the format supports it."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    red = Image.new("RGB", SIZE, "red")
    spotted = picture().convert("RGBA")
    spotted.putalpha(Image.linear_gradient("L").resize(SIZE))
    return {
        "jpeg": jpeg(),
        "jpeg, progressive": jpeg(progressive=True),
        "jpeg, with restarts": jpeg(restart_marker_blocks=2),
        "jpeg, of a profile": jpeg(icc_profile=srgb),
        "jpeg, grey": saved("JPEG", picture().convert("L"), exif=exif(), comment=CANARY),
        "jpeg, in Adobe RGB": saved("JPEG", exif=adobe_rgb(), comment=CANARY * 60),
        "jpeg, with a film behind it": jpeg() + box(b"ftyp", CANARY.encode()),
        "jpeg, of two pictures": saved("MPO", exif=exif(), save_all=True, append_images=[red]),
        "png": png(),
        "png, of a profile": png(icc_profile=srgb),
        "png, of a palette": png(picture().quantize(16)),
        "png, see-through": png(spotted),
        "png, one colour see-through": png(picture().quantize(16), transparency=3),
        "png, of two frames": png(save_all=True, append_images=[red]),
        "png, with words behind it": png() + CANARY.encode(),
        "webp": webp(),
        "webp, lossless": webp(lossless=True),
        "webp, of two frames": webp(save_all=True, append_images=[red]),
        "avif": saved("AVIF", exif=exif(), xmp=xmp()) + box(b"uuid", CANARY.encode()),
        "avif, of two frames": saved("AVIF", save_all=True, append_images=[red]) + box(b"uuid", CANARY.encode()),
        "heic": heic(),
    }


def heic() -> bytes:
    from pillow_heif import register_heif_opener

    register_heif_opener(thumbnails=False)
    return saved("HEIF", exif=exif(), xmp=xmp(), quality=90) + box(b"mpvd", CANARY.encode())
