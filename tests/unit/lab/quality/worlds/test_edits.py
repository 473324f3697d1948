"""The edits and transfers of the bench: who they apply to, and their true answers."""

from __future__ import annotations

import numpy as np
import pytest

from lab.measures.metrics import changed_region
from lab.quality.worlds.edits import EDITS, FIRST, VISIBLE_PIXELS, case_of, known_edits, shows_well
from lab.quality.worlds.transfers import WEARABLES, Transfer, transfer_of
from lab.training.dataset import UNSEEN_COUNT
from lab.world.domain import UNSEEN
from lab.world.domains import DOMAINS


@pytest.mark.parametrize("domain", sorted(DOMAINS))
def test_every_edit_changes_what_it_says_and_shows(domain: str) -> None:
    assert FIRST >= UNSEEN + UNSEEN_COUNT
    case = case_of(domain, 1)
    assert case.targets
    for target in case.targets:
        has, wanted = case.photo.subject.attributes, target.answer.subject.attributes
        assert all(getattr(wanted, name) == value != getattr(has, name) for name, value in target.changes.items())
        assert target.answer.subject.identity == case.photo.subject.identity
        assert target.answer.subject.setting == case.photo.subject.setting
        changed = changed_region(np.asarray(case.photo.picture), np.asarray(target.answer.picture))
        assert changed.sum() >= VISIBLE_PIXELS
        assert target.answer.prompt != case.photo.prompt
        assert case.photo.word in target.answer.prompt


@pytest.mark.parametrize("domain", sorted(DOMAINS))
def test_other_photos_show_the_same_subject_well(domain: str) -> None:
    case = case_of(domain, 2, ("left",))
    assert len(case.others) == 3
    assert len({repr(other.subject.setting) for other in (case.photo, *case.others)}) == 4
    for other in case.others:
        assert other.subject.identity == case.photo.subject.identity
        assert shows_well(domain, other.subject.attributes)


def test_edits_are_chosen_by_name_and_by_group() -> None:
    names = [edit.name for edit in known_edits("person", ("revealed", "sad"))]
    assert names == ["glasses off", "sunglasses off", "hat off", "sad"]
    assert known_edits("cat") == EDITS["cat"]
    with pytest.raises(KeyError):
        known_edits("dog")


def first_transfer(name: str) -> Transfer:
    return next(found for seed in range(50) if (found := transfer_of(name, seed)) is not None)


@pytest.mark.parametrize("name", sorted(WEARABLES))
def test_a_transfer_takes_the_look_of_the_reference_and_nothing_else(name: str) -> None:
    transfer = first_transfer(name)
    before, after, reference = (photo.subject for photo in (transfer.photo, transfer.answer, transfer.reference))
    assert [getattr(each.attributes, name) for each in (before, after, reference)] == [False, True, True]
    for field in type(before.identity).__slots__:
        wanted = reference if field in transfer.photo.domain.looks[transfer.wearable.name] else before
        assert getattr(after.identity, field) == getattr(wanted.identity, field)
    assert f"[A] {name}" in transfer.prompt(transfer.answer)
    assert transfer.prompt(transfer.answer).replace("[A] ", "") == transfer.answer.prompt


def test_the_parts_of_a_makeup_are_apart_and_inside_its_region() -> None:
    transfer = first_transfer("makeup")
    assert set(transfer.parts) == {"lips", "cheeks", "lids"}
    heights = {name: np.nonzero(where)[0].mean() for name, where in transfer.parts.items()}
    assert heights["lids"] < heights["cheeks"] < heights["lips"]
    region = np.asarray(transfer.target_region) > 0
    assert region[transfer.parts["lips"]].mean() > 0.9
