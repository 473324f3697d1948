"""Bootstrap intervals: deterministic, and over people instead of edits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lab.measures.bootstrap import Interval, differences, interval, intervals


def test_the_interval_contains_the_mean_and_is_deterministic() -> None:
    values = [1.0, 2.0, 4.0, 9.0, 3.0]
    found = interval(values, range(5))
    assert found.mean == pytest.approx(3.8)
    assert 1.0 <= found.low < 3.8 < found.high <= 9.0
    assert interval(values, range(5)) == found


def test_the_interval_of_many_independent_values_is_1_96_standard_errors_wide_on_each_side() -> None:
    values = np.random.default_rng(3).normal(10, 2, size=400).tolist()
    found = interval(values, range(400))
    error = np.std(values) / 20
    assert found.low == pytest.approx(found.mean - 1.96 * error, abs=0.3 * error)
    assert found.high == pytest.approx(found.mean + 1.96 * error, abs=0.3 * error)


def test_more_edits_of_the_same_people_do_not_narrow_the_interval() -> None:
    values = [1.0, 5.0, 2.0, 8.0]
    once = interval(values, range(4))
    thrice = interval([value for value in values for _ in range(3)], [person for person in range(4) for _ in range(3)])
    assert thrice == once


def test_the_interval_of_one_person_is_the_mean() -> None:
    assert interval([1.0, 3.0], ["a", "a"]) == Interval(2.0, 2.0, 2.0)


def test_people_with_more_edits_have_more_weight() -> None:
    assert interval([0.0, 0.0, 0.0, 4.0], ["a", "a", "a", "b"]).mean == 1.0


def test_empty_or_unequal_inputs_are_rejected() -> None:
    with pytest.raises(ValueError, match="at least one"):
        interval([], [])
    with pytest.raises(ValueError, match="got 2 and 1"):
        interval([1.0, 2.0], [0])


def record(person: int, edit: str, **figures: Any) -> dict[str, Any]:
    return {"person": person, "edit": edit, **figures}


def test_records_without_a_figure_do_not_count_for_it() -> None:
    found = intervals([record(0, "hat", psnr=1.0), record(1, "hat", psnr=3.0, leakage=None)], ("psnr", "leakage"))
    assert set(found) == {"psnr"}
    assert found["psnr"][0] == 2.0


def test_the_mean_of_booleans_is_their_share() -> None:
    assert intervals([record(0, "hat", success=True), record(1, "hat", success=False)], ("success",))["success"] == [0.5, 0.0, 1.0]


def test_differences_are_paired_by_person_and_edit() -> None:
    """A constant gain has a zero-width interval, however much people differ."""
    theirs = [record(p, e, psnr=10.0 * p + len(e)) for p in range(5) for e in ("hat", "beard")]
    ours = [{**each, "psnr": each["psnr"] + 1.5} for each in theirs]
    assert differences(ours, theirs, ("psnr",)) == {"psnr": [1.5, 1.5, 1.5]}


def test_only_common_edits_are_compared() -> None:
    ours = [record(0, "hat", psnr=5.0), record(1, "hat", psnr=100.0)]
    theirs = [record(0, "hat", psnr=3.0), record(0, "beard", psnr=0.0)]
    assert differences(ours, theirs, ("psnr", "ssim")) == {"psnr": [2.0, 2.0, 2.0]}
    assert differences(ours, [], ("psnr",)) == {}


def test_items_replace_people_in_benches_without_people() -> None:
    records = [{"item": key, "edit": "edit", "psnr": value} for key, value in (("a", 1.0), ("a", 1.0), ("b", 4.0))]
    assert intervals(records, ("psnr",))["psnr"] == [2.0, 1.0, 4.0]
