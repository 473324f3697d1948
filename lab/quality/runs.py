"""Helpers of both quality benches: costs, comparisons, and the results file, which a run updates method by method."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lab.measures.bootstrap import differences, five_digits
from lab.measures.results import dumped, machine
from lab.quality.methods import METHODS
from lab.quality.parts import Part
from lab.quality.recipes import recipe, without_later
from s2edit_core.whole_files import write_whole


def costs(parts: Sequence[Part], subjects: int, edits: int) -> dict[str, dict[str, float]]:
    """Return UNet evaluations, evaluations with gradients and seconds, per subject (`learn`, `invert`) or per edit (`edit`)."""
    found = {}
    for phase, count in (("learn", subjects), ("invert", subjects), ("edit", edits)):
        all_of = [part.costs[phase] for part in parts if phase in part.costs]
        if all_of:
            fields = ("evaluations", "with_gradients", "seconds")
            found[phase] = {name: round(sum(getattr(cost, name) for cost in all_of) / count, 3) for name in fields}
    return found


def rounded(record: Mapping[str, Any]) -> dict[str, Any]:
    """Round the floats of a record to five significant digits."""
    return {k: five_digits(v) if isinstance(v, float) else v for k, v in record.items()}


def compare(methods: Mapping[str, Any], ours: str, figures: Sequence[str]) -> dict[str, Any]:
    """Return the differences of method `ours` minus every other one, over the cases that both have. Empty without `ours`."""
    if ours not in methods:
        return {}
    mine = methods[ours]["records"]
    others = {name: method["records"] for name, method in methods.items() if name != ours}
    return {"of": ours, "minus": {name: differences(mine, records, figures) for name, records in others.items()}}


def update_results(
    out: Path,
    setting: Mapping[str, Any],
    names: Sequence[str],
    run: Callable[[str], dict[str, Any]],
    about: Mapping[str, Any],
    against: str,
    figures: Sequence[str],
    subjects: int = 0,
    domain: str = "",
) -> None:
    """Run the methods in `names` that the results file `out` lacks, and write the file after each.

    With a `domain`, they go into its section of the file, and other runs may write other sections meanwhile. Results with the same
    setting and recipe, of `subjects` subjects or more, are kept; a section with another setting is started anew. It also gets the
    entries of `about`, and the differences of the method `against` to every other one.
    """
    saved = _read(out, domain)
    if saved.get("setting") != setting:
        if saved:
            print(f"{out} has another setting{f' of {domain!r}' if domain else ''}: starting it anew", flush=True)
        saved = {"setting": dict(setting), "methods": {}}
    saved |= about
    saved["machine"] = machine()
    out.parent.mkdir(parents=True, exist_ok=True)
    for name in names:
        found = saved["methods"].get(name, {})
        if without_later(found.get("recipe", "")) != recipe(METHODS[name]) or len(found.get("subjects", ())) < subjects:
            saved["methods"][name] = run(name)
        saved["differences"] = compare(saved["methods"], against, figures)
        _write(out, domain, saved)


def _read(out: Path, domain: str) -> dict[str, Any]:
    """Return the section of `domain`, empty if the file lacks it; without a domain, the whole file."""
    file: dict[str, Any] = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}
    section: dict[str, Any] = file.get("domains", {}).get(domain, {}) if domain else file
    return section


def _write(out: Path, domain: str, saved: Mapping[str, Any]) -> None:
    """Put a section into the file, whose other sections stay; without a domain, `saved` is the whole file."""
    whole = {"domains": {**_read(out, "").get("domains", {}), domain: saved}} if domain else saved
    write_whole(out, dumped(whole).encode())
