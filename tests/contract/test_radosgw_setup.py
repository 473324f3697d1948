"""Where the real S3 server can't be had, the tests that need it fail and say what to do; none is passed over."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any

import pytest

from tests import radosgw


@pytest.fixture(autouse=True)
def _missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(radosgw, "_installed", lambda: False)


def test_without_root_it_says_what_root_has_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(radosgw.RadosgwError, match="apt-get install radosgw ceph-mon ceph-osd"), radosgw.running():
        pass


def test_an_installation_that_fails_is_told_in_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fail(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        return subprocess.CompletedProcess(command, 100, "", "E: Unable to locate package radosgw")

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(radosgw.RadosgwError, match="Unable to locate"):
        radosgw.install()
    assert [command[-4:] for command in asked][1] == ["--no-install-recommends", *radosgw.PACKAGES]
