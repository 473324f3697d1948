"""What a run of the bench does: stages of units. A unit is one subject or pair with all ways of its stage. Loads no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from lab.quality.worlds.edits import case_of
from lab.quality.worlds.settings import Way, parsed, setting_of
from lab.quality.worlds.transfers import WEARABLES, transfer_of

TransferWay = Literal["words", "attribute", "found", "attribute+identity", "together"]
"""How a transfer is done: named in words; with [A] in a given region, or in one that is found; with [A] and [I]; or with both
learned side by side, as token and changes of the projections."""
TRANSFER_WAYS: tuple[TransferWay, ...] = get_args(TransferWay)
UNEDITED, AUTOENCODER = "unedited", "autoencoder"
"""The source itself, and the true answer encoded and decoded: what doing nothing gives, and the best that the model can."""


@dataclass(frozen=True)
class Stage:
    """Comparisons over the same subjects."""

    name: str
    domain: str
    count: int  # subjects, or pairs of a transfer
    ways: tuple[Way, ...] = ()
    edits: tuple[str, ...] | None = None  # names or groups of edits; None: all
    transfer: str = ""  # the wearable of a transfer; empty: edits
    setting: str = "balanced"  # of a transfer
    weight: float = 1.0  # share of the time, relative to other stages

    def __post_init__(self) -> None:
        if self.transfer and self.transfer not in WEARABLES:
            raise ValueError(f"unknown transfer {self.transfer!r}; choose from {', '.join(WEARABLES)}")
        setting_of(self.setting)


@dataclass(frozen=True)
class Unit:
    """One subject or pair of a stage."""

    stage: Stage
    seed: int


MOVED = ("turned", "revealed")
DEFAULT: tuple[Stage, ...] = (
    Stage(
        "moved",
        "person",
        48,
        parsed(
            (
                *("balanced", "balanced+free:none", "balanced+velocity+fast+free:other", "balanced+velocity+fast+free:same"),
                *("balanced+velocity+fast+free:three", "balanced+velocity+fast:other", "balanced+free:other", "balanced:three"),
                *("balanced+fresh:none", "balanced+velocity+fast+fresh:other", "balanced+velocity+kv+free:other"),
                *("balanced+velocity+fast+free+unmasked:other", "balanced+velocity+fast+free+parallel:other"),
            )
        ),
        MOVED,
        weight=5,
    ),
    Stage("makeup", "person", 24, transfer="makeup", weight=2),
    Stage("all", "person", 30, parsed(("balanced:none", "balanced:same", "instant:same")), ("kept", "aged"), weight=2),
    Stage("all", "cat", 16, parsed(("balanced:none", "balanced:same", "balanced:other"))),
    Stage("all", "church", 16, parsed(("balanced:none", "balanced:same", "balanced:other"))),
)
"""The stages of a run without options, most important first."""


def seeds_of(stage: Stage) -> list[int]:
    """Return the seeds of the first `stage.count` subjects to whom the stage applies."""
    found: list[int] = []
    seed = 0
    while len(found) < stage.count:
        applies = transfer_of(stage.transfer, seed) if stage.transfer else case_of(stage.domain, seed, stage.edits).targets
        if applies:
            found.append(seed)
        seed += 1
    return found


def in_turn(stages: Sequence[Stage]) -> list[tuple[Stage, int]]:
    """Return (stage, number of the unit) in the order in which they run: each stage gets a share of the time by its weight."""
    shares = [((i + 1) / stage.weight, order, stage, i) for order, stage in enumerate(stages) for i in range(stage.count)]
    return [(stage, i) for _, _, stage, i in sorted(shares, key=lambda share: share[:2])]
