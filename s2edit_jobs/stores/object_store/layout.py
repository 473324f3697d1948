"""Know whether the object store has what this release reads: markers of unfinished jobs, and the index of finished ones.

A store of an earlier release gets them from a survey, which a housekeeper runs. Its last step writes `layout.json`,
which stays. Until then, lists and rebuilds read all jobs, as earlier releases did.
"""

from __future__ import annotations

import json

from s2edit_jobs.stores.artifacts import JSON, ArtifactStore

LAYOUT = "layout.json"
"""Key of the object that says which layout is complete: `{"version": 1}`."""
CURRENT = 1


class LayoutWatch:
    """Remembers that the layout is current, so that only an outdated store is asked again."""

    def __init__(self) -> None:
        self._current = False

    def is_current(self, artifacts: ArtifactStore) -> bool:
        """Return whether a survey was completed. Raise `ArtifactsUnavailable`."""
        self._current = self._current or artifacts.exists(LAYOUT)
        return self._current

    def begin(self, artifacts: ArtifactStore) -> None:
        """Mark the layout of a store without user data as current, because it lacks nothing."""
        if not self.is_current(artifacts) and not any(artifacts.list("t/", expected=1)):
            artifacts.put(LAYOUT, json.dumps({"version": CURRENT}).encode(), media_type=JSON)
