"""A worker process: its Celery app, its engine, its background threads and its graceful stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog
from celery import Celery, signals

from s2edit_core.errors import ModelUnusable, S2EditError
from s2edit_jobs.bootstrap import NotConfigured, Services, build_services, check_redis
from s2edit_jobs.logs import configure_logs
from s2edit_jobs.records.errors import ServiceUnavailable
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.celery_queue import TASK, celery_app
from s2edit_jobs.stores.model_facts import ModelFacts, report_failure
from worker.attempts.runner import run_job
from worker.engines.engine import Engine
from worker.housekeeping.announcer import Announcer
from worker.housekeeping.messenger import Messenger
from worker.housekeeping.reaper import Reaper
from worker.housekeeping.sweeper import Sweeper
from worker.testmode_runner import ModelessRunner

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
        self._services: Services | None = None
        self._engine: Engine | None = None
        self._reaper: Reaper | None = None
        self._messenger: Messenger | None = None
        self._sweeper: Sweeper | None = None
        self._testmode: ModelessRunner | None = None
        self._announcer: Announcer | None = None
        self.app: Celery = celery_app(settings.redis_url)
        self.app.task(name=TASK, shared=False)(self.run)  # not shared with other Celery apps in this process
        signals.setup_logging.connect(self._set_up_logging, weak=False)  # otherwise Celery installs its own handlers
        signals.worker_init.connect(self.start, weak=False)
        signals.worker_shutting_down.connect(self.stop, weak=False)

    def run(self, job_id: str = "", *_: Any, **__: Any) -> None:
        """Handle one notification. This is the only Celery task. Another release may send other arguments: they don't matter."""
        assert self._services is not None
        assert self._engine is not None
        if self._testmode is not None:
            self._testmode.notify()
        try:
            if self._announcer is not None and not self._announcer.has_reported:
                self._announcer.report()
            run_job(job_id, self._services, self._engine, stop=self._stop)
        except Exception:  # Celery would log the exception's message; the reaper notifies again
            log.exception("a notification could not be handled", action="ring_unanswered", job_id=job_id)

    def _set_up_logging(self, **_: Any) -> None:
        configure_logs()

    def start(self, **_: Any) -> None:
        """Load the engine and start the threads.

        Exit on failure, because Celery would only log an exception and continue without an engine.
        """
        configure_logs()
        try:
            check_redis(self._settings)
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
        self._testmode = ModelessRunner(self._services, facts, self._stop)
        self._testmode.start()
        log.info("the worker is ready", action="worker_ready")

    def _load(self, services: Services) -> tuple[Engine, ModelFacts]:
        """Load the engine. Report a failure to the API, which then rejects edits that no worker could run."""
        try:
            engine = self._load_engine(self._settings)
            return engine, engine.facts
        except Exception as error:
            message = f"loading the model failed with {type(error).__name__}: see the worker's log"
            if isinstance(error, S2EditError):  # a library's message may contain paths and host names
                message = str(error)
            with suppress(ServiceUnavailable):
                part = error.part if isinstance(error, ModelUnusable) else "model"
                report_failure(services.artifacts, self._settings.model, message, part)
            raise

    def stop(self, **_: Any) -> None:
        """Handle SIGTERM: the running job goes back to the queue at its next step, and then Celery exits."""
        self._stop.set()
        if self._announcer is not None:
            self._announcer.stop()
        if self._reaper is not None:
            self._reaper.stop()
        if self._messenger is not None:
            self._messenger.stop()
        if self._sweeper is not None:
            self._sweeper.stop()
