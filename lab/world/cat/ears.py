"""The ears: two hollow triangles whose corners turn with the head."""

from __future__ import annotations

import random

import numpy as np

from lab.world.cat.build import Build
from lab.world.cat.coat import ear_coat
from lab.world.cat.form import Point3
from lab.world.cat.fur import apart, ragged, stroke
from lab.world.painting.fields import Point, coverage, curve, ellipse, polygon, subtract
from lab.world.painting.picture import Picture, mixed

PINK = (0.86, 0.60, 0.56)


def draw_ears(picture: Picture, build: Build) -> None:
    """Draw both ears, the farther one first. The head hides their lower ends."""
    sides = (-1, 1) if build.head.matrix[0, 2] < 0 else (1, -1)
    for side in sides:
        _draw_ear(picture, build, side)


def _corners(build: Build, side: int) -> tuple[Point3, Point3, Point3]:
    """Return the inner base, the tip and the outer base of an ear on the head."""
    who = build.who
    size, wide = who.ear_size * (1.1 if build.has.young else 1.0), who.ear_width
    w = build.width
    spread = 0.035 * who.ear_spread
    inner = (side * (0.225 - 0.14 * wide) * w, -0.39, 0.06)
    outer = (side * 0.445 * w, -0.09, -0.06)
    tip = (side * (0.365 + spread + 0.02 * wide) * w, -0.36 - 0.345 * size + 0.5 * abs(spread), 0.02)
    return inner, tip, outer


def _outline_points(inner: Point, tip: Point, outer: Point, side: int) -> list[Point]:
    """Return the outline from the inner base over the rounded tip to the outer base."""
    lean = 0.045 * side
    up = curve((inner, ((inner[0] + tip[0]) / 2 - lean * 0.6, (inner[1] + tip[1]) / 2 - 0.03), tip), 5)
    down = curve((tip, ((outer[0] + tip[0]) / 2 + lean * 1.5, (outer[1] + tip[1]) / 2 - 0.03), outer), 6)
    return [*up, *down[1:]]


def _toward(points: list[Point], anchor: Point, share: float) -> list[Point]:
    return [(anchor[0] + (x - anchor[0]) * share, anchor[1] + (y - anchor[1]) * share) for x, y in points]


def _draw_ear(picture: Picture, build: Build, side: int) -> None:
    who, setting = build.who, build.setting
    inner, tip, outer = (build.head.project(p) for p in _corners(build, side))
    points = _outline_points(inner, tip, outer, side)
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    pad = 0.09
    view = picture.window((min(xs) - pad, min(ys) - pad), (max(xs) + pad, max(ys) + pad))
    at = view.frame
    shape = polygon(at.x, at.y, points) - np.float32(0.016)
    if who.ear_notch == side:
        edge = points[8]
        shape = subtract(shape, ellipse(at.x, at.y, edge, (0.05, 0.045)))
    fluffy = build.has.fluffy
    furry = ragged(shape, apart(at.y, at.x * side > tip[0] * side), 0.035 if fluffy else 0.014, who.seed + 80 + side, 0.9)
    coat = np.asarray(ear_coat(build, side), np.float32)
    facing = np.float32(0.92 + 0.16 * side * setting.light_side)
    height = np.clip((at.y - np.float32(tip[1])) / np.float32(0.45), 0, 1)
    tint = mixed(setting.key_colour, setting.ambient_colour, 0.45)
    light = np.asarray(tint, np.float32) * (facing * (1.08 - 0.25 * height))[..., None] * setting.brightness
    view.cover(coverage(furry, at.pixel, 0.02), coat * light, part="ears")
    rim_share = coverage(np.abs(shape + 0.012) - 0.010, at.pixel, 0.02) * np.float32(0.35 * setting.rim)
    view.cover(rim_share, mixed((1.0, 0.96, 0.9), ear_coat(build, side), 0.3))
    middle = ((inner[0] + outer[0]) / 2, (inner[1] + outer[1]) / 2)
    hollow = polygon(at.x, at.y, _toward(points, (middle[0] * 0.92 + inner[0] * 0.08, middle[1]), 0.74))
    dark = mixed(PINK, (0.30, 0.17, 0.16), 0.65 if max(who.base) < 0.4 else 0.35)
    glow = mixed(PINK, (1.0, 0.80, 0.72), 0.4)
    shade = np.clip(1.25 * height + 0.12 * (1 - facing), 0, 1)[..., None]
    flesh = (np.asarray(glow, np.float32) * (1 - shade) + np.asarray(dark, np.float32) * shade) * light
    view.cover(coverage(hollow, at.pixel, 0.05) * np.float32(0.92), flesh, part="ears")
    _hairs(picture, build, side, (inner, tip, outer))


def _hairs(picture: Picture, build: Build, side: int, corners: tuple[Point, Point, Point]) -> None:
    """Draw the pale hairs that grow from the inner edge over the hollow, and tufts at the tips of a fluffy cat."""
    rng = random.Random(f"ear-{build.who.seed}-{side}")
    inner, tip, outer = corners
    colour = mixed(mixed(ear_coat(build, side), (1.0, 0.97, 0.92), 0.72), (1, 1, 1), 0.1)
    fluffy = build.has.fluffy
    for _ in range(12 if fluffy else 8):
        t, far = rng.uniform(0.0, 0.6), rng.uniform(0.4, 0.7)
        root = _mix(_mix(inner, outer, 0.16 + 0.25 * rng.random() * (1 - t)), tip, t)
        end = _mix(root, _mix(tip, outer, rng.uniform(0.25, 0.6)), far)
        stroke(picture, root, end, colour, bow=0.02 * side, radius=0.012, opacity=rng.uniform(0.3, 0.6))
    if fluffy:
        for i in range(5):
            root = _mix(tip, outer, 0.04 * i)
            end = (tip[0] + side * (0.015 * i - 0.01), tip[1] - 0.10 + 0.015 * i)
            stroke(picture, root, end, mixed(ear_coat(build, side), (0.1, 0.1, 0.1), 0.25), radius=0.010, opacity=0.8, part="ears")


def _mix(a: Point, b: Point, t: float) -> Point:
    return a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t
