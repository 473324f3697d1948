"""Write the results of `python -m lab.load` as Markdown tables.

python -m lab.load.table                                     print the tables
python -m lab.load.table --into PAGE.md                      write them between `<!-- load -->` and `<!-- /load -->`
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cli.markdown import put_between
from lab.load.events import DELIVERY, QUEUE
from lab.load.run import OUT
from lab.speed.record import DONE

MARK = "load"
PHASES = (QUEUE, "preparing", "learning", "inverting", "editing", DELIVERY)
Result = Mapping[str, Any]


def render(results: Result) -> str:
    """Return all tables of a results file, with what was measured."""
    about, machine = results["about"], results["about"]["machine"]
    done = {name: entry["result"] for name, entry in results["phases"].items() if entry["state"] == DONE}
    loads = ", ".join(f"{each['load_average']['before']:.1f}" for each in done.values())
    notes = (
        f"Preset `{about['preset']}`, {machine['cores']} cores, torch's threads: {about['threads']}. Load average before each "
        f"column: {loads}."
    )
    return "\n".join([f"{notes}\n", edits_table(done), api_table(done)])


def edits_table(done: Mapping[str, Result]) -> str:
    """Return edits a minute, seconds by phase, and what a flood costs a single user, by column of `done`."""
    rows = [["edits a minute", *(f"{each['crowd']['edits_per_minute']:.3g}" for each in done.values())]]
    for kind, title in (("first", "first edit"), ("further", "further edit")):
        crowds = [each["crowd"][kind] for each in done.values()]
        rows.append([f"{title}, s: median · p99", *(_pair(each["total_s"]) for each in crowds)])
        shown = [phase for phase in PHASES if any(phase in each["phases_s"] for each in crowds)]
        rows += [[f"– {phase}", *(_pair(each["phases_s"].get(phase, {})) for each in crowds)] for phase in shown]
    fair = [each["fairness"] for each in done.values()]
    rows.append(["single user's further edit alone, s", *(_pair(each["alone"]["total_s"]) for each in fair)])
    rows.append(["the same beside a flood of first edits, s", *(_pair(each["beside_a_flood"]["total_s"]) for each in fair)])
    rows.append(["– of it in the queue, s", *(_pair(each["beside_a_flood"]["phases_s"].get(QUEUE, {})) for each in fair)])
    return _markdown(["engine / edits at a time", *done], rows)


def api_table(done: Mapping[str, Result]) -> str:
    """Return the milliseconds of the crowd's requests by route."""
    routes = sorted({route for each in done.values() for route in each["crowd"]["api_ms"]})
    rows = [[f"`{route}`", *(_pair(each["crowd"]["api_ms"].get(route, {})) for each in done.values())] for route in routes]
    return _markdown(["ms: median · p99", *done], rows)


def _pair(found: Result) -> str:
    return f"{found['p50']:.3g} · {found['p99']:.3g}" if found.get("count") else "–"


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=OUT)
    parser.add_argument("--into", type=Path, default=None, help="the file that holds the two marks")
    wanted = parser.parse_args()
    tables = render(json.loads(wanted.results.read_text(encoding="utf-8")))
    if wanted.into is None:
        print(tables, end="")
    else:
        wanted.into.write_text(put_between(wanted.into.read_text(encoding="utf-8"), tables, MARK), encoding="utf-8")


if __name__ == "__main__":
    main()
