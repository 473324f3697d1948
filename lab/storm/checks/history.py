"""The history of a storm, and its check against a model of an edit. Pure functions: a history in, findings out.

The model, as a client sees it: An idempotency key leads to one edit, which belongs to one user. The edit is queued or running
until it succeeds or is canceled, the latter only on request. Its sequence grows with every change. After its end nothing changes.
A poll may show an older state only while Redis is in one: from a restart until a housekeeper has held it against the object store.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

OVER = frozenset({"succeeded", "failed", "canceled"})


@dataclass(frozen=True, slots=True)
class AcceptedEdit:
    """A request that was answered with 202. Several requests can have the same key."""

    key: str
    user: str
    job: str
    canceled: bool = False  # the client has canceled it
    result: str = ""  # digest of the expected picture
    looked_at: bool = True  # by the client, before all was calm


@dataclass(frozen=True, slots=True)
class Poll:
    """One `GET` of an edit, by its user or by a stranger."""

    job: str
    user: str
    sequence: int
    state: str
    artifacts: str = ""
    found: bool = True
    at: float = 0.0  # when it was answered, in seconds since the epoch


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One event of an edit's stream, which spans all connections that it took."""

    job: str
    sequence: int
    state: str
    gap: bool = False  # the stream declared before this event that some are missing


@dataclass(frozen=True, slots=True)
class StoredEdit:
    """The state of an edit in the object store at the end of the storm."""

    job: str
    user: str
    state: str | None  # None: no outcome
    result: str = ""  # digest of the picture that the outcome names, without the signature of its attempt
    outcomes_won: int = 1  # conditional writes of an outcome that succeeded
    outcome_key: str = ""
    objects: Mapping[str, str] = field(default_factory=dict)  # digests of result and report, by the keys that the outcome names


@dataclass(frozen=True, slots=True)
class WebhookTry:
    """One try to send a webhook with a valid signature."""

    job: str
    message: str  # its webhook-id
    state: str
    accepted: bool  # answered with 2xx


@dataclass(frozen=True, slots=True)
class History:
    accepted: Sequence[AcceptedEdit]
    polls: Sequence[Poll]
    stored: Sequence[StoredEdit]
    events: Sequence[StreamEvent] = ()
    webhook_tries: Sequence[WebhookTry] | None = None  # None: no webhooks were asked for
    older: Sequence[tuple[float, float]] = ()  # when Redis had come back older, and no housekeeper had settled it yet

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class Findings:
    """The violations of the model; all lists are empty if there are none."""

    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    wrong_owner: list[str] = field(default_factory=list)
    out_of_order: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not (self.lost or self.duplicated or self.wrong_owner or self.out_of_order)

    def __add__(self, other: Findings) -> Findings:
        return Findings(**{name: found + getattr(other, name) for name, found in vars(self).items()})

    def counts(self) -> dict[str, int]:
        return {name: len(found) for name, found in asdict(self).items()}


def check(history: History) -> Findings:
    findings = Findings()
    accepted = {one.job: one for one in history.accepted}
    stored = {one.job: one for one in history.stored}
    _check_keys(history.accepted, stored, findings)
    for job, one in accepted.items():
        _check_end(one, stored.get(job), findings)
    polls: dict[str, list[Poll]] = defaultdict(list)
    for poll in history.polls:
        polls[poll.job].append(poll)
    for job, its_polls in polls.items():
        _check_access(accepted[job].user, its_polls, findings)
        now = [poll for poll in its_polls if not any(since <= poll.at <= until for since, until in history.older)]
        _check_polls(accepted[job].user, now, stored.get(job), findings)
    last: dict[str, StreamEvent] = {}
    for event in history.events:
        _check_event(last.get(event.job), event, findings)
        last[event.job] = event
    if history.webhook_tries is not None:
        _check_webhook_tries(accepted, stored, history.webhook_tries, findings)
    return findings


def _check_event(before: StreamEvent | None, event: StreamEvent, findings: Findings) -> None:
    if before is None:
        return
    if event.sequence <= before.sequence or before.state in OVER:
        findings.out_of_order.append(f"{event.job}: event {event.sequence} came after {before.sequence}, {before.state}")
    elif event.sequence != before.sequence + 1 and not event.gap:
        findings.lost.append(
            f"{event.job}: the events between {before.sequence} and {event.sequence} are missing without a declared gap"
        )


def _check_webhook_tries(
    accepted: Mapping[str, AcceptedEdit], stored: Mapping[str, StoredEdit], webhook_tries: Iterable[WebhookTry], findings: Findings
) -> None:
    messages: dict[str, set[str]] = defaultdict(set)
    reported = set()
    for one in webhook_tries:
        messages[one.job].add(one.message)
        if one.accepted:
            reported.add(one.job)
        if (edit := stored.get(one.job)) is not None and one.state != edit.state:
            findings.out_of_order.append(f"{one.job}: a webhook reported {one.state}, but the store has {edit.state}")
    findings.lost += [f"{job}: no webhook that was answered with 2xx reported its end" for job in accepted if job not in reported]
    findings.duplicated += [f"{job}: {len(ids)} messages reported its end" for job, ids in messages.items() if len(ids) > 1]
    findings.duplicated += [f"{job}: a webhook reported an edit that nobody asked for" for job in messages if job not in accepted]


def _check_keys(accepted: Iterable[AcceptedEdit], stored: Mapping[str, StoredEdit], findings: Findings) -> None:
    jobs_of: dict[str, set[str]] = defaultdict(set)
    for one in accepted:
        jobs_of[one.key].add(one.job)
    findings.duplicated += [f"key {key} led to {len(jobs)} edits" for key, jobs in jobs_of.items() if len(jobs) > 1]
    known = {job for jobs in jobs_of.values() for job in jobs}
    findings.duplicated += [f"{job}: no request was answered with it" for job in stored if job not in known]


def _check_end(accepted: AcceptedEdit, stored: StoredEdit | None, findings: Findings) -> None:
    if stored is None or stored.state is None:
        unseen = "" if accepted.looked_at else ", while nobody looked at it"
        findings.lost.append(f"{accepted.job}: accepted and never ended{unseen}")
        return
    if stored.state == "failed" or (stored.state == "canceled" and not accepted.canceled):
        findings.lost.append(f"{accepted.job}: ended {stored.state} without a reason")
    if stored.outcomes_won > 1:
        findings.duplicated.append(f"{accepted.job}: {stored.outcomes_won} outcomes were written")
    if stored.user != accepted.user or (stored.state == "succeeded" and stored.result != accepted.result):
        findings.wrong_owner.append(f"{accepted.job}: has the wrong owner or the wrong picture")


def _check_access(owner: str, polls: Iterable[Poll], findings: Findings) -> None:
    for poll in polls:
        if poll.user != owner and poll.found:
            findings.wrong_owner.append(f"{poll.job}: {poll.user} can read it")
        if poll.user == owner and not poll.found:
            findings.lost.append(f"{poll.job}: a poll by its user was answered 404")


def _check_polls(owner: str, polls: Iterable[Poll], stored: StoredEdit | None, findings: Findings) -> None:
    last: Poll | None = None
    for poll in polls:
        if poll.user != owner or not poll.found:
            continue
        if last is not None:
            _check_step(last, poll, findings)
        last = poll
    if last is not None and last.state in OVER and stored is not None and last.state != stored.state:
        findings.out_of_order.append(f"{last.job}: a poll returned {last.state}, but the store has {stored.state}")


def _check_step(before: Poll, after: Poll, findings: Findings) -> None:
    if after.sequence < before.sequence:
        findings.out_of_order.append(f"{after.job}: sequence {after.sequence} after {before.sequence}")
    if after.sequence == before.sequence and after.state != before.state:
        findings.out_of_order.append(f"{after.job}: {before.state} and {after.state} with the same sequence")
    if before.state in OVER and after.state != before.state:
        findings.out_of_order.append(f"{after.job}: {after.state} after {before.state}")
    if before.state in OVER and after.artifacts != before.artifacts:
        findings.duplicated.append(f"{after.job}: its result changed after its end")


def older_times(event_log: Iterable[Mapping[str, Any]], *causes: str) -> list[tuple[float, float]]:
    """Return when Redis was in an older state: from each restoration, or other cause, until a housekeeper has settled it."""
    times: list[tuple[float, float]] = []
    begun: float | None = None
    for line in sorted(event_log, key=lambda line: line["at"]):
        if line["what"] in (causes or ("redis restored",)):
            begun = begun or line["at"]
        elif line["what"] == "redis settled" and begun is not None and line["began"] > begun:
            times.append((begun, line["at"]))
            begun = None
    return times if begun is None else [*times, (begun, float("inf"))]


def lost_times(event_log: Iterable[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """Return when Redis had lost something or could not be reached."""
    lines = sorted(event_log, key=lambda line: line["at"])
    times, cut_at = older_times(lines, "redis restored", "redis emptied"), 0.0
    for line in lines:
        if line["what"] == "fault" and line["name"] == "cut redis":
            cut_at = line["at"]
        elif line["what"] == "redis reachable":
            times.append((cut_at, line["at"]))
    return times


def outcomes_won(event_log: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """Count the successful writes of an outcome by its key."""
    return Counter(str(line["key"]) for line in event_log if line["what"] == "outcome" and line["won"])


def restart_seconds(
    event_log: Sequence[Mapping[str, Any]], kills: Mapping[int, float], *, without: Sequence[tuple[float, float]] = ()
) -> list[float]:
    """Return the seconds between a kill and the next claim of each of the killed process's jobs. `kills` maps process ids to times.

    Waits that overlap with one of the times `without` do not count.
    """
    of_pid: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    of_job: dict[str, list[float]] = defaultdict(list)  # its claims
    for line in sorted((line for line in event_log if line["what"] in ("claim", "left")), key=lambda line: line["at"]):
        of_pid[line["pid"]].append(line)
        if line["what"] == "claim":
            of_job[line["job"]].append(line["at"])
    waits = []
    for pid, killed_at in kills.items():
        last = {line["job"]: line["what"] for line in of_pid[pid] if line["at"] <= killed_at}
        for job in (job for job, what in last.items() if what == "claim"):
            again = next((at for at in of_job[job] if at > killed_at), None)
            if again is not None and not any(since <= again and killed_at <= until for since, until in without):
                waits.append(again - killed_at)
    return waits
