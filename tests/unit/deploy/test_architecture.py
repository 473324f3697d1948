"""ARCHITECTURE.md names each room and what it imports, and the code is so."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from s2edit_jobs.library import erasure_markers
from s2edit_jobs.lifecycle import unfinished
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores import model_facts
from tests.unit.deploy.files import ROOT
from worker.engines import s2edit_engine
from worker.housekeeping import breaker, messenger, outgoing, reaper, sweeper

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
    assert {"SCOPES_OF", "open_segmenter"} <= {name for name, _ in named}
    for name, path in named:
        assert re.search(rf"\b{name}\b", (ROOT / path).read_text(encoding="utf-8")), (name, path)


def test_each_question_is_answered_where_the_page_says() -> None:
    """A file of each row defines the row's name."""
    table = PAGE.partition("\n## Where to look\n")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" |") for line in table.splitlines()[3:] if line]
    assert len(rows) > 10
    for question, places, *names in rows:
        files = [ROOT / path for path in re.findall(r"`([\w/-]+\.py)`", places)]
        for name in re.findall(r"`(\w+)`", " ".join(names)):
            assert any(re.search(rf"^((def|class) )?{name}\b", file.read_text(encoding="utf-8"), re.MULTILINE) for file in files), (
                question
            )


def test_the_page_names_the_times_of_the_code() -> None:
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    measured = json.loads((ROOT / "lab" / "results" / "storm.json").read_text(encoding="utf-8"))
    said = (
        f"the lease of {defaults['lease_s']:g} s ends",
        f"renew the lease every {defaults['heartbeat_interval_s']:g} s",
        f"one job kills {('no', 'one', 'two', 'three', 'four')[defaults['max_attempts']]} workers",
        f"after {defaults['pass_timeout_s']:g} s without progress",
        f"the last checkpoint (every {s2edit_engine.CHECKPOINT_STEPS} steps)",
        f"retaken within {math.ceil(measured['restart_s']['max'])} s",
        f"or {math.ceil(measured['restart_in_all_s']['max'])} s if Redis failed too",
        f"missing jobs (every {reaper.PENDING_S:g} s)",
        f"walks `unfinished/` every {reaper.PENDING_S:g} s",
        f"another one takes over after {unfinished.LEASE_S:g} s",
        f"at most {model_facts.CACHE_S + model_facts.ALIVE_S:g} s after the last report of a loaded model",
        f"overwritten every {model_facts.REPORT_S:g} s",
        f"another one, after {messenger.LEASE_S:g} s",
        f"the messenger, after {outgoing.TIMEOUT_S:g} s at most",
        f"rests for {breaker.REST_S:g} s",
        f"{('no', 'one', 'two', 'three')[breaker.FAILURES]} times in a row rests",
        f"{('no', 'one', 'two', 'three', 'four', 'five', 'six')[messenger.AT_ONCE]} messages of a tenant are sent at a time",
        f"valid for {defaults['result_url_ttl_s']} s (`result_url_ttl_s`)",
        f"valid for {defaults['upload_url_ttl_s']} s (`upload_url_ttl_s`)",
        f"the {('no', 'one', 'two', 'three')[defaults['max_attempts']]} that a job has",
        f"{erasure_markers.TAKEOVER_S:g} s after the second deletion (which catches late writes) was due",
        f"every {('none', 'hour', 'two', 'three', 'four', 'five', 'six')[int(sweeper.SWEEP_S // 3600)]} hours",
    )
    assert [words for words in said if words not in PAGE] == []


def test_the_list_in_the_docstring_of_a_room_names_each_of_its_modules() -> None:
    """Rooms whose modules' names say enough have no list."""
    with_list = 0
    for folder in folders_of_code():
        text = (ROOT / folder / "__init__.py").read_text(encoding="utf-8").split('"""')[1]
        listed = {name for names in re.findall(r"^    (\w+(?:, \w+)*) {2,}\S", text, re.MULTILINE) for name in names.split(", ")}
        modules = {path.stem for path in (ROOT / folder).glob("*.py")} | {
            path.parent.name for path in (ROOT / folder).glob("*/__init__.py")
        }
        if listed:
            with_list += 1
            assert listed == modules - {"__init__", "__main__"}, folder
    assert with_list > 20
