"""For every test: settings, caches and credentials of the machine it runs on stay out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


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
