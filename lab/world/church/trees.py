"""Trees in leaf, in blossom, bare, and conifers."""

from __future__ import annotations

import math
import random

import numpy as np

from lab.world.church.light import Light
from lab.world.church.subject import Attributes, Rgb, Season, Tree
from lab.world.painting.fields import Field, coverage, ellipse, segment, union
from lab.world.painting.picture import Picture
from lab.world.painting.texture import fractal, noise

LEAVES: dict[Season, tuple[Rgb, ...]] = {
    "summer": ((0.24, 0.44, 0.17), (0.30, 0.46, 0.20), (0.20, 0.40, 0.20)),
    "spring": ((0.97, 0.78, 0.84), (0.98, 0.93, 0.93), (0.96, 0.70, 0.80)),
    "autumn": ((0.90, 0.46, 0.10), (0.78, 0.26, 0.10), (0.93, 0.66, 0.15)),
    "snow": ((0.30, 0.24, 0.22),) * 3,
}
BUSHES: dict[Season, tuple[Rgb, Rgb]] = {
    "summer": ((0.22, 0.40, 0.18), (0.28, 0.46, 0.22)),
    "spring": ((0.36, 0.58, 0.24), (0.90, 0.80, 0.28)),
    "autumn": ((0.68, 0.22, 0.12), (0.80, 0.50, 0.14)),
    "snow": ((0.22, 0.28, 0.22), (0.30, 0.26, 0.22)),
}
BARK: Rgb = (0.34, 0.25, 0.19)
SNOW: Rgb = (0.95, 0.97, 1.0)


def paint_tree(picture: Picture, tree: Tree, light: Light, attributes: Attributes) -> None:
    """Paint a tree as the season has it."""
    half = tree.height * 0.5
    area = picture.window((tree.x - half, tree.base - tree.height * 1.08), (tree.x + half, tree.base + 0.05))
    if not area.frame.x.size:
        return
    if tree.conifer:
        _conifer(area, tree, light, attributes.season == "snow")
    elif attributes.season == "snow":
        _bare(area, tree, light)
    else:
        _leafy(area, tree, light, attributes.season)


def _leafy(area: Picture, tree: Tree, light: Light, season: Season) -> None:
    x, y, h = area.frame.x, area.frame.y, tree.height
    rng = random.Random(f"tree-{tree.seed}")
    _ground_shadow(area, tree, light)
    trunk = segment(x, y, (tree.x, tree.base), (tree.x, tree.base - 0.5 * h), 0.035 * h, 0.018 * h)
    area.paint(trunk, np.array(BARK, np.float32) * light.on((0, 0, -1)), part="trees")
    clumps = [(tree.x, tree.base - 0.62 * h, 0.30 * h)]
    clumps += [
        (tree.x + rng.uniform(-0.24, 0.24) * h, tree.base - rng.uniform(0.42, 0.84) * h, rng.uniform(0.13, 0.2) * h)
        for _ in range(6)
    ]
    _foliage(area, clumps, LEAVES[season][tree.seed % 3], light, 13, tree.seed)


def paint_bush(picture: Picture, bush: Tree, light: Light, attributes: Attributes) -> None:
    """Paint a bush, twice as wide as it is high."""
    h, season = bush.height, attributes.season
    area = picture.window((bush.x - 1.3 * h, bush.base - 1.2 * h), (bush.x + 1.3 * h, bush.base + 0.05))
    if not area.frame.x.size:
        return
    rng = random.Random(f"bush-{bush.seed}")
    _ground_shadow(area, bush, light)
    clumps = [(bush.x + shift * h, bush.base - rng.uniform(0.3, 0.45) * h, rng.uniform(0.36, 0.5) * h) for shift in (-0.5, 0, 0.5)]
    leaf = BUSHES[season][bush.seed % 2]
    _foliage(area, clumps, leaf, light, 26, bush.seed)
    if season == "snow":
        caps = [(cx, cy - 0.3 * r, 0.85 * r) for cx, cy, r in clumps]
        _foliage(area, caps, SNOW, light, 26, bush.seed)


def _foliage(area: Picture, clumps: list[tuple[float, float, float]], leaf: Rgb, light: Light, grain: float, seed: int) -> None:
    """Paint round clumps of leaves, `(x, y, radius)` each. `grain` is the number of leaves across a unit of the frame."""
    x, y = area.frame.x, area.frame.y
    detail = fractal(x * grain, y * grain, seed, 3)
    crown: Field = np.full(x.shape, 9, np.float32)
    lit: Field = np.zeros_like(x)
    for cx, cy, r in clumps:
        field = ellipse(x, y, (cx, cy), (r, r * 0.86))
        # Each clump catches the light on the side of the sun and above.
        facing = ((x - np.float32(cx)) * np.float32(light.to_sun[0]) - (y - np.float32(cy)) * np.float32(0.9)) / np.float32(r)
        lit = np.where(field < 0, np.maximum(facing, lit - np.float32(0.25)), lit)
        crown = np.minimum(crown, field)
    crown = crown + np.float32(0.2 * clumps[0][2]) * detail
    tone = np.clip(np.float32(0.42) + np.float32(0.38) * lit + np.float32(0.42) * detail, 0, 1.1)[..., None]
    shade = light.ambient * np.float32(0.75)
    colour = np.array(leaf, np.float32) * (shade + (light.sun + light.ambient * np.float32(0.35)) * tone)
    area.paint(crown, colour, part="trees", soft=0.012)


def _ground_shadow(area: Picture, tree: Tree, light: Light) -> None:
    """Darken the ground under a tree, towards the side away from the sun."""
    h = tree.height
    shadow = ellipse(area.frame.x, area.frame.y, (tree.x - 0.1 * h * light.to_sun[0], tree.base), (0.36 * h, 0.05 * h))
    share = coverage(shadow, area.frame.pixel, 0.05)
    area.cover(share * np.float32(0.8), area.pixels * light.shadow)


def _bare(area: Picture, tree: Tree, light: Light) -> None:
    rng = random.Random(f"tree-{tree.seed}")
    x, y, h = area.frame.x, area.frame.y, tree.height
    limbs: list[tuple[float, float, float, float, float]] = []  # x, y, angle, length, thickness

    def grow(px: float, py: float, angle: float, length: float, thick: float, depth: int) -> None:
        limbs.append((px, py, angle, length, thick))
        ex, ey = px + length * math.sin(angle), py - length * math.cos(angle)
        for side in (-1, 1) if depth else ():
            grow(ex, ey, angle + side * rng.uniform(0.25, 0.6), length * rng.uniform(0.62, 0.8), thick * 0.62, depth - 1)

    grow(tree.x, tree.base, rng.uniform(-0.06, 0.06), 0.32 * h, 0.032 * h, 4)
    bark = np.array(LEAVES["snow"][0], np.float32) * light.on((0, 0, -1))
    field: Field = np.full(x.shape, 9, np.float32)
    above: Field = np.full(x.shape, 9, np.float32)
    for px, py, angle, length, thick in limbs:
        ex, ey = px + length * math.sin(angle), py - length * math.cos(angle)
        margin = thick + 3 * area.frame.pixel
        at = area.frame.window((min(px, ex) - margin, min(py, ey) - margin), (max(px, ex) + margin, max(py, ey) + margin))
        limb = segment(x[at], y[at], (px, py), (ex, ey), max(thick, 0.0045), max(thick * 0.62, 0.004))
        field[at] = np.minimum(field[at], limb)
        if abs(angle) > 0.35:
            above[at] = np.minimum(above[at], segment(x[at], y[at], (px, py - thick), (ex, ey - thick), thick * 0.55, thick * 0.3))
    area.paint(field, bark, part="trees")
    area.paint(above, np.array(SNOW, np.float32) * light.ground, opacity=0.85)


def _conifer(area: Picture, tree: Tree, light: Light, snow: bool) -> None:
    x, y, h = area.frame.x, area.frame.y, tree.height * 1.05
    detail = noise(x * 26, y * 26, tree.seed)
    up = (np.float32(tree.base - 0.06 * h) - y) / np.float32(0.94 * h)  # 0 foot .. 1 tip
    tiers = np.float32(0.045 * h) * np.abs((up * 6) % 1 - np.float32(0.1))
    field = (
        np.abs(x - np.float32(tree.x)) - np.float32(0.25 * h) * (1 - up) - np.float32(0.02) + tiers + np.float32(0.03 * h) * detail
    )
    field = union(np.maximum(np.maximum(field * np.float32(0.96), -up * np.float32(h)), (up - 1) * np.float32(h)))
    area.paint(
        segment(x, y, (tree.x, tree.base), (tree.x, tree.base - 0.2 * h), 0.025 * h),
        np.array(BARK, np.float32) * light.on((0, 0, -1)),
        part="trees",
    )
    side = (x - np.float32(tree.x)) * np.float32(math.copysign(1, light.to_sun[0]) / (0.2 * h))
    tone = np.clip(
        np.float32(0.5) + np.float32(0.3) * side + np.float32(0.35) * detail - np.float32(0.5) * ((up * 6) % 1 - np.float32(0.5)),
        0,
        1.2,
    )[..., None]
    green = np.array((0.13, 0.29, 0.20), np.float32)
    area.paint(
        field,
        green * (light.ambient * np.float32(0.8) + (light.sun + light.ambient * np.float32(0.3)) * tone),
        part="trees",
        soft=0.012,
    )
    if snow:
        caps = np.clip(np.float32(0.75) - ((up * 6) % 1) * np.float32(1.5) + np.float32(0.5) * detail, 0, 1) * coverage(
            field, area.frame.pixel
        )
        area.cover(caps, np.array(SNOW, np.float32) * light.ground)
