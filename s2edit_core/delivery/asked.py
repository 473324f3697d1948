"""What an edit's words ask for: nothing, other colours, another expression, another light, makeup, things, or anything.

English only; loads no torch.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from difflib import SequenceMatcher
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
ABOUT_TONES = frozenset(("at", "by", "during", "under", "time", "early", "late", "golden", "blue", "warm", "soft", "light"))
"""What a prompt may say beside them of the same."""
OF_NIGHT = frozenset(("night", "nighttime", "midnight", "moonlight"))
"""A photo with these words has stars, a moon and lit windows, which another hour takes away."""
MAKEUP = frozenset(
    (
        *("makeup", "cosmetics", "lipstick", "lipgloss", "blush", "blusher", "rouge", "bronzer", "foundation", "highlighter"),
        *("eyeshadow", "eyeliner", "mascara"),
    )
)
"""What colours the features of a face, each in its place."""
ABOUT_MAKEUP = frozenset(
    (
        *("heavy", "strong", "bold", "dramatic", "intense", "thick", "subtle", "soft", "natural", "nude", "fresh", "elegant"),
        *("glamorous", "smoky", "matte", "glossy", "shiny", "shimmering", "evening", "bridal", "stage", "warm", "deep", "no"),
    )
)
"""What a prompt may say beside it of the same. What else stands there, as in "clown makeup", draws more than colours."""
COMPOUNDS = re.compile(r"\b(make|eye|lip)[ -](up|shadow|liner|gloss)\b")
ALWAYS_THERE = frozenset(("hair", "eye", "eyes", "eyebrow", "eyebrows", "brow", "brows", "lip", "lips", "skin", "fur", "feathers"))
"""What a subject has although its description does not mention it. A prompt may name them to say their colour."""
JOINING = frozenset(
    (
        *("a", "an", "the", "with", "and", "of", "in", "her", "his", "its", "their", "haired", "eyed", "skinned"),
        *("photo", "photograph", "picture", "portrait"),
    )
)
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
    sunset". "makeup" if they name some, also for an attribute to stand for: "a woman" and "a woman with [A] makeup". "things" if
    they name some: "a cat wearing a red collar" and "a cat".
    """
    if same_words(source_prompt, prompt):
        return "nothing"
    before, after = _words(source_prompt), _words(prompt)
    lost: Counter[tuple[str, ...]] = Counter()
    gained = lost.copy()
    for kind, i, j, k, m in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind != "equal":
            lost.update(_phrases(before[i:j]))
            gained.update(_phrases(after[k:m]))
    moved = Counter({phrase: n for phrase, n in (lost & gained).items() if not COLOURS.issuperset(phrase)})
    phrases = [*(lost - moved), *(gained - moved)]
    differing = {word for phrase in phrases for word in phrase}
    if differing & COLOURS and differing <= COLOURS | ALWAYS_THERE:
        return "colours"
    if differing & EXPRESSIONS and differing <= EXPRESSIONS | ABOUT_EXPRESSIONS:
        return "expression"
    at_night = any(OF_NIGHT.intersection(phrase) for phrase in lost - moved)
    if differing & TONES and differing <= TONES | ABOUT_TONES and not at_night:
        return "tones"
    named = {phrase[-1] for phrase in phrases}
    learned = {word for word in differing if word.startswith("[")}
    if named and named <= MAKEUP and differing <= MAKEUP | ABOUT_MAKEUP | COLOURS | learned:
        return "makeup"
    return "things" if named and named <= THINGS else "anything"


def asks_only_for(source_prompt: str, prompt: str, attributes: Collection[str]) -> bool:
    """Return whether an edit asks for nothing but `attributes`, each given by its placeholder and its words: "[A] makeup"."""
    found = {word for each in attributes for form in (each, *plurals(each)) for word in _words(form)}
    before, after = Counter(_words(source_prompt)), Counter(_words(prompt))
    differing = set((after - before) + (before - after))
    return bool(found & differing) and differing <= found | JOINING | WEARING


def same_words(source_prompt: str, prompt: str) -> bool:
    """Return whether the model reads both prompts alike: case and spacing make no difference."""
    return tidy(source_prompt).lower() == tidy(prompt).lower()


def _phrases(words: list[str]) -> list[tuple[str, ...]]:
    """What stands between the words that join: "and a straw hat with flags" has "straw hat" and "flags"."""
    runs = groupby(words, key=lambda word: word in JOINING | WEARING)
    return [tuple(run) for joins, run in runs if not joins]


def _words(text: str) -> list[str]:
    return re.findall(r"\[\w+\]|\w+", COMPOUNDS.sub(r"\1\2", tidy(text).lower()))
