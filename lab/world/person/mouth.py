"""Mouth and nostrils."""

from __future__ import annotations

import numpy as np

from lab.world.domain import Subject
from lab.world.painting.fields import Field, coverage, ellipse
from lab.world.painting.picture import mixed, rgb
from lab.world.person.canvas import Skin
from lab.world.person.complexion import blood, shadowed
from lab.world.person.head import Face


def paint_nostrils(skin: Skin, subject: Subject, face: Face) -> None:
    """Paint the nostrils, the shade under the nose and the light on its tip."""
    who = subject.identity
    part = skin.near((0, face.nose_tip, face.nose_out - 0.05), (0.16, 0.13))
    side, y = np.abs(part.x), part.y
    dark = shadowed(who, 1.0)
    below = np.exp(-((side / (face.nose * 1.7)) ** 2) - ((y - face.nose_tip - face.nose * 1.0) / 0.020) ** 2)
    part.paint(y * 0 - 1, dark, opacity=0.42 * below)
    hole = ellipse(side, y, (face.nose * 0.60, face.nose_tip + 0.030), (face.nose * 0.36, 0.0125), -0.35)
    part.paint(hole, mixed(dark, (0.12, 0.05, 0.04), 0.5), opacity=0.85, soft=0.014)
    wing = np.abs(np.hypot((side - face.nose * 0.95) / 1.0, (y - face.nose_tip - 0.008)) - face.nose * 0.72) - 0.004
    wing = np.maximum(wing, face.nose * 1.05 - side)
    part.paint(wing, dark, opacity=0.34, soft=0.016)


def paint_mouth(skin: Skin, subject: Subject, face: Face) -> None:
    """Paint lips, and teeth or the open mouth as the expression has it."""
    who, has = subject.identity, subject.attributes
    skin = skin.near((0, face.mouth_y, 0.36), (0.24, 0.17))
    half, thick = face.mouth, face.lips
    lift, gap, low = {
        "neutral": (0.0, 0.0, 0.0),
        "smiling": (-0.042, 0.036, 0.012),
        "sad": (0.034, 0.0, -0.006),
        "surprised": (0.004, 0.070, 0.0),
    }[has.expression]
    half *= {"neutral": 1.0, "smiling": 1.24, "sad": 0.92, "surprised": 0.62}[has.expression]
    x, v = skin.x, skin.y - np.float32(face.mouth_y + low)
    t = np.clip(x / half, -1.2, 1.2)
    t2 = t * t
    corner = np.float32(lift) * t2
    full = np.clip(1 - t2, 0, 1)
    bow = 1 - 0.30 * np.exp(-((t / 0.13) ** 2)) - 0.25 * t2
    inner_top, inner_low = corner - 0.30 * gap * full, corner + 0.70 * gap * full
    upper = inner_top - thick * 0.86 * bow * np.sqrt(full)
    lower = inner_low + thick * 1.22 * full**0.7
    shape = np.maximum(np.maximum(upper - v, v - lower) * 0.9, np.abs(x) - half)
    lips = mixed(blood(who, 0.72 if has.gender == "man" else 0.95), (0.5, 0.2, 0.2), 0.06)
    if has.makeup:
        lips = mixed(lips, who.makeup_style.lipstick, who.makeup_style.lipstick_strength)
    skin.paint(shape, lips, soft=0.010, part="mouth")
    share = coverage(shape, skin.pixel, 0.010) * skin.surface.inside
    r, g, b = lips
    skin.picture.cover(share * coverage(v - inner_top, skin.pixel, 0.012) * 0.5, (0.70 * r, 0.62 * g, 0.64 * b))
    shine = np.exp(-((x / (0.42 * half)) ** 2) - ((v - inner_low - 0.55 * thick) / (0.30 * thick)) ** 2)
    skin.picture.cover(share * shine * (0.42 if has.makeup else 0.26), mixed(lips, (1, 1, 1), 0.75))
    if gap:
        _open_mouth(skin, x, v, inner_top, inner_low, half, has.expression == "smiling")
    else:
        line = np.abs(v - corner) - 0.0045
        skin.paint(np.maximum(line, np.abs(x) - half * 1.04), (0.34 * r, 0.20 * g, 0.22 * b), opacity=0.85, soft=0.012)
    corners = np.exp(-(((np.abs(x) - half * 1.03) / 0.018) ** 2) - ((v - lift) / 0.016) ** 2)
    skin.paint(x * 0 - 1, shadowed(who, 0.9), opacity=0.55 * corners)
    below = np.exp(-((x / 0.07) ** 2) - ((v - inner_low - 1.25 * thick - 0.026) / 0.016) ** 2)
    skin.paint(x * 0 - 1, shadowed(who, 0.8), opacity=0.34 * below)
    if has.expression == "smiling":
        fold = np.abs(np.hypot(np.abs(x) - 0.05, v + 0.01) - 0.125) - 0.004
        fold = np.maximum(fold, np.maximum(0.11 - np.abs(x), v - 0.03))
        skin.paint(fold, shadowed(who, 0.8), opacity=0.42, soft=0.020)


def _open_mouth(skin: Skin, x: Field, v: Field, top: Field, low: Field, half: float, teeth: bool) -> None:
    opening = np.maximum(np.maximum(top - v, v - low), np.abs(x) - half * 0.96)
    share = coverage(opening, skin.pixel, 0.008) * skin.surface.inside
    skin.picture.cover(share, (0.22, 0.06, 0.07))
    row = low - 0.006 if teeth else top + 0.014
    white = rgb((0.95, 0.93, 0.89)) * (1 - 0.42 * np.clip(np.abs(x) / half, 0, 1) ** 2)[..., None]
    skin.picture.cover(share * coverage(v - row, skin.pixel, 0.010), white)
