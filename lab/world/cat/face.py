"""The features: eyes, nose, mouth and whiskers."""

from __future__ import annotations

import random

import numpy as np

from lab.world.cat.build import Build
from lab.world.cat.coat import bump, step
from lab.world.cat.fur import stroke
from lab.world.cat.identity import WHITE, Rgb
from lab.world.painting.fields import Field, coverage, ellipse, overlap, polygon
from lab.world.painting.picture import Picture, mixed
from lab.world.painting.texture import noise

DARK: Rgb = (0.09, 0.06, 0.06)


def _lens(u: Field, v: Field, half: float, top: float, bottom: float) -> Field:
    """Return the distance to an almond `half` wide to each side, `top` high and `bottom` deep."""
    upper, lower = (half * half + top * top) / (2 * top), (half * half + bottom * bottom) / (2 * bottom)
    return overlap(
        np.hypot(u, v - np.float32(upper - top)) - np.float32(upper),
        np.hypot(u, v + np.float32(lower - bottom)) - np.float32(lower),
    )


def draw_eyes(picture: Picture, build: Build) -> None:
    """Draw both eyes, open or closed."""
    for side in (-1, 1):
        plane = build.eye(side)
        x, y = plane.centre
        reach = build.eye_size * 1.75
        view = picture.window((x - reach, y - reach), (x + reach, y + reach))
        u, v = plane.of(view.frame)
        u = u * np.float32(side)
        if build.has.sleeping:
            _closed(view, build, u, v)
        else:
            _open(view, build, u, v, side)


def _liner(build: Build) -> Rgb:
    """Return the colour of the lids: dark, softer on light coats."""
    light = sum(build.who.base) / 3
    return mixed(DARK, mixed(build.who.base, (0.45, 0.25, 0.22), 0.7), 0.45 if light > 0.75 else 0.0)


def _open(view: Picture, build: Build, u: Field, v: Field, side: int) -> None:
    half = build.eye_size
    young = build.has.young
    top, bottom = half * (0.82 if young else 0.72), half * (0.74 if young else 0.66)
    shape = _lens(u, v, half, top, bottom) - np.float32(0.006)
    socket = np.exp(-np.square(np.maximum(shape, 0) / np.float32(0.05)))
    view.shade(1 - np.float32(0.22) * socket, view.parts["head"])
    tear = overlap(ellipse(u, v, (-half * 0.98, half * 0.10), (half * 0.30, half * 0.13), -0.45))
    view.paint(np.minimum(shape - np.float32(0.019), tear), _liner(build), part="eyes", soft=0.022)
    _iris(view, build, u, v, shape, side)
    view.paint(np.maximum(np.abs(shape) - np.float32(0.006), v - half * 0.1), DARK, opacity=0.75, soft=0.016)
    light = build.setting.light_side * side
    spot = (0.34 * half * (1 if light > 0 else -1), -0.34 * half)
    view.paint(ellipse(u, v, spot, (half * 0.17, half * 0.20)), (1, 1, 1), opacity=0.96, part="eyes", soft=0.014)
    view.paint(
        ellipse(u, v, (-spot[0] * 0.9, half * 0.34), (half * 0.22, half * 0.10)), (1, 1, 1), opacity=0.28, part="eyes", soft=0.03
    )


def _iris(view: Picture, build: Build, u: Field, v: Field, shape: Field, side: int) -> None:
    """Draw iris and pupil: fibres, a dark ring, a lighter lower half, and the shadow of the upper lid."""
    half = build.eye_size
    colour = build.who.left_eye if side < 0 else build.who.right_eye
    reach, angle = np.hypot(u, v * 1.06), np.arctan2(v, u)
    fibres = noise(angle * 7, reach * 9, build.who.seed + side) * np.float32(0.6) + noise(
        angle * 15, reach * 14, build.who.seed + 9 + side
    ) * np.float32(0.4)
    inner = bump(reach - half * 0.34, half * 0.30)
    glow = 0.80 + 0.30 * np.clip(v / half + 0.25, -1, 1) + 0.12 * fibres
    ring = step(half * 1.02, half * 0.72, reach)
    tone = glow * (0.42 + 0.58 * ring)
    warm = np.asarray(mixed(colour, (0.98, 0.90, 0.50) if colour[2] < 0.6 else (0.80, 0.93, 1.0), 0.35), np.float32)
    pixels = np.asarray(colour, np.float32) + (warm - np.asarray(colour, np.float32)) * (inner * 0.8)[..., None]
    pixels = pixels * tone[..., None] * np.float32(build.setting.brightness)
    pixels *= (1 - 0.55 * step(0.02, -0.45 * half, v + 0.35 * half))[..., None]
    view.paint(shape, pixels, part="eyes", soft=0.014)
    wide = 0.40 if build.has.young else 0.24
    pupil = _lens(v, u, half * 0.66, half * wide, half * wide)
    view.paint(overlap(pupil, shape + np.float32(0.004)), (0.025, 0.02, 0.025), part="eyes", soft=0.016)


def _closed(view: Picture, build: Build, u: Field, v: Field) -> None:
    """Draw a closed eye: the lid as a gentle bulge, and the line of the lashes, bent downwards."""
    half = build.eye_size
    lid = _lens(u, v, half * 1.02, half * 0.72, half * 0.66)
    share = coverage(lid, view.frame.pixel, 0.07)
    view.shade(1 + np.float32(0.10) * np.clip(-v / half, -1, 1) * share)
    sag = half * 0.42 * (1 - np.square(np.clip(u / half, -1, 1))) + half * 0.10
    line = np.abs(v - sag) - np.float32(0.011) * (1.1 - 0.6 * np.square(np.clip(u / half, -1, 1)))
    line = np.maximum(line, np.abs(u) - np.float32(half * 1.02))
    view.cover(share, view.pixels.copy(), part="eyes")
    dark = sum(build.who.base) < 1.2
    if dark:
        view.cover(share * np.float32(0.30), mixed(build.who.base, WHITE, 0.45))
    view.cover(
        np.exp(-np.square((v - sag) / np.float32(0.03))) * step(half * 1.1, half * 0.8, np.abs(u)) * np.float32(0.38), _liner(build)
    )
    view.paint(line, mixed(_liner(build), DARK, 0.5), part="eyes", soft=0.017)


def draw_nose(picture: Picture, build: Build) -> None:
    """Draw the nose: a rounded triangle with nostrils and a highlight."""
    plane, m = build.nose, build.muzzle
    x, y = plane.centre
    view = picture.window((x - 0.13, y - 0.11), (x + 0.13, y + 0.13))
    u, v = plane.of(view.frame)
    w = 0.058 * m
    shape = polygon(u, v, [(-w, -0.022), (-0.5 * w, -0.032), (0.5 * w, -0.032), (w, -0.022), (0.25 * w, 0.034), (-0.25 * w, 0.034)])
    shape = shape - np.float32(0.012)
    colour = np.asarray(build.who.nose, np.float32)
    tone = np.clip(1.02 - 4.5 * v, 0.6, 1.3)[..., None] * build.setting.brightness
    view.shade(1 - np.float32(0.35) * np.exp(-np.square(np.maximum(shape, 0) / np.float32(0.022))))
    view.paint(shape, colour * tone, part="head", soft=0.016)
    for side in (-1, 1):
        nostril = ellipse(u, v, (side * w * 0.62, 0.008), (0.017 * m, 0.010), side * 0.55)
        view.paint(nostril, mixed(build.who.nose, (0.08, 0.03, 0.03), 0.8), soft=0.014)
    shine = ellipse(u, v, (-0.018 * np.sign(build.setting.light_side), -0.020), (0.024, 0.009))
    view.paint(shine, (1, 1, 1), opacity=0.35, soft=0.02)


def draw_mouth(picture: Picture, build: Build) -> None:
    """Draw the line under the nose and the mouth, closed or meowing, and the roots of the whiskers."""
    plane, m = build.mouth, build.muzzle
    x, y = plane.centre
    view = picture.window((x - 0.22, y - 0.12), (x + 0.22, y + 0.24))
    u, v = plane.of(view.frame)
    ink = mixed(DARK, build.who.nose, 0.2)
    if build.has.meowing:
        _cavity(view, build.who.base, m, u, v)
    view.paint(np.maximum(np.abs(u) - 0.006, np.abs(v + 0.022) - 0.026), ink, opacity=0.7, part="mouth", soft=0.016)
    side = np.abs(u)
    reach = 0.118 * m
    dip = 0.042 * m * np.sin(np.clip(side / reach, 0, 1) * np.pi * 0.85)
    line = np.maximum(np.abs(v - dip) - np.float32(0.007) * (1.2 - 0.7 * side / reach), side - reach)
    view.cover(
        np.exp(-np.square((v - dip - 0.012) / np.float32(0.022))) * step(reach * 1.1, reach * 0.7, side) * np.float32(0.22), ink
    )
    view.paint(line, ink, opacity=0.85, part="mouth", soft=0.016)
    for row, count in ((0.0, 3), (1.0, 3)):
        for i in range(count):
            spot = ellipse(side, v, (m * (0.055 + 0.028 * i), m * (-0.028 + 0.025 * row - 0.004 * i)), (0.006, 0.006))
            view.paint(spot, mixed(build.who.base, DARK, 0.6), opacity=0.45, soft=0.012)


def _cavity(view: Picture, base: Rgb, m: float, u: Field, v: Field) -> None:
    """Draw the open mouth with tongue and fangs."""
    deep = 0.135 * m
    shape = _lens(v - np.float32(deep * 0.5), u, deep * 0.80, 0.088 * m, 0.088 * m)
    shape = np.maximum(shape, np.float32(0.028 * m) * np.cos(np.clip(u / (0.1 * m), -1, 1) * 3.0) * -1 - v + np.float32(0.0))
    view.paint(
        shape - np.float32(0.014),
        mixed((0.20, 0.07, 0.08), (0.62, 0.34, 0.34), 0.8 if sum(base) < 1.2 else 0.0),
        part="mouth",
        soft=0.020,
    )
    view.paint(shape, (0.46, 0.12, 0.15), part="mouth", soft=0.03)
    tongue = overlap(ellipse(u, v, (0.0, deep * 0.98), (0.060 * m, 0.074 * m)), shape + np.float32(0.006))
    tone = np.clip(1.0 - np.exp(-np.square(u / np.float32(0.008))) * 0.2 + 1.2 * (v - deep * 0.8), 0.7, 1.1)
    view.paint(tongue, np.asarray((0.90, 0.50, 0.52), np.float32) * tone[..., None], part="mouth", soft=0.016)
    side = np.abs(u)
    upper = polygon(side, v, [(0.030 * m, 0.024), (0.052 * m, 0.024), (0.043 * m, 0.072 * m)]) - np.float32(0.002)
    view.paint(upper, (0.97, 0.95, 0.88), part="mouth", soft=0.012)


def draw_whiskers(picture: Picture, build: Build) -> None:
    """Draw the whiskers of both cheeks and the long hairs over the eyes, from the head's own places, so that they turn with it."""
    who, m = build.who, build.muzzle
    rng = random.Random(f"whiskers-{who.seed}")
    for side in (-1, 1):
        for i in range(6):
            rise, reach = (i - 2.4) * 0.085 + rng.uniform(-0.02, 0.02), rng.uniform(0.46, 0.62) * who.whisker_length
            root = build.head.project((side * (0.085 + 0.02 * (i % 3)) * m, 0.195 + 0.014 * i, 0.42))
            end = build.head.project((side * (0.12 + reach), 0.19 + 0.014 * i + rise + rng.uniform(-0.01, 0.03), 0.30))
            bow = side * rng.uniform(-0.055, -0.02)
            stroke(picture, root, end, WHITE, bow=bow, radius=0.0065, end=0.0015, opacity=rng.uniform(0.65, 0.9))
        for _ in range(3):
            root = build.head.project((side * rng.uniform(0.15, 0.20), -0.15, 0.37))
            end = build.head.project((side * rng.uniform(0.24, 0.32), rng.uniform(-0.36, -0.27), 0.42))
            stroke(picture, root, end, WHITE, bow=side * 0.02, radius=0.004, end=0.001, opacity=0.4)
