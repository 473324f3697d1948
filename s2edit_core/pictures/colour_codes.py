"""Colour spaces that a file declares without an ICC profile: HEIC, AVIF (`nclx`) and PNG (`cICP`) by codes of ITU-T H.273, older
PNG by a gamma (`gAMA`) and primaries (`cHRM`), JPEG by Exif data (`exif`). No torch, no Pillow.

Codes of sRGB, or close to it, need no conversion. Display P3 and Adobe RGB become an ICC profile, and the photo is treated as one
with that profile. All other colour spaces, such as those of HDR films or with another gamma, are read as sRGB. A report says so.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from s2edit_core.pictures.iso_header import colour_codes
from s2edit_core.pictures.png_chunks import PNG_MAGIC, png_chunks

USUAL_PRIMARIES = (1, 2, 5, 6)
"""Codes read as sRGB: BT.709, which has sRGB's primaries; unspecified; and both of BT.601, which programs show as sRGB."""
DISPLAY_P3 = 12
"""The code of Display P3."""
USUAL_TRANSFERS = (1, 2, 4, 5, 6, 13, 14, 15)
"""Codes of sRGB's tone curve, and of those of television, which programs treat as such; neither PQ (16) nor HLG (18)."""
NAMES = {9: "BT.2020", 11: "DCI-P3", 16: "PQ", 18: "HLG", DISPLAY_P3: "Display P3"}
"""Names of other codes, for reports."""

MAX_CHUNKS = 1000
"""Most chunks of a PNG that are looked at."""
SRGB_GAMMA, GAMMA_TOLERANCE = 1 / 2.2, 0.01
SRGB_PRIMARIES, PRIMARY_TOLERANCE = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06), 0.005
"""`gAMA` and `cHRM` of sRGB, which differ only by roundings."""
WHITE = (0.9642, 1.0, 0.8249)
P3_COLUMNS = ((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407))
ADOBE_COLUMNS = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
"""The primaries, adapted to D50 as in ICC profiles."""
ADOBE_GAMMA = 2 + 51 / 256


@dataclass(frozen=True, slots=True)
class ColourCodes:
    """The colour primaries and transfer characteristics that a file declares."""

    primaries: int
    transfer: int
    full_range: bool = True  # of a PNG; decoders of HEIC and AVIF apply the range themselves

    @classmethod
    def of(cls, data: bytes) -> ColourCodes | None:
        """Return the codes of a file; None if it has none."""
        if data.startswith(PNG_MAGIC):
            codes = _png_colours(data).get(b"cICP", b"")
            return cls(codes[0], codes[1], codes[3] != 0) if len(codes) == 4 else None
        try:
            found = colour_codes(data)
        except (ValueError, LookupError, struct.error):  # damaged or unusual: decoding reports it
            return None
        return None if found is None else cls(*found)

    @property
    def profile(self) -> bytes | None:
        """An ICC profile of this colour space if it is not sRGB and can be converted; otherwise None."""
        return p3_profile() if self.primaries == DISPLAY_P3 and self.unread is None else None

    @property
    def unread(self) -> str | None:
        """The name of this colour space if it is read as sRGB without being sRGB; otherwise None."""
        narrow = [] if self.full_range else ["narrow range"]
        if self.transfer in USUAL_TRANSFERS and self.primaries in (*USUAL_PRIMARIES, DISPLAY_P3) and not narrow:
            return None
        return ", ".join([*(NAMES.get(code, f"H.273 {code}") for code in (self.primaries, self.transfer)), *narrow])


def unread_colours(data: bytes) -> str | None:
    """Return the name of the colour space of a file without a profile if it is read as sRGB without being sRGB; otherwise None."""
    if (codes := ColourCodes.of(data)) is not None:
        return codes.unread
    chunks = _png_colours(data) if data.startswith(PNG_MAGIC) else {}
    if b"sRGB" in chunks:
        return None
    gamma, primaries = (_fractions(chunks.get(kind, b"")) for kind in (b"gAMA", b"cHRM"))
    found = [f"gamma {1 / gamma[0]:.2g}"] if len(gamma) == 1 and gamma[0] and abs(gamma[0] - SRGB_GAMMA) > GAMMA_TOLERANCE else []
    is_other = len(primaries) == 8 and max(abs(a - b) for a, b in zip(primaries, SRGB_PRIMARIES, strict=True)) > PRIMARY_TOLERANCE
    return ", ".join([*found, *(["other primaries"] if is_other else [])]) or None


def _png_colours(data: bytes) -> dict[bytes, bytes]:
    """Return the content of a PNG's chunks before its pixels, by name."""
    chunks: dict[bytes, bytes] = {}
    for chunk in takewhile(lambda chunk: chunk.kind != b"IDAT", png_chunks(data, MAX_CHUNKS)):
        chunks.setdefault(chunk.kind, bytes(chunk.body))
    return chunks


def _fractions(content: bytes) -> tuple[float, ...]:
    """Return the numbers of a `gAMA` or `cHRM` chunk, which are stored in units of 1/100,000."""
    return tuple(value / 100_000 for (value,) in struct.iter_unpack(">I", content)) if len(content) % 4 == 0 else ()


def p3_profile() -> bytes:
    """Return an ICC profile of Display P3: its primaries, and sRGB's tone curve."""
    return _profile("Display P3", P3_COLUMNS, 3, (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))


def adobe_rgb_profile() -> bytes:
    """Return an ICC profile of Adobe RGB (1998)."""
    return _profile("Compatible with Adobe RGB (1998)", ADOBE_COLUMNS, 0, (ADOBE_GAMMA,))


def _profile(name: str, columns: Sequence[tuple[float, ...]], form: int, curve: tuple[float, ...]) -> bytes:
    """Return an ICC profile. `form` is the number of the formula that has the parameters `curve`."""
    tones = b"para\0\0\0\0" + struct.pack(">HH", form, 0) + _fixed(*curve)
    tags = {b"desc": _text(name), b"cprt": _text("No copyright"), b"wtpt": _xyz(WHITE)}
    tags |= {tag: _xyz(column) for tag, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), tones)
    table, values, start = b"", b"", 128 + 4 + 12 * len(tags)
    for tag, value in tags.items():
        table += tag + struct.pack(">II", start + len(values), len(value))
        values += value + bytes(-len(value) % 4)
    body = struct.pack(">I", len(tags)) + table + values
    header = struct.pack(">I4xI4s4s4s12x4s28x", 128 + len(body), 0x04000000, b"mntr", b"RGB ", b"XYZ ", b"acsp")
    return (header + _fixed(*WHITE)).ljust(128, b"\0") + body


def _fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(*values)


def _text(text: str) -> bytes:
    coded = text.encode("utf-16-be")
    return b"mluc\0\0\0\0" + struct.pack(">II4sII", 1, 12, b"enUS", len(coded), 28) + coded
