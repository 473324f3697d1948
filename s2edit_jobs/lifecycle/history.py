"""The index of finished jobs, from which lists are read: newest first, by state, kind and identity.

Each finished job has an entry below `t/<tenant>/u/<user>/index/all/`, and one more below `…/index/<identity>/` if it has one:

    <all or identity>/<kind>-<state>/<5 digits>/<2 digits>/<25 digits>.<view>

The digits are those of the job's id, each subtracted from 15. Ids begin with the time, so the newest job comes first. Two levels of
folders keep any folder of a data folder small. `<view>` holds what lists show, so a page needs no other request than its listings.
It contains nothing that a person wrote; the message of a failure is the content of the entry. Whoever writes the outcome of a job
adds its entries, a survey those that are missing. They stay when pictures expire.
"""

from __future__ import annotations

import base64
import heapq
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field

from s2edit_core.request.plan import digest
from s2edit_jobs.records.errors import ArtifactMissing, JobNotFound, RecordUnusable
from s2edit_jobs.records.record import (
    JOB_ID,
    KINDS,
    Failure,
    JobKind,
    JobRecord,
    JobState,
    Outcome,
    Owner,
    Timestamp,
    final_record,
)
from s2edit_jobs.records.stored import read_record
from s2edit_jobs.stores.artifacts import JSON, MAX_KEY_LENGTH, ArtifactStore, edit_key

ALL = "all"
ENDS = tuple(state for state in JobState if state.over)
MAX_READS = 7
"""Most objects that a page reads besides its listings. A page that needs more ends early."""
FEW_FOLDERS = 4
"""Up to so many folders are listed without asking first which of them exist."""
NAME_LENGTH = 200
"""Most characters between two slashes of a key."""
_CONCEPT_ID = re.compile(r"[ac]_[0-9a-f]{32}")
_DIGITS = str.maketrans("0123456789abcdef", "fedcba9876543210")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which jobs a list shows. None means any."""

    state: JobState | None = None
    kind: JobKind | None = None
    identity: str | None = None

    def accepts(self, record: JobRecord) -> bool:
        return (
            (self.state is None or record.state is self.state)
            and (self.kind is None or record.kind == self.kind)
            and (self.identity is None or record.identity == self.identity)
        )


ANY = Filter()


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the index, read from its key."""

    key: str
    id: str
    kind: JobKind
    state: JobState
    view: str  # what lists show of the job, encoded; empty if it did not fit into the key


@dataclass(frozen=True, slots=True)
class View:
    """What lists show of a finished job. The id, kind and state are elsewhere in the entry's key."""

    created: Timestamp
    ended: Timestamp
    attempt: int
    files: Mapping[str, str] = field(default_factory=dict)  # keys within the job's folder, and other keys with a slash before them
    deadline: Timestamp | None = None
    identity: str | None = None
    parent: str | None = None
    failure: str | None = None  # a digest: entries with the same one have the same failure

    def keys_of(self, owner: Owner, job_id: str) -> Mapping[str, str]:
        """Return the object keys of the files."""
        folder = edit_key(owner, job_id, "")
        return {name: key[1:] if key.startswith("/") else folder + key for name, key in self.files.items()}


class History:
    """The finished jobs of all owners. Every method may raise `ArtifactsUnavailable`."""

    def __init__(self, artifacts: ArtifactStore) -> None:
        self._artifacts = artifacts

    def add(self, record: JobRecord) -> None:
        """Enter a finished job. Repeating this is safe. Raise `JobNotFound` if the job was erased meanwhile."""
        keys = entry_keys(record)
        content = _failure_json(record.failure) if record.failure else b"{}"
        for key in keys:
            self._artifacts.put(key, content, media_type=JSON)
        if not self._artifacts.exists(edit_key(record.owner, record.id, "spec.json")):
            for key in keys:
                self._artifacts.delete_prefix(key)
            raise JobNotFound(record.id)

    def holds(self, owner: Owner, job_id: str) -> bool:
        """Whether the job has an entry."""
        places = (f"{_root(owner, ALL)}{end}/{place_of(job_id)}" for end in self._ends(owner, ALL))
        return any(True for place in places for _ in self._artifacts.list(place, expected=1))

    def remove(self, places: Iterable[str]) -> int:
        """Remove the entries at these places and return their number."""
        return sum(self._artifacts.delete_prefix(place) for place in places)

    def possible_places(self, owner: Owner, job_id: str) -> list[str]:
        """Return every place where entries of the job may be, for a job whose records cannot be read. Slow."""
        return [
            f"{_root(owner, name)}{end}/{place_of(job_id)}"
            for name in self._artifacts.folders(f"{owner.prefix}index/")
            for end in self._ends(owner, name)
        ]

    def entries(self, owner: Owner, wanted: Filter, *, after: str | None, expected: int) -> Iterator[Entry]:
        """Yield the entries of the `wanted` jobs that are older than the job `after`, newest first."""
        if wanted.identity is not None and not _CONCEPT_ID.fullmatch(wanted.identity):
            return iter(())
        who = wanted.identity or ALL
        ends = [f"{kind}-{end}" for kind in KINDS for end in ENDS if wanted.kind in (None, kind) and wanted.state in (None, end)]
        if len(ends) > FEW_FOLDERS:
            ends = [end for end in self._ends(owner, who) if end in ends]
        folders = [f"{_root(owner, who)}{end}/" for end in ends]
        listings = [self._listed(folder, after, expected) for folder in folders]
        return heapq.merge(*listings, key=lambda entry: entry.id, reverse=True)

    def _listed(self, folder: str, after: str | None, expected: int) -> Iterator[Entry]:
        # "~" comes after all characters that follow an entry's digits.
        start = None if after is None else f"{folder}{place_of(after)}~"
        for key in self._artifacts.list(folder, after=start, expected=expected):
            if (entry := entry_of(key)) is not None:
                yield entry

    def _ends(self, owner: Owner, who: str) -> Iterator[str]:
        return self._artifacts.folders(_root(owner, who))


class Reader:
    """Builds the records of one page from its entries. `load` reads the whole job for an entry that lacks something.

    It remembers failures, because many jobs fail for the same reason. `reads` counts the objects that it has read.
    """

    def __init__(self, artifacts: ArtifactStore, owner: Owner, load: Callable[[str], JobRecord]) -> None:
        self._artifacts = artifacts
        self._owner = owner
        self._load = load
        self._failures: dict[str, Failure] = {}
        self.reads = 0

    def record(self, entry: Entry) -> JobRecord:
        """Return the record that lists show. Raise `JobNotFound` if the job was erased meanwhile."""
        view = _decoded(entry.view)
        if view is None or not all(key.startswith(self._owner.prefix) for key in view.keys_of(self._owner, entry.id).values()):
            return self._whole(entry)
        if view.failure is None:
            return _record_of(self._owner, entry, view)
        if view.failure not in self._failures:
            self.reads += 1
            try:
                self._failures[view.failure] = read_record("outcome", Failure, self._artifacts.get(entry.key))
            except (ArtifactMissing, RecordUnusable):
                return self._whole(entry)
        return _record_of(self._owner, entry, view, self._failures[view.failure])

    def _whole(self, entry: Entry) -> JobRecord:
        self.reads += 2
        return self._load(entry.id)


def place_of(job_id: str) -> str:
    """Return where a job's entry is within its folder. A newer job comes before an older one."""
    digits = job_id.removeprefix("e_").translate(_DIGITS)
    return f"{digits[:5]}/{digits[5:7]}/{digits[7:]}"


def entry_keys(record: JobRecord) -> list[str]:
    """Return the keys of the entries of a job that is over."""
    return [_entry_key(place, encoded(record)) for place in places_of(record)]


def places_of(record: JobRecord) -> list[str]:
    """Return the beginnings of the keys of the entries of a job that is over."""
    return [f"{_root(record.owner, name)}{record.kind}-{record.state}/{place_of(record.id)}" for name in _names_of(record)]


def entry_of(key: str) -> Entry | None:
    """Return the entry with this key, or None if it is not the key of an entry."""
    parts = key.split("/", 10)  # t, tenant, u, user, index, name, end, and the three of the place
    if len(parts) < 10:
        return None
    rest, _, view = "/".join(parts[9:]).partition(".")
    job_id = "e_" + (parts[7] + parts[8] + rest).translate(_DIGITS)
    kind, _, state = parts[6].rpartition("-")
    if kind not in KINDS or state not in ENDS or not JOB_ID.fullmatch(job_id):
        return None
    return Entry(key, job_id, kind, JobState(state), view.replace("/", ""))


def encoded(record: JobRecord) -> str:
    """Return what lists show of a finished job, in characters of a key."""
    folder = edit_key(record.owner, record.id, "")
    view = View(
        created=record.created_at,
        ended=record.updated_at,
        attempt=record.attempt,
        files={name: f"/{key}".removeprefix(f"/{folder}") for name, key in record.artifacts.items()},
        deadline=record.deadline_at,
        identity=record.identity,
        parent=record.parent,
        failure=digest(_failure_json(record.failure))[:12] if record.failure else None,
    )
    values = {name: value for name, value in asdict(view).items() if value not in (None, {})}
    text = json.dumps(values, separators=(",", ":"))
    return base64.urlsafe_b64encode(zlib.compress(text.encode())).decode().rstrip("=")


def _decoded(view: str) -> View | None:
    """Return the view, or None if there is none, it is damaged, or another release wrote it in another format."""
    try:
        return read_record("outcome", View, zlib.decompress(base64.urlsafe_b64decode(view + "=" * (-len(view) % 4))))
    except (ValueError, zlib.error, RecordUnusable):
        return None


def _record_of(owner: Owner, entry: Entry, view: View, failure: Failure | None = None) -> JobRecord:
    first = JobRecord(
        id=entry.id,
        owner=owner,
        state=JobState.QUEUED,
        sequence=1,
        created_at=view.created,
        updated_at=view.created,
        deadline_at=view.deadline,
        kind=entry.kind,
        parent=view.parent,
    )
    return final_record(
        first, Outcome(entry.state, view.attempt, view.ended, view.keys_of(owner, entry.id), view.identity, failure)
    )


def _failure_json(failure: Failure) -> bytes:
    return json.dumps(asdict(failure), ensure_ascii=False, sort_keys=True).encode()


def _names_of(record: JobRecord) -> list[str]:
    """Return the names of the folders that list the job."""
    return [ALL, record.identity] if record.identity and _CONCEPT_ID.fullmatch(record.identity) else [ALL]


def _root(owner: Owner, name: str) -> str:
    return f"{owner.prefix}index/{name}/"


def _entry_key(place: str, view: str) -> str:
    """Return the key, with slashes in the view where a name would be too long; without the view if the key would be."""
    free = NAME_LENGTH - len(place.rpartition("/")[2]) - 1
    parts = [view[:free], *(view[start : start + NAME_LENGTH] for start in range(free, len(view), NAME_LENGTH))]
    key = f"{place}.{'/'.join(parts)}"
    return key if len(key) <= MAX_KEY_LENGTH else f"{place}.x"
