"""Truncated and randomly damaged files, other file types, and files that are valid in two formats."""

from __future__ import annotations

import gzip
import io
import random
import zipfile
from itertools import product

from tests.hostile.build import PIXELS, PNG_MAGIC, SIZE, Named, behind_start, chunk, picture, png, saved, segment, sound


def cut_off() -> Named:
    for kind, data in sound().items():
        places = {1, 4, 8, 12, 20, 26, 33, 60, 150, len(data) // 3, len(data) // 2, len(data) - 13, len(data) - 2, len(data) - 1}
        for place in sorted(places):
            yield f"{kind} cut off at {place}", data[:place]


def flipped() -> Named:
    for kind, data in sound().items():
        dice = random.Random(kind)
        for number in range(10):
            places = [dice.randrange(8, 200 if number < 6 else len(data)) for _ in range(1 + number % 3)]
            changed = bytearray(data)
            for place in places:
                changed[place] ^= 1 << dice.randrange(8)
            yield f"{kind} with flipped bits, {number}", bytes(changed)


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(zipfile.ZipInfo("../../etc/passwd"), b"root" * 1_000)
    return buffer.getvalue()


SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><image href="file:///etc/passwd"/></svg>'
HTML = b"<!doctype html><script>alert(document.cookie)</script>"


def other_types() -> Named:
    for kind in (
        "GIF",
        "BMP",
        "TIFF",
        "ICO",
        "PPM",
        "TGA",
        "PCX",
        "DDS",
        "SGI",
        "EPS",
        "JPEG2000",
        "AVIF",
        "ICNS",
        "IM",
        "MSP",
    ):
        image = picture("RGB" if kind != "MSP" else "L").convert("1" if kind == "MSP" else "RGB")
        try:
            yield f"a {kind} file", saved(image, kind)
        except (OSError, KeyError, ValueError):  # this Pillow lacks the encoder
            yield f"a {kind} file", kind.encode() + bytes(200)
    texts = {
        "SVG": SVG,
        "HTML": HTML,
        "PDF": b"%PDF-1.7\n1 0 obj\n<< /OpenAction << /S /JavaScript /JS (app.alert(1)) >> >>\nendobj\n",
        "ZIP": archive(),
        "gzip": gzip.compress(bytes(1_000_000), mtime=0),
        "ELF": b"\x7fELF\2\1\1" + bytes(100),
        "EXE": b"MZ" + bytes(200),
        "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200),
        "PSD": b"8BPS\0\1" + bytes(200),
        "pickle": b"\x80\4cos\nsystem\n(S'true'\ntR.",
        "script": b"#!/bin/sh\ntrue\n",
        "nothing": b"",
        "a zero": b"\0",
        "zeros": bytes(100_000),
        "ones": b"\xff" * 100_000,
        "text": "größe ☃ ".encode() * 1_000,
        "Ghostscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) (w) file\n",
        "MVG": b"push graphic-context\nviewbox 0 0 640 480\nfill 'url(https://example.com/x.png)'\npop graphic-context",
        "XBM": b"#define x_width 9\n#define x_height 9\nstatic char x_bits[] = {0x00};",
        "FLI": bytes(4) + b"\x11\xaf" + bytes(200),
    }
    for name, data in texts.items():
        yield f"{name}", data
        for magic in (PNG_MAGIC, b"\xff\xd8\xff\xe0", b"RIFF\xff\0\0\0WEBP"):
            yield f"{name} behind {magic[:4]!r}", magic + data


def polyglots() -> Named:
    for (kind, data), (name, other) in product(
        (pair for pair in sound().items() if pair[0] in ("png", "jpeg", "webp")),
        {
            "SVG": SVG,
            "HTML": HTML,
            "ZIP": archive(),
            "PHP": b"<?php system($_GET[0]); ?>",
            "PDF": b"%PDF-1.7\n1 0 obj",
            "zeros": bytes(300_000),
        }.items(),
    ):
        yield f"{kind} and then {name}", data + other
        yield f"{name} and then {kind}", other + data
    for name, other in {"SVG": SVG, "HTML": HTML, "PHP": b"<?php ?>"}.items():
        yield f"PNG with {name} in a text", png(SIZE, pixels=PIXELS, between=chunk(b"tEXt", b"Comment\0" + other))
        yield f"JPEG with {name} in a comment", behind_start(sound()["jpeg"], segment(0xFE, other))
        yield f"GIF that is {name}", b"GIF89a/*" + other + b"*/=1;"
