"""People: the identity that edits keep, the attributes that captions name, and the setting of a photo."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Literal, get_args

Colour = tuple[float, float, float]
Point = tuple[float, float]

Gender = Literal["man", "woman"]
HairColour = Literal["black", "brown", "blond", "red", "gray"]
HairLength = Literal["short", "long"]
Expression = Literal["neutral", "smiling", "sad", "surprised"]
Pose = Literal["front", "left", "right", "up"]
Age = Literal["young", "adult", "old"]
HatKind = Literal["beanie", "fedora", "cap", "beret"]
EarringKind = Literal["studs", "hoops", "drops"]
FrameKind = Literal["round", "square", "oval"]
ClothesKind = Literal["tee", "v-neck", "shirt", "turtleneck", "hoodie", "blazer"]
BackdropKind = Literal["gradient", "bokeh", "wall", "foliage"]

EYE_COLOURS: tuple[Colour, ...] = (
    (0.36, 0.21, 0.11),
    (0.24, 0.14, 0.09),
    (0.47, 0.36, 0.16),
    (0.30, 0.47, 0.27),
    (0.25, 0.47, 0.70),
    (0.46, 0.52, 0.56),
)
LIPSTICKS: dict[str, Colour] = {
    "red": (0.78, 0.06, 0.12),
    "pink": (0.93, 0.34, 0.56),
    "plum": (0.45, 0.08, 0.28),
    "coral": (0.96, 0.36, 0.26),
    "orange": (0.92, 0.38, 0.08),
    "nude": (0.66, 0.36, 0.28),
}
BLUSHES: dict[str, Colour] = {"rose": (0.90, 0.30, 0.38), "peach": (0.96, 0.46, 0.30), "berry": (0.70, 0.18, 0.36)}
SHADOWS: dict[str, Colour] = {
    "blue": (0.16, 0.36, 0.82),
    "green": (0.10, 0.55, 0.36),
    "purple": (0.46, 0.20, 0.66),
    "gold": (0.86, 0.62, 0.18),
    "pink": (0.90, 0.32, 0.58),
    "smoke": (0.22, 0.20, 0.24),
}
LINERS: tuple[Colour, ...] = ((0.05, 0.04, 0.06), (0.22, 0.11, 0.06), (0.07, 0.10, 0.36))


def _near(rng: random.Random, colour: Colour, spread: float) -> Colour:
    r, g, b = (min(1.0, max(0.0, c + rng.uniform(-spread, spread))) for c in colour)
    return r, g, b


@dataclass(frozen=True, slots=True)
class MakeupStyle:
    """How somebody does her makeup: colours and strengths that no caption tells. Strengths are in 0..1."""

    lipstick: Colour
    lipstick_strength: float
    blush: Colour
    blush_strength: float
    shadow: Colour
    shadow_strength: float
    liner: Colour
    liner_width: float
    wing: float  # how far the liner goes beyond the outer corner, 0..1

    @classmethod
    def sample(cls, rng: random.Random) -> MakeupStyle:
        return cls(
            lipstick=_near(rng, rng.choice(list(LIPSTICKS.values())), 0.05),
            lipstick_strength=rng.uniform(0.72, 0.95),
            blush=_near(rng, rng.choice(list(BLUSHES.values())), 0.05),
            blush_strength=rng.uniform(0.25, 0.6),
            shadow=_near(rng, rng.choice(list(SHADOWS.values())), 0.05),
            shadow_strength=rng.uniform(0.55, 0.85),
            liner=rng.choices(LINERS, (0.7, 0.15, 0.15))[0],
            liner_width=rng.uniform(0.4, 1.0),
            wing=rng.random(),
        )


@dataclass(frozen=True, slots=True)
class Identity:
    """What edits preserve and captions never name. Numbers without a comment lie in -1..1 around the average face."""

    skin: float  # 0 fair .. 5 dark
    undertone: float
    face_width: float
    face_height: float
    jaw: float  # narrow .. square
    chin: float
    cheekbones: float
    eye_distance: float
    eye_size: float
    eye_slant: float  # outer corner lower .. higher
    eye_colour: int
    brow_thickness: float
    brow_tilt: float
    brow_arch: float
    nose_length: float
    nose_width: float
    nose_bridge: float  # flat .. protruding
    mouth_width: float
    lips: float  # thin .. full
    ears: float
    hairline: float  # low .. high
    widows_peak: float
    hair_tint: float
    hair_volume: float
    parting: float
    moles: tuple[Point, ...]  # on the face, in head units
    freckles: int  # 0 none, 1 some, 2 many
    freckle_seed: int
    scar: int  # 0 none, 1 and 2 on a cheek, 3 through a brow, 4 on the chin
    frame: FrameKind
    frame_colour: int
    hat: HatKind
    hat_colour: int
    earring: EarringKind
    earring_colour: int
    makeup_style: MakeupStyle

    @classmethod
    def sample(cls, rng: random.Random) -> Identity:
        def spread() -> float:
            return rng.uniform(-1, 1)

        return cls(
            skin=rng.uniform(0, 5),
            undertone=spread(),
            face_width=spread(),
            face_height=spread(),
            jaw=spread(),
            chin=spread(),
            cheekbones=spread(),
            eye_distance=spread(),
            eye_size=spread(),
            eye_slant=spread(),
            eye_colour=rng.randrange(len(EYE_COLOURS)),
            brow_thickness=spread(),
            brow_tilt=spread(),
            brow_arch=spread(),
            nose_length=spread(),
            nose_width=spread(),
            nose_bridge=spread(),
            mouth_width=spread(),
            lips=spread(),
            ears=spread(),
            hairline=spread(),
            widows_peak=spread(),
            hair_tint=spread(),
            hair_volume=spread(),
            parting=spread(),
            moles=tuple(rng.sample(MOLE_PLACES, rng.choices((0, 1, 2, 3), (0.45, 0.3, 0.15, 0.1))[0])),
            freckles=rng.choices((0, 1, 2), (0.6, 0.2, 0.2))[0],
            freckle_seed=rng.randrange(1 << 20),
            scar=rng.choices((0, 1, 2, 3, 4), (0.84, 0.04, 0.04, 0.04, 0.04))[0],
            frame=rng.choice(get_args(FrameKind)),
            frame_colour=rng.randrange(len(FRAME_COLOURS)),
            hat=rng.choice(get_args(HatKind)),
            hat_colour=rng.randrange(len(FABRICS)),
            earring=rng.choice(get_args(EarringKind)),
            earring_colour=rng.randrange(len(METALS)),
            makeup_style=MakeupStyle.sample(rng),
        )


MOLE_PLACES: tuple[Point, ...] = (
    (-0.215, 0.170),
    (0.215, 0.190),
    (-0.200, 0.250),
    (0.195, 0.255),
    (-0.100, 0.410),
    (0.235, 0.120),
    (0.105, 0.150),
    (-0.110, 0.155),
    (-0.110, -0.200),
    (0.090, -0.210),
)
"""Where moles grow: places on the face that neither glasses' frames nor lips cover, in head units."""
FRAME_COLOURS: tuple[Colour, ...] = (
    (0.09, 0.08, 0.09),
    (0.36, 0.19, 0.10),
    (0.12, 0.18, 0.40),
    (0.52, 0.12, 0.14),
    (0.72, 0.58, 0.32),
)
FABRICS: tuple[Colour, ...] = (
    (0.16, 0.22, 0.40),
    (0.52, 0.16, 0.17),
    (0.26, 0.36, 0.26),
    (0.42, 0.31, 0.22),
    (0.22, 0.22, 0.24),
    (0.78, 0.70, 0.56),
    (0.76, 0.52, 0.18),
    (0.42, 0.28, 0.48),
    (0.86, 0.86, 0.84),
    (0.20, 0.46, 0.50),
)
METALS: tuple[Colour, ...] = ((0.92, 0.74, 0.34), (0.84, 0.86, 0.90), (0.86, 0.22, 0.26), (0.20, 0.52, 0.74))


@dataclass(frozen=True, slots=True)
class Attributes:
    """The attributes that a caption can name and an edit can change."""

    gender: Gender = "woman"
    age: Age = "adult"
    hair_colour: HairColour = "brown"
    hair_length: HairLength = "short"
    curly: bool = False
    expression: Expression = "neutral"
    pose: Pose = "front"
    bangs: bool = False
    glasses: bool = False
    sunglasses: bool = False
    hat: bool = False
    beard: bool = False
    earrings: bool = False
    makeup: bool = False

    def __post_init__(self) -> None:
        if self.glasses and self.sunglasses:
            raise ValueError("a person wears glasses or sunglasses, not both")
        if self.hat and self.bangs:
            raise ValueError("a person has a hat or bangs, not both: the hat would hide them")

    @classmethod
    def sample(cls, rng: random.Random) -> Attributes:
        """Sample attributes. They correlate with gender only weakly, so that most edited combinations occur in training too."""
        woman = rng.random() < 0.5
        bangs, passing = rng.random() < 0.27, _passing(rng, woman)
        return cls(
            gender="woman" if woman else "man",
            age=rng.choices(get_args(Age), (0.22, 0.53, 0.25))[0],
            hair_colour=rng.choice(get_args(HairColour)),
            hair_length=rng.choices(("short", "long"), (0.35, 0.65) if woman else (0.8, 0.2))[0],
            curly=rng.random() < 0.3,
            bangs=bangs and not passing["hat"],
            beard=rng.random() < (0.02 if woman else 0.36),
            **passing,
        )

    def resampled(self, rng: random.Random) -> Attributes:
        """Return the attributes of another photo: what lasts stays, what a person puts on or does is drawn anew."""
        passing = _passing(rng, self.gender == "woman")
        return Attributes(
            gender=self.gender,
            age=self.age,
            hair_colour=self.hair_colour,
            hair_length=self.hair_length,
            curly=self.curly,
            bangs=self.bangs and not passing["hat"],
            beard=self.beard,
            **passing,
        )


def _passing(rng: random.Random, woman: bool) -> dict[str, Any]:
    """Sample the attributes that differ between two photos of one person."""
    lenses = rng.choices(("none", "glasses", "sunglasses"), (0.66, 0.22, 0.12))[0]
    return {
        "expression": rng.choices(get_args(Expression), (0.34, 0.32, 0.18, 0.16))[0],
        "pose": rng.choices(get_args(Pose), (0.55, 0.15, 0.15, 0.15))[0],
        "glasses": lenses == "glasses",
        "sunglasses": lenses == "sunglasses",
        "hat": rng.random() < 0.16,
        "earrings": rng.random() < (0.34 if woman else 0.1),
        "makeup": rng.random() < (0.3 if woman else 0.06),
    }


@dataclass(frozen=True, slots=True)
class Setting:
    """What differs between two photos of one person beside the attributes."""

    light: Point  # where the key light comes from: -1 left .. 1 right, 0 level .. 1 above
    warmth: float  # -1 cool .. 1 warm
    contrast: float  # 0 flat .. 1 strong
    backdrop: BackdropKind
    backdrop_colours: tuple[Colour, Colour]
    clothes: ClothesKind
    clothes_colour: Colour
    under_colour: Colour  # of the shirt under a blazer, of cords
    offset: Point
    scale: float
    roll: float  # degrees
    turn: float  # 0..1: how far a turned head turns
    sway: Point  # degrees of yaw and pitch that a head is off its pose
    seed: int  # of grain and backdrop

    @classmethod
    def sample(cls, rng: random.Random) -> Setting:
        first, second = rng.choice(BACKDROPS), rng.choice(BACKDROPS)
        return cls(
            light=(rng.choice((-1, 1)) * rng.uniform(0.25, 0.9), rng.uniform(0.3, 0.9)),
            warmth=rng.uniform(-1, 1),
            contrast=rng.random(),
            backdrop=rng.choice(get_args(BackdropKind)),
            backdrop_colours=(_near(rng, first, 0.05), _near(rng, second, 0.05)),
            clothes=rng.choice(get_args(ClothesKind)),
            clothes_colour=_near(rng, rng.choice(FABRICS), 0.04),
            under_colour=_near(rng, rng.choice(FABRICS), 0.04),
            offset=(rng.uniform(-0.05, 0.05), rng.uniform(-0.03, 0.03)),
            scale=rng.uniform(0.96, 1.04),
            roll=rng.uniform(-4, 4),
            turn=rng.random(),
            sway=(rng.uniform(-4, 4), rng.uniform(-3, 3)),
            seed=rng.randrange(1 << 20),
        )


BACKDROPS: tuple[Colour, ...] = (
    (0.55, 0.68, 0.78),
    (0.78, 0.72, 0.62),
    (0.52, 0.64, 0.54),
    (0.78, 0.62, 0.62),
    (0.40, 0.44, 0.54),
    (0.86, 0.83, 0.77),
    (0.62, 0.57, 0.70),
    (0.30, 0.34, 0.36),
    (0.70, 0.56, 0.40),
)
