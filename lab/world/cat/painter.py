"""The picture of a cat, painted back to front."""

from __future__ import annotations

from lab.world.cat.attributes import Attributes
from lab.world.cat.body import draw_body, draw_head
from lab.world.cat.build import Build
from lab.world.cat.ears import draw_ears
from lab.world.cat.face import draw_eyes, draw_mouth, draw_nose, draw_whiskers
from lab.world.cat.identity import Identity
from lab.world.cat.setting import Setting, backdrop
from lab.world.cat.worn import draw_collar, draw_glasses, draw_hat
from lab.world.painting.fields import Frame
from lab.world.painting.picture import Picture

PARTS = ("background", "body", "collar", "ears", "head", "mouth", "eyes", "lenses", "hat")
GRAIN = 0.012
CLOSE = 1.17
"""Enlargement of the whole cat, so that the head fills about as much of the frame as a portrait's."""


def paint(who: Identity, has: Attributes, setting: Setting, size: int) -> Picture:
    """Return the finished picture with the shares of its parts."""
    picture = backdrop(setting, size, PARTS)
    whole = picture.frame
    (dx, dy), scale = setting.offset, CLOSE * setting.scale * (0.97 if has.young else 1.0)
    dy += 0.09
    picture.frame = Frame((whole.x - dx) / scale, (whole.y - dy) / scale, whole.pixel / scale)
    build = Build(who, has, setting)
    draw_body(picture, build)
    if has.collar:
        draw_collar(picture, build)
    draw_ears(picture, build)
    draw_head(picture, build)
    draw_mouth(picture, build)
    draw_nose(picture, build)
    draw_eyes(picture, build)
    if has.glasses:
        draw_glasses(picture, build)
    draw_whiskers(picture, build)
    if has.hat:
        draw_hat(picture, build)
    picture.frame = whole
    picture.grain(GRAIN, setting.seed)
    return picture
