"""Prompts that are learned: rows carry their parameters, and an evaluation computes the K and V of all of them together.

The text side of one user's learning is hundreds of small operations, whose calls take longer than their arithmetic. So the rows of
many users share it as they share the UNet: one batch through the text encoder and the projections, and one backward pass from dL/dK
and dL/dV to the parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from s2edit_core.unet.rows import Answers, Evaluate, Rows, TrainablePrompt


def evaluate_with_prompts(rows: Rows, evaluate: Evaluate) -> Answers:
    """Return what `evaluate` answers to `rows`, with K and V computed where rows have a trainable prompt."""
    of_prompt: dict[TrainablePrompt, list[int]] = {}
    for i, row in enumerate(rows):
        if row.trainable is not None:
            of_prompt.setdefault(row.trainable, []).append(i)
    if not of_prompt:
        return evaluate(rows)
    prompts = list(of_prompt)
    batch = type(prompts[0]).batch(prompts, [len(indices) for indices in of_prompt.values()])
    computed = list(rows)
    for indices, prompt in zip(of_prompt.values(), batch.prompts(), strict=True):
        for i in indices:
            computed[i] = replace(rows[i], prompt=prompt, trainable=None)
    answers = list(evaluate(tuple(computed)))
    sums = [summed_gradients([answers[i].gradients() for i in indices]) for indices in of_prompt.values()]
    for indices, gradients in zip(of_prompt.values(), batch.gradients(sums), strict=True):
        answers[indices[0]] = replace(answers[indices[0]], parameter_gradients=gradients)
    return tuple(answers)


def summed_gradients(rows: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """Return the sums over `rows` of their gradients, one per layer. Those of one shape are summed together."""
    if len(rows) == 1:
        return list(rows[0])
    by_shape: dict[torch.Size, list[int]] = {}
    for i, gradient in enumerate(rows[0]):
        by_shape.setdefault(gradient.shape, []).append(i)
    sums: dict[int, Tensor] = {}
    for layers in by_shape.values():
        stacked = torch.stack([row[i] for row in rows for i in layers]).unflatten(0, (len(rows), len(layers)))
        sums.update(zip(layers, stacked.sum(0).unbind(), strict=True))
    return [sums[i] for i in range(len(rows[0]))]
