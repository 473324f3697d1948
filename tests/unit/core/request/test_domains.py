"""The word bank of a subject, and how a model's card names the domains."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from s2edit_core.base_model.model_card import ModelCard
from s2edit_core.errors import ModelUnusable
from s2edit_core.request.domains import (
    DEFAULT_DOMAINS,
    Domain,
    Placement,
    attribute_words_of,
    named_by_both,
    subjects_of,
    unknown_words,
    word_bank,
    word_warnings,
)

PEOPLE, CATS = Domain(("woman", "Man"), ("hat", "smiling")), Domain(("cat",), ("fluffy", "hat"))
BOTH = (PEOPLE, CATS)


def card(folder: Path, **values: object) -> ModelCard:
    (folder / "s2edit.json").write_text(json.dumps(values))
    return ModelCard.read(folder)


def test_an_identity_has_the_attribute_words_of_its_domain() -> None:
    assert word_bank(BOTH, "woman") == word_bank(BOTH, "man") == ("hat", "smiling")
    assert word_bank(BOTH, "cat") == ("fluffy", "hat")


def test_a_subject_of_no_domain_has_the_attribute_words_of_all() -> None:
    assert word_bank(BOTH, "red panda") == ("hat", "smiling", "fluffy")


def test_an_attribute_has_the_subject_words_of_all_domains() -> None:
    """A hat that was learned on a woman may be asked for on a cat."""
    assert word_bank(BOTH, "hat", "[A]") == ("woman", "Man", "cat")


def test_the_default_domains_keep_a_persons_identity_from_the_words_of_people_alone() -> None:
    assert "mustache" in word_bank(DEFAULT_DOMAINS, "girl")
    assert not {"scaffolding", "fluffy"} & set(word_bank(DEFAULT_DOMAINS, "girl"))
    assert "scaffolding" in word_bank(DEFAULT_DOMAINS, "church")
    assert len(subjects_of(DEFAULT_DOMAINS)) == sum(len(domain.subjects) for domain in DEFAULT_DOMAINS), "each subject has one"
    assert not set(subjects_of(DEFAULT_DOMAINS)) & set(attribute_words_of(DEFAULT_DOMAINS))


def test_a_card_names_its_domains(tmp_path: Path) -> None:
    read = card(tmp_path, domains=[{"subjects": ["woman"], "attribute_words": ["hat"]}, {"subjects": ["church"]}])
    assert read.domains == (Domain(("woman",), ("hat",)), Domain(("church",), ()))
    assert read.subjects == ("woman", "church")


def test_a_card_says_whose_edits_change_the_scene(tmp_path: Path) -> None:
    read = card(tmp_path, domains=[{"subjects": ["woman"]}, {"subjects": ["church"], "scene": True}])
    assert [read.changes_scene(word) for word in ("woman", "Church", "tower", "")] == [False, True, False, False]
    assert ModelCard().changes_scene("church")


def test_a_card_says_where_its_pictures_show_a_subject(tmp_path: Path) -> None:
    placed = {"context": 1.2, "widest": 1.3, "headroom": 0.1, "share": 0.3, "fullest": 0.5, "aside": 0.1, "square": True}
    read = card(tmp_path, domains=[{"subjects": ["cat"], "placement": placed}, {"subjects": ["woman"]}])
    assert read.placement("Cat") == Placement(1.2, 1.3, 0.1, 0.3, 0.5, 0.1, square=True)
    assert read.placement("woman") == ModelCard().placement("woman") == Placement()
    assert read.placement("makeup") == read.placement("cat"), "an unknown subject counts as one of the first domain"


CLOSED = (
    Domain(("woman", "person"), ("hat", "glasses", "makeup"), closed_vocabulary=True),
    Domain(("cat",), ("fluffy", "hat"), closed_vocabulary=True),
)


@pytest.mark.parametrize(
    ("prompt", "unknown"),
    [
        ("A photo of a Woman with [I] and hats, wearing [A] makeup", ()),
        ("people with glasses", ()),
        ("a woman with [A] makup", ("makup",)),
        ("a woman without glasses, no hat", ("without", "no")),
        ("a woman with purple hair, purple hat", ("purple", "hair")),
        ("a short-haired woman's hat", ("short-haired", "woman's")),
        ("a fluffy cat with makeup", ("makeup",)),  # a word of another domain
        ("a woman beside a fluffy cat", ("beside",)),
        ("a dog with makeup", ("dog",)),  # all domains count where none is named
    ],
)
def test_words_that_a_closed_vocabulary_lacks_are_named(prompt: str, unknown: tuple[str, ...]) -> None:
    assert unknown_words(CLOSED, prompt) == unknown


@pytest.mark.parametrize("domains", [BOTH, DEFAULT_DOMAINS, (*CLOSED[:1], CATS), ()])
def test_an_open_vocabulary_has_every_word(domains: tuple[Domain, ...]) -> None:
    assert unknown_words(domains, "a woman with a cat and a zeppelin") == ()


def test_a_warning_names_the_words() -> None:
    assert word_warnings(CLOSED, "a woman with glasses") == []
    assert "the word \u201cmakup\u201d," in word_warnings(CLOSED, "a woman with [A] makup")[0]
    (warning,) = word_warnings(CLOSED, "a tall woman with eye shadow")
    assert "the words \u201ctall\u201d, \u201ceye\u201d and \u201cshadow\u201d," in warning
    (warning,) = word_warnings(CLOSED, "a tall woman with Eye shadow", only="eye  Shadow")
    assert "the words \u201ceye\u201d and \u201cshadow\u201d," in warning
    (warning,) = word_warnings(CLOSED, "a tall woman", "glasses, zeppelins, tall hats")
    assert "the words \u201ctall\u201d and \u201czeppelins\u201d," in warning


def test_a_card_says_that_its_vocabulary_is_closed(tmp_path: Path) -> None:
    read = card(tmp_path, domains=[{"subjects": ["woman"], "closed_vocabulary": True}, {"subjects": ["cat"]}])
    assert [domain.closed_vocabulary for domain in read.domains] == [True, False]


def test_a_card_of_one_domain_may_be_flat(tmp_path: Path) -> None:
    assert card(tmp_path, subjects=["cat"], attribute_words=["fluffy"]).domains == (Domain(("cat",), ("fluffy",)),)
    assert card(tmp_path, guidance_scale=2).domains == DEFAULT_DOMAINS
    only_words = card(tmp_path, attribute_words=["fluffy"])
    assert only_words.domains == (Domain(subjects_of(DEFAULT_DOMAINS), ("fluffy",)),)


@pytest.mark.parametrize(
    ("prompt", "negative", "named"),
    [
        ("a woman with long red hair", "Red hair", ("red hair",)),
        ("a [I] woman with a hat and glasses", "blurry, a hat; earrings and glasses", ("hat", "glasses")),
        ("a woman with red hair", "brown hair", ()),
        ("a woman with red hair", "a, the", ()),
        ("a woman with red hair", "", ()),
        ("a woman", "an ugly woman", ()),
    ],
)
def test_a_negative_prompt_may_name_what_the_prompt_asks_for(prompt: str, negative: str, named: tuple[str, ...]) -> None:
    assert named_by_both(prompt, negative) == named
    expected = [f"the negative_prompt speaks against \u201c{each}\u201d, which the prompt asks for" for each in named[:1]]
    assert word_warnings(BOTH, prompt, negative) == expected


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"domains": []}, "at least one domain"),
        ({"domains": {"subjects": ["cat"]}}, "at least one domain"),
        ({"domains": ["cat"]}, "expected a domain as an object"),
        ({"domain": [{"subjects": ["cat"]}]}, "there is no entry 'domain'; known are domains, "),
        ({"domains": [{"subjects": ["cat"], "scenes": True}]}, "there is no entry 'scenes'; known are subjects, "),
        ({"domains": [{"attribute_words": ["hat"]}]}, "subjects"),
        ({"domains": [{"subjects": []}]}, "there are no subjects"),
        ({"domains": [{"subjects": ["cat"], "attribute_words": "hat"}]}, "expected a list of words"),
        ({"domains": [{"subjects": ["cat"], "closed_vocabulary": "yes"}]}, "closed_vocabulary must be true or false"),
        ({"domains": [{"subjects": ["cat"], "placement": 1.5}]}, "placement must be an object"),
        ({"domains": [{"subjects": ["cat"], "placement": {"side": 1.5}}]}, "placement must be an object"),
        ({"domains": [{"subjects": ["cat"], "placement": {"context": 0.5}}]}, "context must be 1 or more"),
        ({"domains": [{"subjects": ["cat"], "placement": {"context": 3}}]}, "at most widest"),
        ({"domains": [{"subjects": ["cat"], "placement": {"headroom": 2}}]}, "headroom must be from 0 to 1"),
        ({"domains": [{"subjects": ["cat"], "placement": {"headroom": "much"}}]}, "expected a number"),
        ({"domains": [{"subjects": ["cat"], "placement": {"share": 0.3}}]}, "share and fullest belong together"),
        ({"domains": [{"subjects": ["cat"], "placement": {"share": 0.6, "fullest": 0.5}}]}, "at most fullest"),
        ({"domains": [{"subjects": ["cat"], "placement": {"share": 0, "fullest": 0.5}}]}, "share must be above 0"),
        ({"domains": [{"subjects": ["cat"], "placement": {"share": 0.5, "fullest": 1.5}}]}, "at most 1"),
        ({"domains": [{"subjects": ["cat"], "placement": {"aside": 0.6}}]}, "aside must be from 0 to 0.5"),
        ({"domains": [{"subjects": ["cat"], "placement": {"square": 1}}]}, "square must be true or false"),
        ({"domains": [{"subjects": ["cat"]}], "subjects": ["cat"]}, "subjects must be inside the domains"),
    ],
)
def test_unusable_domains_are_refused_with_the_reason(values: dict[str, object], fault: str, tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match=fault):
        card(tmp_path, **values)
