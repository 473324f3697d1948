"""Eyes and brows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lab.world.domain import Subject
from lab.world.painting.fields import Field, Point, coverage, polyline
from lab.world.painting.picture import mixed, rgb
from lab.world.painting.texture import noise
from lab.world.person.canvas import Skin
from lab.world.person.complexion import hair_colour, shadowed, tone
from lab.world.person.head import Face
from lab.world.person.identity import EYE_COLOURS
from lab.world.person.light import Light


@dataclass(frozen=True, slots=True)
class Lids:
    """The opening of an eye: half width, how far the lids open, and how the outer corner slants."""

    half: float
    upper: float
    lower: float
    slant: float  # rise of the outer corner per unit of width

    @classmethod
    def of(cls, subject: Subject, face: Face) -> Lids:
        who, has = subject.identity, subject.attributes
        upper, lower, slant = 0.50, 0.34, 0.10 * who.eye_slant + 0.05
        if has.expression == "surprised":
            upper, lower = 0.72, 0.44
        elif has.expression == "smiling":
            upper, lower = 0.46, 0.22
        elif has.expression == "sad":
            upper, slant = 0.40, slant - 0.16
        if has.age == "old":
            upper, slant = upper - 0.08, slant - 0.06
        return cls(face.eye, upper * face.eye, lower * face.eye, slant)

    def curves(self, u: Field) -> tuple[Field, Field]:
        """Return the heights of the upper and the lower lid at `u`, outwards from the middle of the eye."""
        t = np.clip(u / self.half, -1.15, 1.15)
        rise = -self.slant * u
        arch = 1 - t * t
        return rise - self.upper * arch * (1 - 0.16 * t), rise + self.lower * arch * (1 + 0.22 * t)


def paint_eyes(skin: Skin, subject: Subject, face: Face) -> None:
    """Paint both eyes, with the shade around them and the makeup on the lids."""
    for side in (-1, 1):
        part = skin.near((side * face.eye_x, -0.01, 0.32), (0.185, 0.15))
        if part.x.size:
            _eye(part, side, subject, face)


def _eye(skin: Skin, side: int, subject: Subject, face: Face) -> None:
    who, has = subject.identity, subject.attributes
    lids = Lids.of(subject, face)
    u, v = skin.x * side - face.eye_x, skin.y
    top, bottom = lids.curves(u)
    opening = np.maximum(np.maximum(top - v, v - bottom) * 0.85, np.abs(u) - lids.half)
    _lid(skin, u, v, top, subject, lids)
    _ball(skin, side, u, v, opening, top, subject, lids)
    dark = mixed(hair_colour(who, "black"), (0.16, 0.09, 0.06), 0.3)
    made_up = has.makeup
    style = who.makeup_style
    woman = has.gender == "woman"
    thick = 0.0105 + 0.003 * woman + made_up * (0.006 + 0.010 * style.liner_width)
    reach = 1.06 + made_up * 0.30 * style.wing
    outward = np.clip((u / lids.half + 1) / 2, 0, 1)
    line = np.abs(v - top + thick * 0.35) - thick * (0.35 + 0.65 * outward)
    line = np.maximum(line, np.abs(u - 0.02 * lids.half) - lids.half * 1.03)
    if made_up and reach > 1.1:
        tip: Point = (lids.half * reach + 0.016, -lids.slant * lids.half - 0.022 - 0.03 * style.wing)
        wing = polyline(u, v, [(lids.half * 0.78, -lids.slant * lids.half * 0.78 - 0.012), tip], thick * 0.7, 0.002)
        line = np.minimum(line, wing)
    skin.paint(line, style.liner if made_up else dark, opacity=0.95, soft=0.012)
    lower = np.maximum(np.abs(v - bottom) - 0.003, np.abs(u) - lids.half * 0.92)
    skin.paint(lower, style.liner if made_up else shadowed(who, 1.0), opacity=(0.75 if made_up else 0.6) * outward, soft=0.010)
    if woman or made_up:
        _lashes(skin, u, v, lids, dark, 0.034 if made_up else 0.024)


def _lid(skin: Skin, u: Field, v: Field, top: Field, subject: Subject, lids: Lids) -> None:
    """Paint the socket's shade, the lid's crease, and eye shadow."""
    who, has = subject.identity, subject.attributes
    above = top - v
    along = np.clip(1.25 - (u / (lids.half * 1.15)) ** 2, 0, 1)
    socket = np.exp(-(((u + 0.03) / 0.085) ** 2) - ((v + 0.045) / 0.045) ** 2)
    skin.paint(v * 0 - 1, shadowed(who, 0.7), opacity=0.30 * socket)
    crease = np.abs(above - 0.026 - (0.006 if has.expression == "surprised" else 0)) - 0.003
    skin.paint(np.maximum(crease, np.abs(u) - lids.half), shadowed(who, 1.0), opacity=0.62 * along, soft=0.012)
    if has.makeup:
        style = who.makeup_style
        spread = np.clip(1 - above / 0.085, 0, 1) * np.clip((above + 0.012) / 0.014, 0, 1)
        wide = np.clip(1.5 - np.abs(u - 0.012) / lids.half, 0, 1)
        spread = np.sqrt(spread) * wide * np.float32(style.shadow_strength)
        skin.picture.cover(np.clip(spread, 0, 1) * skin.surface.inside, style.shadow)


def _ball(skin: Skin, side: int, u: Field, v: Field, opening: Field, top: Field, subject: Subject, lids: Lids) -> None:
    """Paint the white, the iris with its pupil, the lid's shadow on them, and the catch light."""
    who, has = subject.identity, subject.attributes
    white = mixed((0.95, 0.93, 0.91), tone(who), 0.16)
    r = 0.58 * lids.half * (0.94 if has.expression == "surprised" else 1.0)
    cx, cy = _gaze(skin, side)
    du, dv = u - np.float32(cx), v - np.float32(cy)
    far = np.hypot(du, dv)
    share = coverage(opening, skin.pixel, 0.012) * skin.surface.inside
    skin.picture.cover(share, white, part="eyes")
    iris = EYE_COLOURS[who.eye_colour]
    glow = np.clip(0.72 + 0.55 * dv / r, 0.35, 1.3)[..., None]
    ring = np.clip((far - 0.74 * r) / (0.26 * r), 0, 1)[..., None]
    colour = rgb(iris) * (glow * (1 - 0.62 * ring) + 0.12)
    skin.picture.cover(share * coverage(far - np.float32(r), skin.pixel, 0.012), colour)
    pupil = far - np.float32(0.45 * r)
    skin.picture.cover(share * coverage(pupil, skin.pixel, 0.010), (0.03, 0.025, 0.03))
    under_lid = np.clip(1 - (v - top) / (0.42 * lids.half), 0, 1)
    corners = np.clip((np.abs(u) / lids.half - 0.55) * 1.2, 0, 1)
    skin.picture.shade(1 - np.clip(0.42 * under_lid + 0.34 * corners, 0, 0.8), share)


def paint_sparks(skin: Skin, subject: Subject, face: Face, light: Light) -> None:
    """Paint the catch lights. They come last, because they are brighter than the light on the face."""
    lids = Lids.of(subject, face)
    for side in (-1, 1):
        part = skin.near((side * face.eye_x, 0.0, 0.32), 0.12)
        if not part.x.size:
            continue
        u = part.x * side - face.eye_x
        top, bottom = lids.curves(u)
        opening = np.maximum(top - part.y, part.y - bottom)
        r = 0.58 * lids.half
        cx, cy = _gaze(part, side)
        gx = side * 0.34 * r * float(np.sign(light.direction[0]))
        spark = np.hypot(u - np.float32(cx + gx), part.y - np.float32(cy - 0.34 * r)) - np.float32(0.26 * r)
        part.paint(np.maximum(spark, opening), (1, 1, 1), opacity=0.92, soft=0.008)


def _gaze(skin: Skin, side: int) -> Point:
    """Return where the iris is in the eye: people look a little back to the viewer."""
    sight = skin.placement.sight
    return side * 0.022 * sight[0], -0.004 + 0.03 * max(min(sight[1], 0.1), -0.1)


def _lashes(skin: Skin, u: Field, v: Field, lids: Lids, dark: tuple[float, float, float], length: float) -> None:
    field: Field | None = None
    for t, lean in ((0.35, 0.3), (0.62, 0.55), (0.85, 0.8), (1.0, 1.0)):
        at = np.array(t * lids.half, dtype=np.float32)
        root = float(lids.curves(at)[0])
        lash = polyline(u, v, [(float(at), root), (float(at) + length * lean, root - length * (1.05 - 0.4 * lean))], 0.0055, 0.001)
        field = lash if field is None else np.minimum(field, lash)
    assert field is not None
    skin.paint(field, dark, opacity=0.85, soft=0.009)


def paint_brows(skin: Skin, subject: Subject, face: Face) -> None:
    """Paint both brows."""
    for side in (-1, 1):
        part = skin.near((side * face.eye_x, -0.12, 0.33), (0.20, 0.14))
        if part.x.size:
            _brow(part, side, subject, face)


def _brow(skin: Skin, side: int, subject: Subject, face: Face) -> None:
    who, has = subject.identity, subject.attributes
    man = has.gender == "man"
    centre = face.eye_x + 0.006
    half = 0.108
    u = skin.x * side - np.float32(centre)
    t = u / np.float32(half)
    inner, arch, outer = 0.0, 0.022 + 0.010 * who.brow_arch, 0.012 - 0.018 * who.brow_tilt
    height = -0.112 + 0.006 * man
    if has.expression == "surprised":
        height, arch = height - 0.040, arch + 0.016
    elif has.expression == "sad":
        inner, outer = -0.042, outer + 0.018
    elif has.expression == "smiling":
        height -= 0.006
    middle = (
        height + inner * np.clip(0.5 - 0.5 * t, 0, 1.2) ** 1.5 + outer * np.clip(0.5 + 0.5 * t, 0, 1.2) ** 2 - arch * (1 - t * t)
    )
    thick = (0.0165 + 0.006 * who.brow_thickness) * (1.35 if man else 0.92) * (0.74 if has.age == "old" else 1.0)
    taper = np.clip(1.05 - 0.72 * np.clip(0.5 + 0.5 * t, 0, 1) ** 1.6, 0.2, 1)
    hairs = noise(skin.x * 90 + skin.y * 40 * side, skin.y * 28, who.freckle_seed + 5) * 0.0035
    field = np.maximum(np.abs(skin.y - middle) - thick * taper + hairs, np.abs(u) - half)
    colour = hair_colour(who, has.hair_colour)
    colour = mixed(colour, (0.16, 0.10, 0.07), 0.5) if has.hair_colour != "gray" else mixed(colour, (0.3, 0.28, 0.28), 0.45)
    if has.age == "old":
        colour = mixed(colour, (0.66, 0.64, 0.63), 0.5)
    opacity = 0.72 if has.age == "old" else 0.86
    skin.paint(field, colour, opacity=opacity * np.clip(2.2 - 1.3 * np.abs(t), 0, 1), soft=0.016, part="brows")
