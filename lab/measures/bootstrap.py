"""How sure a mean is: 95 % intervals by drawing people, not edits, with replacement.

The edits of one person share that person's luck (one learning, one inversion), so single edits are not independent; people are.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

DRAWS = 2000
SEED = 2507


@dataclass(frozen=True)
class Interval:
    """A mean and the 2.5 % and 97.5 % quantiles of its bootstrap distribution."""

    mean: float
    low: float
    high: float

    def rounded(self) -> list[float]:
        """[mean, low, high], as it is kept in JSON: five digits each."""
        return [five_digits(value) for value in (self.mean, self.low, self.high)]


def five_digits(value: float) -> float:
    return float(f"{value:.5g}")


def interval(values: Sequence[float], people: Sequence[Hashable]) -> Interval:
    """The mean of `values`, each of which belongs to one of `people`, with its interval. The same input gives the same answer.

    One person alone gives no notion of spread: the interval is then the mean itself.
    """
    if not values or len(values) != len(people):
        raise ValueError(f"as many values as people are needed and at least one, got {len(values)} and {len(people)}")
    places: dict[Hashable, int] = {}
    index = np.array([places.setdefault(person, len(places)) for person in people])
    sums, counts = np.bincount(index, weights=values), np.bincount(index)
    chosen = np.random.default_rng(SEED).integers(len(places), size=(DRAWS, len(places)))
    means = sums[chosen].sum(axis=1) / counts[chosen].sum(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return Interval(float(np.mean(values)), float(low), float(high))


Record = Mapping[str, Any]


def whose(record: Record) -> Hashable:
    """The person of a record, or its item where a bench has no people."""
    who: Hashable = record["person"] if "person" in record else record["item"]
    return who


def intervals(records: Sequence[Record], figures: Sequence[str]) -> dict[str, list[float]]:
    """Per figure [mean, low, high] over the records that have it (not None); a figure that none has is left out."""
    found = {}
    for figure in figures:
        known = [(float(record[figure]), whose(record)) for record in records if record.get(figure) is not None]
        if known:
            found[figure] = interval([value for value, _ in known], [who for _, who in known]).rounded()
    return found


def differences(ours: Sequence[Record], theirs: Sequence[Record], figures: Sequence[str]) -> dict[str, list[float]]:
    """Per figure [mean, low, high] of ours minus theirs, over the (person, edit) pairs that both have."""
    others = {(whose(record), record["edit"]): record for record in theirs}
    pairs = [(mine, others[key]) for mine in ours if (key := (whose(mine), mine["edit"])) in others]
    paired = []
    for mine, other in pairs:
        known = [figure for figure in figures if mine.get(figure) is not None and other.get(figure) is not None]
        paired.append({"person": whose(mine), **{figure: float(mine[figure]) - float(other[figure]) for figure in known}})
    return intervals(paired, figures)
