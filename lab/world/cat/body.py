"""Neck, chest and shoulders, the ruff of a fluffy cat, and the head with its fur."""

from __future__ import annotations

import numpy as np

from lab.world.cat.build import Build
from lab.world.cat.coat import body_coat, head_coat, step
from lab.world.cat.form import surface
from lab.world.cat.fur import apart, lit, ragged, rim, strands
from lab.world.painting.fields import Field, coverage
from lab.world.painting.picture import Picture, Pixels


def draw_body(picture: Picture, build: Build) -> None:
    """Draw neck, chest and shoulders. They stay as they are when the head turns."""
    view = picture.window((-0.78, 0.0), (0.78, 1.4))
    fluffy, seed = build.has.fluffy, build.who.seed
    form = surface(view.frame, build.upright, build.torso, join=0.16, sharp=0.07)
    x, y = view.frame.x, view.frame.y
    across = x / (np.float32(0.55) + np.float32(0.55) * np.clip(y, 0, 1))
    aside: Field = np.abs(x)
    fur = strands(across, y + np.float32(0.4) * aside, seed + 40, 1.5 if fluffy else 1.0)
    length = 0.10 if fluffy else 0.03
    outline = ragged(form.outline, apart(y, x > 0), length, seed + 50, 1.6 if fluffy else 1.0)
    share = coverage(outline, view.frame.pixel, 0.03 if fluffy else 0.022)
    colours = body_coat(build, x, y, fur)
    colours = _furry(colours, fur, lit(form.normal, build.setting, 0.5 * fur), rim(form.normal, build.setting), fluffy)
    colours *= _shadow_of_head(build, x, y)[..., None]
    view.cover(share, colours, part="body")


def _shadow_of_head(build: Build, x: Field, y: Field) -> Field:
    """Return the shadow that the head casts on neck and chest."""
    side = np.float32(build.setting.light_side)
    reach = np.hypot((x + 0.10 * side) / 0.50, (y - 0.16) / 0.40)
    field: Field = 1 - np.float32(0.52) * step(1.12, 0.55, reach)
    return field


def _furry(coat: Pixels, fur: Field, light: Pixels, edge: Field, fluffy: bool) -> Pixels:
    """Return the coat in its light: strands that are darker at their roots, and a bright rim."""
    depth = np.float32(0.20 if fluffy else 0.15)
    level = coat.mean(axis=2, keepdims=True)
    texture = 1 + depth * fur[..., None] * (1.35 - 0.7 * level)
    sheen = np.clip(fur, 0, 1)[..., None] * np.float32(0.05) * (1 - level)
    colours: Pixels = (coat * texture + sheen) * light
    colours += edge[..., None] * (np.float32(0.55) * (0.35 + 0.65 * coat))
    return colours


def draw_head(picture: Picture, build: Build) -> None:
    """Draw the head without ears and features: its form, its coat and its fur."""
    fluffy, seed = build.has.fluffy, build.who.seed
    view = picture.window((-0.85, -0.72), (0.85, 0.66))
    form = surface(view.frame, build.head, build.balls)
    x, y, z = form.local
    top = y - np.float32(0.10)
    reach = np.hypot(x, top)
    angle = np.arctan2(x, -top)
    fur = strands(angle * 0.42, reach, seed, 1.25 if fluffy else 0.9)
    fur *= step(0.05, 0.22, reach) * np.float32(0.8) + np.float32(0.2)
    outline = _outline(build, form.outline, angle, x, y)
    share = coverage(outline, view.frame.pixel, 0.03 if fluffy else 0.02)
    coat = head_coat(build, (x, y, z), fur)
    colours = _furry(coat, fur, lit(form.normal, build.setting, 0.45 * fur), rim(form.normal, build.setting), fluffy)
    view.cover(share, colours, part="head")


def _outline(build: Build, outline: Field, angle: Field, x: Field, y: Field) -> Field:
    """Return the ragged outline of the head: tufts at the cheeks, short hairs on top."""
    fluffy = build.has.fluffy
    cheeks = step(0.15, 0.42, np.abs(x)) * step(-0.10, 0.12, y) * step(0.50, 0.26, y)
    length = (0.035 + 0.10 * cheeks) if fluffy else (0.018 + 0.03 * cheeks)
    wide = outline - np.float32(0.05 if fluffy else 0.01) * cheeks
    return ragged(wide, apart(np.abs(angle) * np.float32(0.45), x > 0), length, build.who.seed + 70, 1.4 if fluffy else 0.9)
