"""Write the results of `python -m lab.speed` as Markdown tables.

python -m lab.speed.table                                     print the tables
python -m lab.speed.table --into PAGE.md                      write them between `<!-- speed -->` and `<!-- /speed -->`
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.speed.record import DONE, Result
from lab.speed.summary import per_user
from lab.tables import markdown, write_tables

MARK = "speed"


def passes_table(done: Mapping[str, Result]) -> str:
    """Return rows per second, and in brackets the share of the measured matrix rate, by kind of pass and rows per pass."""
    kinds = {name.partition("/")[2]: result for name, result in done.items() if name.startswith("passes/")}
    counts = list(dict.fromkeys(count for result in kinds.values() for count in result["buckets"]))
    head = ["rows/s (share of the matrix rate)", *(f"{count} row{'' if count == '1' else 's'}" for count in counts)]
    return markdown(
        head,
        [
            [f"{result['title']}, {name.partition('/')[0]}", *(_rate(result["buckets"].get(count)) for count in counts)]
            for name, result in kinds.items()
        ],
    )


def _rate(bucket: Mapping[str, Any] | None) -> str:
    if bucket is None or "rows_per_s" not in bucket:
        return "–"
    share = f" ({100 * bucket['share']:.0f} %)" if "share" in bucket else ""
    return f"{bucket['rows_per_s']:.3g}{share}"


def jobs_table(done: Mapping[str, Result]) -> str:
    """Return the seconds of a first and a further edit, alone and with other users, and the reference way's."""
    rows = []
    if "reference" in done:
        found = done["reference"]
        rows.append(["reference way, one at a time", f"{found['cold_s']:.3g}", f"{found['warm_s']:.3g}"])
    for name, result in done.items():
        _, _, rest = name.partition("/")
        if name.startswith("job/") and result["share_of_steps"] == 1:
            rows.append([f"{rest.replace('/', ', ')}, alone", f"{result['seconds']:.3g}", f"{result['warm']['seconds']:.3g}"])
        elif name.startswith("users/") and result["users"] > 1 and (each := per_user(result)):
            title = f"{rest.partition('/')[0]}, {result['preset']}, {result['users']} users together, each"
            rows.append([title, f"{each['cold_s_per_user']:.3g}", f"{each['warm_s_per_user']:.3g}"])
    return markdown(["seconds", "first edit of a person", "further edit"], rows)


def render(results: Mapping[str, Any]) -> str:
    """Return all tables of a results file, with what was measured."""
    about = results["about"]
    done = {name: entry["result"] for name, entry in results["phases"].items() if entry["state"] == DONE}
    threads = "1 thread" if about["threads"] == 1 else f"{about['threads']} threads"
    notes = f"`{Path(about['model']).name}` on {about['device']}, {threads}, torch {about['machine']['torch']}."
    if "seconds_of" in about:  # results of earlier versions are all of the clock
        notes += f" Seconds are those of {about['seconds_of']}."
    return "\n\n".join([notes, jobs_table(done), passes_table(done)]) + "\n"


def main() -> None:
    write_tables(render, results="lab/results/speed.json", mark=MARK, about=__doc__)


if __name__ == "__main__":
    main()
