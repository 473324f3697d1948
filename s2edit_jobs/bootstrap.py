"""Build the services that the API and the workers share from the settings."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from s2edit_jobs.access.audit import AuditLog, FileAuditLog, NoAudit, StreamAuditLog
from s2edit_jobs.access.policy import SHIPPED_LIST, AllOf, BlockList, Policy, build_checker
from s2edit_jobs.data_folder import ignores_case, make_private
from s2edit_jobs.records.errors import ArtifactsUnavailable, StoreUnavailable
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.artifacts import ArtifactStore
from s2edit_jobs.stores.job_store import JobStore
from s2edit_jobs.stores.model_facts import ModelWatch
from s2edit_jobs.stores.object_store.layout import LayoutWatch
from s2edit_jobs.stores.object_store.presence import NoMemory, StoreMemory
from s2edit_jobs.stores.object_store.write_probe import WriteProbe
from s2edit_jobs.stores.queue import JobQueue
from s2edit_jobs.stores.stored_bytes import Booking

if TYPE_CHECKING:
    from s2edit_jobs.stores.object_store.filesystem_artifacts import FilesystemArtifactStore
    from s2edit_jobs.stores.object_store.s3_artifacts import S3ArtifactStore

log = structlog.get_logger(__name__)


class NotConfigured(RuntimeError):
    """A setting that this process needs is missing. The message names it."""


def _shipped_policy() -> Policy:
    return BlockList.read(SHIPPED_LIST)


@dataclass(frozen=True, slots=True)
class Services:
    """The ports and helpers that the API and the workers share."""

    artifacts: ArtifactStore
    store: JobStore
    queue: JobQueue
    settings: Settings
    policy: Policy = field(default_factory=_shipped_policy)
    audit: AuditLog = field(default_factory=NoAudit)
    watch: ModelWatch = field(default_factory=ModelWatch)
    layout: LayoutWatch = field(default_factory=LayoutWatch)
    write_probe: WriteProbe = field(default_factory=WriteProbe)


def check_data_folder(settings: Settings) -> None:
    """Close the data folder to others. Raise `NotConfigured` if it can hold no objects."""
    make_private(settings.data_dir)
    if not settings.s3_bucket and ignores_case(settings.data_dir):
        raise NotConfigured(
            f"the file system of {settings.data_dir} does not tell capitals from small letters, so the users Ann and ann would be "
            "one: set S2EDIT_DATA_DIR to a folder on a case-sensitive volume, or use a bucket"
        )


def build_services(
    settings: Settings | None = None,
    *,
    artifacts: ArtifactStore | None = None,
    store: JobStore | None = None,
    queue: JobQueue | None = None,
) -> Services:
    """Build the services. Each argument replaces the one that the settings describe.

    Raise `NotConfigured` if a setting that all processes need is missing or unusable. This opens no connection. A store that is
    down raises in the first call that uses it.
    """
    settings = settings or Settings()
    if artifacts is None:
        check_data_folder(settings)
    store = store or _build_store(settings)
    return Services(
        artifacts=artifacts or _booked_artifacts(settings, store),
        store=store,
        queue=queue or _build_queue(settings),
        settings=settings,
        policy=open_policy(settings),
        audit=_build_audit(settings),
    )


def _booked_artifacts(settings: Settings, store: JobStore) -> ArtifactStore:
    """Return the store of the settings. If a tenant's storage is bounded, it books what it writes."""
    artifacts = build_artifacts(settings)
    if settings.max_stored_bytes_per_tenant:
        artifacts.on_put = Booking(store.usage)
    return artifacts


def build_artifacts(settings: Settings) -> FilesystemArtifactStore | S3ArtifactStore:
    """Return the S3 store if a bucket is set, otherwise the store in the data folder, which needs its key only to sign URLs."""
    if settings.s3_bucket:
        from s2edit_jobs.stores.object_store.s3_artifacts import S3ArtifactStore  # boto3 takes half a second to load

        return S3ArtifactStore.from_settings(settings, _memory(settings))
    return _data_folder(settings)


def _data_folder(settings: Settings) -> FilesystemArtifactStore:
    from s2edit_jobs.stores.object_store.filesystem_artifacts import FilesystemArtifactStore

    memory = _memory(settings) if settings.redis_url else _embedded_memory(settings)
    return FilesystemArtifactStore(settings.artifacts_dir, settings.public_url, partial(_signing_key, settings), memory=memory)


def _memory(settings: Settings) -> StoreMemory:
    if not settings.redis_url:
        return NoMemory()
    from s2edit_jobs.stores.redis_store.object_store_id import RedisStoreMemory

    return RedisStoreMemory(_redis_url(settings))


def _embedded_memory(settings: Settings) -> StoreMemory:
    """Return the memory of the embedded Redis, for commands beside `s2edit up`.

    Even while it is stopped, its folder shows that the store is not new.
    """
    if not settings.redis_dir.exists():
        return NoMemory()
    from s2edit_jobs.stores.embedded_redis import EmbeddedRedis
    from s2edit_jobs.stores.redis_store.object_store_id import RedisStoreMemory

    return RedisStoreMemory(EmbeddedRedis(settings.redis_dir).url)


def _build_audit(settings: Settings) -> AuditLog:
    if settings.audit_log == "off":
        return NoAudit()
    key = settings.audit_key.get_secret_value() if settings.audit_key else service_key(settings, "audit.key")
    if settings.audit_log == "-":
        return StreamAuditLog(key)
    check_audit_log(settings)
    return FileAuditLog(Path(settings.audit_log or settings.data_dir / "audit.jsonl"), key)


def check_audit_log(settings: Settings) -> None:
    """Raise `NotConfigured` if the audit log can't be written. Only the data folder is made where it is missing."""
    if settings.audit_log in (None, "-", "off"):
        return
    file = Path(settings.audit_log).absolute()
    if file.is_dir():
        raise NotConfigured(f"S2EDIT_AUDIT_LOG: {file} is a folder: name a file in it, such as {file / 'audit.jsonl'}")
    if not file.parent.is_dir() and settings.data_dir not in file.parents:
        raise NotConfigured(f"S2EDIT_AUDIT_LOG: the folder {file.parent} does not exist: create it, or name a file in another")
    if file.parent.is_dir() and not os.access(file if file.exists() else file.parent, os.W_OK):
        raise NotConfigured(f"S2EDIT_AUDIT_LOG: {file} can't be written: give the service's user the right to write it")


def open_policy(settings: Settings) -> Policy:
    """Return the block list and the operator's own checker. Raise `NotConfigured` if one can't be used."""
    path = settings.policy_block_list or SHIPPED_LIST
    try:
        block_list = BlockList.read(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        text = f"S2EDIT_POLICY_BLOCK_LIST: {path} can't be read ({reason}): name a text file of terms"
        raise NotConfigured(text) from error
    try:
        checker = build_checker(settings)
    except Exception as error:  # the operator's code may raise anything
        what = f"{settings.policy_checker} can't be used ({type(error).__name__}: {error})"
        raise NotConfigured(f"S2EDIT_POLICY_CHECKER: {what}: name a module on PYTHONPATH and a factory in it") from error
    return block_list if checker is None else AllOf([block_list, checker])


def _build_store(settings: Settings) -> JobStore:
    from s2edit_jobs.stores.redis_store import redis_job_store

    return redis_job_store(_redis_url(settings))


def _build_queue(settings: Settings) -> JobQueue:
    from s2edit_jobs.stores.celery_queue import CeleryQueue

    return CeleryQueue(_redis_url(settings))


def _redis_url(settings: Settings) -> str:
    if not settings.redis_url:
        raise NotConfigured("Redis is not configured: set S2EDIT_REDIS_URL, or start all parts with `s2edit up`")
    return settings.redis_url


def check_redis(settings: Settings) -> None:
    """Log what may lose queued jobs in the Redis of the settings. Raise `NotConfigured` if the service cannot run on it.

    Call this when a process starts. A Redis that is down is no reason to wait: it is used when it is back.
    """
    from s2edit_jobs.stores.redis_store import ServerUnsupported, server_problems

    try:
        with contextlib.suppress(StoreUnavailable):  # whoever uses it will say so
            for problem in server_problems(_redis_url(settings)):
                log.warning("a setting of Redis may lose or delay jobs", action="redis_problem", problem=problem)
    except ServerUnsupported as error:
        raise NotConfigured(str(error)) from error


def _signing_key(settings: Settings) -> str:
    if settings.signing_key:
        return settings.signing_key.get_secret_value()
    return service_key(settings, "signing.key")


SHARED_KEYS: Final = {"audit.key": "S2EDIT_AUDIT_KEY", "receipt.key": "S2EDIT_RECEIPT_KEY"}
"""Keys that must be the same in every process and after every start, by file, and their settings."""
REMOVED: Final = {
    "signing.key": "every signed link that was given out then ends",
    "token.key": "every device token that was issued then ends",
    "audit.key": "users then get other pseudonyms in the audit log",
    "receipt.key": "the receipts signed so far can then be verified with a saved public key only",
    "provenance-development.pem": "results then carry another development certificate",
}
"""What it costs to remove a key, by file."""


def _random_key() -> str:
    return secrets.token_urlsafe(32)


def _check_random(key: str) -> None:
    if not key:
        raise ValueError("it is empty")
    if not re.fullmatch("[!-~]{32,}", key):
        raise ValueError("it is not one line of 32 or more characters of ASCII")


def service_key(
    settings: Settings, name: str, make: Callable[[], str] = _random_key, check: Callable[[str], object] = _check_random
) -> str:
    """Return the key that is stored under `name` in the data folder, creating it on first use.

    Raise `ArtifactsUnavailable` if the folder is away. A key that was made in its place would not be the service's. Raise
    `NotConfigured` if all processes must share the key and a bucket is set: then they need not share a folder.
    """
    path = settings.data_dir / name
    if settings.s3_bucket and name in SHARED_KEYS and not path.exists():
        raise NotConfigured(f"set {SHARED_KEYS[name]}: with a bucket, each process would otherwise make a key of its own")
    if not path.exists() and not settings.s3_bucket:
        with contextlib.suppress(StoreUnavailable):
            _data_folder(settings).inspect()
    return kept_key(path, make, check)


def kept_key(path: Path, make: Callable[[], str] = _random_key, check: Callable[[str], object] = _check_random) -> str:
    """Return the key stored in `path`, creating it with `make` on first use.

    Only the file's owner can read it. Processes that start at the same time all return the same key. Raise `NotConfigured` if the
    file can't be read, or if `check` raises `ValueError` for its content. Raise `ArtifactsUnavailable` if it can't be made.
    """
    if not os.path.lexists(path):
        try:
            _write_key(path, make())
        except OSError as error:
            raise ArtifactsUnavailable(f"the key {path} can't be made: {error.strerror}") from None
    return read_key(path, check)


def read_key(path: Path, check: Callable[[str], object] = _check_random) -> str:
    """Return the key stored in `path`. Raise `NotConfigured` if it can't be read or used: an empty key would let anybody sign."""
    try:
        key = path.read_text(encoding="utf-8").strip()
        check(key)
    except PermissionError as error:
        raise NotConfigured(f"the key {path} can't be read: give the service's user the right to read it") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text" if isinstance(error, UnicodeError) else error
        cost = f" ({cost})" if (cost := REMOVED.get(path.name)) else ""
        remedy = f"restore it from a backup, or remove it, and the service makes another{cost}"
        raise NotConfigured(f"the key {path} is damaged ({reason}): {remedy}") from error
    return key


def check_kept_keys(settings: Settings) -> None:
    """Raise `NotConfigured` if a random key that the service has made and uses is damaged. Nothing is written."""
    used = {
        "signing.key": not (settings.signing_key or settings.s3_bucket),
        "token.key": not (settings.token_keys or settings.s3_bucket),
        "audit.key": not (settings.audit_key or settings.audit_log == "off"),
    }
    for name in (name for name, is_used in used.items() if is_used):
        if os.path.lexists(settings.data_dir / name):
            read_key(settings.data_dir / name)


def _write_key(path: Path, key: str) -> None:
    """Write a complete file under a name that is free, and sync it. Do nothing if another process was first."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".signing-") as file:  # mode 0600
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(file.name, path)
