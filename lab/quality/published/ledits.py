"""LEDITS++ (Brack et al., CVPR 2024, arXiv 2311.16711): second-order edit-friendly inversion, and guidance inside implicit masks.

Inversion is that of `edit_friendly`, without a prompt and for the solver SDE-DPM-Solver++ of second order (arXiv 2211.01095). Each
concept e of an edit then adds guidance where two masks agree:

    ε = ε_∅ + Σ_e ± s·M¹_e·M²_e·(ε_e − ε_∅)

M¹ is where the concept's words attend, M² where |ε_e − ε_∅| is large: each is the region above the quantile λ. In the noisiest
steps (t > 800), M¹ acts alone. Words that the edit adds are one concept, words that it takes away another, with a minus.

Published for Stable Diffusion: s = 5, λ = 0.9 ("proportional to the region that is modified"), 15 % of the steps skipped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from lab.quality.phases import FUNCTION_WORDS
from lab.quality.published.edit_friendly import noisy_path
from lab.quality.published.method import Prompts, Skipping
from s2edit_core.base_model.ddim import Schedule
from s2edit_core.concepts.conditioning import prompt_keys_values
from s2edit_core.concepts.prompt_alignment import prompt_tokens
from s2edit_core.method.inversion import Inversion, empty_prompt_states
from s2edit_core.request.prompts import changed_words
from s2edit_core.unet.attention import KeysValues, layer_size, word_layers
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Algorithm, Answer, Row

ATTENTION_ONLY_FROM = 800
"""Above this timestep, the attention mask acts alone."""


@dataclass(frozen=True, eq=False)
class EditConcept:
    """A concept that an edit adds (`sign` 1) or takes away (−1), with the token positions of its words."""

    prompt: KeysValues
    positions: tuple[int, ...]
    sign: float


def concepts_of(backbone: Backbone, source: str, target: str, *, in_context: bool) -> list[EditConcept]:
    """Return what the edit adds and takes away: the words in which the prompts differ, alone or in the context of their prompt."""
    found = []
    for other, prompt, sign in ((source, target, 1.0), (target, source, -1.0)):
        words = [word for word in changed_words(other, prompt) if word not in FUNCTION_WORDS]
        if words:
            text = prompt if in_context else " ".join(words)
            tokens = prompt_tokens(backbone, text, ())
            positions = tuple(position for word in words for position in tokens.of_word(word))
            found.append(EditConcept(prompt_keys_values(backbone, text, {}), positions, sign))
    return found


@dataclass
class Solver:
    """Steps of SDE-DPM-Solver++ of second order over the levels of a schedule. The first step is of first order.

    `mean` must be called once per step, in order: it uses the photo that the step before predicted.
    """

    schedule: Schedule
    steps: int
    _last: tuple[Tensor, float] | None = field(default=None, init=False)  # the photo predicted before, and that step's h

    def mean(self, z: Tensor, eps: Tensor, t: int) -> Tensor:
        """Return what the step that leaves timestep t leads to, without its noise."""
        now, before = self.schedule.alpha(t), self.schedule.alpha(t - self.schedule.train_timesteps // self.steps)
        sigma, sigma_before = math.sqrt(1 - now), math.sqrt(1 - before)
        h = math.log(math.sqrt(before) / sigma_before) - math.log(math.sqrt(now) / sigma)
        photo = (z - sigma * eps) / math.sqrt(now)
        direction = photo
        if self._last is not None:
            last, last_h = self._last
            direction = photo + 0.5 * (h / last_h) * (photo - last)
        self._last = photo, h
        return sigma_before / sigma * math.exp(-h) * z + math.sqrt(before) * (1 - math.exp(-2 * h)) * direction


@dataclass(frozen=True)
class Ledits(Skipping):
    """LEDITS++. `quantile` is λ, `skip` the share of skipped steps. Guidance s is the bench's, times `guidance_gain`.

    With `in_context`, the concepts are both whole prompts, each attended to by the words that the other lacks. The shipped model
    has seen no prompts of single words.
    """

    skip: float = 0.15
    quantile: float = 0.9
    in_context: bool = False

    def inverting(
        self, backbone: Backbone, latent: Tensor, prompts: Prompts, guidance: float, draw: torch.Generator
    ) -> Algorithm[Inversion]:
        """Return the path, and the noise of each step that is sampled. The rows do not depend on each other."""
        schedule, steps = backbone.schedule, self.steps
        path = noisy_path(schedule, latent, steps, draw)
        sampled = self.sampled(schedule)
        answers = yield tuple(Row(path[steps - i], t, prompts.empty) for i, t in sampled)
        solver, maps = Solver(schedule, steps), torch.zeros_like(path[1:])
        for answer, (i, t) in zip(answers, sampled, strict=True):
            maps[i] = path[steps - 1 - i] - solver.mean(path[steps - i], answer.eps, t)
        return Inversion(path, empty_prompt_states(backbone)[None], maps, "residual", guidance, backbone.fingerprint)

    def sampling(self, backbone: Backbone, inversion: Inversion, prompts: Prompts, draw: torch.Generator) -> Algorithm[Tensor]:
        """Sample with the noise of the inversion, guided by each concept inside its masks."""
        del draw
        concepts = concepts_of(backbone, prompts.source_text, prompts.target_text, in_context=self.in_context)
        layers, solver = word_layers(backbone.layers), Solver(backbone.schedule, self.steps)
        z = inversion.path[self.steps - self.first]
        size = layer_size((z.shape[-2], z.shape[-1]), backbone.layers[layers[0]].level)
        for i, t in self.sampled(backbone.schedule):
            unconditional, *answers = yield (
                Row(z, t, prompts.empty),
                *(Row(z, t, concept.prompt, capture=layers) for concept in concepts),
            )
            eps = unconditional.eps
            for concept, answer in zip(concepts, answers, strict=True):
                guide = concept.sign * inversion.guidance_scale * (answer.eps - unconditional.eps)
                eps = eps + self._mask(concept, answer, guide, size, t) * guide
            z = solver.mean(z, eps, t) + inversion.residuals[i]
        return z

    def _mask(self, concept: EditConcept, answer: Answer, guide: Tensor, size: tuple[int, int], t: int) -> Tensor:
        """Return the region `(h, w)` in which the concept acts, 0 or 1."""
        heat = torch.stack([each[:, list(concept.positions)].sum(dim=1) for each in answer.maps]).mean(dim=0).view(size)
        attended = F.interpolate(above_quantile(smoothed(heat), self.quantile)[None, None], size=guide.shape[-2:])[0, 0]
        return attended if t > ATTENTION_ONLY_FROM else attended * above_quantile(guide.abs().sum(dim=0), self.quantile)


def smoothed(heat: Tensor) -> Tensor:
    """Return `heat` `(h, w)` smoothed by a Gaussian of σ 0.5 over 3 × 3 cells, mirrored at the edges."""
    line = torch.exp(-2 * torch.tensor([-1.0, 0.0, 1.0]) ** 2).to(heat)
    window = torch.outer(line, line) / line.sum() ** 2
    padded = F.pad(heat[None, None], (1, 1, 1, 1), mode="reflect")
    return F.conv2d(padded, window[None, None])[0, 0]


def above_quantile(values: Tensor, quantile: float) -> Tensor:
    """Return 1 where `values` `(h, w)` reach their `quantile`, else 0."""
    return (values >= torch.quantile(values.float().flatten(), quantile).to(values)).to(values.dtype)
