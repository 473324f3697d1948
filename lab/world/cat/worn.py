"""What a cat wears: collar, glasses and hat. Their kinds and colours belong to the identity, so that every edit has one answer."""

from __future__ import annotations

import numpy as np

from lab.world.cat.build import Build
from lab.world.cat.coat import step
from lab.world.cat.identity import HATS, Rgb
from lab.world.painting.fields import Field, box, coverage, ellipse, overlap, polygon, union
from lab.world.painting.picture import Picture, Pixels, mixed
from lab.world.painting.texture import noise

GOLD: Rgb = (0.90, 0.72, 0.28)


def draw_collar(picture: Picture, build: Build) -> None:
    """Draw the collar around the neck, with a bell, a disc or a bow in front."""
    view = picture.window((-0.5, 0.28), (0.5, 0.78))
    x, y = view.frame.x, view.frame.y
    wide = (0.345 if build.has.fluffy else 0.315) * build.narrow
    sag = 0.43 + 0.115 * np.sqrt(np.clip(1 - np.square(x / np.float32(wide)), 0, 1))
    band = np.maximum(np.abs(y - sag) - np.float32(0.040), np.abs(x) - np.float32(wide))
    round_ = np.clip(1 - np.square(x / np.float32(wide)), 0, 1)
    light = 0.55 + 0.50 * round_ + 0.12 * x * build.setting.light_side - 2.2 * np.abs(y - sag + 0.012)
    shadow = np.exp(-np.square(np.maximum(band, 0) / np.float32(0.03)))
    view.shade(1 - np.float32(0.4) * shadow, view.parts["body"])
    view.paint(band, np.asarray(build.who.collar, np.float32) * light[..., None], part="collar", soft=0.018)
    stitch = np.maximum(np.abs(np.abs(y - sag) - 0.026) - 0.004, np.sin(x * 90) * 0.01)
    view.paint(overlap(stitch, band), mixed(build.who.collar, (1, 1, 1), 0.6), opacity=0.5, soft=0.014)
    (_bell, _disc, _bow)[build.who.tag](view, build, 0.60)


def _bell(view: Picture, build: Build, y0: float) -> None:
    x, y = view.frame.x, view.frame.y
    r = 0.075
    ball = ellipse(x, y, (0.0, y0), (r, r))
    _metal(view, build, ball, (x / r, (y - np.float32(y0)) / r), GOLD)
    slot = union(box(x, y, (0.0, y0 + 0.035), (0.006, 0.028)), ellipse(x, y, (0.0, y0 + 0.018), (0.016, 0.016)))
    view.paint(overlap(slot, ball), (0.18, 0.12, 0.05), part="collar", soft=0.016)
    view.paint(box(x, y, (0.0, y0 - 0.008), (r, 0.008)), mixed(GOLD, (0.3, 0.2, 0.05), 0.4), opacity=0.6, soft=0.016)


def _disc(view: Picture, build: Build, y0: float) -> None:
    x, y = view.frame.x, view.frame.y
    r = 0.068
    plate = ellipse(x, y, (0.0, y0 + 0.01), (r, r))
    _metal(view, build, plate, (x / r * 0.6, (y - np.float32(y0)) / r * 0.6), (0.80, 0.82, 0.86))
    view.paint(np.abs(plate + 0.014) - 0.004, (0.42, 0.44, 0.48), opacity=0.7, part="collar", soft=0.014)
    view.paint(ellipse(x, y, (0.0, y0 - 0.055), (0.020, 0.020)), (0.62, 0.64, 0.68), part="collar", soft=0.014)


def _metal(view: Picture, build: Build, shape: Field, place: tuple[Field, Field], colour: Rgb) -> None:
    side = np.float32(np.sign(build.setting.light_side))
    view.paint(shape - np.float32(0.012), (0.10, 0.08, 0.06), opacity=0.5, part="collar", soft=0.03)
    shine = np.exp(-(np.square(place[0] - 0.32 * side) + np.square(place[1] + 0.38)) / np.float32(0.10))
    tone = np.clip(0.88 + 0.35 * side * place[0] * 0.6 - 0.42 * place[1], 0.35, 1.3)
    view.paint(
        shape, np.asarray(colour, np.float32) * tone[..., None] + shine[..., None] * np.float32(0.6), part="collar", soft=0.016
    )


def _bow(view: Picture, build: Build, y0: float) -> None:
    x, y = view.frame.x, view.frame.y
    centre = y0 - 0.035
    side = np.abs(x)
    wing = polygon(side, y, [(0.0, centre), (0.15, centre - 0.075), (0.165, centre), (0.15, centre + 0.075)]) - np.float32(0.012)
    folds = 0.92 + 0.22 * np.sin((y - centre) / np.maximum(side, 0.03) * 5) * step(0.02, 0.1, side) - 0.30 * step(0.07, 0.0, side)
    colour = np.asarray(mixed(build.who.collar, (1, 1, 1), 0.12), np.float32)
    view.paint(wing - np.float32(0.012), (0.08, 0.06, 0.06), opacity=0.4, part="collar", soft=0.03)
    view.paint(wing, colour * folds[..., None], part="collar", soft=0.018)
    knot = box(x, y, (0.0, centre), (0.034, 0.042), 0.02)
    view.paint(
        knot,
        np.asarray(build.who.collar, np.float32) * (np.float32(1.1) - np.float32(4) * np.abs(x))[..., None],
        part="collar",
        soft=0.018,
    )


def draw_glasses(picture: Picture, build: Build) -> None:
    """Draw frame, bridge and temples, and clear lenses with a reflection."""
    plane = build.head.plane((0.0, 0.022 + build.eye_height, 0.43))
    x, y = plane.centre
    view = picture.window((x - 0.52, y - 0.30), (x + 0.52, y + 0.30))
    u, v = plane.of(view.frame)
    side, apart = np.abs(u), 0.20 * build.who.eye_distance * build.width
    r = min(max(build.eye_size * 1.25, 0.155), 0.175)
    apart = max(apart, r + 0.012)
    if build.who.frame_shape == 0:
        glass = np.hypot(side - np.float32(apart), v) - np.float32(r)
    else:
        glass = box(side, v, (apart, 0.0), (r * 1.02, r * 0.92), 0.05)
    tinted = view.pixels + (np.asarray((0.86, 0.93, 1.0), np.float32) - view.pixels) * np.float32(0.10)
    view.paint(glass, tinted, part="lenses", soft=0.014)
    streak = np.abs(side - apart + 0.75 * v * np.sign(u) * np.sign(build.setting.light_side) + 0.03) - np.float32(0.022)
    view.paint(overlap(streak, glass + 0.02), (1, 1, 1), opacity=0.24, soft=0.02)
    rim = np.abs(glass) - np.float32(0.0145)
    bridge = np.maximum(np.abs(v + 0.035 + 2.0 * np.square(u)) - 0.012, side - np.float32(max(apart - r, 0.01) + 0.01))
    temple = np.maximum(np.abs(v + 0.04) - 0.013, np.maximum(np.float32(apart + r) - side, side - np.float32(0.44 * build.width)))
    metal = union(rim, bridge, temple)
    shadow = coverage(metal - np.float32(0.012), view.frame.pixel, 0.05)
    view.shade(1 - np.float32(0.25) * shadow, 1 - view.parts["background"])
    tone = np.clip(1.0 - 1.2 * v, 0.7, 1.4)
    view.paint(metal, np.asarray(build.who.frame, np.float32) * tone[..., None], part="lenses", soft=0.017)
    view.paint(overlap(np.abs(metal + 0.008) - 0.003, v + 0.02), (1, 1, 1), opacity=0.30, soft=0.012)


def draw_hat(picture: Picture, build: Build) -> None:
    """Draw the hat on the crown of the head, between the ears."""
    plane = build.crown
    x, y = plane.centre
    view = picture.window((x - 0.62, y - 0.62), (x + 0.62, y + 0.30))
    u, v = plane.of(view.frame)
    {"party": _party, "top": _top_hat, "beanie": _beanie, "straw": _straw, "santa": _santa}[HATS[build.who.hat]](view, build, u, v)


def _cloth(build: Build, colour: Rgb, across: Field, v: Field) -> Pixels:
    """Return the colour of a round thing that spans -1..1 in `across`, in the light."""
    side = np.float32(build.setting.light_side)
    around = np.clip(across, -1, 1)
    tone = 0.62 + 0.42 * np.sqrt(np.clip(1 - around * around * 0.9, 0, 1)) + 0.16 * around * side - 0.15 * (v + 0.2)
    pixels: Pixels = np.asarray(colour, np.float32) * (tone * np.float32(build.setting.brightness))[..., None]
    return pixels


def _seat(view: Picture, u: Field, v: Field, half: float, v0: float) -> None:
    """Darken the fur under the edge of a hat."""
    shadow = np.maximum(np.abs(u) - np.float32(half), np.float32(0.0)) + np.abs(v - np.float32(v0) + 0.3 * np.square(u))
    view.shade(1 - np.float32(0.45) * np.exp(-np.square(shadow / np.float32(0.055))), view.parts["head"])


def _pompom(view: Picture, u: Field, v: Field, centre: tuple[float, float], r: float, colour: Rgb, seed: int) -> None:
    fuzz = np.float32(0.02) * noise(u * 45, v * 45, seed)
    ball = ellipse(u, v, centre, (r, r)) + fuzz
    tone = np.clip(0.95 - 1.8 * (v - centre[1]) + 4 * fuzz, 0.6, 1.25)
    view.paint(ball, np.asarray(colour, np.float32) * tone[..., None], part="hat", soft=0.025)


def _party(view: Picture, build: Build, u: Field, v: Field) -> None:
    colour = build.who.hat_colour
    _seat(view, u, v, 0.14, 0.05)
    cone = polygon(
        u, v, [(-0.185, 0.03), (-0.09, 0.062), (0.0, 0.072), (0.09, 0.062), (0.185, 0.03), (0.012, -0.38), (-0.012, -0.38)]
    )
    across = u / np.maximum((v + 0.40) * 0.45, 0.02)
    pixels = _cloth(build, colour, across, v)
    dots = np.hypot(np.sin((u + 0.35 * v) * 24), np.sin((v - 0.35 * u) * 24))
    light = _cloth(build, mixed(colour, (1.0, 0.98, 0.9), 0.85), across, v)
    pixels += (light - pixels) * step(0.62, 0.42, dots)[..., None]
    view.paint(cone, pixels, part="hat", soft=0.018)
    _pompom(view, u, v, (0.0, -0.38), 0.058, (1.0, 0.86, 0.40), build.who.seed)


def _top_hat(view: Picture, build: Build, u: Field, v: Field) -> None:
    colour = mixed(build.who.hat_colour, (0.05, 0.05, 0.06), 0.75)
    _seat(view, u, v, 0.26, 0.06)
    crown = polygon(u, v, [(-0.18, 0.02), (0.18, 0.02), (0.205, -0.33), (-0.205, -0.33)])
    lid = ellipse(u, v, (0.0, -0.33), (0.205, 0.035))
    brim = ellipse(u, v, (0.0, 0.02), (0.325, 0.062))
    across = u / np.float32(0.2)
    view.paint(brim, _cloth(build, mixed(colour, (1, 1, 1), 0.06), u / np.float32(0.33), v), part="hat", soft=0.018)
    view.paint(union(crown, ellipse(u, v, (0.0, 0.02), (0.18, 0.035))), _cloth(build, colour, across, v), part="hat", soft=0.018)
    view.paint(lid, _cloth(build, mixed(colour, (1, 1, 1), 0.12), across, v), part="hat", soft=0.018)
    ribbon = np.maximum(np.abs(v + 0.035 - 0.6 * (0.035 - np.square(u))) - 0.036, np.abs(u) - 0.183)
    view.paint(ribbon, _cloth(build, build.who.hat_colour, across, v), part="hat", soft=0.016)


def _beanie(view: Picture, build: Build, u: Field, v: Field) -> None:
    colour = build.who.hat_colour
    _seat(view, u, v, 0.24, 0.09)
    dome = overlap(ellipse(u, v, (0.0, 0.03), (0.265, 0.30)), v - np.float32(0.06))
    knit = np.float32(1) + np.float32(0.10) * np.sin(u * 75) * np.cos(v * 60)
    view.paint(dome, _cloth(build, colour, u / np.float32(0.28), v) * knit[..., None], part="hat", soft=0.022)
    bend = np.float32(0.25) * np.square(u)
    cuff = box(u, v + bend, (0.0, 0.035), (0.275, 0.055), 0.03)
    ribs = np.float32(1) + np.float32(0.16) * np.sin(u * 95)
    view.paint(
        cuff, _cloth(build, mixed(colour, (1, 1, 1), 0.22), u / np.float32(0.29), v) * ribs[..., None], part="hat", soft=0.020
    )
    _pompom(view, u, v, (0.0, -0.30), 0.085, mixed(colour, (1, 1, 1), 0.65), build.who.seed)


def _straw(view: Picture, build: Build, u: Field, v: Field) -> None:
    straw: Rgb = (0.90, 0.76, 0.48)
    _seat(view, u, v, 0.36, 0.075)
    weave = np.float32(1) + np.float32(0.07) * np.sin(u * 60) * np.sin(v * 120)
    edge = np.float32(0.6) * (np.float32(0.05) - np.square(u))
    brim = ellipse(u, v, (0.0, 0.02), (0.44, 0.085))
    view.paint(brim, _cloth(build, straw, u / np.float32(0.5), v + 0.1) * weave[..., None], part="hat", soft=0.018)
    crown = overlap(ellipse(u, v, (0.0, 0.0), (0.215, 0.25)), v - edge)
    view.paint(crown, _cloth(build, straw, u / np.float32(0.24), v) * weave[..., None], part="hat", soft=0.018)
    ribbon = overlap(np.abs(v + 0.03 - edge) - np.float32(0.034), crown)
    view.paint(ribbon, _cloth(build, build.who.hat_colour, u / np.float32(0.24), v), part="hat", soft=0.018)


def _santa(view: Picture, build: Build, u: Field, v: Field) -> None:
    red = mixed((0.78, 0.10, 0.12), build.who.hat_colour, 0.25)
    side = 1 if build.who.seed & 1 else -1
    w = u * np.float32(side)
    _seat(view, u, v, 0.22, 0.08)
    sock = polygon(
        w,
        v,
        [(-0.23, 0.04), (-0.17, -0.17), (-0.02, -0.34), (0.16, -0.32), (0.30, -0.13), (0.27, -0.10), (0.17, -0.13), (0.23, 0.04)],
    )
    folds = 1 + 0.10 * np.sin((w * 1.3 + v) * 26)
    view.paint(sock - np.float32(0.02), _cloth(build, red, w / np.float32(0.3), v) * folds[..., None], part="hat", soft=0.022)
    fuzz = np.float32(0.018) * noise(u * 40, v * 40, build.who.seed + 3)
    cuff = box(u, v + 0.25 * np.square(u) + fuzz, (0.0, 0.035), (0.265, 0.055), 0.05)
    tone = _cloth(build, (0.97, 0.96, 0.94), u / np.float32(0.32), v) * (1 + 4 * fuzz)[..., None]
    view.paint(cuff, tone, part="hat", soft=0.03)
    _pompom(view, w, v, (0.30, -0.09), 0.072, (0.97, 0.96, 0.94), build.who.seed)
