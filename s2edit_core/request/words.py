"""Words of prompts: normalisation, and nouns in singular and plural. English only; loads no torch."""

from __future__ import annotations

import re
import unicodedata

UNIFORM = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u02bc\uff07", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\uff02", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\uff0d", "-"),
        **dict.fromkeys("\u00ad\u200b\u200e\u200f\u2060\ufeff", None),
        **dict.fromkeys(map(chr, [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]), None),
        **{chr(i): None for i in range(0x20) if not chr(i).isspace()},
        "\x7f": None,
    }
)
"""Maps typographic quotes and hyphens to plain ones, as in CLIP's training captions, which ftfy cleaned. Removes invisible
characters.
"""
IRREGULAR = {
    "child": ("children",),
    "person": ("people", "persons"),
    "foot": ("feet",),
    "tooth": ("teeth",),
    "goose": ("geese",),
    "mouse": ("mice",),
    "ox": ("oxen",),
    **{word: (word,) for word in ("sheep", "fish", "deer", "moose", "bison")},
    **{word: (word[:-1] + "ves",) for word in ("wolf", "calf", "elf", "thief", "leaf")},
    "wife": ("wives",),
}
NO_MEN = ("human", "german", "roman", "norman", "shaman", "ottoman", "talisman")
"""Words that end in "man" without a plural in "men"."""
SOUNDED_CONSONANT = re.compile(r"(uni(?!n|m)|use|usu|eu|ewe|one\b|once|ur[aio])", re.IGNORECASE)
"""Beginnings with a vowel letter that take "a"."""
SILENT_H = re.compile(r"(hour|heir|honest|honou?r)", re.IGNORECASE)
PEOPLE = (
    *("woman", "man", "girl", "boy", "person", "child", "kid", "toddler", "baby", "lady", "gentleman", "guy", "teenager"),
    *("adult", "bride", "groom", "model", "face"),
)
"""Words that captions use for people. A caption with one of them in place of the prompt's subject still describes the photo."""


def tidy(text: str) -> str:
    """Return `text` in NFC, with plain quotes and hyphens, single spaces, and no spaces at its ends."""
    return " ".join(unicodedata.normalize("NFC", text.translate(UNIFORM)).split())


def following(words: str) -> str:
    """Return a pattern of white space and `words`, in singular or plural and any case: what follows a placeholder."""
    forms = "|".join(r"\s+".join(map(re.escape, form.split())) for form in (tidy(words), *plurals(tidy(words))))
    return rf"(?i:\s+(?:{forms})(?![\w'-]))"


def plurals(word: str) -> tuple[str, ...]:
    """Return the plural forms of the noun `word`, in lower case; of several words, the last is inflected."""
    start, last = re.fullmatch(r"(.*?)(\w*)", word.lower(), flags=re.DOTALL).groups()  # type: ignore[union-attr]
    return tuple(start + form for form in _plurals(last))


def _plurals(word: str) -> tuple[str, ...]:
    if word in IRREGULAR:
        return IRREGULAR[word]
    if word.endswith("man") and word not in NO_MEN:
        return (word[:-2] + "en",)
    if re.search(r"(s|x|z|ch|sh)$", word):
        return (word + "es",)
    if re.search(r"[^aeiou]y$", word):
        return (word[:-1] + "ies",)
    return (word + "s", word + "es") if word.endswith("o") else (word + "s",)


def article(noun: str) -> str:
    """Return "a" or "an", according to the pronunciation of `noun`."""
    vowel = noun[:1].lower() in "aeiou" and not SOUNDED_CONSONANT.match(noun)
    return "an" if noun and (vowel or SILENT_H.match(noun)) else "a"


def find_noun(noun: str, text: str) -> re.Match[str] | None:
    """Find `noun` in `text`: its first occurrence as a word, in any case, otherwise its first plural.

    A hyphenated word that ends in the noun matches as a whole: "snow-leopard" is a leopard. One that begins with it does not
    ("man-made"), nor does the possessive of a plural ("a men's shirt").
    """
    return _find((noun,), text) or _find(plurals(noun), text, before="'")


def _find(forms: tuple[str, ...], text: str, before: str = "") -> re.Match[str] | None:
    """Return the first of `forms` in `text` that is not followed by a letter, a hyphenated word or a character of `before`."""
    any_of = "|".join(r"\s+".join(map(re.escape, form.split())) for form in forms)
    return re.search(rf"(?<!\w)(?<!\w-)(?:\w+-)*(?:{any_of})(?!\w|-\w{'|' + before if before else ''})", text, flags=re.IGNORECASE)
