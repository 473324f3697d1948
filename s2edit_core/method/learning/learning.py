"""Learning [I] from one photo: L = L_ldm + λ·L_semantic, with [I] restricted to its mask (S²Edit, figure 2, left).

With `start_steps`, learning begins on the text side alone: L_semantic turns the token away from the attribute words. Two phases
follow. The first optimises the token; the second also optimises the changes of the cross-attention keys and values. The preset
`paper` has neither the start nor the first phase. Each step evaluates rows of the photo's latent at several noise levels, all with
the current prompt. Their gradients dL/dK and dL/dV are backpropagated through the text side to the token and the changes.

An attribute [A] is learned in the same way from a reference photo, except that its L_ldm covers only the region that shows the
attribute (as in Break-A-Scene, arXiv 2305.16311): the rest of the photo says nothing about it and would dominate the loss. If [I]
and [A] are learned together, they share passes, and the squared cosine between them is added to L_semantic.

With `LearningOptions.patience`, each phase ends early once the loss of held-out rows no longer falls (`held_out`).

Learning can be interrupted at any step and resumed: its state is a value (`learning_state`), and each step has its own random
generator. Before the first step it yields no rows at all (`PAUSE`) after each piece of its work, so that it can be interrupted
there too.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from s2edit_core.concepts.concept import Concept, Delta
from s2edit_core.errors import MaskInvalid, OptionInvalid, PromptInvalid
from s2edit_core.method.learning.held_out import has_fallen, held_out_losses
from s2edit_core.method.learning.learned_prompts import LearnedPrompt
from s2edit_core.method.learning.learner import (
    Learner,
    attribute_states,
    new_learner,
    noised_rows,
    orthogonal_words,
    step_generator,
)
from s2edit_core.method.learning.learning_state import LearningState, StepCounter, settings_digest
from s2edit_core.method.learning.lesson import Lesson
from s2edit_core.method.learning.start import orthogonalise_start
from s2edit_core.request.options import LearningOptions
from s2edit_core.request.prompts import checked_placeholder
from s2edit_core.request.spec import PLACEHOLDER, Progress
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Answers, Rows
from s2edit_core.unet.trainable_prompts import summed_gradients

Learning = Generator[Rows | Progress, Answers, Concept]
PHASES = ("token", "joint")
"""The names of the phases: the token alone, then the token and the changes of keys and values."""


@dataclass(frozen=True, slots=True)
class Checkpoint(Progress):
    """Progress that also carries the state of the learning, to store and resume from."""

    state: LearningState | None = None


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
    check_lessons(lessons)
    learners = [new_learner(backbone, lesson, options, seed + i) for i, lesson in enumerate(lessons)]
    for learner in learners:
        learner.word_list = tuple(orthogonal_words(backbone, learner.lesson))
        learner.words = yield from attribute_states(backbone, learner.word_list)
    about = settings_digest(lessons, options, seed)
    optimisers: list[torch.optim.AdamW] = []
    counter = StepCounter()
    if state is not None:
        counter = state.counter
        optimisers = [_optimiser(learner, counter.phase, options) for learner in learners]
        state.restore(about, backbone.fingerprints, [learner.parameters() for learner in learners], optimisers)
    else:
        for learner in learners:
            yield from orthogonalise_start(learner, options)
    for phase in range(counter.phase, len(PHASES)):
        if counter.steps_in_phase == 0:
            optimisers = [_optimiser(learner, phase, options) for learner in learners]
        while counter.steps_in_phase < _most_steps(options)[phase]:
            if counter.is_measured_now(options.patience):
                losses = yield from held_out_losses(learners, options.weighting, with_deltas=phase > 0)
                if counter.held_out and not has_fallen(counter.held_out, losses):
                    break
                counter = counter.measured(losses)
            loss = yield from _step(learners, optimisers, options, counter.step, with_deltas=phase > 0)
            counter = counter.after(loss)
            if every and counter.step % every == 0:
                parameters = [learner.parameters() for learner in learners]
                kept = LearningState.of(counter, about, backbone.fingerprint, parameters, optimisers)
                yield Checkpoint("learning", counter.step, options.steps, loss, kept)
            else:
                yield Progress("learning", counter.step, options.steps, loss)
        counter = counter.next_phase()
    return _learned_concepts(learners, counter, options)


def _most_steps(options: LearningOptions) -> tuple[int, int]:
    """Return the most steps of each phase."""
    return options.token_steps, options.steps - options.token_steps


def check_lessons(lessons: Sequence[Lesson]) -> None:
    names = [checked_placeholder(lesson.placeholder) for lesson in lessons]
    if not names or len(set(names)) < len(names):
        raise OptionInvalid(f"each concept needs a placeholder of its own, not {names}", field="options.placeholder")
    for lesson in (photo for each in lessons for photo in (each, *each.others)):
        if lesson.placeholder not in lesson.prompt:
            raise PromptInvalid(
                f"the prompt to learn from must hold {lesson.placeholder} before the subject",
                field="prompt",
                reason="placeholder_missing",
            )
        if lesson.placeholder != PLACEHOLDER and not lesson.mask.any():
            raise MaskInvalid(
                f"the mask is empty: mark where the photo shows {lesson.placeholder}", field="mask", reason="mask_empty"
            )


def _optimiser(learner: Learner, phase: int, options: LearningOptions) -> torch.optim.AdamW:
    """Return a new optimiser for `phase`: phase 0 optimises the token, phase 1 the token and the changes, each at its own rate."""
    groups = [{"params": [learner.token], "lr": options.joint_token_rate if phase else options.token_rate}]
    if phase and learner.deltas():
        groups.append({"params": learner.deltas(), "lr": options.kv_rate})
    # On the CPU, one call for all parameters takes a tenth of the time.
    return torch.optim.AdamW(groups, weight_decay=0.0, fused=learner.token.device.type == "cpu" or None)


def _step(
    learners: Sequence[Learner],
    optimisers: Sequence[torch.optim.AdamW],
    options: LearningOptions,
    step: int,
    *,
    with_deltas: bool,
) -> Generator[Rows | Progress, Answers, float]:
    """Run one step of all learners and return the mean of their L_ldm."""
    shown = [learner.at(step) for learner in learners]
    features = _present_features(shown)
    rows: list[Rows] = []
    prompts = []
    for i, learner in enumerate(shown):
        others = torch.cat([features[:i], features[i + 1 :]])
        prompt = replace(learner, words=learners[i].words).prompt(options, others, with_deltas=with_deltas)
        draw = step_generator(learner.seed, step)
        rows.append(noised_rows(learner, prompt, draw, options.batch, options.weighting))
        prompts.append(prompt)
    answers = yield tuple(row for part in rows for row in part)
    for i, (optimiser, prompt) in enumerate(zip(optimisers, prompts, strict=True)):
        _take_step(optimiser, prompt, answers[i * options.batch : (i + 1) * options.batch])
    return sum(answer.loss or 0.0 for answer in answers) / len(learners)


@torch.no_grad()
def _present_features(learners: Sequence[Learner]) -> Tensor:
    """Return the text feature of each concept `(concepts, d)`, which the others are turned away from; none for one alone."""
    if len(learners) == 1:
        return learners[0].words[:0]
    return torch.stack([learner.condition(with_deltas=False).features[learner.lesson.placeholder] for learner in learners])


def _take_step(optimiser: torch.optim.AdamW, prompt: LearnedPrompt, answers: Answers) -> None:
    """Take one optimiser step with the gradients in the answers to the prompt's rows. Each pass has answered a part of them."""
    parts = [answer.parameter_gradients for answer in answers if answer.parameter_gradients]
    for parameter, gradient in zip(prompt.parameters, summed_gradients(parts), strict=True):
        parameter.grad = gradient.contiguous()  # torch's fused AdamW takes the elements of any other gradient in the wrong order
    torch.nn.utils.clip_grad_norm_(list(_parameters(optimiser)), 1.0, foreach=True)
    optimiser.step()


def _parameters(optimiser: torch.optim.AdamW) -> Iterator[Tensor]:
    for group in optimiser.param_groups:
        yield from group["params"]


def facts_about(lesson: Lesson, seed: int, counter: StepCounter, most: Mapping[str, int]) -> dict[str, Any]:
    """Return the facts of a learning whose phases had at `most` so many steps, by name: what ended each, and the last loss."""
    phases = {
        name: {"steps": steps, "most": limit, "ended_by": "held_out_loss" if steps < limit else "most_steps"}
        for (name, limit), steps in zip(most.items(), counter.phase_steps, strict=True)
        if limit
    }
    last = counter.losses[-10:]
    return {
        "subject": lesson.subject,
        "prompt": lesson.prompt,
        "seed": seed,
        "steps": counter.step,
        "phases": phases,
        "loss_end": sum(last) / max(1, len(last)),
    }


def _learned_concepts(learners: Sequence[Learner], counter: StepCounter, options: LearningOptions) -> tuple[Concept, ...]:
    """Return the learned concepts with their facts: steps, losses, and cosines to the words and to each other."""
    with torch.no_grad():
        features = [learner.condition(with_deltas=False).features[learner.lesson.placeholder] for learner in learners]
        between = torch.nn.functional.cosine_similarity
        concepts = []
        for i, (learner, feature) in enumerate(zip(learners, features, strict=True)):
            cosines = between(feature[None], learner.words, dim=-1).abs()
            others = [abs(float(between(feature, other, dim=0))) for j, other in enumerate(features) if j != i]
            most = dict(zip(PHASES, _most_steps(options), strict=True))
            facts = facts_about(learner.lesson, learner.seed, counter, most) | {
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
