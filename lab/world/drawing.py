"""Shape drawing in world coordinates, and the layout of a face."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from lab.world.people import BACKGROUNDS, HAIR_COLOURS, SKIN_TONES, Colour, Identity, Person, Point

SIZE = 128
SUPERSAMPLING = 4
ZOOM = 1.18
FOCUS = (64.0, 69.0)  # fixed point of the zoom

PARTS = (
    "background",
    "clothes",
    "neck",
    "ears",
    "face",
    "hair",
    "eyes",
    "brows",
    "nose",
    "mouth",
    "beard",
    "glasses",
    "hat",
    "earrings",
)
PartName = str


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """Interpolate from `a` to `b` by `share` in 0..1."""
    r, g, bl = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return r, g, bl


def darker(colour: Colour, share: float) -> Colour:
    return mix(colour, (30, 16, 20), share)


def lighter(colour: Colour, share: float) -> Colour:
    return mix(colour, (255, 250, 240), share)


def _to_pixels(x: float, y: float, scale: int) -> Point:
    """Convert world coordinates to pixels of a drawing `128 · scale` wide. A head is about 50 world units wide, near (64, 63)."""
    return (
        (FOCUS[0] + (x - FOCUS[0]) * ZOOM) * scale,
        (FOCUS[1] + (y - FOCUS[1]) * ZOOM) * scale,
    )


class ShapeCanvas:
    """A canvas for shapes in world coordinates. With `parts`, it also labels each pixel with the index of the part it shows."""

    def __init__(self, background: Image.Image, scale: int, *, parts: bool) -> None:
        self.image = background
        self._scale = scale
        self._draw = ImageDraw.Draw(background, "RGBA")
        self.labels = Image.new("L", background.size, 0) if parts else None
        self._label_draw = ImageDraw.Draw(self.labels) if self.labels else None

    def polygon(self, points: Iterable[Point], fill: Colour, part: PartName | None, alpha: int = 255) -> None:
        scaled = [_to_pixels(x, y, self._scale) for x, y in points]
        self._draw.polygon(scaled, fill=(*fill, alpha))
        if self._label_draw and part:
            self._label_draw.polygon(scaled, fill=PARTS.index(part))

    def ellipse(self, centre: Point, rx: float, ry: float, fill: Colour, part: PartName | None, alpha: int = 255) -> None:
        x, y = centre
        box = (*_to_pixels(x - rx, y - ry, self._scale), *_to_pixels(x + rx, y + ry, self._scale))
        self._draw.ellipse(box, fill=(*fill, alpha))
        if self._label_draw and part:
            self._label_draw.ellipse(box, fill=PARTS.index(part))

    def line(self, points: Sequence[Point], width: float, fill: Colour, part: PartName | None) -> None:
        """Draw a polyline with round ends."""
        scaled = [_to_pixels(x, y, self._scale) for x, y in points]
        pixels = max(1, round(width * ZOOM * self._scale))
        self._draw.line(scaled, fill=(*fill, 255), width=pixels, joint="curve")
        if self._label_draw and part:
            self._label_draw.line(scaled, fill=PARTS.index(part), width=pixels, joint="curve")
        for x, y in (points[0], points[-1]):
            self.ellipse((x, y), width / 2, width / 2, fill, part)


def ellipse_arc(centre: Point, rx: float, ry: float, start: float, end: float, steps: int = 24) -> list[Point]:
    """Return points on an ellipse from angle `start` to `end`, in degrees clockwise on screen from three o'clock."""
    angles = (math.radians(start + (end - start) * i / steps) for i in range(steps + 1))
    return [(centre[0] + rx * math.cos(a), centre[1] + ry * math.sin(a)) for a in angles]


@dataclass(frozen=True, slots=True)
class FaceLayout:
    """Coordinates and colours that several facial features share, in world units."""

    cx: float
    cy: float
    width: float
    height: float
    eye_y: float
    nose_y: float
    mouth_y: float
    skin: Colour
    hair: Colour

    @classmethod
    def of(cls, person: Person) -> FaceLayout:
        who, has = person.identity, person.attributes
        low = min(int(who.skin), len(SKIN_TONES) - 2)
        skin = mix(SKIN_TONES[low], SKIN_TONES[low + 1], who.skin - low)
        named = HAIR_COLOURS[has.hair_colour]
        tinted = lighter(named, 0.1 * who.hair_tint) if who.hair_tint > 0 else darker(named, -0.15 * who.hair_tint)
        cx, cy = 64 + who.offset[0], 63 + who.offset[1]
        eye_y = cy - 3
        nose_y = eye_y + who.nose_length
        return cls(cx, cy, who.face_width, who.face_height, eye_y, nose_y, (nose_y + cy + who.face_height) / 2, skin, tinted)

    def outline(self, jaw: float, grow: float = 0.0) -> list[Point]:
        """Return the outline: an ellipse above the centre, below it a superellipse whose exponent grows with `jaw`."""
        points = []
        for i in range(72):
            a = 2 * math.pi * i / 72
            c, s = math.cos(a), math.sin(a)
            n = 2.0 + 0.9 * jaw if s > 0 else 2.0
            r = (abs(c) ** n + abs(s) ** n) ** (-1 / n)
            points.append((self.cx + (self.width + grow) * r * c, self.cy + (self.height + grow) * r * s))
        return points


def draw_background(who: Identity, scale: int) -> Image.Image:
    top, bottom = BACKGROUNDS[who.background], darker(BACKGROUNDS[who.backdrop], 0.18)
    column = np.linspace(0, 1, SIZE * scale)[:, None]
    colours = np.array(top)[None] * (1 - column) + np.array(bottom)[None] * column
    pixels = np.repeat(np.rint(colours).astype(np.uint8)[:, None], SIZE * scale, axis=1)
    return Image.fromarray(np.ascontiguousarray(pixels))
