"""Compare a method with less work to the one that it replaces: `python -m lab.quality.savings --old FILE:METHOD --new FILE:METHOD`.

Both files are results of `lab.quality` on the same model with the same networks as judges. The differences are paired by person and
edit, over the edits that both have, with 95 % intervals over people. A figure is `same` if its interval holds zero. Costs are UNet
evaluations, where one with gradients counts `GRADIENTS` times.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lab.measures.bootstrap import differences, five_digits
from lab.measures.results import dumped, machine
from lab.quality.bench import FIGURES, PERSON_FIGURES

GRADIENTS = 2
"""What a row costs that also goes backward, in rows without (`lab.speed`: `tflop_with_gradients` over `tflop_forward`)."""
ALIKE = ("guidance_scale", "model", "edits", "measures", "jury")
"""What must be the same in the settings of both files."""


def rows(cost: Mapping[str, float]) -> float:
    """Return the cost of a phase in rows without gradients."""
    return cost["evaluations"] + (GRADIENTS - 1) * cost["with_gradients"]


def read(place: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return the setting of a results file and one of its methods. Raises `ValueError` for a method that it lacks."""
    file, _, name = place.rpartition(":")
    results = json.loads(Path(file).read_text(encoding="utf-8"))
    if name not in results["methods"]:
        raise ValueError(f"{file} has no method {name!r}: choose from {', '.join(results['methods'])}")
    return results["setting"], results["methods"][name]


def of_pairs(records: Sequence[Mapping[str, Any]], keys: set[tuple[int, str]]) -> list[Mapping[str, Any]]:
    return [record for record in records if (record["person"], record["edit"]) in keys]


def compared(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return the differences of `new` minus `old`, two methods of results files, and their costs."""
    keys = [{(record["person"], record["edit"]) for record in method["records"]} for method in (old, new)]
    both = keys[0] & keys[1]
    people = {person for person, _ in both}
    after, before = (of_pairs(method["records"], both) for method in (new, old))
    known = tuple(name for name in FIGURES if all(name in record for record in (*after, *before)))  # older files have fewer
    found = differences(after, before, known)
    ours, theirs = ([record for record in method["people"] if record["person"] in people] for method in (new, old))
    found |= differences(ours, theirs, PERSON_FIGURES)
    first = [sum(rows(method["cost"][phase]) for phase in ("learn", "invert", "edit")) for method in (old, new)]
    learn = [rows(method["cost"]["learn"]) for method in (old, new)]
    return {
        "people": len(people),
        "edits": len(both),
        "differences": found,
        "same": {name: low <= 0 <= high for name, (_, low, high) in found.items()},
        "learning_rows": [five_digits(each) for each in learn],
        "first_edit_rows": [five_digits(each) for each in first],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--old", required=True, metavar="FILE:METHOD")
    parser.add_argument("--new", required=True, metavar="FILE:METHOD")
    parser.add_argument("--out", type=Path, default=Path("lab/results/savings.json"))
    wanted = parser.parse_args()
    (before, old), (now, new) = read(wanted.old), read(wanted.new)
    if unlike := [name for name in ALIKE if before[name] != now[name]]:
        raise SystemExit(f"the files have other settings: {', '.join(unlike)}")
    recipes = {"old": old["recipe"], "new": new["recipe"]}
    result = {"machine": machine(), "setting": {name: now[name] for name in ALIKE}, **recipes, **compared(old, new)}
    wanted.out.write_text(dumped(result), encoding="utf-8")
    print(dumped(result))


if __name__ == "__main__":
    main()
