"""People as a domain with few labels, for tests of the training."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lab.world.domain import Subject
from lab.world.person.domain import PersonDomain


class Portraits(PersonDomain):
    name = "portrait"
    labels: Mapping[str, tuple[str, ...]] = {"gender": ("man", "woman"), "glasses": ("no", "yes"), "hat": ("no", "yes")}
    identity_names: tuple[str, ...] = ("skin", "jaw")

    def render(self, subject: Subject, size: int = 128) -> Image.Image:
        return _rendered(subject, size)

    def label(self, attributes: Any) -> dict[str, int]:
        return {
            "gender": self.labels["gender"].index(attributes.gender),
            "glasses": -1 if attributes.sunglasses else int(attributes.glasses),
            "hat": int(attributes.hat),
        }

    def identity_vector(self, identity: Any) -> NDArray[np.float32]:
        return np.array([(identity.skin - 2.5) / 1.5, identity.jaw], dtype=np.float32)


@lru_cache(maxsize=64)
def _rendered(subject: Subject, size: int) -> Image.Image:
    """Draw each portrait once: many tests need the first ones."""
    return PersonDomain.render(DOMAIN, subject, size)


DOMAIN = Portraits()


def pictures(count: int) -> NDArray[np.uint8]:
    """Return the first portraits, `(count, 128, 128, 3)`."""
    return np.stack([np.asarray(DOMAIN.render(DOMAIN.sample(seed))) for seed in range(count)])
