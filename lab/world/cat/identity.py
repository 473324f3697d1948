"""What makes a cat that cat. Captions never name it, and edits keep it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from lab.world.painting.picture import mixed

Rgb = tuple[float, float, float]
Pattern = Literal["solid", "tabby", "bicolour", "calico", "points"]
Mark = Literal["none", "blaze", "star"]

BLACK: Rgb = (0.12, 0.11, 0.115)
WHITE: Rgb = (0.94, 0.92, 0.89)
GREY: Rgb = (0.44, 0.46, 0.50)
GINGER: Rgb = (0.84, 0.52, 0.24)
CHOCOLATE: Rgb = (0.30, 0.20, 0.14)
CREAM: Rgb = (0.91, 0.80, 0.65)
COATS: dict[Pattern, tuple[tuple[Rgb, Rgb], ...]] = {
    "solid": ((BLACK, BLACK), (GREY, GREY), (WHITE, WHITE), (CREAM, CREAM), (GINGER, GINGER), (CHOCOLATE, CHOCOLATE)),
    "tabby": (
        ((0.64, 0.50, 0.36), (0.20, 0.14, 0.10)),
        ((0.88, 0.60, 0.32), (0.64, 0.33, 0.12)),
        ((0.76, 0.76, 0.75), (0.22, 0.22, 0.24)),
        ((0.58, 0.57, 0.56), (0.24, 0.23, 0.24)),
    ),
    "bicolour": ((BLACK, WHITE), (BLACK, WHITE), (GREY, WHITE), (GINGER, WHITE), (CHOCOLATE, WHITE)),
    "calico": ((WHITE, GINGER), (WHITE, (0.78, 0.46, 0.20))),
    "points": (
        ((0.91, 0.85, 0.76), (0.22, 0.15, 0.12)),
        ((0.91, 0.89, 0.86), (0.42, 0.43, 0.48)),
        ((0.93, 0.87, 0.78), (0.80, 0.50, 0.27)),
    ),
}
"""Pairs of base colour and second colour."""
EYES: tuple[Rgb, ...] = ((0.95, 0.78, 0.24), (0.56, 0.76, 0.32), (0.36, 0.62, 0.90), (0.84, 0.46, 0.13), (0.42, 0.76, 0.68))
BLUE = 2
NOSES: tuple[Rgb, ...] = ((0.90, 0.60, 0.58), (0.70, 0.38, 0.33), (0.36, 0.24, 0.22), (0.15, 0.13, 0.14))
CLOTH: tuple[Rgb, ...] = (
    (0.76, 0.16, 0.18),
    (0.16, 0.34, 0.66),
    (0.14, 0.52, 0.40),
    (0.56, 0.26, 0.60),
    (0.92, 0.62, 0.16),
    (0.60, 0.74, 0.22),
    (0.90, 0.46, 0.58),
)
HATS = ("party", "top", "beanie", "straw", "santa")
FRAMES: tuple[Rgb, ...] = ((0.08, 0.08, 0.09), (0.16, 0.26, 0.50), (0.72, 0.13, 0.16), (0.84, 0.68, 0.34), (0.90, 0.89, 0.87))


@dataclass(frozen=True, slots=True)
class Identity:
    """The parameters that edits preserve. Lengths and sizes are factors of the average cat's unless a range is given."""

    pattern: Pattern
    base: Rgb
    second: Rgb
    third: Rgb  # the darker patches of a calico
    seed: int  # of stripes, patches and strands
    contrast: float  # 0.6..1, of the stripes
    left_eye: Rgb
    right_eye: Rgb
    mark: Mark
    ear_size: float
    ear_width: float
    ear_spread: float  # -1 upright .. 1 to the sides
    ear_notch: int  # -1 left, 0 none, 1 right
    face_width: float
    muzzle_size: float
    muzzle_light: float  # 0..1, how white the muzzle and the chin are
    nose: Rgb
    eye_size: float
    eye_distance: float
    eye_slant: float  # radians, the outer corner up
    whisker_length: float
    collar: Rgb
    tag: int  # 0 bell, 1 disc, 2 bow
    hat: int  # index into HATS
    hat_colour: Rgb
    frame: Rgb
    frame_shape: int  # 0 round, 1 square

    @classmethod
    def sample(cls, rng: random.Random) -> Identity:
        pattern: Pattern = rng.choices(get_args(Pattern), (0.22, 0.32, 0.2, 0.13, 0.13))[0]
        base, second = (_jittered(colour, rng) for colour in rng.choice(COATS[pattern]))
        eyes = _eye_colours(pattern, base, rng)
        mark: Mark = rng.choices(get_args(Mark), (0.6, 0.25, 0.15))[0]
        return cls(
            pattern=pattern,
            base=base,
            second=second,
            third=_jittered(rng.choice((BLACK, GREY, CHOCOLATE)), rng),
            seed=rng.randrange(1 << 30),
            contrast=rng.uniform(0.6, 1.0),
            left_eye=eyes[0],
            right_eye=eyes[1],
            mark=mark,
            ear_size=rng.uniform(0.85, 1.18),
            ear_width=rng.uniform(0.88, 1.15),
            ear_spread=rng.uniform(-1, 1),
            ear_notch=rng.choices((-1, 0, 1), (0.08, 0.84, 0.08))[0],
            face_width=rng.uniform(0.90, 1.08),
            muzzle_size=rng.uniform(0.85, 1.15),
            muzzle_light=rng.uniform(0, 1),
            nose=_jittered(rng.choices(NOSES, _nose_odds(base))[0], rng),
            eye_size=rng.uniform(0.88, 1.14),
            eye_distance=rng.uniform(0.93, 1.08),
            eye_slant=rng.uniform(0.02, 0.30),
            whisker_length=rng.uniform(0.75, 1.2),
            collar=_jittered(rng.choice(CLOTH), rng),
            tag=rng.randrange(3),
            hat=rng.randrange(len(HATS)),
            hat_colour=_jittered(rng.choice(CLOTH), rng),
            frame=rng.choice(FRAMES[1:] if sum(base) < 1.2 else FRAMES[:4]),
            frame_shape=rng.randrange(2),
        )


def _jittered(colour: Rgb, rng: random.Random) -> Rgb:
    """Return `colour` a little lighter, darker, warmer or cooler."""
    light, warm = rng.uniform(0.92, 1.08), rng.uniform(-0.02, 0.02)
    r, g, b = colour
    return min(r * light + warm, 1.0), min(g * light, 1.0), min(max(b * light - warm, 0.0), 1.0)


def _eye_colours(pattern: Pattern, base: Rgb, rng: random.Random) -> tuple[Rgb, Rgb]:
    """Return the colours of the eyes. White cats have odd eyes more often; cats with points have blue eyes."""
    odds = (0.02, 0.02, 0.92, 0.0, 0.04) if pattern == "points" else (0.33, 0.30, 0.09, 0.18, 0.10)
    first = rng.choices(range(len(EYES)), odds)[0]
    second = first
    if pattern != "points" and rng.random() < (0.3 if min(base) > 0.8 else 0.03):
        second = BLUE if first != BLUE else 0
    tint = mixed(EYES[first], rng.choice(EYES[:2]) if first != BLUE else (0.60, 0.78, 0.92), rng.uniform(0, 0.3))
    other = tint if second == first else EYES[second]
    return (tint, other) if rng.random() < 0.5 else (other, tint)


def _nose_odds(base: Rgb) -> tuple[float, ...]:
    """Return the weights of `NOSES`: light coats have pink noses, dark ones dark noses."""
    light = sum(base) / 3
    if light > 0.7:
        return (0.75, 0.2, 0.05, 0.0)
    return (0.1, 0.15, 0.35, 0.4) if light < 0.3 else (0.4, 0.4, 0.15, 0.05)


_RANGES: dict[str, tuple[float, float]] = {
    "ear_size": (0.85, 1.18),
    "ear_width": (0.88, 1.15),
    "face_width": (0.90, 1.08),
    "muzzle_size": (0.85, 1.15),
    "muzzle_light": (0, 1),
    "eye_size": (0.88, 1.14),
    "eye_distance": (0.93, 1.08),
    "eye_slant": (0.02, 0.30),
}
_COLOURS: dict[str, tuple[Rgb, Rgb]] = {
    "base": ((0.67, 0.60, 0.52), (0.28, 0.27, 0.28)),
    "second": ((0.59, 0.48, 0.39), (0.31, 0.29, 0.30)),
    "eyes": ((0.66, 0.70, 0.44), (0.21, 0.095, 0.28)),
    "nose": ((0.70, 0.44, 0.42), (0.26, 0.17, 0.17)),
}
"""Mean and standard deviation of the colours over sampled cats, measured over 4000 of them."""
IDENTITY_NAMES: tuple[str, ...] = (
    *(f"{name} {channel}" for name in _COLOURS for channel in ("red", "green", "blue")),
    *get_args(Pattern),
    *_RANGES,
)


def identity_vector(identity: Identity) -> NDArray[np.float32]:
    """Return the identity as numbers of about zero mean and unit variance, named by `IDENTITY_NAMES`.

    The colour of odd eyes is their mean.
    """
    eyes = mixed(identity.left_eye, identity.right_eye, 0.5)
    shown = {"base": identity.base, "second": identity.second, "eyes": eyes, "nose": identity.nose}
    numbers = [
        (value - mean) / deviation
        for name, (means, deviations) in _COLOURS.items()
        for value, mean, deviation in zip(shown[name], means, deviations, strict=True)
    ]
    numbers += [2.0 if identity.pattern == each else -0.5 for each in get_args(Pattern)]
    numbers += [
        (getattr(identity, name) - (low + high) / 2) / ((high - low) / np.sqrt(12)) for name, (low, high) in _RANGES.items()
    ]
    return np.array(numbers, dtype=np.float32)
