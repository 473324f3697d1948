"""What the words of an edit ask for: nothing, other colours, or anything. English only; loads no torch."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import Literal

from s2edit_core.request.words import tidy

Asked = Literal["nothing", "colours", "anything"]
"""What an edit may change. If it only asks for other colours, nothing new stands in the photo."""
COLOURS = frozenset(
    (
        *("black", "white", "gray", "grey", "silver", "brown", "beige", "red", "orange", "yellow", "gold", "golden", "green"),
        *("turquoise", "teal", "blue", "purple", "violet", "pink", "blond", "blonde", "brunette", "ginger", "auburn"),
        *("chestnut", "copper", "platinum", "dark", "darker", "light", "lighter", "pale", "bright"),
    )
)
ALWAYS_THERE = frozenset(("hair", "eye", "eyes", "eyebrow", "eyebrows", "brow", "brows", "lip", "lips", "skin", "fur", "feathers"))
"""What a subject has although its description does not mention it. A prompt may name them to say their colour."""
JOINING = frozenset(
    (
        *("a", "an", "the", "with", "and", "of", "in", "her", "his", "its", "their", "haired", "eyed", "skinned"),
        *("photo", "photograph", "picture", "portrait"),
    )
)


def asked_for(source_prompt: str, prompt: str) -> Asked:
    """Compare the description of the photo with that of the edit, as the model gets them.

    "nothing" if they are equal. "colours" if the words that differ are colours, such as "brown" and "red", or name the colour of
    what every subject has: "a woman" and "a woman with red hair".
    """
    if source_prompt == prompt:
        return "nothing"
    before, after = (re.findall(r"\[\w+\]|\w+", tidy(text).lower()) for text in (source_prompt, prompt))
    differing: set[str] = set()
    for kind, i, j, k, m in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind != "equal":
            differing.update(before[i:j], after[k:m])
    return "colours" if differing & COLOURS and differing <= COLOURS | ALWAYS_THERE | JOINING else "anything"
