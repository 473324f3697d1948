"""Spires, domes, battlements, and the cross or weathercock on their tips."""

from __future__ import annotations

import math

import numpy as np

from lab.world.church.camera import Camera, Place, Plane, look
from lab.world.church.light import Light
from lab.world.church.masonry import roof_tone
from lab.world.church.plan import Steeple, tip
from lab.world.church.subject import Identity, Rgb
from lab.world.church.trees import SNOW
from lab.world.painting.fields import Field, Point, coverage, ellipse, segment, union
from lab.world.painting.picture import Picture
from lab.world.painting.texture import fractal, noise

PROFILES: dict[str, tuple[tuple[float, float], ...]] = {
    "onion": ((0, 1.12), (0.08, 0.86), (0.2, 0.98), (0.34, 1.06), (0.48, 0.9), (0.6, 0.56), (0.7, 0.28), (0.82, 0.12), (1, 0.02)),
    "dome": ((0, 1.08), (0.12, 1.06), (0.32, 0.98), (0.52, 0.78), (0.66, 0.5), (0.72, 0.22), (0.86, 0.2), (0.9, 0.24), (1, 0.02)),
}
"""Half widths of the curved spires by height, both from 0 to 1."""


def paint_steeple(picture: Picture, camera: Camera, steeple: Steeple, who: Identity, light: Light, snow: bool) -> None:
    """Paint what stands on a tower."""
    kind = who.spire if not (steeple.small and who.spire == "battlements") else "pyramid"
    if kind in PROFILES:
        _curved(picture, camera, steeple, who, light, snow, PROFILES[kind])
    elif kind == "battlements":
        _battlements(picture, camera, steeple, who, light, snow)
    else:
        _pyramid(picture, camera, steeple, who, light, snow, sides=8 if kind == "needle" else 4)
    _top(picture, camera, steeple, who, light)


def _pyramid(picture: Picture, camera: Camera, steeple: Steeple, who: Identity, light: Light, snow: bool, sides: int) -> None:
    x, z, base = steeple.x, steeple.z, steeple.base
    reach = (steeple.half + 0.05) * (math.sqrt(2) if sides == 4 else 1.06)
    apex: Place = (x, tip(who, steeple), z)
    turn = math.pi / sides
    ring = [
        (x + reach * math.sin(2 * math.pi * i / sides + turn), base, z - reach * math.cos(2 * math.pi * i / sides + turn))
        for i in range(sides)
    ]
    faces = [(ring[i], ring[i - 1]) for i in range(sides)]  # right and left corner of each face
    for right, left in faces:
        _slope(picture, camera, who, light, snow, (left, right, apex))


def _slope(picture: Picture, camera: Camera, who: Identity, light: Light, snow: bool, corners: tuple[Place, Place, Place]) -> None:
    left, right, apex = (np.array(corner) for corner in corners)
    width = float(np.linalg.norm(right - left))
    across = (right - left) / width
    rise = apex - (left + right) / 2
    height = float(np.linalg.norm(rise))
    plane = Plane(_place(left), _place(across), _place(rise / height))
    sight = look(picture, camera, plane, ((0, 0), (width, 0), (width / 2, height)))
    if sight is None:
        return
    shine = light.on(camera.turned(plane.normal))
    colour = np.array(who.cap, np.float32) * shine * roof_tone(sight.u, sight.v, sight.pixel, 17)[..., None]
    sight.area.cover(sight.share, colour, part="spire")
    if snow:
        lying = np.clip(np.float32(0.62) + fractal(sight.u * 5, sight.v * 5, 23, 2), 0, 1) * sight.share * np.float32(0.85)
        sight.area.cover(lying, np.array(SNOW, np.float32) * light.on((0, 1, 0)) * np.float32(0.5) + shine * np.float32(0.5))


def _place(vector: np.ndarray) -> Place:
    x, y, z = (float(value) for value in vector)
    return x, y, z


def _curved(
    picture: Picture,
    camera: Camera,
    steeple: Steeple,
    who: Identity,
    light: Light,
    snow: bool,
    profile: tuple[tuple[float, float], ...],
) -> None:
    top = tip(who, steeple)
    foot, head = camera.project((steeple.x, steeple.base - 0.02, steeple.z)), camera.project((steeple.x, top, steeple.z))
    half = steeple.half * 1.1 * camera.scale((steeple.x, steeple.base, steeple.z))
    area = picture.window((foot[0] - 1.25 * half, head[1]), (foot[0] + 1.25 * half, foot[1]))
    x, y = area.frame.x, area.frame.y
    up = (np.float32(foot[1]) - y) / np.float32(foot[1] - head[1])
    radius = _smooth(up[:, 0], profile)[:, None] * np.float32(half)
    steep = np.gradient(radius[:, 0], area.frame.pixel)[:, None] if len(y) > 1 else radius * 0
    across = x - np.float32(foot[0])
    field = (np.abs(across) - radius) / np.hypot(1, np.clip(steep, -3, 3))
    field = np.maximum(field, np.maximum(-up, up - 1) * np.float32(foot[1] - head[1]))
    nx = np.clip(across / np.maximum(radius, 1e-4), -1, 1)
    nz, ny = -np.sqrt(1 - nx * nx), np.clip(steep, -2, 2)
    length = np.sqrt(1 + ny * ny)
    facing = np.clip((nx * light.to_sun[0] + ny * light.to_sun[1] + nz * light.to_sun[2]) / length, 0, 1)[..., None]
    ribs = 1 + np.float32(0.06) * np.cos(np.arcsin(nx) * 10)[..., None]
    shine = light.ambient * np.float32(0.9) + light.sun * (facing + np.float32(0.5) * facing**12)
    area.paint(field, np.array(who.cap, np.float32) * shine * ribs, part="spire")
    if snow:
        lying = np.clip(ny * np.float32(1.2) + np.float32(0.4) * noise(x * 22, y * 22, 29) + np.float32(0.25), 0, 0.9) * coverage(
            field, area.frame.pixel
        )
        area.cover(lying, np.array(SNOW, np.float32) * light.on((0, 1, 0)))


def _smooth(up: np.ndarray, profile: tuple[tuple[float, float], ...]) -> Field:
    """Return the half width at each height by a Catmull-Rom spline through the profile."""
    at, value = (np.array(column, np.float32) for column in zip(*profile, strict=True))
    slopes = np.gradient(value, at)
    i = np.clip(np.searchsorted(at, up) - 1, 0, len(at) - 2)
    span = at[i + 1] - at[i]
    t = np.clip((up - at[i]) / span, 0, 1)
    a, b = value[i], value[i + 1]
    found: Field = (
        (2 * t**3 - 3 * t**2 + 1) * a
        + (t**3 - 2 * t**2 + t) * span * slopes[i]
        + (3 * t**2 - 2 * t**3) * b
        + (t**3 - t**2) * span * slopes[i + 1]
    ).astype(np.float32)
    return np.maximum(found, 0.01)


def _battlements(picture: Picture, camera: Camera, steeple: Steeple, who: Identity, light: Light, snow: bool) -> None:
    half = steeple.half + 0.04
    x0, z0, base = steeple.x - half, steeple.z - half, steeple.base
    for origin, right in (
        ((x0, base, z0), (1, 0, 0)),
        ((x0, base, z0 + 2 * half), (0, 0, -1)),
        ((x0 + 2 * half, base, z0), (0, 0, 1)),
    ):
        plane = Plane(origin, right, (0, 1, 0))
        sight = look(picture, camera, plane, ((0, 0), (2 * half, 0), (2 * half, 0.2), (0, 0.2)))
        if sight is None:
            continue
        period = 2 * half / 4.5
        merlon = np.abs((sight.u / np.float32(period)) % 1 - np.float32(0.28)) * np.float32(period) - np.float32(0.27 * period)
        field = np.minimum(sight.v - np.float32(0.09), np.maximum(merlon, sight.v - np.float32(0.2)))
        sight.paint(field, np.array(who.wall, np.float32) * light.on(camera.turned(plane.normal)) * np.float32(0.97), part="wall")
        if snow:
            sight.paint(np.maximum(field, np.float32(0.16) - sight.v), np.array(SNOW, np.float32) * light.ground)


GOLD: Rgb = (0.86, 0.68, 0.26)


def _top(picture: Picture, camera: Camera, steeple: Steeple, who: Identity, light: Light) -> None:
    """Paint the cross, ball or weathercock. It always faces the viewer: a cross seen from its edge would be a stick."""
    flat = who.spire == "battlements" and not steeple.small
    place = (steeple.x, steeple.base + (0.12 if flat else tip(who, steeple) - steeple.base - 0.03), steeple.z)
    cx, cy = camera.project(place)
    size = camera.scale(place) * (0.26 if not steeple.small else 0.2)
    area = picture.window((cx - size, cy - 1.4 * size), (cx + size, cy + 0.1))
    if not area.frame.x.size:
        return
    field = union(*_finial(area.frame.x, area.frame.y, (cx, cy), size, who))
    area.paint(field, np.array(GOLD, np.float32) * (light.ambient + light.sun * np.float32(0.8)), part="cross")


def _finial(x: Field, y: Field, foot: Point, size: float, who: Identity) -> list[Field]:
    cx, cy = foot
    thick = 0.075 * size
    pole = segment(x, y, (cx, cy), (cx, cy - size * 1.1), thick)

    def bar(height: float, half: float) -> Field:
        return segment(x, y, (cx - half * size, cy - height * size), (cx + half * size, cy - height * size), thick)

    ball = ellipse(x, y, (cx, cy - 0.2 * size), (0.16 * size, 0.16 * size))
    if who.top == "cross":
        return [pole, bar(0.78, 0.32), ball]
    if who.top == "double cross":
        return [pole, bar(0.88, 0.22), bar(0.62, 0.36), ball]
    if who.top == "ball":
        return [
            segment(x, y, (cx, cy), (cx, cy - 0.5 * size), thick),
            ellipse(x, y, (cx, cy - 0.6 * size), (0.25 * size, 0.25 * size)),
        ]
    body = ellipse(x, y, (cx, cy - 0.9 * size), (0.3 * size, 0.17 * size))
    head = ellipse(x, y, (cx - 0.28 * size, cy - 1.12 * size), (0.12 * size, 0.14 * size))
    tail = segment(x, y, (cx + 0.2 * size, cy - 0.95 * size), (cx + 0.42 * size, cy - 1.25 * size), 0.1 * size, 0.07 * size)
    return [segment(x, y, (cx, cy), (cx, cy - 0.8 * size), thick), body, head, tail, bar(0.45, 0.25)]
