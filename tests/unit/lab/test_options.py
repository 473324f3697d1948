"""The options of the commands in `lab/` that test or load the service."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from s2edit_jobs.settings import ROOT

ROOMS = ("fuzz", "load", "rivals", "storm", "mutants.py", "neighbours.py", "service/history.py", "service/overhead.py")


def options_of(room: str) -> Iterator[ast.Call]:
    place = ROOT / "lab" / room
    for path in [place] if place.suffix else sorted(place.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument":
                yield node


@pytest.mark.parametrize("room", ROOMS)
def test_every_option_is_explained(room: str) -> None:
    options = list(options_of(room))
    assert len(options) >= 3
    unexplained = [ast.unparse(option) for option in options if "help" not in {keyword.arg for keyword in option.keywords}]
    assert unexplained == []
