"""The world's portraits as a domain, for tests of the training: fast to draw."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lab.world.domain import Subject
from lab.world.people import WORD_BANK, Attributes, Expression, HairColour, Person, caption, replace_attributes, sample_person
from lab.world.portraits import person_mask, render

_WORDS = "a photo of man woman with short long curly hair and , red eye shadow " + " ".join(
    (*WORD_BANK, *get_args(Expression), *get_args(HairColour))
)


class Portraits:
    name = "portrait"
    subjects: tuple[str, ...] = ("woman", "man", "person")
    word_bank: tuple[str, ...] = WORD_BANK
    words = frozenset(_WORDS.split())
    labels: Mapping[str, tuple[str, ...]] = {"gender": ("man", "woman"), "glasses": ("no", "yes"), "hat": ("no", "yes")}
    identity_names: tuple[str, ...] = ("skin", "jaw")

    def sample(self, seed: int) -> Subject:
        person = sample_person(seed)
        return Subject(person.identity, person.attributes, None)

    def another_photo(self, subject: Subject, seed: int) -> Subject:
        return Subject(subject.identity, sample_person(seed).attributes, None)

    def change(self, subject: Subject, **changes: Any) -> Subject:
        return Subject(subject.identity, replace_attributes(_person(subject), **changes).attributes, None)

    def caption(self, attributes: Any, rng: random.Random | None = None) -> str:
        return caption(attributes, rng)

    def render(self, subject: Subject, size: int = 128) -> Image.Image:
        return render(_person(subject), size)

    def mask(self, subject: Subject, size: int = 128) -> Image.Image:
        return person_mask(_person(subject), size)

    def label(self, attributes: Any) -> dict[str, int]:
        return {
            "gender": self.labels["gender"].index(attributes.gender),
            "glasses": -1 if attributes.sunglasses else int(attributes.glasses),
            "hat": int(attributes.hat),
        }

    def identity_vector(self, identity: Any) -> NDArray[np.float32]:
        return np.array([(identity.skin - 2.5) / 1.5, (identity.jaw - 0.5) / 0.3], dtype=np.float32)


def _person(subject: Subject) -> Person:
    return Person(subject.identity, subject.attributes)


assert {field.name for field in fields(Attributes)} >= {"gender", "glasses", "hat"}
DOMAIN = Portraits()
