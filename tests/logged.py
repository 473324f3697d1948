"""Capture of the log of this process in tests."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import structlog

from s2edit_jobs.logs import QUIET, REPLACED, SILENT, configure_logs


class Logged(io.StringIO):
    """A captured log. Every line is a JSON object."""

    @property
    def text(self) -> str:
        return self.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The parsed lines."""
        return [json.loads(line) for line in self.getvalue().splitlines()]

    def of(self, action: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line.get("action") == action]


@contextmanager
def logging_to_memory() -> Iterator[Logged]:
    """Configure logging as `configure_logs` does, but into memory, and restore the configuration afterwards."""
    stream = Logged()
    with logging_to(stream):
        yield stream


@contextmanager
def logging_to(stream: TextIO) -> Iterator[None]:
    """Configure logging to the stream, and restore the configuration afterwards."""
    names = (None, *QUIET, *REPLACED, *SILENT)
    loggers = [logging.getLogger(name) for name in names]
    before = [(logger.handlers[:], logger.propagate, logger.level) for logger in loggers]
    hooks, settings = (sys.excepthook, threading.excepthook), structlog.get_config()
    configure_logs(stream)
    try:
        yield
    finally:
        structlog.configure(**settings)
        logging.captureWarnings(False)
        sys.excepthook, threading.excepthook = hooks
        for logger, (handlers, propagate, level) in zip(loggers, before, strict=True):
            logger.handlers[:], logger.propagate = handlers, propagate
            logger.setLevel(level)
