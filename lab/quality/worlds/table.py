"""Write the results of `lab.quality.worlds` as Markdown tables.

    python -m lab.quality.worlds.table                    print the tables
    python -m lab.quality.worlds.table --into PAGE.md     write them between `<!-- worlds -->` and `<!-- /worlds -->`

Brackets contain 95 % bootstrap intervals over subjects. The same results give the same text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lab.quality.worlds.settings import Origin, setting_of
from lab.tables import decimals, markdown, percent, write_tables

MARK = "worlds"
NONE = "–"
Format = Callable[[float], str]
ORIGINS: dict[Origin, str] = {
    "none": "no [I]",
    "same": "[I] of the edited photo",
    "other": "[I] of another photo",
    "three": "[I] of three other photos",
}
FIXED = {"unedited": "the photo, unedited", "autoencoder": "true answer, encoded and decoded"}
TRANSFERS = {
    "words": "[I], in words",
    "attribute": "[A], no [I]",
    "found": "[A], its region found",
    "attribute+identity": "[A] and [I]",
    "together": "[A] and [I], learned together",
}


COLUMNS: dict[str, tuple[str, Format]] = {
    "psnr": ("PSNR, dB", decimals(1)),
    "psnr_changed": ("PSNR changed, dB", decimals(1)),
    "psnr_unchanged": ("PSNR unchanged, dB", decimals(1)),
    "gain": ("gain, %", percent),
    "success": ("attribute there, %", percent),
    "side_effects": ("others changed", decimals(2)),
    "identity_error": ("identity error", decimals(3)),
    "identity_error_decoded": ("identity error beyond the auto-encoder's", decimals(3)),
    "identity_error_to_truth": ("identity error to the true numbers", decimals(3)),
    "colour_error": ("colour error, levels", decimals(1)),
    "all_parts": ("all parts found, %", percent),
    "seconds": ("seconds, first edit", decimals(1)),
}
REDUCTIONS = ("identity_reduction", "identity_reduction_decoded")
DIFFERENCES = ("psnr", "psnr_changed", "gain", "success", "identity_error", "identity_error_decoded")


def named(way: str) -> str:
    """Return the title of a way."""
    if way in FIXED:
        return FIXED[way]
    name, mark, rest = way.partition("/") if "/" in way else way.partition(":")
    return f"{setting_of(name).title}, {TRANSFERS[rest] if mark == '/' else ORIGINS[rest]}"  # type: ignore[index]


def _cell(form: Format, found: Sequence[float] | None) -> str:
    if found is None:
        return NONE
    mean, low, high = map(form, found)
    return mean if mean == low == high else f"{mean} [{low}, {high}]"


def _difference(form: Format, found: Sequence[float] | None) -> str:
    """Format a difference, in bold if its interval excludes zero."""
    if found is None:
        return NONE
    mean, low, high = (f"{'−' if value < 0 else '+'}{form(abs(value))}" for value in found)
    text = f"{mean} [{low}, {high}]"
    return f"**{text}**" if found[1] > 0 or found[2] < 0 else text


def part_table(ways: Mapping[str, Any], part: str) -> str:
    """Return a row per way with the means over one part of the edits: all, a group or an edit."""
    found = {way: entry[part] for way, entry in ways.items() if part in entry}
    shown = [name for name in COLUMNS if any(name in each for each in found.values())]
    head = ["way", "edits", *(COLUMNS[name][0] for name in shown)]
    rows = [
        [named(way), str(each["count"]), *(_cell(COLUMNS[name][1], each.get(name)) for name in shown)]
        for way, each in found.items()
    ]
    return markdown(head, rows)


def difference_table(ways: Mapping[str, Any], part: str) -> str | None:
    """Return the differences that [I] makes in one part of the edits, paired by edit; None if no way has any."""
    found = {way: entry[part] for way, entry in ways.items() if entry.get(part, {}).get("minus_without")}
    if not found:
        return None
    head = [
        "with [I] minus without",
        *(COLUMNS[name][0] for name in DIFFERENCES),
        "identity error removed, %",
        "beyond the auto-encoder's, %",
    ]
    rows = [
        [
            named(way),
            *(_difference(COLUMNS[name][1], each["minus_without"].get(name)) for name in DIFFERENCES),
            *(NONE if each[name] is None else percent(each[name]) for name in REDUCTIONS),
        ]
        for way, each in found.items()
    ]
    return markdown(head, rows)


def render(results: Mapping[str, Any]) -> str:
    """Return all tables of a results file."""
    parts = []
    for domain, ways in results["summary"].items():
        for group in sorted({name for entry in ways.values() for name in entry if name.startswith("group ")}):
            parts.append(f"**{domain}, {group.removeprefix('group ')}**")
            parts += [text for text in (part_table(ways, group), difference_table(ways, group)) if text]
        transfers = {name for entry in ways.values() for name in entry if name.endswith(" transfer")}
        for name in sorted(transfers):
            parts += [f"**{name}**", part_table(ways, name)]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    write_tables(render, results="lab/results/worlds.json", mark=MARK, about=__doc__)


if __name__ == "__main__":
    main()
