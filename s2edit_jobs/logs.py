"""How every process writes its log: one JSON object a line, on standard error. Local variables (photos, prompts, keys) stay out."""

from __future__ import annotations

import sys

import structlog


def configure_logs() -> None:
    """Called once by a process's entry point."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,  # a plain traceback; structlog's default one shows local variables
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
