"""The plan of a church: its blocks, their faces and what opens in them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from lab.world.church.camera import Place, Plane
from lab.world.church.subject import Arch, Identity
from lab.world.painting.fields import Point

OVERHANG = 0.06
"""How far roofs reach beyond the walls."""

Surface = Literal["wall", "roof"]
Kind = Literal["window", "belfry", "rose", "clock", "door"]


@dataclass(frozen=True, slots=True)
class Opening:
    """A window, a door or a clock, at `u` from the left, its sill at `v`; round ones are centred there."""

    kind: Kind
    u: float
    v: float
    half: float
    height: float
    arch: Arch


@dataclass(frozen=True, slots=True)
class Face:
    """A flat face: a wall, or a slope of a roof."""

    name: str
    plane: Plane
    outline: tuple[Point, ...]
    surface: Surface
    openings: tuple[Opening, ...] = ()


@dataclass(frozen=True, slots=True)
class Steeple:
    """What stands on a tower."""

    x: float
    z: float
    base: float
    half: float
    small: bool  # a ridge turret's


@dataclass(frozen=True, slots=True)
class Block:
    """A box with a roof. Blocks don't overlap, so one hides the other or not at all."""

    name: str
    low: Place
    high: Place
    faces: tuple[Face, ...]
    verges: tuple[tuple[Place, Place], ...] = field(default=())
    steeple: Steeple | None = None


@lru_cache(maxsize=64)
def plan(who: Identity) -> tuple[Block, ...]:
    """Return the blocks of a church, without an order."""
    nave = _nave(who)
    return (nave, *_aisles(who), *_towers(who), *_chapel(who), *_choir(who), *_porch(who))


def painting_order(blocks: Sequence[Block], eye: Place) -> list[Block]:
    """Return `blocks` from back to front as seen from `eye`."""
    left, ordered = list(blocks), []
    while left:
        first = next((a for a in left if not any(_hides(a, b, eye) for b in left if b is not a)), left[0])
        ordered.append(first)
        left.remove(first)
    return ordered


def extent(who: Identity) -> tuple[Place, ...]:
    """Return the outermost places of a church, the tips of its spires included."""
    places: list[Place] = []
    for block in plan(who):
        places += [
            (x, y, z) for x in (block.low[0], block.high[0]) for y in (0.0, block.high[1]) for z in (block.low[2], block.high[2])
        ]
        if top := block.steeple:
            places.append((top.x, tip(who, top) + 0.3, top.z))
    return tuple(places)


def tip(who: Identity, steeple: Steeple) -> float:
    """Return the height of the tip of a spire."""
    return steeple.base + (0.55 * who.spire_height + 0.1 if steeple.small else who.spire_height)


def _hides(a: Block, b: Block, eye: Place) -> bool:
    """Say whether `a` may hide a part of `b`: a plane between them has `a` and the eye on the same side."""
    for axis in (0, 2):
        if a.high[axis] <= b.low[axis] + 1e-6:
            return eye[axis] < b.low[axis]
        if b.high[axis] <= a.low[axis] + 1e-6:
            return eye[axis] > a.low[axis]
    return a.low[1] > b.low[1]  # on top of it


def _walls(low: Place, high: Place) -> dict[str, tuple[Plane, float]]:
    """Return the planes of the upright sides of a box and their widths. Each begins at the ground, at its left corner."""
    (x0, y0, z0), (x1, _, z1) = low, high
    return {
        "front": (Plane((x0, y0, z0), (1, 0, 0), (0, 1, 0)), x1 - x0),
        "left": (Plane((x0, y0, z1), (0, 0, -1), (0, 1, 0)), z1 - z0),
        "right": (Plane((x1, y0, z0), (0, 0, 1), (0, 1, 0)), z1 - z0),
    }


def _rectangle(width: float, height: float) -> tuple[Point, ...]:
    return (0.0, 0.0), (width, 0.0), (width, height), (0.0, height)


def _gabled(name: str, low: Place, high: Place, pitch: float, openings: dict[str, tuple[Opening, ...]]) -> Block:
    """Return a box with a roof whose ridge runs from front to back."""
    (x0, _, z0), (x1, y1, z1) = low, high
    half, height = (x1 - x0) / 2, y1 - low[1]
    slope = math.hypot(1, pitch)
    length, run = (half + OVERHANG) * slope, z1 - z0 + 2 * OVERHANG
    foot = y1 - OVERHANG * pitch
    faces = []
    for side, (plane, width) in _walls(low, high).items():
        outline = _rectangle(width, height)
        if side == "front":
            outline = (*outline[:3], (half, height + half * pitch), outline[3])
        faces.append(Face(side, plane, outline, "wall", openings.get(side, ())))
    for side, sign, corner in (
        ("left", 1, (x0 - OVERHANG, foot, z1 + OVERHANG)),
        ("right", -1, (x1 + OVERHANG, foot, z0 - OVERHANG)),
    ):
        plane = Plane(corner, (0, 0, -sign), (sign / slope, pitch / slope, 0))
        faces.append(Face(side, plane, _rectangle(run, length), "roof"))
    ridge = ((x0 + x1) / 2, y1 + half * pitch, z0 - OVERHANG)
    verges = tuple((ridge, (x, foot, z0 - OVERHANG)) for x in (x0 - OVERHANG, x1 + OVERHANG))
    return Block(name, low, high, tuple(faces), verges)


def _crosswise(name: str, low: Place, high: Place, pitch: float, side: Literal["left", "right"], window: Opening) -> Block:
    """Return a box at the `side` of the nave with a gable towards that side."""
    (x0, _, z0), (x1, y1, z1) = low, high
    half, slope = (z1 - z0) / 2, math.hypot(1, pitch)
    faces = []
    for name_of_side, (plane, width) in _walls(low, high).items():
        outline = _rectangle(width, y1)
        if name_of_side == side:
            outline = (*outline[:3], (half, y1 + half * pitch), outline[3])
        faces.append(Face(name_of_side, plane, outline, "wall", (window,) if name_of_side == side else ()))
    start = x0 - (OVERHANG if side == "left" else 0)
    front = Plane((start, y1 - OVERHANG * pitch, z0 - OVERHANG), (1, 0, 0), (0, pitch / slope, 1 / slope))
    faces.append(Face("front", front, _rectangle(x1 - x0 + OVERHANG, (half + OVERHANG) * slope), "roof"))
    x = x0 - OVERHANG if side == "left" else x1 + OVERHANG
    ridge = (x, y1 + half * pitch, (z0 + z1) / 2)
    verges = tuple((ridge, (x, y1 - OVERHANG * pitch, z)) for z in (z0 - OVERHANG, z1 + OVERHANG))
    return Block(name, low, high, tuple(faces), verges)


def _nave(who: Identity) -> Block:
    front = list(_front(who))
    sill = 0.62 * who.nave_height if who.aisles else 0.3 * who.nave_height
    row = _row(who, who.nave_length, sill, 0.9 * who.nave_height)
    low, high = (-who.nave_width, 0.0, 0.0), (who.nave_width, who.nave_height, who.nave_length)
    return _gabled("nave", low, high, who.pitch, {"front": tuple(front), "left": row, "right": row})


def _front(who: Identity) -> tuple[Opening, ...]:
    """Return what opens in the front of the nave."""
    middle, height = who.nave_width, who.nave_height
    half = 0.05 + 0.025 * who.window_size
    if who.towers == "middle":
        beside = [Opening("window", u, 0.35 * height, half, 0.4 * height, who.arch) for u in (0.2 * middle, 1.8 * middle)]
        return tuple(beside) if who.nave_width - who.tower_width > 0.24 else ()
    found = [_door(who, middle)] if not who.porch else []
    top = height + 0.22 * who.nave_width * who.pitch
    if who.rose:
        found.append(Opening("rose", middle, top, 0.15 + 0.06 * who.window_size, 0, "round"))
    else:
        found += [
            Opening("window", middle + shift, top - 0.22, half, 0.36 + (0.08 if shift == 0 else 0), who.arch)
            for shift in (-0.19, 0, 0.19)
        ]
    found += [Opening("window", middle + shift * middle, 0.34 * height, half, 0.36 * height, who.arch) for shift in (-0.64, 0.64)]
    return tuple(found)


def _door(who: Identity, middle: float) -> Opening:
    return Opening("door", middle, 0.04, who.door_width, 0.42 + 0.6 * who.door_width, who.door_arch)


def _row(who: Identity, length: float, sill: float, top: float) -> tuple[Opening, ...]:
    """Return the windows of a long wall."""
    half = (0.055 + 0.035 * who.window_size) * (1 if who.windows < 5 else 0.85)
    places = [(i + 0.5) / who.windows * length for i in range(who.windows)]
    return tuple(Opening("window", u, sill, half, top - sill, who.arch) for u in places)


def _aisles(who: Identity) -> list[Block]:
    """Return the lower blocks along both sides of the nave."""
    if not who.aisles:
        return []
    wide, height, top = 0.34, 0.5 * who.nave_height, 0.62 * who.nave_height
    tower_back = 2 * who.tower_width + 0.02
    found = []
    for side, sign in (("left", -1), ("right", 1)):
        start = tower_back if who.towers in (side, "pair") else 0.04
        low = (min(sign * who.nave_width, sign * (who.nave_width + wide)), 0.0, start)
        high = (low[0] + wide, height, who.nave_length)
        rise = top - height
        slope = math.hypot(wide, rise)
        faces = []
        for name, (plane, width) in _walls(low, high).items():
            outline = _rectangle(width, height)
            if name == "front":
                outline = (*outline[:3], (wide if sign < 0 else 0.0, top), outline[3])
            row = _row(who, width, 0.3 * height, 0.85 * height) if name == side else ()
            faces.append(Face(name, plane, outline, "wall", row))
        corner = (low[0] - OVERHANG, height, high[2]) if sign < 0 else (high[0] + OVERHANG, height, low[2] - OVERHANG)
        roof = Plane(corner, (0, 0, sign), (-sign * wide / slope, rise / slope, 0))
        faces.append(Face(side, roof, _rectangle(high[2] - low[2] + OVERHANG, slope + OVERHANG), "roof"))
        found.append(Block("aisle", low, high, tuple(faces)))
    return found


def _towers(who: Identity) -> list[Block]:
    """Return the towers, or the turret on the ridge of a church without one."""
    wide = who.tower_width
    if who.towers == "none":
        ridge = who.nave_height + who.nave_width * who.pitch
        return [_tower(who, 0.0, 0.3, 0.13, ridge - 0.16, ridge + 0.34)]
    beside = who.nave_width + wide
    places = {"middle": [0.0], "left": [-beside], "right": [beside], "pair": [-beside, beside]}[who.towers]
    start = -2 * wide if who.towers == "middle" else -0.08
    return [_tower(who, x, start, wide, 0.0, who.tower_height) for x in places]


def _tower(who: Identity, x: float, start: float, wide: float, foot: float, top: float) -> Block:
    low, high = (x - wide, foot, start), (x + wide, top, start + 2 * wide)
    small = foot > 0
    faces = []
    for side, (plane, width) in _walls(low, high).items():
        openings = [Opening("belfry", wide, top - foot - (0.28 if small else 0.52), 0.3 * wide, 0.2 if small else 0.36, who.arch)]
        if not small:
            openings += _tower_openings(who, side, wide, top)
        faces.append(Face(side, plane, _rectangle(width, top - foot), "wall", tuple(openings)))
    return Block("turret" if small else "tower", low, high, tuple(faces), (), Steeple(x, start + wide, top, wide, small))


def _tower_openings(who: Identity, side: str, wide: float, top: float) -> list[Opening]:
    found = []
    front_door = who.towers == "middle" and side == "front"
    if front_door:
        found.append(_door(who, wide))
    if who.rose and front_door:
        found.append(Opening("rose", wide, 1.0, 0.45 * wide, 0, "round"))
    else:
        found.append(Opening("window", wide, 0.85 if front_door else 0.7, 0.045 + 0.02 * who.window_size, 0.3, who.arch))
    if who.clock and side == "front" and top > 1.75:
        found.append(Opening("clock", wide, top - 0.72, 0.12, 0, "round"))
    return found


def _chapel(who: Identity) -> list[Block]:
    """Return the chapel at a side of the nave."""
    if who.chapel == "none":
        return []
    sign = -1 if who.chapel == "left" else 1
    inner = who.nave_width + (0.34 if who.aisles else 0.0)
    half, deep, height = 0.27, 0.36, 0.58 * who.nave_height
    first = max(who.chapel_place * who.nave_length, 2 * who.tower_width + half + 0.2)
    middle = min(first, who.nave_length - half - 0.05)
    low = (min(sign * inner, sign * (inner + deep)), 0.0, middle - half)
    high = (low[0] + deep, height, middle + half)
    window = Opening("window", half, 0.28 * height, 0.075, 0.62 * height, who.arch)
    return [_crosswise("chapel", low, high, 1.1, who.chapel, window)]


def _choir(who: Identity) -> list[Block]:
    """Return the lower block behind the nave."""
    half, height = 0.68 * who.nave_width, 0.78 * who.nave_height
    low, high = (-half, 0.0, who.nave_length), (half, height, who.nave_length + 0.55)
    row = (Opening("window", 0.275, 0.3 * height, 0.07, 0.55 * height, who.arch),)
    return [_gabled("choir", low, high, who.pitch, {"left": row, "right": row})]


def _porch(who: Identity) -> list[Block]:
    """Return the small house before the door."""
    if not who.porch:
        return []
    half = who.door_width + 0.1
    return [_gabled("porch", (-half, 0.0, -0.34), (half, 0.5, 0.0), 0.9, {"front": (_door(who, half),)})]
