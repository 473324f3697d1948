"""A worker process: its Celery app, the engine that it loads once, its threads, and its graceful stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog
from celery import Celery, signals

from s2edit_core.errors import ModelUnusable, S2EditError
from s2edit_jobs.bootstrap import NotConfigured, Services, build_services
from s2edit_jobs.logs import configure_logs
from s2edit_jobs.records.errors import ServiceUnavailable
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.celery_queue import TASK, celery_app
from s2edit_jobs.stores.model_facts import ModelFacts, tell_failure
from worker.attempts.runner import run_job
from worker.engines.engine import Engine
from worker.housekeeping.announcer import Announcer
from worker.housekeeping.messenger import Messenger
from worker.housekeeping.reaper import Reaper
from worker.housekeeping.sweeper import Sweeper
from worker.testmode_lane import Lane

log = structlog.get_logger(__name__)

LoadEngine = Callable[[Settings], Engine]


class WorkerProcess:
    """Nothing is loaded or connected until Celery's worker starts; so the app can be imported anywhere."""

    def __init__(self, settings: Settings, load_engine: LoadEngine, build: Callable[[Settings], Services] = build_services) -> None:
        if not settings.redis_url:
            raise NotConfigured("a worker needs S2EDIT_REDIS_URL; `s2edit up` starts everything together")
        self._settings = settings
        self._load_engine = load_engine
        self._build = build
        self._stop = threading.Event()
        self._services: Services | None = None
        self._engine: Engine | None = None
        self._reaper: Reaper | None = None
        self._messenger: Messenger | None = None
        self._sweeper: Sweeper | None = None
        self._lane: Lane | None = None
        self._announcer: Announcer | None = None
        self.app: Celery = celery_app(settings.redis_url)
        self.app.task(name=TASK, shared=False)(self.run)  # another app of this process has its own
        signals.setup_logging.connect(self._set_up_logging, weak=False)  # else Celery writes by handlers of its own
        signals.worker_init.connect(self.start, weak=False)
        signals.worker_shutting_down.connect(self.stop, weak=False)

    def run(self, job_id: str) -> None:
        """The one task."""
        assert self._services is not None
        assert self._engine is not None
        if self._lane is not None:
            self._lane.ring()
        try:
            if self._announcer is not None and not self._announcer.has_reported:
                self._announcer.report()
            run_job(job_id, self._services, self._engine, stop=self._stop)
        except Exception:  # Celery would quote the exception's words; a reaper rings for the job again
            log.exception("a ring could not be answered", action="ring_unanswered", job_id=job_id)

    def _set_up_logging(self, **_: Any) -> None:
        configure_logs()

    def start(self, **_: Any) -> None:
        """Celery would only log an exception here, and go on without an engine."""
        configure_logs()
        try:
            self._services = self._build(self._settings)
            self._engine, facts = self._load(self._services)
        except Exception as error:
            known = isinstance(error, S2EditError) and isinstance(error.__cause__, S2EditError | None)
            log.error("the worker can't start", action="start_failed", reason=str(error) if known else None, exc_info=not known)
            raise SystemExit(f"the worker can't start: {error}") from error
        self._announcer = Announcer(self._services, facts)
        self._announcer.start()
        self._reaper = Reaper(self._services, interval_s=self._settings.reap_interval_s)
        self._reaper.start()
        self._messenger = Messenger(self._services)
        self._messenger.start()
        self._sweeper = Sweeper(self._services)
        self._sweeper.start()
        self._lane = Lane(self._services, facts, self._stop)
        self._lane.start()
        log.info("the worker is ready", action="worker_ready")

    def _load(self, services: Services) -> tuple[Engine, ModelFacts]:
        """The engine. A failure is reported to the API too, which then takes no edits that nobody would do."""
        try:
            engine = self._load_engine(self._settings)
            return engine, engine.facts
        except Exception as error:
            name = type(error).__name__  # words that are not our own may hold paths and hosts
            message = str(error) if isinstance(error, S2EditError) else f"loading the model ended in {name}: see the worker's log"
            with suppress(ServiceUnavailable):
                part = error.part if isinstance(error, ModelUnusable) else "model"
                tell_failure(services.artifacts, self._settings.model, message, part)
            raise

    def stop(self, **_: Any) -> None:
        """SIGTERM: the job under way goes back to the queue at its next step, and Celery ends after that."""
        self._stop.set()
        if self._announcer is not None:
            self._announcer.stop()
        if self._reaper is not None:
            self._reaper.stop()
        if self._messenger is not None:
            self._messenger.stop()
        if self._sweeper is not None:
            self._sweeper.stop()
