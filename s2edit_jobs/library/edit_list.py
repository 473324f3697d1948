"""The list of a user's edits, newest first, in pages; and the page of any list."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from s2edit_jobs.bootstrap import Services
from s2edit_jobs.lifecycle.history import MAX_READS, Entry, Filter, Reader
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.errors import JobNotFound
from s2edit_jobs.records.record import JOB_ID, JobRecord, Owner
from s2edit_jobs.records.set_aside import set_aside
from s2edit_jobs.stores.artifacts import edit_key

MAX_SCANNED = 500
"""Most edits that one page of a filtered list reads while the store has no index. Rare matches are spread over several pages."""
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """A page of a list. The next page begins after the id `last`; None on the last page."""

    items: tuple[Item, ...]
    last: str | None


class EditList:
    """The edits of an owner. May raise `ServiceUnavailable`."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._artifacts = services.artifacts
        self._jobs = Jobs(services)

    def page(self, owner: Owner, *, after: str | None, limit: int, wanted: Filter) -> Page[JobRecord]:
        """Return a page of the edits that are `wanted`, newest first. It may hold fewer than `limit` without being the last.

        Unfinished jobs come from the job store, finished ones from the index. A record of the job store is the more exact one.
        """
        if not self._services.layout.is_current(self._artifacts):
            return self._edits_by_folder(owner, after=after, limit=limit, wanted=wanted)
        if after is not None and not JOB_ID.fullmatch(after):
            return Page((), None)
        unfinished = self._services.store.records.unfinished(owner)
        waiting = (record for record in unfinished if (after is None or record.id < after) and wanted.accepts(record))
        # A job that ends right now is in both. The index comes first: it is the truth.
        parts: list[Iterable[Entry | JobRecord]] = [
            self._jobs.history.entries(owner, wanted, after=after, expected=limit + 2),
            sorted(waiting, key=_by_id, reverse=True),
        ]
        merged = heapq.merge(*parts, key=_by_id, reverse=True)
        chosen = [next(same) for _, same in itertools.islice(itertools.groupby(merged, key=_by_id), limit + 1)]
        return self._page(owner, chosen, limit)

    def _page(self, owner: Owner, chosen: Sequence[Entry | JobRecord], limit: int) -> Page[JobRecord]:
        """Return the page of the first `limit` items. It ends early rather than read too many objects."""
        known = self._services.store.records.find([item.id for item in chosen[:limit] if isinstance(item, Entry)])
        reader = Reader(self._artifacts, owner, lambda job_id: self._jobs.get(owner, job_id))
        found: list[JobRecord] = []
        for seen, item in enumerate(chosen[:limit], start=1):
            if isinstance(item, JobRecord):
                found.append(item)
            elif (record := known.get(item.id)) is not None and record.owner == owner and record.state is item.state:
                found.append(record)
            else:
                with set_aside("entry of the index", item.key), suppress(JobNotFound):  # erased meanwhile
                    found.append(reader.record(item))
            if seen < len(chosen) and (seen == limit or reader.reads >= MAX_READS):
                return Page(tuple(found), item.id)
        return Page(tuple(found), None)

    def _edits_by_folder(self, owner: Owner, *, after: str | None, limit: int, wanted: Filter) -> Page[JobRecord]:
        """Return the same page from a store whose layout is not current: read every job."""
        names = sorted(self._artifacts.folders(edit_key(owner, "", "").rstrip("/") + "/"), reverse=True)
        left = [name for name in names if after is None or name < after]
        found: list[JobRecord] = []
        for seen, name in enumerate(left, start=1):
            with set_aside("edit", name), suppress(JobNotFound):  # still being accepted, or erased meanwhile
                record = self._jobs.get(owner, name)
                found += [record] if wanted.accepts(record) else []
            if seen < len(left) and (len(found) == limit or seen == MAX_SCANNED):
                return Page(tuple(found), name)
        return Page(tuple(found), None)


def _by_id(item: Entry | JobRecord) -> str:
    return item.id
