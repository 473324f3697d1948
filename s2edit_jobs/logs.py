"""How every process writes its log: one JSON object a line, on standard error, also for what libraries have to say.

Photos, prompts and keys stay out: an exception is told by its type and by where it was raised, not by its words, which may quote
what somebody sent; local variables are never shown.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from types import TracebackType
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, ExcInfo, Processor

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
"""Libraries that say little below a warning that anybody needs."""
REPLACED = ("uvicorn", "uvicorn.error", "celery", "celery.task")
"""Libraries that would write by handlers of their own."""
SILENT = ("uvicorn.access", "celery.redirected")
"""Addresses hold names and signatures: `api.guard.request_log` tells of requests."""

log = structlog.get_logger(__name__)


def configure_logs(stream: TextIO | None = None) -> None:
    """Called once by a process's entry point; safe to repeat."""
    out = stream or sys.stderr
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
    """`exc_info` as types and places, the cause first."""
    info = event.pop("exc_info", None)
    if info is None or info is False:
        return event
    error = info if isinstance(info, BaseException) else (info[1] if isinstance(info, tuple) else sys.exc_info()[1])
    if error is not None:
        event["exception"] = describe(error)
    return event


def describe(error: BaseException) -> str:
    """The traceback without the error's words, and those of what caused it. Source lines are ours; they quote nobody."""
    parts: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        places = "".join(traceback.format_tb(current.__traceback__))
        parts.append(f"{places}{type(current).__module__}.{type(current).__qualname__}")
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return "\nwhich led to\n".join(reversed(parts))


def _type_of(value: object) -> str:
    """Of a value that JSON does not know: whatever else it could tell may be somebody's."""
    return type(value).__name__


def _template_of_failures(_: object, __: str, event: EventDict) -> EventDict:
    """A library that tells of an exception puts its words into the message: only the message's own text is kept."""
    record: logging.LogRecord = event["_record"]
    if record.exc_info:
        lines = str(record.msg).splitlines()
        event["event"] = lines[0] if lines else ""
    return event


def _take_over(handler: logging.Handler) -> None:
    """Of the standard library's logging, of warnings, and of what ends a process or a thread."""
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
    log.critical("the process ends", action="crashed", exc_info=info)


def _thread_ends(what: threading.ExceptHookArgs) -> None:
    if what.exc_value is not None and what.exc_type is not SystemExit:
        name = what.thread.name.partition(" ")[0] if what.thread else None
        log.critical("a thread ends", action="crashed", thread=name, exc_info=what.exc_value)
