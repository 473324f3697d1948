"""What Locust's process is asked to do, and what it found: values that go through files as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from s2edit_core.request.presets import PresetName

PRESET: PresetName = "instant"
"""Of all edits, so that a run has enough of them."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A person of the world: the photo's file, and the word that names the person."""

    photo: str
    word: str


@dataclass(frozen=True, slots=True)
class Scenario:
    """A load on the service at `url` for `seconds`.

    `crowd` users edit, each with people of their own. With `single`, one more user makes further edits of the first person. With
    `flood`, one more user keeps that many first edits unfinished.
    """

    url: str
    subjects: Sequence[Subject]
    seconds: float
    crowd: int = 0
    flood: int = 0
    single: bool = False
    edits: int | None = None  # of each user but the flood, after which all is over; None: all is over when the time is
    identity: str | None = None  # of the first person, if it is known
    preset: PresetName = PRESET
    seed: int = 1

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        values = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**values, "subjects": [Subject(**each) for each in values["subjects"]]})


@dataclass(frozen=True, slots=True)
class Edited:
    """An edit that was over in time. `seconds` is its time by phase, `total_s` that from its acceptance to its end."""

    user: str
    first: bool  # whether the person was new
    state: str
    total_s: float
    seconds: dict[str, float]
    identity: str | None


@dataclass
class Observed:
    """What the users saw: edits, and the milliseconds of every request by route. `refused` counts the errors of each by code."""

    edits: list[Edited] = field(default_factory=list)
    requests: dict[str, list[float]] = field(default_factory=dict)
    refused: dict[str, dict[str, int]] = field(default_factory=dict)
    seconds: float = 0.0
    stopped: int = 0  # users that have made all their edits

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Observed:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**values, "edits": [Edited(**each) for each in values["edits"]]})
