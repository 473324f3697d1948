"""The attributes of a cat that a caption can name, and the caption itself."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

Pose = Literal["front", "left", "right", "up"]


@dataclass(frozen=True, slots=True)
class Attributes:
    """The attributes that a caption can name and an edit can change. Left and right are those of the picture."""

    pose: Pose = "front"
    sleeping: bool = False
    meowing: bool = False
    collar: bool = False
    hat: bool = False
    glasses: bool = False
    fluffy: bool = False
    young: bool = False

    def __post_init__(self) -> None:
        if self.pose not in get_args(Pose):
            raise ValueError(f"unknown pose {self.pose!r}; choose from {', '.join(get_args(Pose))}")

    @classmethod
    def sample(cls, rng: random.Random) -> Attributes:
        pose: Pose = rng.choices(get_args(Pose), (0.55, 0.15, 0.15, 0.15))[0]
        return cls(
            pose=pose,
            sleeping=rng.random() < 0.25,
            meowing=rng.random() < 0.15,
            collar=rng.random() < 0.35,
            hat=rng.random() < 0.15,
            glasses=rng.random() < 0.12,
            fluffy=rng.random() < 0.35,
            young=rng.random() < 0.25,
        )


ADJECTIVES = ("fluffy", "young", "sleeping")
WORN = {"collar": "a collar", "hat": "a hat", "glasses": "glasses"}
SUBJECTS = ("cat",)
WORD_BANK = ("fluffy", "young", "sleeping", "meowing", "wearing", "collar", "hat", "glasses", "looking", "left", "right", "up")
WORDS = frozenset((*WORD_BANK, *SUBJECTS, "a", "photo", "of", "and", "with"))
LABELS: dict[str, tuple[str, ...]] = {
    "pose": get_args(Pose),
    **{name: ("no", "yes") for name in ("sleeping", "meowing", "collar", "hat", "glasses", "fluffy", "young")},
}


def label(attributes: Attributes) -> dict[str, int]:
    """Return the class of each attribute, as an index into `LABELS`."""
    flags = {name: int(getattr(attributes, name)) for name in LABELS if name != "pose"}
    return {"pose": LABELS["pose"].index(attributes.pose), **flags}


def caption(attributes: Attributes, rng: random.Random | None = None) -> str:
    """Return the sentence for `attributes`. Without `rng` it names all of them; with `rng` it omits some, in any order."""
    mentioned: Callable[[], bool] = (lambda: True) if rng is None else (lambda: rng.random() < 0.94)
    adjectives = [word for word in ADJECTIVES if getattr(attributes, word) and mentioned()]
    worn = [words for name, words in WORN.items() if getattr(attributes, name) and mentioned()]
    clauses = ["meowing"] if attributes.meowing and mentioned() else []
    clauses += [f"looking {attributes.pose}"] if attributes.pose != "front" and mentioned() else []
    verb = "wearing"
    if rng is not None:
        for each in (adjectives, worn, clauses):
            rng.shuffle(each)
        verb = rng.choice(("wearing", "with"))
    subject = " ".join(["a photo of a", *adjectives, "cat"])
    if worn:
        subject += f" {verb} " + (", ".join(worn[:-1]) + " and " + worn[-1] if len(worn) > 1 else worn[0])
    return ", ".join([subject, *clauses])
