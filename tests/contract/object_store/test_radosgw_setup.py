"""Without the real S3 server, the tests that need it fail with instructions. They are never skipped."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any

import pytest

from tests.servers import radosgw


@pytest.fixture(autouse=True)
def _missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(radosgw, "_installed", lambda: False)


def test_without_root_the_error_names_the_packages_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(radosgw.RadosgwError, match="apt-get install radosgw ceph-mon ceph-osd"), radosgw.running():
        pass


def test_a_failed_installation_quotes_the_error_of_apt(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = []

    def fail(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 100, "", "E: Unable to locate package radosgw")

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(radosgw.RadosgwError, match="Unable to locate"):
        radosgw.install()
    assert [command[-4:] for command in commands][1] == ["--no-install-recommends", *radosgw.PACKAGES]
