"""Choose the exception messages that may be logged, and remove from them whatever could identify a user.

The message of an exception of this project, of json or of PIL may quote a prompt or a file, so it is not logged. Messages of torch,
CUDA, boto3 and redis-py are about devices, servers and shapes. Without them, an operator can't tell a full disk from a lost GPU.
"""

from __future__ import annotations

import os
import re
from types import TracebackType

LIBRARIES = ("torch", "botocore", "boto3", "s3transfer", "urllib3", "redis", "celery", "kombu", "amqp", "billiard", "ssl", "socket")
"""Packages whose exceptions are about devices and servers. Those of transformers may quote a prompt, those of PIL a file."""
DEVICE = re.compile(
    r"\b(?:CUDA|HIP|MPS|XPU|cuBLAS|cuDNN|cuFFT|cuSOLVER|NCCL|Triton)\b|CU(?:BLAS|DNN|SOLVER)_STATUS"
    r"|DefaultCPUAllocator|device-side assert"
)
"""In the messages that torch's C++ raises as plain `RuntimeError`s from any frame."""
MAX_LINES, MAX_CHARACTERS = 3, 500

_SCRUBBED = (
    (
        re.compile(r"\b([a-z][a-z0-9+.-]*://)(?:[^\s/@]*@)?([^\s/?#'\"]*)[^\s'\"]*", re.IGNORECASE),
        r"\1\2/…",
    ),  # URLs: the host alone
    (re.compile(r"\bs2edit:[^\s'\"]+"), "s2edit:…"),  # keys of Redis
    (re.compile(r"\bt/[^\s/'\"]+/u/[^\s'\"]*"), "t/…"),  # keys of the object store
    (re.compile(r"(?<![\w.:])/(?:[^\s/'\":]+/)+([\w.-]+\.(?:cpp|cuh?|h|py|so)\b)"), r"/…/\1"),  # files of source code
    (re.compile(r"(?<![\w.:…])/(?!…)[^\s/'\":]+(?:/[^\s'\":]*)+"), "/…"),  # other paths
    (re.compile(r"(['\"])(?:(?!\1).)*\s(?:(?!\1).)*\1"), r"\1…\1"),  # quoted words
    (re.compile(r"(?i)\b(password|secret|token|credential|signature|authorization)(\W{1,3})\S+"), r"\1\2…"),
)


def message_of(error: BaseException | None) -> str | None:
    """Return the scrubbed message of a library's exception; None for one that may quote a user, and for one without a message."""
    if error is None:
        return None
    if isinstance(error, OSError):  # without the names of files
        text = f"[Errno {error.errno}] {os.strerror(error.errno)}" if isinstance(error.errno, int) else ""
        text = text or (str(error) if _is_of_library(error) else "")
    else:
        text = str(error) if _is_of_library(error) or (isinstance(error, RuntimeError) and DEVICE.search(str(error))) else ""
    return _scrubbed(text) or None


def _is_of_library(error: BaseException) -> bool:
    """Return whether a library's class or code has made the exception."""
    if type(error).__module__.partition(".")[0] in LIBRARIES:
        return True
    return isinstance(error, RuntimeError) and _innermost_package(error.__traceback__) == "torch"


def _innermost_package(trace: TracebackType | None) -> str:
    """Return the package whose code has raised."""
    if trace is None:
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    return str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0]


def _scrubbed(text: str) -> str:
    short = "\n".join(text.strip().splitlines()[:MAX_LINES])[:MAX_CHARACTERS]
    for pattern, replacement in _SCRUBBED:
        short = pattern.sub(replacement, short)
    return short
