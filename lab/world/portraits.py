"""A synthetic world of portraits in which the true answer of every edit exists.

A `Person` is an `Identity` (who it is: never named in a caption) and `Attributes` (what a sentence can name).
`render` draws both; so for any edit, the right result is the same identity drawn with other attributes:

    answer = render(replace_attributes(person, hair_colour="red"))

Drawing happens `SUPERSAMPLING` times larger than the 128-pixel square and is scaled down; `draw` draws at any scale.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SIZE = 128
SUPERSAMPLING = 4
ZOOM = 1.18
FOCUS = (64.0, 69.0)  # the point that the zoom leaves in place

Gender = Literal["man", "woman"]
HairColour = Literal["black", "brown", "blond", "red", "gray"]
HairLength = Literal["short", "long"]
Expression = Literal["neutral", "smiling", "sad", "surprised"]
Colour = tuple[int, int, int]
Point = tuple[float, float]

HAIR_COLOURS: dict[str, Colour] = {
    "black": (38, 34, 38),
    "brown": (112, 70, 40),
    "blond": (232, 196, 106),
    "red": (196, 74, 32),
    "gray": (176, 178, 184),
}
SKIN_TONES: tuple[Colour, ...] = (
    (252, 222, 200),
    (242, 200, 168),
    (222, 174, 134),
    (190, 136, 96),
    (146, 98, 66),
    (104, 68, 48),
)
EYE_COLOURS: tuple[Colour, ...] = ((74, 48, 30), (52, 110, 168), (70, 128, 72), (120, 116, 112))
BACKGROUNDS: tuple[Colour, ...] = (
    (170, 200, 220),
    (214, 204, 186),
    (176, 206, 176),
    (222, 190, 194),
    (150, 156, 176),
    (236, 230, 214),
    (190, 178, 212),
)
CLOTHES: tuple[Colour, ...] = (
    (52, 76, 124),
    (150, 52, 62),
    (58, 108, 84),
    (70, 70, 78),
    (206, 200, 192),
    (204, 150, 58),
    (112, 74, 132),
)
HATS: tuple[Colour, ...] = ((44, 54, 92), (122, 46, 44), (84, 92, 60), (96, 72, 52), (60, 60, 64))
FRAMES: tuple[Colour, ...] = ((30, 28, 32), (92, 48, 30), (36, 52, 98))

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


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a person is. Lengths are in world units (1.18 pixels at 128 × 128) unless a range says otherwise."""

    skin: float  # 0..5, position along SKIN_TONES
    face_width: float  # half width
    face_height: float  # half height
    jaw: float  # 0 pointed .. 1 square
    eye_distance: float  # from the middle line to each pupil
    eye_size: float  # half width of an eye
    eye_colour: int
    brow_thickness: float
    brow_tilt: float  # outer end lower (<0) or higher (>0)
    nose_length: float
    nose_width: float
    mouth_width: float  # half width
    mole: Point | None  # relative to the face: x in -1..1, y in -1..1
    freckles: int  # 0 none .. 2 many
    background: int
    backdrop: int  # the colour the background fades to
    clothes: int
    collar: int  # 0 round, 1 V, 2 shirt
    hair_tint: float  # -1..1, shifts the named hair colour
    hair_volume: float  # thickness of the hair around the skull
    parting: float  # -1..1
    hat: int
    frame: int
    offset: Point  # of the head from the usual place

    @classmethod
    def sample(cls, rng: random.Random) -> Identity:
        return cls(
            skin=rng.uniform(0, len(SKIN_TONES) - 1),
            face_width=rng.uniform(22.5, 27.5),
            face_height=rng.uniform(29.0, 33.0),
            jaw=rng.random(),
            eye_distance=rng.uniform(9.5, 12.5),
            eye_size=rng.uniform(4.6, 6.0),
            eye_colour=rng.randrange(len(EYE_COLOURS)),
            brow_thickness=rng.uniform(1.6, 3.0),
            brow_tilt=rng.uniform(-1.2, 1.2),
            nose_length=rng.uniform(9.0, 13.0),
            nose_width=rng.uniform(3.2, 5.4),
            mouth_width=rng.uniform(7.5, 10.5),
            mole=(rng.choice((-1, 1)) * rng.uniform(0.35, 0.62), rng.uniform(0.18, 0.55)) if rng.random() < 0.35 else None,
            freckles=rng.choices((0, 1, 2), (0.7, 0.15, 0.15))[0],
            background=rng.randrange(len(BACKGROUNDS)),
            backdrop=rng.randrange(len(BACKGROUNDS)),
            clothes=rng.randrange(len(CLOTHES)),
            collar=rng.randrange(3),
            hair_tint=rng.uniform(-1, 1),
            hair_volume=rng.uniform(4.5, 8.0),
            parting=rng.uniform(-0.6, 0.6),
            hat=rng.randrange(len(HATS)),
            frame=rng.randrange(len(FRAMES)),
            offset=(rng.uniform(-3, 3), rng.uniform(-2, 2)),
        )


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a caption can name."""

    gender: Gender = "woman"
    hair_colour: HairColour = "brown"
    hair_length: HairLength = "short"
    curly: bool = False
    expression: Expression = "neutral"
    bangs: bool = False
    glasses: bool = False
    sunglasses: bool = False
    hat: bool = False
    beard: bool = False
    lipstick: bool = False
    blush: bool = False
    earrings: bool = False
    eye_shadow: bool = False

    def __post_init__(self) -> None:
        if self.glasses and self.sunglasses:
            raise ValueError("a person wears glasses or sunglasses, not both")
        if self.hat and self.bangs:
            raise ValueError("nobody has bangs under a hat: it would hide them")

    @classmethod
    def sample(cls, rng: random.Random) -> Attributes:
        """Draw attributes. Correlated with gender as weakly as reads well, so that edits stay in the world."""
        woman = rng.random() < 0.5
        lenses = rng.choices(("none", "glasses", "sunglasses"), (0.66, 0.22, 0.12))[0]
        hair_colour: HairColour = rng.choice(get_args(HairColour))
        hair_length: HairLength = rng.choices(("short", "long"), (0.35, 0.65) if woman else (0.8, 0.2))[0]
        curly = rng.random() < 0.3
        expression: Expression = rng.choices(get_args(Expression), (0.36, 0.34, 0.2, 0.1))[0]
        bangs, hat = rng.random() < 0.27, rng.random() < 0.16
        return cls(
            gender="woman" if woman else "man",
            hair_colour=hair_colour,
            hair_length=hair_length,
            curly=curly,
            expression=expression,
            bangs=bangs and not hat,
            glasses=lenses == "glasses",
            sunglasses=lenses == "sunglasses",
            hat=hat,
            beard=rng.random() < (0.02 if woman else 0.36),
            lipstick=rng.random() < (0.34 if woman else 0.05),
            blush=rng.random() < (0.3 if woman else 0.1),
            earrings=rng.random() < (0.32 if woman else 0.1),
            eye_shadow=rng.random() < (0.28 if woman else 0.04),
        )


EXTRAS: dict[str, str] = {
    "bangs": "bangs",
    "glasses": "glasses",
    "sunglasses": "sunglasses",
    "hat": "a hat",
    "beard": "a beard",
    "lipstick": "red lipstick",
    "blush": "blush",
    "earrings": "earrings",
    "eye_shadow": "eye shadow",
}
"""Attributes that a person has or has not, and the words that say so."""

WORD_BANK: tuple[str, ...] = (
    *get_args(HairColour),
    "hair",
    "long",
    "short",
    "curly",
    "smiling",
    "sad",
    "surprised",
    "bangs",
    "glasses",
    "sunglasses",
    "hat",
    "beard",
    "lipstick",
    "blush",
    "earrings",
    "shadow",
)
"""The attribute words of this domain: the bank of the orthogonality loss (DESIGN §3). Never a subject word."""


@dataclass(frozen=True, slots=True)
class Person:
    identity: Identity
    attributes: Attributes


def sample_person(seed: int) -> Person:
    """The person of that number; the same on every machine and in every run."""
    rng = random.Random(f"portrait-{seed}")
    return Person(Identity.sample(rng), Attributes.sample(rng))


def replace_attributes(person: Person, **changes: Any) -> Person:
    """The same identity with other attributes: the true answer of an edit."""
    known = {field.name for field in fields(Attributes)}
    if unknown := set(changes) - known:
        raise ValueError(f"unknown attributes: {', '.join(sorted(unknown))}; known are {', '.join(sorted(known))}")
    if changes.get("glasses"):
        changes.setdefault("sunglasses", False)
    if changes.get("sunglasses"):
        changes.setdefault("glasses", False)
    if changes.get("hat"):
        changes.setdefault("bangs", False)
    return replace(person, attributes=replace(person.attributes, **changes))


def caption(attributes: Attributes, rng: random.Random | None = None) -> str:
    """The sentence that describes `attributes`.

    Without `rng` it names every attribute in a fixed order. With `rng` the extras come in random order and some
    attributes stay unsaid, as in captions that people write.
    """
    said: Callable[[float], bool] = (lambda _probability: True) if rng is None else (lambda p: rng.random() < p)
    words = ["a photo of a"]
    if attributes.expression != "neutral" and said(0.95):
        words.append(attributes.expression)
    words.append(attributes.gender)
    hair: list[str] = [attributes.hair_length] if said(0.6) else []
    hair += ["curly"] if attributes.curly and said(0.93) else []
    hair += [attributes.hair_colour] if said(0.93) else []
    phrases = [" ".join([*hair, "hair"])] if hair else []
    extras = [words for name, words in EXTRAS.items() if getattr(attributes, name) and said(0.94)]
    if rng is not None:
        rng.shuffle(extras)
    phrases += extras
    if phrases:
        listed = ", ".join(phrases[:-1]) + " and " + phrases[-1] if len(phrases) > 1 else phrases[0]
        words.append(f"with {listed}")
    return " ".join(words)


# --- drawing -----------------------------------------------------------------------------------------------------


def _mix(a: Colour, b: Colour, share: float) -> Colour:
    """`a` moved toward `b` by `share` in 0..1."""
    r, g, bl = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return r, g, bl


def _darker(colour: Colour, share: float) -> Colour:
    return _mix(colour, (30, 16, 20), share)


def _lighter(colour: Colour, share: float) -> Colour:
    return _mix(colour, (255, 250, 240), share)


def _to_pixels(x: float, y: float, scale: int) -> Point:
    """World coordinates (a head about 50 wide, middle near (64, 63)) to pixels of a drawing `scale` times 128 pixels wide."""
    return (
        (FOCUS[0] + (x - FOCUS[0]) * ZOOM) * scale,
        (FOCUS[1] + (y - FOCUS[1]) * ZOOM) * scale,
    )


class _Canvas:
    """Draws shapes in world coordinates, and with `parts` the index of the part each pixel shows."""

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
        """A polyline with round ends."""
        scaled = [_to_pixels(x, y, self._scale) for x, y in points]
        pixels = max(1, round(width * ZOOM * self._scale))
        self._draw.line(scaled, fill=(*fill, 255), width=pixels, joint="curve")
        if self._label_draw and part:
            self._label_draw.line(scaled, fill=PARTS.index(part), width=pixels, joint="curve")
        for x, y in (points[0], points[-1]):
            self.ellipse((x, y), width / 2, width / 2, fill, part)


def _arc(centre: Point, rx: float, ry: float, start: float, end: float, steps: int = 24) -> list[Point]:
    """Points on an ellipse from angle `start` to `end`, degrees, clockwise on screen from three o'clock."""
    angles = (math.radians(start + (end - start) * i / steps) for i in range(steps + 1))
    return [(centre[0] + rx * math.cos(a), centre[1] + ry * math.sin(a)) for a in angles]


@dataclass(frozen=True, slots=True)
class _Face:
    """Places that several parts need."""

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
    def of(cls, person: Person) -> _Face:
        who, has = person.identity, person.attributes
        low = min(int(who.skin), len(SKIN_TONES) - 2)
        skin = _mix(SKIN_TONES[low], SKIN_TONES[low + 1], who.skin - low)
        named = HAIR_COLOURS[has.hair_colour]
        tinted = _lighter(named, 0.1 * who.hair_tint) if who.hair_tint > 0 else _darker(named, -0.15 * who.hair_tint)
        cx, cy = 64 + who.offset[0], 63 + who.offset[1]
        eye_y = cy - 3
        nose_y = eye_y + who.nose_length
        return cls(cx, cy, who.face_width, who.face_height, eye_y, nose_y, (nose_y + cy + who.face_height) / 2, skin, tinted)

    def outline(self, jaw: float, grow: float = 0.0) -> list[Point]:
        """The face: an ellipse above, a superellipse below whose exponent is the jaw."""
        points = []
        for i in range(72):
            a = 2 * math.pi * i / 72
            c, s = math.cos(a), math.sin(a)
            n = 2.0 + 0.9 * jaw if s > 0 else 2.0
            r = (abs(c) ** n + abs(s) ** n) ** (-1 / n)
            points.append((self.cx + (self.width + grow) * r * c, self.cy + (self.height + grow) * r * s))
        return points


def _background(who: Identity, scale: int) -> Image.Image:
    top, bottom = BACKGROUNDS[who.background], _darker(BACKGROUNDS[who.backdrop], 0.18)
    column = np.linspace(0, 1, SIZE * scale)[:, None]
    colours = np.array(top)[None] * (1 - column) + np.array(bottom)[None] * column
    pixels = np.repeat(np.rint(colours).astype(np.uint8)[:, None], SIZE * scale, axis=1)
    return Image.fromarray(np.ascontiguousarray(pixels))


def _curls(canvas: _Canvas, points: Iterable[Point], radius: float, colour: Colour) -> None:
    """Bumps along a path: what makes hair read as curly at this size."""
    for i, point in enumerate(points):
        canvas.ellipse(point, radius, radius, colour if i % 2 else _darker(colour, 0.14), "hair")


def _hair_behind(canvas: _Canvas, face: _Face, person: Person) -> None:
    who, has = person.identity, person.attributes
    volume = who.hair_volume
    shade = _darker(face.hair, 0.22)
    top = (face.cx, face.cy - 5)
    if has.hair_length == "short":
        canvas.polygon(_arc(top, face.width + volume * 0.7, face.height + volume - 5, 170, 370), shade, "hair")
        if has.curly:
            _curls(canvas, _arc(top, face.width + volume * 0.5, face.height + volume - 7, 175, 365, 14), 4.6, face.hair)
        return
    bottom = face.cy + face.height + 17
    half = face.width + volume
    sides = [(face.cx + half + 1, face.cy + 10), (face.cx + half + 2, bottom - 4), (face.cx + half - 4, bottom)]
    left = [(2 * face.cx - x, y) for x, y in reversed(sides)]
    canvas.polygon(_arc(top, half, face.height + volume - 5, 180, 360) + sides + left, shade, "hair")
    if has.curly:
        for sign in (-1, 1):
            path = [(face.cx + sign * (half + 0.5), face.cy - 8 + i * (bottom - face.cy + 8) / 8) for i in range(9)]
            _curls(canvas, path, 5.2, face.hair)


def _body(canvas: _Canvas, face: _Face, person: Person) -> None:
    who, man = person.identity, person.attributes.gender == "man"
    neck = face.width * (0.6 if man else 0.46)
    chin = face.cy + face.height
    shadow = _darker(face.skin, 0.22)
    canvas.polygon(
        [
            (face.cx - neck, chin - 14),
            (face.cx + neck, chin - 14),
            (face.cx + neck + 2, 128),
            (face.cx - neck - 2, 128),
        ],
        shadow,
        "neck",
    )
    cloth = CLOTHES[who.clothes]
    shoulder = 46 if man else 39
    top = chin + 9
    body = [
        (face.cx - shoulder - 6, 130),
        (face.cx - shoulder, top + 11),
        (face.cx - shoulder + 10, top + 5),
        (face.cx - neck - 3, top - 2),
        (face.cx + neck + 3, top - 2),
        (face.cx + shoulder - 10, top + 5),
        (face.cx + shoulder, top + 11),
        (face.cx + shoulder + 6, 130),
    ]
    canvas.polygon(body, cloth, "clothes")
    if who.collar == 0:
        canvas.ellipse((face.cx, top - 3), neck + 3, 7, _darker(cloth, 0.3), "clothes")
        canvas.ellipse((face.cx, top - 4), neck + 1, 6, shadow, "neck")
    else:
        depth = 14 if who.collar == 1 else 10
        canvas.polygon([(face.cx - neck - 2, top - 3), (face.cx + neck + 2, top - 3), (face.cx, top + depth)], shadow, "neck")
    if who.collar == 2:
        flap = _lighter(cloth, 0.4)
        for sign in (-1, 1):
            edge = face.cx + sign * (neck + 3)
            canvas.polygon([(edge, top - 5), (face.cx, top + 10), (edge + sign * 2, top + 9)], flap, "clothes")


def _head(canvas: _Canvas, face: _Face, person: Person) -> None:
    who, has = person.identity, person.attributes
    jaw = min(1.0, who.jaw * 0.6 + (0.4 if has.gender == "man" else 0.0))
    for sign in (-1, 1):
        ear = (face.cx + sign * (face.width + 0.5), face.cy + 1)
        canvas.ellipse(ear, 3.6, 6.0, _darker(face.skin, 0.1), "ears")
    canvas.polygon(face.outline(jaw), face.skin, "face")
    if has.blush:
        for sign in (-1, 1):
            centre = (face.cx + sign * who.eye_distance * 1.28, face.nose_y + 1.5)
            for grow, alpha in ((1.0, 60), (0.78, 70), (0.55, 80)):
                canvas.ellipse(centre, 6.6 * grow, 4.6 * grow, (236, 74, 92), None, alpha)
    if who.freckles:
        dots = random.Random(f"freckles-{who.freckles}")  # the same constellation for everyone: scaled to the face
        for _ in range(5 * who.freckles):
            x = dots.choice((-1, 1)) * dots.uniform(0.16, 0.66) * face.width
            point = (face.cx + x, face.nose_y - 2 + dots.uniform(-3.2, 3.2))
            canvas.ellipse(point, 0.75, 0.75, _darker(face.skin, 0.42), None)
    if who.mole:
        point = (face.cx + who.mole[0] * face.width, face.cy + who.mole[1] * face.height)
        canvas.ellipse(point, 1.5, 1.5, _darker(face.skin, 0.75), None)


def _eyes(canvas: _Canvas, face: _Face, person: Person) -> None:
    who, has = person.identity, person.attributes
    rx = who.eye_size
    ry = rx * {"neutral": 0.56, "smiling": 0.5, "sad": 0.5, "surprised": 0.8}[has.expression]
    for sign in (-1, 1):
        x, y = face.cx + sign * who.eye_distance, face.eye_y
        if has.eye_shadow:
            canvas.ellipse((x, y - ry * 0.9), rx + 1.4, ry + 1.6, (122, 84, 176), None, 215)
        canvas.ellipse((x, y), rx, ry, (250, 248, 246), "eyes")
        iris = min(ry, rx * 0.62)
        canvas.ellipse((x, y), iris, iris, EYE_COLOURS[who.eye_colour], "eyes")
        canvas.ellipse((x, y), iris * 0.52, iris * 0.52, (18, 14, 16), "eyes")
        canvas.ellipse((x + 0.9, y - 0.9), 0.65, 0.65, (255, 255, 255), "eyes")
        woman = has.gender == "woman"
        canvas.line(_arc((x, y), rx, ry, 195, 345, 12), 1.5 if woman else 0.9, (40, 28, 30), "eyes")
        if woman:
            for reach, rise in ((0.98, 0.0), (0.8, -0.55)):
                root = (x + sign * rx * reach, y + rise * ry)
                canvas.line([root, (root[0] + sign * 2.0, root[1] - 1.9)], 0.9, (40, 28, 30), "eyes")


def _brows(canvas: _Canvas, face: _Face, person: Person) -> None:
    who, has = person.identity, person.attributes
    slope = {"neutral": 0.0, "smiling": 0.3, "sad": -3.0, "surprised": 0.4}[has.expression]
    lift = {"neutral": 0.0, "smiling": 0.5, "sad": 0.0, "surprised": 3.2}[has.expression]
    thickness = who.brow_thickness * (1.15 if has.gender == "man" else 0.75)
    colour = _darker(face.hair, 0.35)
    for sign in (-1, 1):
        x, y = face.cx + sign * who.eye_distance, face.eye_y - 7.2 - lift
        inner = y + slope
        outer = y - who.brow_tilt - slope * 0.4
        middle = (x + sign * 1.0, (inner + outer) / 2 - 1.5)
        canvas.line([(x - sign * 5.4, inner), middle, (x + sign * 6.0, outer)], thickness, colour, "brows")


def _nose(canvas: _Canvas, face: _Face, who: Identity) -> None:
    shade = _darker(face.skin, 0.27)
    y, w = face.nose_y, who.nose_width
    bridge = [
        (face.cx - 1.0, face.eye_y + 2),
        (face.cx + 1.4, face.eye_y + 2),
        (face.cx + w, y),
        (face.cx - w * 0.2, y + 1),
    ]
    canvas.polygon(bridge, _darker(face.skin, 0.11), "nose")
    canvas.line(_arc((face.cx, y - 0.6), w, 2.2, 15, 165, 12), 1.3, shade, "nose")


def _mouth(canvas: _Canvas, face: _Face, person: Person) -> None:
    who, has = person.identity, person.attributes
    x, y, w = face.cx, face.mouth_y, who.mouth_width
    woman = has.gender == "woman"
    lips = (204, 22, 44) if has.lipstick else _mix(_darker(face.skin, 0.2), (196, 84, 88), 0.62 if woman else 0.36)
    fullness = (2.2 if woman else 1.5) + (0.7 if has.lipstick else 0.0)
    inside = (96, 26, 32)
    if has.expression == "smiling":
        outer = _arc((x, y - 2.2), w * 1.12, 7.0 + fullness * 0.6, 0, 180)
        inner = _arc((x, y - 1.6), w * 0.94, 5.2, 0, 180)
        canvas.polygon(outer, lips, "mouth")
        canvas.polygon(inner, inside, "mouth")
        canvas.polygon(_arc((x, y - 1.6), w * 0.88, 3.2, 0, 180), (252, 250, 246), "mouth")
        canvas.line([(x - w * 1.12, y - 2.4), (x, y - 1.9), (x + w * 1.12, y - 2.4)], fullness * 0.7, lips, "mouth")
    elif has.expression == "sad":
        canvas.line(_arc((x, y + 4.6), w * 0.92, 5.6, 205, 335), fullness * 1.25, lips, "mouth")
        canvas.line(_arc((x, y + 4.4), w * 0.84, 5.0, 205, 335), 0.8, _darker(lips, 0.5), "mouth")
    elif has.expression == "surprised":
        canvas.ellipse((x, y + 1), w * 0.52 + fullness * 0.5, 5.4 + fullness * 0.5, lips, "mouth")
        canvas.ellipse((x, y + 1), w * 0.46, 4.6, inside, "mouth")
    else:
        upper = [
            (x - w, y),
            (x - w * 0.35, y - fullness),
            (x, y - fullness * 0.5),
            (x + w * 0.35, y - fullness),
            (x + w, y),
        ]
        canvas.polygon(upper + _arc((x, y), w, fullness * 1.3, 0, 180), lips, "mouth")
        canvas.line([(x - w, y), (x, y + 0.3), (x + w, y)], 0.8, _darker(lips, 0.5), "mouth")


def _beard(canvas: _Canvas, face: _Face, person: Person) -> None:
    who = person.identity
    colour = _darker(face.hair, 0.1)
    jaw = min(1.0, who.jaw * 0.6 + 0.4)
    lower = [p for p in face.outline(jaw, grow=0.8) if p[1] > face.cy + 5]
    right, left = lower[0], lower[-1]
    inner = [
        (left[0] + 4.5, left[1] + 2),
        (face.cx - who.mouth_width - 2, face.mouth_y - 5.0),
        (face.cx, face.mouth_y - 6.2),
        (face.cx + who.mouth_width + 2, face.mouth_y - 5.0),
        (right[0] - 4.5, right[1] + 2),
    ]
    canvas.polygon(lower + inner, colour, "beard")


def _hair_in_front(canvas: _Canvas, face: _Face, person: Person) -> None:
    who, has = person.identity, person.attributes
    volume = who.hair_volume
    centre = (face.cx, face.cy - 5)
    crown = _arc(centre, face.width + volume * 0.75, face.height + volume - 5, 182, 358)
    part = face.cx + who.parting * face.width
    line = face.cy - face.height * 0.62
    hairline = [
        (face.cx + face.width - 1.0, face.eye_y - 4),
        (face.cx + face.width * 0.82, line + 5),
        (part + 7, line - 1.5),
        (part, line - 4.5),
        (part - 7, line - 1.5),
        (face.cx - face.width * 0.82, line + 5),
        (face.cx - face.width + 1.0, face.eye_y - 4),
    ]
    canvas.polygon(crown + hairline, face.hair, "hair")
    if has.hair_length == "long":
        for sign in (-1, 1):
            x = face.cx + sign * face.width
            lock = [
                (x - sign * 1.5, face.eye_y - 6),
                (x + sign * volume * 0.8, face.eye_y - 8),
                (x + sign * (volume + 1.5), face.cy + face.height + 14),
                (x + sign * 1.0, face.cy + face.height + 17),
                (x - sign * 3.0, face.cy + face.height + 9),
                (x + sign * 1.0, face.cy + 12),
            ]
            canvas.polygon(lock, face.hair, "hair")
    shine = _lighter(face.hair, 0.2)
    if has.curly:
        _curls(canvas, _arc(centre, face.width + volume * 0.4, face.height + volume - 9, 188, 352, 11), 5.0, face.hair)
        _curls(canvas, _arc(centre, face.width * 0.72, face.height * 0.84, 208, 332, 7), 4.2, face.hair)
    else:
        arc = _arc(centre, face.width * 0.78, face.height + volume * 0.4 - 6, 215, 275)
        canvas.line(arc, 1.8, shine, "hair")
    if has.bangs:
        _bangs(canvas, face, has)


def _bangs(canvas: _Canvas, face: _Face, has: Attributes) -> None:
    top, low = face.cy - face.height * 0.78, face.eye_y - 8.5
    left, right = face.cx - face.width * 0.9, face.cx + face.width * 0.9
    teeth = 7
    fringe = [
        (left + (right - left) * i / (2 * teeth), low + (1.6 if i % 2 else -2.4) - 1.5 * abs(i / teeth - 1))
        for i in range(2 * teeth + 1)
    ]
    canvas.polygon([(right, top), (left, top), *fringe], face.hair, "hair")
    dark = _darker(face.hair, 0.3)
    for i in range(2, 2 * teeth, 2):
        x = left + (right - left) * i / (2 * teeth)
        canvas.line([(face.cx + (x - face.cx) * 0.8, top + 3), (x, low - 3)], 0.8, dark, "hair")
    if has.curly:
        _curls(canvas, [(left + (right - left) * (i + 0.5) / 7, low - 1.5) for i in range(7)], 3.6, face.hair)


def _lenses(canvas: _Canvas, face: _Face, person: Person) -> None:
    who, has = person.identity, person.attributes
    frame = FRAMES[who.frame] if has.glasses else (26, 24, 28)
    rx, ry = 8.4, 6.8
    y = face.eye_y + 0.6
    for sign in (-1, 1):
        x = face.cx + sign * max(who.eye_distance, rx + 1.4)
        ring = _arc((x, y), rx, ry, 0, 360, 36)
        if has.sunglasses:
            canvas.polygon(ring, (34, 34, 42), "glasses")
            canvas.line(_arc((x, y), rx * 0.62, ry * 0.6, 190, 250, 8), 1.2, (120, 124, 138), "glasses")
        canvas.line(ring, 1.9, frame, "glasses")
        canvas.line([(x + sign * rx, y - 1.5), (face.cx + sign * (face.width + 1.5), y - 2.5)], 1.7, frame, "glasses")
    gap = max(who.eye_distance, rx + 1.4) - rx
    canvas.line(_arc((face.cx, y - 0.5), gap, 2.0, 180, 360, 8), 1.7, frame, "glasses")


def _hat(canvas: _Canvas, face: _Face, who: Identity) -> None:
    colour = HATS[who.hat]
    brim_y = face.cy - face.height * 0.56
    half = face.width + who.hair_volume * 0.75
    top = max(15.0, face.cy - face.height - 18)
    crown = [
        (face.cx - half - 1.0, brim_y),
        (face.cx - half + 3, top + 8),
        (face.cx - half * 0.55, top),
        (face.cx, top + 2.5),
        (face.cx + half * 0.55, top),
        (face.cx + half - 3, top + 8),
        (face.cx + half + 1.0, brim_y),
    ]
    canvas.polygon(crown, colour, "hat")
    band = [
        (face.cx - half - 1, brim_y),
        (face.cx - half, brim_y - 7),
        (face.cx + half, brim_y - 7),
        (face.cx + half + 1, brim_y),
    ]
    canvas.polygon(band, _lighter(colour, 0.45), "hat")
    canvas.ellipse((face.cx, brim_y), half + 12, 4.6, _darker(colour, 0.2), "hat")


def _earrings(canvas: _Canvas, face: _Face) -> None:
    for sign in (-1, 1):
        centre = (face.cx + sign * (face.width + 2.0), face.cy + 10.5)
        canvas.ellipse(centre, 3.1, 4.0, (156, 112, 22), "earrings")
        canvas.ellipse((centre[0] - 0.4, centre[1] - 0.6), 2.1, 2.8, (250, 212, 84), "earrings")


def _draw(person: Person, scale: int = SUPERSAMPLING, *, parts: bool) -> _Canvas:
    who, has = person.identity, person.attributes
    face = _Face.of(person)
    canvas = _Canvas(_background(who, scale), scale, parts=parts)
    _hair_behind(canvas, face, person)
    _body(canvas, face, person)
    _head(canvas, face, person)
    _eyes(canvas, face, person)
    _nose(canvas, face, who)
    if has.beard:
        _beard(canvas, face, person)
    _mouth(canvas, face, person)
    _brows(canvas, face, person)
    _hair_in_front(canvas, face, person)
    if has.earrings:
        _earrings(canvas, face)
    if has.glasses or has.sunglasses:
        _lenses(canvas, face, person)
    if has.hat:
        _hat(canvas, face, who)
    return canvas


def render(person: Person, size: int = SIZE) -> Image.Image:
    """The portrait: RGB, `size` pixels square."""
    return _draw(person, parts=False).image.resize((size, size), Image.Resampling.LANCZOS)


def draw(person: Person, scale: int) -> tuple[Image.Image, NDArray[np.uint8]]:
    """The portrait as drawn, RGB and `128 · scale` pixels square, and the index among `PARTS` that each pixel shows.

    Edges are hard: scale down for soft ones.
    """
    canvas = _draw(person, scale, parts=True)
    assert canvas.labels is not None
    return canvas.image, np.asarray(canvas.labels)


def part_masks(person: Person, size: int = SIZE) -> dict[PartName, NDArray[np.float32]]:
    """How much of each pixel shows each part, `(size, size)` in 0..1; the parts of a pixel add up to one."""
    labels = _draw(person, parts=True).labels
    assert labels is not None
    index = np.asarray(labels)
    block = index.shape[0] // size
    if size * block != index.shape[0]:
        raise ValueError(f"size must divide {index.shape[0]}, got {size}")
    counts = (index == np.arange(len(PARTS), dtype=index.dtype)[:, None, None]).astype(np.float32)
    shares = counts.reshape(len(PARTS), size, block, size, block).mean(axis=(2, 4))
    return dict(zip(PARTS, shares, strict=True))


def person_mask(person: Person, size: int = SIZE) -> Image.Image:
    """The identity mask: head, hair and what is worn on the head (not neck and clothes); 8-bit grey, 255 inside."""
    masks = part_masks(person, size)
    covered = 1.0 - masks["background"] - masks["clothes"] - masks["neck"]
    return Image.fromarray(np.rint(covered.clip(0, 1) * 255).astype(np.uint8))
