"""Progress bars, timing, and output to the terminal."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Generator, Iterable
from typing import Any, TypeVar

from s2edit_core.request.spec import Progress

Result = TypeVar("Result")


class ProgressBars:
    """A progress bar per phase, on stderr if that is a terminal."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: Any = None
        self._phase = ""

    def __enter__(self) -> ProgressBars:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, progress: Progress) -> None:
        """Advance the bar of the progress's phase, which is opened if needed."""
        from tqdm import tqdm

        if progress.phase != self._phase:
            self.__exit__()
            self._phase = progress.phase
            self._bar = tqdm(total=progress.total, desc=progress.phase, unit="step", disable=True if self._quiet else None)
        self._bar.update(progress.step - self._bar.n)
        if progress.loss is not None:
            self._bar.set_postfix(loss=f"{progress.loss:.4f}", refresh=False)


def run_stage(
    args: argparse.Namespace,
    steps: Generator[Progress, None, Result],
    seconds: dict[str, float] | None = None,
    phase: str = "",
    *,
    also: Callable[[Progress], None] | None = None,
) -> Result:
    """Run `steps` to the end with a progress bar. Add the duration to `seconds[phase]`, and call `also` for each progress."""
    from s2edit_core.unet.rows import finish

    began = time.perf_counter()
    with ProgressBars(quiet=args.quiet) as bars:

        def show(progress: Progress) -> None:
            bars.show(progress)
            if also is not None:
                also(progress)

        result = finish(steps, show)
    if seconds is not None:
        seconds[phase] = seconds.get(phase, 0.0) + time.perf_counter() - began
    return result


def say(text: str) -> None:
    """Write a line to stdout. A file's name may hold bytes that are no UTF-8."""
    sys.stdout.write(text.encode(errors="backslashreplace").decode() + "\n")


def say_warnings(warnings: Iterable[str]) -> None:
    """Write a line for each of what may have gone wrong, although the command succeeds."""
    for warning in warnings:
        say(f"warning: {warning}")
