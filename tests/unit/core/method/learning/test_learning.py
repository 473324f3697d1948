"""Learning [I]: what is learned, when, and from which draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from s2edit_core.base_model.ddim import schedule_of
from s2edit_core.concepts.concept import Concept, Full, LowRank
from s2edit_core.concepts.conditioning import prompt_keys_values, text_states, tokenize, word_embedding
from s2edit_core.errors import PromptInvalid
from s2edit_core.method.learning import learned_prompts, learning, start
from s2edit_core.method.learning.learner import attribute_state, new_learner, noised_rows, step_generator
from s2edit_core.method.learning.learning import learn_concept, learn_concepts
from s2edit_core.method.learning.lesson import Lesson
from s2edit_core.method.learning.losses import semantic_loss
from s2edit_core.request.domains import Domain
from s2edit_core.request.options import LearningMode, LearningOptions, Weighting
from s2edit_core.request.spec import PLACEHOLDER, Progress
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Answers, Row, Rows, drive
from tests.tiny import STABLE_DIFFUSION, TOKENS, with_card

PROMPT = "a photo of a [I] woman"
MODES: tuple[LearningMode, ...] = ("token", "lora_kv", "kv")


def photo_latent(size: tuple[int, int] = (8, 8)) -> Tensor:
    return torch.randn(4, *size, generator=torch.Generator().manual_seed(40), dtype=torch.float64)


def face_mask() -> Tensor:
    mask = torch.zeros(32, 32)
    mask[4:28, 8:24] = 1.0
    return mask


def learn(
    backbone: Backbone,
    *,
    evaluate: Callable[[Rows], Answers] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    seed: int = 0,
    request_words: tuple[str, ...] = (),
    **options: Any,
) -> Concept:
    chosen = LearningOptions(**{"start_steps": 0, "token_steps": 3, "joint_steps": 3, "batch": 2, **options})
    algorithm = learn_concept(
        backbone, photo_latent(), face_mask(), PROMPT, "woman", chosen, request_words=request_words, seed=seed
    )
    evaluate = evaluate or backbone.evaluate
    return drive(algorithm, lambda rows: evaluate(rows) if rows else (), on_progress)


def changes(concept: Concept) -> list[Tensor]:
    """ΔW of every projection."""
    return [delta.weight if isinstance(delta, Full) else delta.up @ delta.down for delta in (*concept.keys, *concept.values)]


def feature(backbone: Backbone, token: Tensor) -> Tensor:
    tokens = tokenize(backbone, PROMPT, (PLACEHOLDER,))
    with torch.no_grad():
        return text_states(backbone, tokens, {PLACEHOLDER: token})[tokens.positions[PLACEHOLDER][0]]


def fixed_loss(backbone: Backbone, concept: Concept, draw: torch.Generator, batch: int) -> float:
    """L_ldm at the noise levels and noises of `draw`."""
    schedule, z = backbone.schedule, photo_latent()
    t = ((torch.arange(batch) + torch.rand(batch, generator=draw)) * (1000 / batch)).long()
    eps = torch.randn((batch, *z.shape), generator=draw).double()
    noisy = schedule.add_noise(z.expand_as(eps), eps, t)
    prompt = prompt_keys_values(backbone, PROMPT, {PLACEHOLDER: concept})
    answers = backbone.evaluate(tuple(Row(noisy[i], int(t[i]), prompt) for i in range(batch)))
    return sum(float((a.eps - eps[i]).square().mean()) for i, a in enumerate(answers)) / batch


@pytest.mark.parametrize("mode", MODES)
def test_learning_lowers_the_loss_it_minimises(backbone: Backbone, monkeypatch: pytest.MonkeyPatch, mode: LearningMode) -> None:
    """With the same draw at every step, so that the loss falls for no other reason."""
    monkeypatch.setattr(learning, "step_generator", lambda _seed, _step: torch.Generator().manual_seed(9))
    seen: list[float] = []
    rates = {"token_rate": 2e-2, "joint_token_rate": 1e-2, "kv_rate": 1e-2}
    learned = learn(
        backbone,
        mode=mode,
        token_steps=8,
        joint_steps=8,
        batch=4,
        orthogonality=0.0,
        masked=False,
        on_progress=lambda p: seen.append(p.loss or 0.0),
        **rates,
    )
    untouched = Concept(word_embedding(backbone, "woman"))
    before, after = (fixed_loss(backbone, each, torch.Generator().manual_seed(9), 4) for each in (untouched, learned))
    assert seen[0] == pytest.approx(before, rel=1e-9)
    assert after < before
    assert min(seen) < seen[0]
    if mode != "token":
        assert after < fixed_loss(backbone, replace(learned, keys=(), values=()), torch.Generator().manual_seed(9), 4)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("part", [False, True], ids=["everywhere", "in a part"])
@pytest.mark.parametrize("weighting", ["prediction", "velocity"])
def test_a_model_learns_what_it_predicts_or_v(backbone: Backbone, prediction: Any, part: bool, weighting: Weighting) -> None:
    """Loss and gradient are those of the model's own output and target, or of v, through diffusers' UNet and autograd alone."""
    scheduler = DDIMScheduler(**STABLE_DIFFUSION, prediction_type=prediction)
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.double()
    own = replace(backbone, schedule=schedule_of(scheduler))
    lesson = Lesson(photo_latent(), face_mask(), PROMPT, "woman")
    learner = new_learner(own, lesson, LearningOptions(mode="token", masked=False), 0)
    counts = adaptive_avg_pool2d(face_mask()[None], 8)[0].double() if part else torch.ones(8, 8, dtype=torch.float64)
    learner.loss_weights = counts if part else None
    now = learner.condition(with_deltas=False)
    rows = noised_rows(learner, now.prompt, torch.Generator().manual_seed(4), 6, weighting)
    answers = own.evaluate(rows)
    summed = [torch.stack(grads).sum(0) for grads in zip(*(answer.gradients() for answer in answers), strict=True)]
    (carried,) = torch.autograd.grad(now.prompt.tensors(), [learner.token], summed)

    draw, z = torch.Generator().manual_seed(4), photo_latent()[None]
    t = ((torch.arange(6) + torch.rand(6, generator=draw)) * (1000 / 6)).long()
    eps = torch.randn((6, *z.shape[1:]), generator=draw).double()
    velocity = scheduler.get_velocity(z.expand_as(eps), eps, t)
    states = text_states(own, tokenize(own, PROMPT, (PLACEHOLDER,)), {PLACEHOLDER: learner.token})
    noisy = scheduler.add_noise(z.expand_as(eps), eps, t)
    output = own.unet(noisy, t, states.expand(6, -1, -1)).sample
    target = eps if prediction == "epsilon" else velocity
    if prediction == "epsilon" and weighting == "velocity":
        alpha = scheduler.alphas_cumprod[t].view(-1, 1, 1, 1)
        output, target = (output - (1 - alpha).sqrt() * noisy) / alpha.sqrt(), velocity
    squares = (output - target).square().mean(dim=(0, 1))
    loss = (squares * counts).sum() / counts.sum()
    (expected,) = torch.autograd.grad(loss, [learner.token])
    assert sum(answer.loss or 0.0 for answer in answers) == pytest.approx(float(loss.detach()), rel=1e-10)
    torch.testing.assert_close(carried, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("mode", MODES)
def test_each_mode_learns_what_it_names(backbone: Backbone, mode: LearningMode) -> None:
    learned = learn(backbone, mode=mode, rank=3)
    assert (learned.token - word_embedding(backbone, "woman")).abs().max() > 1e-3
    assert not learned.token.requires_grad
    if mode == "token":
        assert learned.keys == learned.values == ()
        return
    assert len(learned.keys) == len(learned.values) == len(backbone.layers)
    for change, delta in zip(changes(learned), (*learned.keys, *learned.values), strict=True):
        assert change.abs().max() > 0
        assert isinstance(delta, Full if mode == "kv" else LowRank)
        assert not change.requires_grad
    if isinstance(learned.keys[0], LowRank):
        assert learned.keys[0].down.shape == (3, 16)


def test_in_the_first_phase_the_token_learns_alone(backbone: Backbone) -> None:
    learned = learn(backbone, mode="kv", token_steps=3, joint_steps=0)
    assert (learned.token - word_embedding(backbone, "woman")).abs().max() > 1e-3
    assert all(change.abs().max() == 0 for change in changes(learned))


def test_in_the_second_phase_both_learn(backbone: Backbone) -> None:
    """At the rates of their own: with a rate of zero for one, the other still moves."""
    still = {"token_steps": 0, "joint_steps": 3, "mode": "kv"}
    alone = learn(backbone, joint_token_rate=0.0, kv_rate=1e-3, **still)
    assert torch.equal(alone.token, word_embedding(backbone, "woman"))
    assert all(change.abs().max() > 0 for change in changes(alone))
    token = learn(backbone, joint_token_rate=1e-3, kv_rate=0.0, **still)
    assert (token.token - word_embedding(backbone, "woman")).abs().max() > 1e-4
    assert all(change.abs().max() == 0 for change in changes(token))


def test_the_phases_take_the_steps_they_were_given(backbone: Backbone) -> None:
    seen: list[Progress] = []
    learned = learn(backbone, token_steps=2, joint_steps=3, on_progress=seen.append)
    assert [(p.phase, p.step, p.total) for p in seen] == [("learning", i, 5) for i in range(1, 6)]
    assert learned.facts["steps"] == 5
    seen.clear()
    assert learn(backbone, mode="token", token_steps=2, joint_steps=3, on_progress=seen.append).facts["steps"] == 2
    assert [p.total for p in seen] == [2, 2]


def test_no_steps_leave_the_subjects_own_token(backbone: Backbone) -> None:
    learned = learn(backbone, token_steps=0, joint_steps=0)
    assert torch.equal(learned.token, word_embedding(backbone, "woman"))
    assert all(change.abs().max() == 0 for change in changes(learned))


@pytest.mark.parametrize("mode", MODES)
def test_the_same_seed_learns_the_same_bytes_and_another_seed_others(backbone: Backbone, mode: LearningMode) -> None:
    first, second, other = (learn(backbone, mode=mode, seed=seed).to_bytes() for seed in (7, 7, 8))
    assert first == second
    assert first != other


def test_learning_is_the_same_beside_other_peoples_rows(backbone: Backbone) -> None:
    """A stranger's rows in every pass: the same concept, to the last digits."""
    stranger = Row(torch.ones(4, 8, 8, dtype=torch.float64), 3, prompt_keys_values(backbone, "a red hat", {}))
    alone = learn(backbone)
    beside = learn(backbone, evaluate=lambda rows: backbone.evaluate((stranger, *rows))[1:])
    torch.testing.assert_close(beside.token, alone.token, rtol=1e-9, atol=1e-11)
    for a, b in zip(changes(beside), changes(alone), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-10)


def test_randomness_depends_on_seed_and_step_alone() -> None:
    def draw(seed: int, step: int) -> float:
        return float(torch.rand((), generator=step_generator(seed, step)))

    assert draw(3, 5) == draw(3, 5)
    assert len({draw(seed, step) for seed in (0, 1, 2**31) for step in range(20)}) == 60


def test_noise_levels_come_from_every_part_of_the_schedule(backbone: Backbone) -> None:
    seen: list[list[int]] = []

    def watching(rows: Rows) -> Answers:
        seen.append([row.timestep for row in rows])
        assert all(row.weight == 0.25 and row.target is not None for row in rows)
        return backbone.evaluate(rows)

    learn(backbone, batch=4, token_steps=3, joint_steps=0, evaluate=watching)
    assert [[t // 250 for t in step] for step in seen] == [[0, 1, 2, 3]] * 3
    assert seen[0] != seen[1]


def test_several_photos_take_turns_and_share_the_concept(backbone: Backbone) -> None:
    first = Lesson(photo_latent(), face_mask(), PROMPT, "woman")
    second = Lesson(-photo_latent(), 1 - face_mask(), "a sad [I] woman", "woman")
    learner = new_learner(backbone, replace(first, others=(second,)), LearningOptions(), 0)
    shown = [learner.at(step) for step in range(3)]
    assert shown[0] is shown[2] is learner
    assert shown[1].lesson is second
    assert [each.token is learner.token for each in shown] == [True] * 3
    assert shown[1].deltas()[0] is learner.deltas()[0]
    options = LearningOptions(token_steps=2, joint_steps=1, start_steps=0)
    alone, both = (
        drive(learn_concepts(backbone, (each,), options), backbone.evaluate)[0]
        for each in (first, replace(first, others=(second,)))
    )
    assert not torch.equal(alone.token, both.token)
    with pytest.raises(PromptInvalid):
        drive(learn_concepts(backbone, (replace(first, others=(replace(second, prompt="a woman"),)),), options), backbone.evaluate)


@pytest.mark.parametrize("masked", [True, False])
def test_the_identity_mask_gates_the_placeholder_while_learning(backbone: Backbone, masked: bool) -> None:
    seen: list[Row] = []

    def watching(rows: Rows) -> Answers:
        seen.extend(rows)
        return backbone.evaluate(rows)

    learn(backbone, masked=masked, token_steps=1, joint_steps=1, evaluate=watching)
    if not masked:
        assert all(row.gates is None for row in seen)
        return
    for row in seen:
        assert row.gates is not None
        top = row.gates[0].view(8, 8, TOKENS)
        assert (top[1:7, 2:6, 5] == 1).all()
        assert top[:, :, 5].sum() == 24
        assert (top[:, :, :5] == 1).all()
        assert (top[:, :, 6:] == 1).all()


def mean_squared_cosine(backbone: Backbone, concept: Concept) -> float:
    words = torch.stack([attribute_state(backbone, word) for word in backbone.card.word_bank("woman")])
    return float(semantic_loss(feature(backbone, concept.token), words))


def test_a_large_weight_of_orthogonality_lowers_the_cosine(backbone: Backbone) -> None:
    start = mean_squared_cosine(backbone, Concept(word_embedding(backbone, "woman")))
    call: dict[str, Any] = {"mode": "token", "token_steps": 20, "token_rate": 4e-2}
    held, free = (mean_squared_cosine(backbone, learn(backbone, orthogonality=weight, **call)) for weight in (100.0, 0.0))
    assert held < 0.5 * start
    assert held < 0.5 * free


def test_the_token_turns_away_from_the_words_before_any_row_is_wanted(backbone: Backbone) -> None:
    """With no step but those of the start, all that can have moved the token is L_semantic; with λ = 0 nothing has."""
    start = mean_squared_cosine(backbone, Concept(word_embedding(backbone, "woman")))
    call: dict[str, Any] = {"start_steps": 30, "token_steps": 0, "joint_steps": 0, "token_rate": 4e-2}
    turned = learn(backbone, **call)
    assert mean_squared_cosine(backbone, turned) < 0.1 * start
    assert turned.facts["steps"] == 0
    assert torch.equal(learn(backbone, **call, orthogonality=0.0).token, word_embedding(backbone, "woman"))


@pytest.mark.parametrize("power", [2, 8])
def test_every_stage_learns_with_the_same_power_of_l_semantic(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch, power: int
) -> None:
    used: list[int] = []

    def watched(identity: Tensor, words: Tensor, *, power: int) -> Tensor:
        used.append(power)
        return semantic_loss(identity, words, power=power)

    for module in (start, learned_prompts):
        monkeypatch.setattr(module, "semantic_loss", watched)
    monkeypatch.setattr(backbone, "once", lambda _name, compute: compute())
    learn(backbone, semantic_power=power, start_steps=2, token_steps=1, joint_steps=1, batch=1)
    assert set(used) == {power}
    assert len(used) >= 4


def test_the_report_of_a_concept_names_its_cosines(backbone: Backbone) -> None:
    learned = learn(backbone)
    words = torch.stack([attribute_state(backbone, word) for word in backbone.card.word_bank("woman")])
    cosines = torch.nn.functional.cosine_similarity(feature(backbone, learned.token)[None], words, dim=-1)
    assert learned.facts["max_abs_cosine_to_bank"] == pytest.approx(float(cosines.abs().max()))
    assert learned.facts["mean_abs_cosine_to_bank"] == pytest.approx(float(cosines.abs().mean()))
    assert learned.facts["subject"] == "woman"
    assert learned.facts["prompt"] == PROMPT
    assert learned.fingerprint == backbone.fingerprint


def test_every_word_of_the_bank_is_pushed_away_at_every_step_but_never_the_subject(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a request adds is in the bank already, or is no attribute ("zebra")."""
    seen: list[int] = []

    def watching(identity: Tensor, attributes: Tensor, *, power: int = 2) -> Tensor:
        seen.append(attributes.shape[-2])
        return semantic_loss(identity, attributes, power=power)

    for module in (start, learned_prompts):
        monkeypatch.setattr(module, "semantic_loss", watching)
    words = (*backbone.card.word_bank("woman"), "woman")
    known = with_card(backbone, attribute_words=words)
    learn(known, request_words=("red", "zebra", "woman", "hair"))
    assert seen == [len(words) - 1] * 6


def test_the_nearest_word_is_held_away_from_while_the_photo_is_learned(backbone: Backbone) -> None:
    """Turned away first; then the photo pulls, and L_semantic holds."""
    call: dict[str, Any] = {"mode": "token", "start_steps": 30, "token_steps": 40, "token_rate": 4e-2}
    held, free = (learn(backbone, orthogonality=weight, **call) for weight in (1.0, 1e-9))
    assert held.facts["max_abs_cosine_to_bank"] < 0.1
    assert held.facts["max_abs_cosine_to_bank"] < 0.5 * free.facts["max_abs_cosine_to_bank"]


def test_an_identity_is_held_apart_from_the_words_of_its_domain_alone(backbone: Backbone) -> None:
    """The words of other domains change nothing about what is learned."""
    own = Domain(("woman",), ("hat", "glasses"))
    alone, among = (
        learn(with_card(backbone, domains=domains)) for domains in ((own,), (Domain(("church",), ("red", "black")), own))
    )
    assert torch.equal(alone.token, among.token)
    assert not torch.equal(alone.token, learn(with_card(backbone, domains=(Domain(("woman",), ("hat", "red")),))).token)


def test_a_model_without_attribute_words_can_be_learned_with(backbone: Backbone) -> None:
    learned = learn(with_card(backbone, attribute_words=()))
    assert torch.equal(learned.token, learn(backbone, orthogonality=0.0).token)
    assert learned.facts["max_abs_cosine_to_bank"] == 0.0


def test_attribute_words_are_read_where_their_prompt_ends(backbone: Backbone) -> None:
    with torch.no_grad():
        for word in ("red", "zebra"):
            length = len(backbone.tokenizer(f"a photo of a {word}").input_ids)
            whole = text_states(backbone, tokenize(backbone, f"a photo of a {word}", ()), {})
            torch.testing.assert_close(attribute_state(backbone, word), whole[length - 2])  # before the end mark


def test_a_prompt_that_is_too_long_is_refused_before_any_row_is_wanted(backbone: Backbone) -> None:
    with pytest.raises(PromptInvalid) as caught:
        next(learn_concept(backbone, photo_latent(), face_mask(), "[I] " + "hat " * 40, "woman", LearningOptions()))
    assert (caught.value.field, caught.value.reason) == ("prompt", "prompt_too_long")


def test_a_prompt_without_the_placeholder_cannot_be_learned_from(backbone: Backbone) -> None:
    with pytest.raises(PromptInvalid) as caught:
        next(learn_concept(backbone, photo_latent(), face_mask(), "a woman", "woman", LearningOptions()))
    assert (caught.value.field, caught.value.reason) == ("prompt", "placeholder_missing")


def test_latents_of_any_shape_can_be_learned_from(backbone: Backbone) -> None:
    options = LearningOptions(start_steps=8, token_steps=1, joint_steps=1, batch=1)
    algorithm = learn_concept(backbone, photo_latent((6, 10)), face_mask(), PROMPT, "woman", options)
    assert torch.isfinite(drive(algorithm, backbone.evaluate).token).all()
