"""Walk through the folders of all users in one listing of the object store."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby, islice

from s2edit_jobs.records.record import Owner
from s2edit_jobs.stores.artifacts import ArtifactStore

USERS = "t/"
"""Key prefix of everything that belongs to users."""
SEEK_AFTER = 1000
"""Unwanted keys in a row after which a new listing skips the rest of their kind. It is one page of S3."""
_LAST = "~"
"""Sorts after every character of a key."""
_KEY = re.compile(r"t/(?P<tenant>[^/]+)/u/(?P<user>[^/]+)/(?P<kind>[^/]+)/(?P<id>[^/]+)(?:/(?P<name>.+))?")


@dataclass(frozen=True, slots=True)
class UserFolder:
    """A folder of a user, such as that of one edit; or a single object, whose only name is ""."""

    owner: Owner
    kind: str  # "edits", "concepts", …
    id: str
    names: tuple[str, ...]  # sorted

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
        parsed = (found for key in artifacts.list(USERS, after=after) if (found := _KEY.fullmatch(key)) is not None)
        for (tenant, user, kind, name), group in groupby(parsed, key=lambda found: found.group("tenant", "user", "kind", "id")):
            owner = Owner(tenant, user)
            if wanted(kind, name):
                unwanted = 0
                yield UserFolder(owner, kind, name, tuple(found["name"] or "" for found in group))
                continue
            unwanted += sum(1 for _ in islice(group, SEEK_AFTER))
            if unwanted >= SEEK_AFTER:
                passed_over = f"{owner.prefix}{kind}/{_LAST}"
                break
        if passed_over is None:
            return
        after = passed_over
