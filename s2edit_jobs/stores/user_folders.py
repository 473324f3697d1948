"""Walk through the folders of all users in one listing of the object store."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from s2edit_jobs.records.record import Owner
from s2edit_jobs.stores.artifacts import ArtifactStore

USERS = "t/"
"""Key prefix of everything that belongs to users."""
SEEK_AFTER = 1000
"""Keys in a row that nobody wants, after which the rest of their kind is passed over by a new listing. It is one page of S3."""
_LAST = "~"
"""Sorts after every character of a key."""
_KEY = re.compile(r"t/(?P<tenant>[^/]+)/u/(?P<user>[^/]+)/(?P<kind>[^/]+)/(?P<id>[^/]+)(?:/(?P<name>.+))?")


@dataclass(frozen=True, slots=True)
class UserFolder:
    """A folder of a user, such as that of one edit, or a single object, which has the name "" in itself."""

    owner: Owner
    kind: str  # "edits", "concepts", …
    id: str
    names: tuple[str, ...] = ()  # sorted

    @property
    def path(self) -> str:
        """The key without the name. It does not end with a slash."""
        return f"{self.owner.prefix}{self.kind}/{self.id}"

    def key(self, name: str) -> str:
        return f"{self.path}/{name}" if name else self.path


def user_folders(artifacts: ArtifactStore, wanted: Callable[[str, str], bool]) -> Iterator[UserFolder]:
    """Yield the folders that are `wanted` by kind and id, sorted by user, kind and id.

    If one is not wanted, the later ones of the same user and kind must not be wanted either, because long runs of them are not
    listed. Raise `ArtifactsUnavailable`.
    """
    after: str | None = None
    while True:
        unwanted, passed_over = 0, None
        for folder in _grouped(artifacts.list(USERS, after=after)):
            if wanted(folder.kind, folder.id):
                unwanted = 0
                yield folder
                continue
            unwanted += len(folder.names)
            if unwanted >= SEEK_AFTER:
                passed_over = f"{folder.owner.prefix}{folder.kind}/{_LAST}"
                break
        if passed_over is None:
            return
        after = passed_over


def _grouped(keys: Iterable[str]) -> Iterator[UserFolder]:
    parsed = (found for key in keys if (found := _KEY.fullmatch(key)) is not None)
    for (tenant, user, kind, folder_id), group in groupby(parsed, key=lambda found: found.group("tenant", "user", "kind", "id")):
        yield UserFolder(Owner(tenant, user), kind, folder_id, tuple(found["name"] or "" for found in group))
