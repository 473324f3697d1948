"""The text side of learning for many users at once: the same gradients as one by one, and nobody gets another one's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from s2edit_core.concepts.concept import Concept, Full, LowRank
from s2edit_core.concepts.conditioning import conditioned, tokenize, word_embedding
from s2edit_core.errors import NumbersNotFinite
from s2edit_core.method.learning import learned_prompts
from s2edit_core.method.learning.learned_prompts import LearnedPrompt
from s2edit_core.method.learning.losses import pairwise_loss, semantic_loss
from s2edit_core.request.spec import PLACEHOLDER
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.row_scheduler import RowScheduler, SchedulerClosed
from s2edit_core.unet.rows import NO_PROMPT, Answers, Row, Rows
from s2edit_core.unet.trainable_prompts import summed_gradients
from tests.tiny import tiny_backbone

ATTRIBUTE = "[A]"
NAN = float("nan")


def learned(
    backbone: Backbone,
    seed: int,
    kind: str = "lora",
    *,
    text: str = "a photo of a [I] woman",
    placeholder: str = PLACEHOLDER,
    words: int = 3,
    power: int = 2,
    others: int = 0,
    weight: float = 0.7,
    rows: int = 1,
    rank: int = 2,
) -> LearnedPrompt:
    draw = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return 0.3 * torch.randn(*shape, generator=draw, dtype=torch.float64)

    changes: list[tuple[LowRank | Full, ...]] = [(), ()]
    if kind != "token":
        for i, name in enumerate(("to_k", "to_v")):
            shapes = [getattr(layer, name).weight.shape for layer in backbone.layers]
            changes[i] = tuple(
                Full(random(out, into).requires_grad_())
                if kind == "kv"
                else LowRank(random(rank, into).requires_grad_(), random(out, rank).requires_grad_())
                for out, into in shapes
            )
    token = (word_embedding(backbone, "woman") + random(16)).requires_grad_()
    concept = Concept(token, changes[0], changes[1], placeholder=placeholder, subject="woman")
    tokens = tokenize(backbone, text, (placeholder,))
    return LearnedPrompt(backbone, tokens, concept, random(words, 16), power, weight, rows, random(others, 16))


def row_of(prompt: LearnedPrompt, seed: int = 0) -> Row:
    latent, target = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Row(latent, 100 + 50 * seed, NO_PROMPT, target=target, weight=1.5, trainable=prompt)


def by_itself(backbone: Backbone, prompt: LearnedPrompt, rows: Rows) -> list[Tensor]:
    """The gradients by autograd through one prompt's own graph, with K and V as the rows' prompt."""
    concept = prompt.concept
    now = conditioned(backbone, prompt.tokens, {concept.placeholder: concept})
    answers = backbone.evaluate(tuple(replace(row, prompt=now.prompt, trainable=None) for row in rows))
    feature = now.features[concept.placeholder]
    side = semantic_loss(feature, prompt.words, power=prompt.power) + pairwise_loss([feature, *prompt.others])
    side = prompt.weight * (side - sum_of_pairs(prompt.others))
    outputs = [side, *now.prompt.tensors()]
    found = torch.autograd.grad(
        outputs, prompt.parameters, [torch.ones_like(side), *summed_gradients([each.gradients() for each in answers])]
    )
    return list(found)


def sum_of_pairs(others: Tensor) -> Tensor:
    """The pairs among the other concepts, which are constants here."""
    return pairwise_loss(list(others)) if len(others) else torch.zeros((), dtype=torch.float64)


def gradients(answers: Answers) -> list[Tensor]:
    return summed_gradients([answer.parameter_gradients for answer in answers if answer.parameter_gradients])


def assert_same(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> None:
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        assert b.abs().max() > 0
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def different_prompts(backbone: Backbone) -> list[LearnedPrompt]:
    return [
        learned(backbone, 0),
        learned(backbone, 1, text="a smiling [I] man with a red hat"),
        learned(backbone, 2, words=5, power=8),
        learned(backbone, 3, rank=3, weight=0.3),
        learned(backbone, 4, "kv"),
        learned(backbone, 5, "kv", words=0),
        learned(backbone, 6, "token"),
        learned(backbone, 7, others=2),
        learned(backbone, 8, text="[I] and [I]"),
        learned(backbone, 9, text="a woman with [A] lipstick", placeholder=ATTRIBUTE),
        learned(backbone, 10, "token", text="a woman with [A] lipstick", placeholder=ATTRIBUTE),
    ]


def test_many_users_together_get_the_gradients_that_each_gets_alone(backbone: Backbone) -> None:
    prompts = different_prompts(backbone)
    answers = backbone.evaluate(tuple(row_of(prompt, i) for i, prompt in enumerate(prompts)))
    for i, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        assert_same(answer.parameter_gradients, by_itself(backbone, prompt, (row_of(prompt, i),)))


def test_users_of_one_kind_share_one_call_of_the_text_encoder(backbone: Backbone) -> None:
    calls: list[int] = []
    hook = backbone.text_encoder.register_forward_pre_hook(lambda _module, inputs: calls.append(len(inputs[0])))
    backbone.evaluate(tuple(row_of(learned(backbone, i, text=f"a {'very ' * i}[I] woman")) for i in range(5)))
    hook.remove()
    assert calls == [5]


def test_the_rows_of_one_prompt_may_be_in_one_pass_or_in_several(backbone: Backbone) -> None:
    """The loss of the text side counts once, however the rows are split."""
    prompt, companion = learned(backbone, 0, rows=4), learned(backbone, 1)
    rows = tuple(row_of(prompt, i) for i in range(4))
    wanted = by_itself(backbone, prompt, rows)
    assert_same(gradients(backbone.evaluate(rows)), wanted)
    mixed = backbone.evaluate((rows[2], row_of(companion), rows[0]))
    apart = (*backbone.evaluate(rows[1:2]), *mixed[:1], *mixed[2:], *backbone.evaluate(rows[3:]))
    assert_same(gradients(apart), wanted)
    assert sum(bool(answer.parameter_gradients) for answer in apart) == 3, "one answer a pass holds them"


def test_rows_with_and_without_trainable_prompts_share_a_pass(backbone: Backbone) -> None:
    prompt, other = learned(backbone, 0), learned(backbone, 1)
    with torch.no_grad():
        given = conditioned(backbone, other.tokens, {PLACEHOLDER: other.concept}).prompt
    plain = replace(row_of(other, 1), prompt=given, trainable=None)
    mine, others = backbone.evaluate((row_of(prompt), plain))
    assert_same(mine.parameter_gradients, by_itself(backbone, prompt, (row_of(prompt),)))
    assert others.parameter_gradients == ()
    assert_same(others.gradients(), backbone.evaluate((plain,))[0].gradients())


@pytest.mark.parametrize("user", [0, 2])
@pytest.mark.parametrize("part", [0, 1, 2])
def test_numbers_of_one_user_that_are_not_finite_reach_nobody(backbone: Backbone, part: int, user: int) -> None:
    """In the token, in a change of K and V, or in the words."""
    prompts = [learned(backbone, i) for i in range(4)]
    rows = tuple(row_of(prompt, i) for i, prompt in enumerate(prompts))
    sound = backbone.evaluate(rows)
    poisoned = (prompts[user].concept.token, prompts[user].parameters[5], prompts[user].words)[part]
    with torch.no_grad():
        poisoned.fill_(NAN)
    answers = backbone.evaluate(rows, check=False)
    assert not all(torch.isfinite(each).all() for each in answers[user].parameter_gradients)
    for i in {0, 1, 2, 3} - {user}:
        assert answers[i].finite
        assert answers[i].loss == sound[i].loss
        assert_same(answers[i].parameter_gradients, sound[i].parameter_gradients)


def test_in_the_scheduler_only_the_user_whose_numbers_are_not_finite_fails(backbone: Backbone) -> None:
    prompts = [learned(backbone, i) for i in range(3)]
    wanted = [by_itself(backbone, prompt, (row_of(prompt),)) for prompt in prompts]
    with torch.no_grad():
        prompts[1].concept.token.fill_(NAN)
    with (
        RowScheduler(lambda rows: backbone.evaluate(rows, check=False), max_rows=16) as scheduler,
        ThreadPoolExecutor(3) as threads,
    ):
        waits = [
            threads.submit(scheduler.client(str(i)).evaluate, (row_of(prompt),), "learning") for i, prompt in enumerate(prompts)
        ]
        for i in (0, 2):
            assert_same(waits[i].result(30)[0].parameter_gradients, wanted[i])
        with pytest.raises(NumbersNotFinite):
            waits[1].result(30)


def test_a_user_who_leaves_in_the_middle_of_a_pass_does_not_change_the_others(backbone: Backbone) -> None:
    prompts = [learned(backbone, i) for i in range(3)]
    wanted = [by_itself(backbone, prompt, (row_of(prompt),)) for prompt in prompts]
    others_wait = threading.Event()
    asked: list[int] = []

    def evaluate(rows: Rows) -> Answers:
        asked.append(len(rows))
        if len(asked) == 1:  # holds the device until all three wait for one pass
            assert others_wait.wait(30)
        else:
            clients[1].close()
        return backbone.evaluate(rows)

    with RowScheduler(evaluate, max_rows=16) as scheduler, ThreadPoolExecutor(4) as threads:
        clients = [scheduler.client(str(i)) for i in range(3)]
        first = threads.submit(scheduler.client("first").evaluate, (row_of(learned(backbone, 9)),), "learning")
        until(lambda: bool(asked))
        waits = [
            threads.submit(client.evaluate, (row_of(prompt),), "learning") for client, prompt in zip(clients, prompts, strict=True)
        ]
        until(lambda: all(client.submission for client in clients))
        others_wait.set()
        first.result(30)
        with pytest.raises(SchedulerClosed):
            waits[1].result(30)
        for i in (0, 2):
            assert_same(waits[i].result(30)[0].parameter_gradients, wanted[i])
    assert asked == [1, 3]


def until(happens: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_nothing_is_left_behind_in_the_parameters(backbone: Backbone) -> None:
    prompt = learned(backbone, 0)
    before = [each.detach().clone() for each in prompt.parameters]
    backbone.evaluate((row_of(prompt),))
    assert all(each.grad is None for each in prompt.parameters)
    assert all(torch.equal(a, b) for a, b in zip(prompt.parameters, before, strict=True))


def test_a_trainable_prompt_needs_a_target_and_no_other_prompt(backbone: Backbone) -> None:
    row = row_of(learned(backbone, 0))
    with pytest.raises(ValueError, match="needs a target"):
        replace(row, target=None)
    with torch.no_grad():
        given = conditioned(backbone, tokenize(backbone, "a woman", ()), {}).prompt
    with pytest.raises(ValueError, match="are computed"):
        replace(row, prompt=given)


def test_in_half_precision_the_changes_are_computed_exactly() -> None:
    """A change too small for the model's precision still gets a gradient."""
    backbone = tiny_backbone(dtype=torch.bfloat16)
    prompt = learned(backbone, 0)
    token, *changes = (each.detach().float().requires_grad_() for each in prompt.parameters)
    pairs = [LowRank(down, up) for down, up in zip(changes[::2], changes[1::2], strict=True)]
    layers = len(pairs) // 2
    concept = Concept(token, tuple(pairs[:layers]), tuple(pairs[layers:]))
    single = replace(prompt, concept=concept, words=prompt.words.float(), others=prompt.others.float())
    row = replace(row_of(single), latent=row_of(single).latent.float(), target=torch.ones(4, 8, 8))
    (answer,) = backbone.evaluate((row,))
    assert {each.dtype for each in answer.parameter_gradients} == {torch.float32}
    assert all(each.abs().max() > 0 for each in answer.parameter_gradients)


def test_attributes_and_identities_are_batches_of_their_own(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    forward = learned_prompts._forward

    def watching(prompts: Sequence[LearnedPrompt]) -> tuple[list[Tensor], list[Tensor]]:
        seen.append(len(prompts))
        return forward(prompts)

    monkeypatch.setattr(learned_prompts, "_forward", watching)
    backbone.evaluate(tuple(row_of(prompt, i) for i, prompt in enumerate(different_prompts(backbone))))
    assert sorted(seen, reverse=True) == [5, 2, 1, 1, 1, 1]
