"""InfEdit's virtual inversion (Xu et al., CVPR 2024, arXiv 2312.04965) with attention control.

Nothing is inverted. At each level, source and target get the same fresh noise ε; the photo is known, so the source's prediction may
be wrong by exactly ε(x_s, source) − ε. That error is assumed for the target, too, whose photo x̂ becomes

    x̂ ← x̂ − √(1−ᾱ)/√ᾱ · (ε_w(√ᾱ·x̂ + √(1−ᾱ)·ε, target) − ε(√ᾱ·x_0 + √(1−ᾱ)·ε, source))

With equal prompts it stays x_0 exactly. Two things differ from the published system. It runs on a consistency model in 12 steps;
here the bench's own model takes as many steps as in the other methods. And its third branch, which renders the source's texture by
mutual self-attention, is left out: outside the words of the edit, the blend keeps the source itself.

Skipping: cross-attention and self-attention in 0.7 of the steps, guidance 1 for the source.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lab.quality.phases import Injected
from lab.quality.published.method import Prompts, Reader, Skipping, noise_like
from s2edit_core.method.inversion import Inversion, empty_prompt_states
from s2edit_core.request.options import InjectionOptions
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Algorithm

CONTROL = Injected(InjectionOptions(cross_share=0.7, self_share=0.7, blend="words"))
"""Attention control with the strengths of the published runs."""


@dataclass(frozen=True)
class InfEdit(Skipping):
    """Virtual inversion with attention control. `skip` is the share of the noisiest steps that are left out."""

    skip: float = 0.0
    control: Injected = field(default=CONTROL)

    def inverting(
        self, backbone: Backbone, latent: Tensor, prompts: Prompts, guidance: float, draw: torch.Generator
    ) -> Algorithm[Inversion]:
        """Return the photo itself at every level: there is nothing to invert."""
        del prompts, draw
        yield from ()
        path = latent[None].expand(self.steps + 1, *latent.shape)
        empty = empty_prompt_states(backbone)[None]
        return Inversion(path, empty, torch.zeros_like(path[1:]), "residual", guidance, backbone.fingerprint)

    def sampling(self, backbone: Backbone, inversion: Inversion, prompts: Prompts, draw: torch.Generator) -> Algorithm[Tensor]:
        """Move the photo by the difference of both predictions at each level, from noisy to clean."""
        reader = Reader(backbone, inversion, prompts, self.control)
        w, photo = inversion.guidance_scale, inversion.path[0]
        if prompts.target_text == prompts.source_text:
            w = 1.0  # as the source: the prediction for a prompt at two scales differs from itself
        edited = photo
        for i, t in self.sampled(backbone.schedule):
            alpha = backbone.schedule.alpha(t)
            noise = math.sqrt(1 - alpha) * noise_like(photo, draw)
            source, target = (math.sqrt(alpha) * each + noise for each in (photo, edited))
            answers = yield reader.rows_at(i, source, target, t)
            conditional, unconditional, along = (answer.eps for answer in answers)
            guided = unconditional + w * (conditional - unconditional)
            edited = edited - math.sqrt((1 - alpha) / alpha) * (guided - along)
            edited = reader.blended(i, photo, edited, answers)
        return edited
