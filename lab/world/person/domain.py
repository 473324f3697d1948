"""The domain of people."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lab.world.domain import Subject
from lab.world.person import captions, portrait
from lab.world.person.identity import EYE_COLOURS, Attributes, Identity, Setting
from s2edit_core.request.domains import Placement

SIZE = 128
_SPREADS = tuple(field.name for field in fields(Identity) if field.type == "float" and field.name != "skin")


class PersonDomain:
    """Portraits of people. See `lab.world.domain.Domain`."""

    name = "person"
    subjects: tuple[str, ...] = captions.SUBJECTS
    word_bank: tuple[str, ...] = captions.WORD_BANK
    scene: bool = False
    placement: Placement = Placement(1.25, 1.65, 0.12, share=0.27, fullest=0.49, aside=0.06, square=True)
    words: frozenset[str] = captions.WORDS
    labels: Mapping[str, tuple[str, ...]] = captions.LABELS
    identity_names: tuple[str, ...] = ("skin", *_SPREADS, "eye_red", "eye_green", "eye_blue", "freckles", "moles", "scar")
    looks: Mapping[str, tuple[str, ...]] = {"makeup": ("makeup_style",), "hat": ("hat", "hat_colour")}

    def sample(self, seed: int) -> Subject:
        rng = random.Random(f"person-{seed}")
        return Subject(Identity.sample(rng), Attributes.sample(rng), Setting.sample(rng))

    def another_photo(self, subject: Subject, seed: int) -> Subject:
        rng = random.Random(f"person-photo-{seed}")
        return Subject(subject.identity, subject.attributes.resampled(rng), Setting.sample(rng))

    def change(self, subject: Subject, **changes: Any) -> Subject:
        """Return the true answer of an edit. Raises `ValueError` for an unknown attribute or value.

        New glasses replace sunglasses and the other way round, a new hat removes bangs and new bangs a hat.
        """
        for name, value in changes.items():
            _check(name, value)
        for name, other in (("glasses", "sunglasses"), ("sunglasses", "glasses"), ("hat", "bangs"), ("bangs", "hat")):
            if changes.get(name):
                changes.setdefault(other, False)
        return replace(subject, attributes=replace(subject.attributes, **changes))

    def caption(self, attributes: Attributes, rng: random.Random | None = None) -> str:
        return captions.caption(attributes, rng)

    def render(self, subject: Subject, size: int = SIZE) -> Image.Image:
        picture = portrait.paint(subject, size, parts=False)
        portrait.finish(picture, subject)
        return picture.image()

    def mask(self, subject: Subject, size: int = SIZE) -> Image.Image:
        """Return the identity mask: the head with hair, beard, hat, glasses and earrings, without neck and clothes."""
        shares = portrait.parts(subject, size)
        covered = 1 - sum(shares[name] for name in portrait.OUTSIDE)
        return Image.fromarray(np.rint(np.clip(covered, 0, 1) * 255).astype(np.uint8))

    def label(self, attributes: Attributes) -> dict[str, int]:
        return captions.label(attributes)

    def identity_vector(self, identity: Identity) -> NDArray[np.float32]:
        eyes = np.array(EYE_COLOURS)
        eye = (eyes[identity.eye_colour] - eyes.mean(axis=0)) / eyes.std(axis=0)
        numbers = [(identity.skin - 2.5) / 1.45, *(getattr(identity, name) * 3**0.5 for name in _SPREADS)]
        numbers += [*eye, (identity.freckles - 0.6) / 0.8, len(identity.moles) - 0.9, 2.3 if identity.scar else -0.43]
        return np.array(numbers, dtype=np.float32)


def _check(name: str, value: Any) -> None:
    if name not in captions.LABELS:
        raise ValueError(f"unknown attribute {name!r}; choose from {', '.join(captions.LABELS)}")
    classes = captions.LABELS[name]
    allowed: tuple[Any, ...] = (False, True) if classes == ("no", "yes") else classes
    if type(value) is not type(allowed[0]) or value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, not {value!r}")


DOMAIN = PersonDomain()
