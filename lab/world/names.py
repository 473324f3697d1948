"""Pseudo-names of the training set: captions that name a person, over several photos of that person. Needs no torch.

Stable Diffusion's text space knows identities, because its captions hold names. A model whose captions only list attributes has no
direction for who somebody is, so [I] learns the photo instead. Named identities teach the denoiser that one word before the subject
stays the same person in another pose, light and dress: the place that [I] takes later.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from lab.world.domain import Domain, Subject

CONSONANTS, VOWELS = "bdfgjklmnprstvwxyzhc", "aeiou"
SYLLABLES = tuple(consonant + vowel for consonant in CONSONANTS for vowel in VOWELS)
MOST = len(SYLLABLES) ** 2
"""The number of different names."""
STRIDE = 7919
"""Neighbouring numbers get unlike names. A prime that does not divide `MOST`, so no name repeats."""
NAMED_EVERY = 2
"""Of the captions of a named photo, one in so many holds the name. The others teach what attributes look like without it."""


def name_of(number: int) -> str:
    """Return the name of an identity: two syllables, one token of the tokenizer. Raises `ValueError` beyond `MOST` names."""
    if not 0 <= number < MOST:
        raise ValueError(f"there are {MOST} names, numbered from 0: there is none for {number}")
    first, second = divmod(number * STRIDE % MOST, len(SYLLABLES))
    return SYLLABLES[first] + SYLLABLES[second]


def with_name(caption: str, name: str, subjects: Sequence[str]) -> str:
    """Return `caption` with the name before its first subject word. Raises `ValueError` for a caption without one."""
    named, count = re.subn(rf"\b({'|'.join(map(re.escape, subjects))})\b", rf"{name} \1", caption, count=1)
    if not count:
        raise ValueError(f"the caption {caption!r} has none of the subject words {', '.join(subjects)}")
    return named


@dataclass(frozen=True)
class Naming:
    """The first `named` identities of a domain have a name and `photos` photos each, on consecutive seeds from 0.

    `first` is the number of the domain's first name. All other seeds are as without names: one photo of somebody unnamed.
    """

    named: int = 0
    photos: int = 4
    first: int = 0

    def __post_init__(self) -> None:
        if self.named < 0 or self.photos < 1:
            raise ValueError(f"expected 0 or more named identities with 1 photo or more, not {self.named} and {self.photos}")
        if self.first + self.named > MOST:
            raise ValueError(
                f"there are {MOST} names for all domains together, not {self.first + self.named}: name fewer identities"
            )

    def names(self) -> tuple[str, ...]:
        """Return the names of the domain's identities."""
        return tuple(name_of(self.first + i) for i in range(self.named))

    def shown(self, domain: Domain, seed: int) -> tuple[Subject, str | None]:
        """Return what the photo of `seed` shows, and the name of it, if it has one."""
        number, photo = divmod(seed, self.photos)
        if number >= self.named:
            return domain.sample(seed), None
        subject = domain.sample(number * self.photos)
        return (domain.another_photo(subject, seed) if photo else subject), name_of(self.first + number)

    def captions(self, domain: Domain, seed: int, count: int) -> list[str]:
        """Return `count` captions of a photo: the one that names all attributes, then random ones, every second with the name."""
        subject, name = self.shown(domain, seed)
        rng = random.Random(f"captions-{domain.name}-{seed}")
        found = [domain.caption(subject.attributes), *(domain.caption(subject.attributes, rng) for _ in range(count - 1))]
        if name is None:
            return found
        return [with_name(text, name, domain.subjects) if i % NAMED_EVERY else text for i, text in enumerate(found)]


UNNAMED = Naming()
