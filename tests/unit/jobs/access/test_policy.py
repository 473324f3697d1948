"""The policy: blocked terms in every spelling, and prompts that only look similar."""

from __future__ import annotations

from pathlib import Path

import pytest

from s2edit_core.errors import PolicyRefused
from s2edit_jobs.access.policy import SHIPPED_LIST, AllOf, BlockList
from s2edit_jobs.bootstrap import open_policy
from s2edit_jobs.settings import Settings

SHIPPED = BlockList.read(SHIPPED_LIST)
LIST = BlockList.of(["naked", "porn*", "no clothes", "gore"])


def refuses(policy: BlockList, text: str) -> bool:
    try:
        policy.check_prompt(text, field="prompt")
    except PolicyRefused:
        return True
    return False


@pytest.mark.parametrize(
    "text",
    [
        "naked",
        "a NAKED woman",
        "a (naked) woman",
        "a naked, smiling woman",
        "a half-naked woman",
        "naked_woman",
        "a náked woman",
        "a n\u0430k\u0435d woman",  # Cyrillic
        "a ｎａｋｅｄ woman",
        "a 𝐧𝐚𝐤𝐞𝐝 woman",
        "a ⓝⓐⓚⓔⓓ woman",
        "a na\u200bked woman",
        "a na\u00adked woman",
        "a n\u0336a\u0336k\u0336e\u0336d\u0336 woman",
        "a n4k3d woman",
        "a n@ked woman",
        "a n a k e d woman",
        "a n.a.k.e.d woman",
        "a n-4-k-3-d woman",
        "pornographic",
        "p0rn",
        "a woman with no   clothes",
        "a woman with no\nclothes",
        "a woman with no-clothes",
        "NO_CLOTHES",
        "naked" + " and smiling" * 300,
    ],
)
def test_a_term_is_found_however_it_is_written(text: str) -> None:
    assert refuses(LIST, text)


@pytest.mark.parametrize(
    "text",
    [
        "a woman",
        "nakedness of",
        "a snaked river",
        "Gorecki",
        "a person in no clothesline",
        "no new clothes",
        "category",
        "",
        "4 3 5",
    ],
)
def test_a_part_of_a_word_is_not_a_term(text: str) -> None:
    assert not refuses(LIST, text)


@pytest.mark.parametrize(
    "text",
    [
        "a photo of a woman with red hair, smiling, wearing a black dress",
        "a photo of an elderly man in Essex with a classic hat and a sextant",
        "a photo of a middle-aged person with grey beard and nice glasses",
        "a photo of a girl with analysis of 3 4 5 flowers",
        "a photo of a woman with bare shoulders in a swimsuit",
        "ein Foto einer Frau mit blonden Haaren, lächelnd",
        "фото женщины с короткими волосами",
        "赤い髪の女性の写真",
        "a photo of a [I] woman with [A] makeup",
    ],
)
def test_the_shipped_list_lets_ordinary_edits_pass(text: str) -> None:
    assert not refuses(SHIPPED, text)


@pytest.mark.parametrize("text", ["a nude woman", "undressed", "a woman without clothes", "porno", "a nazi uniform", "gory"])
def test_the_shipped_list_refuses(text: str) -> None:
    assert refuses(SHIPPED, text)


def test_every_term_of_the_shipped_list_is_found() -> None:
    lines = [line.partition("#")[0].strip() for line in SHIPPED_LIST.read_text(encoding="utf-8").splitlines()]
    terms = [line.rstrip("*") for line in lines if line]
    assert len(terms) > 40
    assert [term for term in terms if not refuses(SHIPPED, f"a photo of a woman, {term}")] == []


def test_the_refusal_names_the_part_and_not_the_term() -> None:
    with pytest.raises(PolicyRefused) as caught:
        LIST.check_prompt("a naked woman", field="source_prompt")
    assert (caught.value.field, caught.value.reason) == ("source_prompt", "policy_refused")
    assert "naked" not in str(caught.value)


@pytest.mark.parametrize("terms", [[], ["", " ", "*"]])
def test_an_empty_list_refuses_nothing(terms: list[str]) -> None:
    assert not refuses(BlockList.of(terms), "naked")


def test_terms_are_words_and_not_patterns() -> None:
    policy = BlockList.of(["a.b", "c+", "(d"])
    assert refuses(policy, "a.b")
    assert not refuses(policy, "axb cc d")


def test_a_hostile_prompt_is_read_in_no_time() -> None:
    for text in ("n " * 50_000, "a" * 100_000, "no " * 30_000, "\u0336" * 100_000, "porn" * 25_000 + "!"):
        LIST.check_prompt(text.replace("porn", "x"), field="prompt")


def test_a_list_and_a_checker_of_ones_own(tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("# ours\nclown*  # and its kin\n\n", encoding="utf-8")
    policy = open_policy(Settings(policy_block_list=words, policy_checker="tests.unit.jobs.access.test_policy:make_checker"))
    assert isinstance(policy, AllOf)
    policy.check_prompt("a naked woman", field="prompt")
    for text in ("clowns", "the house's word"):
        with pytest.raises(PolicyRefused):
            policy.check_prompt(text, field="prompt")
    with pytest.raises(PolicyRefused):
        policy.check_image(b"forbidden photo", field="image")
    policy.check_image(b"photo", field="image")


class Checker:
    def check_prompt(self, text: str, *, field: str) -> None:
        if "house" in text:
            raise PolicyRefused("not here", field=field)

    def check_image(self, data: bytes, *, field: str) -> None:
        if b"forbidden" in data:
            raise PolicyRefused("not here", field=field)


def make_checker(_: Settings) -> Checker:
    return Checker()
