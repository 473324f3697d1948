"""Churches in a landscape, drawn from a plan in three dimensions, so that every view shows the same building."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lab.world.church import captions
from lab.world.church.photo import BUILDING, photo
from lab.world.church.subject import IDENTITY_NAMES, Attributes, Identity, Setting, identity_vector
from lab.world.domain import Domain, Subject, check_known
from lab.world.painting.fields import Field
from s2edit_core.request.domains import Placement


class Churches:
    """The domain of churches."""

    name = "church"
    subjects: tuple[str, ...] = captions.SUBJECTS
    word_bank: tuple[str, ...] = captions.WORD_BANK
    scene: bool = True
    placement: Placement = Placement(1.45, 1.65, 0.16, share=0.16, fullest=0.39, aside=0.15, square=True)
    words: frozenset[str] = captions.WORDS
    labels: Mapping[str, tuple[str, ...]] = captions.LABELS
    identity_names: tuple[str, ...] = IDENTITY_NAMES
    looks: Mapping[str, tuple[str, ...]] = {"scaffolding": ("net", "netted"), "flags": ("flags",)}

    def sample(self, seed: int) -> Subject:
        """Return the subject of that seed."""
        rng = random.Random(f"church-{seed}")
        return Subject(Identity.sample(rng), Attributes.sample(rng), Setting.sample(rng))

    def another_photo(self, subject: Subject, seed: int) -> Subject:
        """Return the same church in another photo: other view, time, season, weather, additions and landscape."""
        rng = random.Random(f"church-photo-{seed}")
        return Subject(subject.identity, Attributes.sample(rng), Setting.sample(rng))

    def change(self, subject: Subject, **changes: Any) -> Subject:
        """Return the true answer of an edit. Raises `ValueError` for an unknown attribute or value.

        Night takes away a rainbow, and a new rainbow turns night into day.
        """
        check_known(Attributes, changes)
        for name, value in changes.items():
            _check(name, value)
        has = subject.attributes
        if changes.get("time") == "night" and has.weather == "rainbow":
            changes.setdefault("weather", "clear")
        if changes.get("weather") == "rainbow" and has.time == "night":
            changes.setdefault("time", "day")
        return replace(subject, attributes=replace(has, **changes))

    def caption(self, attributes: Attributes, rng: random.Random | None = None) -> str:
        """Return the sentence for `attributes`. Without `rng` it names all of them; with `rng` it omits some, in any order."""
        return captions.caption(attributes, rng)

    def render(self, subject: Subject, size: int = 128) -> Image.Image:
        """Return the picture, RGB, `size` pixels square. It shows the same at every size."""
        return photo(subject, size).image()

    def parts(self, subject: Subject, size: int = 128) -> dict[str, Field]:
        """Return the visible share of each part in each pixel, `(size, size)` in 0..1. The shares of a pixel add up to one."""
        return photo(subject, size).parts

    def mask(self, subject: Subject, size: int = 128) -> Image.Image:
        """Return the identity mask, 8-bit grey with 255 inside: the building and what is put on it."""
        parts = self.parts(subject, size)
        covered = np.sum([parts[name] for name in BUILDING], axis=0)
        return Image.fromarray(np.rint(covered.clip(0, 1) * 255).astype(np.uint8))

    def label(self, attributes: Attributes) -> dict[str, int]:
        """Return the class of each attribute, as an index into `labels`."""
        return captions.label(attributes)

    def identity_vector(self, identity: Identity) -> NDArray[np.float32]:
        """Return the identity as numbers of about zero mean and unit variance, for a regressor."""
        return identity_vector(identity)


def _check(name: str, value: Any) -> None:
    """Raise `ValueError` unless `value` is one of the attribute's."""
    if name in captions.EXTRAS:
        if not isinstance(value, bool):
            raise ValueError(f"{name} is True or False, got {value!r}")
    elif value not in captions.LABELS[name]:
        raise ValueError(f"{name} is one of {', '.join(captions.LABELS[name])}, got {value!r}")


DOMAIN: Domain = Churches()
