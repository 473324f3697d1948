"""The decoder process accepts photos of 12 to 48 megapixels. A file gets no more resources than its header declares."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache

import pytest
from PIL import Image

from lab.world.phone_files import TILE_PX, Written, coded, full_box, heif, saved, scene, ultra_hdr
from s2edit_core.errors import ImageInvalid
from s2edit_core.request.picture_limits import MAX_PIXELS, MEMORY_BYTES, cpu_s, memory_bytes
from s2edit_jobs.decoding import decoder_process
from s2edit_jobs.decoding.decoders import DecoderPool
from tests.unit.api import pictures

IPHONE = {12: (4032, 3024), 24: (5712, 4284), 48: (8064, 6048)}
"""Width and height by megapixels."""


@pytest.fixture
def pool() -> Iterator[DecoderPool]:
    pool = DecoderPool(2)
    yield pool
    pool.close()


@cache
def paved(size: tuple[int, int]) -> Image.Image:
    """Return a picture of repeated tiles with the detail of a photo, which is quick to make."""
    tile, picture = scene((1024, 1024)), Image.new("RGB", size)
    for left in range(0, size[0], 1024):
        for top in range(0, size[1], 1024):
            picture.paste(tile, (left, top))
    return picture


def paved_heic(size: tuple[int, int], *, bits: int = 8, to: tuple[int, int] | None = None) -> bytes:
    """Return a HEIC file as an iPhone writes it, with one repeated tile. `to` is the size that it declares."""
    (tile,) = coded(scene((TILE_PX, TILE_PX)), quality=45, bits=bits)
    columns, rows = (-(-side // TILE_PX) for side in size)
    width, height = to or size
    says = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, width, height)
    ispe = full_box(b"ispe", 0, 0, struct.pack(">II", width, height))
    count = rows * columns
    items = {number: Written(b"hvc1", tile.data, tile.properties, hidden=True) for number in range(1, count + 1)}
    items[count + 1] = Written(b"grid", says, (ispe,), ((b"dimg", tuple(range(1, count + 1))),))
    return heif(items, count + 1)


LARGE: dict[str, Callable[[], tuple[tuple[int, int], bytes]]] = {
    f"{megapixels}-megapixel {kind}": lambda size=size, write=write: (size, write(size))  # type: ignore[misc]
    for megapixels, size in IPHONE.items()
    for kind, write in {
        "HEIC": paved_heic,
        "HEIC of 10 bits": lambda size: paved_heic(size, bits=10),
        "Ultra HDR": lambda size: ultra_hdr(paved(size)),
        "progressive JPEG, 4:4:4": lambda size: saved(paved(size), "JPEG", progressive=True, quality=92, subsampling=0),
        "WebP": lambda size: saved(paved(size), "WEBP", quality=80, method=0),
        "AVIF": lambda size: saved(paved(size), "AVIF", quality=70, speed=10),
        "PNG": lambda size: saved(paved(size), "PNG", compress_level=1),
    }.items()
}
QUICK = ("24-megapixel HEIC", "24-megapixel AVIF", *(name for name in LARGE if name.startswith("48") and "AVIF" not in name))
"""The cases of every test run; `make test-slow` runs all."""


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in LARGE])
def test_a_large_photo_passes(pool: DecoderPool, name: str) -> None:
    size, data = LARGE[name]()
    assert pool.sent_size(data) == size


def test_a_mask_for_a_large_photo_passes(pool: DecoderPool) -> None:
    size = IPHONE[48]
    large = Image.new("L", size)
    large.paste(255, (2000, 1500, 6000, 4500))
    for mask in (large, large.resize((1008, 756)), large.convert("RGBA")):
        assert pool.check_masks(size, {"mask": saved(mask, "PNG", compress_level=1)}) == {"mask": 1}


def test_one_over_the_limit_passes_where_it_may_be_scaled_down(pool: DecoderPool) -> None:
    data = saved(paved((9_000, 7_000)), "JPEG", quality=80)
    with pytest.raises(ImageInvalid, match="63 megapixels; at most 50"):
        pool.check(data, {})
    assert pool.check(data, {"mask": pictures.mask((900, 700))}, max_pixels=MAX_PIXELS) == {"image": 1, "mask": 1}


def test_the_budget_follows_from_the_pixels_and_has_an_end() -> None:
    assert cpu_s(0) == 1
    assert cpu_s(24_000_000) == pytest.approx(3.4)
    assert cpu_s(10**12) == pytest.approx(12)
    assert memory_bytes("JPEG", 0, 0) == MEMORY_BYTES
    assert memory_bytes("HEIF", 24_000_000, 0) < memory_bytes("HEIF", 48_000_000, 0)
    assert memory_bytes("WEBP", 10**12, 10**12) < 4.5 * 2**30


def test_a_file_that_announces_less_than_it_holds_gets_what_it_announces(pool: DecoderPool) -> None:
    """The file has 192 tiles but declares one megapixel."""
    data = paved_heic(IPHONE[48], bits=10, to=(1_000, 1_000))
    with pytest.raises(ImageInvalid) as refused:
        pool.check(data, {})
    assert refused.value.reason in ("image_too_costly", "image_damaged")
    assert pool.check(pictures.photo(), {}) == {"image": 1}


def test_a_process_is_no_wider_after_a_large_photo(pool: DecoderPool) -> None:
    import psutil

    pool.check(saved(paved(IPHONE[12]), "WEBP", quality=50, method=0), {})
    assert psutil.Process(pool._idle[0]._process.pid).rlimit(psutil.RLIMIT_DATA)[0] == MEMORY_BYTES


def test_large_ones_take_turns_and_small_ones_do_not_wait(pool: DecoderPool, monkeypatch: pytest.MonkeyPatch) -> None:
    large, done = saved(paved(IPHONE[48]), "JPEG", quality=80), threading.Event()
    assert memory_bytes("JPEG", 48_000_000, len(large)) > decoder_process.LARGE_BYTES
    with pool._large:
        waiting = threading.Thread(target=lambda: (pool.check(large, {}), done.set()))
        waiting.start()
        began = time.monotonic()
        pool.check(pictures.photo(), {})
        assert time.monotonic() - began < 20
        assert not done.is_set()
    waiting.join(60)
    assert done.is_set()
