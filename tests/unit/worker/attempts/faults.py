"""Helpers that make the engine or a store fail at a chosen moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from s2edit_core.request.spec import Progress


def at(phase: str, step: int, act: Callable[[], object]) -> Callable[[Progress], None]:
    """Return a hook that calls `act` before one step of the engine."""

    def on_step(progress: Progress) -> None:
        if (progress.phase, progress.step) == (phase, step):
            act()

    return on_step


def fail(error: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


def down(error: BaseException) -> Any:
    def call(*_: object, **__: object) -> None:
        raise error

    return call
