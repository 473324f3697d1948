"""Ears and what people wear on the head: earrings, glasses, hats."""

from __future__ import annotations

from typing import Any

import numpy as np

from lab.world.domain import Subject
from lab.world.painting.fields import Field, box, coverage, ellipse, local, segment
from lab.world.painting.picture import Picture, mixed, rgb
from lab.world.painting.texture import noise
from lab.world.person.complexion import blood, shadowed, tone
from lab.world.person.geometry import Placement, Surface, hit
from lab.world.person.hair import Hair
from lab.world.person.head import Face
from lab.world.person.identity import FABRICS, FRAME_COLOURS, METALS, Colour
from lab.world.person.light import Light

GLASSES_Z = 0.395
"""Depth of the plane of the glasses, just in front of the bridge of the nose."""


def ear_facing(placement: Placement, side: int) -> float:
    """Return how much an ear turns to the viewer: about 0 from the front, up to 1."""
    return side * placement.rows[2][0]


def paint_ear(picture: Picture, placement: Placement, side: int, subject: Subject, face: Face, light: Light) -> None:
    """Paint one ear: -1 the left one in the picture, 1 the right one."""
    who = subject.identity
    size = 1 + 0.14 * who.ears + (0.10 if subject.attributes.age == "old" else 0.0)
    facing = max(ear_facing(placement, side), 0.0)
    x, y, _ = placement.project((side * 0.343 * face.width, 0.065, -0.05))
    high, wide = 0.105 * size * placement.scale, (0.036 + 0.085 * facing) * size * placement.scale
    view = picture.window((x - 0.2, y - 0.2), (x + 0.2, y + 0.2))
    roll = -float(np.arctan2(placement.rows[0][1], placement.rows[1][1]))
    u, v = local(view.frame.x, view.frame.y, (x, y), roll - 0.14 * side)
    u = u * side
    shell = ellipse(u - wide * 0.25 * v / high * -0.5, v, (0, 0), (wide, high))
    lobe = ellipse(u, v, (-0.1 * wide, 0.72 * high), (0.62 * wide, 0.34 * high))
    outline = np.minimum(shell, lobe)
    normal = (side * np.clip(0.35 + 0.5 * u / wide, -0.9, 0.9), np.clip(0.5 * v / high, -0.8, 0.8), np.full_like(u, 0.6))
    lit = light.on_skin(normal, np.full_like(u, 0.12))
    skin = rgb(mixed(tone(who), blood(who, 0.8), 0.28))
    view.paint(outline, skin * lit, part="skin")
    inner = ellipse(u, v, (-0.12 * wide, -0.05 * high), (0.55 * wide, 0.60 * high))
    view.paint(np.maximum(inner, outline + 0.01), rgb(shadowed(who, 0.75)) * lit, opacity=0.6, soft=0.025)
    ridge = np.abs(ellipse(u, v, (-0.2 * wide, -0.05 * high), (0.35 * wide, 0.42 * high))) - 0.006
    view.paint(ridge, skin * lit * 1.05, opacity=0.45 * min(1.0, 0.3 + 2 * facing), soft=0.015)


def paint_earring(picture: Picture, placement: Placement, side: int, subject: Subject, face: Face, light: Light) -> None:
    """Paint one earring where the lobe is."""
    who = subject.identity
    colour = METALS[who.earring_colour]
    x, y, _ = placement.project((side * 0.362 * face.width, 0.175, -0.03))
    scale = placement.scale
    view = picture.window((x - 0.16, y - 0.08), (x + 0.16, y + 0.32))
    u, v = (view.frame.x - np.float32(x)) / scale, (view.frame.y - np.float32(y)) / scale
    if who.earring == "studs":
        field = np.hypot(u, v) - 0.034
    elif who.earring == "hoops":
        turned = 0.055 + 0.03 * abs(placement.rows[2][0])
        field = np.abs(ellipse(u, v, (0, 0.075), (turned, 0.08))) - 0.012
    else:
        field = np.minimum(segment(u, v, (0, 0), (0, 0.08), 0.007), ellipse(u, v, (0, 0.115), (0.030, 0.048)))
    shade = np.clip(0.85 - 2.5 * v - 3 * u * light.direction[0] * -1, 0.5, 1.15)
    view.paint((field - 0.008) * scale, (0.15, 0.10, 0.08), opacity=0.35, soft=0.02)
    view.paint(field * scale, rgb(colour) * shade[..., None], part="earrings")
    spark = np.hypot(u + 0.010 * -light.direction[0], v - (0.0 if who.earring == "studs" else 0.10)) - 0.010
    view.paint(spark * scale, (1, 1, 1), opacity=0.8 * coverage(field * scale, view.frame.pixel), soft=0.012)


def _lens(x: Field, y: Field, kind: str, large: float) -> Field:
    if kind == "round":
        return ellipse(x, y, (0.166, 0.012), (0.112 * large, 0.108 * large))
    if kind == "oval":
        return ellipse(x, y, (0.170, 0.010), (0.124 * large, 0.086 * large))
    return box(x, y, (0.170, 0.012), (0.122 * large, 0.090 * large), 0.035)


def paint_glasses(picture: Picture, placement: Placement, subject: Subject, light: Light) -> None:
    """Paint glasses or sunglasses."""
    who, has = subject.identity, subject.attributes
    sun = has.sunglasses
    ox, oy, oz = placement.rays(picture.frame)
    dx, dy, dz = placement.sight
    t = (GLASSES_Z - oz) / dz
    x, y = ox + t * dx, oy + t * dy
    side, pixel = np.abs(x), picture.frame.pixel / placement.scale
    lens = _lens(side, y, who.frame, 1.13 if sun else 1.0)
    thick = 0.0115 if not sun else 0.013
    rim = np.abs(lens) - thick
    bridge = np.abs(np.hypot(x, y - 0.035) - 0.062) - 0.010
    bridge = np.maximum(np.maximum(bridge, y - 0.012), side - 0.075)
    colour = FRAME_COLOURS[who.frame_colour]
    lx = light.direction[0]
    inside = coverage(lens, pixel, 0.01)
    streak = np.exp(-(((x * np.sign(lx) * -1 + 0.8 * y + 0.07 * np.sign(x) * 0) / 0.35) ** 2))
    glint = np.exp(-(((np.where(x > 0, x - 0.17, x + 0.17) * 0.8 + y * 0.9 + 0.035) / 0.020) ** 2))
    if sun:
        shade = rgb(mixed(colour, (0.06, 0.06, 0.08), 0.8)) * (1.15 + 0.9 * np.clip((y + 0.1) * 3, 0, 1))[..., None]
        picture.cover(inside * np.float32(0.95), shade, part="lenses")
        picture.cover(inside * (0.10 * streak + 0.22 * glint), (0.80, 0.88, 0.95))
    else:
        picture.cover(inside * np.float32(0.07), (0.85, 0.92, 0.96), part=None)
        picture.cover(inside * (0.16 * glint), (1, 1, 1))
    cast = coverage(np.abs(lens - 0.004) - thick * 1.6, pixel, 0.03)
    picture.cover(cast * np.float32(0.22), (0.16, 0.08, 0.06))
    frame_field = np.minimum(rim, bridge)
    lit = np.clip(1.0 - 2.2 * y, 0.75, 1.35)
    picture.cover(coverage(frame_field, pixel, 0.006), rgb(colour) * lit[..., None], part="lenses")
    shine = np.maximum(np.abs(lens + 0.003) - 0.003, y + 0.04)
    picture.cover(coverage(shine, pixel, 0.01) * np.float32(0.35), mixed(colour, (1, 1, 1), 0.6))


def paint_temples(picture: Picture, placement: Placement, subject: Subject, face: Face) -> None:
    """Paint the arms of the glasses on the sides that the viewer sees. Hair falls over them."""
    colour = FRAME_COLOURS[subject.identity.frame_colour]
    for side in (-1, 1):
        if ear_facing(placement, side) < -0.12:
            continue
        a = placement.project((side * 0.292, -0.02, GLASSES_Z))
        b = placement.project((side * 0.352 * face.width, -0.025, 0.16))
        c = placement.project((side * 0.362 * face.width, -0.02, -0.05))
        view = picture.window((min(a[0], b[0], c[0]) - 0.05, a[1] - 0.15), (max(a[0], b[0], c[0]) + 0.05, a[1] + 0.15))
        arm = np.minimum(
            segment(view.frame.x, view.frame.y, a[:2], b[:2], 0.013), segment(view.frame.x, view.frame.y, b[:2], c[:2], 0.013)
        )
        view.paint(arm, colour, part="lenses")


HAT_SLOPE = 0.24
HAT_EDGE = -0.145
"""The rim of a hat lies where y + HAT_SLOPE · z = HAT_EDGE."""


def below_hat(surface: Surface) -> Field:
    """Return how far points of the head lie below the rim of a hat."""
    field: Field = surface.y + HAT_SLOPE * surface.z - HAT_EDGE
    return field


def paint_hat(picture: Picture, placement: Placement, subject: Subject, hair: Hair, light: Light, depth: Field) -> None:
    """Paint the hat on a head with hair, whose depth in each pixel is `depth`."""
    who = subject.identity
    colour = FABRICS[who.hat_colour]
    {"beanie": _beanie, "fedora": _fedora, "cap": _cap, "beret": _beret}[who.hat](picture, placement, colour, hair, light, depth)


def _dome(picture: Picture, placement: Placement, hair: Hair, tall: float, wide: float) -> Surface:
    rx, ry, rz = hair.radii
    more = 0.014 + 0.024 * hair.curl + wide
    return hit(placement, picture.frame, (0, -0.15, -0.10), (rx + more, ry + more + tall, rz + more))


def _cloth(picture: Picture, s: Surface, share: Field, colour: Colour, light: Light, pattern: Any = 1.0) -> None:
    weave = 1 + 0.03 * noise(s.x * 60 + s.z * 40, (s.y + s.z) * 60, 77)
    pixels = rgb(colour) * light.on_cloth(s.normal, s.hollow) * (1.12 * weave * pattern)[..., None]
    picture.cover(share, pixels, part="hat")


def _beanie(picture: Picture, placement: Placement, colour: Colour, hair: Hair, light: Light, _depth: Field) -> None:
    s = _dome(picture, placement, hair, 0.055, -0.006)
    pixel = picture.frame.pixel / placement.scale
    angle = np.arctan2(s.x, s.z + 0.10)
    rib = 1 + 0.13 * np.sin(angle * 44)
    _cloth(picture, s, s.inside * coverage(below_hat(s) + 0.05, pixel), colour, light, rib)
    fold = _dome(picture, placement, hair, 0.02, 0.014)
    angle = np.arctan2(fold.x, fold.z + 0.10)
    rib = (1 + 0.15 * np.sin(angle * 44)) * np.clip(0.72 + 6 * np.abs(below_hat(fold) + 0.13), 0.7, 1.06)
    band = np.maximum(below_hat(fold), -0.125 - below_hat(fold))
    _cloth(picture, fold, fold.inside * coverage(band, pixel, 0.02), mixed(colour, (1, 1, 1), 0.07), light, rib)


def _fedora(picture: Picture, placement: Placement, colour: Colour, hair: Hair, light: Light, depth: Field) -> None:
    pixel = picture.frame.pixel / placement.scale
    s = _dome(picture, placement, hair, 0.10, -0.004)
    dent = 1 - 0.16 * np.exp(-((s.x / 0.07) ** 2)) * np.clip((-0.42 - s.y) * 6, 0, 1)
    _cloth(picture, s, s.inside * coverage(below_hat(s) + 0.01, pixel), colour, light, dent)
    band = np.maximum(below_hat(s) + 0.02, -0.105 - below_hat(s))
    _cloth(picture, s, s.inside * coverage(band, pixel, 0.01), mixed(colour, (0.05, 0.04, 0.04), 0.65), light)
    brim = hit(placement, picture.frame, (0, HAT_EDGE - 0.012 + 0.1 * HAT_SLOPE, -0.06), (0.60, 0.026, 0.64), -HAT_SLOPE * 0.75)
    seen = brim.in_front_of(np.maximum(s.solid_depth(placement), depth), placement)
    _cloth(picture, brim, brim.inside * seen, mixed(colour, (0, 0, 0), 0.10), light)


def _cap(picture: Picture, placement: Placement, colour: Colour, hair: Hair, light: Light, depth: Field) -> None:
    pixel = picture.frame.pixel / placement.scale
    s = _dome(picture, placement, hair, 0.02, 0.0)
    angle = np.arctan2(s.x, s.z + 0.10)
    seams = 1 - 0.20 * np.exp(-((np.sin(angle * 3) / 0.09) ** 2))
    _cloth(picture, s, s.inside * coverage(below_hat(s), pixel, 0.01), colour, light, seams)
    peak = hit(placement, picture.frame, (0, -0.215, 0.40), (0.285, 0.024, 0.30), 0.16)
    seen = peak.in_front_of(np.maximum(s.solid_depth(placement), depth), placement)
    _cloth(picture, peak, peak.inside * seen, mixed(colour, (0, 0, 0), 0.16), light)
    button = placement.project((0, -0.15 - hair.radii[1] - 0.032 - 0.024 * hair.curl, -0.10))
    field = np.hypot(picture.frame.x - np.float32(button[0]), picture.frame.y - np.float32(button[1])) - 0.026
    _cloth(picture, s, coverage(field, picture.frame.pixel), colour, light)


def _beret(picture: Picture, placement: Placement, colour: Colour, hair: Hair, light: Light, depth: Field) -> None:
    pixel = picture.frame.pixel / placement.scale
    s = _dome(picture, placement, hair, 0.0, -0.012)
    _cloth(picture, s, s.inside * coverage(below_hat(s), pixel, 0.01), mixed(colour, (0, 0, 0), 0.22), light)
    puff = hit(placement, picture.frame, (0.04, -0.40, -0.12), (0.47 + hair.curl * 0.05, 0.165, 0.48 + hair.curl * 0.05), -0.20)
    creases = 1 + 0.07 * noise(puff.x * 6, puff.z * 6 + puff.y * 4, 31)
    _cloth(picture, puff, puff.inside * puff.in_front_of(depth, placement), colour, light, creases)
