"""Results as Markdown tables: a table, the formats of its figures, and the command of the modules that write them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cli.markdown import put_between


def decimals(count: int) -> Callable[[float], str]:
    """Return a format with `count` decimals."""
    return lambda value: f"{value:.{count}f}"


def percent(value: float) -> str:
    """Format a share as whole percent, without the sign."""
    return f"{100 * value:.0f}"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: bool = True) -> str:
    """Return a table whose first column has words, and the others figures; with `right` off, words too."""
    lines = [head, ["---", *["---:" if right else "---"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write_tables(render: Callable[[Any], str], *, results: str, mark: str, about: str | None) -> None:
    """Print `render` of a results file, or write it between the marks of `--into`. `about` is the command's help."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path(results))
    parser.add_argument("--into", type=Path, default=None, help="the file that holds the two marks")
    parser.add_argument("--mark", default=mark, help="the name in the marks")
    wanted = parser.parse_args()
    try:
        tables = render(json.loads(wanted.results.read_text(encoding="utf-8")))
    except ValueError as error:
        raise SystemExit(f"{wanted.results}: {error}") from error
    if wanted.into is None:
        print(tables, end="")
    else:
        wanted.into.write_text(put_between(wanted.into.read_text(encoding="utf-8"), tables, wanted.mark), encoding="utf-8")
