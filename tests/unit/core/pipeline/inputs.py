"""Pictures, masks and options for tests of the pipeline."""

from __future__ import annotations

import numpy as np
from PIL import Image

from s2edit_core.request.options import InjectionOptions, LearningOptions

OPTIONS = LearningOptions(start_steps=8, token_steps=2, joint_steps=2, batch=2)
SIZE = (80, 60)
SOURCE, TARGET = "a photo of a [I] woman", "a photo of a [I] woman with red hair"


BLEND = InjectionOptions(blend="difference", blend_threshold=0.9)


def picture(seed: int = 1, size: tuple[int, int] = SIZE) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def region(*box: int, size: tuple[int, int] = SIZE) -> Image.Image:
    mask = Image.new("L", size)
    mask.paste(255, box)
    return mask


PHOTO, FACE, LIPS = picture(), region(20, 10, 56, 50), region(32, 36, 44, 42)
REFERENCE, THEIR_LIPS = picture(2, (64, 64)), region(24, 40, 40, 48, size=(64, 64))
