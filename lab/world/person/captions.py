"""Captions of people, and the words and classes they are made of."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import fields
from typing import get_args

from lab.world.person.identity import Age, Attributes, Expression, Gender, HairColour, HairLength, Pose

EXTRAS: dict[str, str] = {
    "bangs": "bangs",
    "glasses": "glasses",
    "sunglasses": "sunglasses",
    "hat": "a hat",
    "beard": "a beard",
    "earrings": "earrings",
    "makeup": "makeup",
}
"""The boolean attributes that get a phrase of their own in the caption, with that phrase."""
POSES: dict[str, str] = {"left": "turned left", "right": "turned right", "up": "looking up"}
"""The phrases of the poses. `left` is the viewer's left. The front goes without saying."""
SUBJECTS = (*reversed(get_args(Gender)), "person")
WORD_BANK: tuple[str, ...] = (
    *get_args(HairColour),
    "hair",
    "long",
    "short",
    "curly",
    "smiling",
    "sad",
    "surprised",
    "young",
    "old",
    "bangs",
    "glasses",
    "sunglasses",
    "hat",
    "beard",
    "earrings",
    "makeup",
    "turned",
    "left",
    "right",
    "looking",
    "up",
)
WORDS = frozenset({*WORD_BANK, *SUBJECTS, "a", "photo", "of", "with", "and", "an"})
LABELS: dict[str, tuple[str, ...]] = {
    "gender": get_args(Gender),
    "age": get_args(Age),
    "hair_colour": get_args(HairColour),
    "hair_length": get_args(HairLength),
    "expression": get_args(Expression),
    "pose": get_args(Pose),
    **{name: ("no", "yes") for name in ("curly", *EXTRAS)},
}
assert set(LABELS) == {field.name for field in fields(Attributes)}


def caption(attributes: Attributes, rng: random.Random | None = None) -> str:
    """Return the sentence that describes `attributes`.

    Without `rng` it names every attribute in a fixed order. With `rng` it shuffles the extras and omits some attributes, as
    captions that people write do.
    """
    mentioned: Callable[[float], bool] = (lambda _probability: True) if rng is None else (lambda p: rng.random() < p)
    words: list[str] = [attributes.expression] if attributes.expression != "neutral" and mentioned(0.95) else []
    words += [attributes.age] if attributes.age != "adult" and mentioned(0.93) else []
    words.append(attributes.gender if mentioned(0.9) else "person")
    article = "an" if words[0][0] in "aeiou" else "a"
    sentence = f"a photo of {article} {' '.join(words)}"
    phrases = _hair(attributes, mentioned)
    extras = [phrase for name, phrase in EXTRAS.items() if getattr(attributes, name) and mentioned(0.94)]
    if rng is not None:
        rng.shuffle(extras)
    phrases += extras
    if phrases:
        sentence += " with " + (", ".join(phrases[:-1]) + " and " + phrases[-1] if len(phrases) > 1 else phrases[0])
    if attributes.pose != "front" and mentioned(0.95):
        sentence += f", {POSES[attributes.pose]}"
    return sentence


def _hair(attributes: Attributes, mentioned: Callable[[float], bool]) -> list[str]:
    words: list[str] = [attributes.hair_length] if mentioned(0.6) else []
    words += ["curly"] if attributes.curly and mentioned(0.93) else []
    words += [attributes.hair_colour] if mentioned(0.93) else []
    return [" ".join([*words, "hair"])] if words else []


def label(attributes: Attributes) -> dict[str, int]:
    """Return the class of each attribute, as an index into `LABELS`."""
    values = {name: getattr(attributes, name) for name in LABELS}
    return {name: int(value) if isinstance(value, bool) else LABELS[name].index(value) for name, value in values.items()}
