"""Cause the faults of a storm, each at its moment, and undo those that only last a while."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter, deque
from dataclasses import dataclass

from redis.exceptions import RedisError

from lab.storm.app import ClientApp
from lab.storm.census import Census
from lab.storm.faults.redis_faults import RedisFaults
from lab.storm.faults.store_faults import StoreFaults
from lab.storm.faults.takeovers import Takeovers
from lab.storm.plan import Plan
from lab.storm.system.engines import HUNG, SICK
from lab.storm.system.points import EventLog
from lab.storm.system.ports import LATE_500
from lab.storm.system.processes import ProcessGroup, StormSetup
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.records.errors import ServiceUnavailable
from s2edit_jobs.stores.embedded_redis import EmbeddedRedis

PAUSE_LEASES = 8.0
"""A paused worker stays away until another one has taken over its job, but at most for so long."""
TAKEN_S = 0.5
"""How much longer it stays away, so that the other one has begun."""
MUST_HAPPEN = ("empty redis", "cut redis")
"""Disturbances that are not given up when the edits come to their end."""
_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGTERM}


@dataclass(frozen=True, slots=True)
class _Pause:
    point: str
    ends: float  # on the monotonic clock
    taken: bool = False


class Faults:
    """Causes faults. `done` counts them by name, `killed` has the times of kills by process id."""

    def __init__(
        self,
        plan: Plan,
        setup: StormSetup,
        redis: EmbeddedRedis,
        processes: ProcessGroup,
        app: ClientApp,
        services: Services,
        census: Census,
    ) -> None:
        self._plan = plan
        self._setup = setup
        self._processes = processes
        self._rng = random.Random(plan.seed)
        self._log = EventLog(setup.event_logs)
        self._redis = RedisFaults(setup, redis, app, census, services.queue, self._rng)
        self._store = StoreFaults(setup, services.artifacts, self._rng)
        self._takeovers = Takeovers(setup.event_logs)
        self._paused: dict[int, _Pause] = {}
        self._waiting: deque[str] = deque()
        self.done: Counter[str] = Counter()
        self.killed: dict[int, float] = {}

    @property
    def newer(self) -> list[str]:
        """The keys of the specs of a newer release."""
        return self._store.newer

    @property
    def idle(self) -> bool:
        """Whether no fault waits or lasts."""
        return not (self._waiting or self._paused) and self._redis.idle and self._store.idle

    def cause(self, disturbance: str) -> None:
        """Cause the disturbance now, or keep it for `tick` if its moment has not come."""
        try:
            happened = self._try(disturbance)
        except (RedisError, ServiceUnavailable):  # Redis or the store is down at this moment
            happened = False
        if happened:
            self.done[disturbance] += 1
            self._log.write("fault", name=disturbance)
        else:
            self._waiting.append(disturbance)

    def tick(self, *, last: bool = False) -> None:
        """Restart what is dead, end what lasts too long, and try again what had to wait; `last` gives up on most of it."""
        self._redis.tick(may_restore=not self._store.is_away)
        self._store.tick()
        self._processes.restart_dead()
        self._resume()
        if last:
            self._waiting = deque(name for name in self._waiting if name in MUST_HAPPEN)
        for _ in range(len(self._waiting)):
            self.cause(self._waiting.popleft())

    def disarm(self) -> None:
        """Disarm all points that no process has reached."""
        for path in self._setup.armed.iterdir():
            path.unlink(missing_ok=True)

    def _try(self, disturbance: str) -> bool:
        """Return whether the disturbance has happened."""
        kind, _, what = disturbance.partition(" ")
        if kind == "point":
            return self._arm(what, otherwise="kill worker")
        if kind == "pause" and (self._paused or any(self._setup.armed.glob("pause *"))):
            return False  # one at a time: the others must take over
        if kind == "pause" or disturbance.startswith(LATE_500) or disturbance in (SICK, HUNG):
            return self._arm(disturbance)
        # Redis and the store are not lost together: then nothing knows which store is the service's, and an operator must say it.
        if disturbance == "store away" and not self._redis.remembers_store():
            return False
        if disturbance == "empty redis" and self._store.is_away:
            return False
        if disturbance in self._store.causes:
            return self._store.causes[disturbance]()
        if disturbance not in self._redis.causes:
            return self._signal(what, _SIGNALS[kind])
        # Not while Redis is cut off. Nor is it emptied while a worker is paused: nothing would show whether another takes over.
        if self._redis.is_cut or (disturbance == "empty redis" and self._paused):
            return False
        return self._redis.causes[disturbance]()

    def _arm(self, name: str, *, otherwise: str | None = None) -> bool:
        armed = self._setup.armed / name
        if armed.exists():
            if otherwise is None:
                return False
            self._waiting.append(otherwise)
        armed.touch()
        return True

    def _signal(self, what: str, number: signal.Signals) -> bool:
        """Send a signal to a random process whose name starts with `what`. Return whether there was one."""
        living = self._processes.living(what)
        if not living:
            return False
        pid = self._rng.choice(living)
        if number == signal.SIGKILL:
            self.killed[pid] = time.time()
        return self._processes.signal(pid, number)

    def _resume(self) -> None:
        """Resume paused workers whose jobs others have taken over: in the middle of slow work, or after the other has published."""
        now = time.monotonic()
        for path in self._setup.paused.iterdir():
            if point := path.read_text():
                path.unlink()
                self._processes.note_pause(int(path.name))
                self._paused[int(path.name)] = _Pause(point, now + PAUSE_LEASES * self._plan.lease_s)
        if self._paused:
            self._takeovers.read()
        for pid, pause in list(self._paused.items()):
            if now > pause.ends:
                self._processes.signal(pid, signal.SIGCONT)
                del self._paused[pid]
            elif not pause.taken and self._takeovers.is_taken_over(pid, over=pause.point.startswith("put.")):
                self._paused[pid] = _Pause(pause.point, min(pause.ends, now + TAKEN_S), taken=True)
