"""Churches of the synthetic world: their identity, the attributes that a caption can name, and the setting of a photo."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Towers = Literal["none", "left", "right", "middle", "pair"]
Spire = Literal["pyramid", "needle", "onion", "dome", "battlements"]
Material = Literal["plaster", "stone", "brick", "wood"]
Arch = Literal["round", "pointed", "square"]
Top = Literal["cross", "double cross", "weathercock", "ball"]
Side = Literal["none", "left", "right"]
Time = Literal["day", "sunset", "night"]
Season = Literal["summer", "autumn", "snow", "spring"]
Weather = Literal["clear", "fog", "rainbow"]
View = Literal["front", "left", "right"]
Rgb = tuple[float, float, float]

WALLS: dict[Material, tuple[Rgb, ...]] = {
    "plaster": ((0.95, 0.93, 0.88), (0.95, 0.84, 0.58), (0.91, 0.70, 0.60), (0.74, 0.82, 0.84)),
    "stone": ((0.66, 0.65, 0.62), (0.80, 0.70, 0.52), (0.52, 0.52, 0.54), (0.72, 0.58, 0.50)),
    "brick": ((0.68, 0.34, 0.26), (0.56, 0.27, 0.22), (0.76, 0.50, 0.34), (0.80, 0.68, 0.48)),
    "wood": ((0.93, 0.93, 0.92), (0.42, 0.28, 0.19), (0.60, 0.20, 0.17), (0.62, 0.70, 0.62)),
}
ROOFS: tuple[Rgb, ...] = (
    (0.70, 0.31, 0.20),
    (0.34, 0.38, 0.45),
    (0.45, 0.29, 0.20),
    (0.36, 0.58, 0.50),
    (0.24, 0.25, 0.28),
    (0.56, 0.22, 0.24),
)
TRIMS: tuple[Rgb, ...] = ((0.97, 0.96, 0.93), (0.82, 0.76, 0.64), (0.50, 0.45, 0.42))
DOORS: tuple[Rgb, ...] = ((0.40, 0.24, 0.13), (0.58, 0.14, 0.12), (0.16, 0.34, 0.26), (0.18, 0.28, 0.46), (0.24, 0.20, 0.19))
CLOTHS: tuple[Rgb, ...] = (
    (0.86, 0.16, 0.16),
    (0.98, 0.80, 0.18),
    (0.14, 0.36, 0.72),
    (0.96, 0.96, 0.96),
    (0.12, 0.56, 0.32),
    (0.55, 0.22, 0.60),
)
NETS: tuple[Rgb, ...] = ((0.30, 0.56, 0.40), (0.36, 0.50, 0.72), (0.90, 0.90, 0.88), (0.86, 0.52, 0.24))


@dataclass(frozen=True, slots=True)
class Identity:
    """The parameters that edits preserve. Lengths are in units of about five metres."""

    towers: Towers
    tower_width: float  # half width
    tower_height: float  # walls, without the spire
    spire: Spire
    spire_height: float
    nave_width: float  # half width
    nave_height: float  # of the walls, up to the eaves
    nave_length: float
    pitch: float  # rise of the roof per unit of half width
    aisles: bool
    chapel: Side
    chapel_place: float  # along the nave, 0 front .. 1 back
    material: Material
    wall: Rgb
    roof: Rgb
    cap: Rgb  # of spires
    trim: Rgb
    quoins: bool  # trimmed corners
    arch: Arch
    windows: int  # on each long side
    window_size: float  # 0 small .. 1 large
    glass: int  # seed of the stained glass
    rose: bool
    clock: bool
    door_arch: Arch
    door: Rgb
    door_width: float  # half width
    porch: bool
    top: Top
    net: Rgb  # of the scaffolding
    netted: int  # seed of its covered bays
    flags: tuple[Rgb, Rgb]
    ivy_side: float  # -1 grows from the left corners .. 1 from the right ones
    ivy_seed: int

    @classmethod
    def sample(cls, rng: random.Random) -> Identity:
        towers: Towers = rng.choices(get_args(Towers), (0.14, 0.2, 0.2, 0.26, 0.2))[0]
        material: Material = rng.choices(get_args(Material), (0.32, 0.28, 0.22, 0.18))[0]
        roof = rng.choice(ROOFS)
        spire: Spire = rng.choices(get_args(Spire), (0.27, 0.25, 0.2, 0.13, 0.15))[0]
        low, high = {
            "pyramid": (0.5, 0.9),
            "needle": (1.0, 1.7),
            "onion": (0.7, 1.1),
            "dome": (0.5, 0.7),
            "battlements": (0.2, 0.2),
        }[spire]
        first = rng.choice(CLOTHS)
        return cls(
            towers=towers,
            tower_width=rng.uniform(0.26, 0.36) * (0.88 if towers == "pair" else 1),
            tower_height=rng.uniform(1.7, 2.5),
            spire=spire,
            spire_height=rng.uniform(low, high),
            nave_width=rng.uniform(0.56, 0.82),
            nave_height=rng.uniform(0.8, 1.2),
            nave_length=rng.uniform(1.6, 2.5),
            pitch=rng.uniform(0.75, 1.5),
            aisles=rng.random() < 0.25,
            chapel=rng.choices(get_args(Side), (0.5, 0.25, 0.25))[0],
            chapel_place=rng.uniform(0.35, 0.75),
            material=material,
            wall=tinted(rng.choice(WALLS[material]), rng, 0.05),
            roof=tinted(roof, rng, 0.04),
            cap=tinted(roof if rng.random() < 0.55 else rng.choice(ROOFS), rng, 0.04),
            trim=rng.choice(TRIMS),
            quoins=rng.random() < 0.4,
            arch=rng.choices(get_args(Arch), (0.42, 0.4, 0.18))[0],
            windows=rng.randint(3, 5),
            window_size=rng.random(),
            glass=rng.randrange(1000),
            rose=rng.random() < 0.45,
            clock=rng.random() < 0.4,
            door_arch=rng.choices(get_args(Arch), (0.45, 0.35, 0.2))[0],
            door=tinted(rng.choice(DOORS), rng, 0.03),
            door_width=rng.uniform(0.12, 0.18),
            porch=towers != "middle" and rng.random() < 0.25,
            top=rng.choices(get_args(Top), (0.45, 0.15, 0.22, 0.18))[0],
            net=rng.choice(NETS),
            netted=rng.randrange(1000),
            flags=(first, rng.choice([cloth for cloth in CLOTHS if cloth != first])),
            ivy_side=rng.choice((-1, 1)) * rng.uniform(0.3, 1),
            ivy_seed=rng.randrange(1000),
        )


@dataclass(frozen=True, slots=True)
class Attributes:
    """The attributes that a caption can name and an edit can change."""

    time: Time = "day"
    season: Season = "summer"
    weather: Weather = "clear"
    view: View = "front"
    scaffolding: bool = False
    flags: bool = False
    ivy: bool = False

    def __post_init__(self) -> None:
        if self.time == "night" and self.weather == "rainbow":
            raise ValueError("a rainbow needs the sun: no rainbow at night")

    @classmethod
    def sample(cls, rng: random.Random) -> Attributes:
        time: Time = rng.choices(get_args(Time), (0.56, 0.22, 0.22))[0]
        season: Season = rng.choices(get_args(Season), (0.46, 0.18, 0.22, 0.14))[0]
        weather: Weather = rng.choices(get_args(Weather), (0.78, 0.12, 0.1 if time != "night" else 0))[0]
        view: View = rng.choices(get_args(View), (0.56, 0.22, 0.22))[0]
        return cls(time, season, weather, view, rng.random() < 0.2, rng.random() < 0.16, rng.random() < 0.2)


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree of the landscape, in frame coordinates."""

    x: float
    base: float  # y of its foot
    height: float
    conifer: bool
    seed: int


@dataclass(frozen=True, slots=True)
class Setting:
    """What two photos of one church may differ in without a word, and what an edit keeps."""

    sun_side: int  # -1 left, 1 right
    sun_height: float  # 0 low .. 1 high within the time of day
    turn: float  # radians around the view's direction
    scale: float
    offset: tuple[float, float]
    horizon: float  # y in the frame
    clouds: float  # 0 few .. 1 many
    sky_seed: int
    hills: tuple[float, float]  # heights of the far and the near ridge
    hills_seed: int
    meadow: float  # -1 yellowish .. 1 bluish green
    path: tuple[float, float]  # x of its bend and of its near end
    trees: tuple[Tree, ...]
    bushes: tuple[Tree, ...]  # in front of the church, beside the path
    grain_seed: int

    @classmethod
    def sample(cls, rng: random.Random) -> Setting:
        horizon = rng.uniform(0.06, 0.26)
        trees = [
            Tree(x=side * rng.uniform(0.42, 1.0), base=horizon + rng.uniform(0.06, 0.4), height=rng.uniform(0.45, 0.85),
                 conifer=i > 0 and rng.random() < 0.55, seed=rng.randrange(1000))
            for side in (-1, 1) for i in range(rng.choice((1, 2, 2)))
        ]  # fmt: skip
        bushes = [
            Tree(x=side * rng.uniform(0.35, 1.0), base=rng.uniform(0.66, 0.86), height=rng.uniform(0.09, 0.17), conifer=False,
                 seed=rng.randrange(1000))
            for side in (-1, 1) for _ in range(rng.choice((0, 1, 1, 2)))
        ]  # fmt: skip
        return cls(
            sun_side=rng.choice((-1, 1)),
            sun_height=rng.random(),
            turn=rng.choice((-1, 1)) * rng.uniform(0.08, 0.22),
            scale=rng.uniform(0.9, 1.0),
            offset=(rng.uniform(-0.1, 0.1), rng.uniform(-0.03, 0.04)),
            horizon=horizon,
            clouds=rng.random(),
            sky_seed=rng.randrange(10000),
            hills=(rng.uniform(0.1, 0.34), rng.uniform(0.02, 0.14)),
            hills_seed=rng.randrange(10000),
            meadow=rng.uniform(-1, 1),
            path=(rng.uniform(-0.3, 0.3), rng.uniform(-0.6, 0.6)),
            trees=tuple(sorted(trees, key=lambda tree: tree.base)),
            bushes=tuple(sorted(bushes, key=lambda bush: bush.base)),
            grain_seed=rng.randrange(1 << 30),
        )


def tinted(colour: Rgb, rng: random.Random, spread: float) -> Rgb:
    """Return `colour` a little lighter or darker, warmer or colder."""
    light, warm = rng.uniform(-spread, spread), rng.uniform(-spread, spread) / 2
    r, g, b = (min(1.0, max(0.05, c)) for c in (colour[0] + light + warm, colour[1] + light, colour[2] + light - warm))
    return r, g, b


# Name, mean and standard deviation of each number: those of 20,000 sampled churches.
_SCALES: tuple[tuple[str, float, float], ...] = (
    ("tower left", 0.3977, 0.4894),
    ("tower right", 0.3952, 0.4889),
    ("tower middle", 0.2596, 0.4384),
    ("tower width", 0.3028, 0.03211),
    ("tower height", 2.101, 0.2317),
    ("pyramid", 0.2682, 0.443),
    ("needle", 0.2495, 0.4327),
    ("curved spire", 0.3293, 0.47),
    ("spire height", 0.8147, 0.3974),
    ("nave width", 0.6903, 0.07528),
    ("nave height", 1, 0.1153),
    ("nave length", 2.049, 0.26),
    ("pitch", 1.126, 0.2173),
    ("aisles", 0.2558, 0.4363),
    ("wall red", 0.7422, 0.1568),
    ("wall green", 0.6284, 0.2164),
    ("wall blue", 0.5418, 0.2213),
    ("masonry", 0.502, 0.5),
    ("roof red", 0.4422, 0.1542),
    ("roof green", 0.3386, 0.1213),
    ("roof blue", 0.3115, 0.1222),
    ("cap red", 0.4418, 0.1547),
    ("cap blue", 0.312, 0.1221),
    ("pointed", 0.3999, 0.4899),
    ("rose", 0.4451, 0.497),
    ("door red", 0.3119, 0.1595),
    ("door blue", 0.2311, 0.1254),
)
IDENTITY_NAMES: tuple[str, ...] = tuple(name for name, _, _ in _SCALES)


def numbers(who: Identity) -> dict[str, float]:
    """Return the identity as plain numbers by name. Colours are in 0..1, choices 0 or 1."""
    return {
        "tower left": who.towers in ("left", "pair"),
        "tower right": who.towers in ("right", "pair"),
        "tower middle": who.towers == "middle",
        "tower width": who.tower_width,
        "tower height": who.tower_height,
        "pyramid": who.spire == "pyramid",
        "needle": who.spire == "needle",
        "curved spire": who.spire in ("onion", "dome"),
        "spire height": who.spire_height,
        "nave width": who.nave_width,
        "nave height": who.nave_height,
        "nave length": who.nave_length,
        "pitch": who.pitch,
        "aisles": who.aisles,
        "wall red": who.wall[0],
        "wall green": who.wall[1],
        "wall blue": who.wall[2],
        "masonry": who.material in ("stone", "brick"),
        "roof red": who.roof[0],
        "roof green": who.roof[1],
        "roof blue": who.roof[2],
        "cap red": who.cap[0],
        "cap blue": who.cap[2],
        "pointed": who.arch == "pointed",
        "rose": who.rose,
        "door red": who.door[0],
        "door blue": who.door[2],
    }


def identity_vector(who: Identity) -> NDArray[np.float32]:
    """Return the identity as numbers of about zero mean and unit variance, in the order of `IDENTITY_NAMES`."""
    found = numbers(who)
    return np.array([(found[name] - mean) / deviation for name, mean, deviation in _SCALES], dtype=np.float32)
