"""`python -m lab.photos.decoding`: what decoding takes of photos of 12, 24 and 48 megapixels as phones write them.

Each is decoded in a fresh process, which tells its seconds and the most memory it has held beyond what it began with: once as the
process that judges strangers' files does, in one thread, once as the engine does, and once more scaled down to a quarter. Beside
that stands what `s2edit_core/request/picture_limits.py` allows.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pillow_heif
from PIL import Image, features

from lab.measures.memory import peak_bytes
from lab.world.phone_files import heic, saved, scene, ultra_hdr
from s2edit_core.pictures.files import check_photo, declared_picture, decode_photo, reads, use_one_thread
from s2edit_core.request.picture_limits import cpu_s, memory_bytes

SIZES = {12: (4032, 3024), 24: (5712, 4284), 48: (8064, 6048)}
"""Of an iPhone's photos, by megapixels."""
Write = Callable[[Image.Image], bytes]
KINDS: dict[str, Write] = {
    "JPEG": partial(saved, kind="JPEG", quality=90),
    "JPEG, progressive": partial(saved, kind="JPEG", quality=90, progressive=True),
    "JPEG, progressive, 4:4:4": partial(saved, kind="JPEG", quality=92, progressive=True, subsampling=0),
    "Ultra HDR": ultra_hdr,
    "HEIC": heic,
    "HEIC, 10 bits": partial(heic, bits=10),
    "AVIF": partial(saved, kind="AVIF", quality=70, speed=10),
    "WebP": partial(saved, kind="WEBP", quality=80, method=0),
    "PNG": partial(saved, kind="PNG", compress_level=1),
}


def _measured(connection: Connection, data: bytes, *, check: bool, max_pixels: int | None) -> None:
    if check:
        use_one_thread()
    reads("image/heic")  # loads what it needs
    Path("/proc/self/clear_refs").write_text("5")
    before, wall, spent = peak_bytes(), time.perf_counter(), time.process_time()
    if check:
        check_photo(data, max_pixels)
    else:
        decode_photo(data, max_pixels)
    taken = {"seconds": time.perf_counter() - wall, "processor_seconds": time.process_time() - spent}
    connection.send({name: round(value, 3) for name, value in taken.items()} | {"peak_mb": round((peak_bytes() - before) / 1e6)})


def taken(data: bytes, *, check: bool = False, max_pixels: int | None = None) -> dict[str, Any]:
    """Seconds and memory of one decoding, in a process of its own."""
    fresh = get_context("spawn")
    ours, its = fresh.Pipe()
    process = fresh.Process(target=_measured, args=(its, data), kwargs={"check": check, "max_pixels": max_pixels}, daemon=True)
    process.start()
    its.close()
    figures: dict[str, Any] = ours.recv()
    process.join()
    return figures


def measure(kinds: dict[str, Write], sizes: dict[int, tuple[int, int]]) -> list[dict[str, Any]]:
    rows = []
    for megapixels, size in sizes.items():
        picture, pixels = scene(size), size[0] * size[1]
        for kind, write in kinds.items():
            data = write(picture)
            found = declared_picture(data)
            rows.append(
                {
                    "kind": kind,
                    "megapixels": megapixels,
                    "size": list(size),
                    "file_bytes": len(data),
                    "allowed": {
                        "processor_seconds": round(cpu_s(pixels), 2),
                        "memory_mb": round(memory_bytes(found.format, pixels, len(data)) / 1e6),
                    },
                    "check": taken(data, check=True),
                    "engine": taken(data),
                    "engine_scaled_to_a_quarter": taken(data, max_pixels=pixels // 4),
                }
            )
            print(json.dumps(rows[-1]), flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=int, nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--out", type=Path, default=Path("lab/results/decoding.json"))
    wanted = parser.parse_args()
    figures = {
        "photos": measure(KINDS, {each: SIZES[each] for each in wanted.megapixels}),
        "machine": {"processor": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()},
        "versions": {
            **{name: version(name) for name in ("numpy", "pillow", "pillow-heif")},
            **{name: features.version(name) for name in ("libjpeg_turbo", "avif", "webp", "zlib")},
            "libheif": pillow_heif.libheif_version(),
        },
    }
    wanted.out.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
