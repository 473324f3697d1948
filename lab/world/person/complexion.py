"""The colours of skin and hair; the skin's texture, moles, freckles, scars, wrinkles, and makeup on the cheeks."""

from __future__ import annotations

import random

import numpy as np

from lab.world.domain import Subject
from lab.world.painting.fields import Field, Point, curve, ellipse, local, polyline
from lab.world.painting.picture import Pixels, mixed, rgb
from lab.world.painting.texture import fractal, noise
from lab.world.person.canvas import Skin
from lab.world.person.head import Face
from lab.world.person.identity import Colour, HairColour, Identity

TONES: tuple[Colour, ...] = (
    (0.98, 0.86, 0.79),
    (0.95, 0.78, 0.67),
    (0.87, 0.67, 0.52),
    (0.75, 0.54, 0.39),
    (0.58, 0.39, 0.27),
    (0.42, 0.27, 0.19),
)
HAIRS: dict[str, Colour] = {
    "black": (0.115, 0.10, 0.11),
    "brown": (0.36, 0.215, 0.125),
    "blond": (0.82, 0.65, 0.40),
    "red": (0.53, 0.20, 0.095),
    "gray": (0.66, 0.66, 0.68),
}


def tone(who: Identity) -> Colour:
    """Return the colour of the skin in plain light."""
    low = min(int(who.skin), 4)
    r, g, b = mixed(TONES[low], TONES[low + 1], who.skin - low)
    return r, g + 0.008 * who.undertone, b - 0.025 * who.undertone


def blood(who: Identity, amount: float) -> Colour:
    """Return the skin's colour where more blood shows: lips, ears, cheeks."""
    r, g, b = tone(who)
    return mixed((r, g, b), (0.52 * r + 0.20, 0.34 * g + 0.02, 0.36 * b + 0.06), amount)


def shadowed(who: Identity, amount: float) -> Colour:
    """Return the skin's colour in a crease."""
    r, g, b = tone(who)
    return mixed((r, g, b), (0.50 * r, 0.36 * g, 0.33 * b), amount)


def hair_colour(who: Identity, named: HairColour) -> Colour:
    """Return the colour of the hair: the named one, shifted by the identity's tint."""
    r, g, b = HAIRS[named]
    tint = who.hair_tint
    bright = 1 + 0.13 * tint
    return r * bright * (1 + 0.03 * tint), g * bright, b * bright * (1 - 0.05 * tint)


def base(skin: Skin, subject: Subject, face: Face) -> Pixels:
    """Return the colour of the skin in plain light at each pixel of the window."""
    who, has = subject.identity, subject.attributes
    x, y = skin.x, skin.y
    rough = {"young": 0.6, "adult": 1.0, "old": 1.9}[has.age]
    mottle = fractal(x * 16, (y + skin.surface.z) * 16, who.freckle_seed, 2) * np.float32(0.020 * rough)
    pixels: Pixels = rgb(tone(who)) * (1 + mottle[..., None])
    cheeks = _spot(np.abs(x) - 0.19, y - 0.15, 0.10, 0.075) * (0.55 if has.age == "young" else 0.26)
    warm = np.clip(cheeks + _spot(x, y - face.nose_tip, 0.06, 0.045) * 0.24, 0, 1)
    pixels += (rgb(blood(who, 0.8)) - pixels) * warm[..., None]
    if has.gender == "man" and has.age != "young" and not has.beard:
        stubble = np.clip((y - 0.20 - 0.10 * (1 - np.clip(np.abs(x) / 0.2, 0, 1)) * (y < face.mouth_y)) * 9, 0, 1)
        pixels += (rgb(tone(who)) * rgb((0.80, 0.84, 0.88)) - pixels) * (0.5 * stubble)[..., None]
    return pixels


def _spot(u: Field, v: Field, ru: float, rv: float) -> Field:
    field: Field = np.exp(-((u / ru) ** 2) - (v / rv) ** 2)
    return field


def paint_blush(skin: Skin, subject: Subject) -> None:
    style = subject.identity.makeup_style
    side = np.abs(skin.x)
    u, v = local(side, skin.y, (0.215, 0.125), -0.45)
    share = np.exp(-((u / 0.105) ** 2) - (v / 0.062) ** 2) * skin.surface.inside * np.float32(style.blush_strength)
    skin.picture.cover(share, style.blush)


def paint_marks(skin: Skin, subject: Subject, face: Face) -> None:
    """Paint freckles, scar and moles."""
    who = subject.identity
    if who.freckles:
        _freckles(skin, who, face)
    if who.scar:
        _scar(skin, who)
    r, g, b = tone(who)
    dark = (0.36 * r, 0.25 * g, 0.22 * b)
    size = 0.0185
    for x, y in who.moles:
        part = skin.near((x, y, 0.33), 0.12)
        part.paint(ellipse(part.x, part.y, (x, y), (size, size)), dark, opacity=0.9, soft=0.012)


def _freckles(skin: Skin, who: Identity, face: Face) -> None:
    rng = random.Random(f"freckles-{who.freckle_seed}")
    r, g, b = tone(who)
    dark = (0.70 * r, 0.50 * g, 0.42 * b)
    spots = [_freckle_place(rng, face) for _ in range((0, 24, 58)[who.freckles])]
    field = np.full_like(skin.x, 9)
    for x, y, radius in spots:
        px, py, _ = skin.placement.project((x, y, 0.33))
        reach = 0.12 * skin.placement.scale
        at = skin.picture.frame.window((px - reach, py - reach), (px + reach, py + reach))
        field[at] = np.minimum(field[at], np.hypot(skin.x[at] - np.float32(x), skin.y[at] - np.float32(y)) - np.float32(radius))
    skin.paint(field, dark, opacity=0.9, soft=0.008)


def _freckle_place(rng: random.Random, face: Face) -> tuple[float, float, float]:
    while True:
        x, y = rng.uniform(-0.25, 0.25), rng.uniform(0.055, 0.245)
        if abs(x) > 0.035 or y < face.nose_tip - 0.05:
            return x, y, rng.uniform(0.0072, 0.0100)


def _scar(skin: Skin, who: Identity) -> None:
    at: list[Point] = [
        [(-0.23, 0.10), (-0.19, 0.17), (-0.17, 0.25)],
        [(0.24, 0.09), (0.21, 0.17), (0.14, 0.23)],
        [(0.17, -0.20), (0.20, -0.11), (0.23, 0.10)],
        [(-0.06, 0.40), (-0.02, 0.43), (0.0, 0.48)],
    ][who.scar - 1]
    r, g, b = tone(who)
    healed = (0.80 * r, 0.52 * g, 0.50 * b) if who.skin < 2 else mixed((r, g, b), (0.96, 0.76, 0.72), 0.6)
    line = polyline(skin.x, skin.y, curve(at, 5), 0.011, 0.007)
    skin.paint(line - 0.008, shadowed(who, 0.55), opacity=0.5, soft=0.016)
    skin.paint(line, healed, opacity=0.9, soft=0.008)


def paint_wrinkles(skin: Skin, subject: Subject, face: Face) -> None:
    """Paint the lines that a face has got: none when young, a few in the prime, many when old."""
    age = subject.attributes.age
    if age == "young":
        return
    old = age == "old"
    side, y = np.abs(skin.x), skin.y
    dark = shadowed(subject.identity, 1.0)
    fold = polyline(
        side, y, curve([(face.nose + 0.022, face.nose_tip), (0.13, 0.24), (face.mouth + 0.035, face.mouth_y + 0.02)], 5), 0.006
    )
    skin.paint(fold, dark, opacity=0.85 if old else 0.34, soft=0.026)
    bag = polyline(side, y, curve([(face.eye_x - 0.06, 0.045), (face.eye_x + 0.01, 0.095), (face.eye_x + 0.075, 0.045)], 5), 0.005)
    skin.paint(bag, dark, opacity=0.75 if old else 0.22, soft=0.024)
    if not old:
        return
    waves = noise(skin.x * 5, y * 3, subject.identity.freckle_seed) * np.float32(0.012)
    lines = [np.abs(y - at - waves - 0.10 * side * side) - 0.005 for at in (-0.275, -0.235, -0.195)]
    brow = np.minimum(np.minimum(lines[0], lines[1]), lines[2])
    skin.paint(brow, dark, opacity=0.75 * np.clip(1.4 - side / 0.17, 0, 1), soft=0.018)
    marionette = polyline(side, y, [(face.mouth + 0.012, face.mouth_y + 0.03), (face.mouth + 0.022, face.mouth_y + 0.10)], 0.004)
    skin.paint(marionette, dark, opacity=0.6, soft=0.022)
    corner = face.eye_x + face.eye
    feet = [
        polyline(side, y, [(corner + 0.022, 0.0 + d), (corner + 0.075, -0.025 + 2.6 * d)], 0.004) for d in (-0.012, 0.006, 0.024)
    ]
    skin.paint(np.minimum(np.minimum(feet[0], feet[1]), feet[2]), dark, opacity=0.65, soft=0.014)
