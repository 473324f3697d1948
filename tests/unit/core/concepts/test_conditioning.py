"""Prompts to tokens, text states, keys and values."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from s2edit_core.concepts.concept import Concept, Full, LowRank
from s2edit_core.concepts.conditioning import (
    Tokens,
    keys_values,
    prompt_gates,
    prompt_keys_values,
    text_states,
    tokenize,
    word_embedding,
)
from s2edit_core.errors import PromptInvalid
from s2edit_core.request.spec import PLACEHOLDER
from s2edit_core.unet.backbone import Backbone
from tests.tiny import TOKENS

SECOND = "[A]"
TEXTS = ["", "a photo of a woman", "a  photo of a SMILING woman!", "a woman who's 30 – naïve café"]


def ids_of(backbone: Backbone, text: str) -> list[int]:
    found: list[int] = backbone.tokenizer(text, padding="max_length").input_ids
    return found


def embedding(seed: int) -> torch.Tensor:
    return torch.randn(16, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("text", TEXTS)
def test_a_prompt_without_placeholder_is_tokenised_as_the_model_does(backbone: Backbone, text: str) -> None:
    tokens = tokenize(backbone, text, (PLACEHOLDER,))
    assert tokens.ids.tolist() == ids_of(backbone, text)
    assert tokens.positions == {}


@pytest.mark.parametrize("text", TEXTS)
def test_text_states_without_placeholder_are_the_encoders_own(backbone: Backbone, text: str) -> None:
    with torch.no_grad():
        expected = backbone.text_encoder(torch.tensor([ids_of(backbone, text)])).last_hidden_state[0]
        states = text_states(backbone, tokenize(backbone, text, ()), {})
    assert torch.equal(states, expected)


@pytest.mark.parametrize("written", ["a photo of a [I] woman", "a photo of a [I]woman", "a photo of a[I] woman"])
def test_the_placeholder_is_one_token_where_it_stands(backbone: Backbone, written: str) -> None:
    tokens = tokenize(backbone, written, (PLACEHOLDER,))
    without = ids_of(backbone, "a photo of a woman")
    (position,) = tokens.positions[PLACEHOLDER]
    assert position == 5  # begin, a, photo, of, a
    ids = tokens.ids.tolist()
    assert ids[:position] + ids[position + 1 :] == without[:-1]
    assert len(ids) == backbone.tokenizer.model_max_length


@pytest.mark.parametrize(("written", "position"), [("[I] woman", 1), ("woman [I]", 2), ("[I]", 1)])
def test_the_placeholder_may_begin_or_end_the_prompt(backbone: Backbone, written: str, position: int) -> None:
    assert tokenize(backbone, written, (PLACEHOLDER,)).positions == {PLACEHOLDER: (position,)}


def test_two_placeholders_have_a_place_each(backbone: Backbone) -> None:
    tokens = tokenize(backbone, "a [I] woman with [A] makeup", (PLACEHOLDER, SECOND))
    assert tokens.positions == {PLACEHOLDER: (2,), SECOND: (5,)}


def test_a_placeholder_with_the_embedding_of_a_word_is_that_word(backbone: Backbone) -> None:
    """And only its own embedding counts, not that of the id that stands in for it."""
    with torch.no_grad():
        tokens = tokenize(backbone, "a photo of a [I] woman", (PLACEHOLDER,))
        states = text_states(backbone, tokens, {PLACEHOLDER: word_embedding(backbone, "red")})
        expected = text_states(backbone, tokenize(backbone, "a photo of a red woman", ()), {})
    torch.testing.assert_close(states, expected, rtol=1e-12, atol=1e-12)


def test_a_placeholder_that_comes_twice_is_the_same_person_twice(backbone: Backbone) -> None:
    with torch.no_grad():
        tokens = tokenize(backbone, "a [I] woman and a [I] hat", (PLACEHOLDER,))
        states = text_states(backbone, tokens, {PLACEHOLDER: word_embedding(backbone, "red")})
        expected = text_states(backbone, tokenize(backbone, "a red woman and a red hat", ()), {})
    torch.testing.assert_close(states, expected, rtol=1e-12, atol=1e-12)


def test_the_gradient_of_a_placeholder_flows_to_its_own_embedding_alone(backbone: Backbone) -> None:
    identity, attribute = (embedding(seed).requires_grad_() for seed in (1, 2))
    tokens = tokenize(backbone, "a [I] woman with [A] makeup", (PLACEHOLDER, SECOND))
    states = text_states(backbone, tokens, {PLACEHOLDER: identity, SECOND: attribute})
    before = tokens.positions[SECOND][0] - 1  # the encoder looks back only: what stands before [A] does not see it
    probe = embedding(3)  # a plain sum of a layer norm's output is constant
    grads = torch.autograd.grad(states[before] @ probe, [identity, attribute], allow_unused=True, retain_graph=True)
    assert grads[0].abs().max() > 1e-6
    assert grads[1] is None or grads[1].abs().max() == 0
    assert all(g.abs().max() > 1e-6 for g in torch.autograd.grad((states @ probe).sum(), [identity, attribute]))
    assert backbone.text_encoder.get_input_embeddings().weight.grad is None


def test_the_gradient_of_a_placeholder_is_right(backbone: Backbone) -> None:
    """Against central differences."""
    token, probe = embedding(3).requires_grad_(), embedding(4)
    tokens = tokenize(backbone, "a photo of a [I] woman", (PLACEHOLDER,))

    def value(at: torch.Tensor) -> torch.Tensor:
        return (text_states(backbone, tokens, {PLACEHOLDER: at}) @ probe).square().sum()

    (gradient,) = torch.autograd.grad(value(token), token)
    with torch.no_grad():
        for i in (0, 7, 15):
            nudge = torch.zeros_like(token)
            nudge[i] = 1e-5
            slope = (value(token + nudge) - value(token - nudge)) / 2e-5
            assert float(slope) == pytest.approx(float(gradient[i]), rel=1e-6)


def test_a_users_embedding_does_not_stay_in_the_text_encoder(backbone: Backbone) -> None:
    tokens = tokenize(backbone, "a [I] woman", (PLACEHOLDER,))
    plain = backbone.text_encoder(tokens.ids[None]).last_hidden_state
    with_one = text_states(backbone, tokens, {PLACEHOLDER: embedding(1)})
    assert not torch.equal(with_one, plain[0])
    assert torch.equal(backbone.text_encoder(tokens.ids[None]).last_hidden_state, plain)


def test_a_users_embedding_does_not_stay_after_an_error(backbone: Backbone) -> None:
    tokens = tokenize(backbone, "a [I] woman", (PLACEHOLDER,))
    plain = backbone.text_encoder(tokens.ids[None]).last_hidden_state
    with pytest.raises(IndexError):
        text_states(backbone, Tokens(torch.full((8,), 10**6), tokens.positions), {PLACEHOLDER: embedding(1)})  # no such ids
    assert torch.equal(backbone.text_encoder(tokens.ids[None]).last_hidden_state, plain)


@pytest.mark.parametrize("placeholder", ["", "[I] "])
def test_a_prompt_that_just_fits_is_taken_and_one_token_more_is_refused(backbone: Backbone, placeholder: str) -> None:
    limit = backbone.tokenizer.model_max_length
    words = limit - 2 - bool(placeholder)
    assert tokenize(backbone, placeholder + "hat " * words, (PLACEHOLDER,)).ids.shape == (limit,)
    with pytest.raises(PromptInvalid, match=f"{limit + 1} tokens.*the limit is {limit}") as caught:
        tokenize(backbone, placeholder + "hat " * (words + 1), (PLACEHOLDER,), field="source_prompt")
    assert (caught.value.field, caught.value.reason) == ("source_prompt", "prompt_too_long")


def test_a_word_of_several_tokens_has_their_mean_embedding(backbone: Backbone) -> None:
    ids = backbone.tokenizer("zebra", add_special_tokens=False).input_ids
    assert len(ids) > 1
    table: Any = backbone.text_encoder.get_input_embeddings().weight
    torch.testing.assert_close(word_embedding(backbone, "zebra"), table[ids].mean(dim=0))
    assert not word_embedding(backbone, "zebra").requires_grad


def test_changes_of_several_concepts_add_up(backbone: Backbone) -> None:
    """K = (W + ΔW₁ + ΔW₂)·states, for a full and a low-rank change, computed here with the summed weights."""
    draw = torch.Generator().manual_seed(8)
    full, low = [], []
    for layer in backbone.layers:
        out, into = layer.to_k.weight.shape
        full.append(Full(torch.randn(out, into, generator=draw, dtype=torch.float64)))
        pair = (torch.randn(n, m, generator=draw, dtype=torch.float64) for n, m in ((2, into), (out, 2)))
        low.append(LowRank(*pair))
    concepts = (Concept(embedding(1), tuple(full), tuple(low)), Concept(embedding(2), tuple(low), tuple(full)))
    with torch.no_grad():
        states = text_states(backbone, tokenize(backbone, "a woman", ()), {})
        made = keys_values(backbone, states, concepts)
        plain = keys_values(backbone, states, (Concept(embedding(1)),))
    for i, layer in enumerate(backbone.layers):
        change = full[i].weight + low[i].up @ low[i].down
        torch.testing.assert_close(made.keys[i], states @ (layer.to_k.weight + change).T, rtol=1e-11, atol=1e-11)
        torch.testing.assert_close(made.values[i], states @ (layer.to_v.weight + change).T, rtol=1e-11, atol=1e-11)
        assert torch.equal(plain.keys[i], layer.to_k(states))


def test_a_prompt_for_sampling_needs_no_graph(backbone: Backbone) -> None:
    concept = Concept(embedding(1).requires_grad_())
    made = prompt_keys_values(backbone, "a [I] woman", {PLACEHOLDER: concept})
    assert not any(tensor.requires_grad for tensor in made.tensors())


def test_gates_are_for_the_placeholders_that_the_prompt_has(backbone: Backbone) -> None:
    masks = {PLACEHOLDER: torch.zeros(32, 32), SECOND: torch.zeros(32, 32)}
    assert prompt_gates(backbone, "a woman", masks, (8, 8)) is None
    gates = prompt_gates(backbone, "a woman with [A] makeup", masks, (8, 8))
    assert gates is not None
    assert [i for i in range(TOKENS) if (gates[0][:, i] == 0).all()] == [4]


def test_both_gates_shut_at_a_placeholder_that_comes_twice(backbone: Backbone) -> None:
    gates = prompt_gates(backbone, "a [I] woman and a [I] hat", {PLACEHOLDER: torch.zeros(32, 32)}, (8, 8))
    assert gates is not None
    assert [i for i in range(TOKENS) if (gates[0][:, i] == 0).all()] == [2, 6]
