"""Runs of `python -m s2edit_core` on the files of the working folder."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from s2edit_core.__main__ import main

SOURCE, TARGET = "a photo of a woman with black hair", "a photo of a woman with red hair"
COMPOSED = "a woman with [A] lipstick"
REFERENCE_WORDS = ("--reference-prompt", "a woman with lipstick", "--reference-subject", "lipstick")


def picture(seed: int = 1) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8))


def region(*box: int) -> Image.Image:
    mask = Image.new("L", (64, 64))
    mask.paste(255, box)
    return mask


def run(*argv: str) -> int:
    return main([*argv, "--quiet"])


def edit(*argv: str, output: str = "out.png") -> int:
    return run("edit", "photo.png", "--mask", "face.png", "--target", TARGET, "-o", output, *argv)


def pixels(path: str) -> Any:
    return np.asarray(Image.open(path))


def compose(*argv: str, region: str | None = "lips.png") -> int:
    reference = ("--reference", "reference.png", "--reference-region", "their-lips.png", *(("--region", region) if region else ()))
    photo = ("photo.png", "--mask", "face.png", "-o", "out.png", "--target", COMPOSED)
    return run("compose", *photo, *reference, *REFERENCE_WORDS, *argv)
