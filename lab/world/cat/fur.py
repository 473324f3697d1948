"""Fur: strands as noise stretched along their direction, ragged outlines, and thin curved strokes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.world.cat.setting import Setting
from lab.world.painting.fields import Field, Frame, Point
from lab.world.painting.picture import Picture, Pixels
from lab.world.painting.texture import noise


def strands(across: Field, along: Field, seed: int, coarse: float = 1.0) -> Field:
    """Return strands in about -1..1 that run along `along`. Both coordinates are in frame units; `coarse` widens the strands."""
    c = np.float32(1 / coarse)
    bend = across + np.float32(0.02) * noise(across * 9 * c, along * 9 * c, seed)
    locks = noise(bend * 14 * c, along * 4 * c, seed + 1)
    hairs = noise(bend * 34 * c, along * 7 * c, seed + 2)
    fine = noise(bend * 64 * c, along * 11 * c, seed + 3)
    field: Field = np.float32(0.4) * locks + np.float32(0.42) * hairs + np.float32(0.3) * fine
    return field


def ragged(outline: Field, across: Field, length: Field | float, seed: int, coarse: float = 1.0) -> Field:
    """Return `outline` with pointed tufts that stick out by up to `length` and lean towards larger `across`.

    `across` runs along the outline, in frame units. `coarse` widens the tufts.
    """
    slant: Any = (across - np.clip(outline, -0.1, 0.2) * np.float32(0.6)) / np.float32(coarse)
    sticking: Any = _tufts(slant * 10, seed) * np.float32(0.6) + _tufts(slant * 27, seed + 1) * np.float32(0.4)
    field: Field = outline - length * sticking
    return field


def apart(across: Field, right: NDArray[np.bool_]) -> Field:
    """Return `across` with the pixels in `right` moved away, so that both sides of a body have hairs of their own."""
    return across + right.astype(np.float32) * 7


def _tufts(u: Field, seed: int) -> Field:
    """Return one pointed tuft of random height in 0..1 per unit of `u`."""
    cell = np.floor(u)
    t = u - cell
    height = np.float32(0.5) + np.float32(0.5) * noise(cell, np.zeros_like(cell), seed)
    field: Field = np.minimum(t / np.float32(0.65), (1 - t) / np.float32(0.35)) * (np.float32(0.3) + np.float32(0.7) * height)
    return field


def lit(normal: tuple[Field, Field, Field], setting: Setting, bump: Field | float = 0.0) -> Pixels:
    """Return the light on a surface as a factor per channel: a soft key light, light from the sky, and darker undersides."""
    x, y, z = normal
    key = np.array([setting.light_side, -setting.light_height, 0.75])
    key = (key / np.linalg.norm(key)).astype(np.float32)
    facing = x * key[0] + y * key[1] + z * key[2] + np.float32(0.35) * bump
    direct = np.clip(facing * np.float32(0.62) + np.float32(0.38), 0, None) ** np.float32(1.4)
    sky = np.float32(0.43) - np.float32(0.13) * y + np.float32(0.10) * bump
    warm, cool = (np.asarray(c, np.float32) * np.float32(setting.brightness) for c in (setting.key_colour, setting.ambient_colour))
    factor: Pixels = direct[..., None] * (warm * np.float32(0.68)) + sky[..., None] * cool
    return factor


def rim(normal: tuple[Field, Field, Field], setting: Setting) -> Field:
    """Return the light from behind that grazes the edge away from the key light, in 0..1."""
    x, y, z = normal
    edge = np.clip(1 - z, 0, 1) ** np.float32(2.5)
    field: Field = edge * np.clip(0.25 - setting.light_side * x * 0.8 - 0.45 * y, 0, 1) * np.float32(setting.rim)
    return field


def stroke(
    picture: Picture, a: Point, b: Point, colour: tuple[float, float, float], *, bow: float = 0.0,
    radius: float = 0.006, end: float = 0.0, opacity: float = 1.0, part: str | None = None,
) -> None:  # fmt: skip
    """Paint a curved hair from `a` to `b` that bulges by `bow` to the right of its way and tapers from `radius` to `end`."""
    pad = abs(bow) + max(radius, end)
    view = picture.window((min(a[0], b[0]) - pad, min(a[1], b[1]) - pad), (max(a[0], b[0]) + pad, max(a[1], b[1]) + pad))
    if view.pixels.size == 0:
        return
    distance, t = along(view.frame, a, b, bow)
    pixel = view.frame.pixel
    thick = np.float32(radius) + np.clip(t, 0, 1) * np.float32(end - radius)
    width = np.maximum(thick * 2, np.float32(pixel * 1.1))
    beyond = np.maximum(np.maximum(-t, t - 1), 0) * np.float32(np.hypot(b[0] - a[0], b[1] - a[1]))
    share = np.clip((width / 2 - np.hypot(distance, beyond)) / np.float32(pixel) + 0.5, 0, 1)
    share *= np.float32(opacity) * np.minimum(2 * thick / width, 1)
    view.cover(share, colour, part=part)


def along(frame: Frame, a: Point, b: Point, bow: float) -> tuple[Field, Field]:
    """Return the distance across a curve from `a` to `b`, and the share of the way along it."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    length = max(float(np.hypot(dx, dy)), 1e-6)
    ux, uy = np.float32(dx / length), np.float32(dy / length)
    px, py = frame.x - np.float32(a[0]), frame.y - np.float32(a[1])
    t: Any = (px * ux + py * uy) / np.float32(length)
    inside = np.clip(t, 0, 1)
    v = py * ux - px * uy - inside * (1 - inside) * np.float32(4 * bow)
    steep: Any = (1 - inside * 2) * np.float32(4 * bow / length)
    distance: Field = v / np.hypot(steep, np.ones_like(steep))
    return distance, t
