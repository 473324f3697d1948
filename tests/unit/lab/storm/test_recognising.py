"""A storm recognises a picture of the model in spite of rounding, and no other one."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from lab.storm.census import sha256
from lab.storm.system import engines
from lab.storm.system.engines import EngineChoice, Reference
from s2edit_jobs.settings import Settings


def png(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_a_picture_is_recognised_but_for_rounding(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    pictures = [draw.integers(10, 245, (32, 32, 3), dtype=np.uint8) for _ in range(2)]
    reference = Reference(EngineChoice("model"), Settings(data_dir=tmp_path))
    for each in pictures:
        reference._pixels[sha256(png(each))] = engines._pixels(png(each))
    rounded = pictures[1].copy()
    rounded[::8, ::8] += 3
    assert reference.recognise(png(pictures[0])) == sha256(png(pictures[0]))
    assert reference.rounding_levels == 0
    assert reference.recognise(png(rounded)) == sha256(png(pictures[1]))
    assert 0 < reference.rounding_levels < engines.ROUNDING_LEVELS
    other = png(pictures[1] + np.uint8(2))
    assert reference.recognise(other) == sha256(other)
    small = png(pictures[1][:16])
    assert reference.recognise(small) == sha256(small)
