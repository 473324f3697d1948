"""A housekeeper process: all background work that needs no GPU. It loads no torch, and any number of them may run at a time.

`s2edit housekeeper` runs it; the API's image, which lacks that command, runs `python -m worker.housekeeper`.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable

import structlog

from s2edit_jobs.bootstrap import NotConfigured, Services, build_services, check_redis
from s2edit_jobs.logs import configure_logs
from s2edit_jobs.settings import Settings, settings_of_process
from worker.health_server import HealthServer
from worker.housekeeping.breaker import Breaker
from worker.housekeeping.loop import Loop
from worker.housekeeping.messenger import Messenger
from worker.housekeeping.reaper import Reaper
from worker.housekeeping.sweeper import Sweeper
from worker.metrics import REGISTRY, Readings
from worker.testmode_runner import ModelessRunner

log = structlog.get_logger(__name__)

MESSENGERS = 24
"""Webhooks that one housekeeper sends at a time. `messenger.AT_ONCE` of them serve one tenant at most."""
STOP_S = 3.0
"""Seconds that a stopping housekeeper waits for its threads. What it then leaves undone, another one repeats."""


class HousekeeperProcess:
    """The loops of a housekeeper. Creating it opens no connection. Raise `NotConfigured` without Redis."""

    def __init__(self, settings: Settings, build: Callable[[Settings], Services] = build_services) -> None:
        if not settings.redis_url:
            raise NotConfigured("the housekeeper needs Redis: set S2EDIT_REDIS_URL, or start all parts with `s2edit up`")
        services, self._stop = build(settings), threading.Event()
        self._settings = settings
        self._loops: tuple[Loop, ...] = (
            Reaper(services, interval_s=settings.reap_interval_s, stop=self._stop),
            *self._messengers(services),
            Sweeper(services, stop=self._stop),
            ModelessRunner(services, self._stop),
        )

    def _messengers(self, services: Services) -> list[Messenger]:
        breaker = Breaker()
        return [
            Messenger(services, breaker=breaker, stop=self._stop, name=f"messenger {number}") for number in range(1, MESSENGERS + 1)
        ]

    def run(self) -> None:
        """Work until SIGTERM or SIGINT, then stop gracefully. Call it from the main thread. Raise `NotConfigured`."""
        configure_logs()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        check_redis(self._settings)
        self.start()
        self._stop.wait()
        self.stop()

    def start(self) -> None:
        """Start the loops and, if a port is set, the server of `/livez` and `/metrics`. Raise `NotConfigured` if it is taken."""
        if (port := self._settings.housekeeper_metrics_port) is not None:
            token = self._settings.metrics_token
            HealthServer(port, self.problems, REGISTRY, token=token, setting="S2EDIT_HOUSEKEEPER_METRICS_PORT")
            meaning = "Seconds since a housekeeping thread last completed an iteration"
            REGISTRY.register(Readings("s2edit_housekeeping_iteration_age_seconds", meaning, self._ages, "loop"))
        for loop in self._loops:
            loop.start()
        log.info("the housekeeper is ready", action="housekeeper_ready")

    def stop(self) -> None:
        """Stop the loops after their current steps. Running test jobs go back to the queue."""
        for loop in self._loops:
            loop.stop()
        ends_at = time.monotonic() + STOP_S
        for loop in self._loops:
            loop.join(max(0.0, ends_at - time.monotonic()))
        log.info("the housekeeper stops", action="housekeeper_stops")

    def problems(self) -> list[str]:
        """Return which loops have ended or stalled."""
        return [problem for loop in self._loops if (problem := loop.problem) is not None]

    def _ages(self) -> list[tuple[str, float]]:
        return [(loop.name, loop.age_s) for loop in self._loops]


def main() -> None:
    """Run a housekeeper with the settings of the environment. Exit with a message if it can't start."""
    try:
        HousekeeperProcess(settings_of_process()).run()
    except NotConfigured as error:
        sys.exit(f"s2edit: {error}")


if __name__ == "__main__":
    main()
