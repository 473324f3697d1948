"""Hostile PNG files: impossible headers, damaged chunks and decompression bombs."""

from __future__ import annotations

import random
import zlib

from tests.hostile.build import PIXELS, PNG_MAGIC, SIZE, Named, chunk, header, png, zeros


def png_headers() -> Named:
    sizes = (
        (0, 0),
        (0, 9),
        (1, 1),
        (2**31 - 1, 1),
        (1, 2**31 - 1),
        (2**31 - 1, 2**31 - 1),
        (2**32 - 1, 2**32 - 1),
        (65_535, 65_535),
        (6_400, 6_400),
    )
    for size in sizes:
        yield f"PNG that claims {size}", png(size, pixels=PIXELS)
    for depth, colour in ((0, 0), (3, 0), (32, 2), (255, 2), (8, 1), (8, 5), (8, 9), (4, 2), (16, 3), (8, 255)):
        yield f"PNG of depth {depth} and colour type {colour}", png(SIZE, depth, colour, pixels=PIXELS)
    for name, values in {"method": {"method": 9}, "filters": {"filters": 9}, "interlace": {"interlace": 9}}.items():
        yield f"PNG of an unknown {name}", PNG_MAGIC + header(SIZE, **values) + chunk(b"IDAT", PIXELS) + chunk(b"IEND")
    for filter_type in (5, 128, 255):
        rows = zlib.compress((bytes([filter_type]) + bytes(SIZE[0] * 3)) * SIZE[1])
        yield f"PNG of filter {filter_type}", png(SIZE, pixels=rows)


def png_chunks() -> Named:
    head, body, end = header(SIZE), chunk(b"IDAT", PIXELS), chunk(b"IEND")
    yield "PNG without a header", PNG_MAGIC + body + end
    yield "PNG with its header last", PNG_MAGIC + body + head + end
    yield "PNG with two headers", PNG_MAGIC + head + header((9_000, 9_000)) + body + end
    yield "PNG of nothing", PNG_MAGIC
    yield "PNG with an end and no pixels", PNG_MAGIC + head + end
    yield "PNG with an empty header", PNG_MAGIC + chunk(b"IHDR") + body + end
    for length in (0, 2**31 - 1, 2**31, 2**32 - 1, len(PIXELS) + 5):
        yield f"PNG that declares {length} bytes of pixels", PNG_MAGIC + head + chunk(b"IDAT", PIXELS, length=length) + end
    for kind in (b"IHDR", b"IDAT", b"tEXt", b"iCCP"):
        yield f"PNG with a wrong checksum at {kind.decode()}", PNG_MAGIC + head + chunk(kind, b"x\0\0", crc=7) + body + end
    for kind in (b"XXXX", b"\0\0\0\0", b"\xff\xff\xff\xff", b"IDAX"):
        yield f"PNG with a chunk {kind!r}", PNG_MAGIC + head + chunk(kind, b"what") + body + end
    for kind in (
        b"tRNS",
        b"PLTE",
        b"gAMA",
        b"cHRM",
        b"sRGB",
        b"pHYs",
        b"iCCP",
        b"iTXt",
        b"zTXt",
        b"tEXt",
        b"eXIf",
        b"acTL",
        b"fcTL",
        b"fdAT",
    ):
        for data in (b"", b"\0", b"\xff" * 5_000):
            yield f"PNG with {len(data)} bytes of {kind.decode()}", PNG_MAGIC + head + chunk(kind, data) + body + end
    yield "PNG of a palette without one", png(SIZE, 8, 3, pixels=PIXELS)
    yield "PNG of 30,000 texts", PNG_MAGIC + head + chunk(b"tEXt", b"a\0b") * 30_000 + body + end
    yield "PNG of 30,000 pieces", PNG_MAGIC + head + chunk(b"IDAT") * 30_000 + body + end
    yield "PNG with garbage as pixels", png(SIZE, pixels=random.Random(3).randbytes(5_000))
    yield "PNG with a preset dictionary", png(SIZE, pixels=b"\x78\xbb\0\0\0\1" + PIXELS[2:])


def png_bombs() -> Named:
    yield "PNG bomb of 39 megapixels, RGB", png((6_500, 6_000), pixels=zeros(6_000 * (6_500 * 3 + 1)))
    yield "PNG bomb of 39 megapixels, RGBA", png((6_500, 6_000), 8, 6, pixels=zeros(6_000 * (6_500 * 4 + 1)))
    yield "PNG bomb of 39 megapixels, 16-bit RGBA", png((6_500, 6_000), 16, 6, pixels=zeros(6_000 * (6_500 * 8 + 1)))
    yield "PNG bomb of 39 megapixels, 16-bit grey", png((6_500, 6_000), 16, 0, pixels=zeros(6_000 * (6_500 * 2 + 1)))
    yield "PNG bomb of 39 megapixels, one bit", png((6_500, 6_000), 1, 0, pixels=zeros(6_000 * 814))
    yield "PNG bomb of 39 megapixels, interlaced", png((6_500, 6_000), interlace=1, pixels=zeros(6_000 * (6_500 * 3 + 5)))
    yield "PNG bomb of a single column", png((1, 40_000_000), 1, 0, pixels=zeros(80_000_000))
    yield "PNG bomb of a single row", png((40_000_000, 1), 8, 2, pixels=zeros(120_000_001))
    yield "PNG bomb with more pixels than declared", png(SIZE, pixels=zeros(200_000_000))
    yield "PNG bomb beyond the limit", png((30_000, 30_000), 1, 0, pixels=zeros(30_000 * 3_751))
    for count in (1_000_000, 60_000_000, 200_000_000):
        packed = zeros(count)
        for kind, start in ((b"zTXt", b"a\0\0"), (b"iTXt", b"a\0\1\0\0\0"), (b"iCCP", b"a\0\0")):
            yield f"PNG with {count} zeros in {kind.decode()}", png(SIZE, pixels=PIXELS, between=chunk(kind, start + packed))
    many = chunk(b"zTXt", b"a\0\0" + zeros(1_000_000)) * 200
    yield "PNG with 200 texts of a megabyte", png(SIZE, pixels=PIXELS, between=many)
