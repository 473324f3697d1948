"""The check of the event log: what the attempts at one edit, or at one identity, must not do. Pure functions, as in `history`.

All processes of a storm run on one machine, so the times in their logs compare. A line is written after its call; `began` is the
time before. So "A, then B" is certain if A's line is older than B's `began`. Only certain violations are findings.

What Redis has forgotten excuses what it would have prevented: the lines `redis emptied`, `redis restored` (to an older state) and
`hash lost` say when.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lab.storm.checks.history import Findings, StoredEdit

Line = Mapping[str, Any]


class AttemptLog:
    """The event log, by what happened."""

    def __init__(self, event_log: Iterable[Line]) -> None:
        self._lines: dict[str, list[Line]] = defaultdict(list)
        for line in sorted(event_log, key=lambda line: line["at"]):
            self._lines[line["what"]].append(line)
        self._undone = [(line["since"], line["at"]) for line in self["redis restored"]]
        self._claims: dict[tuple[str, int], Line] = {(line["job"], line["fence"]): line for line in self["claim"]}

    def __getitem__(self, what: str) -> Sequence[Line]:
        """Return the lines of that kind, oldest first."""
        return self._lines[what]

    def claimed_at(self, line: Line) -> float:
        """Return when the attempt of this line has claimed its job; 0 if no line says so, as after a kill during the claim."""
        claim = self._claims.get((line["job"], line["fence"]))
        return claim["at"] if claim is not None else 0.0

    def is_undone(self, line: Line) -> bool:
        """Whether Redis was later restored to a state before this line."""
        return any(since <= line["at"] <= until for since, until in self._undone)

    def has_forgotten(self, since: float, until: float, jobs: Iterable[str] = ()) -> bool:
        """Whether Redis may have forgotten something between the two times, or just the record of one of `jobs`."""
        return (
            any(since <= line["at"] and line["began"] <= until for line in self["redis emptied"])
            or any(since <= restored and copied <= until for copied, restored in self._undone)
            or any(since <= line["at"] <= until and line["job"] in jobs for line in self["hash lost"])
        )

    def is_stale(self, line: Line, at: float) -> bool:
        """Whether the attempt of this line had lost its job by then, to another attempt or because the job may be over."""
        newer = any(one["job"] == line["job"] and one["fence"] > line["fence"] and one["began"] <= at for one in self["claim"])
        return newer or any(
            one["job"] == line["job"] and self.claimed_at(line) <= one["at"] <= at and one["pid"] != line["pid"]
            for one in self["releases"]
        )


def check_attempts(event_log: Iterable[Line], stored: Iterable[StoredEdit] = ()) -> Findings:
    """Check the attempts, and the objects that the outcomes of `stored` name."""
    log, findings = AttemptLog(event_log), Findings()
    _check_fences(log, findings)
    _check_reservations(log, findings)
    _check_learnings(log, findings)
    _check_checkpoints(log, findings)
    _check_results(log, stored, findings)
    return findings


def _check_fences(log: AttemptLog, findings: Findings) -> None:
    """The store accepts no sign of life of an attempt after a newer one has claimed the job."""
    claims: dict[str, list[Line]] = defaultdict(list)
    for line in log["claim"]:
        if not log.is_undone(line):
            claims[line["job"]].append(line)
    found = set()
    for held in log["held"]:
        newer = [one for one in claims[held["job"]] if one["fence"] > held["fence"] and one["at"] < held["began"]]
        if newer:
            found.add((held["job"], held["fence"], newer[0]["fence"]))
    findings.duplicated += [
        f"{job}: two attempts ran at once: {old} was still accepted after {new} had claimed the job"
        for job, old, new in sorted(found)
    ]


def _check_reservations(log: AttemptLog, findings: Findings) -> None:
    """No job may learn a concept while another job has reserved it."""
    holders: dict[str, Line] = {}
    for line in sorted((*log["reserve"], *log["releases"]), key=lambda line: line["at"]):
        if line["what"] == "releases":
            holders = {key: holder for key, holder in holders.items() if holder["job"] != line["job"]}
        elif line["learns"]:
            before = holders.get(line["key"])
            if (
                before is not None
                and before["job"] != line["job"]
                and before["at"] < line["began"]
                and not log.has_forgotten(before["began"], line["at"], {before["job"], line["job"]})
            ):
                findings.duplicated.append(f"{line['key']}: {line['job']} learns it while {before['job']} has reserved it")
            holders[line["key"]] = line


def _check_learnings(log: AttemptLog, findings: Findings) -> None:
    """A concept that is stored isn't learned again, and two jobs never learn it at the same time. A late writer is no learner."""
    first: dict[str, Line] = {}
    for line in log["learned"]:
        before = first.setdefault(line["key"], line)
        if before is line:
            continue
        if log.claimed_at(line) > before["at"]:
            findings.duplicated.append(f"{line['key']}: {line['job']} learned it again after {before['job']} had stored it")
        elif (
            line["job"] != before["job"]
            and not log.is_stale(line, line["began"])
            and not log.is_stale(before, before["began"])
            and not log.has_forgotten(min(map(log.claimed_at, (before, line))), line["at"], {before["job"], line["job"]})
        ):
            findings.duplicated.append(f"{line['key']}: {before['job']} and {line['job']} learned it at the same time")


def _check_checkpoints(log: AttemptLog, findings: Findings) -> None:
    """An attempt that learns begins at the last checkpoint that was stored before."""
    first_step: dict[tuple[str, int], int] = {}
    for line in log["held"]:
        if line["phase"] == "learning":
            first_step.setdefault((line["job"], line["fence"]), line["step"])
    checkpoints = [line for line in log["put"] if "/checkpoint-" in line["key"]]
    for reserve in log["reserve"]:
        step = first_step.get((reserve["job"], reserve["fence"]))
        folder = reserve["key"].rpartition("/")[0]
        kept = [line["key"] for line in checkpoints if line["key"].startswith(f"{folder}/") and line["at"] < reserve["began"]]
        if reserve["learns"] and step == 1 and kept:
            findings.duplicated.append(f"{reserve['key']}: {reserve['job']} learned from the beginning in spite of {kept[-1]}")


def _check_results(log: AttemptLog, stored: Iterable[StoredEdit], findings: Findings) -> None:
    """An outcome names objects that only its own attempt has written, and they have that attempt's bytes."""
    writers: dict[str, dict[int, str]] = defaultdict(dict)
    for line in log["put"]:
        if "/checkpoint-" not in line["key"]:
            writers[line["key"]][line["fence"]] = line["sha256"]
    winners = {line["key"]: line["fence"] for line in log["outcome"] if line["won"]}
    for edit in stored:
        for key, sha256 in edit.objects.items():
            wrote, winner = writers[key], winners.get(edit.outcome_key)
            if len(wrote) > 1:
                findings.duplicated.append(f"{edit.job}: {len(wrote)} attempts wrote {key}")
            elif winner is not None and winner not in wrote:
                findings.wrong_owner.append(f"{edit.job}: its outcome names {key}, which its attempt did not write")
            if sha256 not in wrote.values() or (winner in wrote and wrote[winner] != sha256):
                findings.wrong_owner.append(f"{edit.job}: {key} has other bytes than the attempt that ended the edit wrote")
