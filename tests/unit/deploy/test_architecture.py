"""ARCHITECTURE.md names each room and what it imports, and the code is so."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.deploy.files import ROOT

PAGE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
ROOMS = PAGE.partition("\n## Rooms\n")[2].partition("\n## ")[0]
PACKAGES = ("s2edit_core", "s2edit_jobs", "api", "worker", "cli", "lab")
IMPORTS = {
    room: set(re.findall(r"`(\w+)`", cells[2]))
    for cells in (line.strip("|").split("|") for line in ROOMS.splitlines() if line.count("|") == 4)
    for room in re.findall(r"`((?:s2edit_core|s2edit_jobs|api|worker)/\w+)/`", cells[0])
}
"""What each room may import of its own package, by the table."""


def folders_of_code() -> set[str]:
    found = {path.parent for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    return {folder.relative_to(ROOT).as_posix() for folder in found}


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_folder_of_code_is_in_the_table_of_rooms() -> None:
    named = {path.rstrip("/") for path in re.findall(r"`([\w/-]+/)`", ROOMS)}
    code = folders_of_code()
    assert len(code) > 30
    assert code <= named
    assert {path for path in named if path.partition("/")[0] in PACKAGES} - {"lab/results"} <= code


@pytest.mark.parametrize("room", IMPORTS)
def test_a_room_imports_no_room_that_its_row_does_not_name(room: str) -> None:
    package = room.partition("/")[0]
    siblings = {other.partition("/")[2] for other in IMPORTS if other.startswith(f"{package}/") and other != room}
    names = [name for path in (ROOT / room).rglob("*.py") for name in imported(path)]
    found = {name.split(".")[1] for name in names if name.startswith(f"{package}.")}
    assert found & siblings <= IMPORTS[room]
    assert IMPORTS[room] <= siblings


def test_the_table_names_the_imports_of_every_room() -> None:
    rooms = {folder for folder in folders_of_code() if folder.count("/") == 1 and not folder.startswith(("lab/", "cli/"))}
    assert rooms == IMPORTS.keys()


def test_names_are_where_the_page_says() -> None:
    """Each `name` that a line puts into a file is a name in that file."""
    named = re.findall(r"`(\w+)` in `([\w/-]+\.\w+)`", PAGE)
    assert {"PRESETS", "SCOPES_OF", "open_segmenter"} <= {name for name, _ in named}
    for name, path in named:
        assert re.search(rf"\b{name}\b", (ROOT / path).read_text(encoding="utf-8")), (name, path)
