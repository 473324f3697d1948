"""Compare a method with less work to the one that it replaces: `python -m lab.quality.savings --old FILE:METHOD --new FILE:METHOD`.

Both files are results of `lab.quality` on the same model with the same networks as judges. In each domain, the differences are
paired by subject and edit, over the edits that both have, with 95 % intervals over subjects. A figure is `same` if its interval
holds zero. Costs are UNet evaluations, where one with gradients counts `GRADIENTS` times.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lab.measures.bootstrap import differences, five_digits
from lab.measures.results import dumped, machine
from lab.quality.bench import FIGURES, SUBJECT_FIGURES
from lab.quality.table import of_domains

GRADIENTS = 2
"""What a row costs that also goes backward, in rows without (`lab.speed`: `tflop_with_gradients` over `tflop_forward`)."""
ALIKE = ("guidance_scale", "model", "edits", "measures", "jury")
"""What must be the same in the settings of a domain in both files."""


def rows(cost: Mapping[str, float]) -> float:
    """Return the cost of a phase in rows without gradients."""
    return cost["evaluations"] + (GRADIENTS - 1) * cost["with_gradients"]


def read(place: str) -> dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Return, by domain, the setting of a results file and one of its methods. Raises `ValueError` for a method that it lacks."""
    file, _, name = place.rpartition(":")
    domains = of_domains(json.loads(Path(file).read_text(encoding="utf-8")))
    if not (found := {domain: section for domain, section in domains.items() if name in section["methods"]}):
        known = dict.fromkeys(method for section in domains.values() for method in section["methods"])
        raise ValueError(f"{file} has no method {name!r}: choose from {', '.join(known)}")
    return {domain: (section["setting"], section["methods"][name]) for domain, section in found.items()}


def of_pairs(records: Sequence[Mapping[str, Any]], keys: set[tuple[int, str]]) -> list[Mapping[str, Any]]:
    return [record for record in records if (record["person"], record["edit"]) in keys]


def compared(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return the differences of `new` minus `old`, two methods of results files, and their costs."""
    keys = [{(record["person"], record["edit"]) for record in method["records"]} for method in (old, new)]
    both = keys[0] & keys[1]
    subjects = {subject for subject, _ in both}
    after, before = (of_pairs(method["records"], both) for method in (new, old))
    found = differences(after, before, FIGURES)
    ours, theirs = ([record for record in method["subjects"] if record["person"] in subjects] for method in (new, old))
    found |= differences(ours, theirs, SUBJECT_FIGURES)
    first = [sum(rows(method["cost"][phase]) for phase in ("learn", "invert", "edit")) for method in (old, new)]
    learn = [rows(method["cost"]["learn"]) for method in (old, new)]
    return {
        "subjects": len(subjects),
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
    old, new = read(wanted.old), read(wanted.new)
    domains = {}
    for domain in [name for name in old if name in new]:
        (before, former), (now, later) = old[domain], new[domain]
        if unlike := [name for name in ALIKE if before[name] != now[name]]:
            raise SystemExit(f"the files have other settings of {domain!r}: {', '.join(unlike)}")
        recipes = {"old": former["recipe"], "new": later["recipe"]}
        domains[domain] = {"setting": {name: now[name] for name in ALIKE}, **recipes, **compared(former, later)}
    if not domains:
        raise SystemExit(f"the methods share no domain: {', '.join(old)} and {', '.join(new)}")
    result = {"machine": machine(), "domains": domains}
    wanted.out.write_text(dumped(result), encoding="utf-8")
    print(dumped(result))


if __name__ == "__main__":
    main()
