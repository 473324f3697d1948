"""The prompts of concepts while they are learned: their text side and L_semantic, computed for many users at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from s2edit_core.concepts.concept import Concept, LowRank
from s2edit_core.concepts.conditioning import Tokens, conditioned, keys_values_together, text_states_together
from s2edit_core.method.learning.losses import pairwise_loss, semantic_loss
from s2edit_core.unet.attention import KeysValues
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import PromptBatch, TrainablePrompt


@dataclass(frozen=True, eq=False)
class LearnedPrompt(TrainablePrompt):
    """A prompt with one concept that is learned: the parameters are its token, then its changes.

    Its loss beside that of its rows is `weight` times L_semantic: away from `words` `(n, d)`, and from the present features of the
    concepts that are learned beside it, `others` `(m, d)`. That loss is shared equally among the `rows` of the prompt.
    """

    backbone: Backbone
    tokens: Tokens
    concept: Concept
    words: Tensor
    power: int
    weight: float
    rows: int
    others: Tensor

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        changes = (*self.concept.keys, *self.concept.values)
        return (self.concept.token, *(tensor for delta in changes for tensor in vars(delta).values()))

    @property
    def kind(self) -> Hashable:
        """What prompts must have in common to be encoded in one batch; an attribute is encoded by itself."""
        concept = self.concept
        if concept.kind == "attribute":
            return self
        first = concept.keys[0] if concept.keys else None
        return type(first), len(first.down) if isinstance(first, LowRank) else 0, len(self.tokens.ids)

    @staticmethod
    def batch(prompts: Sequence[TrainablePrompt], rows: Sequence[int]) -> PromptBatch:
        return _Batch(cast(Sequence[LearnedPrompt], prompts), rows)


class _Batch(PromptBatch):
    """Prompts after their forward pass. Those of one kind share it."""

    def __init__(self, prompts: Sequence[LearnedPrompt], rows: Sequence[int]) -> None:
        self._learned = prompts
        kinds: dict[Hashable, list[int]] = defaultdict(list)
        for i, prompt in enumerate(prompts):
            kinds[prompt.kind].append(i)
        self._groups: list[tuple[list[int], list[Tensor]]] = []  # indices of prompts, and their K and V (prompts, tokens, inner)
        features: dict[int, Tensor] = {}
        with torch.enable_grad():
            for indices in kinds.values():
                tensors, at_concepts = _forward([prompts[i] for i in indices])
                self._groups.append((indices, tensors))
                features.update(zip(indices, at_concepts, strict=True))
            self._side_loss = _side_loss(prompts, rows, [features[i] for i in range(len(prompts))])

    def prompts(self) -> list[KeysValues]:
        found: dict[int, KeysValues] = {}
        for indices, tensors in self._groups:
            layers = len(tensors) // 2
            for i, mine in zip(indices, zip(*(each.detach().unbind() for each in tensors), strict=True), strict=True):
                found[i] = KeysValues(mine[:layers], mine[layers:])
        return [found[i] for i in range(len(self._learned))]

    def gradients(self, at_prompts: Sequence[Sequence[Tensor]]) -> list[tuple[Tensor, ...]]:
        outputs, gradients = [self._side_loss], [torch.ones_like(self._side_loss)]
        for indices, tensors in self._groups:
            outputs += tensors
            gradients += [torch.stack(same) for same in zip(*(at_prompts[i] for i in indices), strict=True)]
        parameters = [prompt.parameters for prompt in self._learned]
        found = iter(torch.autograd.grad(outputs, [each for mine in parameters for each in mine], gradients))
        return [tuple(next(found) for _ in mine) for mine in parameters]


def _forward(prompts: Sequence[LearnedPrompt]) -> tuple[list[Tensor], list[Tensor]]:
    """Return K and V of prompts of one kind, `(prompts, tokens, inner)` each, and the text feature `(d,)` of each concept."""
    backbone, first = prompts[0].backbone, prompts[0].concept
    if first.kind == "attribute":
        (prompt,) = prompts
        now = conditioned(backbone, prompt.tokens, {first.placeholder: first})
        return [each[None] for each in now.prompt.tensors()], [now.features[first.placeholder]]
    embeddings = [{prompt.concept.placeholder: prompt.concept.token} for prompt in prompts]
    states = text_states_together(backbone, [prompt.tokens for prompt in prompts], embeddings)
    at = [prompt.tokens.positions[prompt.concept.placeholder][0] for prompt in prompts]
    features = [mine[position] for mine, position in zip(states.unbind(), at, strict=True)]
    return keys_values_together(backbone, states, [prompt.concept for prompt in prompts]), features


def _side_loss(prompts: Sequence[LearnedPrompt], rows: Sequence[int], features: Sequence[Tensor]) -> Tensor:
    """Return the sum of the prompts' L_semantic, each times its weight and the share of its `rows` that are present."""
    weights = [prompt.weight * count / prompt.rows for prompt, count in zip(prompts, rows, strict=True)]
    loss = features[0].sum() * 0
    alike: dict[tuple[int, int], list[int]] = defaultdict(list)
    for i, prompt in enumerate(prompts):
        alike[len(prompt.words), prompt.power].append(i)
        if len(prompt.others):
            loss = loss + weights[i] * pairwise_loss([features[i], *prompt.others])
    for (_, power), indices in alike.items():
        words = torch.stack([prompts[i].words for i in indices])
        losses = semantic_loss(torch.stack([features[i] for i in indices]), words, power=power)
        if len({weights[i] for i in indices}) == 1:
            loss = loss + weights[indices[0]] * losses.sum()
        else:  # one by one: a list of weights would be copied to the device, which waits for it
            loss = loss + sum(weights[i] * each for i, each in zip(indices, losses.unbind(), strict=True))
    return loss
