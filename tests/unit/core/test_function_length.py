"""Functions fit a screen. How many branches one may have is ruff's to say (C90 in pyproject.toml)."""

from __future__ import annotations

import ast
from pathlib import Path

import s2edit_core

LINES = 60
SHARE = 0.95


def test_functions_are_short() -> None:
    found = {
        f"{path.name}:{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in Path(s2edit_core.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
    }
    assert len(found) > 200
    long = {name for name, lines in found.items() if lines >= LINES}
    assert len(long) <= (1 - SHARE) * len(found), long
