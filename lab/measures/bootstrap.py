"""95 % bootstrap intervals of a mean, by resampling people rather than edits.

All edits of a person share one learning run and one inversion, so edits are not independent samples; people are.
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
        """Return [mean, low, high] with five significant digits each, as in the results files."""
        return [five_digits(value) for value in (self.mean, self.low, self.high)]


def five_digits(value: float) -> float:
    return float(f"{value:.5g}")


def interval(values: Sequence[float], people: Sequence[Hashable]) -> Interval:
    """Return the mean of `values` with its interval; `people` names the person of each value. The result is deterministic.

    With a single person the spread is unknown, and the interval is the mean itself. Raises `ValueError` unless both have the same
    length of at least one.
    """
    if not values or len(values) != len(people):
        raise ValueError(f"as many values as people are needed and at least one, got {len(values)} and {len(people)}")
    numbers: dict[Hashable, int] = {}
    index = np.array([numbers.setdefault(person, len(numbers)) for person in people])
    sums, counts = np.bincount(index, weights=values), np.bincount(index)
    chosen = np.random.default_rng(SEED).integers(len(numbers), size=(DRAWS, len(numbers)))
    means = sums[chosen].sum(axis=1) / counts[chosen].sum(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return Interval(float(np.mean(values)), float(low), float(high))


Record = Mapping[str, Any]


def person_of(record: Record) -> Hashable:
    """Return the person of a record, or its item if the bench has no people."""
    who: Hashable = record["person"] if "person" in record else record["item"]
    return who


def intervals(records: Sequence[Record], figures: Sequence[str]) -> dict[str, list[float]]:
    """Return [mean, low, high] by figure, over the records where it is not None. Figures without such a record are left out."""
    found = {}
    for figure in figures:
        known = [(float(record[figure]), person_of(record)) for record in records if record.get(figure) is not None]
        if known:
            found[figure] = interval([value for value, _ in known], [who for _, who in known]).rounded()
    return found


def differences(ours: Sequence[Record], theirs: Sequence[Record], figures: Sequence[str]) -> dict[str, list[float]]:
    """Return [mean, low, high] by figure of `ours` minus `theirs`, over the (person, edit) pairs that both have."""
    others = {(person_of(record), record["edit"]): record for record in theirs}
    pairs = [(mine, others[key]) for mine in ours if (key := (person_of(mine), mine["edit"])) in others]
    paired = []
    for mine, other in pairs:
        known = [figure for figure in figures if mine.get(figure) is not None and other.get(figure) is not None]
        paired.append({"person": person_of(mine), **{figure: float(mine[figure]) - float(other[figure]) for figure in known}})
    return intervals(paired, figures)
