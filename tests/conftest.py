"""Fixtures of all tests: they isolate tests from settings, caches and credentials of the machine."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import structlog
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
    """Skip slow operations in this process.

    These are `fsync`, structlog's default tracebacks, which format all local variables, and redis-py's look at its own version,
    which parses package metadata for every connection. Processes that tests start keep them.
    """
    before = structlog.get_config()
    structlog.configure(processors=[*before["processors"][:-1], ConsoleRenderer(exception_formatter=plain_traceback)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        patch.setattr("redis.utils.get_lib_version", cache(get_lib_version))
        yield
    structlog.configure(**before)
