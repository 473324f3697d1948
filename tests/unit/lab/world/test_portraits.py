"""The synthetic world: reproducible portraits, and ground truths that change nothing but the edited attribute."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import numpy as np
import pytest

from lab.training.tokenizer import MAX_TOKENS, WORDS, build_tokenizer
from lab.world.drawing import PARTS, SIZE, SUPERSAMPLING
from lab.world.people import WORD_BANK, Attributes, Person, caption, replace_attributes, sample_person
from lab.world.portraits import part_masks, person_mask, render

FULL = Attributes(
    hair_length="long",
    curly=True,
    expression="surprised",
    sunglasses=True,
    hat=True,
    beard=True,
    lipstick=True,
    blush=True,
    earrings=True,
    eye_shadow=True,
)


def test_a_seed_always_gives_the_same_person() -> None:
    assert sample_person(5) == sample_person(5)
    assert sample_person(5) != sample_person(6)
    assert np.array_equal(np.asarray(render(sample_person(5))), np.asarray(render(sample_person(5))))


@pytest.mark.parametrize("number", range(4))
def test_the_parts_of_a_pixel_add_up_to_one(number: int) -> None:
    masks = part_masks(sample_person(number))
    assert set(masks) == set(PARTS)
    assert np.allclose(sum(masks.values()), 1.0)


def test_an_edit_changes_the_attribute_and_keeps_the_identity() -> None:
    person = Person(sample_person(1).identity, Attributes(hair_colour="black"))
    edited = replace_attributes(person, hair_colour="red")
    assert edited.identity == person.identity
    before, after = np.asarray(render(person)).astype(int), np.asarray(render(edited)).astype(int)
    masks = part_masks(person)
    untouched = masks["background"] + masks["clothes"] == 1.0
    assert untouched.sum() > 1000
    assert np.abs(before - after)[untouched].mean() < 0.1  # resampling causes ripples beside the hair
    assert (np.abs(before - after)[:, 16:112] == 0)[120:].all()
    assert np.abs(before - after)[masks["hair"] == 1.0].mean() > 30


AS_DRAWN = SIZE * SUPERSAMPLING


@pytest.mark.parametrize(
    ("start", "change", "parts"),
    [
        ({}, {"hair_colour": "red"}, {"hair", "brows"}),
        ({"beard": True, "gender": "man"}, {"hair_colour": "blond"}, {"hair", "brows", "beard"}),
        ({}, {"glasses": True}, {"glasses"}),
        ({}, {"hat": True}, {"hat"}),
        ({}, {"earrings": True}, {"earrings"}),
        ({}, {"expression": "smiling"}, {"mouth", "eyes", "brows"}),
        ({}, {"lipstick": True}, {"mouth"}),
    ],
)
def test_an_edit_draws_only_its_own_parts(start: dict[str, Any], change: dict[str, Any], parts: set[str]) -> None:
    """Compare at drawing size, without resampling: a pixel that differs shows one of these parts before or after."""
    person = Person(sample_person(4).identity, Attributes(**start))
    edited = replace_attributes(person, **change)
    pictures = [np.asarray(render(each, AS_DRAWN)) for each in (person, edited)]
    differs = (pictures[0] != pictures[1]).any(axis=2)
    before, after = part_masks(person, AS_DRAWN), part_masks(edited, AS_DRAWN)
    allowed = sum(before[part] + after[part] for part in parts)
    assert differs.any()
    assert not (differs & (np.asarray(allowed) == 0)).any()


@pytest.mark.parametrize("size", [64, 128, 512])
def test_portraits_are_square_rgb_of_the_requested_size(size: int) -> None:
    picture = render(sample_person(7), size)
    assert (picture.mode, picture.size) == ("RGB", (size, size))
    low, high = np.asarray(picture).min(), np.asarray(picture).max()
    assert low < 60
    assert high > 200


def test_the_size_of_part_masks_must_divide_the_drawing_size() -> None:
    with pytest.raises(ValueError, match="size must divide 512"):
        part_masks(sample_person(0), 100)


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Attributes)])
def test_every_attribute_is_visible(name: str) -> None:
    """Check the size that the model sees and the median person: dark bangs on dark skin hardly show."""
    other = {"gender": "man", "hair_colour": "blond", "hair_length": "long", "expression": "sad"}.get(name, True)
    changed = []
    for number in range(7):
        person = Person(sample_person(number).identity, Attributes())
        before, after = (np.asarray(render(each)).astype(int) for each in (person, replace_attributes(person, **{name: other})))
        changed.append(int((np.abs(before - after).max(axis=2) > 24).sum()))
    assert np.median(changed) >= 20


def test_glasses_and_sunglasses_exclude_each_other() -> None:
    person = Person(sample_person(1).identity, Attributes(sunglasses=True))
    assert not replace_attributes(person, glasses=True).attributes.sunglasses
    with pytest.raises(ValueError, match="not both"):
        Attributes(glasses=True, sunglasses=True)


def test_a_hat_removes_bangs() -> None:
    with pytest.raises(ValueError, match="a hat or bangs"):
        Attributes(hat=True, bangs=True)
    person = Person(sample_person(1).identity, Attributes(bangs=True))
    assert replace_attributes(person, hat=True).attributes == Attributes(hat=True)
    drawn = [sample_person(number).attributes for number in range(500)]
    assert any(has.hat for has in drawn)
    assert any(has.bangs for has in drawn)
    with pytest.raises(ValueError, match="unknown attributes: monocle"):
        replace_attributes(person, monocle=True)


def test_the_identity_mask_excludes_clothes_and_background() -> None:
    person = sample_person(3)
    mask = np.asarray(person_mask(person)) / 255
    masks = part_masks(person)
    assert mask[masks["face"] == 1.0].min() == 1.0
    assert mask[masks["background"] == 1.0].max() == 0.0
    assert mask[masks["clothes"] == 1.0].max() == 0.0


def test_captions_fit_and_the_longest_names_every_attribute() -> None:
    tokenizer = build_tokenizer()
    lengths = [len(tokenizer(caption(sample_person(i).attributes)).input_ids) for i in range(500)]
    assert max(lengths) <= MAX_TOKENS - 1  # the placeholder needs one more
    text = caption(FULL)
    for word in ("surprised", "woman", "long", "curly", "sunglasses", "hat", "beard", "lipstick", "blush", "earrings"):
        assert word in text


def test_every_word_of_the_world_is_one_token() -> None:
    tokenizer = build_tokenizer()
    split = [word for word in (*WORDS, *WORD_BANK) if len(tokenizer(word, add_special_tokens=False).input_ids) != 1]
    assert not split


def test_the_longest_caption_fits_with_begin_end_and_placeholder() -> None:
    tokens = len(build_tokenizer()(caption(FULL)).input_ids)
    assert tokens + 1 <= MAX_TOKENS


def test_captions_use_only_words_that_the_tokenizer_knows() -> None:
    used = {word for i in range(300) for word in caption(sample_person(i).attributes).replace(",", "").split()}
    assert used <= set(WORDS)


def test_captions_leave_words_unsaid_only_when_asked_to() -> None:
    rng = random.Random(0)
    assert len({caption(FULL, rng) for _ in range(20)}) > 5
    assert caption(FULL) == caption(FULL)
