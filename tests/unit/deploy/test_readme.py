"""What the README and the contributor's guide promise. `test_pages.py` holds what all pages share."""

from __future__ import annotations

import re

from tests.pages import DOCS, PAGES, ROOT, shell_of

README = PAGES["README.md"]


def test_the_commands_of_a_checkout_come_first() -> None:
    first = shell_of("README.md")[0]
    clone, *makes = [line.split("#")[0].split() for line in first.splitlines()]
    assert clone[:2] == ["git", "clone"]
    assert makes == [["make", "demo"], ["make", "test"]]
    assert README[: README.index(first)].count("\n") < 15


def test_the_first_screen_shows_edits_and_says_what_the_shipped_model_draws() -> None:
    screen = "\n".join(README.splitlines()[:15])
    assert re.search(r"!\[[^\]]+\]\(docs/images/strip\.webp\)", screen)
    assert re.search(r"shipped model draws people, cats and churches.*real photos.*`S2EDIT_MODEL=", screen, re.DOTALL)


def test_the_readme_is_a_front_door() -> None:
    assert len(README.splitlines()) <= 150


def test_the_readme_leads_to_every_page_of_the_documentation() -> None:
    assert set(DOCS) <= set(re.findall(r"\]\(([^)#]+)\)", README))


def test_what_the_contributors_guide_names_is_where_it_says() -> None:
    """Each `name` in code style that a line puts into a file is a name in that file."""
    guide = re.sub(r"\s+", " ", PAGES["CONTRIBUTING.md"])
    named = re.findall(r"`(\w+)` (?:and its [\w ]+ )?(?:in|of|\() ?`([\w/-]+\.\w+)`", guide)
    assert {"Settings", "SCOPES_OF", "create_app", "guidance_by_preset"} <= {name for name, _ in named}
    for name, path in named:
        assert re.search(rf"\b{name}\b", (ROOT / path).read_text(encoding="utf-8")), (name, path)
