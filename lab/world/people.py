"""People of the synthetic world: their identity, the attributes that a caption can name, and the caption itself."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

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


@dataclass(frozen=True, slots=True)
class Identity:
    """The parameters that edits preserve. Lengths are in world units (1.18 pixels at 128 × 128) unless a range is given."""

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
    backdrop: int  # index of the colour that the background fades to
    clothes: int
    collar: int  # 0 round, 1 V, 2 shirt
    hair_tint: float  # -1..1, shifts the named hair colour
    hair_volume: float  # thickness of the hair around the skull
    parting: float  # -1..1
    hat: int
    frame: int
    offset: Point  # of the head from its default position

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
    """The attributes that a caption can name and an edit can change."""

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
            raise ValueError("a person has a hat or bangs, not both: the hat would hide them")

    @classmethod
    def sample(cls, rng: random.Random) -> Attributes:
        """Sample attributes. They correlate with gender only weakly, so that most edited combinations occur in training too."""
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
"""The boolean attributes that get a phrase of their own in the caption, with that phrase."""

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
"""The attribute words of this domain, to which L_semantic holds [I] orthogonal (S²Edit, arXiv 2507.04584). Never a subject word."""


@dataclass(frozen=True, slots=True)
class Person:
    identity: Identity
    attributes: Attributes


def sample_person(seed: int) -> Person:
    """Return the person of that seed. The result is the same on every machine and in every run."""
    rng = random.Random(f"portrait-{seed}")
    return Person(Identity.sample(rng), Attributes.sample(rng))


def replace_attributes(person: Person, **changes: Any) -> Person:
    """Return the same identity with changed attributes, the ground truth of an edit. Raises `ValueError` for an unknown attribute.

    New glasses replace sunglasses and the other way round, and a new hat removes bangs.
    """
    known = {field.name for field in fields(Attributes)}
    if unknown := set(changes) - known:
        raise ValueError(f"unknown attributes: {', '.join(sorted(unknown))}; choose from {', '.join(sorted(known))}")
    if changes.get("glasses"):
        changes.setdefault("sunglasses", False)
    if changes.get("sunglasses"):
        changes.setdefault("glasses", False)
    if changes.get("hat"):
        changes.setdefault("bangs", False)
    return replace(person, attributes=replace(person.attributes, **changes))


def caption(attributes: Attributes, rng: random.Random | None = None) -> str:
    """Return the sentence that describes `attributes`.

    Without `rng` it names every attribute in a fixed order. With `rng` it shuffles the extras and omits some attributes, as
    captions that people write do.
    """
    mentioned: Callable[[float], bool] = (lambda _probability: True) if rng is None else (lambda p: rng.random() < p)
    words = ["a photo of a"]
    if attributes.expression != "neutral" and mentioned(0.95):
        words.append(attributes.expression)
    words.append(attributes.gender)
    hair: list[str] = [attributes.hair_length] if mentioned(0.6) else []
    hair += ["curly"] if attributes.curly and mentioned(0.93) else []
    hair += [attributes.hair_colour] if mentioned(0.93) else []
    phrases = [" ".join([*hair, "hair"])] if hair else []
    extras = [words for name, words in EXTRAS.items() if getattr(attributes, name) and mentioned(0.94)]
    if rng is not None:
        rng.shuffle(extras)
    phrases += extras
    if phrases:
        listed = ", ".join(phrases[:-1]) + " and " + phrases[-1] if len(phrases) > 1 else phrases[0]
        words.append(f"with {listed}")
    return " ".join(words)
