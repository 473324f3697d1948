"""Descriptions of a subject with traits: "a photo of a smiling woman with red hair". English only; loads no torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from s2edit_core.request.spec import PLACEHOLDER
from s2edit_core.request.words import PEOPLE, article

SCENES = {
    **{season: f"in {season}" for season in ("snow", "fog", "winter", "spring", "summer", "autumn")},
    **{time: f"at {time}" for time in ("night", "sunset", "sunrise", "dawn", "dusk", "noon")},
    **{"rain": "in the rain", "daylight": "in daylight"},
}
"""Seasons, weather and times of day, and how a description names them."""
HAIR_OF = {"blonde": "blond hair", "blond": "blond hair", "redhead": "red hair", "brunette": "brown hair"}
"""Words that name people by their hair."""
OF = r"(?:(?:her|his|their|its|the|my|this|that|a|an)\b ?)?"
COUNTED = (
    *("beard", "moustache", "hat", "dress", "shirt", "jacket", "coat", "scarf", "tie", "nose", "smile", "cap", "crown", "mask"),
    *("necklace", "tiara", "veil", "helmet"),
)
"""Nouns that take an article."""
SEVERAL = (
    *("hair", "glasses", "sunglasses", "earrings", "lipstick", "makeup", "jewelry", "jewellery", "clothes", "eyes", "lips"),
    *("teeth", "nails", "eyebrows", "freckles", "bangs", "gloves", "trousers", "jeans", "shoes"),
)
"""Plural and uncountable nouns, which take none."""


@dataclass(frozen=True, slots=True)
class Trait:
    """What one part of an instruction asks for: `words`, and how a description says them."""

    how: Literal["medium", "before", "as", "with", "doing", "in", "place", "without"]
    words: str


def composed(traits: Sequence[Trait], noun: str, *, marked: bool = False) -> str:
    """Return a description of a picture with all `traits`. With `marked`, [I] stands before the noun, which is not the photo's."""
    said = {trait.how: [other.words for other in traits if other.how == trait.how] for trait in traits}
    before = ", ".join(dict.fromkeys(said.get("before", ())))
    named = f"{before} {PLACEHOLDER if marked else ''} {noun}"
    text = " ".join(f"{said.get('medium', ['a photo'])[-1]} of {article(f'{before} {noun}'.strip())} {named}".split())
    if "place" in said:
        text += f" {' '.join(dict.fromkeys(said['place']))}"
    for how in ("as", "with", "in"):
        if how in said:
            text += f" {how} {listed(by_part(said[how]))}"
    return f"{text} {listed(said['doing'])}" if "doing" in said else text


def by_part(things: Sequence[str]) -> list[str]:
    """Join what concerns one part: "red hair" and "curly hair" to "red and curly hair"."""
    parts: dict[str, list[str]] = {}
    for thing in dict.fromkeys(things):
        first, _, last = thing.rpartition(" ")
        joins = bool(first) and last in SEVERAL and " with " not in thing
        parts.setdefault(f" {last}" if joins else thing, []).append(first)
    return [listed(firsts) + last if last.startswith(" ") else last for last, firsts in parts.items()]


def listed(things: Sequence[str]) -> str:
    """Return "a hat, a scarf and glasses"."""
    return " and ".join(part for part in (", ".join(things[:-1]), things[-1]) if part)


def photo(noun: str) -> str:
    """Return the description of a photo of which only the subject is known."""
    return f"a photo of {article(noun)} {noun}"


def example(noun: str) -> str:
    """Return the description of an edited photo of `noun`: an example, for where it is not clear what shall differ."""
    return f"{photo(noun)} {'with red hair' if noun in PEOPLE else 'in snow'}"


def indefinite(thing: str) -> str:
    """Return "the hat" and "hat" as "a hat"; plural and uncountable nouns get no article."""
    bare = re.sub(rf"^{OF}", "", thing, flags=re.IGNORECASE)
    last = bare.split()[-1].lower() if bare.split() else ""
    if last in SEVERAL and " of " not in bare:
        thing = re.sub(r"^an? ", "", thing, flags=re.IGNORECASE)
    begins = re.match(r"(?:an?|some|two|three|more) ", thing, flags=re.IGNORECASE)
    if begins:
        return re.sub(r"^(?:some|more) ", "", thing)
    return f"{article(bare)} {bare}" if last in COUNTED else bare


def definite(thing: str) -> str:
    """Return "her hat" and "hat" as "the hat"."""
    return "the " + re.sub(rf"^{OF}(?:any |all )?", "", thing, flags=re.IGNORECASE)
