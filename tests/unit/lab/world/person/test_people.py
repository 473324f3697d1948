"""People: identities that edits keep, other photos of one person, and true answers of edits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lab.world.domain import Domain, with_look_of
from lab.world.person import DOMAIN
from lab.world.person.identity import Attributes


def test_the_domain_keeps_the_protocol() -> None:
    world: Domain = DOMAIN
    assert world.name == "person"


def test_a_seed_always_gives_the_same_person() -> None:
    assert DOMAIN.sample(5) == DOMAIN.sample(5)
    assert DOMAIN.sample(5) != DOMAIN.sample(6)


def test_another_photo_keeps_the_person_and_what_lasts() -> None:
    subject = DOMAIN.sample(3)
    photos = [DOMAIN.another_photo(subject, seed) for seed in range(20)]
    for name in ("gender", "age", "hair_colour", "hair_length", "curly", "beard"):
        assert {getattr(photo.attributes, name) for photo in photos} == {getattr(subject.attributes, name)}
    assert all(photo.identity == subject.identity for photo in photos)
    assert len({photo.setting for photo in photos}) == 20
    assert len({photo.attributes.pose for photo in photos}) > 2
    assert len({photo.attributes.expression for photo in photos}) > 2
    assert photos[4] == DOMAIN.another_photo(subject, 4)


def test_a_change_keeps_everything_else() -> None:
    subject = DOMAIN.sample(8)
    answer = DOMAIN.change(subject, pose="left", makeup=True)
    assert answer.identity == subject.identity
    assert answer.setting == subject.setting
    assert answer.attributes == replace(subject.attributes, pose="left", makeup=True)


def test_glasses_replace_sunglasses_and_hats_bangs() -> None:
    subject = replace(DOMAIN.sample(0), attributes=Attributes(sunglasses=True, bangs=True))
    assert DOMAIN.change(subject, glasses=True, hat=True).attributes == Attributes(glasses=True, hat=True)
    hatted = replace(subject, attributes=Attributes(hat=True, glasses=True))
    assert DOMAIN.change(hatted, bangs=True, sunglasses=True).attributes == Attributes(bangs=True, sunglasses=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lipstick": True}, "unknown attribute 'lipstick'"),
        ({"makeup_style": None}, "unknown attribute 'makeup_style'"),  # how makeup looks belongs to the identity: `with_look_of`
        ({"pose": "down"}, "pose must be one of 'front', 'left', 'right', 'up', not 'down'"),
        ({"beard": 1}, "beard must be one of False, True, not 1"),
        ({"glasses": True, "sunglasses": True}, "not both"),
    ],
)
def test_impossible_changes_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DOMAIN.change(DOMAIN.sample(0), **change)


@pytest.mark.parametrize("word", DOMAIN.looks)
def test_a_transfer_takes_the_look_and_keeps_the_person(word: str) -> None:
    subject, reference = DOMAIN.sample(1), DOMAIN.sample(2)
    answer = with_look_of(DOMAIN, subject, word, reference.identity)
    own, taken, got = ({name: getattr(each.identity, name) for name in DOMAIN.looks[word]} for each in (subject, reference, answer))
    assert got == taken != own
    assert replace(answer, identity=replace(answer.identity, **own)) == subject


def test_identity_vectors_are_normalised_numbers_of_the_identity_alone() -> None:
    vectors = np.stack([DOMAIN.identity_vector(DOMAIN.sample(seed).identity) for seed in range(1500)])
    assert vectors.shape == (1500, len(DOMAIN.identity_names))
    assert vectors.dtype == np.float32
    assert np.abs(vectors.mean(axis=0)).max() < 0.15
    assert vectors.std(axis=0).min() > 0.85
    assert vectors.std(axis=0).max() < 1.15
    subject = DOMAIN.sample(4)
    made_up = with_look_of(DOMAIN, subject, "makeup", DOMAIN.sample(5).identity)
    assert np.array_equal(DOMAIN.identity_vector(made_up.identity), DOMAIN.identity_vector(subject.identity))
