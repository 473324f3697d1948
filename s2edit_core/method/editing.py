"""Editing: guided DDIM sampling from the inverted noise with the target prompt (S²Edit, figure 2, right)."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from s2edit_core.concepts.concept import Concept
from s2edit_core.concepts.conditioning import keys_values
from s2edit_core.method.injection import SourceBranch, SourceGuide, dilate, soft_threshold, where_prompts_differ
from s2edit_core.method.inversion import Inversion
from s2edit_core.method.negation import NegativePrompt
from s2edit_core.request.options import NO_INJECTION
from s2edit_core.request.spec import Progress
from s2edit_core.unet.attention import Gates, KeysValues
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Algorithm, Answers, Row, Rows, side_by_side

STEP_TENSORS = ("latents", "noise_pred")
"""The tensors of a step, `(c, h, w)` each: the latent after the step, and the guided prediction that led to it."""
AtStepEnd = Callable[[int, int, Mapping[str, Tensor]], Tensor]
"""Called with the step number from 0, its timestep and its `STEP_TENSORS`; returns the latent that sampling continues from."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SamplingProgress(Progress):
    """Progress of a sampling step that also carries what a preview needs: its latent `(c, h, w)`, the level ᾱ of that, and ε."""

    latent: Tensor
    alpha: float
    eps: Tensor

    def estimate(self) -> Tensor:
        """Return the latent in which sampling would end if ε were right, x̂₀ `(c, h, w)` (Song et al., arXiv 2010.02502, eq. 9)."""
        return (self.latent - math.sqrt(1 - self.alpha) * self.eps) / math.sqrt(self.alpha)


def vary_noise(noise: Tensor, where: Tensor, seed: int, amount: float) -> Tensor:
    """Return the start noise `(c, h, w)` mixed with fresh noise where `where` `(h, w)` is 1, for a variant of the same edit.

    Sampling at η = 0 is deterministic, so variants can only differ in their start noise. `amount` is the share of fresh noise,
    0..1; the variance is preserved. Raises `ValueError` for another amount or shape.
    """
    if not 0 <= amount <= 1:
        raise ValueError(f"amount must lie between 0 (the same noise) and 1 (all fresh), not {amount!r}")
    if noise.ndim != 3 or where.shape != noise.shape[1:]:
        raise ValueError(f"expected noise (c, h, w) and where (h, w), got {tuple(noise.shape)} and {tuple(where.shape)}")
    drawn = torch.randn(noise.shape, generator=torch.Generator().manual_seed(seed)).to(noise)
    mixed = math.sqrt(1 - amount**2) * noise + amount * drawn
    return noise + where.to(noise) * (mixed - noise)


def edit(
    backbone: Backbone,
    inversion: Inversion,
    target: KeysValues,
    gates: Gates | None,
    concepts: Sequence[Concept],
    guide: SourceGuide | None = None,
    *,
    first: int = 0,
    start: Tensor | None = None,
    negative: NegativePrompt | None = None,
    at_step_end: AtStepEnd | None = None,
) -> Generator[Rows | Progress, Answers, Tensor]:
    """Sample with the `target` prompt from the inversion's start noise, and return the edited latent `(c, h, w)`.

    Guidance: ε = ε_u + w·(ε_c − ε_u), where ε_u comes from the inversion's unconditional embeddings, plus the inversion's
    residuals. A `negative` prompt moves ε_u by ε_n − ε_∅ (see `negation`).

    With a `guide`, the edit reads the attention of the source branch. If the guide blends by the difference of the prompts, the
    edit is `located` first.

    The first `first` steps are skipped: sampling starts that far back along the path, from the path's own latent or from `start`
    `(c, h, w)`. `at_step_end` is called after each step and may change its latent.

    Raises `OptionInvalid` for an inversion of tier `direct` without attention injection, `ValueError` where the arguments do not
    match.
    """
    _check_fit(backbone, inversion, target, first, start)
    (guide.options if guide else NO_INJECTION).check_tier(inversion.tier)
    schedule, steps = backbone.schedule, inversion.steps
    z = inversion.path[steps - first] if start is None else start
    guide, inversion = yield from located(backbone, inversion, guide, target, gates, negative)
    branch = SourceBranch(backbone, inversion, guide, first) if guide and guide.options.acts else None
    null: KeysValues | None = None
    for i, t in enumerate(schedule.timesteps(steps)[first:], first):
        if null is None or len(inversion.null_states) > 1:
            with torch.no_grad():
                null = keys_values(backbone, inversion.null_state(i), concepts)
        rows = branch.rows(i, z, t, target, gates, null) if branch else (Row(z, t, target, gates), Row(z, t, null))
        negative_rows = negative.rows(z, t) if negative else ()
        answers = yield (*rows, *negative_rows)
        a, b = schedule.coefficients(t, steps)
        unconditional = answers[1].eps
        if negative:
            unconditional = unconditional + negative.direction(answers[len(rows) :], unconditional)
        eps = inversion.guided(i, answers[0].eps, unconditional)
        z = a * z + b * eps
        if branch:
            z = branch.advance(i, t, z, answers[: len(rows)])
        if at_step_end:
            z = at_step_end(i - first, t, {"latents": z, "noise_pred": eps})
        level = schedule.alpha(t - schedule.train_timesteps // steps)
        yield SamplingProgress("editing", i + 1, steps, latent=z, alpha=level, eps=eps)
    return z


def edit_variants(
    backbone: Backbone,
    inversion: Inversion,
    target: KeysValues,
    gates: Gates | None,
    concepts: Sequence[Concept],
    guide: SourceGuide | None = None,
    *,
    starts: Sequence[Tensor | None],
    first: int = 0,
    negative: NegativePrompt | None = None,
    at_step_end: AtStepEnd | None = None,
) -> Algorithm[list[Tensor]]:
    """Sample an edit from each of `starts` in shared passes, and return the edited latents. For the other arguments see `edit`.

    The region of the edit is located once. The steps of all of them count as one phase.
    """
    for start in starts:
        _check_fit(backbone, inversion, target, first, start)
    (guide.options if guide else NO_INJECTION).check_tier(inversion.tier)
    guide, inversion = yield from located(backbone, inversion, guide, target, gates, negative)
    options: dict[str, Any] = {"first": first, "negative": negative, "at_step_end": at_step_end}
    editings = [edit(backbone, inversion, target, gates, concepts, guide, start=start, **options) for start in starts]
    return (yield from side_by_side([_numbered(each, i, len(starts)) for i, each in enumerate(editings)]))


def _numbered(editing: Algorithm[Tensor], i: int, of: int) -> Algorithm[Tensor]:
    """Count the steps of edit number `i` among those of all `of` edits. Previews are of the first one alone."""
    with closing(editing):
        try:
            step = next(editing)
            while True:
                if isinstance(step, Progress):
                    at, total = of * (step.step - 1) + i + 1, of * step.total
                    step = replace(step, step=at, total=total) if i == 0 else Progress(step.phase, at, total)
                step = editing.send((yield step))
        except StopIteration as end:
            edited: Tensor = end.value
            return edited


def located(
    backbone: Backbone,
    inversion: Inversion,
    guide: SourceGuide | None,
    target: KeysValues,
    gates: Gates | None,
    negative: NegativePrompt | None,
) -> Generator[Rows | Progress, Answers, tuple[SourceGuide | None, Inversion]]:
    """Return guide and inversion of an edit that blends by the difference of the prompts, with the region that it changes.

    Residuals fade where the difference is large and where attributes act. An edit that asks for nothing but attributes changes
    their regions. What is located already, or blends otherwise, is returned as it is: all variants of an edit change the same
    region.
    """
    if guide is None or guide.options.blend != "difference" or guide.edit_mask is not None:
        return guide, inversion
    if guide.only_attributes and guide.attribute_mask is not None:
        where = guide.attribute_mask.to(inversion.path)
        return replace(guide, edit_mask=where), inversion.faded(where)
    difference = yield from where_prompts_differ(backbone, inversion, guide, target, gates, negative)
    changed = soft_threshold(dilate(difference), guide.options.blend_threshold)
    fading = guide.with_attributes(soft_threshold(difference, guide.options.fade_threshold))
    return replace(guide, edit_mask=guide.with_attributes(changed)), inversion.faded(fading)


def _check_fit(backbone: Backbone, inversion: Inversion, target: KeysValues, first: int, start: Tensor | None) -> None:
    """Raise `ValueError` unless the arguments of `edit` match."""
    if not 0 <= first < inversion.steps:
        raise ValueError(f"first must lie between 0 and {inversion.steps - 1}, a step of the inversion, not {first}")
    if start is not None and start.shape != inversion.path.shape[1:]:
        raise ValueError(
            f"start must have the shape {tuple(inversion.path.shape[1:])} of the path's latents, not {tuple(start.shape)}"
        )
    if len(target.keys) != len(backbone.layers):
        raise ValueError(f"the prompt has keys for {len(target.keys)} cross-attention layers, the model has {len(backbone.layers)}")
