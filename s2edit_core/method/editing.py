"""From the inverted noise to the edited latent: guided DDIM sampling with the target prompt (S²Edit, figure 2, right)."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from s2edit_core.concepts.concept import Concept
from s2edit_core.concepts.conditioning import keys_values
from s2edit_core.method.injection import SourceBranch, SourceGuide, risen, where_prompts_differ, widened
from s2edit_core.method.inversion import Inversion
from s2edit_core.method.negation import Negative
from s2edit_core.request.spec import InjectionOptions, Progress
from s2edit_core.unet.attention import Gates, KeysValues
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Answers, Row, Rows

STEP_TENSORS = ("latents", "noise_pred")
"""What can be seen of a step: the latent after it, and the guided prediction that led there, each `(c, h, w)`."""
AtStepEnd = Callable[[int, int, Mapping[str, Tensor]], Tensor]
"""Called with a step's number from 0, its timestep and the `STEP_TENSORS`; sampling goes on from the latent that it returns."""


def varied(noise: Tensor, where: Tensor, seed: int, amount: float) -> Tensor:
    """The start noise `(c, h, w)`, mixed with fresh noise where `where` `(h, w)` is 1: another draw of the same edit.

    Sampling at η = 0 draws nothing, so this is where variants differ. `amount` 0..1 is how much is fresh; the variance stays.
    Raises `ValueError` for another amount or another shape.
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
    negative: Negative | None = None,
    at_step_end: AtStepEnd | None = None,
) -> Generator[Rows | Progress, Answers, Tensor]:
    """Sample from the inversion's start noise with `target` as the prompt; the edited latent `(c, h, w)`.

    Guidance: ε = ε_u + w·(ε_c − ε_u), where ε_u comes from the inversion's unconditional embeddings, plus its residuals. With a
    `guide`, attention is read from the source; where it blends by the difference of the prompts, the residuals fade as that grows,
    and where attributes act. A `negative` prompt moves ε_u by ε_n − ε_∅ (see `negation`).
    `first` steps are left out: sampling starts that far back along the path, or at `start` `(c, h, w)` instead of the path's own
    latent. `at_step_end` sees each step and may change where it led.
    Raises `OptionInvalid` for an inversion of tier `direct` where nothing is read, `ValueError` where the arguments do not fit.
    """
    _check_fit(backbone, inversion, target, first, start)
    (guide.options if guide else InjectionOptions()).check_tier(inversion.tier)
    schedule, steps = backbone.schedule, inversion.steps
    z = inversion.path[steps - first] if start is None else start
    if guide and guide.options.blend == "difference":
        difference = yield from where_prompts_differ(backbone, inversion, guide, target, gates, negative)
        guide = replace(guide, edit_mask=guide.stays(risen(widened(difference), guide.options.blend_threshold)))
        inversion = inversion.fading(guide.stays(risen(difference, 1.0)))
    branch = SourceBranch(backbone, inversion, guide, first) if guide and guide.options.acts else None
    for i, t in enumerate(schedule.timesteps(steps)[first:], first):
        with torch.no_grad():
            null = keys_values(backbone, inversion.null_state(i), concepts)
        rows = branch.rows(i, z, t, target, gates, null) if branch else (Row(z, t, target, gates), Row(z, t, null))
        away = negative.rows(z, t) if negative else ()
        answers = yield (*rows, *away)
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
        yield Progress("editing", i + 1, steps)
    return z


def _check_fit(backbone: Backbone, inversion: Inversion, target: KeysValues, first: int, start: Tensor | None) -> None:
    if not 0 <= first < inversion.steps:
        raise ValueError(f"first must lie between 0 and {inversion.steps - 1}, a step of the inversion's, not {first}")
    if start is not None and start.shape != inversion.path.shape[1:]:
        raise ValueError(f"start must be a latent {tuple(inversion.path.shape[1:])} as those of the path, not {tuple(start.shape)}")
    if len(target.keys) != len(backbone.layers):
        raise ValueError(f"the prompt has keys for {len(target.keys)} cross-attention layers, the model has {len(backbone.layers)}")
