"""A file that a user names is written whole, or stays as it was."""

from __future__ import annotations

import ast
import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from s2edit_core.whole_files import write_whole
from tests.pages import ROOT
from tests.small_disk import small_disk

WRITES = {"write_bytes", "write_text", "save_file"}


def test_what_is_written_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "out.png"
    for data in (b"one", b"a longer one", b""):
        write_whole(file, data)
        assert file.read_bytes() == data
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("earlier", [b"earlier", None])
def test_what_fails_half_way_changes_nothing(tmp_path: Path, earlier: bytes | None) -> None:
    file = tmp_path / "out.png"
    if earlier is not None:
        file.write_bytes(earlier)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with small_disk(100), pytest.raises(OSError, match="too large") as refused:
        write_whole(file, b"x" * 1000)
    assert (refused.value.errno, refused.value.filename) == (errno.EFBIG, str(file))
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_whoever_reads_meanwhile_sees_one_whole_file(tmp_path: Path) -> None:
    file, seen, over = tmp_path / "out", set[bytes](), threading.Event()
    texts = {bytes([letter]) * 1_000_000 for letter in b"ab"}
    write_whole(file, b"a" * 1_000_000)

    def read() -> None:
        while not over.is_set():
            seen.add(file.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for letter in b"babababababa":
            write_whole(file, bytes([letter]) * 1_000_000)
    finally:
        over.set()
        reader.join()
    assert seen <= texts


def test_a_new_file_has_the_usual_permissions_and_an_old_one_keeps_its_own(tmp_path: Path) -> None:
    file = tmp_path / "out"
    before = os.umask(0o027)
    try:
        write_whole(file, b"1")
        assert stat.S_IMODE(file.stat().st_mode) == 0o640
        file.chmod(0o606)
        write_whole(file, b"2")
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o606


@pytest.mark.parametrize("may_give", [True, False])
def test_a_file_stays_its_owner_s_where_root_writes_it(tmp_path: Path, may_give: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[int, int]] = []

    def chown(_path: Path, user: int, group: int) -> None:
        given.append((user, group))
        if not may_give:
            raise PermissionError

    monkeypatch.setattr(os, "chown", chown)
    file = tmp_path / "out"
    write_whole(file, b"1")
    assert given == []
    write_whole(file, b"2")
    assert given == [(os.getuid(), os.getgid())]
    assert file.read_bytes() == b"2"


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_stays_a_link(tmp_path: Path, exists: bool) -> None:
    file, link = tmp_path / "folder" / "real.png", tmp_path / "link.png"
    file.parent.mkdir()
    if exists:
        file.write_bytes(b"earlier")
    link.symlink_to(file)
    write_whole(link, b"data")
    assert link.is_symlink()
    assert file.read_bytes() == b"data"
    assert sorted(tmp_path.rglob("*")) == sorted([file.parent, file, link])


def test_a_name_may_be_as_long_as_a_name_may_be(tmp_path: Path) -> None:
    file = tmp_path / ("x" * 251 + ".png")
    write_whole(file, b"data")
    assert file.read_bytes() == b"data"


def test_a_device_and_a_pipe_are_written_to(tmp_path: Path) -> None:
    write_whole("/dev/null", b"data")
    assert not Path("/dev/null").is_file()
    with pytest.raises(OSError, match="No space left") as full:
        write_whole("/dev/full", b"data")
    assert full.value.filename == "/dev/full"
    pipe, got = tmp_path / "pipe", list[bytes]()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    write_whole(pipe, b"data")
    reader.join()
    assert (got, pipe.is_fifo()) == ([b"data"], True)


@pytest.mark.parametrize("reason", [errno.EBUSY, errno.EPERM, errno.EACCES])
def test_a_file_that_cannot_be_replaced_is_written_in_place(tmp_path: Path, reason: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that a container mounts, or one of somebody else in a shared folder."""

    def replace(path: Path, target: Path) -> None:
        raise OSError(reason, os.strerror(reason), str(path), None, str(target))

    monkeypatch.setattr(Path, "replace", replace)
    file = tmp_path / "out"
    with pytest.raises(OSError, match=os.strerror(reason)):
        write_whole(file, b"1")
    assert list(tmp_path.iterdir()) == []
    file.write_bytes(b"a longer one")
    write_whole(file, b"2")
    assert file.read_bytes() == b"2"
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_that_takes_no_new_file_may_hold_one_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "out"
    file.write_bytes(b"earlier")
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path) != tmp_path)
    write_whole(file, b"data")
    assert file.read_bytes() == b"data"


def test_no_command_writes_a_file_in_another_way() -> None:
    """What the commands write goes through `write_whole`."""
    others = []
    for path in sorted(each for folder in ("cli", "s2edit_core") for each in (ROOT / folder).rglob("*.py")):
        calls = (node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
        names = [call.attr if isinstance(call, ast.Attribute) else getattr(call, "id", "") for call in calls]
        others += [(path.relative_to(ROOT).as_posix(), name) for name in names if name in WRITES]
    assert {path for path, _ in others} == {"s2edit_core/whole_files.py"}, others


STREAMED_OR_FOLDERS = {"lab/quality/parts.py", "lab/quality/worlds/editing.py", "lab/training/export.py", "lab/training/trainer.py"}
"""These put folders in place, or write a checkpoint that is too large for a second copy in memory."""


def test_no_lab_command_puts_a_file_in_its_place_in_another_way() -> None:
    found = set()
    for path in sorted((ROOT / "lab").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                moves = ast.unparse(node.func) == "os.replace" or (len(node.args) == 1 and node.func.attr in ("rename", "replace"))
                found |= {path.relative_to(ROOT).as_posix()} if moves else set()
    assert {path for path in found if not path.startswith("lab/storm/faults/")} == STREAMED_OR_FOLDERS
