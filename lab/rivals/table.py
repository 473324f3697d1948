"""Write the results of `python -m lab.rivals` as Markdown tables.

python -m lab.rivals.table                                    print the tables
python -m lab.rivals.table --into PAGE.md                     write them between `<!-- rivals -->` and `<!-- /rivals -->`
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cli.markdown import put_between
from lab.rivals.probes import FAILED, IGNORED, UNSHAPED

MARK = "rivals"
RESULTS = Path("lab/results/rivals.json")
FAULTS = {
    "lost": "lost",
    "doubled": "doubled",
    "swapped": "swapped between users",
    "mixed_up": "mixed up of one user",
    "unmarked": "without the photo's mark",
    "resized": "of another size",
    "untouched": "without any edit",
    "changed_outside": "changed outside the mask",
}
"""What can be wrong with an answer, as the table names it."""


def faults_of(crowd: Mapping[str, Any]) -> dict[str, int]:
    """Return the faults that occurred, by name."""
    return {name: crowd[name] for name in FAULTS if crowd[name]}


def crowd_table(servers: Mapping[str, Any]) -> str:
    """Return how many answers of each server were wrong in which way, and their times."""
    rows = [["requests, at once", *(f"{one['crowd']['requests']}, {one['crowd']['at_once']}" for one in servers.values())]]
    rows += [[f"answers {words}", *(str(one["crowd"][name]) for one in servers.values())] for name, words in FAULTS.items()]
    rows.append(["seconds, p50 and p99", *(_seconds(one["crowd"]) for one in servers.values())])
    rows.append(["edits per minute", *(f"{one['crowd']['per_minute']:g}" for one in servers.values())])
    return _markdown(["concurrent edits", *servers], rows)


def probe_table(servers: Mapping[str, Any]) -> str:
    """Return how many parameters each server honours, refuses and ignores, and which those are that it ignores."""
    servers = {name: server for name, server in servers.items() if server["probes"]}
    verdicts = ("honoured", "refused", "accepted", UNSHAPED, FAILED, IGNORED)
    rows = [[one, *(str(list(server["probes"].values()).count(one)) for server in servers.values())] for one in verdicts]
    rows.append(["refused as busy after an error", *(str(server["blocked"]) for server in servers.values())])
    rows.append(["ignored or failed", *(_named(server["probes"]) for server in servers.values())])
    return _markdown(["parameters", *servers], rows)


def _named(probes: Mapping[str, str]) -> str:
    return ", ".join(name for name, verdict in probes.items() if verdict in (IGNORED, FAILED)) or "none"


def _seconds(crowd: Mapping[str, Any]) -> str:
    return "–" if crowd["p50_s"] is None else f"{crowd['p50_s']:g}, {crowd['p99_s']:g}"


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def render(results: Mapping[str, Any]) -> str:
    """Return all tables of a results file."""
    return f"{crowd_table(results['servers'])}\n{probe_table(results['servers'])}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--into", type=Path, default=None, help="the file that holds the two marks")
    wanted = parser.parse_args()
    tables = render(json.loads(wanted.results.read_text(encoding="utf-8")))
    if wanted.into is None:
        print(tables, end="")
    else:
        wanted.into.write_text(put_between(wanted.into.read_text(encoding="utf-8"), tables, MARK), encoding="utf-8")


if __name__ == "__main__":
    main()
