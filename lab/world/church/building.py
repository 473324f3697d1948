"""The building in the light: walls, roofs, and the shadows of its towers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lab.world.church.camera import Camera, Place, Plane, Sight, convex, hull, look
from lab.world.church.light import Light, Light3
from lab.world.church.masonry import roof_tone, wall_tone
from lab.world.church.openings import paint_openings
from lab.world.church.plan import Block, Face, painting_order, tip
from lab.world.church.steeples import paint_steeple
from lab.world.church.subject import Attributes, Identity, Rgb
from lab.world.church.trees import SNOW
from lab.world.painting.fields import Field, Point, coverage, segment, union
from lab.world.painting.picture import Picture
from lab.world.painting.texture import fractal

IVY: dict[str, tuple[Rgb, Rgb]] = {
    "summer": ((0.13, 0.33, 0.11), (0.32, 0.50, 0.18)),
    "spring": ((0.22, 0.42, 0.13), (0.45, 0.62, 0.24)),
    "autumn": ((0.48, 0.13, 0.08), (0.78, 0.33, 0.12)),
    "snow": ((0.12, 0.25, 0.14), (0.30, 0.40, 0.28)),
}
"""The dark and the light green of ivy by season; it turns red in autumn."""


@dataclass(frozen=True)
class Scene:
    """All that the painters of a photo share."""

    picture: Picture
    camera: Camera
    light: Light
    who: Identity
    has: Attributes
    blocks: tuple[Block, ...]


def paint_building(scene: Scene) -> None:
    """Paint the church from back to front."""
    for block in painting_order(scene.blocks, scene.camera.place):
        for face in block.faces:
            if face.surface == "wall" and len(face.outline) < 5:
                _wall(scene, block, face)
        for face in block.faces:
            if face.surface == "roof":
                _roof(scene, block, face)
        for face in block.faces:  # the gable stands before its roof
            if face.surface == "wall" and len(face.outline) == 5:
                _wall(scene, block, face)
        _verges(scene, block)
        if block.steeple:
            paint_steeple(scene.picture, scene.camera, block.steeple, scene.who, scene.light, scene.has.season == "snow")


def _wall(scene: Scene, block: Block, face: Face) -> None:
    sight = look(scene.picture, scene.camera, face.plane, face.outline)
    if sight is None:
        return
    who, shine = scene.who, _shine(scene, block, face, sight)
    u, v, width, height = sight.u, sight.v, face.outline[1][0], face.outline[-1][1]
    seed = 3 + sum(map(ord, block.name + face.name))
    tone = wall_tone(who.material, u, v, sight.pixel, seed) * (1 - np.float32(0.2) * np.exp(-np.maximum(v, 0) / np.float32(0.12)))
    if len(face.outline) == 4:
        tone = tone * (1 - np.float32(0.3) * np.exp(-np.maximum(height - v, 0) / np.float32(0.07)))
    sight.area.cover(sight.share, np.array(who.wall, np.float32) * shine * tone[..., None], part="wall")
    _mouldings(scene, block, sight, shine * tone[..., None], (width, height))
    if scene.has.ivy and block.name != "turret":
        _ivy(scene, face, sight, shine, height)
    paint_openings(sight, face.openings, who, shine, scene.light.night)
    if scene.has.season == "snow" and block.low[1] == 0:
        drift = np.float32(0.05) + np.float32(0.045) * fractal(u * 2.6, v * 0, seed, 2)
        sight.paint(v - drift, np.array(SNOW, np.float32) * scene.light.ground * np.float32(0.94), part="ground", soft=0.02)


def _mouldings(scene: Scene, block: Block, sight: Sight, shine: Light3, size: Point) -> None:
    """Paint the plinth, the trimmed corners, and the bands of a tower."""
    who, u, v, (width, height) = scene.who, sight.u, sight.v, size
    trim = np.array(who.trim, np.float32) * shine
    if who.quoins and who.material != "wood":
        long = ((v / np.float32(0.13)) % 1 > 0.5).astype(np.float32)
        edge = np.minimum(u, np.float32(width) - u) - (np.float32(0.06) + np.float32(0.04) * long)
        sight.paint(np.maximum(edge, v - np.float32(height)), trim)
    if block.low[1] == 0:
        sight.paint(v - np.float32(0.07), np.array((0.55, 0.53, 0.50), np.float32) * shine)
    if block.steeple:
        sight.paint(np.float32(height - 0.05) - v, trim * np.float32(1.2))
    if block.name == "tower":
        sight.paint(np.abs(v - np.float32(height - 0.62)) - np.float32(0.018), trim)


def _shine(scene: Scene, block: Block, face: Face, sight: Sight) -> Light3:
    """Return the light on a face, per pixel where a tower throws its shadow."""
    light, normal = scene.light, scene.camera.turned(face.plane.normal)
    full = light.on(normal)
    towers = [each for each in scene.blocks if each.name == "tower" and each is not block]
    if sum(a * b for a, b in zip(normal, light.to_sun, strict=True)) < 0.05 or not towers:
        return full
    dark: Field = np.zeros_like(sight.u)
    x, y = sight.area.frame.x, sight.area.frame.y
    for tower in towers:
        corners = _shadow_on(scene, face.plane, tower)
        if len(corners) > 2:
            dark = np.maximum(dark, coverage(convex(x, y, corners), sight.area.frame.pixel, 0.02))
    return full + (light.ambient * np.float32(0.95) - full) * (dark * np.float32(0.85))[..., None]


def _shadow_on(scene: Scene, plane: Plane, tower: Block) -> list[Point]:
    """Return the outline, in the frame, of a tower's shadow on a plane."""
    camera, sun = scene.camera, scene.light.to_sun
    origin, normal = camera.seen(plane.origin), camera.turned(plane.normal)
    slant = sum(a * b for a, b in zip(normal, sun, strict=True))
    found = []
    for place in _outline(scene.who, tower):
        seen = camera.seen(place)
        above = sum((p - o) * n for p, o, n in zip(seen, origin, normal, strict=True))
        if above >= -0.02:
            x, y, z = (p - s * above / slant for p, s in zip(seen, sun, strict=True))
            if z > 0.5:
                found.append(camera.to_frame((x, y, z)))
    return hull(found) if len(found) > 2 else []


def _outline(who: Identity, block: Block) -> list[Place]:
    """Return places on the upright edges of a block and its tip."""
    places = [
        (x, block.low[1] + share * (block.high[1] - block.low[1]), z)
        for x in (block.low[0], block.high[0])
        for z in (block.low[2], block.high[2])
        for share in (0.0, 0.35, 0.7, 1.0)
    ]
    if block.steeple and who.spire != "battlements":
        places.append((block.steeple.x, tip(who, block.steeple), block.steeple.z))
    return places


def _ivy(scene: Scene, face: Face, sight: Sight, shine: Light3, height: float) -> None:
    """Cover the lower wall with leaves, higher towards the church's own corner."""
    who, u, v, width = scene.who, sight.u, sight.v, face.outline[1][0]
    near_left = (who.ivy_side < 0) == (face.name != "left") if face.name != "right" else who.ivy_side > 0
    away = u if near_left else np.float32(width) - u
    reach = 1.0 + 0.9 * abs(who.ivy_side)
    ragged = fractal(u * 4 + v * 2, v * 4 - u * 2, who.ivy_seed, 3)
    climbs = np.float32(1.05 * min(height, 1.3)) * np.clip(1 - away / np.float32(reach), 0.12, 1)
    field = v - climbs - np.float32(0.30) * ragged
    leaves = np.clip(np.float32(0.45) + np.float32(0.95) * fractal(u * 13 + v * 4, v * 13 - u * 4, who.ivy_seed + 1, 2), 0, 1)[
        ..., None
    ]
    dark, bright = (np.array(colour, np.float32) for colour in IVY[scene.has.season])
    sight.paint(field + np.float32(0.012), (dark + (bright - dark) * leaves) * shine, part="ivy", soft=0.05)
    if scene.has.season == "snow":
        sight.paint(
            field + np.float32(0.02),
            np.array(SNOW, np.float32) * shine,
            opacity=np.clip((leaves[..., 0] - np.float32(0.62)) * 3, 0, 0.8),
        )


def _roof(scene: Scene, block: Block, face: Face) -> None:
    sight = look(scene.picture, scene.camera, face.plane, face.outline)
    if sight is None:
        return
    shine = _shine(scene, block, face, sight)
    tone = roof_tone(sight.u, sight.v, sight.pixel, 41 + len(block.name))
    colour = np.array(scene.who.roof, np.float32) * shine * tone[..., None]
    sight.area.cover(sight.share, colour, part="roof")
    if scene.has.season == "snow":
        patches = np.clip(np.float32(1.35) + np.float32(0.8) * fractal(sight.u * 3, sight.v * 3, 43, 2), 0, 0.97)
        lit = np.minimum(shine * (np.float32(0.94) + np.float32(0.08) * tone[..., None]), 1)
        sight.area.cover(sight.share * patches, np.array(SNOW, np.float32) * lit)
    else:
        sight.paint(sight.v - np.float32(0.025), colour * np.float32(0.6))


def _verges(scene: Scene, block: Block) -> None:
    """Paint the edges of the roof above a gable."""
    light, snow = scene.light, scene.has.season == "snow"
    for top, foot in block.verges:
        a, b = scene.camera.project(top), scene.camera.project(foot)
        thick = 0.024 * scene.camera.scale(top)
        low, high = (min(a[0], b[0]) - 0.05, min(a[1], b[1]) - 0.05), (max(a[0], b[0]) + 0.05, max(a[1], b[1]) + 0.05)
        area = scene.picture.window(low, high)
        if not area.frame.x.size:
            continue
        shine = light.on((0, 0.3, -0.95))
        edge = segment(area.frame.x, area.frame.y, a, b, thick)
        area.paint(edge, np.array(scene.who.roof, np.float32) * shine * np.float32(0.62), part="roof")
        if snow:
            lift = 1.3 * thick
            cap = segment(area.frame.x, area.frame.y, (a[0], a[1] - lift), (b[0], b[1] - lift), thick * 0.9)
            area.paint(cap, np.array(SNOW, np.float32) * light.on((0, 0.8, -0.6)), part="roof")


def paint_shadow(scene: Scene) -> None:
    """Paint the shadow of the church on the ground."""
    picture, sun = scene.picture, scene.light.to_sun
    area = picture.window((-1, scene.camera.horizon), (1, 1))
    x, y = area.frame.x, area.frame.y
    shadows: list[Field] = []
    for block in scene.blocks:
        if block.low[1] > 0:
            continue
        points = [_fallen(scene.camera, place, sun) for place in [*_outline(scene.who, block), *_ridge(block)]]
        shadows.append(convex(x, y, hull(points)))
    share = coverage(union(*shadows), area.frame.pixel, 0.025) * (y > np.float32(scene.camera.horizon))
    area.cover(share, area.pixels * scene.light.shadow * np.float32(0.92))


def _ridge(block: Block) -> Sequence[Place]:
    return [top for top, _ in block.verges] + [(top[0], top[1], block.high[2]) for top, _ in block.verges if block.name != "chapel"]


def _fallen(camera: Camera, place: Place, sun: Place) -> Point:
    """Return where the shadow of a place lies on the ground, in the frame."""
    x, _, z = camera.seen(place)
    height = min(place[1], 3.0) / sun[1]
    reach = min(height, 5.0)
    seen = (x - sun[0] * reach, -camera.eye, max(0.6, z - sun[2] * reach))
    return camera.to_frame(seen)
