"""The checks of `s2edit doctor`: the parts of this installation, and whether each of them works."""

from __future__ import annotations

import importlib
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cli.checks.findings import Finding
from cli.checks.setting_checks import examine_settings
from cli.checks.store_checks import check_rights
from s2edit_core.base_model.model_files import HubModel, ModelFile, ModelFolder
from s2edit_core.errors import ModelUnusable
from s2edit_core.request.texts import counted
from s2edit_jobs.access.keys import OPEN_TO, KeyRing, open_to
from s2edit_jobs.access.revoked_tokens import CLOCK_SKEW_S
from s2edit_jobs.bootstrap import SHARED_KEYS, Services, build_artifacts, build_services
from s2edit_jobs.data_folder import ignores_case
from s2edit_jobs.records.errors import JobNotFound, JobsError, StoreUnavailable, StoreUnproven
from s2edit_jobs.records.record import Owner
from s2edit_jobs.setting_rules import missing_gpu
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.auxiliary_models import CHECKS, Part, describe_auxiliary_model
from s2edit_jobs.stores.embedded_redis import EmbeddedRedis, EmbeddedRedisError, find_redis_server
from s2edit_jobs.stores.job_store import HOUSEKEEPER
from s2edit_jobs.stores.model_facts import LoadFailure, failure_of, inspect_model
from s2edit_jobs.stores.object_store.filesystem_artifacts import FilesystemArtifactStore
from s2edit_jobs.stores.object_store.presence import ADOPT
from s2edit_jobs.stores.redis_store import ServerUnsupported, server_problems

PROBE = "doctor"
HOUSEKEEPER_LATE_S = 60.0
"""Seconds since the last sign of a housekeeper from which it is called missing."""
LOW_DISK = 1_000_000_000
"""Free bytes below which the disk is reported."""


def examine(settings: Settings) -> Iterator[Finding]:
    """Yield a finding per part. A check that raises yields a broken part, and the next check still runs."""
    checks: tuple[tuple[str, Callable[[Settings], Finding | Iterator[Finding]]], ...] = (
        ("versions", _versions),
        ("settings", lambda _: examine_settings(settings)),
        ("torch", _torch),
        ("redis", _external_redis if settings.redis_url else _embedded_redis),
        *((("clock", _clock), ("housekeeper", _housekeeper)) if settings.redis_url else ()),
        ("store", _external_store if settings.s3_bucket else _embedded_store),
        *((("keys", _keys),) if settings.s3_bucket else ()),
        ("access", _access),
        ("model", examine_model),
        *((part, partial(_adapter, part)) for part in CHECKS),
    )
    for part, check in checks:
        try:
            found = check(settings)
            yield from [found] if isinstance(found, Finding) else found
        except Exception as error:  # a broken installation can raise anything: report it instead of a traceback
            yield Finding(part, "broken", f"{type(error).__name__}: {error}")


def _versions(_settings: Settings) -> Finding:
    if not (3, 11) <= sys.version_info[:2] <= (3, 12):
        return Finding("versions", "broken", f"Python {platform.python_version()}; 3.11 or 3.12 is needed")
    names = ("s2edit", "diffusers", "transformers", "celery", "redis", "fastapi")
    return Finding(
        "versions", "ok", f"Python {platform.python_version()}, " + ", ".join(f"{name} {_version(name)}" for name in names)
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def _torch(settings: Settings) -> Finding:
    torch = importlib.import_module("torch")
    devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    text = f"torch {torch.__version__}, " + (
        f"CUDA: {', '.join(devices)}" if devices else f"CPU, {counted(torch.get_num_threads(), 'thread')}"
    )
    if (problem := missing_gpu(settings.device, len(devices))) is not None:
        return Finding("torch", "broken", f"{text}; {problem}")
    return Finding("torch", "ok", text)


def _embedded_redis(_settings: Settings) -> Finding:
    """Start the embedded Redis in a temporary folder, as `s2edit up` does in the data folder."""
    try:
        server = find_redis_server()
        with tempfile.TemporaryDirectory(prefix="s2edit-doctor-") as folder, EmbeddedRedis(Path(folder)):
            return Finding("redis", "ok", f"embedded: {server} starts and answers")
    except EmbeddedRedisError as error:
        return Finding("redis", "broken", f"embedded: {error}")


def _external_redis(settings: Settings) -> Finding:
    where = f"external: {settings.masked()['redis_url']}"
    try:
        problems = server_problems(str(settings.redis_url))
        _services(settings).store.records.get(Owner(PROBE, PROBE), PROBE)
    except JobNotFound:
        pass
    except ServerUnsupported as error:
        return Finding("redis", "broken", f"{where}: {error}")
    except JobsError as error:
        return Finding("redis", "broken", f"{where} does not answer: {error}")
    if problems:
        return Finding("redis", "note", f"{where} answers, but {'; '.join(problems)}")
    return Finding("redis", "ok", f"{where} answers")


def _clock(settings: Settings) -> Finding:
    """Compare the clocks of this machine and of Redis. Machines whose clocks differ refuse each other's tokens, for example."""
    before = time.time()
    try:
        redis_s = _services(settings).store.tasks.clock()
    except JobsError as error:
        return Finding("clock", "note", f"not compared, because Redis does not answer: {error}")
    ahead_s = max(0.0, before - redis_s) or min(0.0, time.time() - redis_s)  # the call took between 0 and all of that time
    if abs(ahead_s) <= CLOCK_SKEW_S:
        return Finding("clock", "ok", f"within {CLOCK_SKEW_S} s of the clock of Redis")
    direction = "ahead of" if ahead_s > 0 else "behind"
    return Finding("clock", "note", f"{abs(ahead_s):.0f} s {direction} the clock of Redis: synchronise the hosts' clocks (NTP)")


def _housekeeper(settings: Settings) -> Finding:
    """Ask when a housekeeper last worked. `s2edit up` starts one beside an embedded Redis, so only an external one is asked."""
    try:
        age_s = _services(settings).store.tasks.last_alive_s(HOUSEKEEPER)
    except JobsError as error:
        return Finding("housekeeper", "note", f"unknown, because Redis does not answer: {error}")
    if age_s is not None and age_s < HOUSEKEEPER_LATE_S:
        return Finding("housekeeper", "ok", f"one worked {age_s:.0f} s ago")
    last = "none has worked yet" if age_s is None else f"the last one worked {age_s:.0f} s ago"
    return Finding("housekeeper", "note", f"{last}: `s2edit up` starts one, and so does `s2edit housekeeper`")


def _embedded_store(settings: Settings) -> Iterator[Finding]:
    """Check the disk with a store of its own in a temporary folder, so that nothing is left."""
    folder = next(path for path in (settings.artifacts_dir, *settings.artifacts_dir.parents) if path.exists())
    try:
        with tempfile.TemporaryDirectory(prefix=".s2edit-doctor-", dir=folder) as inside:
            store = FilesystemArtifactStore(Path(inside), settings.public_url, PROBE).trusting()
            denied = [finding for finding in check_rights(store, links=False) if finding.verdict != "ok"]
    except OSError as error:
        yield Finding("store", "broken", f"embedded: {folder} can't be written: {error.strerror}")
        return
    if ignores_case(settings.data_dir):
        yield Finding("store", "broken", f"embedded: {settings.data_dir} ignores case, which merges users: see S2EDIT_DATA_DIR")
    elif (settings.artifacts_dir.is_dir() or settings.redis_dir.is_dir()) and (away := _whereabouts(settings)):
        yield Finding("store", "broken", f"embedded: {away}")
    elif (free := shutil.disk_usage(folder).free) < LOW_DISK:
        yield Finding("store", "note", f"embedded: files in {settings.artifacts_dir}; only {free / 1e6:.0f} MB are free")
    else:
        yield Finding("store", "ok", f"embedded: files in {settings.artifacts_dir}")
    yield from denied


def _external_store(settings: Settings) -> Iterator[Finding]:
    """Use every right that the service needs on objects under `probes/`, which are deleted again."""
    where = f"external: {settings.s3_endpoint_url or 'Amazon S3'}, bucket {settings.s3_bucket}"
    store = build_artifacts(settings)
    try:
        store.trusting().exists(PROBE)
    except JobsError as error:
        yield Finding(
            "store", "broken", f"{where} does not answer: {error}; the right to list tells a missing object from a refusal"
        )
    else:
        away = _whereabouts(settings)
        yield Finding("store", "broken" if away else "ok", f"{where}: {away}" if away else f"{where} answers")
    yield from check_rights(store.trusting())


def _services(settings: Settings) -> Services:
    """Build the services without an audit log, whose key may be missing."""
    return build_services(settings.model_copy(update={"audit_log": "off"}))


def _keys(settings: Settings) -> Finding:
    """Check that the keys are set that all processes share."""
    wanted = {"audit.key": settings.audit_key or settings.audit_log == "off", "receipt.key": settings.receipt_key}
    missing = [SHARED_KEYS[name] for name, given in wanted.items() if not given and not (settings.data_dir / name).exists()]
    if missing:
        return Finding("keys", "broken", f"set {' and '.join(missing)}: with a bucket, no key is made for you")
    return Finding("keys", "ok", "those of the audit log and of receipts are set")


def _access(settings: Settings) -> Finding:
    """Say who may call. Without `S2EDIT_AUTH`, that depends on how the API is started."""
    # A check never creates the data folder, nor marks a new store.
    stored = settings.s3_bucket or (settings.artifacts_dir.is_dir() and any(settings.artifacts_dir.iterdir()))
    try:
        ring = KeyRing(build_artifacts(settings)) if stored else None
        people = OPEN_TO.get(settings.auth) if ring is None else open_to(settings.auth, ring)
        has_keys = ring is not None and ring.any_active()
    except JobsError as error:
        return Finding("access", "note", f"unknown, because the store does not answer: {error}")
    if people:
        return Finding(
            "access", "note", f"S2EDIT_AUTH={settings.auth} is open to {people}; the scope admin needs a key all the same"
        )
    if has_keys:
        return Finding("access", "ok", "only callers with a key or a device token")
    if "auth" in settings.model_fields_set:
        return Finding("access", "broken", "no key is active: create one with `s2edit keys create`")
    return Finding(
        "access",
        "note",
        f"no key is active: on a loopback address, `s2edit up` is then open to {OPEN_TO['auto']}; otherwise the API does not start",
    )


def _whereabouts(settings: Settings) -> str | None:
    """Return why the store is not the service's, or None if it is."""
    store = build_artifacts(settings)
    try:
        try:
            store.inspect()
        except StoreUnavailable:
            if not settings.redis_url:  # the embedded Redis is stopped; of an external one the check of Redis reports this
                store.prove()
    except StoreUnproven as error:
        return str(error) if settings.redis_url else f"{error}; {ADOPT}"  # which starts the embedded one
    except JobsError as error:
        return str(error)
    return None


def adopt(settings: Settings) -> str:
    """Make the object store in the settings the service's, and return its id.

    Without a Redis in the settings, this starts the embedded one, so the service must be stopped. Raise `ServiceUnavailable` or
    `EmbeddedRedisError`.
    """
    with ExitStack() as stack:
        if not settings.redis_url:
            redis = stack.enter_context(EmbeddedRedis(settings.redis_dir))
            settings = settings.model_copy(update={"redis_url": redis.url})
        return build_artifacts(settings).adopt()


def examine_model(settings: Settings) -> Finding:
    """Judge the model by its files and by what the last worker reported, without loading it."""
    try:
        found = inspect_model(settings.model)
    except ModelUnusable as error:
        return Finding("model", "broken", str(error))
    path = None if isinstance(found, HubModel) else found.path
    if (failure := _reported_failure(settings)) is not None and failure.part == "model":
        changed = path is not None and _last_change(path) > failure.at
        text = f"{settings.model} looks complete, but the last worker could not load it: {failure.message}"
        if changed:
            return Finding("model", "note", f"{text}; its files have changed since")
        return Finding("model", "broken", text)
    if isinstance(found, HubModel):
        pinned = f"revision {found.revision}" if found.revision else "no revision pinned: write NAME@REVISION to pin one"
        return Finding("model", "note", f"{found.repo} is not a local folder; the worker gets it from the model hub, {pinned}")
    size = sum(file.stat().st_size for file in _weights_of(found)) / 1e6
    kind = "one file" if isinstance(found, ModelFile) else "complete"
    return Finding("model", "ok", f"{found.path} is {kind}, {size:.1f} MB of weights")


def _adapter(part: Part, settings: Settings) -> Finding:
    """Judge the captioner or another additional model in the same way."""
    try:
        text = describe_auxiliary_model(part, settings)
    except ModelUnusable as error:
        return Finding(part, "broken", str(error))
    if (failure := _reported_failure(settings)) is not None and failure.part == part:
        return Finding(part, "broken", f"{text}; the last worker could not load it: {failure.message}")
    return Finding(part, "note" if "model hub" in text else "ok", text)


def _weights_of(found: ModelFolder | ModelFile) -> Iterator[Path]:
    """Yield the weight files that a worker loads."""
    if isinstance(found, ModelFile):
        yield found.path
        return
    for part, weights in found.weights.items():
        stem = weights.name.partition(".")[0]
        yield from (found.path / part).glob(f"{stem}*" if weights.name.endswith(".json") else weights.name)


def _last_change(path: Path) -> float:
    """Return the latest modification time among the model's files."""
    return max(file.stat().st_mtime for file in (path, *path.rglob("*")))


def _reported_failure(settings: Settings) -> LoadFailure | None:
    """Return the load failure that a worker has reported, if any. Never creates the data folder."""
    if not settings.s3_bucket and not settings.artifacts_dir.is_dir():
        return None
    try:
        return failure_of(build_artifacts(settings).trusting(), settings.model)  # a proof would mark a new store
    except JobsError:
        return None  # the check of the store reports this
