"""Fixtures of all tests: they isolate tests from settings, caches and credentials of the machine."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
import structlog
from pydantic.fields import FieldInfo
from pydantic_settings.sources import EnvSettingsSource
from redis.utils import get_lib_version
from structlog.dev import ConsoleRenderer, plain_traceback

from tests.stores import stop_redis

gc.disable()  # until all tests are collected: garbage collection would take a third of that time


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Take what is loaded by now out of garbage collection, which would look at a million objects, each time for nothing."""
    gc.enable()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def _isolated_environment(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Hide the `S2EDIT_*` variables and AWS credentials of the machine, and the model hub, from tests and their processes."""
    for name in [name for name in os.environ if name.startswith(("S2EDIT_", "AWS_"))]:
        del os.environ[name]
    nowhere: Path = tmp_path_factory.mktemp("nowhere")
    os.environ |= {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_SHARED_CREDENTIALS_FILE": str(nowhere / "credentials"),
        "AWS_CONFIG_FILE": str(nowhere / "config"),
        "HF_HUB_OFFLINE": "1",
        "S2EDIT_AUTH": "open",  # most tests are not about keys; those that are choose a mode, or delete this
        "XDG_DATA_HOME": str(nowhere),
    }


@pytest.fixture(autouse=True, scope="session")
def _redis() -> Iterator[None]:
    """The tests' own Redis, which `tests.stores` starts at first use, ends with them."""
    yield
    stop_redis()


@pytest.fixture(autouse=True, scope="session")
def _fast_io() -> Iterator[None]:
    """Skip slow operations in this process, or do them once. Processes that tests start keep them.

    - `fsync`;
    - structlog's default tracebacks, which format all local variables;
    - redis-py's look at its own version, which parses package metadata for every connection;
    - the certificates that httpx loads for every client (httpx2 is that of FastAPI's `TestClient`): 20 ms;
    - what pydantic-settings finds out about the types of the fields each time that settings are read: 2 ms.
    """
    before = structlog.get_config()
    structlog.configure(processors=[*before["processors"][:-1], ConsoleRenderer(exception_formatter=plain_traceback)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        patch.setattr("redis.utils.get_lib_version", cache(get_lib_version))
        for library in (httpx, httpx2):
            patch.setattr(f"{library.__name__}._transports.default.create_ssl_context", cache(library.create_ssl_context))
        for look in ("_extract_field_info", "_field_is_complex"):
            patch.setattr(EnvSettingsSource, look, once_per_field(getattr(EnvSettingsSource, look)))
        yield
    structlog.configure(**before)


def once_per_field(look: Any) -> Any:
    """Return `look` with a memory. It is a method of a source of settings, and depends only on their class and on the field."""
    seen: dict[tuple[type, int], Any] = {}

    def found(source: EnvSettingsSource, field: FieldInfo, *name: str) -> Any:
        key = (source.settings_cls, id(field))  # a class keeps its fields, so no id is used again
        if key not in seen:
            seen[key] = look(source, field, *name)
        return seen[key]

    return found
