"""Who did what to which edit or identity, when, and how it ended: append-only lines of JSON, without photos and without prompts.

A user stands there under a pseudonym: whoever has the key finds the lines of a user, and nobody else does, also after the user was
erased. Each line holds the digest of the line before it, so that one that was changed or taken out shows (`first_break`).
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
    "identity.import",
    "identity.erase",
    "attribute.learn",
    "attribute.erase",
    "user.erase",
]
"""An edit is any job here, as under `/edits`: also a learning."""
FIRST = "0" * 64
"""What the first line of a file names as the line before it."""
TAIL_BYTES = 4096
"""More than a line has."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line. `what` is the id of an edit, identity or attribute, None for a user as a whole; `outcome` a state or a code."""

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
        """Never raises: that something can't be recorded is told in the log, and stops nobody from erasing."""


class NoAudit:
    """Keeps nothing."""

    def record(self, action: Action, owner: Owner, what: str | None, outcome: str) -> None:  # noqa: ARG002
        return


class MemoryAudit:
    """For tests."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, Owner, str | None, str]] = []

    def record(self, action: Action, owner: Owner, what: str | None, outcome: str) -> None:
        self.lines.append((action, owner, what, outcome))


def pseudonym(key: str, owner: Owner) -> str:
    return hmac.new(key.encode(), owner.prefix.encode(), hashlib.sha256).hexdigest()[:32]


class _Chained:
    def __init__(self, key: str) -> None:
        self._key = key

    def record(self, action: Action, owner: Owner, what: str | None, outcome: str) -> None:
        context = get_contextvars()
        user = pseudonym(self._key, owner)
        ids = (context.get("request_id"), context.get("trace_id"))
        try:
            self._append(asdict(Entry(time.time(), action, owner.tenant, user, what, outcome, *ids)))
        except OSError as error:
            log.error("the audit log can't be written", action="audit_failed", error=error.strerror, audited=action, what=what)

    def _append(self, values: dict[str, Any]) -> None:
        raise NotImplementedError


@dataclass(slots=True)
class _Waiting:
    values: dict[str, Any]
    written: bool = False
    error: Exception | None = None


class FileAuditLog(_Chained):
    """In a file that any number of processes of one machine may share. It is opened at each time, so it may be moved away.

    What comes while another thread writes waits, and is then written by one of those that wait, for all of them at once: each is
    on the disk when its call returns, and the disk is waited for once.
    """

    def __init__(self, path: Path, key: str) -> None:
        super().__init__(key)
        self._path = path
        self._waiting: deque[_Waiting] = deque()
        self._writes = threading.Lock()

    def _append(self, values: dict[str, Any]) -> None:
        own = _Waiting(values)
        self._waiting.append(own)
        with self._writes:
            if not own.written:
                self._write([self._waiting.popleft() for _ in range(len(self._waiting))])
        if own.error is not None:
            raise own.error

    def _write(self, batch: Sequence[_Waiting]) -> None:
        try:
            self._write_lines([one.values for one in batch])
        except Exception as error:  # each of them raises it
            for one in batch:
                one.error = error
        finally:
            for one in batch:
                one.written = True

    def _write_lines(self, entries: Sequence[dict[str, Any]]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            tail = file.read()
            torn = b"" if not tail or tail.endswith(b"\n") else b"\n"  # of a writer that died
            lines = (tail + torn).splitlines()
            known = len(lines)
            for values in entries:
                lines.append(_line(values, lines).rstrip(b"\n"))
            file.write(torn + b"".join(line + b"\n" for line in lines[known:]))
            file.flush()
            os.fsync(file.fileno())


class StreamAuditLog(_Chained):
    """On standard output, for platforms that collect it; a chain for each process."""

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
    previous = hashlib.sha256(before[-1]).hexdigest() if before else FIRST
    return json.dumps({**values, "previous": previous}, ensure_ascii=False).encode() + b"\n"


def first_break(lines: Iterable[bytes]) -> int | None:
    """The number, from 1, of the first line that does not follow the one before it; None for an unbroken chain.

    The last line is vouched for by nobody: keep its digest elsewhere if that matters.
    """
    previous = FIRST
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
