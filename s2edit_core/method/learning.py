"""Learning [I] from one photo: L = L_ldm + λ·L_semantic, with [I] restricted to its mask (S²Edit, figure 2, left).

Learning begins on the text side alone: L_semantic turns the token away from the attribute words. Two phases follow. The first
optimises the token; the second also optimises the changes of the cross-attention keys and values. Each step evaluates rows of the
photo's latent at several noise levels, all with the current prompt. Their gradients dL/dK and dL/dV are backpropagated through the
text side to the token and the changes.

An attribute [A] is learned in the same way from a reference photo, except that its L_ldm covers only the region that shows the
attribute (as in Break-A-Scene, arXiv 2305.16311): the rest of the photo says nothing about it and would dominate the loss. If [I]
and [A] are learned together, they share passes, and the squared cosine between them is added to L_semantic.

Learning can be interrupted at any step and resumed: its state is a value (`learning_state`), and each step has its own random
generator. Before the first step it yields no rows at all (`PAUSE`) after each piece of its work, so that it can be interrupted
there too.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

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
from s2edit_core.errors import MaskInvalid, OptionInvalid, PromptInvalid
from s2edit_core.method.lbfgs import minimising
from s2edit_core.method.learning_state import LearningState, StepCounter, settings_digest
from s2edit_core.method.lesson import Lesson
from s2edit_core.method.losses import pairwise_loss, semantic_loss, summed_gradients
from s2edit_core.request.options import LearningOptions
from s2edit_core.request.prompts import checked_placeholder
from s2edit_core.request.spec import PLACEHOLDER, Progress
from s2edit_core.unet.attention import Gates
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Answers, Row, Rows

Learning = Generator[Rows | Progress, Answers, Concept]
Result = TypeVar("Result")
Preparation = Generator[Rows, Answers, Result]
PAUSE: Rows = ()
"""No rows: yielded so that whoever drives the learning can interrupt it."""
SEMANTIC_POWER = 8
"""The power p of the mean (mean |cos|^p)^(2/p) in L_semantic. With p = 2, one word may stay near as long as all others are far."""
SUBJECT_PULL = 3e-5
"""Weight of the squared distance to the subject word while the token is turned away from the attribute words. Without it, the token
may move a hundred times as far to reduce the last hundredth of a cosine, to a place that later steps cannot leave.
"""


def step_generator(seed: int, step: int) -> torch.Generator:
    """Return the random generator of one step.

    It depends only on seed and step, so a resumed run draws what an uninterrupted one draws.
    """
    return torch.Generator().manual_seed((seed * 1_000_003 + step) % 2**63)


@dataclass(frozen=True, slots=True)
class Checkpoint(Progress):
    """Progress that also carries the state of the learning, to store and resume from."""

    state: LearningState | None = None


@dataclass
class _Learner:
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
    others: tuple[_Learner, ...] = ()  # of the lesson's other photos; they share token and changes

    def at(self, step: int) -> _Learner:
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
        deltas = (self.keys, self.values) if with_deltas else ((), ())
        concept = Concept(self.token, *deltas, placeholder=self.lesson.placeholder, subject=self.lesson.subject)
        return conditioned(self.backbone, self.tokens, {self.lesson.placeholder: concept})


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


def _attribute_states(backbone: Backbone, words: Sequence[str]) -> Preparation[Tensor]:
    """Return the words in text-feature space, `(n, d)`."""
    states = [torch.zeros(0, backbone.layers[0].to_k.in_features, device=backbone.device)]
    for word in words:
        states.append(attribute_state(backbone, word)[None])
        yield PAUSE
    return torch.cat(states)


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
    """Learn the identity that `mask` `(H, W)` in 0..1 marks in the photo with `latent` `(c, h, w)`.

    `prompt` holds [I] before `subject`. For the other arguments and errors see `learn_concepts`.
    """
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
    """Learn the concepts of `lessons` side by side: one alone, or [I] together with attributes.

    With `every` = k, the progress of each k-th step is a `Checkpoint`. If its state is passed as `state`, learning resumes after it
    and ends with identical bytes. Raises `ArtifactMismatch` for the state of another learning, `OptionInvalid` for repeated
    placeholders, `PromptInvalid` for a prompt without its placeholder, `MaskInvalid` for an empty mask.
    """
    _check_lessons(lessons)
    learners = [_new_learner(backbone, lesson, options, seed + i) for i, lesson in enumerate(lessons)]
    for learner in learners:
        learner.words = yield from _attribute_states(backbone, _orthogonal_words(backbone, learner.lesson))
    about = settings_digest(lessons, options, seed)
    optimisers: list[torch.optim.AdamW] = []
    counter = StepCounter()
    if state is not None:
        counter = state.counter
        optimisers = [_optimiser(learner, counter.phase, options) for learner in learners]
        state.restore(about, backbone.fingerprints, [learner.parameters() for learner in learners], optimisers)
    else:
        for learner in learners:
            yield from _orthogonalise_start(learner, options)
    phase_steps = (options.token_steps, options.steps - options.token_steps)
    for phase in range(counter.phase, len(phase_steps)):
        if counter.phase != phase:
            counter = counter.next_phase()
        if counter.steps_in_phase == 0:
            optimisers = [_optimiser(learner, phase, options) for learner in learners]
        while counter.steps_in_phase < phase_steps[phase] and not counter.has_plateaued(options.patience):
            loss = yield from _step(learners, optimisers, options, counter.step, with_deltas=phase > 0)
            counter = counter.after(loss)
            if every and counter.step % every == 0:
                parameters = [learner.parameters() for learner in learners]
                kept = LearningState.of(counter, about, backbone.fingerprint, parameters, optimisers)
                yield Checkpoint("learning", counter.step, options.steps, loss, kept)
            else:
                yield Progress("learning", counter.step, options.steps, loss)
    return _learned_concepts(learners, counter.losses)


def _check_lessons(lessons: Sequence[Lesson]) -> None:
    names = [checked_placeholder(lesson.placeholder) for lesson in lessons]
    if not names or len(set(names)) < len(names):
        raise OptionInvalid(f"each concept needs a placeholder of its own, not {names}", field="options.placeholder")
    for lesson in (photo for each in lessons for photo in (each, *each.others)):
        if lesson.placeholder not in lesson.prompt:
            raise PromptInvalid(
                f"the prompt to learn from must hold {lesson.placeholder} before the subject",
                field="source_prompt",
                reason="placeholder_missing",
            )
        if lesson.placeholder != PLACEHOLDER and not lesson.mask.any():
            raise MaskInvalid(
                f"the mask is empty: mark where the photo shows {lesson.placeholder}", field="mask", reason="mask_empty"
            )


def _optimiser(learner: _Learner, phase: int, options: LearningOptions) -> torch.optim.AdamW:
    """Return a new optimiser for `phase`: phase 0 optimises the token, phase 1 the token and the changes, each at its own rate."""
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
    """Run one step of all learners and return the mean of their L_ldm."""
    draws = [step_generator(learner.seed, step) for learner in learners]
    with torch.enable_grad():
        shown = [learner.at(step) for learner in learners]
        now = [learner.condition(with_deltas=with_deltas) for learner in shown]
    rows = [_rows(*each, options) for each in zip(shown, now, draws, strict=True)]
    answers = yield tuple(row for part in rows for row in part)
    features = [each.features[learner.lesson.placeholder] for learner, each in zip(learners, now, strict=True)]
    semantic = [_semantic(*each) for each in zip(learners, features, strict=True)]
    with torch.enable_grad():
        side_loss = options.orthogonality * (torch.stack(semantic).sum() + pairwise_loss(features))
    _apply_gradients(optimisers, now, answers, side_loss)
    return sum(answer.loss or 0.0 for answer in answers) / len(learners)


def _orthogonalise_start(learner: _Learner, options: LearningOptions) -> Preparation[None]:
    """Turn the token away from all attribute words by L_semantic alone, while staying as near to the subject word as that allows.

    The subject word is near every attribute word. If both losses started from there, the token could remain in a local minimum in
    which it is an attribute word, whatever λ. This stage is deterministic and only involves the text encoder, so it uses L-BFGS.
    The later phases preserve its result, because they move the token little.

    The optimiser works on the CPU: it reads dozens of numbers per evaluation, for each of which a GPU would be waited for.
    """
    if options.orthogonality == 0 or options.start_steps == 0 or not len(learner.words):
        return
    subject = learner.token.detach().clone()
    point = learner.token.detach().cpu().clone().requires_grad_()

    def loss() -> Tensor:
        token = point.to(subject.device)
        return _semantic(learner, learner.feature(token)) + SUBJECT_PULL * (token - subject).square().sum()

    for _ in minimising(point, loss, max_iter=options.start_steps, history_size=20):
        yield PAUSE
    with torch.no_grad():
        learner.token.copy_(point)


@torch.no_grad()
def _new_learner(backbone: Backbone, lesson: Lesson, options: LearningOptions, seed: int) -> _Learner:
    """Return a learner that does not know its words yet."""
    keys, values = new_deltas(backbone.layers, options.mode, options.rank, step_generator(seed, -1 % 2**31))
    size = (lesson.latent.shape[1], lesson.latent.shape[2])
    name = lesson.placeholder
    learner = _Learner(
        backbone=backbone,
        lesson=lesson,
        tokens=tokenize(backbone, lesson.prompt, (name,), field="source_prompt"),
        gates=prompt_gates(backbone, lesson.prompt, {name: lesson.mask}, size) if options.masked else None,
        token=word_embedding(backbone, lesson.subject).clone().requires_grad_(),
        loss_weights=None if name == PLACEHOLDER else adaptive_avg_pool2d(lesson.mask[None].float(), size)[0].to(backbone.device),
        keys=keys,
        values=values,
        words=torch.zeros(0, backbone.layers[0].to_k.in_features, device=backbone.device),
        seed=seed,
    )
    others = [_new_learner(backbone, other, options, seed) for other in lesson.others]
    learner.others = tuple(replace(other, token=learner.token, keys=keys, values=values) for other in others)
    return learner


def _orthogonal_words(backbone: Backbone, lesson: Lesson) -> list[str]:
    """Return the words that the concept is to be orthogonal to, without those of its own subject.

    These are the card's word bank for the concept and those of the request's words that are attribute words.
    """
    card = backbone.card
    attribute_words = card.word_bank(lesson.subject)
    requested = [word for word in lesson.request_words if word in attribute_words]
    bank = card.word_bank(lesson.subject, lesson.placeholder)
    subject = set(re.findall(r"\w+", lesson.subject.lower()))
    return [word for word in dict.fromkeys((*requested, *bank)) if word.lower() not in subject]


def _rows(learner: _Learner, now: Conditioned, draw: torch.Generator, options: LearningOptions) -> Rows:
    """Return rows of the latent at `options.batch` noise levels, one drawn from each equal part of the schedule.

    The added ε is the target.

    The weights convert the error of ε to that of the model's own prediction, so that a v-prediction model learns v, or to that of v
    for every model (see `Weighting`).
    """
    schedule, latent, batch = learner.backbone.schedule, learner.lesson.latent, options.batch
    part = schedule.train_timesteps / batch
    t = ((torch.arange(batch) + torch.rand(batch, generator=draw)) * part).long().clamp_max(schedule.train_timesteps - 1)
    eps = torch.randn((batch, *latent.shape), generator=draw).to(latent)
    noisy = schedule.add_noise(latent[None].expand_as(eps), eps, t.to(latent.device))
    weights = learner.loss_weights
    return tuple(
        Row(
            noisy[i],
            int(t[i]),
            now.prompt,
            learner.gates,
            target=eps[i],
            weight=(1 / schedule.alpha(int(t[i])) if options.weighting == "velocity" else schedule.loss_weight(int(t[i]))) / batch,
            loss_weights=weights,
        )
        for i in range(batch)
    )


def _semantic(learner: _Learner, feature: Tensor) -> Tensor:
    """Return L_semantic over all words."""
    with torch.enable_grad():
        return semantic_loss(feature, learner.words, power=SEMANTIC_POWER)


def _apply_gradients(
    optimisers: Sequence[torch.optim.AdamW], now: Sequence[Conditioned], answers: Answers, side_loss: Tensor
) -> None:
    """Take one optimiser step: the rows' gradients enter at K and V, and the side loss at its own graph."""
    batch = len(answers) // len(now)
    roots, gradients = [side_loss], [torch.ones_like(side_loss)]
    for i, each in enumerate(now):
        mine = answers[i * batch : (i + 1) * batch]
        roots += each.prompt.tensors()
        gradients += summed_gradients([answer.gradients() for answer in mine])
    for optimiser in optimisers:
        optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(roots, gradients)
    for optimiser in optimisers:
        torch.nn.utils.clip_grad_norm_(list(_parameters(optimiser)), 1.0)
        optimiser.step()


def _parameters(optimiser: torch.optim.AdamW) -> Iterator[Tensor]:
    for group in optimiser.param_groups:
        yield from group["params"]


def _learned_concepts(learners: Sequence[_Learner], losses: Sequence[float]) -> tuple[Concept, ...]:
    """Return the learned concepts with their facts: losses, and cosines to the words and to each other."""
    with torch.no_grad():
        features = [learner.condition(with_deltas=False).features[learner.lesson.placeholder] for learner in learners]
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
                    keys=_detached(learner.keys),
                    values=_detached(learner.values),
                    fingerprint=learner.backbone.fingerprint,
                    facts=facts,
                    placeholder=learner.lesson.placeholder,
                    subject=learner.lesson.subject,
                )
            )
    return tuple(concepts)


def _detached(deltas: tuple[Delta, ...]) -> tuple[Delta, ...]:
    return tuple(type(delta)(**{name: tensor.detach() for name, tensor in vars(delta).items()}) for delta in deltas)
