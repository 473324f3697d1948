"""What the README and the contributor's guide promise. `test_pages.py` holds what all pages share."""

from __future__ import annotations

import re

from tests.pages import PAGES, ROOT, shell_of


def test_the_two_commands_come_first() -> None:
    readme, first = PAGES["README.md"], shell_of("README.md")[0]
    assert [line.split("#")[0].split() for line in first.splitlines()] == [["make", "demo"], ["make", "test"]]
    assert readme[: readme.index(first)].count("\n") < 15


def test_what_the_contributors_guide_names_is_where_it_says() -> None:
    """Each `name` in code style that a line puts into a file is a name in that file."""
    guide = re.sub(r"\s+", " ", PAGES["CONTRIBUTING.md"])
    named = re.findall(r"`(\w+)` (?:and its [\w ]+ )?(?:in|of|\() ?`([\w/-]+\.\w+)`", guide)
    assert {"Settings", "SCOPES_OF", "create_app", "guidance_by_preset"} <= {name for name, _ in named}
    for name, path in named:
        assert re.search(rf"\b{name}\b", (ROOT / path).read_text(encoding="utf-8")), (name, path)
