"""The synthetic world: the same on every machine, and with true answers that are true."""

from __future__ import annotations

import random

import numpy as np
import pytest

from lab.portraits import (
    PARTS,
    WORD_BANK,
    Attributes,
    Person,
    caption,
    part_masks,
    person_mask,
    render,
    replace_attributes,
    sample_person,
)
from lab.train_denoiser import MAX_TOKENS, build_tokenizer

FULL = Attributes(
    hair_length="long",
    curly=True,
    expression="surprised",
    bangs=True,
    sunglasses=True,
    hat=True,
    beard=True,
    lipstick=True,
    blush=True,
    earrings=True,
    eye_shadow=True,
)


def test_the_same_number_is_the_same_person() -> None:
    assert sample_person(5) == sample_person(5)
    assert sample_person(5) != sample_person(6)
    assert np.array_equal(np.asarray(render(sample_person(5))), np.asarray(render(sample_person(5))))


@pytest.mark.parametrize("number", range(4))
def test_the_parts_of_a_pixel_add_up_to_one(number: int) -> None:
    masks = part_masks(sample_person(number))
    assert set(masks) == set(PARTS)
    assert np.allclose(sum(masks.values()), 1.0)


def test_an_edit_changes_the_attribute_and_never_the_identity() -> None:
    person = Person(sample_person(1).identity, Attributes(hair_colour="black"))
    edited = replace_attributes(person, hair_colour="red")
    assert edited.identity == person.identity
    before, after = np.asarray(render(person)).astype(int), np.asarray(render(edited)).astype(int)
    masks = part_masks(person)
    untouched = masks["background"] + masks["clothes"] == 1.0
    assert untouched.sum() > 1000
    assert np.abs(before - after)[untouched].mean() < 0.1  # but for the resampling's ripples beside the hair
    assert (np.abs(before - after)[:, 16:112] == 0)[120:].all()
    assert np.abs(before - after)[masks["hair"] == 1.0].mean() > 30


def test_glasses_and_sunglasses_exclude_each_other() -> None:
    person = Person(sample_person(1).identity, Attributes(sunglasses=True))
    assert not replace_attributes(person, glasses=True).attributes.sunglasses
    with pytest.raises(ValueError, match="not both"):
        Attributes(glasses=True, sunglasses=True)
    with pytest.raises(ValueError, match="unknown attributes: monocle"):
        replace_attributes(person, monocle=True)


def test_the_identity_mask_leaves_clothes_and_background_out() -> None:
    person = sample_person(3)
    mask = np.asarray(person_mask(person)) / 255
    masks = part_masks(person)
    assert mask[masks["face"] == 1.0].min() == 1.0
    assert mask[masks["background"] == 1.0].max() == 0.0
    assert mask[masks["clothes"] == 1.0].max() == 0.0


def test_captions_fit_and_the_fullest_names_everything() -> None:
    tokenizer = build_tokenizer()
    lengths = [len(tokenizer(caption(sample_person(i).attributes)).input_ids) for i in range(500)]
    assert max(lengths) <= MAX_TOKENS - 1  # the placeholder is one more
    text = caption(FULL)
    for word in ("surprised", "woman", "long", "curly", "bangs", "sunglasses", "hat", "beard", "lipstick", "blush", "earrings"):
        assert word in text


@pytest.mark.parametrize("word", WORD_BANK)
def test_every_attribute_word_is_one_token(word: str) -> None:
    assert len(build_tokenizer()(word, add_special_tokens=False).input_ids) == 1


def test_captions_leave_words_unsaid_only_when_asked_to() -> None:
    rng = random.Random(0)
    assert len({caption(FULL, rng) for _ in range(20)}) > 5
    assert caption(FULL) == caption(FULL)
