"""Write the results of `python -m lab.load` as Markdown tables.

python -m lab.load.table                                     print the tables
python -m lab.load.table --into PAGE.md                      write them between `<!-- load -->` and `<!-- /load -->`
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.load.events import DELIVERY, QUEUE
from lab.load.run import OUT
from lab.speed.record import DONE
from lab.tables import markdown, write_tables

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
    return "\n\n".join([notes, edits_table(done), api_table(done)]) + "\n"


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
    return markdown(["engine / edits at a time", *done], rows)


def api_table(done: Mapping[str, Result]) -> str:
    """Return the milliseconds of the crowd's requests by route."""
    routes = sorted({route for each in done.values() for route in each["crowd"]["api_ms"]})
    rows = [[f"`{route}`", *(_pair(each["crowd"]["api_ms"].get(route, {})) for each in done.values())] for route in routes]
    return markdown(["ms: median · p99", *done], rows)


def _pair(found: Result) -> str:
    return f"{found['p50']:.3g} · {found['p99']:.3g}" if found.get("count") else "–"


def main() -> None:
    write_tables(render, results=str(OUT), mark=MARK, about=__doc__)


if __name__ == "__main__":
    main()
