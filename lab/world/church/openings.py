"""Windows, doors, roses and clocks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lab.world.church.camera import Sight
from lab.world.church.plan import Opening
from lab.world.church.subject import Arch, Identity, Rgb
from lab.world.painting.fields import Field, coverage, union
from lab.world.painting.picture import Picture
from lab.world.painting.texture import noise

GLOW: Rgb = (1.0, 0.80, 0.40)
"""The colour of a lit window."""


def arched(u: Field, v: Field, opening: Opening, grown: float = 0.0) -> Field:
    """Return the distance to the outline of an opening, made larger by `grown`."""
    du, dv = np.abs(u - np.float32(opening.u)), v - np.float32(opening.v)
    if opening.kind in ("rose", "clock"):
        round_field: Field = np.hypot(du, dv) - np.float32(opening.half + grown)
        return round_field
    return _upright(du, dv, opening.half, opening.height, opening.arch) - np.float32(grown)


def _upright(du: Field, dv: Field, half: float, height: float, arch: Arch) -> Field:
    rise = {"square": 0.0, "round": half, "pointed": half * 1.732}[arch]
    spring = max(height - rise, 0.2 * height)
    sides = du - np.float32(half)
    above = dv - np.float32(spring)
    if arch == "square":
        head: Field = np.maximum(sides, dv - np.float32(height))
    elif arch == "round":
        head = np.where(above > 0, np.hypot(du, above) - np.float32(half), sides)
    else:
        head = np.where(above > 0, np.hypot(du + np.float32(half), above) - np.float32(2 * half), sides)
    return np.maximum(head, -dv)


def paint_openings(sight: Sight, openings: Sequence[Opening], who: Identity, light: np.ndarray, lit: bool) -> None:
    """Paint all openings of a wall. `light` falls on the wall; `lit` says whether lamps burn inside."""
    windows = [each for each in openings if each.kind in ("window", "rose")]
    if windows:
        _windows(sight, windows, who, light, lit)
    for each in openings:
        at = _around(sight, each)
        near = Sight(cut(sight.area, at), sight.u[at], sight.v[at], sight.share[at], sight.pixel)
        falling = light[at] if light.ndim == 3 else light
        if not near.u.size:
            continue
        if each.kind == "belfry":
            _belfry(near, each, who, falling)
        elif each.kind == "clock":
            _clock(near, each, falling, lit)
        elif each.kind == "door":
            _door(near, each, who, falling, lit)
        elif each.kind == "rose":
            _tracery(near, each, who, falling)


def _around(sight: Sight, opening: Opening) -> tuple[slice, slice]:
    """Return the rows and columns of `sight` near an opening."""
    reach = opening.half + 0.1
    low = opening.v - (reach if opening.height == 0 else 0.2)
    high = opening.v + (reach if opening.height == 0 else opening.height + 0.1)
    near = (np.abs(sight.u - np.float32(opening.u)) < reach) & (sight.v > low) & (sight.v < high)
    rows, columns = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
    return (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)) if rows.size else (slice(0), slice(0))


def cut(picture: Picture, at: tuple[slice, slice]) -> Picture:
    """Return a piece of a picture by its pixels."""
    view = object.__new__(Picture)
    frame = picture.frame
    view.frame = type(frame)(frame.x[at], frame.y[at], frame.pixel)
    view.pixels = picture.pixels[at]
    view.parts = {name: share[at] for name, share in picture.parts.items()}
    return view


def _windows(sight: Sight, windows: Sequence[Opening], who: Identity, light: np.ndarray, lit: bool) -> None:
    panes = union(*(arched(sight.u, sight.v, each) for each in windows))
    sight.paint(panes - np.float32(0.035), np.array(who.trim, np.float32) * light * np.float32(0.97), part="wall")
    cells = noise(np.floor(sight.u / np.float32(0.05)), np.floor(sight.v / np.float32(0.07)), who.glass)[..., None]
    if lit:
        colour = np.array(GLOW, np.float32) * (1 + np.float32(0.14) * cells)
    else:
        high = np.clip(sight.v * np.float32(0.35), 0, 1)[..., None]
        colour = (
            (np.array((0.16, 0.20, 0.28), np.float32) + np.array((0.10, 0.14, 0.18), np.float32) * high)
            * light
            * (1.1 + np.float32(0.25) * cells)
        )
    sight.paint(panes, colour, part="windows")
    upright = [each for each in windows if each.kind == "window"]
    if upright:
        bars = union(
            *(
                np.maximum(np.abs(sight.u - np.float32(each.u)) - np.float32(0.008), arched(sight.u, sight.v, each))
                for each in upright
            )
        )
        sight.paint(bars, np.array(who.trim, np.float32) * light * np.float32(0.6), opacity=0.7)


def _tracery(sight: Sight, rose: Opening, who: Identity, light: np.ndarray) -> None:
    """Paint the stone spokes of a rose window."""
    du, dv = sight.u - np.float32(rose.u), sight.v - np.float32(rose.v)
    radius = np.hypot(du, dv)
    angle = np.arctan2(dv, du) * np.float32(8 / (2 * np.pi))
    spokes = np.abs(angle - np.rint(angle)) * radius * np.float32(2 * np.pi / 8) - np.float32(0.010)
    rings = np.abs(radius - np.float32(0.38 * rose.half)) - np.float32(0.010)
    field = np.maximum(union(spokes, rings), radius - np.float32(rose.half))
    sight.paint(field, np.array(who.trim, np.float32) * light * np.float32(0.85), opacity=0.85)


def _belfry(sight: Sight, opening: Opening, who: Identity, light: np.ndarray) -> None:
    field = arched(sight.u, sight.v, opening)
    sight.paint(field - np.float32(0.03), np.array(who.trim, np.float32) * light, part="wall")
    louvres = np.abs((sight.v / np.float32(0.06)) % 1 - np.float32(0.5)) * 2
    tone = (np.float32(0.75) + np.float32(0.5) * louvres)[..., None]
    sight.paint(field, np.array((0.17, 0.14, 0.13), np.float32) * light * tone, part="windows")


def _clock(sight: Sight, opening: Opening, light: np.ndarray, lit: bool) -> None:
    du, dv = sight.u - np.float32(opening.u), sight.v - np.float32(opening.v)
    field = np.hypot(du, dv) - np.float32(opening.half)
    sight.paint(field, np.array((0.20, 0.17, 0.15), np.float32) * light, part="windows")
    face = np.array((1.0, 0.95, 0.75), np.float32) if lit else np.array((0.96, 0.95, 0.90), np.float32) * light
    sight.paint(field + np.float32(0.022), face)
    hands = union(
        np.maximum(np.abs(du) - np.float32(0.012), np.maximum(-dv, dv - np.float32(0.085))),
        np.maximum(np.abs(dv) - np.float32(0.014), np.maximum(-du, du - np.float32(0.06))),
    )
    sight.paint(hands, (0.08, 0.07, 0.07))


def _door(sight: Sight, opening: Opening, who: Identity, light: np.ndarray, lit: bool) -> None:
    field = arched(sight.u, sight.v, opening)
    du = np.abs(sight.u - np.float32(opening.u))
    for i in range(2):
        step = np.maximum(
            du - np.float32(opening.half + 0.10 - 0.03 * i), np.abs(sight.v - np.float32(0.01 + 0.03 * i)) - np.float32(0.015)
        )
        sight.paint(step, np.array((0.78, 0.76, 0.72), np.float32) * light * np.float32(0.85 + 0.15 * i), part="door")
    sight.paint(field - np.float32(0.045), np.array(who.trim, np.float32) * light, part="wall")
    grain = (1 + np.float32(0.12) * noise(sight.u * 40, sight.v * 3, 5))[..., None]
    sight.paint(field, np.array(who.door, np.float32) * light * grain, part="door")
    if opening.arch != "square":
        fan = np.maximum(field + np.float32(0.02), np.float32(opening.v + opening.height - opening.half * 1.1) - sight.v)
        sight.paint(fan, GLOW if lit else np.array((0.20, 0.22, 0.28), np.float32) * light, part="windows" if lit else "door")
    sight.paint(
        du - np.float32(0.008) + 1e3 * (coverage(field, sight.pixel) < 0.5),
        np.array(who.door, np.float32) * light * np.float32(0.45),
        opacity=0.8,
    )
