"""Whether another attempt has taken over the job of a paused worker, as the event logs say while they grow."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any


class Takeovers:
    """Reads the event logs of all processes, each line once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._offsets: dict[Path, int] = {}
        self._last_claim: dict[int, dict[str, Any]] = {}  # by process id
        self._fences: dict[str, list[int]] = defaultdict(list)  # by job
        self._over: set[str] = set()

    def read(self) -> None:
        """Take in the lines that have been written since the last call."""
        for path in self._folder.iterdir():
            with path.open("rb") as file:
                file.seek(self._offsets.get(path, 0))
                data = file.read()
            whole = data[: data.rfind(b"\n") + 1]
            self._offsets[path] = self._offsets.get(path, 0) + len(whole)
            for line in whole.splitlines():
                self._take(json.loads(line))

    def _take(self, line: dict[str, Any]) -> None:
        if line["what"] == "claim":
            self._last_claim[line["pid"]] = line
            self._fences[line["job"]].append(line["fence"])
        elif line["what"] == "left" and line["over"]:
            self._over.add(line["job"])

    def is_taken_over(self, pid: int, *, over: bool) -> bool:
        """Whether another attempt has claimed the last job of this process. With `over`, the job must also be over."""
        claim = self._last_claim.get(pid)
        if claim is None:
            return True
        newer = any(fence > claim["fence"] for fence in self._fences[claim["job"]])
        return newer and (not over or claim["job"] in self._over)
