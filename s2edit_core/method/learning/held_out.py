"""The held-out loss, by which learning stops early: L_ldm for noise and noise levels that no step learns from.

The loss of a step depends more on the noise that it draws than on what was learned. The held-out rows are the same at each
measurement, so two measurements differ only by what was learned in between. A phase ends when the rows' losses have not fallen by
more than the standard error of their fall.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Generator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from s2edit_core.method.learning.learner import Learner, noised_rows, step_generator
from s2edit_core.request.options import Weighting
from s2edit_core.unet.rows import Answers, Row, Rows

COUNT = 8
"""Rows per photo, one from each of as many equal parts of the schedule. Without gradients, one costs half of a learned row."""
STEP = 2**31 - 2
"""The number of a step that no learning reaches: its random numbers are those of the held-out rows."""


def held_out_losses(
    learners: Sequence[Learner], weighting: Weighting, *, with_deltas: bool
) -> Generator[Rows, Answers, tuple[float, ...]]:
    """Return the loss of each held-out row of all photos."""
    photos = [photo for learner in learners for photo in (learner, *learner.others)]
    with torch.no_grad():
        prompts = [photo.condition(with_deltas=with_deltas).prompt for photo in photos]
    wanted = [
        row
        for photo, prompt in zip(photos, prompts, strict=True)
        for row in noised_rows(photo, prompt, step_generator(photo.seed, STEP), COUNT, weighting)
    ]
    answers = yield tuple(replace(row, target=None, loss_weights=None) for row in wanted)
    losses = [_loss(row, answer.eps) for row, answer in zip(wanted, answers, strict=True)]
    return tuple(torch.stack(losses).tolist())


def _loss(row: Row, eps: Tensor) -> Tensor:
    """Return the loss of a row with a target, as a pass that learns computes it (see `unet.pass_buffers.Targets`)."""
    assert row.target is not None
    squares = (eps - row.target).square().mean(dim=0)
    cells = torch.ones_like(squares) if row.loss_weights is None else row.loss_weights.to(squares)
    return row.weight * (squares * cells).sum() / cells.sum()


def has_fallen(before: Sequence[float], now: Sequence[float]) -> bool:
    """Return whether the mean of the rows' losses fell by more than the standard error of that fall.

    Raises `ValueError` for fewer than two rows, or for measurements of different rows.
    """
    if len(before) < 2 or len(before) != len(now):
        raise ValueError(f"expected two measurements of the same rows, two rows or more, not {len(before)} and {len(now)}")
    falls = [a - b for a, b in zip(before, now, strict=True)]
    return statistics.fmean(falls) > statistics.stdev(falls) / math.sqrt(len(falls))
