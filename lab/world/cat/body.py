"""Neck, chest and shoulders, the ruff of a fluffy cat, and the head with its fur."""

from __future__ import annotations

import numpy as np

from lab.world.cat.build import Build
from lab.world.cat.coat import body_coat, head_coat, step
from lab.world.cat.form import Ball, surface
from lab.world.cat.fur import lit, ragged, rim, strands
from lab.world.painting.fields import Field, coverage
from lab.world.painting.picture import Picture, Pixels

TORSO = (
    Ball((0.0, 0.34, -0.10), (0.30, 0.36, 0.28)),
    Ball((0.0, 0.86, 0.02), (0.36, 0.52, 0.34)),
    Ball((-0.24, 1.05, -0.05), (0.30, 0.48, 0.30)),
    Ball((0.24, 1.05, -0.05), (0.30, 0.48, 0.30)),
)
RUFF = (
    Ball((0.0, 0.40, -0.04), (0.46, 0.34, 0.30)),
    Ball((0.0, 0.72, 0.06), (0.36, 0.38, 0.32)),
)


def draw_body(picture: Picture, build: Build) -> None:
    """Draw neck, chest and shoulders. They stay as they are when the head turns."""
    view = picture.window((-0.78, 0.0), (0.78, 1.4))
    fluffy, seed = build.has.fluffy, build.who.seed
    form = surface(view.frame, build.upright, TORSO + (RUFF if fluffy else ()), join=0.16, sharp=0.07)
    x, y = view.frame.x, view.frame.y
    across = x / (np.float32(0.55) + np.float32(0.55) * np.clip(y, 0, 1))
    fur = strands(across, y + 0.4 * np.abs(x), seed + 40, 1.5 if fluffy else 1.0)
    length = 0.085 if fluffy else 0.022
    outline = ragged(form.outline, y * 0.9 + np.sign(x) * 3, length, seed + 50, 2.0 if fluffy else 1.1)
    share = coverage(outline, view.frame.pixel, 0.045 if fluffy else 0.025)
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
    share = coverage(outline, view.frame.pixel, 0.04 if fluffy else 0.022)
    coat = head_coat(build, (x, y, z), fur)
    colours = _furry(coat, fur, lit(form.normal, build.setting, 0.45 * fur), rim(form.normal, build.setting), fluffy)
    view.cover(share, colours, part="head")


def _outline(build: Build, outline: Field, angle: Field, x: Field, y: Field) -> Field:
    """Return the ragged outline of the head: tufts at the cheeks, short hairs on top."""
    fluffy = build.has.fluffy
    cheeks = step(0.15, 0.42, np.abs(x)) * step(-0.10, 0.12, y) * step(0.50, 0.26, y)
    length = (0.028 + 0.10 * cheeks) if fluffy else (0.012 + 0.028 * cheeks)
    wide = outline - np.float32(0.055 if fluffy else 0.018) * cheeks
    return ragged(wide, angle * 0.45, length, build.who.seed + 70, 1.7 if fluffy else 1.0)
