"""A worker process: its Celery app, its engine and its graceful stop. Housekeepers do everything that needs no model."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import structlog
from celery import Celery, signals
from prometheus_client.core import CounterMetricFamily

from s2edit_core.errors import ModelUnusable, S2EditError
from s2edit_jobs.bootstrap import NotConfigured, Services, build_services, check_redis
from s2edit_jobs.logs import configure_logs
from s2edit_jobs.records.errors import ServiceUnavailable
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.celery_queue import TASK, celery_app
from s2edit_jobs.stores.model_facts import ModelFacts, report_failure
from worker.announcer import Announcer
from worker.attempts.progress_watch import worker_progress
from worker.attempts.runner import run_job
from worker.attempts.slots import AttemptSlots
from worker.attempts.tallies import counts
from worker.attempts.worker_health import WorkerHealth
from worker.engines.engine import Engine
from worker.health_server import HealthServer
from worker.metrics import REGISTRY, Readings

log = structlog.get_logger(__name__)

LoadEngine = Callable[[Settings], Engine]


class WorkerProcess:
    """The Celery worker and everything that runs in its process. Creating it loads nothing and opens no connection."""

    def __init__(self, settings: Settings, load_engine: LoadEngine, build: Callable[[Settings], Services] = build_services) -> None:
        if not settings.redis_url:
            raise NotConfigured("the worker needs Redis: set S2EDIT_REDIS_URL, or start all parts with `s2edit up`")
        self._settings = settings
        self._load_engine = load_engine
        self._build = build
        self._stop = threading.Event()
        self._health = WorkerHealth(self._stop)
        self._slots: AttemptSlots | None = None  # None: attempts run in Celery's thread, one at a time
        self._services: Services | None = None
        self._engine: Engine | None = None
        self._announcer: Announcer | None = None
        self._health_server: HealthServer | None = None
        self.app: Celery = celery_app(settings.redis_url)
        self.app.task(name=TASK, shared=False)(self.run)  # not shared with other Celery apps in this process
        signals.setup_logging.connect(self._set_up_logging, weak=False)  # otherwise Celery installs its own handlers
        signals.worker_init.connect(self.start, weak=False)
        signals.worker_shutting_down.connect(self.stop, weak=False)
        signals.worker_shutdown.connect(self.finish, weak=False)

    def run(self, job_id: str = "", *_: Any, **__: Any) -> None:
        """Handle one notification. This is the only Celery task. Another release may send other arguments: they don't matter."""
        if self._slots is None:
            self._run_job(job_id)
        else:
            self._slots.run(partial(self._run_job, job_id))

    def _run_job(self, job_id: str) -> None:
        assert self._services is not None
        assert self._engine is not None
        try:
            if self._announcer is not None and not self._announcer.has_reported:
                self._announcer.report()
            run_job(job_id, self._services, self._engine, stop=self._stop, health=self._health)
        except Exception:  # Celery would log the exception's message; the reaper notifies again
            log.exception("a notification could not be handled", action="ring_unanswered", job_id=job_id)

    def _set_up_logging(self, **_: Any) -> None:
        configure_logs()

    def start(self, **_: Any) -> None:
        """Load the engine and report the model.

        Exit on failure, because Celery would only log an exception and continue without an engine.
        """
        configure_logs()
        try:
            self._serve_health()
            check_redis(self._settings)
            self._services = self._build(self._settings)
            self._engine, facts = self._load(self._services)
        except Exception as error:
            known = isinstance(error, NotConfigured)
            known = known or (isinstance(error, S2EditError) and isinstance(error.__cause__, S2EditError | None))
            log.error("the worker can't start", action="start_failed", reason=str(error) if known else None, exc_info=not known)
            raise SystemExit(f"the worker can't start: {error}") from error
        jobs = min(self._settings.worker_jobs, self._engine.most_jobs() or self._settings.worker_jobs)
        if jobs < self._settings.worker_jobs:
            log.warning("the device has too little memory for as many jobs as set", action="fewer_jobs", jobs=jobs)
        if jobs > 1:
            self._slots = AttemptSlots(jobs, self._health)
        self._announcer = Announcer(self._services, facts)
        self._announcer.start()
        log.info("the worker is ready", action="worker_ready")

    def _serve_health(self) -> None:
        """Answer `/livez` and `/metrics` if a port is set, from now on: loading a model may take minutes."""
        if (port := self._settings.worker_metrics_port) is None:
            return
        token, setting = self._settings.metrics_token, "S2EDIT_WORKER_METRICS_PORT"
        self._health_server = HealthServer(port, self.problems, REGISTRY, token=token, setting=setting)
        events = "Faults and hangs of the device, passes made smaller for lack of memory, and attempts that failed unexpectedly"
        REGISTRY.register(Readings("s2edit_device_events", events, lambda: counts().items(), "event", CounterMetricFamily))
        memory = "Most bytes of the device's memory that this process has used at a time"
        stuck = "Seconds since the running attempt has last advanced"
        REGISTRY.register(Readings("s2edit_attempt_stuck_seconds", stuck, self._stuck))
        REGISTRY.register(Readings("s2edit_device_peak_memory_bytes", memory, self._peak_memory))
        running = "Attempts that run in this process"
        REGISTRY.register(Readings("s2edit_running_attempts", running, lambda: [("", float(self._health.company.others("")))]))
        passes = "Passes of the UNet that this process has run"
        REGISTRY.register(Readings("s2edit_unet_passes", passes, self._passes, family=CounterMetricFamily))
        rows = "Rows in these passes, by stage (editing, inverting, learning)"
        REGISTRY.register(Readings("s2edit_unet_rows", rows, self._rows, "stage", CounterMetricFamily))
        waits = "Seconds for which these rows have waited for their passes, summed over rows"
        REGISTRY.register(Readings("s2edit_unet_row_wait_seconds", waits, self._row_waits, "stage", CounterMetricFamily))

    def problems(self) -> list[str]:
        """Return why this worker does its work no longer."""
        problem = self._announcer.problem if self._announcer is not None else None
        hangs = f"the attempt has not advanced for {worker_progress.stuck_s() or 0.0:.0f} s" if worker_progress.is_hung() else None
        return [text for text in (problem, hangs) if text is not None]

    def _stuck(self) -> list[tuple[str, float]]:
        stuck_s = worker_progress.stuck_s()
        return [] if stuck_s is None else [("", stuck_s)]

    def _peak_memory(self) -> list[tuple[str, float]]:
        peak = self._engine.peak_memory_bytes() if self._engine is not None else None
        return [] if peak is None else [("", float(peak))]

    def _passes(self) -> list[tuple[str, float]]:
        stats = self._engine.pass_stats() if self._engine is not None else None
        return [] if stats is None else [("", float(stats.passes))]

    def _rows(self) -> list[tuple[str, float]]:
        stats = self._engine.pass_stats() if self._engine is not None else None
        return [] if stats is None else [(stage, float(rows)) for stage, rows in stats.rows.items()]

    def _row_waits(self) -> list[tuple[str, float]]:
        stats = self._engine.pass_stats() if self._engine is not None else None
        return [] if stats is None else list(stats.waited_s.items())

    def _load(self, services: Services) -> tuple[Engine, ModelFacts]:
        """Load the engine. Report a failure to the API, which then rejects edits that no worker could run."""
        try:
            engine = self._load_engine(self._settings)
            return engine, engine.facts
        except Exception as error:
            message = f"loading the model failed with {type(error).__name__}: see the worker's log"
            if isinstance(error, S2EditError | NotConfigured):  # a library's message may contain paths and host names
                message = str(error)
            with suppress(ServiceUnavailable):
                part = error.part if isinstance(error, ModelUnusable) else "model"
                report_failure(services.artifacts, self._settings.model, message, part)
            raise

    def stop(self, **_: Any) -> None:
        """Handle SIGTERM: the running jobs go back to the queue at their next step, and then Celery exits."""
        self._stop.set()
        if self._announcer is not None:
            self._announcer.stop()

    def finish(self, **_: Any) -> None:
        """Wait, after `stop`, until the running jobs are back in the queue, and end the engine's threads."""
        if self._slots is not None:
            self._slots.finish()
        if self._engine is not None:
            self._engine.close()
