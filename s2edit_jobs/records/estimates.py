"""Estimates of a job's duration, from the measured durations of similar jobs.

A mean "total" covers jobs that learned a concept and jobs that did not, and they differ several times over. So a job's estimate is
the sum of its own phases.
"""

from __future__ import annotations

from collections.abc import Mapping

from s2edit_core.request.spec import Phase
from s2edit_jobs.records.estimate_keys import parts_of
from s2edit_jobs.records.record import PHASES, JobKind, JobRecord, JobState, Outlook

PHASES_OF: Mapping[JobKind, tuple[Phase, ...]] = {
    "mask": ("preparing", "finishing"),
    "identity": ("preparing", "learning", "finishing"),
    "attribute": ("preparing", "learning", "finishing"),
    "edit": ("preparing", "learning", "inverting", "editing", "finishing"),
}
MAIN: Mapping[JobKind, tuple[Phase, ...]] = {
    "mask": ("preparing",),
    "identity": ("learning",),
    "attribute": ("learning",),
    "edit": ("learning", "inverting", "editing"),
}
"""The phases without whose mean there is no estimate. The others count only if they were measured."""


def phases_of(kind: JobKind, *, learns: bool, finds_mask: bool) -> tuple[Phase, ...]:
    """Return the phases of a job, in order. Both arguments concern edits and learning only: a mask job always finds its mask.

    The inversion is always included, because only a worker can tell whether a stored one fits the crop.
    """
    left_out = {phase for phase, has in (("learning", learns), ("preparing", finds_mask or kind == "mask")) if not has}
    return tuple(phase for phase in PHASES_OF[kind] if phase not in left_out)


def estimate_s(outlook: Outlook, *, kind: JobKind = "edit", learns: bool, finds_mask: bool = False) -> float | None:
    """Return the estimated seconds of a job that has not started: the wait for the jobs ahead, plus its own phases.

    None if a main phase was never measured.
    """
    own = _sum_s(outlook.seconds, kind, phases_of(kind, learns=learns, finds_mask=finds_mask))
    if own is None:
        return None
    return own + outlook.seconds.get("total", own) * outlook.ahead / max(1, outlook.running)


def seconds_left(record: JobRecord, outlook: Outlook) -> float | None:
    """Return the estimated seconds until an unfinished job ends, or None if a main phase of it was never measured.

    The record names only an identity that the request named. Without one, an edit counts as learning until it has begun a later
    phase. It also counts as finding its mask, since the record does not tell whether one was sent.
    """
    learns = record.kind in ("identity", "attribute") or (record.kind == "edit" and record.identity is None)
    if record.state is JobState.QUEUED or record.phase is None:
        ahead = outlook.ahead if record.state is JobState.QUEUED else 0
        return estimate_s(Outlook(ahead, outlook.running, outlook.seconds), kind=record.kind, learns=learns, finds_mask=learns)
    now = PHASES.index(record.phase)
    later = tuple(phase for phase in phases_of(record.kind, learns=learns, finds_mask=learns) if PHASES.index(phase) > now)
    rest = _sum_s(outlook.seconds, record.kind, later)
    current = outlook.seconds.get(record.phase, None if record.phase in MAIN[record.kind] else 0.0)
    if rest is None or current is None:
        return None
    done = min(1.0, record.step / record.total) if record.total else 0.0
    return (1 - done) * current + rest


def _sum_s(mean: Mapping[str, float], kind: JobKind, phases: tuple[Phase, ...]) -> float | None:
    """Return the sum of the phases' means, or None if the mean of a main phase is missing."""
    if any(phase in MAIN[kind] and phase not in mean for phase in phases):
        return None
    return sum(mean.get(phase, 0.0) for phase in phases)


def shared_measurements(preset: str, seconds: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Return what a job's measured `seconds` say about other jobs, by `estimate_key`.

    An edit learns an identity as a job that only learns one does, with the same preset.
    """
    parts = parts_of(preset)
    if parts is None or parts.preset == "mask" or parts.learning == "attribute:" or "learning" not in seconds:
        return {}
    keys = {f"{parts.mode}{learning}{parts.preset}" for learning in ("", "identity:")} - {preset}
    return {key: {"learning": seconds["learning"]} for key in sorted(keys)}
