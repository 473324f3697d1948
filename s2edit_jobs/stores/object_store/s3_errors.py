"""What the errors of boto3 mean for the object store."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from s2edit_jobs.records.errors import (
    ArtifactExists,
    ArtifactMissing,
    ArtifactsUnavailable,
    DeletionRefused,
    RecordDamaged,
)

log = structlog.get_logger(__name__)

MISSING = frozenset({"NoSuchKey", "NotFound", "404"})
TAKEN = frozenset({"PreconditionFailed", "412"})
RACING = frozenset({"ConditionalRequestConflict"})
"""Amazon's answer while another conditional write of the same key is in progress. A repeated request shows which write won."""
DOWN = frozenset({"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "500", "502", "503", "504"})
ARCHIVED = frozenset({"InvalidObjectState"})
"""A lifecycle rule has moved this one object to an archive."""
DENIED = frozenset({"AccessDenied", "AllAccessDisabled", "MethodNotAllowed", "InvalidRequest", "ObjectLocked"})
"""Answers to a deletion that a repetition does not change: a missing right, MFA delete, or a lock on the object."""
UNVERSIONED = frozenset({"NotImplemented", "MethodNotAllowed", "VersioningNotConfigured"})
"""Answers to GetBucketVersioning of servers without versioning. Others, such as AccessDenied, say nothing about versions."""
UNVERSIONED_STATUS = frozenset({405, 501})
LOGGED_EVERY_S = 30.0

_logged: dict[str, float] = {}


def code_of(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")


def is_unversioned(error: ClientError) -> bool:
    """Whether this answer to GetBucketVersioning means that the server keeps no versions."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return code_of(error) in UNVERSIONED or status in UNVERSIONED_STATUS


@contextmanager
def translated(key: str) -> Iterator[None]:
    """Convert boto3's errors into those of the port.

    An error of the configuration (no such bucket, a missing right, expired credentials, a wrong clock) concerns every object. It is
    unavailability for the callers, which repeat, and an error in the log for the operator.
    """
    try:
        yield
    except ClientError as error:
        code = code_of(error)
        if code in MISSING:
            raise ArtifactMissing(key) from None
        if code in TAKEN:
            raise ArtifactExists(key) from None
        if code in ARCHIVED:
            raise RecordDamaged(f"{key} was moved to an archive by a lifecycle rule") from error
        if code in DOWN | RACING:
            raise ArtifactsUnavailable(f"the object store does not answer: {code}") from error
        _log(code, error.operation_name)
        raise ArtifactsUnavailable(f"the object store refuses {error.operation_name}: {code}") from error
    except BotoCoreError as error:
        raise ArtifactsUnavailable(f"the object store does not answer: {type(error).__name__}") from error


@contextmanager
def deleting() -> Iterator[None]:
    """Raise `DeletionRefused` if the store permits no deletion. Other errors pass."""
    try:
        yield
    except ClientError as error:
        if code_of(error) in DENIED:
            _log(code_of(error), error.operation_name)
            raise DeletionRefused(f"the object store refuses {error.operation_name}: {code_of(error)}") from error
        raise


def _log(code: str, operation: str) -> None:
    """Log a refusal, but not each of thousands."""
    now, name = time.monotonic(), f"{operation} {code}"
    if now - _logged.get(name, float("-inf")) > LOGGED_EVERY_S:
        _logged[name] = now
        log.error(
            "the object store refuses a request: `s2edit doctor` checks all rights",
            action="store_refused",
            operation=operation,
            code=code,
        )
