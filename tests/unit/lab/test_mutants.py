"""Every planted bug still fits the source, is valid Python, and belongs to one of the guarantees."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from typing import get_args

import pytest

from lab.mutants import MUTANTS, NO_BUG, ROOT, TESTS, Kind, Mutant, copied, summary


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutants_text_occurs_once_in_the_source(mutant: Mutant) -> None:
    before = (ROOT / mutant.file).read_text()
    after = mutant.planted(before)
    assert after != before
    ast.parse(after)


def test_a_mutant_whose_text_is_gone_is_an_error() -> None:
    stale = replace(MUTANTS[0], old="no such text")
    with pytest.raises(ValueError, match="stale"):
        stale.planted((ROOT / stale.file).read_text())


def test_every_guarantee_has_a_mutant_and_every_name_is_its_own() -> None:
    assert {mutant.kind for mutant in MUTANTS} == set(get_args(Kind))
    assert len({mutant.name for mutant in MUTANTS} | {NO_BUG}) == len(MUTANTS) + 1 >= 13


def test_the_tests_that_run_on_mutants_exist() -> None:
    assert all(list(ROOT.glob(pattern)) for pattern in TESTS)


def test_a_bug_is_planted_in_a_copy_only() -> None:
    mutant = MUTANTS[0]
    before = (ROOT / mutant.file).read_text()
    with copied(mutant) as tree:
        assert mutant.new in (tree / mutant.file).read_text()
        assert (tree / "pyproject.toml").is_file()
    assert (ROOT / mutant.file).read_text() == before


def test_the_bar_needs_a_clean_service_and_ten_of_twelve_bugs_found_by_the_storm() -> None:
    caught, missed = {"caught": True}, {"caught": False}
    clean = {NO_BUG: {"storm": missed, "tests": missed}}
    allowed = len(MUTANTS) - -(-len(MUTANTS) * 10 // 12)  # that the storm may miss
    rows = {mutant.name: {"storm": missed if i < allowed else caught, "tests": caught} for i, mutant in enumerate(MUTANTS)}
    assert summary(clean | rows)["reached"]
    assert not summary(rows)["reached"]
    assert not summary({NO_BUG: {"storm": caught, "tests": missed}} | rows)["reached"]
    assert not summary(clean | rows | {MUTANTS[-1].name: {"storm": missed, "tests": caught}})["reached"]
    assert not summary(clean | rows | {MUTANTS[0].name: {"storm": missed, "tests": missed}})["reached"]


def test_the_documentation_says_what_was_measured() -> None:
    measured = json.loads((ROOT / "lab/results/mutants.json").read_text(encoding="utf-8"))
    found = measured["summary"]
    assert found == summary(measured["rows"])
    assert found["reached"]
    said = f"{found['planted']} bugs in fencing, publishing, recovery, learning once, order, ownership, idempotency and webhooks: "
    said += f"the storm notices {found['storm']}, the tests {found['tests']}, together all"
    assert said in (ROOT / "docs/evidence.md").read_text(encoding="utf-8")
