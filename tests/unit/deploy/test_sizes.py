"""Modules and folders stay small enough to find one's way in them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.unit.deploy.files import ROOT

LINES = 400
MODULES = 15
PLACES = ("s2edit_core", "s2edit_jobs", "api", "worker", "cli", "lab", "tests", "clients/python")
GENERATED = ROOT / "clients" / "python" / "s2edit_client" / "rest"


def modules() -> list[Path]:
    found = [path for place in PLACES for path in (ROOT / place).rglob("*.py") if not path.is_relative_to(GENERATED)]
    assert len(found) > 500
    return found


def test_no_module_is_longer_than_400_lines() -> None:
    lines = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8").count("\n") for path in modules()}
    assert {path: count for path, count in lines.items() if count > LINES} == {}


def test_no_folder_has_more_than_15_modules() -> None:
    """A folder's `__init__.py` is counted, too."""
    counts = Counter(path.parent.relative_to(ROOT).as_posix() for path in modules())
    assert {folder: count for folder, count in counts.items() if count > MODULES} == {}
