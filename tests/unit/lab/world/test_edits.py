"""Every edit is news to whom it is asked of, and its answer is the world's."""

from __future__ import annotations

import numpy as np
import pytest

from lab.measures.metrics import changed_region
from lab.world.dataset import HELD_OUT
from lab.world.edits import EDITS, FIRST, KNOWN, VISIBLE_PIXELS, edits_of, subject_of, unseen
from lab.world.people import Attributes, replace_attributes, sample_person

MAN = Attributes(gender="man")


@pytest.mark.parametrize("number", range(FIRST, FIRST + 60))
def test_an_edit_brings_what_was_not_there(number: int) -> None:
    person = sample_person(number)
    for edit in edits_of(person.attributes, KNOWN):
        for name, value in edit.changes.items():
            assert getattr(person.attributes, name) != value
            assert getattr(replace_attributes(person, **edit.changes).attributes, name) == value


def test_every_edit_is_news_to_some_of_the_first_people() -> None:
    asked = {edit.name for number in range(FIRST, FIRST + 30) for edit in edits_of(sample_person(number).attributes)}
    assert asked == set(EDITS)


def test_the_edits_of_the_world() -> None:
    assert [edit.name for edit in edits_of(MAN)] == ["hair", "smile", "sad", "glasses", "hat", "beard", "bangs", "two"]
    assert [edit.name for edit in edits_of(Attributes())] == ["hair", "smile", "sad", "glasses", "hat", "bangs", "lipstick", "two"]
    (two,) = edits_of(Attributes(hair_colour="red"), ["two"])
    assert two.changes == {"hair_colour": "black", "glasses": True}


def test_what_would_replace_something_else_is_not_asked_for() -> None:
    assert not edits_of(Attributes(sunglasses=True), ["glasses", "two"])
    assert not edits_of(Attributes(hat=True), ["bangs", "hat"])
    assert not edits_of(Attributes(lipstick=True), ["makeup", "lipstick"])


def test_an_unknown_edit_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown edit 'monocle'; known are hair,"):
        edits_of(MAN, ["hair", "monocle"])


def test_people_are_unseen_the_same_every_time_and_have_something_to_do() -> None:
    found = unseen(4, ("beard", "hat"))
    assert [subject.number for subject in found] == [subject.number for subject in unseen(4, ("beard", "hat"))]
    assert min(subject.number for subject in found) >= HELD_OUT
    assert all(subject.edits for subject in found)
    assert {edit.name for subject in found for edit in subject.edits} <= {"beard", "hat"}


def test_more_people_begin_with_the_same_ones() -> None:
    assert [s.number for s in unseen(3, ("hat",))] == [s.number for s in unseen(2, ("hat",))] + [unseen(3, ("hat",))[2].number]


def test_answers_can_be_seen_and_are_told_in_words() -> None:
    subject = subject_of(FIRST, ("hair", "hat", "smile"))
    for edit in subject.edits:
        changed = changed_region(np.asarray(subject.picture), np.asarray(subject.answers[edit.name]))
        assert changed.sum() >= VISIBLE_PIXELS
        word = {"hair": edit.changes.get("hair_colour"), "hat": "a hat", "smile": "smiling"}[edit.name]
        assert str(word) in subject.prompt(edit)


def test_what_can_not_be_seen_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.world.edits.VISIBLE_PIXELS", 128 * 128 + 1)
    assert not subject_of(FIRST).edits
