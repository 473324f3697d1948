"""Memory that a pass frees is kept for the next one, not given back to the system."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from s2edit_core.base_model import freed_memory
from s2edit_core.base_model.model_files import SHIPPED_MODEL
from s2edit_core.unet import backbone

BLOCK, COUNT = 2**24, 8
BLOCKS = f"""
import ctypes, sys, threading
from s2edit_core.base_model.freed_memory import keep_freed_memory
class Info(ctypes.Structure):
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in names.split()]
libc = ctypes.CDLL(None)
libc.mallinfo2.restype, libc.malloc.restype = Info, ctypes.c_void_p
if sys.argv[1] == "kept":
    assert keep_freed_memory()
def work():
    blocks = [ctypes.c_void_p(libc.malloc({BLOCK})) for _ in range({COUNT})]
    used = libc.mallinfo2()
    for block in blocks:
        libc.free(block)
    freed = libc.mallinfo2()
    print(used.arena + used.hblkhd - freed.arena - freed.hblkhd)
if sys.argv[2] == "main":
    work()
else:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
"""


def returned_bytes(how: str, thread: str) -> int:
    """What the system gets back when `COUNT` blocks of `BLOCK` bytes are freed."""
    command = [sys.executable, "-c", BLOCKS, how, thread]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.parametrize("thread", ["main", "other"])
def test_freed_blocks_stay_with_the_process(thread: str) -> None:
    assert returned_bytes("kept", thread) == 0
    assert returned_bytes("default", thread) >= COUNT * BLOCK


def test_without_glibc_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert freed_memory.keep_freed_memory() is False


def test_a_model_on_the_cpu_keeps_freed_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[bool] = []
    monkeypatch.setattr(backbone, "keep_freed_memory", lambda: kept.append(True))
    backbone.Backbone.from_pretrained(str(SHIPPED_MODEL))
    assert kept == [True]
