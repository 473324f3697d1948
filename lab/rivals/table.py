"""Write the results of `python -m lab.rivals` as Markdown tables.

python -m lab.rivals.table                                    print the tables
python -m lab.rivals.table --into PAGE.md                     write them between `<!-- rivals -->` and `<!-- /rivals -->`
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.rivals.probes import FAILED, IGNORED, UNSHAPED
from lab.tables import markdown, write_tables

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
    return markdown(["concurrent edits", *servers], rows)


def probe_table(servers: Mapping[str, Any]) -> str:
    """Return how many parameters each server honours, refuses and ignores, and which those are that it ignores."""
    servers = {name: server for name, server in servers.items() if server["probes"]}
    verdicts = ("honoured", "refused", "accepted", UNSHAPED, FAILED, IGNORED)
    rows = [[one, *(str(list(server["probes"].values()).count(one)) for server in servers.values())] for one in verdicts]
    rows.append(["refused as busy after an error", *(str(server["blocked"]) for server in servers.values())])
    rows.append(["ignored or failed", *(_named(server["probes"]) for server in servers.values())])
    return markdown(["parameters", *servers], rows)


def _named(probes: Mapping[str, str]) -> str:
    return ", ".join(name for name, verdict in probes.items() if verdict in (IGNORED, FAILED)) or "none"


def _seconds(crowd: Mapping[str, Any]) -> str:
    return "–" if crowd["p50_s"] is None else f"{crowd['p50_s']:g}, {crowd['p99_s']:g}"


def render(results: Mapping[str, Any]) -> str:
    """Return all tables of a results file."""
    return f"{crowd_table(results['servers'])}\n\n{probe_table(results['servers'])}\n"


def main() -> None:
    write_tables(render, results=str(RESULTS), mark=MARK, about=__doc__)


if __name__ == "__main__":
    main()
