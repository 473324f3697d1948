"""Samples, captions, labels and identity vectors of cats."""

from __future__ import annotations

import random
from dataclasses import fields, replace

import numpy as np
import pytest

from lab.world.cat import DOMAIN
from lab.world.cat.attributes import Attributes

FULL = Attributes("left", sleeping=True, meowing=True, collar=True, hat=True, glasses=True, fluffy=True, young=True)
SAMPLES = [DOMAIN.sample(seed) for seed in range(1500)]


def words_of(text: str) -> set[str]:
    return set(text.replace(",", "").split())


@pytest.mark.parametrize(
    ("attributes", "text"),
    [
        (Attributes(), "a photo of a cat"),
        (Attributes(sleeping=True), "a photo of a sleeping cat"),
        (
            Attributes("left", fluffy=True, collar=True, hat=True),
            "a photo of a fluffy cat wearing a collar and a hat, looking left",
        ),
        (Attributes("up", meowing=True, glasses=True), "a photo of a cat wearing glasses, meowing, looking up"),
        (FULL, "a photo of a fluffy young sleeping cat wearing a collar, a hat and glasses, meowing, looking left"),
    ],
)
def test_a_caption_names_all_attributes(attributes: Attributes, text: str) -> None:
    assert DOMAIN.caption(attributes) == text


def test_captions_use_only_known_words() -> None:
    rng = random.Random(0)
    used = {word for each in SAMPLES for text in (DOMAIN.caption(each.attributes), DOMAIN.caption(each.attributes, rng))
            for word in words_of(text)}  # fmt: skip
    assert used == DOMAIN.words


def test_captions_omit_attributes_only_when_asked_to() -> None:
    rng = random.Random(0)
    drawn = {DOMAIN.caption(FULL, rng) for _ in range(50)}
    assert len(drawn) > 20
    assert any("sleeping" not in text for text in drawn)
    assert all("fluffy" not in DOMAIN.caption(Attributes(hat=True), rng) for _ in range(20))


def test_the_word_bank_has_no_subject_word() -> None:
    assert set(DOMAIN.word_bank) <= DOMAIN.words
    assert not set(DOMAIN.word_bank) & set(DOMAIN.subjects)


@pytest.mark.parametrize(
    ("name", "share"),
    [("sleeping", 0.25), ("meowing", 0.15), ("collar", 0.35), ("hat", 0.15), ("glasses", 0.12), ("fluffy", 0.35), ("young", 0.25)],
)
def test_attributes_occur_often_enough_for_every_edit(name: str, share: float) -> None:
    assert abs(np.mean([getattr(each.attributes, name) for each in SAMPLES]) - share) < 0.04


def test_every_pose_occurs_often() -> None:
    for pose in ("left", "right", "up"):
        assert abs(np.mean([each.attributes.pose == pose for each in SAMPLES]) - 0.15) < 0.04


def test_labels_index_the_classes_of_every_attribute() -> None:
    assert set(DOMAIN.labels) == {field.name for field in fields(Attributes)}
    label = DOMAIN.label(Attributes("right", hat=True))
    assert DOMAIN.labels["pose"][label["pose"]] == "right"
    assert DOMAIN.labels["hat"][label["hat"]] == "yes"
    assert DOMAIN.labels["collar"][label["collar"]] == "no"


def test_another_photo_keeps_the_cat_and_changes_the_rest() -> None:
    for subject in SAMPLES[:40]:
        other = DOMAIN.another_photo(subject, 7)
        assert other == DOMAIN.another_photo(subject, 7)
        assert other.identity == subject.identity
        assert other.setting != subject.setting
        assert (other.attributes.fluffy, other.attributes.young) == (subject.attributes.fluffy, subject.attributes.young)
    assert len({DOMAIN.another_photo(SAMPLES[0], seed).attributes.pose for seed in range(30)}) == 4


def test_an_unknown_attribute_or_value_is_refused() -> None:
    subject = SAMPLES[0]
    with pytest.raises(ValueError, match="unknown attributes: beard; choose from pose, sleeping"):
        DOMAIN.change(subject, beard=True)
    with pytest.raises(ValueError, match="unknown pose 'down'; choose from front, left, right, up"):
        DOMAIN.change(subject, pose="down")
    with pytest.raises(ValueError, match="hat must be True or False, got 'red'"):
        DOMAIN.change(subject, hat="red")


def test_identity_vectors_have_about_zero_mean_and_unit_variance() -> None:
    vectors = np.stack([DOMAIN.identity_vector(each.identity) for each in SAMPLES])
    assert vectors.shape[1] == len(DOMAIN.identity_names)
    assert np.abs(vectors.mean(axis=0)).max() < 0.35
    assert vectors.std(axis=0).min() > 0.7
    assert vectors.std(axis=0).max() < 1.3


def test_identity_vectors_depend_on_the_identity_alone() -> None:
    subject = SAMPLES[3]
    wider = replace(subject.identity, face_width=subject.identity.face_width + 0.05)
    difference = DOMAIN.identity_vector(wider) - DOMAIN.identity_vector(subject.identity)
    assert [name for name, value in zip(DOMAIN.identity_names, difference, strict=True) if value] == ["face_width"]
