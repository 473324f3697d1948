"""The tables of the bench's results."""

from __future__ import annotations

from typing import Any

from lab.quality.worlds.records import summary
from lab.quality.worlds.table import named, part_table, render


def record(way: str, person: str, error: float, edit: str = "left", group: str | None = "turned") -> dict[str, Any]:
    figures = {"psnr": 20.0, "gain": 0.5, "identity_error": error, "identity_error_decoded": error - 0.2}
    return {"domain": "person", "way": way, "person": person, "edit": edit, "group": group, **figures}


def test_ways_have_titles() -> None:
    assert named("unedited") == "the photo, unedited"
    assert named("balanced+kv:other") == "balanced, full K and V, [I] of another photo"
    assert named("balanced/words") == "balanced, [I], in words"


def test_tables_show_means_and_what_an_identity_changes() -> None:
    made = [record("balanced:none", f"person-{i}", 0.5 + 0.1 * i) for i in range(4)]
    made += [record("balanced:other", f"person-{i}", 0.25 + 0.1 * i) for i in range(4)]
    made.append({**record("balanced/words", "person-0", 0.3, "makeup transfer", None), "colour_error": 12.0})
    found = summary(made, ("psnr", "gain", "identity_error", "colour_error"))
    text = render({"summary": found})
    assert "**person, turned**" in text
    assert "| balanced, no [I] | 4 | 20.0 | 50 | 0.650 [" in text
    assert "| balanced, [I] of another photo | +0.0 [+0.0, +0.0] | – | +0 [+0, +0] | – | **−0.250 [" in text in text
    assert "| balanced, [I], in words | 1 | 20.0 | 50 | 0.300 | 12.0 |" in text
    assert "colour error" not in part_table(found["person"], "group turned")
