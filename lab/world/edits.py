"""The edits of the quality bench: the attributes that they change, and the people that they apply to.

An edit applies to a person who lacks the new attribute and on whom it is visible. Beards are only tried on men and makeup only on
women, because the world, and so the model, draws them hardly ever otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from lab.measures.metrics import changed_region
from lab.world.dataset import HELD_OUT
from lab.world.people import Attributes, Person, caption, replace_attributes, sample_person
from lab.world.portraits import render

FIRST = HELD_OUT + 5000
"""Number of the bench's first person. Neither training nor the evaluation of the judge uses people from here on."""
VISIBLE_PIXELS = 20
"""Fewest pixels that an edit must change to be tried. Dark bangs on dark skin, for example, change fewer."""


def _other_hair(has: Attributes) -> str:
    return "black" if has.hair_colour == "red" else "red"


Changes = Mapping[str, Any]
_CHANGES: dict[str, Callable[[Attributes], Changes]] = {
    "hair": lambda has: {"hair_colour": _other_hair(has)},
    "smile": lambda _: {"expression": "smiling"},
    "sad": lambda _: {"expression": "sad"},
    "glasses": lambda _: {"glasses": True},
    "hat": lambda _: {"hat": True},
    "beard": lambda _: {"beard": True},
    "bangs": lambda _: {"bangs": True},
    "lipstick": lambda _: {"lipstick": True},
    "two": lambda has: {"hair_colour": _other_hair(has), "glasses": True},
    "makeup": lambda _: {"lipstick": True, "blush": True},
}
_APPLIES_TO: dict[str, Callable[[Attributes], bool]] = {
    "glasses": lambda has: not has.sunglasses,
    "two": lambda has: not has.sunglasses,
    "bangs": lambda has: not has.hat,
    "beard": lambda has: has.gender == "man",
    "lipstick": lambda has: has.gender == "woman",
    "makeup": lambda has: has.gender == "woman",
}
KNOWN = tuple(_CHANGES)
EDITS = tuple(name for name in KNOWN if name != "makeup")
"""The default edits. `two` changes hair colour and glasses at once. The composition bench transfers `makeup`, so it is not here."""


@dataclass(frozen=True)
class Edit:
    name: str
    changes: Changes


def edits_of(has: Attributes, names: Sequence[str] = EDITS) -> list[Edit]:
    """Return the edits among `names` that apply to a person with attributes `has`. Raises `ValueError` for an unknown name."""
    if unknown := [name for name in names if name not in _CHANGES]:
        raise ValueError(f"unknown edit {unknown[0]!r}; choose from {', '.join(KNOWN)}")
    wanted = [Edit(name, _CHANGES[name](has)) for name in names if name not in _APPLIES_TO or _APPLIES_TO[name](has)]
    return [edit for edit in wanted if all(getattr(has, name) != value for name, value in edit.changes.items())]


@dataclass(frozen=True)
class Subject:
    """A person of the bench, with the edits that apply and their ground truth by edit name."""

    number: int
    person: Person
    picture: Image.Image
    edits: tuple[Edit, ...]
    answers: Mapping[str, Image.Image]

    def answer(self, edit: Edit) -> Person:
        return replace_attributes(self.person, **edit.changes)

    def prompt(self, edit: Edit) -> str:
        return caption(self.answer(edit).attributes)


def subject_of(number: int, names: Sequence[str] = EDITS) -> Subject:
    """Return person `number` with the edits among `names` that apply and are visible."""
    person = sample_person(number)
    source = render(person)
    edits, answers = [], {}
    for edit in edits_of(person.attributes, names):
        answer = render(replace_attributes(person, **edit.changes))
        if int(changed_region(np.asarray(source), np.asarray(answer)).sum()) >= VISIBLE_PIXELS:
            edits.append(edit)
            answers[edit.name] = answer
    return Subject(number, person, source, tuple(edits), answers)


def unseen(count: int, names: Sequence[str] = EDITS) -> list[Subject]:
    """Return the first `count` people of the bench to whom at least one of the edits applies."""
    found: list[Subject] = []
    number = FIRST
    while len(found) < count:
        subject = subject_of(number, names)
        if subject.edits:
            found.append(subject)
        number += 1
    return found
