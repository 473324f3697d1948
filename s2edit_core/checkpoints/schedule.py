"""DDIM arithmetic (Song et al., arXiv 2010.02502, η = 0), forward and back, as diffusers' `DDIMScheduler` does it.

A level is the noise level that a latent has. Sampling goes from the level of timestep t to the one before it; both maps are affine:

    z_prev = A·z_t + B·ε        z_t = (z_prev − B·ε) / A
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from s2edit_core.checkpoints.scheduler_config import Spacing, check_scheduler

Prediction = Literal["epsilon", "v_prediction"]
LEAST_ALPHA = 2.0**-24
"""Stands for ᾱ = 0, the terminal level of a schedule rescaled to zero signal (Lin et al., arXiv 2305.08891): there A is infinite
and ε says nothing of the image. The same value as in diffusers' `EulerDiscreteScheduler`; √ᾱ is then 2.4e-4."""


@dataclass(frozen=True)
class Schedule:
    """The levels of a model: `alphas_cumprod` is `(num_train_timesteps,)` float64, above 0.

    `betas` says how the levels were made, for a fingerprint that does not depend on their last digits.
    """

    alphas_cumprod: Tensor
    steps_offset: int = 1
    set_alpha_to_one: bool = False
    prediction: Prediction = "epsilon"
    spacing: Spacing = "leading"
    betas: str = ""

    @cached_property
    def train_timesteps(self) -> int:
        return len(self.alphas_cumprod)

    def timesteps(self, steps: int) -> tuple[int, ...]:
        """`steps` timesteps from noisy to clean, spaced as diffusers' `DDIMScheduler.set_timesteps` does.

        Raises `ValueError` for fewer than 1, or more than the schedule has.
        """
        if not 1 <= steps <= self.train_timesteps:
            raise ValueError(f"steps must lie between 1 and {self.train_timesteps}, not {steps}")
        if self.spacing == "linspace":
            return tuple(map(int, np.linspace(0, self.train_timesteps - 1, steps).round()[::-1]))
        if self.spacing == "trailing":
            return tuple(map(int, np.round(np.arange(self.train_timesteps, 0, -self.train_timesteps / steps)) - 1))[:steps]
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
        """A and B of the step that leaves timestep t, always by the same number of levels, as diffusers steps."""
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

    def loss_weight(self, t: int) -> float:
        """What turns the squared error of ε at timestep t into that of what the model predicts.

        v = √ᾱ·ε − √(1−ᾱ)·z_0 (Salimans & Ho, arXiv 2202.00512). At one latent z_t this is ε = √ᾱ·v + √(1−ᾱ)·z_t, so
        ‖v − v*‖² = ‖ε − ε*‖² / ᾱ.
        """
        return 1 / self.alpha(t) if self.prediction == "v_prediction" else 1.0

    @property
    def known_to_earlier_releases(self) -> bool:
        """Whether releases without `spacing` followed this schedule: they took every spacing for "leading"."""
        return self.spacing == "leading" and bool(self.alphas_cumprod.min() > LEAST_ALPHA)

    def described(self) -> str:
        """Everything that the schedule depends on, as text for a fingerprint."""
        levels = self.betas or repr(self.alphas_cumprod.tolist())
        return repr((levels, self.steps_offset, self.set_alpha_to_one, self.prediction, self.spacing))


def schedule_of(scheduler: object) -> Schedule:
    """The schedule of diffusers' `DDIMScheduler`. Raises `ValueError` for a configuration that can't be followed, by its name."""
    config: Mapping[str, Any] = scheduler.config  # type: ignore[attr-defined]
    defaults = config.get("_use_default_values", ())
    check_scheduler({name: value for name, value in config.items() if name not in defaults})
    alphas: Tensor = scheduler.alphas_cumprod  # type: ignore[attr-defined]
    made_by = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas", "rescale_betas_zero_snr")
    return Schedule(
        alphas_cumprod=alphas.to(torch.float64).clamp_min(LEAST_ALPHA),
        steps_offset=int(config.get("steps_offset", 0)),
        set_alpha_to_one=bool(config.get("set_alpha_to_one", False)),
        prediction=config["prediction_type"],
        spacing=config.get("timestep_spacing", "leading"),
        betas=repr([config.get(name) for name in made_by]),
    )
