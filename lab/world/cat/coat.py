"""The colours of the coat: stripes, patches, points and white, as functions of the place on the head or body."""

from __future__ import annotations

import numpy as np

from lab.world.cat.build import Build
from lab.world.cat.identity import WHITE, Rgb
from lab.world.painting.fields import Field
from lab.world.painting.picture import Pixels, mixed
from lab.world.painting.texture import fractal, noise


def step(low: float, high: float, value: Field) -> Field:
    """Return the smooth step of `value` from 0 at `low` to 1 at `high`."""
    t = np.clip((value - np.float32(low)) / np.float32(high - low), 0, 1)
    field: Field = t * t * (3 - 2 * t)
    return field


def bump(distance: Field, width: float) -> Field:
    """Return a Gaussian bump of `distance`."""
    field: Field = np.exp(-np.square(distance / np.float32(width)))
    return field


def _over(colours: Pixels, share: Field, colour: Rgb) -> None:
    colours += (np.asarray(colour, np.float32) - colours) * share[..., None]


def head_coat(build: Build, place: tuple[Field, Field, Field], fur: Field) -> Pixels:
    """Return the colour of the head's coat. `fur` are the strands, which make the borders of the pattern hairy."""
    who = build.who
    x, y, z = place[0] / np.float32(build.width) + np.float32(0.012) * fur, place[1] + np.float32(0.018) * fur, place[2]
    colours = np.empty((*x.shape, 3), np.float32)
    colours[:] = who.base
    muzzle = bump(np.hypot(x / 0.19, (y - 0.25) / 0.13), 1.0)
    if who.pattern == "tabby":
        _tabby_head(colours, build, x, y)
    elif who.pattern == "calico":
        _calico(colours, build, x * np.float32(2.1) + z * np.float32(0.9), y * np.float32(2.1))
    elif who.pattern == "points":
        mask = step(0.50, 0.14, np.hypot(x / 0.95, (y - 0.12) * 0.95) + 0.03 * noise(x * 6, y * 6, who.seed))
        _over(colours, mask * 0.93, who.second)
    elif who.pattern == "bicolour":
        _over(colours, _white_face(build, x, y), who.second)
    if who.pattern in ("tabby", "solid"):
        _over(colours, np.clip(muzzle * np.float32(0.25 + 0.75 * who.muzzle_light), 0, 1), _muzzle_colour(who.pattern, who.base))
    _mark(colours, build, x, y)
    return colours


def _muzzle_colour(pattern: str, base: Rgb) -> Rgb:
    return mixed(base, WHITE, 0.8 if pattern == "tabby" else 0.10)


def _tabby_head(colours: Pixels, build: Build, x: Field, y: Field) -> None:
    """Paint the M on the forehead, stripes over the crown, lines from the eyes over the cheeks, and light rings round the eyes."""
    who = build.who
    waver = np.float32(0.022) * noise(x * 5, y * 5, who.seed + 5)
    spread = np.float32(1.0) + np.clip(-y - 0.1, 0, 1) * np.float32(0.5)
    forehead = (x + waver) / spread
    aside: Field = np.abs(x)
    lines = bump(np.abs(forehead) - 0.045, 0.021) + bump(np.abs(forehead) - 0.135, 0.024) + bump(np.abs(forehead) - 0.225, 0.022)
    lines = lines * step(-0.13, -0.20, y + np.float32(0.25) * aside)
    arch = bump(y + 0.155 + 0.5 * np.abs(np.abs(x) - 0.09) + waver, 0.028) * step(0.22, 0.16, np.abs(x))
    sweep = y + waver - np.float32(0.28) * np.abs(x)
    cheeks = bump(sweep - 0.0, 0.024) + bump(sweep - 0.085, 0.022) + bump(sweep - 0.165, 0.022) + bump(sweep + 0.09, 0.022)
    cheeks = cheeks * step(0.28, 0.34, np.abs(x))
    temples = bump(np.sin(np.abs(x) * 38 + y * 9 + waver * 60) - 1, 0.7) * step(0.30, 0.36, np.abs(x)) * step(-0.10, -0.18, y)
    rings = bump(np.hypot((np.abs(x) - 0.2) / 1.15, y - build.eye_height + 0.01) - 0.135, 0.035)
    _over(colours, np.clip(rings * 0.55, 0, 1), mixed(who.base, WHITE, 0.6))
    stripes = np.clip(lines + arch + cheeks + 0.7 * temples, 0, 1)
    _over(colours, stripes * np.float32(who.contrast), who.second)
    _over(colours, 0.35 * bump(x, 0.05) * step(-0.12, 0.0, y) * step(0.18, 0.08, y), mixed(who.base, who.second, 0.4))


def _calico(colours: Pixels, build: Build, u: Field, v: Field) -> None:
    who = build.who
    first, second = fractal(u + 7, v, who.seed + 21, 2), fractal(u, v + 9, who.seed + 31, 2)
    _over(colours, step(0.02, 0.10, first), who.second)
    _over(colours, step(0.10, 0.18, second), who.third)


def _white_face(build: Build, x: Field, y: Field) -> Field:
    """Return how white a bicolour face is: the muzzle, and a wedge between the eyes whose width and height are the cat's own."""
    seed = build.who.seed
    wide, tall, shift = (seed >> 3 & 255) / 255, (seed >> 11 & 255) / 255, ((seed >> 19 & 255) / 255 - 0.5) * 0.08
    wobble = np.float32(0.03) * noise(x * 4, y * 4, seed + 5)
    muzzle = np.hypot(x / np.float32(1.25 + 0.5 * wide), y - 0.29) - np.float32(0.20 + 0.05 * wide)
    top = -0.42 * tall
    slope = np.clip((y - np.float32(top)) / np.float32(0.32 - top), 0, 1.2)
    wedge = np.abs(x - np.float32(shift) * (1 - slope)) - np.float32(0.05 + 0.22 * wide) * slope + np.float32(0.02)
    field = np.minimum(muzzle, wedge) + wobble
    return step(0.02, -0.02, field)


def _mark(colours: Pixels, build: Build, x: Field, y: Field) -> None:
    """Paint the mark on the forehead: white on most coats, of the second colour on white ones."""
    who = build.who
    if who.mark == "none" or who.pattern in ("points", "calico"):
        return
    colour = mixed(who.base, GREYISH, 0.45) if min(who.base) > 0.75 else WHITE
    if who.mark == "star":
        share = step(0.012, -0.012, np.hypot(x, (y + 0.235) * 0.9) - np.float32(0.062))
    else:
        share = step(0.012, -0.012, np.abs(x) - np.float32(0.035) * step(-0.42, -0.12, y) - 0.008) * step(0.06, 0.0, y)
    _over(colours, share * np.float32(0.92), colour)


GREYISH: Rgb = (0.45, 0.42, 0.40)


def body_coat(build: Build, x: Field, y: Field, fur: Field) -> Pixels:
    """Return the colour of neck, chest and shoulders."""
    who = build.who
    x, y = x + np.float32(0.03) * fur, y + np.float32(0.02) * fur
    colours = np.empty((*x.shape, 3), np.float32)
    colours[:] = who.base
    bib = step(1.0, 0.7, np.hypot(x / 0.24, (y - 0.62) / 0.42))
    if who.pattern == "tabby":
        waver = np.float32(0.5) * noise(x * 3, y * 3, who.seed + 6)
        bands = step(0.25, 0.7, np.sin((y - 0.35 * np.abs(x)) * 24 + waver * 2)) * step(0.10, 0.26, np.abs(x))
        _over(colours, bands * np.float32(0.85 * who.contrast), who.second)
        _over(colours, bib * np.float32(0.2 + 0.7 * who.muzzle_light), mixed(who.base, WHITE, 0.75))
    elif who.pattern == "calico":
        _calico(colours, build, x * 1.7 + 13, y * 1.7)
        _over(colours, bib * np.float32(0.9), WHITE)
    elif who.pattern == "bicolour":
        _over(colours, bib, who.second)
    elif who.pattern == "points":
        _over(colours, step(0.25, 0.75, np.abs(x) + 0.3 * (y - 0.6)) * 0.25, who.second)
    return colours


def ear_coat(build: Build, side: int) -> Rgb:
    """Return the colour of the back and the edge of an ear."""
    who = build.who
    if who.pattern == "points":
        return mixed(who.second, who.base, 0.05)
    if who.pattern == "tabby":
        return mixed(who.base, who.second, 0.35)
    if who.pattern == "calico":
        return (who.second, who.third, who.base)[(who.seed >> (5 + 3 * side)) % 3]
    return who.base
