"""The README's tables agree with the results files, and a broken promise shows as broken."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest

from lab.front_page import FILES, RESULTS, promises, quality, read_results, written
from lab.quality.table import SMALL, SMALL_ROWS
from s2edit_jobs.settings import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
FOUND: dict[str, Any] = dict(read_results(ROOT / RESULTS))


def test_the_readme_agrees_with_the_results() -> None:
    assert written(README, FOUND) == README


def test_each_row_links_to_its_results_file() -> None:
    rows = promises(FOUND).splitlines()[2:]
    for row in rows:
        assert re.search(r"\]\(lab/results/[\w-]+\.json\)", row), row
    assert set(re.findall(r"lab/results/([\w-]+)\.json", README)) == set(FILES)


def test_quality_is_one_small_table() -> None:
    method = {"title": "some", "intervals": {"all": {name: [0.5, 0.4, 0.6] for name in SMALL}}, "records": [{}] * 7}
    methods = dict.fromkeys(SMALL_ROWS, method)
    settings = [{"domain": domain, "subjects": 3, "guidance_scale": 3.0} for domain in ("person", "cat", "church")]
    results = {"domains": {each["domain"]: {"setting": each, "methods": methods} for each in settings}}
    sentence, table = quality(results).strip().split("\n\n")
    assert sentence == (
        "[7 edits of 3 people, 7 of 3 cats and 7 of 3 churches](lab/results/quality.json) that the model has never seen, "
        "compared with the true answers (people · cats · churches):"
    )
    head, _, *rows = table.splitlines()
    assert head.count("|") - 1 == 1 + 4  # the method's name and four columns
    assert rows == ["| some | 0.5 · 0.5 · 0.5 | 50 · 50 · 50 | 0.500 · 0.500 · 0.500 | 0.50 · 0.50 · 0.50 |"] * len(SMALL_ROWS)


BROKEN = {
    "a pixel changed outside": (("demo", "edits", 1, "outside_edit_mask", "max_level_difference"), 3, "[3 of 255 levels]"),
    "learned again": (("promises", "one_photo", "learning_runs"), 4, "[learned 4 times]"),
    "lost": (("storm", "findings", "lost"), ["e_1", "e_2"], "[2 lost, 0 repeated]"),
    "repeated": (("storm", "findings", "duplicated"), ["e_1"], "[0 lost, 1 repeated]"),
    "late": (("storm", "restart_s", "max"), 77.04, "longest 77.0 s]("),
    "another picture": (("storm-model", "findings", "wrong_owner"), ["e_1"], "[1 pictures differ]"),
    "two edits of one key": (("promises", "one_key", "edits"), 2, "[2 edits]"),
    "detail lost": (("photos", "medians", "hair colour difference 3464", "energy_same"), 41.2, "[keeps 41 % of its detail]"),
    "a server error": (("fuzz", "answers", "GET /edits"), {"200": 1, "500": 7}, "[7 server errors, 0 undocumented answers]"),
    "an operation that the fuzzer does not know yet": (("operations",), {"GET /edits", "PUT /news"}, "over 1 of the 2 operations"),
    "an undocumented answer": (("fuzz", "failures"), {"GET /edits": "418"}, "[0 server errors, 1 undocumented answers]"),
    "a slow poll": (("overhead", "polls", "1", "service", "p50_ms"), 9.0, "[9.00 ms]"),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_promise_shows_in_the_table(broken: str) -> None:
    (*path, last), value, expected = BROKEN[broken]
    results = copy.deepcopy(FOUND)
    part = results
    for name in path:
        part = part[name]
    part[last] = value
    assert expected not in promises(FOUND)
    assert expected in promises(results)
