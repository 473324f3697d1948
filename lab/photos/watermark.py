"""`python -m lab.photos.watermark`: what the watermark survives, what it costs the picture, and how often it is found by mistake.

Portraits of people whom no training has drawn, marked and then treated as pictures are on their way. Beside it, what the encoder of
the library invisible-watermark, whose scheme it is, makes of the same portraits; it has to be installed for that alone.
"""

from __future__ import annotations

import argparse
import io
import json
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lab.measures.bootstrap import five_digits
from lab.photos.people import PEOPLE, sampled
from lab.quality.worlds.edits import FIRST
from s2edit_core.delivery import watermark
from s2edit_core.delivery.report import psnr_db

Change = Callable[[Image.Image], Image.Image]


def saved(format: str, **options: Any) -> Change:
    def change(picture: Image.Image) -> Image.Image:
        file = io.BytesIO()
        picture.save(file, format, **options)
        return Image.open(file).convert("RGB")

    return change


def scaled(picture: Image.Image, share: float = 0.75) -> Image.Image:
    return picture.resize((round(picture.width * share), round(picture.height * share)), Image.Resampling.LANCZOS)


TREATMENTS: dict[str, Change] = {
    "png": saved("PNG"),
    "jpeg_95": saved("JPEG", quality=95),
    "jpeg_85": saved("JPEG", quality=85),
    "jpeg_75": saved("JPEG", quality=75),
    "jpeg_50": saved("JPEG", quality=50),
    "webp_80": saved("WEBP", quality=80),
    "scaled_75_percent": scaled,
    "scaled_75_percent_and_back": lambda picture: scaled(picture).resize(picture.size, Image.Resampling.LANCZOS),
    "cropped_at_the_bottom": lambda picture: picture.crop((0, 0, picture.width, picture.height * 9 // 10)),
    "cropped_all_around": lambda picture: picture.crop((20, 20, picture.width - 20, picture.height - 20)),
}


def by_library(picture: Image.Image) -> Image.Image:
    """The same bits, by the library's own encoder."""
    from imwatermark import WatermarkEncoder

    encoder = WatermarkEncoder()
    encoder.set_watermark("bytes", watermark.PAYLOAD)
    return Image.fromarray(encoder.encode(np.asarray(picture)[..., ::-1].copy(), watermark.SCHEME)[..., ::-1])


def costs(pictures: list[Image.Image], mark: Change) -> tuple[list[Image.Image], dict[str, float]]:
    """The marked pictures, and what that took: of the pictures, and of the time."""
    mark(pictures[0])  # what is only done once
    began = time.process_time()
    marked = [mark(picture) for picture in pictures]
    seconds = time.process_time() - began
    before, after = (np.stack([np.asarray(one) for one in all_of]) for all_of in (pictures, marked))
    return marked, {
        "psnr_db": psnr_db(before, after) or float("inf"),
        "max_level_difference": int(np.abs(before.astype(np.int16) - after).max()),
        "processor_seconds_per_megapixel": five_digits(seconds / (before[..., 0].size / 1e6)),
    }


def share_found(pictures: list[Image.Image]) -> float:
    """Among them are none that are too small."""
    found = [watermark.fits(picture.size) and watermark.read(picture).found for picture in pictures]
    return five_digits(sum(found) / len(found))


def measure(people: int, unmarked: int, size: int) -> dict[str, Any]:
    pictures = [PEOPLE.render(sampled(i), size) for i in range(people)]
    marked, ours = costs(pictures, watermark.mark)
    right = [watermark.read(PEOPLE.render(sampled(i), size)).right for i in range(unmarked)]
    return {
        "setting": {"people": people, "unmarked": unmarked, "size": size, "first_person": FIRST},
        "scheme": watermark.facts((size, size)),
        "bits_right_at_least": watermark.BITS - watermark.WRONG,
        "costs": ours,
        "found": {name: share_found([change(one) for one in marked]) for name, change in TREATMENTS.items()},
        "unmarked": {"found": sum(bits >= watermark.BITS - watermark.WRONG for bits in right), "most_bits_right": max(right)},
        "machine": {"processor": platform.machine(), "python": platform.python_version()},
    }


def of_the_library(people: int, size: int) -> dict[str, Any]:
    """The costs of its encoder, and what its marks outlive."""
    theirs, spent = costs([PEOPLE.render(sampled(i), size) for i in range(people)], by_library)
    treated = {name: [TREATMENTS[name](one) for one in theirs] for name in ("png", "jpeg_85", "jpeg_75")}
    return {"costs": spent, "found": {name: share_found(pictures) for name, pictures in treated.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--unmarked", type=int, default=1000)
    parser.add_argument("--size", type=int, default=512, help="width and height in pixels")
    parser.add_argument("--out", type=Path, default=Path("lab/results/watermark.json"))
    wanted = parser.parse_args()
    figures = measure(wanted.people, wanted.unmarked, wanted.size)
    figures["library"] = of_the_library(wanted.people, wanted.size)
    figures["versions"] = {name: version(name) for name in ("numpy", "pillow", "invisible-watermark")}
    wanted.out.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
