"""The edits of the quality bench: what they change, whom they are news to, and people to try them on.

An edit is news to a person who has not what it brings, and on whom it can be seen; only such edits are tried. The world draws
beards on men and lipstick on women (hardly ever otherwise), so these are asked of them alone.
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
"""The number of the first person of the bench: no training has drawn them, and neither have the measures of the judge."""
VISIBLE_PIXELS = 20
"""An edit whose true answer differs from the source in fewer pixels (dark bangs on dark skin) is not asked for."""


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
_SUITS: dict[str, Callable[[Attributes], bool]] = {
    "glasses": lambda has: not has.sunglasses,
    "two": lambda has: not has.sunglasses,
    "bangs": lambda has: not has.hat,
    "beard": lambda has: has.gender == "man",
    "lipstick": lambda has: has.gender == "woman",
    "makeup": lambda has: has.gender == "woman",
}
KNOWN = tuple(_CHANGES)
EDITS = tuple(name for name in KNOWN if name != "makeup")
"""What is tried unless told otherwise. `two` is a hair colour and glasses at once; `makeup` is what composition transfers."""


@dataclass(frozen=True)
class Edit:
    name: str
    changes: Changes


def edits_of(has: Attributes, names: Sequence[str] = EDITS) -> list[Edit]:
    """Those of the edits `names` that are news to whoever `has` these attributes. Raises `ValueError` for an unknown name."""
    if unknown := [name for name in names if name not in _CHANGES]:
        raise ValueError(f"unknown edit {unknown[0]!r}; known are {', '.join(KNOWN)}")
    wanted = [Edit(name, _CHANGES[name](has)) for name in names if name not in _SUITS or _SUITS[name](has)]
    return [edit for edit in wanted if all(getattr(has, name) != value for name, value in edit.changes.items())]


@dataclass(frozen=True)
class Subject:
    """A person before the editor: the picture, the edits that are news, and what each should end in."""

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
    """The person of that number with those of the edits `names` that are news and can be seen."""
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
    """The first `count` people of the bench to whom at least one of the edits is news."""
    found: list[Subject] = []
    number = FIRST
    while len(found) < count:
        subject = subject_of(number, names)
        if subject.edits:
            found.append(subject)
        number += 1
    return found
