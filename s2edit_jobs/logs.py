"""Logging of every process: one JSON object per line on standard error, for the messages of libraries too.

Photos, prompts and keys stay out of the log. An exception is logged with its type and stack. Its message is kept only if it comes
from a library that quotes no user, such as torch or boto3, and is scrubbed (`error_messages`). Local variables are never logged.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from contextlib import suppress
from types import TracebackType
from typing import Any, TextIO, cast

import structlog
from structlog.typing import EventDict, ExcInfo, Processor

from s2edit_jobs.error_messages import message_of

QUIET = (
    "botocore",
    "boto3",
    "urllib3",
    "s3transfer",
    "PIL",
    "httpx",
    "httpx2",
    "httpcore",
    "httpcore2",
    "multipart",
    "python_multipart",
)
"""Libraries of which only warnings and errors are logged."""
REPLACED = ("uvicorn", "uvicorn.error", "celery", "celery.task")
"""Loggers whose own handlers are removed."""
SILENT = ("uvicorn.access", "celery.redirected")
"""Loggers that are turned off, because URLs contain user names and signatures. `api.guard.request_log` logs requests instead."""

log = structlog.get_logger(__name__)


class _LossyStream:
    """A stream that drops what cannot be written. A full disk must not fail a request."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):  # ValueError: the stream is closed, or its encoding lacks a character
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()


def configure_logs(stream: TextIO | None = None) -> None:
    """Set up logging. Every entry point calls this once; repeating it is safe."""
    out = cast(TextIO, _LossyStream(stream or sys.stderr))
    common: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Processor] = [wordless_exceptions, structlog.processors.JSONRenderer(ensure_ascii=False, default=_type_of)]
    structlog.configure(
        processors=[*common, *last], logger_factory=structlog.PrintLoggerFactory(out), cache_logger_on_first_use=stream is None
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *common, _template_of_failures],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    _take_over(handler)


def wordless_exceptions(_: object, __: str, event: EventDict) -> EventDict:
    """Processor for structlog: replace `exc_info` by the exception's types and stack, without messages that may quote a user."""
    info = event.pop("exc_info", None)
    if info is None or info is False:
        return event
    error = info if isinstance(info, BaseException) else (info[1] if isinstance(info, tuple) else sys.exc_info()[1])
    if error is not None:
        event["exception"] = describe(error)
    return event


def describe(error: BaseException) -> str:
    """Return the tracebacks of an error and its causes, the first cause first, without messages that may quote a user.

    The quoted source lines are code, so they contain no user input.
    """
    parts: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        places = "".join(traceback.format_tb(current.__traceback__))
        message = message_of(current)
        parts.append(f"{places}{type(current).__module__}.{type(current).__qualname__}{f': {message}' if message else ''}")
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return "\nwhich led to\n".join(reversed(parts))


def _type_of(value: object) -> str:
    """Return the type's name for a value that JSON cannot encode: its repr might contain user input."""
    return type(value).__name__


def _template_of_failures(_: object, __: str, event: EventDict) -> EventDict:
    """Processor for structlog: keep only the message template of a library's record that has an exception.

    Libraries often format the exception's message into their own.
    """
    record: logging.LogRecord = event["_record"]
    if record.exc_info:
        lines = str(record.msg).splitlines()
        event["event"] = lines[0] if lines else ""
    return event


def _take_over(handler: logging.Handler) -> None:
    """Send the records of `logging`, warnings and uncaught exceptions to `handler`."""
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in REPLACED:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    for name in SILENT:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = False
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    sys.excepthook = _process_ends
    threading.excepthook = _thread_ends


def _process_ends(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    info: ExcInfo | Any = (kind, error, trace)
    log.critical("an uncaught exception ends the process", action="crashed", exc_info=info)


def _thread_ends(what: threading.ExceptHookArgs) -> None:
    if what.exc_value is not None and what.exc_type is not SystemExit:
        name = what.thread.name.partition(" ")[0] if what.thread else None
        log.critical("an uncaught exception ends a thread", action="crashed", thread=name, exc_info=what.exc_value)
