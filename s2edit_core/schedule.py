"""DDIM arithmetic (Song et al., arXiv 2010.02502, η = 0), forward and back, as diffusers' `DDIMScheduler` does it.

A level is the noise level that a latent has. Sampling goes from the level of timestep t to the one before it; both maps are affine:

    z_prev = A·z_t + B·ε        z_t = (z_prev − B·ε) / A
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

Prediction = Literal["epsilon", "v_prediction"]


@dataclass(frozen=True)
class Schedule:
    """The levels of a model: `alphas_cumprod` is `(num_train_timesteps,)` float64."""

    alphas_cumprod: Tensor
    steps_offset: int = 1
    set_alpha_to_one: bool = False
    prediction: Prediction = "epsilon"

    @cached_property
    def train_timesteps(self) -> int:
        return len(self.alphas_cumprod)

    def timesteps(self, steps: int) -> tuple[int, ...]:
        """`steps` timesteps from noisy to clean, spaced as diffusers' "leading"."""
        if not 1 <= steps <= self.train_timesteps:
            raise ValueError(f"steps must lie between 1 and {self.train_timesteps}, not {steps}")
        ratio = self.train_timesteps // steps
        timesteps = tuple(i * ratio + self.steps_offset for i in reversed(range(steps)))
        if timesteps[0] >= self.train_timesteps:
            raise ValueError(
                f"{steps} steps begin at timestep {timesteps[0]}, past the last, {self.train_timesteps - 1}: take fewer"
            )
        return timesteps

    def alpha(self, t: int) -> float:
        """ᾱ of timestep t; of the clean end for t < 0."""
        if t < 0:
            return 1.0 if self.set_alpha_to_one else float(self.alphas_cumprod[0])
        return float(self.alphas_cumprod[t])

    def coefficients(self, t: int, steps: int) -> tuple[float, float]:
        """A and B of the step that leaves timestep t."""
        before, now = self.alpha(t - self.train_timesteps // steps), self.alpha(t)
        a = (before / now) ** 0.5
        return a, (1 - before) ** 0.5 - a * (1 - now) ** 0.5

    def add_noise(self, z: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """`z` at the levels of timesteps `t` `(n,)`: √ᾱ·z + √(1−ᾱ)·ε."""
        alpha = self.alphas_cumprod.to(z.device)[t].to(z.dtype).view(-1, 1, 1, 1)
        return alpha.sqrt() * z + (1 - alpha).sqrt() * eps

    def to_epsilon(self, output: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """The noise that a model's `output` at latents `z` means, whatever it predicts."""
        if self.prediction == "epsilon":
            return output
        alpha = self.alphas_cumprod.to(z.device)[t].to(z.dtype).view(-1, 1, 1, 1)
        return alpha.sqrt() * output + (1 - alpha).sqrt() * z


def schedule_of(scheduler: object) -> Schedule:
    """The schedule of a diffusers scheduler. Raises `ValueError` for what DDIM can't follow."""
    config = scheduler.config  # type: ignore[attr-defined]
    prediction = config.prediction_type
    if prediction not in ("epsilon", "v_prediction"):
        raise ValueError(f"models that predict {prediction!r} are not supported")
    alphas: Tensor = scheduler.alphas_cumprod  # type: ignore[attr-defined]
    return Schedule(
        alphas_cumprod=alphas.to(torch.float64),
        steps_offset=int(config.get("steps_offset", 0)),
        set_alpha_to_one=bool(config.get("set_alpha_to_one", False)),
        prediction=prediction,
    )
