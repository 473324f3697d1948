"""A data folder of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.object_store.disks import Disk


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)
