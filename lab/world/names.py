"""Pseudo-names of the training set: captions that name a person, over several photos of that person. Needs no torch.

Stable Diffusion's text space knows identities, because its captions hold names. A model whose captions only list attributes has no
direction for who somebody is, so [I] learns the photo instead. Named identities teach the denoiser that one word before the subject
stays the same person in another pose, light and dress: the place that [I] takes later. So do named looks for what captions leave
out of an attribute: a word before "makeup" stays the same makeup on other people, the place that [A] takes.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from lab.world.domain import Domain, Subject, with_look_of

CONSONANTS, VOWELS = "bdfgjklmnprstvwxyzhc", "aeiou"
SYLLABLES = tuple(consonant + vowel for consonant in CONSONANTS for vowel in VOWELS)
MOST = len(SYLLABLES) ** 2
"""The number of different names."""
STRIDE = 7919
"""Neighbouring numbers get unlike names. A prime that does not divide `MOST`, so no name repeats."""
NAMED_EVERY = 2
"""Of the captions of a named photo, one in so many holds the name. The others teach what attributes look like without it."""
FIRST_LOOK = 5_000_000
"""Look n of an attribute is that of subject `FIRST_LOOK` + n."""
FIRST_WEARER, TRIED = 1_000_000_000, 1000
"""The photo of seed n in which somebody wears a look is the first of subjects `FIRST_WEARER` + `TRIED` · n + 0, 1, … that shows the
attribute of itself: so looks are worn by those who wear such things."""


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
class Looks:
    """`count` looks of the attribute `word` have a name, and `photos` photos each, of other subjects."""

    word: str
    count: int
    photos: int

    @property
    def pictures(self) -> int:
        return self.count * self.photos


@dataclass(frozen=True)
class Naming:
    """The first `named` identities of a domain have a name and `photos` photos each, on consecutive seeds from 0.

    The seeds after them show the named `looks`. All other seeds are as without names: one photo of somebody unnamed. `first` is the
    number of the domain's first name, `first_look` that of its first look, whose names count down from the last one.
    """

    named: int = 0
    photos: int = 4
    first: int = 0
    looks: tuple[Looks, ...] = ()
    first_look: int = 0

    def __post_init__(self) -> None:
        if self.named < 0 or self.photos < 1:
            raise ValueError(f"expected 0 or more named identities with 1 photo or more, not {self.named} and {self.photos}")
        if self.first + self.named + self.first_look + self.look_count > MOST:
            raise ValueError(
                f"there are {MOST} names for all domains together, not {self.first + self.named} for identities and "
                f"{self.first_look + self.look_count} for looks: name fewer"
            )

    @property
    def look_count(self) -> int:
        return sum(looks.count for looks in self.looks)

    @property
    def pictures(self) -> int:
        """The number of photos with a name."""
        return self.named * self.photos + sum(looks.pictures for looks in self.looks)

    def names(self) -> tuple[str, ...]:
        """Return the names of the domain's identities, then of its looks."""
        return (
            *(name_of(self.first + i) for i in range(self.named)),
            *(self._look_name(i) for i in range(self.look_count)),
        )

    def _look_name(self, number: int) -> str:
        return name_of(MOST - 1 - self.first_look - number)

    def look(self, seed: int) -> tuple[str, int] | None:
        """Return the attribute whose look is named in the photo of `seed`, and the look's number in the domain."""
        photo, number = seed - self.named * self.photos, 0
        for looks in self.looks:
            if 0 <= photo < looks.pictures:
                return looks.word, number + photo // looks.photos
            photo -= looks.pictures
            number += looks.count
        return None

    def shown(self, domain: Domain, seed: int) -> tuple[Subject, str | None]:
        """Return what the photo of `seed` shows, and the name of whom or what it shows, if it has one."""
        if look := self.look(seed):
            word, number = look
            return _wearer(domain, seed, word, number), self._look_name(number)
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
        look = self.look(seed)
        words = domain.subjects if look is None else look[:1]
        return [with_name(text, name, words) if i % NAMED_EVERY and _has(text, words) else text for i, text in enumerate(found)]


def _has(text: str, words: Sequence[str]) -> bool:
    return any(word in re.findall(r"\w+", text) for word in words)


def _wearer(domain: Domain, seed: int, word: str, number: int) -> Subject:
    """Return somebody who wears look `number` of the attribute `word`."""
    tried = (domain.sample(FIRST_WEARER + TRIED * seed + i) for i in range(TRIED))
    subject = next(subject for subject in tried if getattr(subject.attributes, word))
    return with_look_of(domain, subject, word, domain.sample(FIRST_LOOK + number).identity)


UNNAMED = Naming()
