"""Memory that a pass frees is kept for the next one, not given back to the system."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from s2edit_core.base_model import freed_memory
from s2edit_core.base_model.model_files import SHIPPED_MODEL
from s2edit_core.unet import backbone

BLOCK = 2**24
BLOCKS = f"""
import ctypes, sys
from s2edit_core.base_model.freed_memory import keep_freed_memory
class Info(ctypes.Structure):
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in names.split()]
libc = ctypes.CDLL(None)
libc.mallinfo2.restype, libc.malloc.restype = Info, ctypes.c_void_p
if sys.argv[1] == "kept":
    assert keep_freed_memory()
block = ctypes.c_void_p(libc.malloc({BLOCK}))
used = libc.mallinfo2()
libc.free(block)
freed = libc.mallinfo2()
print(used.arena + used.hblkhd - freed.arena - freed.hblkhd)
"""


def returned_bytes(how: str) -> int:
    """What the system gets back when a block of `BLOCK` bytes is freed."""
    command = [sys.executable, "-c", BLOCKS, how]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_freed_blocks_stay_with_the_process() -> None:
    assert returned_bytes("kept") == 0
    assert returned_bytes("default") >= BLOCK


def test_without_glibc_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert freed_memory.keep_freed_memory() is False


def test_a_model_on_the_cpu_keeps_freed_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[bool] = []
    monkeypatch.setattr(backbone, "keep_freed_memory", lambda: kept.append(True))
    backbone.Backbone.from_pretrained(str(SHIPPED_MODEL))
    assert kept == [True]
