"""The plan of a storm: what happens when. It follows from the seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from lab.storm.system.engines import HUNG, SICK, EngineChoice
from lab.storm.system.points import PAUSE_POINTS, POINTS
from lab.storm.system.ports import LATE_500_KINDS

HORIZON = 0.9
"""Share of the edits during which disturbances happen. The rest runs undisturbed, so that all edits can end."""
EARLY_HORIZON = 0.7
"""The same for faults that wait for something: a process that reaches a point, or an edit that nobody looks at."""
MIN_EMPTYINGS = 3
MIN_PAUSES = 2
"""Times that a worker is paused at each point. One pause may come to nothing, because another fault takes the job meanwhile."""
LATE_POSTS = 3
"""Edits that are posted while Redis is cut off, each time."""

OTHERS = (
    "stop worker",
    "notify twice",
    "lose notifications",
    "full disk",
    "store away",
    "foreign files",
    "newer record",
    "cut redis",
    "lose a record",
    "restore redis",
)
PAUSES = tuple(f"pause {point}" for point in PAUSE_POINTS)
OTHERS_EARLY = (*PAUSES, *(f"500 after {kind}" for kind in LATE_500_KINDS), SICK, HUNG)
"""Both happen once per fifty kills, and at least once."""


@dataclass(frozen=True, slots=True)
class Plan:
    jobs: int
    kills: int
    seed: int
    workers: int = 4
    leases: int = 1  # edits that a worker runs at a time
    lease_s: float = 6.0
    engine_choice: EngineChoice = field(default_factory=EngineChoice)
    patience_s: float = 120.0  # the storm ends when nothing has happened for so long
    limit_s: float = 3600.0  # and at the latest after so long

    @property
    def rounds(self) -> int:
        """How often each of the other disturbances happens: once per fifty kills, and at least once."""
        return max(1, self.kills // 50)

    @property
    def emptyings(self) -> int:
        return max(MIN_EMPTYINGS, self.rounds)

    @property
    def late(self) -> int:
        """The number of edits that are kept for the cuts and for emptyings. The last cut comes after all other disturbances."""
        return min(self.jobs // 6, LATE_POSTS * (self.rounds + 1) + self.emptyings)

    def disturbances(self) -> list[tuple[float, str]]:
        """Return all disturbances, sorted by the share of ended edits after which they happen.

        Half of the kills, but at least one per crash point, are at crash points. Results files contain the names, so they stay.
        """
        rng = random.Random(self.seed)
        named = [f"point {point}" for point in rng.sample(POINTS, len(POINTS))]
        count = min(self.kills, max(len(named), self.kills // 2))
        early = [named[i % len(named)] for i in range(count)] + [*OTHERS_EARLY] * self.rounds
        early += [*PAUSES] * max(0, MIN_PAUSES - self.rounds)
        killed = {"kill worker": 75, "kill api": 10, "kill housekeeper": 10, "kill redis": 5}
        others = rng.choices([*killed], weights=[*killed.values()], k=self.kills - count)
        others += [*OTHERS] * self.rounds
        # Spread evenly: if all came together, the first would lose everything, and the others nothing.
        emptyings = [(EARLY_HORIZON * (i + rng.random()) / self.emptyings, "empty redis") for i in range(self.emptyings)]
        timed = [(EARLY_HORIZON * rng.random(), disturbance) for disturbance in early]
        return sorted([*emptyings, *timed, *((HORIZON * rng.random(), disturbance) for disturbance in others)])
