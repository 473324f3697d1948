"""h-Edit-D with Prompt-to-Prompt (Nguyen et al., CVPR 2025, arXiv 2503.02187), in its implicit form with one optimisation step.

Each step reconstructs and edits apart. With the source path x^orig of DDIM inversion, the reconstruction is a DDIM step with the
source prompt at guidance 1, plus what makes that step follow the source path:

    x^base_{t−1} = A·x_t + B·ε(x_t, source) + u_t        u_t = x^orig_{t−1} − A·x^orig_t − B·ε(x^orig_t, source)

The edit moves it by the difference of the guided predictions for target and source at the level that was reached (eq. 24, 25):

    x_{t−1} = x^base_{t−1} + B·(ε_w(x^base_{t−1}, target) − ε_ŵ(x^base_{t−1}, source))

The target reads the attention of x^orig_{t−1}. Published for Stable Diffusion: w = 10, ŵ = 9, cross-attention in 0.4 and
self-attention in 0.6 of the steps, local blend, factor 2 for the new words.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from lab.quality.phases import Injected
from lab.quality.published.method import Prompts, Published, Reader
from s2edit_core.method.inversion import Inversion, Source, ddim_invert, empty_prompt_states
from s2edit_core.request.options import InjectionOptions
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Algorithm, Row

P2P = Injected(InjectionOptions(cross_share=0.4, self_share=0.6, blend="words"), emphasis=2.0)
"""Attention control with the strengths of the published runs."""


@dataclass(frozen=True)
class HEdit(Published):
    """h-Edit-D + P2P. `source_share` is ŵ/w. With 1, the source prompt as target reconstructs the photo exactly."""

    source_share: float = 0.9
    control: Injected = field(default=P2P)

    def inverting(
        self, backbone: Backbone, latent: Tensor, prompts: Prompts, guidance: float, draw: torch.Generator
    ) -> Algorithm[Inversion]:
        """Invert by DDIM at guidance 1, and return u_t as the residual of each step."""
        del draw
        empty = empty_prompt_states(backbone)
        path: Tensor = yield from ddim_invert(backbone, latent, Source(prompts.source, None, empty, ()), self.steps)
        timesteps = backbone.schedule.timesteps(self.steps)
        noisy = path.flip(0)
        answers = yield tuple(Row(noisy[i], t, prompts.source) for i, t in enumerate(timesteps))
        residuals = torch.zeros_like(path[1:])
        for i, t in enumerate(timesteps):
            a, b = backbone.schedule.coefficients(t, self.steps)
            residuals[i] = noisy[i + 1] - a * noisy[i] - b * answers[i].eps
        return Inversion(path, empty[None], residuals, "residual", guidance, backbone.fingerprint)

    def sampling(self, backbone: Backbone, inversion: Inversion, prompts: Prompts, draw: torch.Generator) -> Algorithm[Tensor]:
        """Reconstruct, then edit, in every step."""
        del draw
        reader = Reader(backbone, inversion, prompts, self.control)
        timesteps = backbone.schedule.timesteps(self.steps)
        w, hat_w = inversion.guidance_scale, self.source_share * inversion.guidance_scale
        z = inversion.path[-1]
        for i, t in enumerate(timesteps):
            a, b = backbone.schedule.coefficients(t, self.steps)
            (along,) = yield (Row(z, t, prompts.source),)
            base = a * z + b * along.eps + inversion.residuals[i]
            original = inversion.path[self.steps - 1 - i]
            reached = timesteps[i + 1] if i + 1 < self.steps else 0
            answers = yield (*reader.rows_at(i, original, base, reached), Row(base, reached, prompts.source))
            target, unconditional, source = answers[0].eps, answers[1].eps, answers[3].eps
            z = base + b * (w * (target - unconditional) - hat_w * (source - unconditional))
            z = reader.blended(i, original, z, answers)
        return z
