"""What a process would have written to its log, for tests."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from s2edit_jobs.logs import QUIET, REPLACED, SILENT, configure_logs


class Logged(io.StringIO):
    @property
    def text(self) -> str:
        return self.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Every line is a JSON object."""
        return [json.loads(line) for line in self.getvalue().splitlines()]

    def of(self, action: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line.get("action") == action]


@contextmanager
def logging_to_memory() -> Iterator[Logged]:
    """As `configure_logs` sets it up; all is as before afterwards."""
    names = (None, *QUIET, *REPLACED, *SILENT)
    loggers = [logging.getLogger(name) for name in names]
    before = [(logger.handlers[:], logger.propagate, logger.level) for logger in loggers]
    hooks, settings = (sys.excepthook, threading.excepthook), structlog.get_config()
    stream = Logged()
    configure_logs(stream)
    try:
        yield stream
    finally:
        structlog.configure(**settings)
        logging.captureWarnings(False)
        sys.excepthook, threading.excepthook = hooks
        for logger, (handlers, propagate, level) in zip(loggers, before, strict=True):
            logger.handlers[:], logger.propagate = handlers, propagate
            logger.setLevel(level)
