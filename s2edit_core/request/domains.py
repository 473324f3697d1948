"""The domains of a model: kinds of subjects, such as people, cats and churches, each with its attribute words. Loads no torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from s2edit_core.request.prompts import without_placeholders
from s2edit_core.request.spec import PLACEHOLDER
from s2edit_core.request.words import find_noun, plurals, tidy

PLAIN_WORDS = frozenset(
    (
        *("a", "an", "the", "his", "her", "its", "their", "and", "who", "is", "are", "has", "having", "wearing"),
        *("of", "in", "on", "at", "by", "from", "under", "with", "photo", "photograph", "picture", "image", "portrait"),
    )
)
"""Words that may be in any prompt, whatever a model was trained with. "Without" and "no" are not among them."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a model's training pictures show their subjects. A model draws subjects best that are placed like them.

    `context` is the usual side of the pictures relative to the longer side of the subject's box, and `widest` the largest one: what
    fits into a square photo within that is seen whole. `headroom` is the share of the picture above the subject, 0..1; None if its
    box lies in the middle. `share` is the share of the pictures that a subject usually covers, and `fullest` the largest one, 0..1;
    None if any will do. `aside` is how far the middle of its box lies to the left or right of the picture's middle at most, as a
    share of the side; None if it may lie anywhere. `square` says that all pictures are squares.

    Raises `ValueError` for other numbers.
    """

    context: float = 2.0
    widest: float = 2.0
    headroom: float | None = None
    share: float | None = None
    fullest: float | None = None
    aside: float | None = None
    square: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.context <= self.widest:
            raise ValueError(f"context must be 1 or more, and at most widest, not {self.context:g} and {self.widest:g}")
        if self.headroom is not None and not 0 <= self.headroom <= 1:
            raise ValueError(f"headroom must be from 0 to 1, not {self.headroom:g}")
        if self.aside is not None and not 0 <= self.aside <= 0.5:
            raise ValueError(f"aside must be from 0 to 0.5, not {self.aside:g}")
        if (self.share is None) != (self.fullest is None):
            raise ValueError("share and fullest belong together: give both, or neither")
        if self.share is not None and self.fullest is not None and not 0 < self.share <= self.fullest <= 1:
            raise ValueError(
                f"share must be above 0, and at most fullest, which is at most 1, not {self.share:g} and {self.fullest:g}"
            )


@dataclass(frozen=True, slots=True)
class Domain:
    """One kind of subject: the words that name it, and the words for what a prompt may change about it."""

    subjects: tuple[str, ...]
    attribute_words: tuple[str, ...] = ()
    scene: bool = False
    """Whether edits change the whole scene, as snow and night do around a church, and not the subject alone."""
    placement: Placement = Placement()
    closed_vocabulary: bool = False
    """Whether the model was trained with captions of these words and `PLAIN_WORDS` alone, and so knows no others."""


DEFAULT_DOMAINS: tuple[Domain, ...] = (
    Domain(
        ("woman", "man", "girl", "boy", "person", "face", "baby"),
        (
            *("black", "brown", "blond", "red", "gray", "hair", "long", "short", "curly", "bangs"),
            *("smiling", "sad", "angry", "surprised", "old", "young", "glasses", "sunglasses", "hat", "beard"),
            *("mustache", "makeup", "lipstick", "blush", "earrings", "pale", "tanned", "bald"),
        ),
    ),
    Domain(
        ("cat", "dog"),
        (
            *("black", "white", "brown", "gray", "orange", "fluffy", "old", "young", "sleeping", "sitting", "standing"),
            *("angry", "collar", "hat", "glasses", "left", "right", "up"),
        ),
    ),
    Domain(
        ("church",),
        (
            *("snow", "autumn", "spring", "summer", "winter", "night", "sunset", "fog", "rain", "rainbow"),
            *("wooden", "brick", "old", "ruined", "ivy", "flags", "scaffolding"),
        ),
        scene=True,
    ),
)
"""The domains of a model without a card (`s2edit.json`)."""


def subjects_of(domains: Sequence[Domain]) -> tuple[str, ...]:
    """Return the subject words of all `domains`, each once."""
    return tuple(dict.fromkeys(word for domain in domains for word in domain.subjects))


def attribute_words_of(domains: Sequence[Domain]) -> tuple[str, ...]:
    """Return the attribute words of all `domains`, each once."""
    return tuple(dict.fromkeys(word for domain in domains for word in domain.attribute_words))


DEFAULT_SUBJECTS = subjects_of(DEFAULT_DOMAINS)


def word_bank(domains: Sequence[Domain], subject: str, placeholder: str = PLACEHOLDER) -> tuple[str, ...]:
    """Return the words that the concept `placeholder` of `subject` is held orthogonal to (L_semantic, arXiv 2507.04584).

    [I] says who the subject is, and nothing that a prompt may change. So its words are the attribute words of the subject's domain,
    or those of all domains if none has the subject. [A] says what is added, and not to whom. So its words are all subject words.
    """
    if placeholder != PLACEHOLDER:
        return subjects_of(domains)
    domain = domain_of(domains, subject)
    return domain.attribute_words if domain else attribute_words_of(domains)


def domain_of(domains: Sequence[Domain], subject: str) -> Domain | None:
    """Return the first domain that has `subject`, in any case; None if there is none."""
    return next((each for each in domains if subject.lower() in map(str.lower, each.subjects)), None)


def domains_in(domains: Sequence[Domain], prompt: str) -> tuple[Domain, ...]:
    """Return the domains of the subjects that `prompt` names, in singular or plural; all if it names none of them."""
    text = tidy(prompt)
    return tuple(each for each in domains if any(find_noun(noun, text) for noun in each.subjects)) or tuple(domains)


def unknown_words(domains: Sequence[Domain], prompt: str) -> tuple[str, ...]:
    """Return the words of `prompt` that the model does not know of its subject's domain, each once, in lower case.

    Only a domain with a closed vocabulary has such words. A word is known in singular and plural.
    """
    meant = domains_in(domains, prompt)
    if not meant or not all(each.closed_vocabulary for each in meant):
        return ()
    known = PLAIN_WORDS | {word.lower() for each in meant for word in (*each.subjects, *each.attribute_words)}
    known |= {plural for word in known for plural in plurals(word)}
    return tuple(word for word in dict.fromkeys(_said(prompt)) if word not in known)


def word_warnings(
    domains: Sequence[Domain], prompt: str, negative_prompt: str | None = None, *, only: str | None = None
) -> list[str]:
    """Return sentences about the unknown words of both prompts, and about what both name. With `only`, of these words alone.

    A negative prompt need not name the subject: it is the one of `prompt`.
    """
    meant = domains_in(domains, prompt)
    both = [] if only is not None else [f"\u201c{phrase}\u201d" for phrase in named_by_both(prompt, negative_prompt or "")]
    contradictions = [f"the negative_prompt speaks against {both[0]}, which the prompt asks for"] if both else []
    among = None if only is None else set(tidy(only).lower().split())
    unknown = dict.fromkeys(word for text in (prompt, negative_prompt or "") for word in unknown_words(meant, text))
    words = [f"\u201c{word}\u201d" for word in unknown if among is None or word in among]
    if not words:
        return contradictions
    *some, last = words
    if some:
        return [
            f"the model was trained without the words {', '.join(some)} and {last}, and may ignore or mistake them",
            *contradictions,
        ]
    return [f"the model was trained without the word {last}, and may ignore or mistake it", *contradictions]


def named_by_both(prompt: str, negative_prompt: str) -> tuple[str, ...]:
    """Return what a negative prompt names of the prompt itself, such as "red hair" or "hat", each once, in lower case.

    >>> named_by_both("a woman with long red hair and a hat", "brown hair, a hat")
    ('hat',)
    """
    said = set(_said(prompt))
    parts = re.split(r"[^\w\s'-]+|\band\b|\bor\b|\bwith\b", tidy(negative_prompt).lower())
    named = [[word for word in _said(part) if word not in PLAIN_WORDS] for part in parts]
    return tuple(dict.fromkeys(" ".join(words) for words in named if words and said.issuperset(words)))


def _said(prompt: str) -> list[str]:
    """Return the words of a prompt, in lower case, without placeholders."""
    return re.findall(r"[^\W\d_]+(?:['-][^\W\d_]+)*", without_placeholders(tidy(prompt)).lower())
