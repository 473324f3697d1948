"""What every domain of the synthetic world offers: people, cats and churches, each with the true answer of every edit."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from s2edit_core.request.domains import Placement

UNSEEN = 10_000_000
"""First seed that is never trained on. Evaluation and the demo take their subjects from here on."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a picture shows.

    Captions never name the identity. They may name the attributes, which edits change. The setting (light, backdrop, clothes, film
    grain) is neither: it differs between two photos of one identity, and an edit keeps it.
    """

    identity: Any
    attributes: Any
    setting: Any


class Domain(Protocol):
    """A kind of subject. Everything is a function of its arguments alone, and the same on every machine."""

    name: str
    subjects: tuple[str, ...]
    """The subject words of its captions, such as "woman", "man", "person"."""
    word_bank: tuple[str, ...]
    """The attribute words to which L_semantic holds [I] orthogonal (S²Edit, arXiv 2507.04584). Never a subject word."""
    scene: bool
    """Whether its edits change the whole picture."""
    placement: Placement
    """Where its pictures show the subject."""
    words: frozenset[str]
    """Every word that a caption can contain."""
    labels: Mapping[str, tuple[str, ...]]
    """The classes of each attribute, by attribute name, for a judge."""
    identity_names: tuple[str, ...]
    """The names of the numbers of `identity_vector`."""
    looks: Mapping[str, tuple[str, ...]]
    """Attributes that look different on different subjects, and the fields of the identity that say how."""

    def sample(self, seed: int) -> Subject:
        """Return the subject of that seed."""

    def another_photo(self, subject: Subject, seed: int) -> Subject:
        """Return the same identity in another photo: other setting, pose and passing attributes."""

    def change(self, subject: Subject, **changes: Any) -> Subject:
        """Return the true answer of an edit. Raises `ValueError` for an unknown attribute or value."""

    def caption(self, attributes: Any, rng: random.Random | None = None) -> str:
        """Return the sentence for `attributes`. Without `rng` it names all of them; with `rng` it omits some, in any order."""

    def render(self, subject: Subject, size: int = 128) -> Image.Image:
        """Return the picture, RGB, `size` pixels square. It shows the same at every size."""

    def mask(self, subject: Subject, size: int = 128) -> Image.Image:
        """Return the identity mask, 8-bit grey with 255 inside."""

    def label(self, attributes: Any) -> dict[str, int]:
        """Return the class of each attribute, as an index into `labels`."""

    def identity_vector(self, identity: Any) -> NDArray[np.float32]:
        """Return the identity as numbers of about zero mean and unit variance, for a regressor."""


def with_look_of(domain: Domain, subject: Subject, word: str, identity: Any) -> Subject:
    """Return `subject` with the look that the attribute `word` has on another identity."""
    look = {name: getattr(identity, name) for name in domain.looks[word]}
    return replace(subject, identity=replace(subject.identity, **look))


def check_known(attributes: type, changes: Mapping[str, Any]) -> None:
    """Raise `ValueError` for changes of something that the dataclass `attributes` does not have."""
    known = [field.name for field in fields(attributes)]
    if unknown := sorted(set(changes) - set(known)):
        raise ValueError(f"unknown attributes: {', '.join(unknown)}; choose from {', '.join(known)}")
