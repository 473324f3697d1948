"""Memory that a pass frees is used by the next one, without new pages from the system."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from s2edit_core.base_model import freed_memory
from s2edit_core.base_model.model_files import SHIPPED_MODEL
from s2edit_core.unet import backbone

BLOCKS = """
import resource, sys, torch
from s2edit_core.base_model.freed_memory import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [torch.ones(2**21) for _ in range(8)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print([faults() for _ in range(6)][-1])
"""
PAGES = 8 * 4 * 2**21 // 4096


def faults(how: str) -> int:
    command = [sys.executable, "-c", BLOCKS, how]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_freed_blocks_are_reused_without_page_faults() -> None:
    assert faults("kept") < PAGES / 100
    assert faults("returned") > PAGES / 2


def test_without_glibc_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert freed_memory.keep_freed_memory() is False


def test_a_model_on_the_cpu_keeps_freed_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[bool] = []
    monkeypatch.setattr(backbone, "keep_freed_memory", lambda: kept.append(True))
    backbone.Backbone.from_pretrained(str(SHIPPED_MODEL))
    assert kept == [True]
