"""Learning [I] from one photo: L = L_ldm + λ·L_semantic, with [I] held to its mask (S²Edit, figure 2, left).

First the token is turned away from the attribute words, by L_semantic alone. Then two phases: the token alone, then the token
together with the changes of the cross-attention keys and values. Every step asks for rows: the one latent at several noise
levels, all with the prompt as it is now. What comes back, dL/dK and dL/dV, is carried to the token and the changes through the
text side alone.

An attribute [A] is learned in the same way from a reference photo, but its L_ldm counts the region alone that shows it (as in
Break-A-Scene, arXiv 2305.16311): most of the photo says nothing of a makeup, and would drown what little does. [I] and [A]
learned together share their passes, and the squared cosine between them joins L_semantic.

A learning can be cut at any step and go on: its state is a value (`learning_state`), and each step's randomness its own.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from s2edit_core.concepts.concept import Concept, Delta, fresh_deltas
from s2edit_core.concepts.conditioning import (
    Conditioned,
    Tokens,
    conditioned,
    prompt_gates,
    text_states,
    tokenize,
    word_embedding,
)
from s2edit_core.errors import MaskInvalid, OptionInvalid, PromptInvalid
from s2edit_core.method.learning_state import Clock, LearningState, settings_digest
from s2edit_core.method.lesson import Lesson
from s2edit_core.method.losses import apart_loss, semantic_loss
from s2edit_core.request.prompts import checked_placeholder
from s2edit_core.request.spec import PLACEHOLDER, LearningOptions, Progress
from s2edit_core.unet.attention import Gates
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Answers, Row, Rows

Learning = Generator[Rows | Progress, Answers, Concept]
POWER = 8
"""Of the mean of cosines in L_semantic. With squares one word may stay near as long as all others are far."""
NEARNESS = 3e-5
"""Weight of the squared distance to the subject word while the token turns away from the attribute words. Without it the token may
leave a hundredfold for the last hundredth of a cosine, where no later step moves it."""


def step_generator(seed: int, step: int) -> torch.Generator:
    """The randomness of one step: it depends on seed and step alone, so a resumed run draws what an uninterrupted one draws."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) % 2**63)


@dataclass(frozen=True, slots=True)
class Checkpoint(Progress):
    """A progress that also brings the state of the learning, to be kept and resumed from."""

    state: LearningState | None = None


@dataclass
class _Learner:
    """What is being learned, and the fixed surroundings of it."""

    backbone: Backbone
    lesson: Lesson
    tokens: Tokens
    gates: Gates | None
    token: Tensor  # (d,)
    keys: tuple[Delta, ...]
    values: tuple[Delta, ...]
    where: Tensor | None  # (h, w): what each place counts in L_ldm
    words: Tensor  # (n, d): the words to be orthogonal to, in text-feature space
    seed: int

    def deltas(self) -> list[Tensor]:
        return [tensor for delta in (*self.keys, *self.values) for tensor in vars(delta).values()]

    def parameters(self) -> list[Tensor]:
        return [self.token, *self.deltas()]

    def now(self, *, with_deltas: bool) -> Conditioned:
        """The prompt as it is now, with its graph."""
        deltas = (self.keys, self.values) if with_deltas else ((), ())
        concept = Concept(self.token, *deltas, placeholder=self.lesson.placeholder, subject=self.lesson.subject)
        return conditioned(self.backbone, self.tokens, {self.lesson.placeholder: concept})


def attribute_states(backbone: Backbone, words: Sequence[str]) -> Tensor:
    """Attribute words in text-feature space `(n, d)`: the encoder's output where "a photo of a <word>" ends."""
    with torch.no_grad():
        states = []
        for word in words:
            tokens = tokenize(backbone, f"a photo of a {word}", ())
            last = int((tokens.ids == backbone.tokenizer.eos_token_id).nonzero()[0]) - 1
            states.append(text_states(backbone, tokens, {})[last])
        return torch.stack(states) if states else torch.zeros(0, backbone.layers[0].to_k.in_features, device=backbone.device)


def learn_concept(
    backbone: Backbone,
    latent: Tensor,
    mask: Tensor,
    prompt: str,
    subject: str,
    options: LearningOptions,
    *,
    request_words: Sequence[str] = (),
    seed: int = 0,
    state: LearningState | None = None,
    every: int = 0,
) -> Learning:
    """Learn the identity in `latent` `(c, h, w)`; `mask` `(H, W)` in 0..1 is where it is. `prompt` holds [I] before `subject`."""
    lesson = Lesson(latent, mask, prompt, subject, request_words=request_words)
    (concept,) = yield from learn_concepts(backbone, (lesson,), options, seed=seed, state=state, every=every)
    return concept


def learn_concepts(
    backbone: Backbone,
    lessons: Sequence[Lesson],
    options: LearningOptions,
    *,
    seed: int = 0,
    state: LearningState | None = None,
    every: int = 0,
) -> Generator[Rows | Progress, Answers, tuple[Concept, ...]]:
    """Learn the concepts of `lessons` side by side, one alone or [I] with its attributes.

    With `every` k, each k-th step's progress is a `Checkpoint`. With its state as `state`, the learning goes on after it and ends
    in the bytes that it would have ended in. Raises `ArtifactMismatch` for the state of another learning.
    """
    _check_lessons(lessons)
    learners = [_begin(backbone, lesson, options, seed + i) for i, lesson in enumerate(lessons)]
    about = settings_digest(lessons, options, seed)
    optimisers: list[torch.optim.AdamW] = []
    clock = Clock()
    if state is not None:
        clock = state.clock
        optimisers = [_optimiser(learner, clock.phase, options) for learner in learners]
        state.restore(about, backbone.fingerprints, [learner.parameters() for learner in learners], optimisers)
    caps = (options.token_steps, options.steps - options.token_steps)
    for phase in range(clock.phase, len(caps)):
        if clock.phase != phase:
            clock = clock.next_phase()
        if clock.in_phase == 0:
            optimisers = [_optimiser(learner, phase, options) for learner in learners]
        while clock.in_phase < caps[phase] and not clock.flat(options.patience):
            loss = yield from _step(learners, optimisers, options, clock.step, with_deltas=phase > 0)
            clock = clock.after(loss)
            if every and clock.step % every == 0:
                parameters = [learner.parameters() for learner in learners]
                kept = LearningState.of(clock, about, backbone.fingerprint, parameters, optimisers)
                yield Checkpoint("learning", clock.step, options.steps, loss, kept)
            else:
                yield Progress("learning", clock.step, options.steps, loss)
    return _finished(learners, clock.losses)


def _check_lessons(lessons: Sequence[Lesson]) -> None:
    names = [checked_placeholder(lesson.placeholder) for lesson in lessons]
    if not names or len(set(names)) < len(names):
        raise OptionInvalid(f"each concept needs a placeholder of its own, not {names}", field="options.placeholder")
    for lesson in lessons:
        if lesson.placeholder not in lesson.prompt:
            raise PromptInvalid(
                f"the prompt of learning needs {lesson.placeholder} before the subject",
                field="source_prompt",
                reason="placeholder_missing",
            )
        if lesson.placeholder != PLACEHOLDER and not lesson.mask.any():
            raise MaskInvalid(
                f"the mask shows no {lesson.placeholder}: mark where the photo shows it", field="mask", reason="mask_empty"
            )


def _optimiser(learner: _Learner, phase: int, options: LearningOptions) -> torch.optim.AdamW:
    """A fresh one per phase: the token alone, then the token and the changes, at rates of their own."""
    groups = [{"params": [learner.token], "lr": options.joint_token_rate if phase else options.token_rate}]
    if phase and learner.deltas():
        groups.append({"params": learner.deltas(), "lr": options.kv_rate})
    return torch.optim.AdamW(groups, weight_decay=0.0)


def _step(
    learners: Sequence[_Learner],
    optimisers: Sequence[torch.optim.AdamW],
    options: LearningOptions,
    step: int,
    *,
    with_deltas: bool,
) -> Generator[Rows | Progress, Answers, float]:
    """One step of all learners; the mean of their L_ldm."""
    draws = [step_generator(learner.seed, step) for learner in learners]
    with torch.enable_grad():
        now = [learner.now(with_deltas=with_deltas) for learner in learners]
    rows = [_rows(*each, options.batch) for each in zip(learners, now, draws, strict=True)]
    answers = yield tuple(row for part in rows for row in part)
    features = [each.features[learner.lesson.placeholder] for learner, each in zip(learners, now, strict=True)]
    semantic = [_semantic(*each) for each in zip(learners, features, strict=True)]
    with torch.enable_grad():
        side_loss = options.orthogonality * (torch.stack(semantic).sum() + apart_loss(features))
    _descend(optimisers, now, answers, side_loss)
    return sum(answer.loss or 0.0 for answer in answers) / len(learners)


def _begin(backbone: Backbone, lesson: Lesson, options: LearningOptions, seed: int) -> _Learner:
    with torch.no_grad():
        learner = _fresh(backbone, lesson, options, seed)
    if options.orthogonality > 0 and options.start_steps > 0 and len(learner.words):
        _turn_away(learner, options)
    return learner


def _turn_away(learner: _Learner, options: LearningOptions) -> None:
    """L_semantic alone, over all the words, before the photo is looked at; not further from the subject word than it takes.

    A subject word stands near every attribute word. Where both losses pull from there at once, the token may stay in a hollow
    in which it *is* an attribute word, whatever λ. The text side is small and nothing is drawn, so L-BFGS fits; what it reaches
    the learning keeps, as it moves the token little.
    """
    subject = learner.token.detach().clone()
    optimiser = torch.optim.LBFGS([learner.token], max_iter=options.start_steps, history_size=20, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad(set_to_none=True)
        feature = learner.now(with_deltas=False).features[learner.lesson.placeholder]
        loss = _semantic(learner, feature) + NEARNESS * (learner.token - subject).square().sum()
        loss.backward()
        return loss

    with torch.enable_grad():
        optimiser.step(closure)


def _fresh(backbone: Backbone, lesson: Lesson, options: LearningOptions, seed: int) -> _Learner:
    keys, values = fresh_deltas(backbone.layers, options.mode, options.rank, step_generator(seed, -1 % 2**31))
    size = (lesson.latent.shape[1], lesson.latent.shape[2])
    name = lesson.placeholder
    return _Learner(
        backbone=backbone,
        lesson=lesson,
        tokens=tokenize(backbone, lesson.prompt, (name,), field="source_prompt"),
        gates=prompt_gates(backbone, lesson.prompt, {name: lesson.mask}, size) if options.masked else None,
        token=word_embedding(backbone, lesson.subject).clone().requires_grad_(),
        where=None if name == PLACEHOLDER else adaptive_avg_pool2d(lesson.mask[None].float(), size)[0],
        keys=keys,
        values=values,
        words=attribute_states(backbone, _words_apart(backbone, lesson)),
        seed=seed,
    )


def _words_apart(backbone: Backbone, lesson: Lesson) -> list[str]:
    """The words that the concept shall be orthogonal to; never one of the subject's own.

    [I] says who it is and nothing that a prompt may change: the attribute words. [A] says what is worn and not by whom: the words
    that name people, and whatever attribute words the request adds.
    """
    card = backbone.card
    bank = card.attribute_words if lesson.placeholder == PLACEHOLDER else card.subjects
    requested = [word for word in lesson.request_words if word in card.attribute_words]
    subject = set(re.findall(r"\w+", lesson.subject.lower()))
    return [word for word in dict.fromkeys((*requested, *bank)) if word.lower() not in subject]


def _rows(learner: _Learner, now: Conditioned, draw: torch.Generator, batch: int) -> Rows:
    """The latent at `batch` noise levels, one drawn from each equal part of the schedule; the ε that was added is the target.

    The weights make the error of ε that of what the model predicts: a v-prediction model learns v.
    """
    schedule, latent = learner.backbone.schedule, learner.lesson.latent
    part = schedule.train_timesteps / batch
    t = ((torch.arange(batch) + torch.rand(batch, generator=draw)) * part).long().clamp_max(schedule.train_timesteps - 1)
    eps = torch.randn((batch, *latent.shape), generator=draw).to(latent)
    noisy = schedule.add_noise(latent[None].expand_as(eps), eps, t.to(latent.device))
    where = learner.where
    return tuple(
        Row(
            noisy[i],
            int(t[i]),
            now.prompt,
            learner.gates,
            target=eps[i],
            weight=schedule.loss_weight(int(t[i])) / batch,
            where=where,
        )
        for i in range(batch)
    )


def _semantic(learner: _Learner, feature: Tensor) -> Tensor:
    """L_semantic over all the words: they are read once, so many cost no more than few."""
    with torch.enable_grad():
        return semantic_loss(feature, learner.words, power=POWER)


def _descend(optimisers: Sequence[torch.optim.AdamW], now: Sequence[Conditioned], answers: Answers, side_loss: Tensor) -> None:
    """One step: the rows' gradients enter at K and V, the side loss where it is."""
    batch = len(answers) // len(now)
    roots, gradients = [side_loss], [torch.ones_like(side_loss)]
    for i, each in enumerate(now):
        mine = answers[i * batch : (i + 1) * batch]
        summed = [torch.stack(grads).sum(0) for grads in zip(*(answer.gradients() for answer in mine), strict=True)]
        roots += each.prompt.tensors()
        gradients += summed
    for optimiser in optimisers:
        optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(roots, gradients)
    for optimiser in optimisers:
        torch.nn.utils.clip_grad_norm_(list(_parameters(optimiser)), 1.0)
        optimiser.step()


def _parameters(optimiser: torch.optim.AdamW) -> Iterator[Tensor]:
    for group in optimiser.param_groups:
        yield from group["params"]


def _finished(learners: Sequence[_Learner], losses: Sequence[float]) -> tuple[Concept, ...]:
    with torch.no_grad():
        features = [learner.now(with_deltas=False).features[learner.lesson.placeholder] for learner in learners]
        between = torch.nn.functional.cosine_similarity
        concepts = []
        for i, (learner, feature) in enumerate(zip(learners, features, strict=True)):
            cosines = between(feature[None], learner.words, dim=-1).abs()
            others = [abs(float(between(feature, other, dim=0))) for j, other in enumerate(features) if j != i]
            facts: dict[str, Any] = {
                "subject": learner.lesson.subject,
                "prompt": learner.lesson.prompt,
                "seed": learner.seed,
                "steps": len(losses),
                "loss_end": sum(losses[-10:]) / max(1, len(losses[-10:])),
                "mean_abs_cosine_to_bank": float(cosines.mean()) if len(cosines) else 0.0,
                "max_abs_cosine_to_bank": float(cosines.max()) if len(cosines) else 0.0,
            }
            if others:
                facts["max_abs_cosine_to_others"] = max(others)
            concepts.append(
                Concept(
                    token=learner.token.detach(),
                    keys=_still(learner.keys),
                    values=_still(learner.values),
                    fingerprint=learner.backbone.fingerprint,
                    facts=facts,
                    placeholder=learner.lesson.placeholder,
                    subject=learner.lesson.subject,
                )
            )
    return tuple(concepts)


def _still(deltas: tuple[Delta, ...]) -> tuple[Delta, ...]:
    return tuple(type(delta)(**{name: tensor.detach() for name, tensor in vars(delta).items()}) for delta in deltas)
