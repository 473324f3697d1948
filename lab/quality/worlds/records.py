"""The records of edits on disk: one JSON line each as they come, and the results file with means, intervals and differences."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lab.measures.bootstrap import differences, five_digits, intervals
from lab.quality.worlds.settings import Way
from s2edit_core.whole_files import write_whole

Record = dict[str, Any]
Key = tuple[str, ...]
PAIRED = (
    *("psnr", "psnr_changed", "psnr_unchanged", "gain", "success", "side_effects"),
    *("identity_error", "identity_error_decoded", "identity_error_to_truth"),
)


def key_of(record: Mapping[str, Any]) -> Key:
    """Return what identifies a record: model and recipe, way, subject and edit."""
    return tuple(str(record[name]) for name in ("recipe", "way", "person", "edit"))


def rounded(value: Any) -> Any:
    """Round every float of a JSON value to five significant digits."""
    if isinstance(value, float):
        return five_digits(value)
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    return value


def append(folder: Path, records: Iterable[Record]) -> None:
    """Add records to this process's file in `folder`."""
    with (folder / f"{os.getpid()}.jsonl").open("a") as file:
        file.writelines(f"\n{json.dumps(rounded(record))}\n" for record in records)  # the first \n ends a line that was cut off


def collect(folder: Path, out: Path) -> list[Record]:
    """Return all records of the results file `out` and of `folder`, the latest of each key. A line that was cut off is left out."""
    found: dict[Key, Record] = {}
    if out.exists():
        found = {key_of(record): record for record in json.loads(out.read_text())["records"]}
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            try:
                record = json.loads(line)
            except json.JSONDecodeError:
                continue
            found[key_of(record)] = record
    return list(found.values())


def summary(records: Sequence[Record], figures: Sequence[str]) -> dict[str, Any]:
    """Return the means with intervals by domain and way, and the differences to the way without [I], of all, each group and edit.

    `identity_reduction` is the share of the identity error that [I] removes: 1 minus the error's ratio, over edits done both ways.
    """
    by_way: dict[str, dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        by_way[record["domain"]][record["way"]].append(record)
    found: dict[str, Any] = {}
    for domain, ways in by_way.items():
        found[domain] = {}
        for way, mine in sorted(ways.items()):
            entry: dict[str, Any] = {"edits": len(mine), "subjects": len({record["person"] for record in mine})}
            base = without(way)
            for part, some in parts_of(mine):
                entry[part] = {"count": len(some), **intervals(some, figures)}
                if base and base in ways:
                    theirs = [record for name, each in parts_of(ways[base]) if name == part for record in each]
                    entry[part]["minus_without"] = differences(some, theirs, PAIRED)
                    entry[part]["identity_reduction"] = reduction(some, theirs)
                    entry[part]["identity_reduction_decoded"] = reduction(some, theirs, "identity_error_decoded")
            found[domain][way] = entry
    return found


def parts_of(records: Sequence[Record]) -> list[tuple[str, list[Record]]]:
    """Return the records of all edits, of each group and of each edit."""
    groups = sorted({f"group {record['group']}" for record in records if record.get("group")})
    edits = sorted({record["edit"] for record in records})
    return [
        ("all", list(records)),
        *((name, [record for record in records if f"group {record.get('group')}" == name]) for name in groups),
        *((name, [record for record in records if record["edit"] == name]) for name in edits),
    ]


def without(way: str) -> str | None:
    """Return the way to compare `way` with, None if it has no [I] or is a transfer."""
    name, _, origin = way.partition(":")
    if origin in ("", "none"):
        return None
    return str(Way(name, origin).without)  # type: ignore[arg-type]


def reduction(ours: Sequence[Record], theirs: Sequence[Record], figure: str = "identity_error") -> float | None:
    """Return 1 − (identity error with [I]) / (without), over the pairs that both have; None without such pairs."""
    others = {(record["person"], record["edit"]): record for record in theirs}
    pairs = [(mine, others[key]) for mine in ours if (key := (mine["person"], mine["edit"])) in others]
    before = sum(other[figure] for _, other in pairs)
    return five_digits(1 - sum(mine[figure] for mine, _ in pairs) / before) if before else None


def write(out: Path, records: Sequence[Record], about: Mapping[str, Any], figures: Sequence[str]) -> None:
    """Write the results file, whole or not at all."""
    ordered = sorted(records, key=lambda record: (record["domain"], record["way"], record["person"], record["edit"]))
    lines = ",\n  ".join(json.dumps(record) for record in ordered)
    head = json.dumps({**about, "summary": summary(records, figures)}, indent=1)
    write_whole(out, f'{head[:-2]},\n "records": [\n  {lines}\n ]\n}}\n'.encode())
