"""The domain of cats: samples, edits with their true answers, captions, pictures and masks."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lab.world.cat import attributes as cat_attributes
from lab.world.cat.attributes import LABELS, SUBJECTS, WORD_BANK, WORDS, Attributes
from lab.world.cat.identity import IDENTITY_NAMES, Identity, identity_vector
from lab.world.cat.painter import paint
from lab.world.cat.setting import Setting
from lab.world.domain import Subject, check_known
from lab.world.painting.fields import Field
from s2edit_core.request.domains import Placement


class Cats:
    """Cats, as a `Domain`."""

    name = "cat"
    subjects: tuple[str, ...] = SUBJECTS
    word_bank: tuple[str, ...] = WORD_BANK
    scene: bool = False
    placement: Placement = Placement(1.12, 1.25, 0.11, share=0.37, fullest=0.53, aside=0.06, square=True)
    words: frozenset[str] = WORDS
    labels: Mapping[str, tuple[str, ...]] = LABELS
    identity_names: tuple[str, ...] = IDENTITY_NAMES
    looks: Mapping[str, tuple[str, ...]] = {"collar": ("collar", "tag")}

    def sample(self, seed: int) -> Subject:
        """Return the subject of that seed."""
        rng = random.Random(f"cat-{seed}")
        return Subject(Identity.sample(rng), Attributes.sample(rng), Setting.sample(rng))

    def another_photo(self, subject: Subject, seed: int) -> Subject:
        """Return the same cat, as fluffy and as young, in another setting and pose, with other things worn."""
        rng = random.Random(f"cat-photo-{seed}")
        drawn = replace(Attributes.sample(rng), fluffy=subject.attributes.fluffy, young=subject.attributes.young)
        return Subject(subject.identity, drawn, Setting.sample(rng))

    def change(self, subject: Subject, **changes: Any) -> Subject:
        """Return the true answer of an edit. Raises `ValueError` for an unknown attribute or value."""
        check_known(Attributes, changes)
        for name, value in changes.items():
            if name != "pose" and not isinstance(value, bool):
                raise ValueError(f"{name} must be True or False, got {value!r}")
        return replace(subject, attributes=replace(subject.attributes, **changes))

    def caption(self, attributes: Any, rng: random.Random | None = None) -> str:
        """Return the sentence for `attributes`. Without `rng` it names all of them; with `rng` it omits some, in any order."""
        return cat_attributes.caption(attributes, rng)

    def render(self, subject: Subject, size: int = 128) -> Image.Image:
        """Return the picture, RGB, `size` pixels square. It shows the same at every size."""
        return paint(subject.identity, subject.attributes, subject.setting, size).image()

    def parts(self, subject: Subject, size: int = 128) -> dict[str, Field]:
        """Return the share of each part in each pixel, in 0..1. The shares of a pixel add up to one."""
        return paint(subject.identity, subject.attributes, subject.setting, size).parts

    def mask(self, subject: Subject, size: int = 128) -> Image.Image:
        """Return the identity mask, 8-bit grey with 255 inside: the whole cat with what it wears."""
        covered = 1 - self.parts(subject, size)["background"]
        return Image.fromarray(np.rint(covered.clip(0, 1) * 255).astype(np.uint8))

    def label(self, attributes: Any) -> dict[str, int]:
        """Return the class of each attribute, as an index into `labels`."""
        return cat_attributes.label(attributes)

    def identity_vector(self, identity: Any) -> NDArray[np.float32]:
        """Return the identity as numbers of about zero mean and unit variance, for a regressor."""
        return identity_vector(identity)


DOMAIN = Cats()
