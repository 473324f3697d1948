"""Files that nobody sends by accident, made by rules and the same at every run: `corpus()` names each of them."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import struct
import zipfile
import zlib
from collections.abc import Iterator
from functools import cache
from itertools import product

from PIL import Image, ImageCms

from lab.world.phone_files import heic

Named = Iterator[tuple[str, bytes]]

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
SIZE = (96, 128)


@cache
def corpus() -> dict[str, bytes]:
    """Every file by its name."""
    pngs = (png_headers, png_chunks, png_bombs)
    others = (frames, jpeg_segments, jpeg_bombs, webp_chunks, iso_boxes, exif, profiles, other_types, polyglots)
    files: dict[str, bytes] = {}
    for part in (cut_off, flipped, *pngs, *others):
        for name, data in part():
            assert name not in files, name
            files[name] = data
    return files


def summary() -> str:
    """Of the whole corpus, to tell two of them apart."""
    parts = (name.encode() + hashlib.sha256(data).digest() for name, data in corpus().items())
    return hashlib.sha256(b"".join(parts)).hexdigest()


def picture(mode: str = "RGB", size: tuple[int, int] = SIZE) -> Image.Image:
    """Some texture, so that a cut hits something."""
    noise = random.Random(5).randbytes(size[0] * size[1] * len(mode))
    return Image.frombytes(mode, size, noise)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@cache
def sound() -> dict[str, bytes]:
    """What the others are made from."""
    return {
        "png": saved(picture(), "PNG"),
        "png-interlaced": png(SIZE, 8, 2, interlace=1, pixels=zlib.compress(random.Random(1).randbytes(60_000))),
        "jpeg": saved(picture(), "JPEG", quality=80),
        "jpeg-progressive": saved(picture(), "JPEG", quality=80, progressive=True),
        "webp": saved(picture(), "WEBP", quality=70),
        "webp-lossless": saved(picture(), "WEBP", lossless=True),
        "webp-alpha": saved(picture("RGBA"), "WEBP", quality=70),
        "avif": saved(picture(), "AVIF", quality=60),
        "heic": heics()["tiles"],
    }


# --- damage of any kind of file ---


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


# --- PNG ---


def chunk(kind: bytes, data: bytes = b"", *, length: int | None = None, crc: int | None = None) -> bytes:
    check = zlib.crc32(kind + data) if crc is None else crc
    return struct.pack(">I", len(data) if length is None else length) + kind + data + struct.pack(">I", check)


def header(
    size: tuple[int, int], depth: int = 8, colour: int = 2, *, method: int = 0, filters: int = 0, interlace: int = 0
) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, colour, method, filters, interlace))


def png(
    size: tuple[int, int],
    depth: int = 8,
    colour: int = 2,
    *,
    pixels: bytes,
    between: bytes = b"",
    interlace: int = 0,
    behind: bytes = b"",
) -> bytes:
    middle = header(size, depth, colour, interlace=interlace) + between
    return PNG_MAGIC + middle + chunk(b"IDAT", pixels) + chunk(b"IEND") + behind


PIXELS = zlib.compress((b"\0" + bytes(SIZE[0] * 3)) * SIZE[1])


def zeros(count: int) -> bytes:
    """`count` compressed zero bytes, put together without ever having them all."""
    packer = zlib.compressobj(9, wbits=-15)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)  # the same for every megabyte
    last = zlib.compressobj(9, wbits=-15)
    rest = last.compress(bytes(count % (1 << 20))) + last.flush()
    return b"\x78\xda" + block * (count >> 20) + rest + struct.pack(">HH", count % 65_521, 1)  # Adler-32 of zeros


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
        yield f"PNG with pixels of {length} bytes, it says", PNG_MAGIC + head + chunk(b"IDAT", PIXELS, length=length) + end
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
    yield "PNG bomb with more pixels than it says", png(SIZE, pixels=zeros(200_000_000))
    yield "PNG bomb beyond the limit", png((30_000, 30_000), 1, 0, pixels=zeros(30_000 * 3_751))
    for count in (1_000_000, 60_000_000, 200_000_000):
        packed = zeros(count)
        for kind, start in ((b"zTXt", b"a\0\0"), (b"iTXt", b"a\0\1\0\0\0"), (b"iCCP", b"a\0\0")):
            yield f"PNG with {count} zeros in {kind.decode()}", png(SIZE, pixels=PIXELS, between=chunk(kind, start + packed))
    many = chunk(b"zTXt", b"a\0\0" + zeros(1_000_000)) * 200
    yield "PNG with 200 texts of a megabyte", png(SIZE, pixels=PIXELS, between=many)


def frames() -> Named:
    still = [Image.new("RGB", SIZE, (number, 0, 0)) for number in range(100)]
    yield "APNG of 100 frames", saved(still[0], "PNG", save_all=True, append_images=still[1:])
    yield "WebP of 100 frames", saved(still[0], "WEBP", save_all=True, append_images=still[1:])
    frame = struct.pack(">IIIIIHHBB", 0, *SIZE, 0, 0, 1, 1, 0, 0)
    for count in (2**32 - 1, 5_000):
        counted = chunk(b"acTL", struct.pack(">II", count, 0)) + chunk(b"fcTL", frame) * min(count, 5_000)
        yield f"APNG that claims {count} frames", png(SIZE, pixels=PIXELS, between=counted)
    yield "MPO of 3 pictures", saved(still[0], "MPO", save_all=True, append_images=still[1:3])
    yield "GIF of 100 frames", saved(still[0], "GIF", save_all=True, append_images=still[1:])
    one = vp8(sound()["webp"])
    animation = b"VP8X" + struct.pack("<I", 10) + b"\2\0\0\0" + low24(SIZE[0] - 1) + low24(SIZE[1] - 1) + riff(b"ANIM", bytes(6))
    place = low24(0) * 2 + low24(SIZE[0] - 1) + low24(SIZE[1] - 1) + low24(1) + b"\0"
    yield "WebP of 300 frames", webp(animation + riff(b"ANMF", place + one) * 300)
    outside = low24(2**23) * 2 + low24(SIZE[0] - 1) + low24(SIZE[1] - 1) + low24(1) + b"\0"
    yield "WebP with its frame outside", webp(animation + riff(b"ANMF", outside + one))
    yield "WebP with an empty frame", webp(animation + riff(b"ANMF", place))


# --- JPEG ---


def segment(marker: int, data: bytes, *, length: int | None = None) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2 if length is None else length) + data


def behind_start(data: bytes, inserted: bytes) -> bytes:
    """Behind a JPEG's first marker."""
    return data[:2] + inserted + data[2:]


def resized(data: bytes, width: int, height: int) -> bytes:
    """A JPEG that claims another size."""
    place = next(place for place in range(2, len(data)) if data[place] == 0xFF and data[place + 1] in (0xC0, 0xC2))
    return data[: place + 5] + struct.pack(">HH", height, width) + data[place + 9 :]


def jpeg_segments() -> Named:
    data = sound()["jpeg"]
    for marker in (
        0x01,
        0xC3,
        0xC4,
        0xC8,
        0xC9,
        0xCC,
        0xD0,
        0xD8,
        0xD9,
        0xDA,
        0xDB,
        0xDC,
        0xDD,
        0xE0,
        0xE1,
        0xE2,
        0xED,
        0xEE,
        0xFE,
        0xFF,
    ):
        for inside in (b"", b"\xff" * 300):
            yield f"JPEG with {len(inside)} bytes of marker {marker:02x}", behind_start(data, segment(marker, inside))
    for length in (0, 1, 2, 65_535):
        yield f"JPEG with a segment of {length} bytes, it says", behind_start(data, segment(0xE1, b"Exif\0\0", length=length))
    for size in ((0, 0), (1, 1), (65_535, 65_535), (65_535, 1), (6_000, 6_000), (96, 0)):
        yield f"JPEG that claims {size}", resized(data, *size)
    place = data.index(b"\xff\xc0")
    for count in (0, 2, 5, 255):
        yield f"JPEG of {count} components", data[: place + 9] + bytes([count]) + data[place + 10 :]
    for sampling in (0x00, 0x44, 0xFF, 0x01):
        yield f"JPEG sampled by {sampling:02x}", data[: place + 11] + bytes([sampling]) + data[place + 12 :]
    for marker in (0xDB, 0xC4, 0xDA):
        yield f"JPEG with marker {marker:02x} made a comment", data.replace(bytes([0xFF, marker]), b"\xff\xfe")
    yield "JPEG of two thousand comments", behind_start(data, segment(0xFE, b"x" * 100) * 2_000)
    yield "JPEG of two pictures", data + data
    yield "JPEG that restarts all the time", data[:-2] + b"\xff\xd0" * 20_000 + data[-2:]
    yield "JPEG of CMYK", saved(picture("CMYK"), "JPEG")


def jpeg_bombs() -> Named:
    for progressive in (False, True):
        flat = saved(Image.new("RGB", (2_000, 2_000)), "JPEG", progressive=progressive)
        kind = "progressive" if progressive else "baseline"
        for size in ((6_000, 6_600), (65_000, 600), (600, 65_000)):
            yield f"JPEG bomb, {kind}, of {size}", resized(flat, *size)
    flat = saved(Image.new("L", (3_000, 3_000)), "JPEG", progressive=True)
    scans = flat.rindex(b"\xff\xda")
    for count in (100, 2_000):
        yield f"JPEG of {count} scans more", flat[:-2] + flat[scans:-2] * count + flat[-2:]


# --- HEIC and AVIF ---


def said_size(data: bytes, size: tuple[int, int], to: tuple[int, int]) -> bytes:
    """With another size in the boxes."""
    ispe = b"ispe\0\0\0\0" + struct.pack(">II", *size)
    assert ispe in data
    return data.replace(ispe, b"ispe\0\0\0\0" + struct.pack(">II", *to))


@cache
def heics() -> dict[str, bytes]:
    flat = Image.new("RGB", (4_000, 3_000))
    return {
        "tiles": heic(picture(size=(700, 600)), quality=30),
        "piece": heic(picture(size=(200, 160)), quality=30),
        "flat": heic(flat, beside=False),
    }


def iso_boxes() -> Named:
    tiles, piece, flat = heics()["tiles"], heics()["piece"], heics()["flat"]
    avif = saved(Image.new("RGB", (4_000, 3_000)), "AVIF", speed=10)
    for claimed in ((1, 1), (64, 64), (0, 9), (65_535, 1), (10_000, 5_000), (10_000, 11_000), (2**31, 2**31), (2**32 - 1, 1)):
        yield f"AVIF of 12 megapixels that claims {claimed}", said_size(avif, (4_000, 3_000), claimed)
        yield f"HEIC of 12 megapixels that claims {claimed}", said_size(flat, (4_000, 3_000), claimed)
        yield f"HEIC of one piece that claims {claimed}", said_size(piece, (200, 160), claimed)
        yield f"HEIC of tiles that claim {claimed}", said_size(tiles, (512, 512), claimed)
    grid = struct.pack(">BBBBHH", 0, 0, 1, 1, 700, 600)
    assert grid in tiles
    for claimed in ((0, 0, 64, 64), (255, 255, 700, 600), (255, 255, 65_535, 65_535), (1, 1, 1, 1)):
        yield f"HEIC with a grid of {claimed}", tiles.replace(grid, struct.pack(">BBBBHH", 0, 0, *claimed))
    yield "HEIC bomb of 12 megapixels", flat
    once = struct.pack(">HHHHH", 5, 4, 1, 2, 3)  # the grid, its four tiles and the first of them
    assert once in tiles
    yield "HEIC of a grid in itself", tiles.replace(once, struct.pack(">HHHHH", 5, 4, 5, 5, 5))
    yield "HEIC of tiles that are not there", tiles.replace(once, struct.pack(">HHHHH", 5, 4, 90, 91, 92))
    yield "HEIC of one tile four times", tiles.replace(once, struct.pack(">HHHHH", 5, 4, 1, 1, 1))
    for kind in (
        b"hvcC",
        b"ispe",
        b"ipma",
        b"ipco",
        b"iloc",
        b"iinf",
        b"iref",
        b"pitm",
        b"hdlr",
        b"mdat",
        b"dimg",
        b"grid",
        b"hvc1",
    ):
        yield f"HEIC without {kind.decode()}", tiles.replace(kind, b"free")
    for kind in (b"ipma", b"iloc", b"iinf", b"iref"):
        place = tiles.index(kind)
        yield f"HEIC with a huge {kind.decode()}", tiles[: place + 8] + b"\xff" * 8 + tiles[place + 16 :]


# --- WebP ---


def low24(value: int) -> bytes:
    return struct.pack("<I", value)[:3]


def riff(kind: bytes, data: bytes, length: int | None = None) -> bytes:
    return kind + struct.pack("<I", len(data) if length is None else length) + data + b"\0" * (len(data) % 2)


def webp(chunks: bytes, length: int | None = None) -> bytes:
    return b"RIFF" + struct.pack("<I", len(chunks) + 4 if length is None else length) + b"WEBP" + chunks


def vp8(data: bytes) -> bytes:
    """The picture's own chunk of a simple WebP."""
    return data[12:]


def extended(flags: int, size: tuple[int, int], *chunks: bytes) -> bytes:
    head = bytes([flags, 0, 0, 0]) + low24(size[0] - 1) + low24(size[1] - 1)
    return webp(riff(b"VP8X", head) + b"".join(chunks))


def webp_chunks() -> Named:
    data = sound()["webp"]
    one = vp8(data)
    for length in (0, 4, 12, 2**31, 2**32 - 1):
        yield f"WebP of {length} bytes, it says", webp(one, length)
        yield f"WebP with a picture of {length} bytes, it says", webp(riff(one[:4], one[8:], length))
    for size in ((1, 1), (16_383, 16_383), (2**24, 2**24), (2**24, 1), (6_000, 6_600)):
        yield f"WebP with a canvas of {size}", extended(0, size, one)
        yield f"animated WebP with a canvas of {size}", extended(2, size, riff(b"ANIM", bytes(6)), riff(b"ANMF", bytes(16) + one))
    for flags in (0x01, 0x04, 0x08, 0x10, 0x20, 0x3E, 0xFF):
        yield f"WebP with flags {flags:02x} and nothing behind them", extended(flags, SIZE, one)
    for kind in (b"ICCP", b"EXIF", b"XMP ", b"ALPH", b"VP8L", b"XXXX"):
        for inside in (b"", b"\xff" * 4_000):
            yield f"WebP with {len(inside)} bytes of {kind.decode()}", extended(0x3C, SIZE, riff(kind, inside), one)
    for bits in (0x3FFF | 0x3FFF << 14, 5_999 | 6_599 << 14):
        yield f"lossless WebP that claims {bits:x}", webp(riff(b"VP8L", b"\x2f" + struct.pack("<I", bits) + bytes(400)))
    large = bytearray(data)
    large[26:30] = struct.pack("<HH", 0x3FFF, 0x3FFF)
    yield "WebP that claims 16383 by 16383", bytes(large)
    yield "WebP bomb of 39 megapixels", saved(Image.new("RGB", (6_500, 6_000)), "WEBP", lossless=True, method=0)
    yield "AVIF bomb of 39 megapixels", saved(Image.new("RGB", (6_500, 6_000)), "AVIF", speed=10)
    yield "WebP of nothing", b"RIFF\4\0\0\0WEBP"
    yield "RIFF of sound", b"RIFF" + struct.pack("<I", 100) + b"WAVEfmt " + bytes(92)


# --- what lies beside the pixels ---


def tiff(entries: list[tuple[int, int, int, int]], *, first: int = 8, following: int = 0) -> bytes:
    """An Exif block of one directory: tag, type, count, value or offset."""
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<I", first) + struct.pack("<H", len(entries)) + body + struct.pack("<I", following)


def exif() -> Named:
    blocks = {
        "nothing": b"",
        "garbage": random.Random(9).randbytes(3_000),
        "a directory outside": tiff([], first=2**32 - 1),
        "a directory that follows itself": tiff([(0x0112, 3, 1, 1)], following=8),
        "a directory within itself": tiff([(0x8769, 4, 1, 8), (0x8825, 4, 1, 8)]),
        "a value of 4 gigabytes": tiff([(0x010E, 2, 2**32 - 1, 8)]),
        "a value outside": tiff([(0x927C, 7, 60_000, 2**31)]),
        "an unknown type": tiff([(0x0112, 99, 1, 1)]),
        "5,000 values": tiff([(tag, 4, 1, tag) for tag in range(5_000)]),
        "places that are none": tiff([(0x8825, 4, 1, 2**32 - 2)]),
        "another byte order": b"XX*\0" + bytes(60),
        "big-endian lengths": tiff([(0x0112, 3, 1, 6)]).replace(b"II*\0", b"MM\0*"),
    }
    turns = {f"orientation {value}": tiff([(0x0112, 3, 1, value)]) for value in (0, 9, 255, 65_535)}
    turns |= {f"orientation of type {kind}": tiff([(0x0112, kind, 3, 8)]) for kind in (1, 2, 5, 7, 12)}
    for name, block in (blocks | turns).items():
        yield f"JPEG, Exif with {name}", behind_start(sound()["jpeg"], segment(0xE1, b"Exif\0\0" + block))
        yield f"PNG, Exif with {name}", png(SIZE, pixels=PIXELS, between=chunk(b"eXIf", block))
        yield f"WebP, Exif with {name}", extended(8, SIZE, vp8(sound()["webp"]), riff(b"EXIF", block))
    for markup in ("<x" * 10_000, '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><x>&b;</x>', 'tiff:Orientation="99999"'):
        packet = b"http://ns.adobe.com/xap/1.0/\0" + markup.encode()
        yield f"JPEG with XMP {markup[:12]}", behind_start(sound()["jpeg"], segment(0xE1, packet))


def profiles() -> Named:
    good = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    good = good[:24] + bytes(12) + good[36:]  # the date
    dice = random.Random(11)
    blocks = {f"cut off at {place}": good[:place] for place in (0, 1, 4, 100, 128, 132, 200, len(good) - 1)}
    blocks |= {f"of size {size}": struct.pack(">I", size) + good[4:] for size in (0, 2**31, 2**32 - 1)}
    blocks |= {f"of {count} tags": good[:128] + struct.pack(">I", count) + good[132:] for count in (0, 101, 2**31, 2**32 - 1)}
    blocks |= {
        f"for {space.decode()}": good[:16] + space + good[20:] for space in (b"CMYK", b"Lab ", b"GRAY", b"\0\0\0\0", b"FCLR")
    }
    blocks |= {
        "to Lab": good[:20] + b"Lab " + good[24:],
        "of a link": good[:12] + b"link" + good[16:],
        "of garbage": dice.randbytes(3_000),
    }
    for number in range(10):
        changed = bytearray(good)
        for _ in range(12):
            changed[dice.randrange(128, len(good))] = dice.randrange(256)
        blocks[f"with wrong bytes, {number}"] = bytes(changed)
    for name, block in blocks.items():
        yield f"PNG, profile {name}", png(SIZE, pixels=PIXELS, between=chunk(b"iCCP", b"a\0\0" + zlib.compress(block)))
        yield f"JPEG, profile {name}", behind_start(sound()["jpeg"], segment(0xE2, b"ICC_PROFILE\0\1\1" + block))
    for number, count in product((0, 1, 255), (0, 2, 255)):
        yield (
            f"JPEG, profile {number} of {count}",
            behind_start(sound()["jpeg"], segment(0xE2, b"ICC_PROFILE\0" + bytes([number, count]) + good)),
        )
    yield "CMYK JPEG with an RGB profile", saved(picture("CMYK"), "JPEG", icc_profile=good)


# --- other things ---


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
        except (OSError, KeyError, ValueError):  # a Pillow without that codec
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
