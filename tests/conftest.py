"""For every test: settings, caches and credentials of the machine it runs on stay out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import structlog
from redis.utils import get_lib_version
from structlog.dev import ConsoleRenderer, plain_traceback

from tests.stores import stop_redis


@pytest.fixture(autouse=True, scope="session")
def _nothing_from_outside(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests and the processes that they start see no `S2EDIT_*` but their own, no cloud account, and no network of models."""
    for name in [name for name in os.environ if name.startswith(("S2EDIT_", "AWS_"))]:
        del os.environ[name]
    nowhere: Path = tmp_path_factory.mktemp("nowhere")
    os.environ |= {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_SHARED_CREDENTIALS_FILE": str(nowhere / "credentials"),
        "AWS_CONFIG_FILE": str(nowhere / "config"),
        "HF_HUB_OFFLINE": "1",
        "XDG_DATA_HOME": str(nowhere),
    }


@pytest.fixture(autouse=True, scope="session")
def _redis() -> Iterator[None]:
    """The tests' own Redis, which `tests.stores` starts at first use, ends with them."""
    yield
    stop_redis()


@pytest.fixture(autouse=True, scope="session")
def _no_vain_waits() -> Iterator[None]:
    """What this process need not wait for: disks, for no test pulls the plug; and tracebacks drawn with every local of every
    frame, as structlog does it where nobody has set it up; and redis-py's own metadata, which it parses for every connection.
    Processes that tests start do all of it.
    """
    kept = structlog.get_config()
    structlog.configure(processors=[*kept["processors"][:-1], ConsoleRenderer(exception_formatter=plain_traceback)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        patch.setattr("redis.utils.get_lib_version", cache(get_lib_version))
        yield
    structlog.configure(**kept)
