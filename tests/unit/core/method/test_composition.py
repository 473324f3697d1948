"""An identity and attributes in one prompt: who may touch which column, and what is learned when they are learned together."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from s2edit_core.concepts.concept import Concept, LowRank, new_deltas
from s2edit_core.concepts.conditioning import (
    conditioned,
    keys_values,
    prompt_gates,
    prompt_keys_values,
    text_states,
    tokenize,
    word_embedding,
)
from s2edit_core.errors import MaskInvalid, OptionInvalid, PromptInvalid
from s2edit_core.method.learning.learning import learn_concept, learn_concepts
from s2edit_core.method.learning.lesson import Lesson
from s2edit_core.request.options import LearningMode, LearningOptions
from s2edit_core.request.spec import ATTRIBUTE, PLACEHOLDER
from s2edit_core.unet.attention import KeysValues
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Answers, Row, Rows, drive
from tests.tiny import TOKENS, tiny_backbone, with_card

PROMPT = "a [I] woman with [A] lipstick"
AT_I, AT_A = 2, 5
OPTIONS = LearningOptions(start_steps=8, token_steps=3, joint_steps=3, batch=2, kv_rate=1e-2)


def concept(backbone: Backbone, placeholder: str, seed: int, subject: str = "lipstick", mode: LearningMode = "lora_kv") -> Concept:
    """With a random token and changes that change something."""
    draw = torch.Generator().manual_seed(seed)
    changes: list[tuple[LowRank, ...]] = []
    for fresh in new_deltas(backbone.layers, mode, 3, draw):
        low = (delta for delta in fresh if isinstance(delta, LowRank))
        changes.append(tuple(LowRank(d.down.detach(), torch.randn(d.up.shape, generator=draw, dtype=torch.float64)) for d in low))
    token = torch.randn(16, generator=draw, dtype=torch.float64)
    return Concept(token, *changes, fingerprint=backbone.fingerprint, placeholder=placeholder, subject=subject)


def masks() -> tuple[Tensor, Tensor]:
    """The face, and the lips in it."""
    face, lips = torch.zeros(32, 32), torch.zeros(32, 32)
    face[4:28, 8:24] = 1.0
    lips[20:24, 12:20] = 1.0
    return face, lips


def lessons() -> tuple[Lesson, Lesson]:
    """Two people: one to be edited, and one whose makeup is wanted."""
    ann, ben = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    face, lips = masks()
    return (
        Lesson(ann, face, "a photo of a [I] woman", "woman"),
        Lesson(ben, lips, "a woman with [A] lipstick", "lipstick", ATTRIBUTE),
    )


def columns_that_differ(a: KeysValues, b: KeysValues) -> set[int]:
    return {i for x, y in zip(a.tensors(), b.tensors(), strict=True) for i in range(TOKENS) if not torch.equal(x[i], y[i])}


def test_an_attribute_changes_its_own_column_and_no_other(backbone: Backbone) -> None:
    """Neither its token nor its ΔW: whatever the reference has taught it, the other columns are those of "lipstick lipstick"."""
    ann = concept(backbone, PLACEHOLDER, 1, "woman")
    first, second = (
        prompt_keys_values(backbone, PROMPT, {PLACEHOLDER: ann, ATTRIBUTE: concept(backbone, ATTRIBUTE, seed)}) for seed in (2, 3)
    )
    assert columns_that_differ(first, second) == {AT_A}
    plain = prompt_keys_values(backbone, "a [I] woman with lipstick lipstick", {PLACEHOLDER: ann})
    for ours, theirs in zip(first.tensors(), plain.tensors(), strict=True):
        others = [i for i in range(TOKENS) if i != AT_A]
        torch.testing.assert_close(ours[others], theirs[others], rtol=1e-12, atol=1e-12)


def test_an_identity_changes_every_column_but_an_attributes_projection(backbone: Backbone) -> None:
    ann, makeup = concept(backbone, PLACEHOLDER, 1, "woman"), concept(backbone, ATTRIBUTE, 2)
    both = prompt_keys_values(backbone, PROMPT, {PLACEHOLDER: ann, ATTRIBUTE: makeup})
    with torch.no_grad():
        tokens = tokenize(backbone, PROMPT, (PLACEHOLDER, ATTRIBUTE))
        resting = text_states(backbone, tokens, {PLACEHOLDER: ann.token, ATTRIBUTE: word_embedding(backbone, "lipstick")})
        speaking = text_states(backbone, tokens, {PLACEHOLDER: ann.token, ATTRIBUTE: makeup.token})
    for i, layer in enumerate(backbone.layers):
        for got, weight, of_ann, of_makeup in (
            (both.keys[i], layer.to_k.weight, ann.keys[i], makeup.keys[i]),
            (both.values[i], layer.to_v.weight, ann.values[i], makeup.values[i]),
        ):
            expected = resting @ weight.T + of_ann(resting)
            expected[AT_A] = (speaking @ weight.T + of_makeup(speaking))[AT_A]
            torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-11)


def test_two_attributes_do_not_touch_each_other(backbone: Backbone) -> None:
    prompt = "a woman with [A] lipstick and [B] blush"
    blush = concept(backbone, "[B]", 5, "blush")
    first, second = (
        prompt_keys_values(backbone, prompt, {ATTRIBUTE: concept(backbone, ATTRIBUTE, seed), "[B]": blush}) for seed in (2, 3)
    )
    assert columns_that_differ(first, second) == {4}
    assert columns_that_differ(first, prompt_keys_values(backbone, prompt, {ATTRIBUTE: concept(backbone, ATTRIBUTE, 2)})) != set()


def test_an_attribute_that_the_prompt_does_not_name_changes_nothing(backbone: Backbone) -> None:
    plain = prompt_keys_values(backbone, "a woman", {})
    named = prompt_keys_values(backbone, "a woman", {ATTRIBUTE: concept(backbone, ATTRIBUTE, 2)})
    assert columns_that_differ(plain, named) == set()


def test_each_placeholder_has_its_own_gate(backbone: Backbone) -> None:
    face, lips = masks()
    gates = prompt_gates(backbone, PROMPT, {PLACEHOLDER: face, ATTRIBUTE: lips}, (8, 8))
    assert gates is not None
    top = gates[0].view(8, 8, TOKENS)
    assert top[..., AT_I].sum() == 24
    assert (top[1:7, 2:6, AT_I] == 1).all()
    assert top[..., AT_A].sum() == 2
    assert (top[5, 3:5, AT_A] == 1).all()
    others = [i for i in range(TOKENS) if i not in (AT_I, AT_A)]
    assert (top[..., others] == 1).all()


@pytest.mark.parametrize("mode", ["token", "lora_kv", "kv"])
def test_an_attribute_is_learned_through_its_own_column(backbone: Backbone, mode: LearningMode) -> None:
    _, makeup = lessons()
    seen: list[Row] = []
    prompts: list[KeysValues] = []

    def watching(rows: Rows) -> Answers:
        seen.extend(rows)
        for row in rows:
            assert row.trainable is not None
            prompts.extend(row.trainable.batch([row.trainable], [1]).prompts())
        return backbone.evaluate(rows)

    (learned,) = drive(learn_concepts(backbone, (makeup,), replace(OPTIONS, mode=mode)), watching)
    assert (learned.kind, learned.placeholder, learned.subject) == ("attribute", ATTRIBUTE, "lipstick")
    assert (learned.token - word_embedding(backbone, "lipstick")).abs().max() > 1e-3
    assert len(learned.keys) == (0 if mode == "token" else len(backbone.layers))
    for row, now in zip(seen[2:], prompts[2:], strict=True):
        assert row.loss_weights is not None
        assert int((row.loss_weights > 0).sum()) == 2, "only what the region shows counts"
        assert columns_that_differ(now, prompts[0]) == {4}
        assert row.gates is not None
        assert row.gates[0][:, 4].sum() == 2
    with torch.no_grad():
        final = conditioned(backbone, tokenize(backbone, makeup.prompt, (ATTRIBUTE,)), {ATTRIBUTE: learned}).prompt
    assert columns_that_differ(final, prompts[0]) == {4}


def test_an_attribute_is_held_from_the_words_that_name_people(backbone: Backbone) -> None:
    """And no attribute word of the bank: a lipstick may be red."""
    _, makeup = lessons()
    (learned,) = drive(
        learn_concepts(backbone, (makeup,), replace(OPTIONS, mode="token", token_steps=25, token_rate=4e-2, orthogonality=100.0)),
        backbone.evaluate,
    )
    (free,) = drive(
        learn_concepts(backbone, (makeup,), replace(OPTIONS, mode="token", token_steps=25, token_rate=4e-2, orthogonality=0.0)),
        backbone.evaluate,
    )
    assert learned.facts["max_abs_cosine_to_bank"] < 0.5 * free.facts["max_abs_cosine_to_bank"]


def test_side_by_side_each_learns_what_it_learns_alone_when_nothing_holds_them_apart(backbone: Backbone) -> None:
    apart = replace(OPTIONS, orthogonality=0.0)
    together = drive(learn_concepts(backbone, lessons(), apart, seed=5), backbone.evaluate)
    for i, each in enumerate(lessons()):
        (alone,) = drive(learn_concepts(backbone, (each,), apart, seed=5 + i), backbone.evaluate)
        torch.testing.assert_close(together[i].token, alone.token, rtol=1e-9, atol=1e-11)
        for a, b in zip((*together[i].keys, *together[i].values), (*alone.keys, *alone.values), strict=True):
            torch.testing.assert_close(list(vars(a).values()), list(vars(b).values()), rtol=1e-7, atol=1e-10)


def test_learned_together_they_turn_away_from_each_other(backbone: Backbone) -> None:
    """No words in the bank, so that only the cosine between the two is left of L_semantic."""
    wordless = with_card(backbone, attribute_words=(), subjects=())
    held, free = (
        drive(
            learn_concepts(
                wordless,
                lessons(),
                replace(OPTIONS, mode="token", token_steps=25, token_rate=4e-2, orthogonality=weight),
            ),
            backbone.evaluate,
        )
        for weight in (100.0, 0.0)
    )
    assert held[0].facts["max_abs_cosine_to_others"] == held[1].facts["max_abs_cosine_to_others"]
    assert held[0].facts["max_abs_cosine_to_others"] < 0.1
    assert held[0].facts["max_abs_cosine_to_others"] < 0.5 * free[0].facts["max_abs_cosine_to_others"]


def test_one_lesson_is_what_learn_concept_learns(backbone: Backbone) -> None:
    ann, _ = lessons()
    algorithm = learn_concept(backbone, ann.latent, ann.mask, ann.prompt, ann.subject, OPTIONS, seed=2)
    (same,) = drive(learn_concepts(backbone, (ann,), OPTIONS, seed=2), backbone.evaluate)
    assert drive(algorithm, backbone.evaluate).to_bytes() == same.to_bytes()


def test_photos_of_two_shapes_can_be_learned_from_together(backbone: Backbone) -> None:
    ann, makeup = lessons()
    wide = replace(makeup, latent=torch.randn(4, 6, 10, dtype=torch.float64))
    for learned in drive(learn_concepts(backbone, (ann, wide), OPTIONS), backbone.evaluate):
        assert torch.isfinite(learned.token).all()


def test_lessons_that_cannot_be_are_refused(backbone: Backbone) -> None:
    ann, makeup = lessons()
    for wrong in ((), (ann, ann)):
        with pytest.raises(OptionInvalid, match="placeholder of its own"):
            next(learn_concepts(backbone, wrong, OPTIONS))
    for name in ("A", "[]", "[a]", "[A B]", ""):
        with pytest.raises(PromptInvalid, match="is not a placeholder"):
            next(learn_concepts(backbone, (replace(makeup, placeholder=name),), OPTIONS))
    with pytest.raises(PromptInvalid, match=r"must hold \[B\] before the subject"):
        next(learn_concepts(backbone, (replace(makeup, placeholder="[B]"),), OPTIONS))
    with pytest.raises(MaskInvalid, match=r"mark where the photo shows \[A\]"):
        next(learn_concepts(backbone, (ann, replace(makeup, mask=torch.zeros(32, 32))), OPTIONS))


def test_an_attribute_of_a_library_can_take_another_name(backbone: Backbone) -> None:
    makeup = concept(backbone, ATTRIBUTE, 2)
    renamed = makeup.renamed("[Makeup]")
    assert renamed.placeholder == "[Makeup]"
    ours, theirs = (
        prompt_keys_values(backbone, f"a woman with {each.placeholder} lipstick", {each.placeholder: each})
        for each in (renamed, makeup)
    )
    assert columns_that_differ(ours, theirs) == set()
    for wrong in (PLACEHOLDER, "makeup"):
        with pytest.raises(PromptInvalid):
            makeup.renamed(wrong)
    with pytest.raises(PromptInvalid):
        concept(backbone, PLACEHOLDER, 1).renamed("[B]")
    with pytest.raises(ValueError, match="needs a subject"):
        Concept(makeup.token, placeholder=ATTRIBUTE)


def test_half_precision_keeps_the_changes_in_full() -> None:
    """A bfloat16 UNet: what is learned stays float32, what the UNet gets is bfloat16."""
    half = tiny_backbone(dtype=torch.bfloat16)
    changes = new_deltas(half.layers, "lora_kv", 2, torch.Generator())
    assert all(isinstance(each, LowRank) and each.down.dtype == each.up.dtype == torch.float32 for part in changes for each in part)
    made = keys_values(half, torch.randn(TOKENS, 16), (Concept(torch.zeros(16), *changes),))
    assert {tensor.dtype for tensor in made.tensors()} == {torch.bfloat16}
