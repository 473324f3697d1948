"""Portraits of people: from a subject to a picture and its parts."""

from __future__ import annotations

import numpy as np

from lab.world.domain import Subject
from lab.world.painting.fields import Field
from lab.world.painting.picture import Picture
from lab.world.person import body, complexion, eyes, hair, mouth, worn
from lab.world.person.canvas import Skin
from lab.world.person.geometry import Placement, march
from lab.world.person.head import Face
from lab.world.person.light import Light

PARTS = ("background", "clothes", "neck", "skin", "hair", "beard", "eyes", "brows", "mouth", "earrings", "lenses", "hat")
OUTSIDE = ("background", "clothes", "neck")
"""The parts that do not belong to the identity mask."""
GRAIN = 0.010
YAW = (28.0, 35.0)
PITCH = 20.0


def placement_of(subject: Subject) -> Placement:
    """Return how the subject holds the head."""
    setting, pose = subject.setting, subject.attributes.pose
    turned = YAW[0] + (YAW[1] - YAW[0]) * setting.turn
    yaw = {"left": turned, "right": -turned}.get(pose, setting.sway[0])
    pitch = PITCH + 0.5 * setting.sway[1] if pose == "up" else setting.sway[1]
    x, y = setting.offset
    return Placement.of(
        yaw,
        pitch,
        setting.roll,
        (x + (0.03 if pose == "left" else -0.03 if pose == "right" else 0), y + 0.36),
        1.25 * setting.scale,
    )


def paint(subject: Subject, size: int, *, parts: bool) -> Picture:
    """Paint the portrait without film grain. `parts`: keep track of what each pixel shows."""
    light, placement, face = Light.of(subject.setting), placement_of(subject), Face.of(subject)
    locks = hair.Hair.of(subject)
    picture = Picture(size, body.backdrop(subject.setting, size), PARTS if parts else ())
    strands = hair.Locks.of(locks, picture, placement)
    strands.paint_back(subject, light)
    body.Body(picture, placement, subject, light).paint()
    near = [side for side in (-1, 1) if worn.ear_facing(placement, side) > 0.2]
    for side in (-1, 1):
        if side not in near and worn.ear_facing(placement, side) > -0.25:
            worn.paint_ear(picture, placement, side, subject, face, light)
    depth = _head(picture, placement, subject, face, locks, light)
    for side in near:
        worn.paint_ear(picture, placement, side, subject, face, light)
    if subject.attributes.glasses or subject.attributes.sunglasses:
        worn.paint_temples(picture, placement, subject, face)
    strands.paint_front(subject, light, depth)
    depth[strands.at] = np.maximum(depth[strands.at], strands.surface.solid_depth(placement))
    _worn(picture, placement, subject, face, locks, light, depth)
    return picture


def _head(picture: Picture, placement: Placement, subject: Subject, face: Face, locks: hair.Hair, light: Light) -> Field:
    """Paint the head without hair. Return its depth in each pixel, very far where there is none."""
    has = subject.attributes
    x, y, _ = placement.project((0, -0.02, 0))
    reach = (0.52 * placement.scale, 0.66 * placement.scale)
    view = picture.window((x - reach[0], y - reach[1]), (x + reach[0], y + reach[1]))
    surface = march(face.solid, placement, view.frame)
    skin = Skin(view, surface, placement)
    behind = view.pixels.copy()
    albedo = complexion.base(skin, subject, face)
    view.cover(surface.inside, albedo, part="skin")
    view.pixels[:] = albedo
    complexion.paint_wrinkles(skin, subject, face)
    complexion.paint_marks(skin, subject, face)
    if has.makeup:
        complexion.paint_blush(skin, subject)
    mouth.paint_nostrils(skin, subject, face)
    beard = hair.paint_beard(skin, subject, face) if has.beard else None
    mouth.paint_mouth(skin, subject, face)
    eyes.paint_eyes(skin, subject, face)
    eyes.paint_brows(skin, subject, face)
    dark = hair.shadow_on_face(locks, surface, light)
    if has.hat:
        brim = 0.15 if subject.identity.hat in ("fedora", "cap") else 0.07
        dark = np.maximum(dark, np.clip(1 - worn.below_hat(surface) / brim, 0, 1))
    factor = light.on_skin(surface.normal, surface.hollow, 0.62 * dark)
    if beard is not None:
        factor += (1.1 * light.on_cloth(surface.normal, surface.hollow) - factor) * beard[..., None]
    view.pixels *= factor
    shine = np.clip(sum(n * h for n, h in zip(surface.normal, _half(light), strict=True)), 0, 1)
    gloss = {"young": 0.13, "adult": 0.12, "old": 0.08}[has.age] * (1 - 0.4 * has.makeup)
    view.pixels += (gloss * light.strength * shine**22 * (1 - dark))[..., None]
    eyes.paint_sparks(skin, subject, face, light)
    view.pixels[:] = behind + (view.pixels - behind) * surface.inside[..., None]
    depth = np.full_like(picture.frame.x, -9)
    at = picture.frame.window((x - reach[0], y - reach[1]), (x + reach[0], y + reach[1]))
    depth[at] = surface.solid_depth(placement)
    return depth


def _half(light: Light) -> tuple[float, float, float]:
    x, y, z = light.direction
    length = (x * x + y * y + (z + 1) ** 2) ** 0.5
    return x / length, y / length, (z + 1) / length


def _worn(
    picture: Picture, placement: Placement, subject: Subject, face: Face, locks: hair.Hair, light: Light, depth: Field
) -> None:
    has = subject.attributes
    if has.earrings:
        for side in (-1, 1):
            if worn.ear_facing(placement, side) > -0.2:
                worn.paint_earring(picture, placement, side, subject, face, light)
    if has.glasses or has.sunglasses:
        worn.paint_glasses(picture, placement, subject, light)
    if has.hat:
        worn.paint_hat(picture, placement, subject, locks, light, depth)


def finish(picture: Picture, subject: Subject) -> None:
    """Add film grain."""
    picture.grain(GRAIN, subject.setting.seed)


def parts(subject: Subject, size: int = 128) -> dict[str, Field]:
    """Return the share of each part in each pixel, `(size, size)` in 0..1. The shares of a pixel add up to one."""
    return paint(subject, size, parts=True).parts
