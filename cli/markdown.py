"""Generated parts of Markdown pages, which stand between `<!-- NAME -->` and `<!-- /NAME -->`."""

from __future__ import annotations


def marks(name: str) -> tuple[str, str]:
    """Return the two comments around the generated part `name`."""
    return f"<!-- {name} -->", f"<!-- /{name} -->"


def put_between(text: str, content: str, name: str) -> str:
    """Return `text` with `content` between the marks of `name`. Raises `ValueError` unless it has each once, in this order."""
    begin, end = marks(name)
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"the text needs one {begin} and, after it, one {end}")
    before, rest = text.split(begin)
    return f"{before}{begin}\n{content}{end}{rest.split(end)[1]}"
