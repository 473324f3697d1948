"""Edit-friendly DDPM inversion (Huberman-Spiegelglas et al., CVPR 2024, arXiv 2304.06140).

The latents of the inversion are drawn independently of each other, x_t = √ᾱ·x_0 + √(1−ᾱ)·ε_t. The noise maps are what makes DDPM
sampling visit them: z_t = (x_{t−1} − μ_t(x_t)) / σ_t. An edit samples with the same maps and the target prompt. It starts after a
share of the steps, `skip`, because the noisiest ones would change the layout.

Published for Stable Diffusion: 100 steps of which 36 are skipped, guidance 3.5 for the source and 15 for the target.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lab.quality.published.method import Prompts, Skipping, noise_like
from s2edit_core.base_model.ddim import Schedule
from s2edit_core.method.inversion import Inversion, empty_prompt_states
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Algorithm, Row


def ddpm_coefficients(schedule: Schedule, t: int, steps: int) -> tuple[float, float, float]:
    """Return A, B and σ of the DDPM step that leaves timestep t: x_{t−1} = A·x_t + B·ε + σ·z (arXiv 2010.02502, eq. 12, η = 1)."""
    before, now = schedule.alpha(t - schedule.train_timesteps // steps), schedule.alpha(t)
    variance = (1 - before) / (1 - now) * (1 - now / before)
    a = math.sqrt(before / now)
    return a, math.sqrt(max(0.0, 1 - before - variance)) - a * math.sqrt(1 - now), math.sqrt(variance)


def noisy_path(schedule: Schedule, latent: Tensor, steps: int, draw: torch.Generator) -> Tensor:
    """Return `latent` `(c, h, w)` and, at each level of the schedule, the same with noise of its own: `(steps + 1, c, h, w)`."""
    path = [latent]
    for t in reversed(schedule.timesteps(steps)):
        alpha = schedule.alpha(t)
        path.append(math.sqrt(alpha) * latent + math.sqrt(1 - alpha) * noise_like(latent, draw))
    return torch.stack(path)


@dataclass(frozen=True)
class EditFriendly(Skipping):
    """Edit-friendly DDPM inversion. `skip` is the share of skipped steps, `source_share` the source's part of the guidance."""

    skip: float = 0.36
    source_share: float = 3.5 / 15

    def inverting(
        self, backbone: Backbone, latent: Tensor, prompts: Prompts, guidance: float, draw: torch.Generator
    ) -> Algorithm[Inversion]:
        """Return the path, and σ·z of each step that is sampled. The rows do not depend on each other."""
        schedule, steps = backbone.schedule, self.steps
        path = noisy_path(schedule, latent, steps, draw)
        sampled = self.sampled(schedule)
        answers = yield tuple(
            row for i, t in sampled for row in (Row(path[steps - i], t, prompts.source), Row(path[steps - i], t, prompts.empty))
        )
        maps = torch.zeros_like(path[1:])
        for n, (i, t) in enumerate(sampled):
            conditional, unconditional = answers[2 * n].eps, answers[2 * n + 1].eps
            eps = unconditional + self.source_share * guidance * (conditional - unconditional)
            a, b, _ = ddpm_coefficients(schedule, t, steps)
            maps[i] = path[steps - 1 - i] - a * path[steps - i] - b * eps
        return Inversion(path, empty_prompt_states(backbone)[None], maps, "residual", guidance, backbone.fingerprint)

    def sampling(self, backbone: Backbone, inversion: Inversion, prompts: Prompts, draw: torch.Generator) -> Algorithm[Tensor]:
        """Sample with the noise maps. The source prompt itself is sampled at the guidance of the inversion."""
        del draw
        schedule, steps = backbone.schedule, self.steps
        scale = inversion.guidance_scale * (self.source_share if prompts.target_text == prompts.source_text else 1.0)
        z = inversion.path[steps - self.first]
        for i, t in self.sampled(schedule):
            conditional, unconditional = yield (Row(z, t, prompts.target), Row(z, t, prompts.empty))
            a, b, _ = ddpm_coefficients(schedule, t, steps)
            z = a * z + b * (unconditional.eps + scale * (conditional.eps - unconditional.eps)) + inversion.residuals[i]
        return z
