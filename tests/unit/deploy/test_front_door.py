"""README.md stays a front door: short, with a picture first, and plain about what the shipped model draws."""

from __future__ import annotations

import re

from tests.unit.deploy.files import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
SCREEN = "\n".join(README.splitlines()[:20])


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= 150


def test_the_first_screen_shows_edits_and_the_two_commands() -> None:
    assert re.search(r"!\[[^\]]+\]\(docs/images/strip\.webp\)", SCREEN)
    assert SCREEN.index("strip.webp") < SCREEN.index("\nmake demo ") < SCREEN.index("\nmake test ")


def test_the_first_screen_says_what_the_shipped_model_draws_and_what_real_photos_need() -> None:
    assert re.search(r"shipped model draws people, cats and churches.*real photos.*`S2EDIT_MODEL`", SCREEN, re.DOTALL)


def test_every_page_of_the_documentation_is_linked() -> None:
    pages = {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")}
    assert len(pages) == 12
    assert pages <= set(re.findall(r"\]\(([^)]+)\)", README))
