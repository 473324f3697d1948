"""What an edit's words ask for: nothing, other colours, another expression, another light, makeup, things, or anything.

English only; loads no torch.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from s2edit_core.request.words import plurals, tidy

Asked = Literal["nothing", "colours", "tones", "makeup", "expression", "things", "anything"]
"""What an edit may change. If it only asks for other colours, nothing new stands in the photo. Nor does it if the edit asks for the
light of another hour or the tones of another season, which change all colours, or for makeup, which colours the features of a face.
If it only asks for another expression, these are drawn anew, and nothing is tinted. Nor is anything if it only puts things on or
takes them off: then whatever changes is the thing, or what it hid."""
COLOURS = frozenset(
    (
        *("black", "white", "gray", "grey", "silver", "brown", "beige", "red", "orange", "yellow", "gold", "golden", "green"),
        *("turquoise", "teal", "blue", "purple", "violet", "pink", "blond", "blonde", "brunette", "ginger", "auburn"),
        *("crimson", "scarlet", "burgundy", "maroon", "coral", "peach", "plum", "mauve"),
        *("chestnut", "copper", "platinum", "dark", "darker", "light", "lighter", "pale", "bright"),
    )
)
EXPRESSIONS = frozenset(
    (
        *("smile", "smiles", "smiling", "grin", "grins", "grinning", "laugh", "laughs", "laughing", "laughter", "smirking"),
        *("frown", "frowns", "frowning", "pout", "pouting", "surprised", "shocked", "astonished", "amazed", "scared", "afraid"),
        *("sad", "happy", "angry", "serious", "neutral", "joyful", "cheerful", "worried", "bored", "disgusted"),
        *("shouting", "screaming", "yawning", "winking"),
    )
)
ABOUT_EXPRESSIONS = frozenset(
    (
        *("expression", "face", "look", "looks", "looking", "mouth", "lips", "teeth", "open", "closed", "very", "big", "wide"),
        *("broad", "broadly", "slight", "slightly", "gentle", "gently", "happily", "sadly"),
    )
)
"""What a prompt may say beside them of the same."""
TONES = frozenset(
    (
        *("morning", "noon", "midday", "afternoon", "evening", "day", "daytime", "daylight", "sunlight", "night", "nighttime"),
        *("midnight", "moonlight", "sunset", "sunrise", "dusk", "dawn", "twilight", "hour", "spring", "summer", "autumn", "fall"),
    )
)
ABOUT_TONES = frozenset(("time", "early", "late", "golden", "blue", "warm", "soft", "light"))
"""What a prompt may say beside them of the same."""
OF_NIGHT = frozenset(("night", "nighttime", "midnight", "moonlight"))
"""A photo with these words has stars, a moon and lit windows, which another hour takes away."""
MAKEUP = frozenset(
    (
        *("makeup", "cosmetics", "lipstick", "lipsticks", "lipgloss", "blush", "blusher", "rouge", "bronzer"),
        *("eyeshadow", "eyeshadows", "eyeliner", "mascara"),
    )
)
"""What colours the features of a face, each in its place."""
ABOUT_MAKEUP = frozenset(
    (
        *("heavy", "strong", "bold", "dramatic", "intense", "thick", "subtle", "soft", "natural", "nude", "fresh", "elegant"),
        *("glamorous", "smoky", "matte", "glossy", "shiny", "shimmering", "evening", "bridal", "stage", "warm", "deep", "full"),
        *("colorful", "colourful", "colored", "coloured", "some", "more", "less", "very", "no", "eye", "lip"),
    )
)
"""What describes it. What else stands there, as in "clown makeup", draws more than colours."""
FACE = frozenset(("face", "lips", "eyes", "eyelids", "lids", "cheeks"))
"""Where it is, if a prompt says so: "lipstick on her lips"."""
COMPOUNDS = re.compile(r"\b(make|eye|lip)[ \u2013-](up|shadow|shadows|liner|gloss)\b")
ALWAYS_THERE = frozenset(("hair", "eye", "eyes", "eyebrow", "eyebrows", "brow", "brows", "lip", "lips", "skin", "fur", "feathers"))
"""What a subject has although its description does not mention it. A prompt may name them to say their colour."""
JOINING = frozenset(
    (
        *("a", "an", "the", "with", "and", "of", "in", "at", "by", "during", "under", "he", "she", "it", "is", "are"),
        *("her", "his", "its", "their", "haired", "eyed", "skinned", "photo", "photograph", "picture", "portrait"),
        *(",", ".", ";", ":"),
    )
)
"""What phrases end at."""
WEARING = frozenset(("wearing", "wears", "having", "has", "on"))
"""What else leads to an attribute."""
THINGS = frozenset(
    (
        *("glasses", "eyeglasses", "spectacles", "sunglasses", "goggles", "mask", "hat", "hats", "cap", "beret", "beanie"),
        *("helmet", "crown", "tiara", "headband", "headscarf", "bandana", "turban", "veil", "headphones", "earring", "earrings"),
        *("necklace", "collar", "choker", "bow", "bowtie", "tie", "scarf", "beard", "moustache", "mustache"),
        *("scaffolding", "flag", "flags"),
    )
)
"""What is put on a subject and taken off it as a whole. A word before it describes it: "a straw hat"."""


def asked_for(source_prompt: str, prompt: str) -> Asked:
    """Compare the description of the photo with that of the edit, as the model gets them.

    "nothing" if they are equal but for case and spacing. "colours" if the words that differ are colours, such as "brown" and "red",
    or name the colour of what every subject has: "a woman" and "a woman with red hair". "expression" if they are expressions: "a
    man" and "a man with a big smile". "tones" if they are hours or seasons: "a church in summer" and "a church in autumn at
    sunset". "makeup" if they name or describe some, also for an attribute to stand for: "a woman" and "a woman with [A] makeup".
    "things" if they name some: "a cat wearing a red collar" and "a cat".
    """
    if same_words(source_prompt, prompt):
        return "nothing"
    changes = _changes(source_prompt, prompt)
    heads, differing = {change.head for change in changes}, {word for change in changes for word in change.words}
    named = {change.head for change in changes if change.whole}
    if heads & MAKEUP and heads <= MAKEUP | FACE and differing <= MAKEUP | ABOUT_MAKEUP | FACE | COLOURS | _learned(differing):
        return "makeup"
    if differing & COLOURS and differing <= COLOURS | ALWAYS_THERE:
        return "colours"
    if differing & EXPRESSIONS and differing <= EXPRESSIONS | ABOUT_EXPRESSIONS:
        return "expression"
    at_night = any(change.lost and OF_NIGHT & change.words for change in changes)
    if differing & TONES and differing <= TONES | ABOUT_TONES and not at_night:
        return "tones"
    return "things" if named and named == heads and named <= THINGS else "anything"


@dataclass(frozen=True, slots=True)
class _Change:
    """What differs of one phrase: "red" and "blue" before a hat, or a whole phrase that came or was `lost`."""

    head: str
    words: frozenset[str]
    whole: bool = False
    lost: bool = False


def _changes(source_prompt: str, prompt: str) -> list[_Change]:
    """Compare the phrases of both prompts, in whatever order they stand. Those with the same last word are about the same thing."""
    before, after = Counter(_phrases(source_prompt)), Counter(_phrases(prompt))
    gone, come = list((before - after).elements()), list((after - before).elements())
    changes = []
    for phrase in gone:
        same = next((other for other in come if other[-1] == phrase[-1]), None)
        if same is None:
            changes.append(_Change(phrase[-1], frozenset(phrase), whole=True, lost=True))
        else:
            come.remove(same)
            words, others = Counter(phrase), Counter(same)
            changes.append(_Change(phrase[-1], frozenset((words - others) + (others - words))))
    return changes + [_Change(phrase[-1], frozenset(phrase), whole=True) for phrase in come]


def _learned(words: Collection[str]) -> set[str]:
    """Return the placeholders of attributes among `words`."""
    return {word for word in words if word.startswith("[")}


def asks_only_for(source_prompt: str, prompt: str, attributes: Collection[str]) -> bool:
    """Return whether an edit asks for nothing but `attributes`, each given by its placeholder and its words: "[A] makeup"."""
    found = {word for each in attributes for form in (each, *plurals(each)) for word in _words(form)}
    before, after = Counter(_words(source_prompt)), Counter(_words(prompt))
    differing = set((after - before) + (before - after))
    return bool(found & differing) and differing <= found | JOINING | WEARING


def same_words(source_prompt: str, prompt: str) -> bool:
    """Return whether the model reads both prompts alike: case and spacing make no difference."""
    return tidy(source_prompt).lower() == tidy(prompt).lower()


def _phrases(prompt: str) -> list[tuple[str, ...]]:
    """Return what stands between the words that join: "a cat and a straw hat, in snow" has "cat", "straw hat" and "snow"."""
    runs = groupby(_words(prompt), key=lambda word: word in JOINING | WEARING)
    return [tuple(run) for joins, run in runs if not joins]


def _words(text: str) -> list[str]:
    """Return the words and marks of a prompt, in lower case. "Without" is read as "with no", and [I] is left out."""
    plain = COMPOUNDS.sub(r"\1\2", tidy(text).lower()).replace("[i]", " ")
    return re.findall(r"\[\w+\]|\w+|[,.;:]", re.sub(r"\bwithout( an?\b)?", "with no", plain))
