"""A concept while it is learned: its token and changes, and the inputs that stay as they are."""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from s2edit_core.concepts.concept import Concept, Delta, new_deltas
from s2edit_core.concepts.conditioning import (
    Conditioned,
    Tokens,
    conditioned,
    prompt_gates,
    text_states,
    tokenize,
    word_embedding,
)
from s2edit_core.method.learning.learned_prompts import LearnedPrompt
from s2edit_core.method.learning.lesson import Lesson
from s2edit_core.request.options import LearningOptions, Weighting
from s2edit_core.request.spec import PLACEHOLDER
from s2edit_core.unet.attention import Gates, KeysValues
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import NO_PROMPT, Answers, Row, Rows, TrainablePrompt

Result = TypeVar("Result")
Preparation = Generator[Rows, Answers, Result]
PAUSE: Rows = ()
"""No rows: yielded so that whoever drives the learning can interrupt it."""


def step_generator(seed: int, step: int) -> torch.Generator:
    """Return the random generator of one step.

    It depends only on seed and step, so a resumed run draws what an uninterrupted one draws.
    """
    return torch.Generator().manual_seed((seed * 1_000_003 + step) % 2**63)


@dataclass
class Learner:
    """A concept while it is learned, with its fixed inputs."""

    backbone: Backbone
    lesson: Lesson
    tokens: Tokens
    gates: Gates | None
    token: Tensor  # (d,)
    keys: tuple[Delta, ...]
    values: tuple[Delta, ...]
    loss_weights: Tensor | None  # (h, w): weight of each latent cell in L_ldm; None: all equal
    words: Tensor  # (n, d): the words that the concept is to be orthogonal to, in text-feature space
    seed: int
    word_list: tuple[str, ...] = ()  # the same words
    others: tuple[Learner, ...] = ()  # of the lesson's other photos; they share token and changes

    def at(self, step: int) -> Learner:
        """Return the learner of the photo of step `step`."""
        return (self, *self.others)[step % (1 + len(self.others))]

    def deltas(self) -> list[Tensor]:
        """Return the tensors of the key and value changes."""
        return [tensor for delta in (*self.keys, *self.values) for tensor in vars(delta).values()]

    def parameters(self) -> list[Tensor]:
        """Return everything that learning optimises."""
        return [self.token, *self.deltas()]

    def feature(self, token: Tensor) -> Tensor:
        """Return the text feature `(d,)` of the placeholder with the embedding `token`, without K and V of the prompt.

        CLIP's attention is causal: no later token, padding least of all, has any effect on it. So none is encoded.
        """
        name = self.lesson.placeholder
        at = self.tokens.positions[name][0]
        return text_states(self.backbone, Tokens(self.tokens.ids[: at + 1], {name: (at,)}), {name: token})[at]

    def condition(self, *, with_deltas: bool) -> Conditioned:
        """Return the prompt conditioned on the current concept, with its autograd graph."""
        return conditioned(self.backbone, self.tokens, {self.lesson.placeholder: self.concept(with_deltas=with_deltas)})

    def concept(self, *, with_deltas: bool) -> Concept:
        """Return the current concept; its tensors are those that are optimised."""
        deltas = (self.keys, self.values) if with_deltas else ((), ())
        return Concept(self.token, *deltas, placeholder=self.lesson.placeholder, subject=self.lesson.subject)

    def prompt(self, options: LearningOptions, others: Tensor, *, with_deltas: bool) -> LearnedPrompt:
        """Return the prompt to learn from in one step, beside concepts with the text features `others` `(m, d)`."""
        return LearnedPrompt(
            self.backbone,
            self.tokens,
            self.concept(with_deltas=with_deltas),
            self.words,
            options.semantic_power,
            options.orthogonality,
            options.batch,
            others,
        )


@torch.no_grad()
def new_learner(backbone: Backbone, lesson: Lesson, options: LearningOptions, seed: int) -> Learner:
    """Return a learner that does not know its words yet."""
    keys, values = new_deltas(backbone.layers, options.mode, options.rank, step_generator(seed, -1 % 2**31))
    size = (lesson.latent.shape[1], lesson.latent.shape[2])
    name = lesson.placeholder
    learner = Learner(
        backbone=backbone,
        lesson=lesson,
        tokens=tokenize(backbone, lesson.prompt, (name,)),
        gates=prompt_gates(backbone, lesson.prompt, {name: lesson.mask}, size) if options.masked else None,
        token=word_embedding(backbone, lesson.subject).clone().requires_grad_(),
        loss_weights=None if name == PLACEHOLDER else adaptive_avg_pool2d(lesson.mask[None].float(), size)[0].to(backbone.device),
        keys=keys,
        values=values,
        words=torch.zeros(0, backbone.layers[0].to_k.in_features, device=backbone.device),
        seed=seed,
    )
    others = [new_learner(backbone, other, options, seed) for other in lesson.others]
    learner.others = tuple(replace(other, token=learner.token, keys=keys, values=values) for other in others)
    return learner


def noised_rows(
    learner: Learner, prompt: KeysValues | TrainablePrompt, draw: torch.Generator, count: int, weighting: Weighting
) -> Rows:
    """Return rows of the latent at `count` noise levels, one drawn from each equal part of the schedule.

    The added ε is the target.

    The weights convert the error of ε to that of the model's own prediction, so that a v-prediction model learns v, or to that of v
    for every model (see `Weighting`). Together they are the mean over the rows.
    """
    latents = [learner.lesson.latent] * count
    rows = [(learner.gates, learner.loss_weights)] * count
    return rows_with_noise(learner.backbone, latents, rows, prompt, draw, weighting)


def rows_with_noise(
    backbone: Backbone,
    latents: Sequence[Tensor],
    kept: Sequence[tuple[Gates | None, Tensor | None]],
    prompt: KeysValues | TrainablePrompt,
    draw: torch.Generator,
    weighting: Weighting,
) -> Rows:
    """Return one row for each of `latents` `(c, h, w)`, with the gates and the weights of its cells that `kept` has for it.

    For noise levels, targets and weights see `noised_rows`.
    """
    schedule, count = backbone.schedule, len(latents)
    part = schedule.train_timesteps / count
    t = ((torch.arange(count) + torch.rand(count, generator=draw)) * part).long().clamp_max(schedule.train_timesteps - 1)
    clean = torch.stack(list(latents))
    eps = torch.randn(clean.shape, generator=draw).to(clean)
    noisy = schedule.add_noise(clean, eps, t.to(clean.device))
    trainable = prompt if isinstance(prompt, TrainablePrompt) else None
    given = prompt if isinstance(prompt, KeysValues) else NO_PROMPT
    return tuple(
        Row(
            noisy[i],
            level,
            given,
            kept[i][0],
            target=eps[i],
            weight=(1 / schedule.alpha(level) if weighting == "velocity" else schedule.loss_weight(level)) / count,
            loss_weights=kept[i][1],
            trainable=trainable,
        )
        for i, level in enumerate(t.tolist())
    )


def orthogonal_words(backbone: Backbone, lesson: Lesson) -> list[str]:
    """Return the words that the concept is to be orthogonal to, without those of its own subject.

    These are the card's word bank for the concept and those of the request's words that are attribute words.
    """
    card = backbone.card
    attribute_words = card.word_bank(lesson.subject)
    requested = [word for word in lesson.request_words if word in attribute_words]
    bank = card.word_bank(lesson.subject, lesson.placeholder)
    subject = set(re.findall(r"\w+", lesson.subject.lower()))
    return [word for word in dict.fromkeys((*bank, *requested)) if word.lower() not in subject]


def attribute_state(backbone: Backbone, word: str) -> Tensor:
    """Return a word in text-feature space, `(d,)`: the text encoder's output at the last token of "a photo of a <word>".

    It is computed once per model and word; the words are those of the model's card.
    """

    @torch.no_grad()
    def state() -> Tensor:
        tokens = tokenize(backbone, f"a photo of a {word}", ())
        end = int((tokens.ids == backbone.tokenizer.eos_token_id).nonzero()[0])
        return text_states(backbone, Tokens(tokens.ids[:end], {}), {})[-1]

    return backbone.once(f"the state of {word}", state)


def attribute_states(backbone: Backbone, words: Sequence[str]) -> Preparation[Tensor]:
    """Return the words in text-feature space, `(n, d)`."""
    states = [torch.zeros(0, backbone.layers[0].to_k.in_features, device=backbone.device)]
    for word in words:
        states.append(attribute_state(backbone, word)[None])
        yield PAUSE
    return torch.cat(states)
