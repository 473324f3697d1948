"""Named identities: their names, their photos, and what the shards and the tokenizer hold of them."""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from lab.training.dataset import CAPTIONS, DOMAINS, Part, Plan, captions, render_shard
from lab.training.tokenizer import build_tokenizer
from lab.world.domain import UNSEEN
from lab.world.names import MOST, Naming, name_of, with_name
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
    with pytest.raises(ValueError, match=r"expected MODULE:PICTURES:WEIGHT\[:NAMED:PHOTOS\]"):
        Part.parsed(f"{MODULE}:100:1.0:30")
