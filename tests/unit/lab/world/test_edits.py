"""The edits of the bench apply to their people, and have a visible ground truth."""

from __future__ import annotations

import numpy as np
import pytest

from lab.measures.metrics import changed_region
from lab.world.dataset import HELD_OUT
from lab.world.edits import EDITS, FIRST, KNOWN, VISIBLE_PIXELS, edits_of, subject_of, unseen
from lab.world.people import Attributes, replace_attributes, sample_person

MAN = Attributes(gender="man")


@pytest.mark.parametrize("number", range(FIRST, FIRST + 60))
def test_an_edit_adds_an_attribute_that_the_person_lacks(number: int) -> None:
    person = sample_person(number)
    for edit in edits_of(person.attributes, KNOWN):
        for name, value in edit.changes.items():
            assert getattr(person.attributes, name) != value
            assert getattr(replace_attributes(person, **edit.changes).attributes, name) == value


def test_every_edit_applies_to_some_of_the_first_people() -> None:
    names = {edit.name for number in range(FIRST, FIRST + 30) for edit in edits_of(sample_person(number).attributes)}
    assert names == set(EDITS)


def test_the_edits_that_apply_to_a_plain_man_and_woman() -> None:
    assert [edit.name for edit in edits_of(MAN)] == ["hair", "smile", "sad", "glasses", "hat", "beard", "bangs", "two"]
    assert [edit.name for edit in edits_of(Attributes())] == ["hair", "smile", "sad", "glasses", "hat", "bangs", "lipstick", "two"]
    (two,) = edits_of(Attributes(hair_colour="red"), ["two"])
    assert two.changes == {"hair_colour": "black", "glasses": True}


def test_an_edit_that_would_replace_another_attribute_does_not_apply() -> None:
    assert not edits_of(Attributes(sunglasses=True), ["glasses", "two"])
    assert not edits_of(Attributes(hat=True), ["bangs", "hat"])
    assert not edits_of(Attributes(lipstick=True), ["makeup", "lipstick"])


def test_an_unknown_edit_is_rejected() -> None:
    with pytest.raises(ValueError, match="unknown edit 'monocle'; choose from hair,"):
        edits_of(MAN, ["hair", "monocle"])


def test_people_of_the_bench_are_unseen_reproducible_and_have_edits() -> None:
    found = unseen(4, ("beard", "hat"))
    assert [subject.number for subject in found] == [subject.number for subject in unseen(4, ("beard", "hat"))]
    assert min(subject.number for subject in found) >= HELD_OUT
    assert all(subject.edits for subject in found)
    assert {edit.name for subject in found for edit in subject.edits} <= {"beard", "hat"}


def test_a_larger_bench_starts_with_the_same_people() -> None:
    assert [s.number for s in unseen(3, ("hat",))] == [s.number for s in unseen(2, ("hat",))] + [unseen(3, ("hat",))[2].number]


def test_ground_truths_are_visible_and_named_in_the_prompt() -> None:
    subject = subject_of(FIRST, ("hair", "hat", "smile"))
    for edit in subject.edits:
        changed = changed_region(np.asarray(subject.picture), np.asarray(subject.answers[edit.name]))
        assert changed.sum() >= VISIBLE_PIXELS
        word = {"hair": edit.changes.get("hair_colour"), "hat": "a hat", "smile": "smiling"}[edit.name]
        assert str(word) in subject.prompt(edit)


def test_an_invisible_edit_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.world.edits.VISIBLE_PIXELS", 128 * 128 + 1)
    assert not subject_of(FIRST).edits
