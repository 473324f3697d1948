"""What edits put before a church: scaffolding and flags."""

from __future__ import annotations

import math

import numpy as np

from lab.world.church.building import Scene
from lab.world.church.camera import Plane, bounds, convex, look
from lab.world.church.plan import Block
from lab.world.church.subject import Rgb
from lab.world.church.trees import SNOW
from lab.world.painting.fields import Point, segment, union
from lab.world.painting.texture import noise

STEEL: Rgb = (0.62, 0.64, 0.68)
PLANKS: Rgb = (0.80, 0.58, 0.32)
STANDOFF = 0.16
"""The scaffolding's distance from the wall."""


def paint_scaffolding(scene: Scene) -> None:
    """Paint poles, planks and nets before the tower or the nave; which of them, and the nets, belong to the church."""
    who = scene.who
    on_tower = who.towers == "middle" or (who.towers in ("left", "right") and who.netted % 2 == 0)
    block = next(each for each in scene.blocks if each.name == ("tower" if on_tower else "nave"))
    (x0, _, z0), (x1, y1, z1) = block.low, block.high
    x0, x1, z0 = x0 - STANDOFF, x1 + STANDOFF, z0 - STANDOFF
    height = 0.86 * y1 if on_tower else y1 + 0.3 * who.pitch * who.nave_width
    deep = z1 - z0 + STANDOFF if on_tower else min(z1 - z0, 1.0)
    sides = (
        (Plane((x0, 0, z0 + deep), (0, 0, -1), (0, 1, 0)), deep),
        (Plane((x1, 0, z0), (0, 0, 1), (0, 1, 0)), deep),
        (Plane((x0, 0, z0), (1, 0, 0), (0, 1, 0)), x1 - x0),
    )
    for i, (plane, width) in enumerate(sides):
        free = _free_side(scene, block, i)
        if free:
            _lattice(scene, plane, width, height if i == 2 else min(height, y1), who.netted + 7 * i)


def _free_side(scene: Scene, block: Block, side: int) -> bool:
    """Say whether nothing stands against that side (0 left, 1 right, 2 front) of a block."""
    who, name = scene.who, ("left", "right", "front")[side]
    if block.name == "nave":
        return name == "front" or not (who.aisles or who.towers in (name, "pair"))
    return name == "front" or who.towers in ("middle", name)


def _lattice(scene: Scene, plane: Plane, width: float, height: float, seed: int) -> None:
    sight = look(scene.picture, scene.camera, plane, ((0, 0), (width, 0), (width, height + 0.12), (0, height + 0.12)))
    if sight is None:
        return
    u, v = sight.u, sight.v
    bays, levels = max(2, round(width / 0.3)), max(3, round(height / 0.32))
    bay, level = width / bays, height / levels
    shine = scene.light.on(scene.camera.turned(plane.normal)) * np.float32(0.95) + np.float32(0.02)
    column, row = np.floor(u / np.float32(bay)), np.floor(v / np.float32(level))
    below = v - np.float32(height)
    netted = (noise(column, row, seed) > -0.05) & (row > 0)
    folds = (1 + np.float32(0.12) * noise(u * 16, v * 5, seed + 1))[..., None]
    sight.area.cover(
        sight.share * netted * (below < 0) * np.float32(0.72),
        np.array(scene.who.net, np.float32) * shine * folds,
        part="scaffolding",
    )
    in_u, in_v = u - np.rint(u / np.float32(bay)) * np.float32(bay), v - np.rint(v / np.float32(level)) * np.float32(level)
    poles = np.abs(in_u) - np.float32(0.019)
    rails = np.maximum(np.abs(v - (row + np.float32(0.45)) * np.float32(level)) - np.float32(0.010), below)
    slope = bay / math.hypot(bay, level)
    along = np.where((column + row) % 2 == 0, u / np.float32(bay) - column, 1 - (u / np.float32(bay) - column))
    braces = np.abs((v / np.float32(level) - row) - along) * np.float32(level * slope) - np.float32(0.010)
    braces = np.maximum(braces, below)
    steel = np.array(STEEL, np.float32) * shine
    sight.paint(union(rails, braces), steel * np.float32(0.9), part="scaffolding")
    planks = np.maximum(np.maximum(np.abs(in_v) - np.float32(0.028), np.float32(0.1) - v), below - np.float32(0.03))
    sight.paint(planks, np.array(PLANKS, np.float32) * shine, part="scaffolding")
    sight.paint(poles, steel, part="scaffolding")
    if scene.has.season == "snow":
        sight.paint(np.maximum(planks, -in_v + np.float32(0.004)), np.array(SNOW, np.float32) * shine, part="scaffolding")


def paint_flags(scene: Scene, wind: int) -> None:
    """Paint two flags on poles before the church and pennants on strings up to it. The wind blows to the left (-1) or right."""
    who, camera = scene.who, scene.camera
    front = min(block.low[2] for block in scene.blocks)
    peak = who.nave_height + who.nave_width * who.pitch
    reach = who.nave_width + 0.3
    if who.towers == "middle":
        top = camera.project((0, min(who.tower_height - 0.1, peak + 0.3), front - 0.02))
    else:
        top = camera.project((0, peak, -0.08))
    for side in (-1, 1):
        foot = camera.project((side * reach, 0, front - 0.3))
        head = camera.project((side * reach, 1.5, front - 0.3))
        scale = camera.scale((side * reach, 0, front - 0.3))
        _pole(scene, foot, head, scale)
        _string(scene, head, top, scale)
        _cloth(scene, head, scale, wind, who.flags if side < 0 else who.flags[::-1])


def _pole(scene: Scene, foot: Point, head: Point, scale: float) -> None:
    area = scene.picture.window((head[0] - 0.04, head[1] - 0.04), (foot[0] + 0.04, foot[1] + 0.02))
    if area.frame.x.size:
        pole = segment(area.frame.x, area.frame.y, foot, head, 0.018 * scale, 0.013 * scale)
        area.paint(pole, np.array((0.90, 0.90, 0.88), np.float32) * scene.light.on((0, 0, -1)), part="flags")


def _string(scene: Scene, a: Point, b: Point, scale: float) -> None:
    """Paint a sagging string with pennants."""
    count = 9
    points = [_sag(a, b, i / count, scale) for i in range(count + 1)]
    shine = scene.light.on((0, 0, -1)) * np.float32(1.05)
    for i in range(count):
        (ax, ay), (bx, by) = points[i], points[i + 1]
        corners = [(ax + t * (bx - ax), ay + t * (by - ay)) for t in (0.15, 0.85)] + [((ax + bx) / 2, (ay + by) / 2 + 0.15 * scale)]
        near = scene.picture.window(*bounds([(ax, ay), (bx, by), corners[2]]))
        if near.frame.x.size:
            x, y = near.frame.x, near.frame.y
            near.paint(segment(x, y, (ax, ay), (bx, by), 0.004 * scale), (0.3, 0.3, 0.3) * shine, part="flags", opacity=0.7)
            near.paint(convex(x, y, corners), np.array(scene.who.flags[i % 2], np.float32) * shine, part="flags")


def _sag(a: Point, b: Point, t: float, scale: float) -> Point:
    return a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t + 0.5 * scale * t * (1 - t)


def _cloth(scene: Scene, head: Point, scale: float, wind: int, colours: tuple[Rgb, Rgb]) -> None:
    length, height = 0.64 * scale, 0.42 * scale
    x0, y0 = head[0], head[1] + 0.03 * scale
    low, high = bounds([(x0, y0 - 0.06), (x0 + wind * length, y0 + height + 0.08)])
    area = scene.picture.window(low, high)
    if not area.frame.x.size:
        return
    along = (area.frame.x - np.float32(x0)) * np.float32(wind / length)
    wave = np.sin(along * np.float32(7.5)) * np.clip(along, 0, 1) * np.float32(0.035 * scale)
    down = (area.frame.y - np.float32(y0) - wave) / np.float32(height)
    field = np.maximum(
        (np.abs(along - np.float32(0.5)) - np.float32(0.5)) * np.float32(length),
        (np.abs(down - np.float32(0.5)) - np.float32(0.5)) * np.float32(height),
    )
    folds = (np.float32(0.92) + np.float32(0.16) * np.cos(along * np.float32(7.5)))[..., None]
    shine = scene.light.on((0, 0, -1)) * folds * np.float32(1.05)
    upper, lower = (np.array(colour, np.float32) for colour in colours)
    half = np.clip(np.float32(0.5) + (down - np.float32(0.5)) * np.float32(height / area.frame.pixel), 0, 1)[..., None]
    area.paint(field, (upper + (lower - upper) * half) * shine, part="flags")
