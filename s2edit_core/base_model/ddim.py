"""DDIM sampling and inversion (Song et al., arXiv 2010.02502, η = 0), with the arithmetic of diffusers' `DDIMScheduler`.

A level is the noise level of a latent. A sampling step leads from the level of timestep t to the previous level; both directions
are affine:

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

from s2edit_core.base_model.scheduler_config import Spacing, check_scheduler

Prediction = Literal["epsilon", "v_prediction"]
LEAST_ALPHA = 2.0**-24
"""Replaces ᾱ = 0, the terminal level of a schedule rescaled to zero SNR (Lin et al., arXiv 2305.08891), at which A is infinite and
ε does not determine the image. diffusers' `EulerDiscreteScheduler` uses the same value; √ᾱ is then 2.4e-4.
"""


@dataclass(frozen=True)
class Schedule:
    """The noise levels of a model: `alphas_cumprod` is `(num_train_timesteps,)` in float64, above 0.

    `betas` describes how the levels were made, for a fingerprint that does not depend on their last digits.
    """

    alphas_cumprod: Tensor
    steps_offset: int = 1
    set_alpha_to_one: bool = False
    prediction: Prediction = "epsilon"
    spacing: Spacing = "leading"
    betas: str = ""

    @cached_property
    def train_timesteps(self) -> int:
        """The number of training timesteps."""
        return len(self.alphas_cumprod)

    def timesteps(self, steps: int) -> tuple[int, ...]:
        """Return `steps` timesteps, from noisy to clean, spaced as by diffusers' `DDIMScheduler.set_timesteps`.

        Raises `ValueError` for less than 1 step, or more than the schedule has.
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
                f"{steps} steps begin at timestep {timesteps[0]}, but the last is {self.train_timesteps - 1}: use fewer steps"
            )
        return timesteps

    def alpha(self, t: int) -> float:
        """Return ᾱ of timestep t; for t < 0, ᾱ of the clean end."""
        if t < 0:
            return 1.0 if self.set_alpha_to_one else float(self.alphas_cumprod[0])
        return float(self.alphas_cumprod[t])

    def coefficients(self, t: int, steps: int) -> tuple[float, float]:
        """Return A and B of the step that leaves timestep t.

        Like diffusers, it always spans the same number of training timesteps.
        """
        before, now = self.alpha(t - self.train_timesteps // steps), self.alpha(t)
        a = (before / now) ** 0.5
        return a, (1 - before) ** 0.5 - a * (1 - now) ** 0.5

    def add_noise(self, z: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """Return `z` at the levels of timesteps `t` `(n,)`: √ᾱ·z + √(1−ᾱ)·ε."""
        alpha = self._levels(z.device)[t].to(z.dtype).view(-1, 1, 1, 1)
        return alpha.sqrt() * z + (1 - alpha).sqrt() * eps

    def to_epsilon(self, output: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """Convert a model's `output` for latents `z` at timesteps `t` `(n,)` to the predicted ε, whatever the model predicts."""
        if self.prediction == "epsilon":
            return output
        alpha = self._levels(z.device)[t].to(z.dtype).view(-1, 1, 1, 1)
        return alpha.sqrt() * output + (1 - alpha).sqrt() * z

    def _levels(self, device: torch.device) -> Tensor:
        """Return ᾱ on `device`, copied there once: a recorded pass can't copy from the host."""
        if device not in self._copies:
            self._copies[device] = self.alphas_cumprod.to(device)
        return self._copies[device]

    @cached_property
    def _copies(self) -> dict[torch.device, Tensor]:
        return {}

    def loss_weight(self, t: int) -> float:
        """Return the factor that converts the squared error of ε at timestep t to that of the model's own prediction.

        v = √ᾱ·ε − √(1−ᾱ)·z_0 (Salimans & Ho, arXiv 2202.00512). For a fixed latent z_t, ε = √ᾱ·v + √(1−ᾱ)·z_t, so ‖v − v*‖² = ‖ε −
        ε*‖² / ᾱ.
        """
        return 1 / self.alpha(t) if self.prediction == "v_prediction" else 1.0

    @property
    def known_to_earlier_releases(self) -> bool:
        """Whether releases without `spacing`, which treated every spacing as "leading", sampled this schedule correctly."""
        return self.spacing == "leading" and bool(self.alphas_cumprod.min() > LEAST_ALPHA)

    def fingerprint_text(self) -> str:
        """Return everything that the schedule depends on, as text for a fingerprint."""
        levels = self.betas or repr(self.alphas_cumprod.tolist())
        return repr((levels, self.steps_offset, self.set_alpha_to_one, self.prediction, self.spacing))


def schedule_of(scheduler: object) -> Schedule:
    """Return the schedule of diffusers' `DDIMScheduler`.

    Raises `ValueError`, naming the entry, for an unsupported configuration.
    """
    config: Mapping[str, Any] = scheduler.config  # type: ignore[attr-defined]
    defaults = config.get("_use_default_values", ())
    check_scheduler({name: value for name, value in config.items() if name not in defaults})
    alphas: Tensor = scheduler.alphas_cumprod  # type: ignore[attr-defined]
    _check_levels(alphas, int(config.get("steps_offset", 0)))
    made_by = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas", "rescale_betas_zero_snr")
    return Schedule(
        alphas_cumprod=alphas.to(torch.float64).clamp_min(LEAST_ALPHA),
        steps_offset=int(config.get("steps_offset", 0)),
        set_alpha_to_one=bool(config.get("set_alpha_to_one", False)),
        prediction=config["prediction_type"],
        spacing=config.get("timestep_spacing", "leading"),
        betas=repr([config.get(name) for name in made_by]),
    )


def _check_levels(alphas: Tensor, steps_offset: int) -> None:
    """Raise `ValueError` for noise levels that no model was trained with: they must fall from one to zero."""
    falls = bool((alphas[1:] < alphas[:-1]).all())
    if len(alphas) < 2 or not (falls and 0 < float(alphas[0]) <= 1 and float(alphas[-1]) >= 0):
        raise ValueError("the betas of the scheduler are not between 0 and 1: its noise levels don't fall from one to zero")
    if not 0 <= steps_offset < len(alphas):
        raise ValueError(f"steps_offset {steps_offset} of the scheduler is not one of its {len(alphas)} timesteps")
