"""From the inverted noise to the edited latent: guided DDIM sampling with the target prompt (S²Edit, figure 2, right)."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import torch
from torch import Tensor

from s2edit_core.attention import Gates, KeysValues
from s2edit_core.backbone import Backbone
from s2edit_core.concept import Concept
from s2edit_core.conditioning import keys_values
from s2edit_core.inversion import Inversion
from s2edit_core.rows import Answers, Row, Rows
from s2edit_core.spec import Progress


def edit(
    backbone: Backbone,
    inversion: Inversion,
    target: KeysValues,
    gates: Gates | None,
    concepts: Sequence[Concept],
) -> Generator[Rows | Progress, Answers, Tensor]:
    """Sample from the inversion's start noise with `target` as the prompt; the edited latent `(c, h, w)`.

    Guidance: ε = ε_u + w·(ε_c − ε_u), where ε_u comes from the inversion's unconditional embeddings and residuals.
    """
    schedule, w, steps = backbone.schedule, inversion.guidance_scale, inversion.steps
    z = inversion.path[-1]
    for i, t in enumerate(schedule.timesteps(steps)):
        with torch.no_grad():
            null = keys_values(backbone, inversion.null_state(i), concepts)
        conditional, unconditional = yield (Row(z, t, target, gates), Row(z, t, null))
        eps_u = unconditional.eps
        if len(inversion.residuals):
            eps_u = eps_u + inversion.residuals[i]
        a, b = schedule.coefficients(t, steps)
        z = a * z + b * (eps_u + w * (conditional.eps - eps_u))
        yield Progress("editing", i + 1, steps)
    return z
