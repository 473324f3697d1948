"""When an identity and its inversions were last used, and the limit of inversions per identity.

Object stores keep no times of reading. So the name of an empty marker object holds the time of use. A worker replaces the marker at
most once a day; the sweeper writes one where there is none. The folder of a concept, `concepts/<id>/`, holds:

    used-<seconds>                         when the identity was used
    inversions/<inversion id>              the marker that ties an inversion to the identity
    inversions/<inversion id>.used-<seconds>   when the inversion was used

One listing of the folder reads all of it. The markers are removed with the inversion or the identity. After each
use, a worker removes the least recently used inversions beyond `max_inversions_per_identity`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self

from s2edit_jobs.records.record import Owner
from s2edit_jobs.stores.artifacts import ArtifactStore, concept_key, inversion_key

INVERSIONS = "inversions/"
"""Folder beside an identity with one marker per inversion that was made with it, named by the inversion's id."""
USED = "used-"
"""Beginning of the name of a marker that says when a concept was used."""
DAY_S = 86_400.0
"""Seconds for which a marker of use counts as current. The dates are that much too early at most."""
_NAME = re.compile(r"(?:inversions/(?P<inversion>\w+)(?:\.|$))?(?:used-(?P<at>\d{1,12}))?")


@dataclass(slots=True)
class Uses:
    """The times of use in the folder of a concept, in seconds since the epoch. None stands for the concept itself."""

    last: dict[str | None, float] = field(default_factory=dict)
    inversions: set[str] = field(default_factory=set)  # with or without a time
    outdated: list[str] = field(default_factory=list)  # names of markers that a later one of the same thing has replaced

    @classmethod
    def of(cls, names: Iterable[str]) -> Self:
        """Read the names in the folder. Names of other things are ignored."""
        uses, newest = cls(), dict[str | None, str]()
        for name in names:
            found = _NAME.fullmatch(name)
            if found is None or not name:
                continue
            which = found["inversion"]
            if which is not None:
                uses.inversions.add(which)
            if found["at"] is None:
                continue
            earlier, at = uses.last.get(which), float(found["at"])
            if earlier is None or at > earlier:
                uses.outdated += [newest[which]] if which in newest else []
                uses.last[which], newest[which] = at, name
            else:
                uses.outdated.append(name)
        return uses

    def without_time(self) -> list[str]:
        """Return the inversions that have no time of use yet: those of earlier releases, or of an attempt that died."""
        return sorted(self.inversions - self.last.keys())

    def unused_since(self, time_s: float) -> list[str]:
        """Return the inversions that were last used before `time_s`, in seconds since the epoch."""
        return sorted(each for each in self.inversions & self.last.keys() if self.last[each] < time_s)

    def beyond(self, limit: int) -> list[str]:
        """Return the least recently used inversions beyond the `limit`. Those without a time are the first to go."""
        order = sorted(self.inversions, key=lambda each: (self.last.get(each, 0.0), each))
        return order[: max(0, len(order) - limit)]


def used_name(inversion_id: str | None, at: float) -> str:
    """Return the name of the marker in the folder of the concept. Without an inversion, it is about the concept."""
    return f"{'' if inversion_id is None else f'{INVERSIONS}{inversion_id}.'}{USED}{int(at):012}"


def drop_inversions(artifacts: ArtifactStore, owner: Owner, concept_id: str, inversion_ids: Sequence[str]) -> int:
    """Remove inversions of an identity. Return the number of objects.

    The marker goes first: a worker that is storing the same inversion looks for it afterwards (`Library.keep_inversion`).
    """
    gone = 0
    for inversion_id in inversion_ids:
        gone += artifacts.delete_prefix(concept_key(owner, concept_id, INVERSIONS + inversion_id))
        gone += artifacts.delete_prefix(inversion_key(owner, inversion_id, ""))
    return gone
