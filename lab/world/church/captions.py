"""The sentences and the labels of churches."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import get_args

from lab.world.church.subject import Attributes, Season, Time, View, Weather

VIEWS: dict[View, str] = {"left": "from the left", "right": "from the right"}
SEASONS: dict[Season, str] = {"autumn": "in autumn", "snow": "in snow", "spring": "in spring"}
TIMES: dict[Time, str] = {"sunset": "at sunset", "night": "at night"}
WEATHERS: dict[Weather, str] = {"fog": "in fog", "rainbow": "under a rainbow"}
EXTRAS: tuple[str, ...] = ("scaffolding", "flags", "ivy")
"""The boolean attributes; each name is also its word."""

SUBJECTS = ("church",)
WORD_BANK: tuple[str, ...] = ("left", "right", "autumn", "snow", "spring", "sunset", "night", "fog", "rainbow", *EXTRAS)
WORDS = frozenset(
    {"a", "photo", "of", "church", "with", "and", *EXTRAS}.union(
        *(phrase.split() for phrases in (VIEWS, SEASONS, TIMES, WEATHERS) for phrase in phrases.values())
    )
)
LABELS: dict[str, tuple[str, ...]] = {
    "time": get_args(Time),
    "season": get_args(Season),
    "weather": get_args(Weather),
    "view": get_args(View),
    **{name: ("without", "with") for name in EXTRAS},
}


def caption(attributes: Attributes, rng: random.Random | None = None) -> str:
    """Return the sentence for `attributes`. Without `rng` it names all of them; with `rng` it omits some, in any order."""
    mentioned: Callable[[float], bool] = (lambda _probability: True) if rng is None else (lambda p: rng.random() < p)
    named = (
        VIEWS.get(attributes.view),
        SEASONS.get(attributes.season),
        TIMES.get(attributes.time),
        WEATHERS.get(attributes.weather),
    )
    phrases = [phrase for phrase in named if phrase and mentioned(0.94)]
    extras = [name for name in EXTRAS if getattr(attributes, name) and mentioned(0.94)]
    if rng is not None:
        rng.shuffle(phrases)
        rng.shuffle(extras)
    if extras:
        listed = ", ".join(extras[:-1]) + " and " + extras[-1] if len(extras) > 1 else extras[0]
        phrases.append(f"with {listed}")
    return " ".join(["a photo of a church", *phrases])


def label(attributes: Attributes) -> dict[str, int]:
    """Return the class of each attribute, as an index into `LABELS`."""
    found = {name: LABELS[name].index(getattr(attributes, name)) for name in ("time", "season", "weather", "view")}
    return found | {name: int(getattr(attributes, name)) for name in EXTRAS}
