"""What was seen of a storm, and the reference model that it is held against. Pure: a history in, findings out.

The model of one edit, as an app sees it: a key leads to one edit, which is its user's alone; it is queued or running until it is
succeeded or canceled, and canceled only if that was wished; its sequence grows with every change; once it is over nothing changes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

OVER = frozenset({"succeeded", "failed", "canceled"})


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that was answered with 202, perhaps one of several with this key."""

    key: str
    user: str
    job: str
    canceled: bool = False  # the app wished so
    result: str = ""  # digest of the picture that must come out


@dataclass(frozen=True, slots=True)
class Seen:
    """One look at an edit by its user, in the order of the looks; or by somebody else."""

    job: str
    user: str
    sequence: int
    state: str
    artifacts: str = ""
    found: bool = True


@dataclass(frozen=True, slots=True)
class Heard:
    """One event of the one stream that followed the edit, whatever happened to its connection."""

    job: str
    sequence: int
    state: str
    gap: bool = False  # the stream had told that events before this one are missing


@dataclass(frozen=True, slots=True)
class Kept:
    """What the object store holds of a job when all is over."""

    job: str
    user: str
    state: str | None  # None: no outcome
    result: str = ""  # digest of the picture that the outcome names
    outcomes_won: int = 1  # conditional writes of an outcome that succeeded


@dataclass(frozen=True, slots=True)
class History:
    asked: Sequence[Asked]
    seen: Sequence[Seen]
    kept: Sequence[Kept]
    heard: Sequence[Heard] = ()

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class Findings:
    """All empty if the promise held."""

    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    wrong_owner: list[str] = field(default_factory=list)
    out_of_order: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not (self.lost or self.duplicated or self.wrong_owner or self.out_of_order)

    def counts(self) -> dict[str, int]:
        return {name: len(found) for name, found in asdict(self).items()}


def check(history: History) -> Findings:
    findings = Findings()
    asked = {one.job: one for one in history.asked}
    kept = {one.job: one for one in history.kept}
    _check_keys(history.asked, kept, findings)
    for job, one in asked.items():
        _check_end(one, kept.get(job), findings)
    looks: dict[str, list[Seen]] = defaultdict(list)
    for look in history.seen:
        looks[look.job].append(look)
    for job, its_looks in looks.items():
        _check_looks(asked[job].user, its_looks, kept.get(job), findings)
    last: dict[str, Heard] = {}
    for event in history.heard:
        _check_event(last.get(event.job), event, findings)
        last[event.job] = event
    return findings


def _check_event(before: Heard | None, event: Heard, findings: Findings) -> None:
    if before is None:
        return
    if event.sequence <= before.sequence or before.state in OVER:
        findings.out_of_order.append(f"{event.job}: event {event.sequence} came after {before.sequence}, {before.state}")
    elif event.sequence != before.sequence + 1 and not event.gap:
        findings.lost.append(f"{event.job}: the events between {before.sequence} and {event.sequence}, and nobody said so")


def _check_keys(asked: Iterable[Asked], kept: Mapping[str, Kept], findings: Findings) -> None:
    jobs_of: dict[str, set[str]] = defaultdict(set)
    for one in asked:
        jobs_of[one.key].add(one.job)
    findings.duplicated += [f"key {key} led to {len(jobs)} edits" for key, jobs in jobs_of.items() if len(jobs) > 1]
    known = {job for jobs in jobs_of.values() for job in jobs}
    findings.duplicated += [f"{job}: nobody was told of it" for job in kept if job not in known]


def _check_end(asked: Asked, kept: Kept | None, findings: Findings) -> None:
    if kept is None or kept.state is None:
        findings.lost.append(f"{asked.job}: accepted and never over")
        return
    if kept.state == "failed" or (kept.state == "canceled" and not asked.canceled):
        findings.lost.append(f"{asked.job}: ended {kept.state}, and nobody wished that")
    if kept.outcomes_won > 1:
        findings.duplicated.append(f"{asked.job}: {kept.outcomes_won} outcomes were written")
    if kept.user != asked.user or (kept.state == "succeeded" and kept.result != asked.result):
        findings.wrong_owner.append(f"{asked.job}: has another owner or another picture than was asked for")


def _check_looks(owner: str, looks: Sequence[Seen], kept: Kept | None, findings: Findings) -> None:
    last: Seen | None = None
    for look in looks:
        if look.user != owner:
            if look.found:
                findings.wrong_owner.append(f"{look.job}: {look.user} could see it")
            continue
        if not look.found:
            findings.lost.append(f"{look.job}: was not found at a look")
            continue
        if last is not None:
            _check_step(last, look, findings)
        last = look
    if last is not None and last.state in OVER and kept is not None and last.state != kept.state:
        findings.out_of_order.append(f"{last.job}: was seen {last.state} and is kept as {kept.state}")


def _check_step(before: Seen, after: Seen, findings: Findings) -> None:
    if after.sequence < before.sequence:
        findings.out_of_order.append(f"{after.job}: sequence {after.sequence} after {before.sequence}")
    if after.sequence == before.sequence and after.state != before.state:
        findings.out_of_order.append(f"{after.job}: {before.state} and {after.state} with the same sequence")
    if before.state in OVER and after.state != before.state:
        findings.out_of_order.append(f"{after.job}: {after.state} after {before.state}")
    if before.state in OVER and after.artifacts != before.artifacts:
        findings.duplicated.append(f"{after.job}: its result changed after its end")


def outcomes_won(diary: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """By the outcome's key."""
    return Counter(str(line["key"]) for line in diary if line["what"] == "outcome" and line["won"])


def restart_seconds(diary: Sequence[Mapping[str, Any]], kills: Mapping[int, float]) -> list[float]:
    """For each killed process (id → time) that was working on a job: seconds until that job was claimed again."""
    of_pid: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    of_job: dict[str, list[float]] = defaultdict(list)  # its claims
    for line in sorted((line for line in diary if line["what"] in ("claim", "left")), key=lambda line: line["at"]):
        of_pid[line["pid"]].append(line)
        if line["what"] == "claim":
            of_job[line["job"]].append(line["at"])
    waits = []
    for pid, killed_at in kills.items():
        last = next((line for line in reversed(of_pid[pid]) if line["at"] <= killed_at), None)
        if last is None or last["what"] == "left":
            continue
        again = next((at for at in of_job[last["job"]] if at > killed_at), None)
        if again is not None:
            waits.append(again - killed_at)
    return waits
