"""The people of the benches on photographs: unseen, always the same, and with edits that apply."""

from __future__ import annotations

from lab.photos.frames import EDITS
from lab.photos.people import PEOPLE, sampled, unseen
from lab.quality.worlds.edits import FIRST, known_edits
from lab.world.domain import UNSEEN


def test_all_edits_of_the_benches_are_known() -> None:
    assert {edit.name for edit in known_edits(PEOPLE.name, EDITS)} == set(EDITS)


def test_people_are_unseen_and_have_edits() -> None:
    assert FIRST >= UNSEEN
    found = unseen(3, ("beard", "bangs"))
    assert all(case.photo.subject == sampled(case.seed) for case in found)
    assert all(case.targets for case in found)
    assert {target.edit.name for case in found for target in case.targets} <= {"beard", "bangs"}


def test_a_larger_bench_starts_with_the_same_people() -> None:
    seeds = [case.seed for case in unseen(3, ("bangs",))]
    assert [case.seed for case in unseen(2, ("bangs",))] == seeds[:2]
    assert seeds == sorted(set(seeds))
