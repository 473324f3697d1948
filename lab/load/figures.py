"""From what Locust's users saw to the figures of a results file."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from lab.load.scenario import Edited, Observed

Figures = dict[str, Any]


def quantiles(values: Iterable[float], digits: int = 3) -> Figures:
    """Return the number of values, their median, 99th percentile and maximum. With one value, all are this one."""
    found = sorted(values)
    if not found:
        return {"count": 0}
    cuts = statistics.quantiles(found, n=100, method="inclusive") if len(found) > 1 else found * 99
    return {name: round(value, digits) for name, value in (("p50", cuts[49]), ("p99", cuts[98]), ("max", found[-1]))} | {
        "count": len(found)
    }


def edits(found: Sequence[Edited]) -> Figures:
    """Return the seconds of edits that succeeded, in all and by phase. An edit without a phase has none of it."""
    phases = dict.fromkeys(phase for each in found for phase in each.seconds)
    return {"total_s": quantiles(each.total_s for each in found)} | {
        "phases_s": {phase: quantiles(each.seconds[phase] for each in found if phase in each.seconds) for phase in phases}
    }


def crowd(observed: Observed) -> Figures:
    """Return edits a minute, and what first and further edits and the requests of each route took."""
    done = [each for each in observed.edits if each.state == "succeeded"]
    return {
        "seconds": observed.seconds,
        "edits_per_minute": round(60 * len(done) / observed.seconds, 2),
        "not_succeeded": len(observed.edits) - len(done),
        "first": edits([each for each in done if each.first]),
        "further": edits([each for each in done if not each.first]),
        "api_ms": {
            name: quantiles(times, 1) | {"refused": observed.refused.get(name, {})}
            for name, times in sorted(observed.requests.items())
        },
    }


def fairness(alone: Observed, flooded: Observed) -> Figures:
    """Compare the single user's edits alone and beside the flood."""
    before, beside = (
        [each for each in seen.edits if each.state == "succeeded" and each.user.startswith("single")] for seen in (alone, flooded)
    )
    both: Figures = {"alone": edits(before), "beside_a_flood": edits(beside)}
    totals = [each["total_s"].get("p50") for each in both.values()]
    floods = sum(each.user.startswith("flood") and each.state == "succeeded" for each in flooded.edits)
    return both | {
        "flood_edits_per_minute": round(60 * floods / flooded.seconds, 2),
        "median_beside_over_alone": round(totals[1] / totals[0], 2) if all(totals) else None,
    }
