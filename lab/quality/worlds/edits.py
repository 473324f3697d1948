"""The edits of each domain with their true answers, on subjects that training never sees. Loads no torch.

An edit applies to a subject that lacks the new attribute, and on which the change is visible.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import Any, Literal

import numpy as np
from PIL import Image

from lab.measures.metrics import changed_region
from lab.world.domain import UNSEEN, Domain, Subject
from lab.world.domains import DOMAINS

FIRST = UNSEEN + 50_000
"""Seed of the bench's first subject. Neither training nor the evaluation of the judges uses subjects from here on."""
VISIBLE_PIXELS = 40
"""Fewest pixels of 128 × 128 that an edit must change to be tried."""
REFERENCES = 3
"""Number of other photos of each subject."""
Group = Literal["kept", "turned", "revealed", "aged"]
"""`turned`: the layout changes. `revealed`: the edit shows what the photo hides. `kept`: all others but age."""
Changes = Mapping[str, Any]


@dataclass(frozen=True)
class Edit:
    """One edit: what it changes, and the subjects that it applies to."""

    name: str
    changes: Callable[[Any], Changes]
    group: Group = "kept"
    applies: Callable[[Any], bool] = lambda _: True


def _to(name: str, group: Group = "kept", applies: Callable[[Any], bool] = lambda _: True, **changes: Any) -> Edit:
    return Edit(name, lambda _: changes, group, applies)


def _other_hair(has: Any) -> Changes:
    colours = DOMAINS["person"].labels["hair_colour"]
    return {"hair_colour": colours[(colours.index(has.hair_colour) + 2) % len(colours)]}


def _bare_face(has: Any) -> bool:
    return not (has.glasses or has.sunglasses)


def _from_front(has: Any) -> bool:
    return bool(has.pose == "front")


EDITS: dict[str, tuple[Edit, ...]] = {
    "person": (
        _to("left", "turned", _from_front, pose="left"),
        _to("right", "turned", _from_front, pose="right"),
        _to("up", "turned", _from_front, pose="up"),
        _to("front", "turned", lambda has: has.pose in ("left", "right"), pose="front"),
        _to("glasses off", "revealed", lambda has: has.glasses, glasses=False),
        _to("sunglasses off", "revealed", lambda has: has.sunglasses, sunglasses=False),
        _to("hat off", "revealed", lambda has: has.hat, hat=False),
        _to("old", "aged", age="old"),
        _to("young", "aged", age="young"),
        Edit("hair colour", _other_hair),
        _to("smiling", expression="smiling"),
        _to("sad", expression="sad"),
        _to("surprised", expression="surprised"),
        _to("glasses", "kept", _bare_face, glasses=True),
        _to("hat", hat=True),
        _to("beard", "kept", lambda has: has.gender == "man", beard=True),
        _to("bangs", "kept", lambda has: not has.hat, bangs=True),
        _to("makeup", "kept", lambda has: has.gender == "woman", makeup=True),
    ),
    "cat": (
        _to("left", "turned", _from_front, pose="left"),
        _to("right", "turned", _from_front, pose="right"),
        _to("front", "turned", lambda has: has.pose in ("left", "right"), pose="front"),
        _to("awake", "revealed", lambda has: has.sleeping, sleeping=False),
        _to("glasses off", "revealed", lambda has: has.glasses, glasses=False),
        _to("hat off", "revealed", lambda has: has.hat, hat=False),
        _to("sleeping", sleeping=True),
        _to("collar", collar=True),
        _to("hat", hat=True),
        _to("glasses", glasses=True),
        _to("fluffy", fluffy=True),
        _to("meowing", "kept", lambda has: not has.sleeping, meowing=True),
    ),
    "church": (
        _to("left", "turned", lambda has: has.view == "front", view="left"),
        _to("right", "turned", lambda has: has.view == "front", view="right"),
        _to("front", "turned", lambda has: has.view != "front", view="front"),
        _to("scaffolding off", "revealed", lambda has: has.scaffolding, scaffolding=False),
        _to("snow", season="snow"),
        _to("autumn", season="autumn"),
        _to("night", time="night"),
        _to("sunset", time="sunset"),
        _to("scaffolding", scaffolding=True),
        _to("ivy", ivy=True),
    ),
}


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo of a subject as the method gets it."""

    domain: Domain
    subject: Subject

    @cached_property
    def picture(self) -> Image.Image:
        return self.domain.render(self.subject)

    @cached_property
    def mask(self) -> Image.Image:
        return self.domain.mask(self.subject)

    @property
    def prompt(self) -> str:
        return self.domain.caption(self.subject.attributes)

    @property
    def word(self) -> str:
        """The subject word of the prompt."""
        words = self.prompt.replace(",", " ").split()
        return next(word for word in words if word in self.domain.subjects)


@dataclass(frozen=True, eq=False)
class Target:
    """An edit of one photo and its true answer."""

    edit: Edit
    changes: Changes
    answer: Photo


@dataclass(frozen=True, eq=False)
class Case:
    """A subject of the bench: the photo to edit, its edits, and other photos of the subject that show it well."""

    seed: int
    photo: Photo
    targets: tuple[Target, ...]

    @property
    def person(self) -> str:
        """The name of the subject, by which intervals are resampled."""
        return f"{self.photo.domain.name}-{self.seed}"

    @cached_property
    def others(self) -> tuple[Photo, ...]:
        domain, subject = self.photo.domain, self.photo.subject
        found: list[Photo] = []
        number = 0
        while len(found) < REFERENCES:
            other = domain.another_photo(subject, REFERENCES * 100 * self.seed + number)
            if shows_well(domain.name, other.attributes):
                found.append(Photo(domain, other))
            number += 1
        return tuple(found)


def shows_well(domain: str, has: Any) -> bool:
    """Return whether a photo shows its subject from the front and uncovered, as people choose photos to be recognised by."""
    if domain == "person":
        return has.pose == "front" and _bare_face(has) and not has.hat and not has.makeup
    if domain == "cat":
        return has.pose == "front" and not (has.sleeping or has.hat or has.glasses)
    return has.time == "day" and has.weather == "clear" and not has.scaffolding


def known_edits(domain: str, names: Sequence[str] | None = None) -> tuple[Edit, ...]:
    """Return the edits of `domain` that have one of the `names` or groups in `names`, by default all."""
    return tuple(edit for edit in EDITS[domain] if names is None or edit.name in names or edit.group in names)


def case_of(domain: str, seed: int, names: Sequence[str] | None = None) -> Case:
    """Return subject `seed` (from 0) of the bench with those of the edits in `names` that apply and are visible."""
    world = DOMAINS[domain]
    photo = Photo(world, world.sample(FIRST + seed))
    targets = []
    for edit in known_edits(domain, names):
        has = photo.subject.attributes
        if not edit.applies(has):
            continue
        changes = edit.changes(has)
        answer = Photo(world, world.change(photo.subject, **changes))
        if answer.subject.attributes != has and _visible(photo, answer):
            targets.append(Target(edit, changes, answer))
    return Case(seed, photo, tuple(targets))


def cases_of(domain: str, names: Sequence[str] | None = None, first: int = 0) -> Iterator[Case]:
    """Yield the subjects of the bench from number `first` on, without those to which none of the edits applies."""
    return (case for seed in count(first) if (case := case_of(domain, seed, names)).targets)


def _visible(photo: Photo, answer: Photo) -> bool:
    return int(changed_region(np.asarray(photo.picture), np.asarray(answer.picture)).sum()) >= VISIBLE_PIXELS
