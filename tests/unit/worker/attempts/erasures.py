"""Helpers that erase a user, also between two writes of a worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from s2edit_jobs.library.erasure import Erasure
from s2edit_jobs.records.record import Owner
from tests.unit.worker.conftest import ANN, InProcessService

BOB = Owner("app", "bob")
WEBHOOK = "https://app.example.com/hook"


def erase_user(service: InProcessService, owner: Owner = ANN) -> None:
    erasure = Erasure(service.services)
    erasure.complete(erasure.begin(owner)[0])


def left_of(service: InProcessService, owner: Owner = ANN) -> list[str]:
    """Return every object and record that contains the owner."""
    objects = [key for key, data in service.artifacts.objects.items() if owner.prefix in key or owner.prefix.encode() in data]
    return objects + service.database.jobs_of(owner)


def void(_: object) -> None:
    return


class Meeting:
    """Calls `act` once, before or after the worker's write with index `number`."""

    def __init__(self, service: InProcessService, number: int, act: Callable[[], None], *, after: bool) -> None:
        self.keys: list[str] = []
        self._put = service.artifacts.put
        self._number, self._act, self._after = number, act, after
        service.artifacts.put = self  # type: ignore[method-assign]
        self.met = False

    def __call__(self, key: str, data: bytes, **options: Any) -> None:
        if key.startswith("erasing/"):
            self._put(key, data, **options)
            return
        self.keys.append(key)
        now = len(self.keys) - 1 == self._number
        if now and not self._after:
            self._meet()
        try:
            self._put(key, data, **options)
        finally:
            if now and self._after:
                self._meet()

    def _meet(self) -> None:
        self.met = True
        self._act()
