"""Captions of people: natural sentences of known words, and the classes that a judge learns."""

from __future__ import annotations

import random
import re

import pytest

from lab.world.person import DOMAIN
from lab.world.person.identity import Attributes


@pytest.mark.parametrize(
    ("attributes", "sentence"),
    [
        (Attributes(), "a photo of a woman with short brown hair"),
        (
            Attributes(
                expression="smiling",
                age="old",
                hair_length="long",
                curly=True,
                hair_colour="red",
                glasses=True,
                makeup=True,
                pose="left",
            ),
            "a photo of a smiling old woman with long curly red hair, glasses and makeup, turned left",
        ),
        (
            Attributes(gender="man", age="young", hair_colour="black", hat=True, pose="up"),
            "a photo of a young man with short black hair and a hat, looking up",
        ),
        (Attributes(age="old", gender="man"), "a photo of an old man with short brown hair"),
    ],
)
def test_a_caption_without_rng_names_every_attribute(attributes: Attributes, sentence: str) -> None:
    assert DOMAIN.caption(attributes) == sentence


def test_captions_use_only_the_words_of_the_domain_and_never_what_goes_without_saying() -> None:
    seen: set[str] = set()
    for seed in range(600):
        subject = DOMAIN.sample(seed)
        for rng in (None, random.Random(seed)):
            words = set(re.findall(r"[a-z]+", DOMAIN.caption(subject.attributes, rng)))
            assert words <= DOMAIN.words
            assert not words & {"adult", "front", "neutral"}
            seen |= words
    assert seen == DOMAIN.words


def test_captions_with_rng_omit_some_attributes_and_repeat_for_the_same_rng() -> None:
    attributes = Attributes(expression="sad", curly=True, glasses=True, earrings=True, makeup=True, pose="right")
    drawn = [DOMAIN.caption(attributes, random.Random(seed)) for seed in range(40)]
    assert len(set(drawn)) > 5
    assert drawn[7] == DOMAIN.caption(attributes, random.Random(7))
    assert any("person" in each for each in drawn)


def test_the_word_bank_has_no_subject_word() -> None:
    assert not set(DOMAIN.word_bank) & set(DOMAIN.subjects)
    assert {*DOMAIN.word_bank, *DOMAIN.subjects} <= DOMAIN.words


def test_labels_are_the_index_of_each_value() -> None:
    found = DOMAIN.label(Attributes(gender="man", age="old", pose="up", beard=True))
    assert set(found) == set(DOMAIN.labels)
    assert DOMAIN.labels["age"][found["age"]] == "old"
    assert DOMAIN.labels["pose"][found["pose"]] == "up"
    assert (found["gender"], found["beard"], found["makeup"]) == (0, 1, 0)


def test_every_class_occurs_in_at_least_one_sample_in_ten() -> None:
    labels = [DOMAIN.label(DOMAIN.sample(seed).attributes) for seed in range(2000)]
    for name, classes in DOMAIN.labels.items():
        for index, value in enumerate(classes):
            share = sum(each[name] == index for each in labels) / len(labels)
            assert share > 0.1, (name, value, share)
