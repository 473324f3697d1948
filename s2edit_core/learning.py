"""Learning [I] from one photo: L = L_ldm + λ·L_semantic, with [I] held to its mask (S²Edit, figure 2, left).

Two phases: the token alone, then the token together with the changes of the cross-attention keys and values. Every step asks for
rows: the one latent at several noise levels, all with the prompt as it is now. What comes back, dL/dK and dL/dV, is carried
to the token and the changes through the text side alone.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from s2edit_core.attention import Gates, KeysValues
from s2edit_core.backbone import Backbone
from s2edit_core.concept import Concept, Delta, fresh_deltas
from s2edit_core.conditioning import Tokens, keys_values, prompt_gates, text_states, tokenize, word_embedding
from s2edit_core.errors import PromptInvalid
from s2edit_core.losses import semantic_loss
from s2edit_core.rows import Answers, Row, Rows
from s2edit_core.spec import PLACEHOLDER, LearningOptions, Progress

Learning = Generator[Rows | Progress, Answers, Concept]


def step_generator(seed: int, step: int) -> torch.Generator:
    """The randomness of one step: it depends on seed and step alone, so a resumed run draws what an uninterrupted one draws."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) % 2**63)


@dataclass
class _Learner:
    """What is being learned, and the fixed surroundings of it."""

    backbone: Backbone
    tokens: Tokens
    gates: Gates | None
    token: Tensor  # (d,)
    keys: tuple[Delta, ...]
    values: tuple[Delta, ...]
    words: Tensor  # (n, d): attribute words in text-feature space
    requested: int  # how many of `words`, from the first, are the request's own

    def deltas(self) -> list[Tensor]:
        return [tensor for delta in (*self.keys, *self.values) for tensor in vars(delta).values()]

    def concept(self) -> Concept:
        return Concept(token=self.token, keys=self.keys, values=self.values)

    def prompt(self, *, with_deltas: bool) -> tuple[KeysValues, Tensor]:
        """The prompt as it is now, with its graph, and the text feature `(d,)` of [I]."""
        states = text_states(self.backbone, self.tokens, {PLACEHOLDER: self.token})
        concepts = [self.concept()] if with_deltas else []
        return keys_values(self.backbone, states, concepts), states[self.tokens.positions[PLACEHOLDER][0]]


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
) -> Learning:
    """Learn the identity in `latent` `(c, h, w)`; `mask` `(H, W)` in 0..1 is where it is. `prompt` holds [I] before `subject`."""
    with torch.no_grad():
        learner = _begin(backbone, latent, mask, prompt, subject, options, request_words, seed)
    losses: list[float] = []
    token = [learner.token]
    phases = [
        (options.token_steps, False, [{"params": token, "lr": options.token_rate}]),
        (
            options.steps - options.token_steps,
            True,
            [{"params": token, "lr": options.joint_token_rate}, {"params": learner.deltas(), "lr": options.kv_rate}],
        ),
    ]
    step = 0
    for steps, with_deltas, groups in phases:
        if steps == 0:
            continue
        optimiser = torch.optim.AdamW(groups, weight_decay=0.0)
        for _ in range(steps):
            draw = step_generator(seed, step)
            prompt_now, feature = _prompt_now(learner, with_deltas)
            answers = yield _rows(learner, latent, prompt_now, options.batch, draw)
            semantic = _semantic(learner, feature, options, draw)
            _descend(optimiser, prompt_now, answers, options.orthogonality * semantic)
            step += 1
            losses.append(sum(answer.loss or 0.0 for answer in answers))
            yield Progress("learning", step, options.steps, losses[-1])
    return _finished(learner, subject, prompt, losses)


def _begin(
    backbone: Backbone,
    latent: Tensor,
    mask: Tensor,
    prompt: str,
    subject: str,
    options: LearningOptions,
    request_words: Sequence[str],
    seed: int,
) -> _Learner:
    keys, values = fresh_deltas(backbone.layers, options.mode, options.rank, step_generator(seed, -1 % 2**31))
    bank = [word for word in backbone.card.attribute_words if word != subject]
    requested = [word for word in request_words if word in bank]
    words = [*requested, *(word for word in bank if word not in requested)]
    size = (latent.shape[1], latent.shape[2])
    tokens = tokenize(backbone, prompt, (PLACEHOLDER,), field="source_prompt")
    if PLACEHOLDER not in tokens.positions:
        raise PromptInvalid(
            f"the prompt of learning needs {PLACEHOLDER} before the subject", field="source_prompt", reason="placeholder_missing"
        )
    return _Learner(
        backbone=backbone,
        tokens=tokens,
        gates=prompt_gates(backbone, prompt, {PLACEHOLDER: mask}, size) if options.masked else None,
        token=word_embedding(backbone, subject).clone().requires_grad_(),
        keys=keys,
        values=values,
        words=attribute_states(backbone, words),
        requested=len(requested),
    )


def _prompt_now(learner: _Learner, with_deltas: bool) -> tuple[KeysValues, Tensor]:
    with torch.enable_grad():
        return learner.prompt(with_deltas=with_deltas)


def _rows(learner: _Learner, latent: Tensor, prompt: KeysValues, batch: int, draw: torch.Generator) -> Rows:
    """The latent at `batch` noise levels, one drawn from each equal part of the schedule; the ε that was added is the target."""
    schedule = learner.backbone.schedule
    part = schedule.train_timesteps / batch
    t = ((torch.arange(batch) + torch.rand(batch, generator=draw)) * part).long().clamp_max(schedule.train_timesteps - 1)
    eps = torch.randn((batch, *latent.shape), generator=draw).to(latent)
    noisy = schedule.add_noise(latent[None].expand_as(eps), eps, t.to(latent.device))
    return tuple(Row(noisy[i], int(t[i]), prompt, learner.gates, target=eps[i], weight=1 / batch) for i in range(batch))


def _semantic(learner: _Learner, feature: Tensor, options: LearningOptions, draw: torch.Generator) -> Tensor:
    """L_semantic over the request's words and some of the bank's."""
    others = torch.randperm(len(learner.words) - learner.requested, generator=draw)[: options.bank_words]
    chosen = torch.cat([torch.arange(learner.requested), learner.requested + others])
    with torch.enable_grad():
        return semantic_loss(feature, learner.words[chosen.to(feature.device)])


def _descend(optimiser: torch.optim.Optimizer, prompt: KeysValues, answers: Answers, side_loss: Tensor) -> None:
    """One step: the rows' gradients enter at K and V, the side loss where it is."""
    optimiser.zero_grad(set_to_none=True)
    summed = [torch.stack(grads).sum(0) for grads in zip(*(answer.gradients() for answer in answers), strict=True)]
    torch.autograd.backward([*prompt.tensors(), side_loss], [*summed, torch.ones_like(side_loss)])
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimiser.step()


def _finished(learner: _Learner, subject: str, prompt: str, losses: list[float]) -> Concept:
    with torch.no_grad():
        feature = learner.prompt(with_deltas=False)[1]
        cosines = torch.nn.functional.cosine_similarity(feature[None], learner.words, dim=-1).abs()

    def still(deltas: tuple[Delta, ...]) -> tuple[Delta, ...]:
        return tuple(type(delta)(**{k: v.detach() for k, v in vars(delta).items()}) for delta in deltas)

    tail = losses[-10:]
    return Concept(
        token=learner.token.detach(),
        keys=still(learner.keys),
        values=still(learner.values),
        fingerprint=learner.backbone.fingerprint,
        facts={
            "subject": subject,
            "prompt": prompt,
            "steps": len(losses),
            "loss_end": sum(tail) / max(1, len(tail)),
            "max_abs_cosine_to_bank": float(cosines.max()) if len(cosines) else 0.0,
        },
    )
