"""A photo of a church: the landscape, the building, and what stands before it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageFilter

from lab.world.church.additions import paint_flags, paint_scaffolding
from lab.world.church.building import Scene, paint_building, paint_shadow
from lab.world.church.camera import Camera
from lab.world.church.landscape import add_haze, paint_ground, paint_hills, paint_path, paint_rainbow, paint_sky
from lab.world.church.light import Light, light
from lab.world.church.openings import GLOW
from lab.world.church.plan import extent, plan
from lab.world.church.subject import Attributes, Identity, Setting, View
from lab.world.church.trees import paint_bush, paint_tree
from lab.world.domain import Subject
from lab.world.painting.fields import Point
from lab.world.painting.picture import Picture

PARTS = ("sky", "hills", "ground", "trees", "wall", "roof", "spire", "windows", "door", "cross", "ivy", "scaffolding", "flags")
BUILDING = PARTS[PARTS.index("wall") :]
"""The parts that the identity mask holds: the church and what is put on it."""

TURNS: dict[View, float] = {"front": 0.0, "left": 0.72, "right": -0.72}
"""Radians around the church at which each view stands."""
DISTANCE = 7.5
GROUND = 0.6
"""y in the frame of the ground in the middle of the church."""


def camera(who: Identity, has: Attributes, setting: Setting) -> Camera:
    """Return the camera of a photo. All views of a church use the same focal length, in which each of them fits the frame."""
    pivot = 0.35 * who.nave_length
    spans = [_span(who, turn, pivot) for turn in TURNS.values()]
    width, height = max(high - low for low, high, _ in spans), max(height for _, _, height in spans)
    focal = min(1.48 / height, 1.72 / width) * setting.scale
    turn = TURNS[has.view] + (setting.turn if has.view == "front" else 0.5 * setting.turn)
    low, high, _ = _span(who, turn, pivot)
    x, y = setting.offset
    eye = (GROUND + y - setting.horizon) * DISTANCE / focal
    return Camera(turn, pivot, DISTANCE, focal, eye, setting.horizon, x - focal * (low + high) / 2)


@lru_cache(maxsize=64)
def _span(who: Identity, turn: float, pivot: float) -> tuple[float, float, float]:
    """Return the leftmost and the rightmost x of the church in the frame, and its height, with a focal length of one."""
    plain = Camera(turn, pivot, DISTANCE, 1.0, 0.0, 0.0, 0.0)
    shown = [plain.project(place) for place in extent(who)]
    xs = [x for x, _ in shown]
    return min(xs), max(xs), max(-y for _, y in shown)


def photo(subject: Subject, size: int) -> Picture:
    """Return the finished picture with its parts."""
    who, has, setting = subject.identity, subject.attributes, subject.setting
    shine = light(has, setting)
    picture = Picture(size, (0, 0, 0), PARTS)
    scene = Scene(picture, camera(who, has, setting), shine, who, has, plan(who))
    _paint_behind(scene, setting)
    paint_building(scene)
    if has.scaffolding:
        paint_scaffolding(scene)
    if has.flags:
        paint_flags(scene, setting.sun_side)
    for bush in setting.bushes:
        paint_bush(picture, bush, shine, has)
    if shine.night:
        _bloom(picture)
    if has.weather == "fog":
        add_haze(picture, _fog(shine), 0.42, setting)
    picture.grain(0.008, setting.grain_seed)
    return picture


def _paint_behind(scene: Scene, setting: Setting) -> None:
    """Paint the landscape: all that the church hides."""
    picture, shine, has = scene.picture, scene.light, scene.has
    paint_sky(picture, shine, setting, has.weather == "fog")
    if has.weather == "rainbow":
        paint_rainbow(picture, setting)
    paint_hills(picture, shine, has, setting)
    if has.weather == "fog":
        add_haze(picture, _fog(shine), 0.72, setting)
    paint_ground(picture, shine, has, setting)
    door, half = _threshold(scene)
    paint_path(picture, shine, has, setting, door, half)
    for tree in setting.trees:
        paint_tree(picture, tree, shine, has)
    if has.weather == "fog":
        add_haze(picture, _fog(shine), 0.5, setting)
    paint_shadow(scene)


def _threshold(scene: Scene) -> tuple[Point, float]:
    """Return where the path begins, and its half width there."""
    who = scene.who
    z = -2 * who.tower_width if who.towers == "middle" else (-0.34 if who.porch else 0.0)
    place = (0.0, 0.0, z - 0.02)
    return scene.camera.project(place), (who.door_width + 0.06) * scene.camera.scale(place)


def _fog(shine: Light) -> np.ndarray:
    if shine.night:
        return np.array((0.25, 0.29, 0.39), np.float32)
    return np.array(shine.haze, np.float32) * np.float32(0.6) + np.float32(0.36)


def _bloom(picture: Picture) -> None:
    """Let the lit windows shine into the air around them."""
    bright = np.clip(picture.pixels[..., 0] * 1.6 - 0.6, 0, 1) * picture.parts["windows"]
    size = len(bright)
    blurred = Image.fromarray(np.rint(bright * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.028 * size))
    glow = np.asarray(blurred, dtype=np.float32) / 255
    picture.pixels += glow[..., None] * np.array(GLOW, np.float32) * np.float32(0.55)
