"""The audit log: append-only JSON lines that record who did what to which edit or identity, when, and with which outcome.

Lines contain no photos and no prompts. Each user appears under a pseudonym. The operator, who has its key, can find a user's
lines, even after the user was erased. Each line holds the SHA-256 of the previous line, so `first_break` detects a changed or
removed line.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TextIO

import structlog
from structlog.contextvars import get_contextvars

from s2edit_jobs.records.record import Owner

log = structlog.get_logger(__name__)

Action = Literal[
    "edit.accept",
    "edit.refuse",
    "edit.cancel",
    "edit.end",
    "edit.erase",
    "identity.learn",
    "identity.consent",
    "identity.import",
    "identity.erase",
    "attribute.learn",
    "attribute.erase",
    "upload.erase",
    "user.erase",
]
"""The audited actions. As under `/edits`, "edit" covers every kind of job, learning included. `identity.consent`
is a statement that was added to a learned identity.
"""
NO_PREVIOUS = "0" * 64
"""Value of `previous` in the first line of a file."""
TAIL_BYTES = 4096
"""Bytes read from the end of the file to find its last line. No line is longer."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line, except for its `previous`.

    `what` is the id of an edit, identity, attribute or upload, or None when the action covers the whole user. `outcome` is a job
    state, an error code or a similar short word.
    """

    at: float  # seconds since the epoch
    action: Action
    tenant: str
    user: str  # the pseudonym
    what: str | None
    outcome: str
    request_id: str | None
    trace_id: str | None


class AuditLog(Protocol):
    def record(self, action: Action, owner: Owner, what: str | None, outcome: str) -> None:
        """Append one line. Never raise: a failure is logged, because it must not block an erasure."""


class NoAudit:
    """An audit log that discards every line."""

    def record(self, action: Action, owner: Owner, what: str | None, outcome: str) -> None:  # noqa: ARG002
        return


class MemoryAudit:
    """An audit log in memory, for tests."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, Owner, str | None, str]] = []

    def record(self, action: Action, owner: Owner, what: str | None, outcome: str) -> None:
        self.lines.append((action, owner, what, outcome))


def pseudonym(key: str, owner: Owner) -> str:
    """Return the user's pseudonym: 32 hexadecimal digits of HMAC-SHA-256 over the owner's key prefix."""
    return hmac.new(key.encode(), owner.prefix.encode(), hashlib.sha256).hexdigest()[:32]


class _ChainedLog:
    """Base of the logs whose lines form a hash chain. Subclasses write the line in `_append`."""

    def __init__(self, key: str) -> None:
        self._key = key

    def record(self, action: Action, owner: Owner, what: str | None, outcome: str) -> None:
        context = get_contextvars()
        user = pseudonym(self._key, owner)
        ids = (context.get("request_id"), context.get("trace_id"))
        try:
            self._append(asdict(Entry(time.time(), action, owner.tenant, user, what, outcome, *ids)))
        except (OSError, ValueError) as error:  # ValueError: a stream that is closed, or whose encoding lacks a character
            reason = error.strerror if isinstance(error, OSError) else type(error).__name__
            log.error("cannot write the audit log", action="audit_failed", error=reason, audited=action, what=what)

    def _append(self, values: dict[str, Any]) -> None:
        raise NotImplementedError


@dataclass(slots=True)
class _PendingEntry:
    values: dict[str, Any]
    written: bool = False
    error: Exception | None = None


class FileAuditLog(_ChainedLog):
    """An audit log in a file. Any number of processes on one machine may share the file.

    Each write opens the file again, so log rotation may move it away. Concurrent threads write in groups: one of the waiting
    threads writes all pending lines and calls `fsync` once. Each line is on disk when its `record` returns.
    """

    def __init__(self, path: Path, key: str) -> None:
        super().__init__(key)
        self._path = path
        self._pending: deque[_PendingEntry] = deque()
        self._write_lock = threading.Lock()

    def _append(self, values: dict[str, Any]) -> None:
        own = _PendingEntry(values)
        self._pending.append(own)
        with self._write_lock:
            if not own.written:
                self._write([self._pending.popleft() for _ in range(len(self._pending))])
        if own.error is not None:
            raise own.error

    def _write(self, batch: Sequence[_PendingEntry]) -> None:
        try:
            self._write_lines([one.values for one in batch])
        except Exception as error:  # every waiting thread raises it
            for one in batch:
                one.error = error
        finally:
            for one in batch:
                one.written = True

    def _write_lines(self, entries: Sequence[dict[str, Any]]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            tail = file.read()
            # A writer that died may have left an incomplete line: end it.
            separator = b"" if not tail or tail.endswith(b"\n") else b"\n"
            lines = (tail + separator).splitlines()
            known = len(lines)
            for values in entries:
                lines.append(_line(values, lines).rstrip(b"\n"))
            try:
                rest = memoryview(separator + b"".join(line + b"\n" for line in lines[known:]))
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, size)  # half a line would break the chain
                raise


class StreamAuditLog(_ChainedLog):
    """An audit log on standard output, for platforms that collect it. Each process has its own chain."""

    def __init__(self, key: str, stream: TextIO | None = None) -> None:
        super().__init__(key)
        self._stream = stream or sys.stdout
        self._lock = threading.Lock()
        self._last: list[bytes] = []

    def _append(self, values: dict[str, Any]) -> None:
        with self._lock:
            line = _line(values, self._last)
            self._last = line.splitlines()
            self._stream.write(line.decode())
            self._stream.flush()


def _line(values: dict[str, Any], before: list[bytes]) -> bytes:
    previous = hashlib.sha256(before[-1]).hexdigest() if before else NO_PREVIOUS
    return json.dumps({**values, "previous": previous}, ensure_ascii=False).encode() + b"\n"


def first_break(lines: Iterable[bytes]) -> int | None:
    """Return the number (from 1) of the first line that does not match the line before it, or None if the chain is intact.

    The chain cannot protect the last line. To detect its removal, keep its digest elsewhere.
    """
    previous = NO_PREVIOUS
    for number, line in enumerate(lines, 1):
        whole = line.rstrip(b"\n")
        try:
            named = json.loads(whole)["previous"]
        except (ValueError, KeyError, TypeError):
            return number
        if named != previous:
            return number
        previous = hashlib.sha256(whole).hexdigest()
    return None
