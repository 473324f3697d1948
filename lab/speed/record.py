"""The results file: one entry per phase, written as soon as the phase is over."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lab.measures.results import dumped
from s2edit_core.whole_files import write_whole

Result = dict[str, Any]
DONE, FAILED, SKIPPED = "done", "failed", "skipped"
TRACE_LINES = 8
"""How many lines of a failed phase's traceback are kept."""


class Record:
    """The phases of a results file. `about` says what was measured on which machine, and identifies the file."""

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        """Read `path`, if it is there. Raises `ValueError` if it holds results of other settings or another machine."""
        self.path = path
        self.about = dict(about)
        self.phases: dict[str, Result] = {}
        self.summary: Result = {}
        if path.is_file():
            stored = json.loads(path.read_text(encoding="utf-8"))
            if stored["about"] != json.loads(json.dumps(self.about)):
                raise ValueError(
                    f"{path} holds results of other settings or of another machine: delete it, or choose another --out"
                )
            self.phases, self.summary = stored["phases"], stored["summary"]

    def is_done(self, name: str) -> bool:
        return self.phases.get(name, {}).get("state") == DONE

    def result(self, name: str) -> Result | None:
        """Return the result of a finished phase, or None."""
        return self.phases[name]["result"] if self.is_done(name) else None

    def run(self, name: str, work: Callable[[], Result]) -> bool:
        """Run a phase and record its result, or its error. Return whether it succeeded."""
        began = time.perf_counter()
        try:
            result = work()
        except Exception as error:  # whatever a phase raises, the others still count
            trace = "".join(traceback.format_exception(error)).strip().splitlines()[-TRACE_LINES:]
            self._put(name, {"state": FAILED, "took_s": _since(began), "error": f"{type(error).__name__}: {error}", "trace": trace})
            return False
        self._put(name, {"state": DONE, "took_s": _since(began), "result": result})
        return True

    def skip(self, name: str, reason: str) -> None:
        """Record that a phase was not run. An earlier failure stays, because it says more."""
        if self.phases.get(name, {}).get("state") != FAILED:
            self._put(name, {"state": SKIPPED, "reason": reason})

    def put_summary(self, summary: Result) -> None:
        """Write the ratios that follow from all phases."""
        self.summary = summary
        self._write()

    def _put(self, name: str, entry: Result) -> None:
        self.phases[name] = entry
        self._write()

    def _write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.path, dumped({"about": self.about, "summary": self.summary, "phases": self.phases}).encode())


def _since(began: float) -> float:
    return round(time.perf_counter() - began, 2)
