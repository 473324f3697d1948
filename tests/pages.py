"""The documentation pages, and the commands and code blocks in them. This is the only list of the pages."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FRONT = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
DOCS = tuple(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))
PAGES = {name: (ROOT / name).read_text(encoding="utf-8") for name in (*FRONT, *DOCS)}
SHELL = ("", "sh", "bash", "console")
"""Languages of code blocks that contain shell commands."""


def blocks(page: str) -> list[tuple[str, str]]:
    """Return the language and the text of each code block of `page`, in order."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", PAGES[page], re.DOTALL | re.MULTILINE)


def shell_of(page: str) -> list[str]:
    """Return the blocks of shell commands."""
    return [text for language, text in blocks(page) if language in SHELL]


def commands_of(page: str) -> Iterator[list[str]]:
    """Yield each command as words, without assignments of variables. Commands inside `$(…)` are yielded separately."""
    for block in shell_of(page):
        text = block.replace("\\\n", " ")
        inner = re.findall(r"\$\(([^()]*)\)", text)
        for line in [*re.sub(r"\$\([^()]*\)", "x", text).splitlines(), *inner]:
            for words in _split(shlex.split(line, comments=True)):
                named = [word for i, word in enumerate(words) if not _assigns(words[: i + 1])]
                if named:
                    yield named


def _split(words: list[str]) -> Iterator[list[str]]:
    """Split a pipe, sequence or loop into commands."""
    found: list[str] = []
    for word in words:
        if word in ("|", ";", "&&", "||"):
            yield found
            found = []
        elif word not in ("while", "do", "done"):
            found.append(word.removesuffix(";"))
        if word.endswith(";") and found:
            yield found
            found = []
    yield found


def _assigns(words: list[str]) -> bool:
    """Return whether all `words` are assignments, as at the start of a command."""
    return all(re.match(r"\w+=", word) for word in words)


@cache
def documented_statuses() -> dict[str, set[int]]:
    """Return the statuses of each code by the guide's table of statuses, and by that of the reasons, all of which are 422."""
    section = PAGES["docs/api.md"].partition("<!-- codes -->")[2]
    table, _, reasons = section.partition("<!-- /codes -->")
    found: dict[str, set[int]] = {}
    for statuses, code in re.findall(r"^\| ([0-9, ]+) \| `([a-z_]+)` \|", table, re.MULTILINE):
        found.setdefault(code, set()).update(int(status) for status in statuses.split(", "))
    for code in re.findall(r"`([a-z]+(?:_[a-z]+)+)`", reasons.partition("<!-- reasons -->")[2].partition("<!-- /reasons -->")[0]):
        found.setdefault(code, set()).add(422)
    return found


def statuses_of(code: str) -> set[int]:
    """Return the statuses that the guide says for a code. Of missing parts, it names the pattern."""
    is_pattern = code.endswith("_missing") and "`NAME_missing`" in PAGES["docs/api.md"]
    return documented_statuses().get(code, {422} if is_pattern else set())
