"""Which tokens belong together: worked by hand, and properties of every pair of prompts."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from s2edit_core.concepts.conditioning import tokenize
from s2edit_core.concepts.prompt_alignment import (
    PromptTokens,
    align,
    align_refine,
    align_replace,
    common_subsequence,
    prompt_tokens,
)
from s2edit_core.errors import PromptInvalid
from s2edit_core.request.spec import PLACEHOLDER
from s2edit_core.unet.backbone import Backbone
from tests.tiny import TOKENS

WORDS = ("a", "photo", "woman", "man", "red", "hat", "[I]", "glasses,", "unheardof")


def by_hand(prompt: str, length: int = 10) -> PromptTokens:
    """One token for each word; "bob-cut" has two."""
    symbols, spans, at = ["<"], [(0, 0)], 0
    for word in prompt.split():
        for part in word.split("-"):
            symbols.append(part)
            spans.append((at, at + len(part)))
            at += len(part) + 1
    return PromptTokens(prompt, (*symbols, ">"), (*spans, (0, 0)), length)


def partners(read: Tensor) -> dict[int, int]:
    """Target position → source position."""
    return {int(j): int(i) for i, j in read.nonzero()}


# --- tokens and words --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prompt", ["a photo of a [I] woman, with Red hair", "[I]", "", "it's [I]'s [A] hat", "  two  spaces [A]"])
def test_tokens_stand_where_the_prompt_is_tokenised(backbone: Backbone, prompt: str) -> None:
    names = ("[I]", "[A]")
    tokens, ids = prompt_tokens(backbone, prompt, names), tokenize(backbone, prompt, names)
    assert tokens.length == len(ids.ids) == TOKENS
    assert ids.ids[len(tokens.symbols) - 1] == backbone.tokenizer.eos_token_id
    for i, symbol in enumerate(tokens.symbols):
        if symbol in names:
            assert i in ids.positions[str(symbol)]
        else:
            assert symbol == ids.ids[i]
    for name, positions in ids.positions.items():
        assert tokens.of_word(name) == positions


def test_a_word_is_found_in_any_case_and_before_punctuation_but_not_within_another(backbone: Backbone) -> None:
    tokens = prompt_tokens(backbone, "a Woman, a hat and a womanly hat.", ())
    assert [tokens.prompt[slice(*tokens.spans[i])] for i in tokens.of_word("woman")] == ["Woman"]
    assert len(tokens.of_word("hat")) == 2
    with pytest.raises(PromptInvalid, match="not a word of the prompt") as caught:
        tokens.of_word("wo")
    assert caught.value.reason == "word_not_in_prompt"


def test_a_word_of_several_tokens_has_all_their_positions(backbone: Backbone) -> None:
    tokens = prompt_tokens(backbone, "a zyx hat", ())
    assert len(tokens.of_word("zyx")) > 1
    assert "".join(tokens.prompt[slice(*tokens.spans[i])] for i in tokens.of_word("zyx")) == "zyx"
    assert tokens.words() == [(1,), tokens.of_word("zyx"), tokens.of_word("hat")]


def test_a_prompt_that_is_too_long_is_refused(backbone: Backbone) -> None:
    with pytest.raises(PromptInvalid, match="the source_prompt has"):
        prompt_tokens(backbone, "hat " * TOKENS, (), field="source_prompt")


# --- refine ------------------------------------------------------------------------------------------------------


def test_refine_worked_by_hand() -> None:
    """< a woman > _ _ _ _ _ _   →   < a smiling woman > _ _ _ _ _ : the new word keeps its own maps."""
    tokens = align_refine(by_hand("a woman"), by_hand("a smiling woman"))
    assert partners(tokens.read) == {0: 0, 1: 1, 3: 2, 4: 3, 5: 4, 6: 5, 7: 6, 8: 7, 9: 8}
    assert tokens.keep.tolist() == [0, 0, 1, 0, 0, 0, 0, 0, 0, 0]


def test_refine_to_a_shorter_prompt_worked_by_hand() -> None:
    """The target's last padding has no partner: it keeps its own map instead of reading a word's."""
    tokens = align_refine(by_hand("a red haired woman"), by_hand("a woman"))
    assert partners(tokens.read) == {0: 0, 1: 1, 2: 4, 3: 5, 4: 6, 5: 7, 6: 8, 7: 9}
    assert tokens.keep.tolist() == [0] * 8 + [1, 1]


def test_an_exchanged_word_keeps_its_own_maps_when_refining() -> None:
    tokens = align_refine(by_hand("a man with black hair"), by_hand("a man with red hair"))
    assert tokens.keep.nonzero().flatten().tolist() == [4]


def test_what_repeats_is_paired_from_the_end() -> None:
    assert common_subsequence(("a", "photo", "of", "a", "cat"), ("a", "cat")) == [(3, 0), (4, 1)]


# --- replace -----------------------------------------------------------------------------------------------------


def test_replace_worked_by_hand() -> None:
    """ "bob-cut" takes equal shares of "mane": what the one had, the two have together."""
    tokens = align_replace(by_hand("her mane shines"), by_hand("her bob-cut shines"))
    assert tokens.read[2].tolist() == [0, 0, 0.5, 0.5, 0, 0, 0, 0, 0, 0]
    others = {j: i for j, i in partners(tokens.read).items() if j not in (2, 3)}
    assert others == {0: 0, 1: 1, 4: 3, 5: 4, 6: 5, 7: 6, 8: 7, 9: 8}
    assert tokens.keep.abs().max() == 0


def test_replace_with_fewer_tokens_gathers_their_maps() -> None:
    tokens = align_replace(by_hand("her bob-cut shines"), by_hand("her mane shines"))
    assert tokens.read[:, 2].tolist() == [0, 0, 1, 1, 0, 0, 0, 0, 0, 0]
    assert tokens.keep.tolist() == [0] * 9 + [1]


def test_replace_refuses_prompts_of_different_numbers_of_words() -> None:
    with pytest.raises(PromptInvalid, match="equally many") as caught:
        align_replace(by_hand("a woman"), by_hand("a smiling woman"))
    assert caught.value.reason == "word_counts_differ"
    assert "refine" in str(caught.value)


# --- reweight ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["refine", "replace"])
def test_reweight_scales_the_columns_of_the_word_alone(mode: Any) -> None:
    source, target = by_hand("a man with hair"), by_hand("a man with hat")
    plain, scaled = align(source, target, mode), align(source, target, mode, {"hat": 2.5, "man": -1.0})
    for before, after in ((plain.read, scaled.read), (plain.keep, scaled.keep)):
        factors = torch.tensor([1, 1, -1.0, 1, 2.5, 1, 1, 1, 1, 1])
        assert torch.equal(after, before * factors)
    with pytest.raises(PromptInvalid):
        align(source, target, mode, {"scarf": 2.0})


# --- properties --------------------------------------------------------------------------------------------------

prompts = st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(source=prompts, target=prompts)
def test_refine_gives_each_token_one_origin_and_keeps_the_order(backbone: Backbone, source: str, target: str) -> None:
    here, there = (prompt_tokens(backbone, each, (PLACEHOLDER,)) for each in (source, target))
    tokens = align_refine(here, there)
    assert torch.equal(tokens.read.sum(dim=0) + tokens.keep, torch.ones(TOKENS))
    assert tokens.read.sum(dim=1).max() <= 1
    pairs = partners(tokens.read)
    assert [pairs[j] for j in sorted(pairs)] == sorted(pairs.values())
    for j, i in pairs.items():
        ends = len(here.symbols), len(there.symbols)
        assert (i < ends[0]) == (j < ends[1])
        if i < ends[0]:
            assert here.symbols[i] == there.symbols[j]
        else:
            assert i - ends[0] == j - ends[1]
    assert pairs[0] == 0
    assert pairs[len(there.symbols) - 1] == len(here.symbols) - 1


@settings(max_examples=30, deadline=None)
@given(prompt=prompts, mode=st.sampled_from(["refine", "replace"]))
def test_a_prompt_reads_itself_as_it_is(backbone: Backbone, prompt: str, mode: Any) -> None:
    tokens = prompt_tokens(backbone, prompt, (PLACEHOLDER,))
    found = align(tokens, tokens, mode)
    assert torch.equal(found.read, torch.eye(TOKENS))
    assert not found.keep.any()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(WORDS)), max_size=5))
def test_replace_hands_on_all_attention_of_the_words(backbone: Backbone, pairs: list[tuple[str, str]]) -> None:
    here, there = (prompt_tokens(backbone, " ".join(pair[side] for pair in pairs), (PLACEHOLDER,)) for side in (0, 1))
    tokens = align_replace(here, there)
    assert torch.allclose(tokens.read[: len(here.symbols)].sum(dim=1), torch.ones(len(here.symbols)))
    assert ((tokens.read.sum(dim=0) == 0) == (tokens.keep == 1)).all()


@settings(max_examples=100, deadline=None)
@given(st.text("abc", max_size=8), st.text("abc", max_size=8))
def test_the_common_subsequence_is_one_and_none_is_longer(a: str, b: str) -> None:
    pairs = common_subsequence(a, b)
    assert all(a[i] == b[j] for i, j in pairs)
    assert all(p[0] < q[0] and p[1] < q[1] for p, q in pairwise(pairs))
    assert len(pairs) == longest_by_trying(a, b)


def longest_by_trying(a: str, b: str) -> int:
    """Every subsequence of the shorter, as a set."""
    found: list[set[str]] = []
    for text in (a, b):
        seen = {""}
        for letter in text:
            seen |= {each + letter for each in seen}
        found.append(seen)
    return max(len(each) for each in found[0] & found[1])
