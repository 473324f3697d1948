"""AVIF and HEIC files, and media types by the first bytes."""

from __future__ import annotations

import io
import struct
import sys
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pillow_heif import from_pillow

from s2edit_core.errors import ImageInvalid
from s2edit_core.pictures.files import check_photo, decode_photo, media_type
from tests.unit.core.pictures.samples import gradient, noise, png


def avif(picture: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "AVIF", **{"quality": 95, "speed": 10} | options)
    return buffer.getvalue()


def brands(*names: bytes, major: bytes = b"mif1") -> bytes:
    """A file of the ISO base media format that says what it is, and has nothing in it."""
    body = b"ftyp" + major + b"\0\0\0\0" + b"".join(names)
    return struct.pack(">I", 4 + len(body)) + body + bytes(64)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (png(gradient()), "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"RIFF\0\0\0\0WEBP", "image/webp"),
        (avif(gradient()), "image/avif"),
        (brands(major=b"heic"), "image/heic"),
        (brands(b"mif1", b"heic", b"tmap"), "image/heic"),
        (brands(b"miaf", b"avif"), "image/avif"),
        (brands(b"mp42", major=b"isom"), "application/octet-stream"),
        (brands(*[b"isom"] * 100, b"heic"), "application/octet-stream"),
        (b"\0\0\0\x08ftyp", "application/octet-stream"),
        (b"\xff\xff\xff\xffftyp", "application/octet-stream"),
        (b"", "application/octet-stream"),
    ],
    ids=["PNG", "JPEG", "WebP", "AVIF", "HEIC", "HEIC in general", "AVIF in general", "video", "many", "short", "endless", "empty"],
)
def test_the_first_bytes_say_what_a_file_is(data: bytes, kind: str) -> None:
    assert media_type(data) == kind


def test_avif_is_read_upright_and_its_alpha_is_laid_on_white() -> None:
    assert np.abs(np.asarray(decode_photo(avif(gradient()))).astype(int) - np.asarray(gradient())).max() <= 8
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = avif(gradient((64, 48)), exif=exif)
    assert check_photo(turned) == (decode_photo(turned).size, 6) == ((48, 64), 6)
    assert decode_photo(avif(Image.new("RGBA", (40, 40), (255, 0, 0, 0)))).getpixel((5, 5)) == (255, 255, 255)


@pytest.mark.parametrize("data", [avif(noise())[:400], avif(noise())[:-300], brands(b"avif")], ids=["head", "tail", "no picture"])
def test_a_damaged_avif_is_told_so(data: bytes) -> None:
    with pytest.raises(ImageInvalid, match="damaged or incomplete") as refused:
        decode_photo(data)
    assert refused.value.reason == "image_damaged"


def test_heic_is_read_where_the_extra_is_installed() -> None:
    buffer = io.BytesIO()
    from_pillow(gradient((64, 48))).save(buffer, quality=90)
    assert media_type(buffer.getvalue()) == "image/heic"
    assert np.abs(np.asarray(decode_photo(buffer.getvalue())).astype(int) - np.asarray(gradient((64, 48)))).max() <= 16


def test_without_avif_in_pillow_or_the_extra_for_heic_both_are_refused_and_said_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s2edit_core.pictures.files.features.check", lambda name: False)
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    for data, match in (
        (avif(gradient()), r"the image is AVIF, which the Pillow installed here can't read: send it as PNG"),
        (brands(b"heic"), r"the image is HEIC, which is read only where s2edit\[heic\] is installed: send it as PNG"),
    ):
        with pytest.raises(ImageInvalid, match=match) as refused:
            decode_photo(data)
        assert (refused.value.reason, refused.value.field) == ("image_format", "image")
