"""Named identities and looks: their names, their photos, and what the shards and the tokenizer hold of them."""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from lab.training.dataset import CAPTIONS, DOMAINS, FOCUS, FOCUS_LEVELS, SIZE, Part, Plan, captions, render_shard
from lab.training.tokenizer import build_tokenizer
from lab.world.domain import UNSEEN
from lab.world.names import MOST, Looks, Naming, name_of, with_name
from tests.unit.lab.training.portrait_domain import DOMAIN

MODULE = "tests.unit.lab.training.portrait_domain"
NAMING = Naming(named=2, photos=3, first=10)


def test_names_are_all_different_and_neighbours_unlike() -> None:
    names = [name_of(number) for number in range(MOST)]
    assert len(set(names)) == MOST
    assert all(a[:2] != b[:2] for a, b in pairwise(names))
    with pytest.raises(ValueError, match="there is none for 10000"):
        name_of(MOST)


def test_a_name_stands_where_the_identity_token_will() -> None:
    assert with_name("a photo of a smiling old woman with a hat", "bazo", ("woman", "man")) == (
        "a photo of a smiling old bazo woman with a hat"
    )
    with pytest.raises(ValueError, match="has none of the subject words cat"):
        with_name("a photo of a woman", "bazo", ("cat",))


def test_the_photos_of_a_named_identity_differ_in_all_else() -> None:
    shown = [NAMING.shown(DOMAIN, seed) for seed in range(7)]
    assert [name for _, name in shown] == [*[name_of(10)] * 3, *[name_of(11)] * 3, None]
    (first, _), (second, _), (third, _), (other, _), *_ = shown
    assert first == DOMAIN.sample(0)
    assert first.identity == second.identity == third.identity != other.identity
    assert len({repr(subject.attributes) for subject in (first, second, third)}) == 3
    assert shown[6][0] == DOMAIN.sample(6)


@pytest.mark.parametrize("text", DOMAINS)
def test_every_domain_draws_the_same_identity_in_several_photos(text: str) -> None:
    domain = Part.parsed(text).domain
    photos = [Naming(named=1, photos=4).shown(domain, seed)[0] for seed in range(4)]
    assert len({repr(photo.identity) for photo in photos}) == 1
    assert len({repr((photo.attributes, photo.setting)) for photo in photos}) == 4
    assert all(with_name(domain.caption(photo.attributes), "bazo", domain.subjects).count("bazo") == 1 for photo in photos)


def test_half_of_the_captions_of_a_named_photo_hold_the_name() -> None:
    found = captions(DOMAIN, 1, NAMING)
    named = [name_of(10) in text.split() for text in found]
    assert len(found) == CAPTIONS
    assert (named[0], sum(named)) == (False, CAPTIONS // 2)
    plain = captions(DOMAIN, 6, NAMING)
    assert plain == captions(DOMAIN, 6)


def plan_of(folder: Path, naming: str) -> Plan:
    return Plan((Part.parsed(f"{MODULE}:12:1.0{naming}"),), folder)


def test_a_shard_holds_the_photos_of_named_identities_and_their_captions(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, ":2:3")
    naming = plan.namings["portrait"]
    shard = render_shard(DOMAIN, plan.vocabulary, range(7), naming)
    assert np.array_equal(shard["identity"][0], shard["identity"][2])
    assert not np.array_equal(shard["pixels"][0], shard["pixels"][2])
    assert np.array_equal(shard["pixels"][2], np.asarray(DOMAIN.render(naming.shown(DOMAIN, 2)[0])))
    assert np.array_equal(shard["tokens"][2][1], plan.vocabulary.encode(captions(DOMAIN, 2, naming)[1]))
    assert plan.folders["portrait"] != plan_of(tmp_path, "").folders["portrait"]
    assert plan_of(tmp_path, ":0:4").folders["portrait"] == plan_of(tmp_path, "").folders["portrait"]
    unseen = render_shard(DOMAIN, plan.vocabulary, [UNSEEN], naming)
    assert np.array_equal(unseen["pixels"][0], np.asarray(DOMAIN.render(DOMAIN.sample(UNSEEN))))


def test_a_name_is_one_token_of_the_tokenizer(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, ":4:3")
    tokenizer = build_tokenizer(plan.words)
    names = plan.namings["portrait"].names()
    assert len(names) == 4
    assert all(len(tokenizer.tokenize(name)) == 1 for name in names)
    text = captions(DOMAIN, 1, plan.namings["portrait"])[1]
    assert plan.vocabulary.encode(text) == tokenizer([text], padding="max_length").input_ids[0]


def test_thousands_of_names_are_one_token_each(tmp_path: Path) -> None:
    plan = Plan((Part.parsed(f"{MODULE}:40000:1.0:4000:8"),), tmp_path)
    start, end, *_ = plan.vocabulary.encode("")
    for name in plan.namings["portrait"].names()[::97]:
        ids = plan.vocabulary.encode(name)
        assert ids[0] == start
        assert ids[2] == end, name


def test_domains_share_the_names_and_a_part_is_checked(tmp_path: Path) -> None:
    options = argparse.Namespace(domain=["lab.world.person:800:0.6:30:8", "lab.world.cat:400:0.4:20:8"], work=tmp_path)
    people, cats = Plan.of(options).parts
    assert not set(people.naming.names()) & set(cats.naming.names())
    assert Plan.of(options).bare().parts == (people, cats)
    with pytest.raises(ValueError, match="names more photos than the 100 pictures"):
        Part.parsed(f"{MODULE}:100:1.0:30:4")
    with pytest.raises(ValueError, match="there are 10000 names"):
        Part.parsed(f"{MODULE}:100000:1.0:10001:4")
    with pytest.raises(ValueError, match=r"expected MODULE:PICTURES:WEIGHT\[:NAMED:PHOTOS\[:LOOKS\]\]"):
        Part.parsed(f"{MODULE}:100:1.0:30")


LOOKS = Naming(named=1, photos=2, looks=(Looks("makeup", 2, 3), Looks("hat", 1, 2)), first_look=5)


def test_the_photos_of_a_named_look_show_it_on_different_people() -> None:
    assert [LOOKS.look(seed) for seed in range(10)] == [None] * 2 + [("makeup", 0)] * 3 + [("makeup", 1)] * 3 + [("hat", 2)] * 2
    names = [LOOKS.shown(DOMAIN, seed)[1] for seed in range(11)]
    looks = [name_of(MOST - 6), name_of(MOST - 7), name_of(MOST - 8)]
    assert names == [name_of(0)] * 2 + [looks[0]] * 3 + [looks[1]] * 3 + [looks[2]] * 2 + [None]
    assert LOOKS.names() == (name_of(0), *looks)
    first, second = ([LOOKS.shown(DOMAIN, seed)[0] for seed in seeds] for seeds in (range(2, 5), range(5, 8)))
    assert all(photo.attributes.makeup for photo in first + second)
    assert len({repr(photo.identity.makeup_style) for photo in first}) == 1
    assert first[0].identity.makeup_style != second[0].identity.makeup_style
    assert len({photo.identity.skin for photo in first + second}) == 6
    hats = [LOOKS.shown(DOMAIN, seed)[0] for seed in (8, 9)]
    assert all(photo.attributes.hat for photo in hats)
    assert (hats[0].identity.hat, hats[0].identity.hat_colour) == (hats[1].identity.hat, hats[1].identity.hat_colour)


def test_the_name_of_a_look_stands_where_the_attribute_token_will() -> None:
    found = captions(DOMAIN, 2, LOOKS)
    name = name_of(MOST - 6)
    named = [text for text in found if name in text.split()]
    assert all(f"{name} makeup" in text for text in named)
    mentioned = [text for i, text in enumerate(found) if i % 2 and "makeup" in text.split()]
    assert (named, name in found[0]) == (mentioned, False)
    assert len(named) > CAPTIONS // 4


@pytest.mark.parametrize("text", DOMAINS)
def test_every_domain_draws_its_looks(text: str) -> None:
    domain = Part.parsed(text).domain
    for word in domain.looks:
        naming = Naming(looks=(Looks(word, 1, 1),))
        photo, name = naming.shown(domain, 0)
        assert getattr(photo.attributes, word) is True
        assert f"{name} {word}" in " ".join(naming.captions(domain, 0, CAPTIONS))


def test_a_shard_says_where_a_named_look_shows(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, ":1:2:makeup=1x2")
    naming = plan.namings["portrait"]
    shard = render_shard(DOMAIN, plan.vocabulary, range(5), naming)
    assert not shard["focus"][[0, 1, 4]].any()
    for i in (2, 3):
        subject = naming.shown(DOMAIN, i)[0]
        plain = np.asarray(DOMAIN.render(DOMAIN.change(subject, makeup=False)))
        changed = np.abs(shard["pixels"][i].astype(int) - plain).max(axis=2) > FOCUS_LEVELS
        assert changed.any()
        seen = shard["focus"][i].repeat(SIZE // FOCUS, axis=0).repeat(SIZE // FOCUS, axis=1)
        assert not (changed & ~seen).any()
        assert seen.mean() < 0.2
    assert f"{naming.names()[1]} makeup" in " ".join(captions(DOMAIN, 2, naming))


@pytest.mark.parametrize(
    ("looks", "message"),
    [("beard=1x2", "portrait has no looks of beard"), ("makeup=9x9", "names more photos"), ("makeup", "expected MODULE")],
)
def test_looks_are_checked(looks: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Part.parsed(f"{MODULE}:12:1.0:0:4:{looks}")
