"""Inversion: from the photo's latent to a start noise from which guided sampling reconstructs the photo.

DDIM inversion runs at guidance 1 with the source prompt and the concept. Guided sampling from its end drifts away from the photo.
Four tiers repair that:

- `null_text` (Mokady et al., arXiv 2211.09794) optimises one unconditional embedding per timestep. With the DDIM step z_prev = A·z
  + B·(ε_u + w·(ε_c − ε_u)), its loss equals B²(1−w)²·‖ε_u − ε*‖², with ε* in closed form. Each inner step is therefore one row with
  that target and weight, and ε_c is computed once per timestep.
- `negative_prompt` (Miyake et al., arXiv 2305.16807) uses the source prompt in place of the empty prompt.
- `residual` records the difference between the guided prediction and the prediction that follows the inverted path, and adds it
  while sampling. It is exact and optimises nothing. For w ≠ 1 it equals (1 − w)·(ε* − ε_u); the difference form also holds at w =
  1.
- `direct` (Ju et al., arXiv 2310.01506) moves the source branch back onto the inverted path after each step. The source branch then
  is the path, and nothing is computed or stored. The edit's own branch is not corrected (corrected in the same way, this tier would
  be `residual`): it gains only what it reads from the source branch, so this tier needs attention injection.

Every number of an inversion is rounded to half precision as soon as it is computed, so that the file is half as large and an edit
with the stored inversion equals the edit that made it. Later numbers are computed from the rounded path.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from s2edit_core.base_model.fingerprint import Fingerprints
from s2edit_core.concepts.concept import Concept, raising_mismatch, read_safetensors, write_safetensors
from s2edit_core.concepts.conditioning import keys_values, text_states, tokenize
from s2edit_core.concepts.seal import OPEN, sealed
from s2edit_core.request.options import InversionOptions, InversionTier
from s2edit_core.request.spec import Progress
from s2edit_core.unet.attention import Gates, KeysValues
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Answers, Row, Rows
from s2edit_core.whole_files import write_whole

FORMAT = "s2edit-inversion-3"
EARLIER_FORMAT = "s2edit-inversion-2"
"""The format of earlier releases, which stored every number in single precision. It can still be read."""


@dataclass(frozen=True, eq=False)
class Inversion:
    """A photo as a path of latents, with the corrections that make guided sampling return along it.

    `path` `(steps + 1, c, h, w)`: the latents from the photo's own (first) to the start noise (last). `null_states` `(steps,
    tokens, d)` or `(1, tokens, d)`: the unconditional embedding of each sampling step, the noisiest first. `residuals` `(steps, c,
    h, w)`: the correction of each step's guided prediction in tier `residual`, otherwise empty. Raises `ValueError` for shapes that
    do not match.
    """

    path: Tensor
    null_states: Tensor
    residuals: Tensor
    tier: InversionTier
    guidance_scale: float
    fingerprint: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.tier not in get_args(InversionTier):
            raise ValueError(f"tier must be one of {', '.join(get_args(InversionTier))}, not {self.tier!r}")
        if self.path.ndim != 4 or self.steps < 1:
            raise ValueError(f"a path has the shape (steps + 1, c, h, w) with one step or more, not {tuple(self.path.shape)}")
        if self.null_states.ndim != 3 or len(self.null_states) not in (1, self.steps):
            shape = tuple(self.null_states.shape)
            raise ValueError(f"null_states have the shape (steps, tokens, d) or (1, tokens, d), not {shape} for {self.steps} steps")
        exact = self.tier == "residual"
        if self.residuals.shape != self.path[1:].shape if exact else self.residuals.numel():
            wanted = str(tuple(self.path[1:].shape)) if exact else "(0,)"
            raise ValueError(f"residuals of the tier {self.tier} have the shape {wanted}, not {tuple(self.residuals.shape)}")
        check_guidance(self.guidance_scale)

    @property
    def steps(self) -> int:
        """The number of sampling steps."""
        return len(self.path) - 1

    @property
    def source_is_path(self) -> bool:
        """Whether sampling the source prompt follows `path` exactly."""
        return self.tier in ("residual", "direct")

    def null_state(self, i: int) -> Tensor:
        """Return the unconditional embedding `(tokens, d)` of sampling step `i`."""
        return self.null_states[min(i, len(self.null_states) - 1)]

    def guided(self, i: int, conditional: Tensor, unconditional: Tensor) -> Tensor:
        """Return the guided prediction of sampling step `i`: ε_u + w·(ε_c − ε_u), plus the residual."""
        eps = unconditional + self.guidance_scale * (conditional - unconditional)
        return eps + self.residuals[i] if len(self.residuals) else eps

    def faded(self, mask: Tensor) -> Inversion:
        """Return this inversion with its residuals multiplied by 1 − `mask` `(h, w)`.

        A residual corrects guidance with the source prompt. Where the target prompt asks for something else, it would restore the
        photo: it would draw the old mouth over the new one.
        """
        if mask.shape != self.path.shape[2:]:
            raise ValueError(f"the mask must have the latents' shape (h, w) {tuple(self.path.shape[2:])}, not {tuple(mask.shape)}")
        return replace(self, residuals=self.residuals * (1 - mask)) if len(self.residuals) else self

    def to_bytes(self) -> bytes:
        """Serialise to safetensors. A tensor of numbers that half precision can hold is stored in it, the others as they are."""
        tensors = {"path": self.path, "null_states": self.null_states, "residuals": self.residuals}
        tensors = {name: _shortened(tensor) for name, tensor in tensors.items()}
        about = {
            "format": FORMAT,
            "fingerprint": self.fingerprint,
            "tier": self.tier,
            "guidance_scale": self.guidance_scale,
            "facts": self.facts,
            **OPEN,
        }
        return sealed(write_safetensors(tensors, about))

    @classmethod
    def from_bytes(cls, data: bytes, *, fingerprint: str | Fingerprints, device: torch.device | str = "cpu") -> Inversion:
        """Read an inversion that `to_bytes` wrote.

        Raises `ArtifactMismatch` for a damaged file, or for one made with another model.
        """
        with raising_mismatch(FORMAT):
            tensors, about = read_safetensors(data, (FORMAT, EARLIER_FORMAT), fingerprint)
            path, null_states, residuals = (_restored(tensors[name], device) for name in ("path", "null_states", "residuals"))
            return cls(
                path=path,
                null_states=null_states,
                residuals=residuals,
                tier=about["tier"],
                guidance_scale=float(about["guidance_scale"]),
                fingerprint=about["fingerprint"],
                facts=about["facts"],
            )

    def save(self, path: str | Path) -> None:
        """Write the inversion to a file."""
        write_whole(path, self.to_bytes())

    @classmethod
    def load(cls, path: str | Path, *, fingerprint: str | Fingerprints, device: torch.device | str = "cpu") -> Inversion:
        """Read a file that `save` wrote. Raises as `from_bytes`, and `OSError` if there is no such file."""
        return cls.from_bytes(Path(path).read_bytes(), fingerprint=fingerprint, device=device)


@dataclass(frozen=True, eq=False)
class Source:
    """The photo's side of an edit: the source prompt conditioned on the concept, and the gates of [I]."""

    prompt: KeysValues
    gates: Gates | None
    states: Tensor  # (tokens, d), the text states of the source prompt
    concepts: tuple[Concept, ...]


def invert(
    backbone: Backbone,
    latent: Tensor,
    source: Source,
    options: InversionOptions,
    *,
    steps: int,
    guidance_scale: float,
) -> Generator[Rows | Progress, Answers, Inversion]:
    """Invert `latent` `(c, h, w)` for guided sampling in `steps` steps at `guidance_scale`.

    Raises `ValueError` for a latent of another shape or with values that are not finite, for more steps than the schedule has, and
    for a guidance scale below 0.
    """
    if latent.ndim != 3 or not torch.isfinite(latent).all():
        raise ValueError(f"expected a finite latent (c, h, w), got {tuple(latent.shape)}")
    check_guidance(guidance_scale)
    backbone.schedule.timesteps(steps)
    path = rounded((yield from ddim_invert(backbone, latent, source, steps)))
    empty = rounded(empty_prompt_states(backbone))
    if options.tier == "null_text":
        start = source.states if options.warm_start else empty
        nulls, facts = yield from optimise_null_text(backbone, path, source, start, options, guidance_scale)
        residuals = torch.zeros(0)
    elif options.tier == "residual":
        nulls, facts = empty[None], {}
        residuals = rounded((yield from exact_residuals(backbone, path, source, empty, guidance_scale)))
    else:
        nulls, facts = (empty if options.tier == "direct" else rounded(source.states))[None], {}
        residuals = torch.zeros(0)
        yield Progress("inverting", 2 * steps, 2 * steps)
    return Inversion(path, nulls, residuals, options.tier, guidance_scale, backbone.fingerprint, facts)


def rounded(tensor: Tensor) -> Tensor:
    """Return `tensor`, in its own precision, with each number rounded to the nearest one of half precision.

    Double precision, which tests compare in, stays as it is. So does a tensor with a number that half precision cannot hold.
    """
    if tensor.dtype != torch.float32 or not torch.isfinite(half := tensor.half()).all():
        return tensor
    return half.to(tensor.dtype)


def _shortened(tensor: Tensor) -> Tensor:
    """Return `tensor` in half precision if that loses nothing."""
    half = tensor.half()
    return half if tensor.dtype == torch.float32 and torch.equal(half.to(tensor.dtype), tensor) else tensor


def _restored(tensor: Tensor, device: torch.device | str) -> Tensor:
    return tensor.to(device, torch.promote_types(tensor.dtype, torch.float32))


def check_guidance(scale: float) -> None:
    """Raise `ValueError` unless `scale` is a finite number of 0 or more."""
    if not (math.isfinite(scale) and scale >= 0):
        raise ValueError(f"a guidance scale must be a finite number of 0 or more, not {scale!r}")


def empty_prompt_states(backbone: Backbone) -> Tensor:
    """Return the text states `(tokens, d)` of the empty prompt, computed once per model."""

    def states() -> Tensor:
        with torch.no_grad():
            return text_states(backbone, tokenize(backbone, "", ()), {})

    return backbone.once("the states of the empty prompt", states)


def ddim_invert(backbone: Backbone, latent: Tensor, source: Source, steps: int) -> Generator[Rows | Progress, Answers, Tensor]:
    """Invert by DDIM at guidance 1, and return the path `(steps + 1, c, h, w)` from the photo's latent to noise."""
    schedule = backbone.schedule
    path = [latent]
    for i, t in enumerate(reversed(schedule.timesteps(steps))):
        (answer,) = yield (Row(path[-1], t, source.prompt, source.gates),)
        a, b = schedule.coefficients(t, steps)
        path.append((path[-1] - b * answer.eps) / a)
        yield Progress("inverting", i + 1, 2 * steps)
    return torch.stack(path)


def closed_form_target(z: Tensor, z_prev: Tensor, eps_c: Tensor, a: float, b: float, w: float) -> Tensor:
    """Return the ε* for which the guided step leads from `z` exactly to `z_prev`: z_prev = a·z + b·(w·ε_c + (1 − w)·ε*)."""
    return (z_prev - a * z - b * w * eps_c) / (b * (1 - w))


def exact_residuals(
    backbone: Backbone, path: Tensor, source: Source, empty: Tensor, w: float
) -> Generator[Rows | Progress, Answers, Tensor]:
    """Return the residual of each sampling step, `(steps, c, h, w)`, the noisiest first.

    A step follows the path if its prediction is (z_prev − A·z) / B; the residual is that minus the guided prediction. The rows do
    not depend on each other and are evaluated together.
    """
    steps = len(path) - 1
    schedule = backbone.schedule
    with torch.no_grad():
        null = keys_values(backbone, empty, source.concepts)
    timesteps = schedule.timesteps(steps)
    noisy = path.flip(0)
    answers = yield (
        *(Row(noisy[i], t, source.prompt, source.gates) for i, t in enumerate(timesteps)),
        *(Row(noisy[i], t, null) for i, t in enumerate(timesteps)),
    )
    residuals = []
    for i, t in enumerate(timesteps):
        a, b = schedule.coefficients(t, steps)
        eps_c, eps_u = answers[i].eps, answers[steps + i].eps
        guided = eps_u + w * (eps_c - eps_u)
        # B = 0 in the last step of some schedules: the prediction then has no effect.
        residuals.append((noisy[i + 1] - a * noisy[i]) / b - guided if b != 0 else torch.zeros_like(guided))
    yield Progress("inverting", 2 * steps, 2 * steps)
    return torch.stack(residuals)


def optimise_null_text(
    backbone: Backbone, path: Tensor, source: Source, start: Tensor, options: InversionOptions, w: float
) -> Generator[Rows | Progress, Answers, tuple[Tensor, dict[str, Any]]]:
    """Optimise one unconditional embedding per timestep. Return them, `(steps, tokens, d)`, and the facts of the optimisation."""
    steps = len(path) - 1
    schedule = backbone.schedule
    z = path[-1]
    null = rounded(start.detach().clone())
    nulls, iterations = [], 0
    for i, t in enumerate(schedule.timesteps(steps)):
        a, b = schedule.coefficients(t, steps)
        wanted = path[steps - 1 - i]
        (conditional,) = yield (Row(z, t, source.prompt, source.gates),)
        scale = (b * (1 - w)) ** 2
        if scale > 1e-10:  # B = 0 in the last step of some schedules: the embedding then has no effect
            target = closed_form_target(z, wanted, conditional.eps, a, b, w)
            rate = options.rate * (1 - i / 100) if i < 100 else options.rate * 0.01
            optimum = _optimise_one(backbone, Row(z, t, source.prompt, target=target, weight=scale), source, null, rate, options, i)
            null, used = yield from optimum
            null = rounded(null)
            iterations += used
        (unconditional,) = yield (Row(z, t, _null_prompt(backbone, null, source)),)
        z = a * z + b * (unconditional.eps + w * (conditional.eps - unconditional.eps))
        nulls.append(null)
        yield Progress("inverting", steps + i + 1, 2 * steps)
    return torch.stack(nulls), {"inner_iterations": iterations}


def _optimise_one(
    backbone: Backbone, row: Row, source: Source, start: Tensor, rate: float, options: InversionOptions, i: int
) -> Generator[Rows | Progress, Answers, tuple[Tensor, int]]:
    """Optimise the embedding of timestep number `i` by Adam, and return it with the number of steps taken.

    Stops early once the loss is below tolerance + i·2e-5, as published.
    """
    null = start.clone().requires_grad_()
    optimiser = torch.optim.Adam([null], lr=rate)
    used = 0
    while used < options.inner_steps:
        used += 1
        prompt = _null_prompt(backbone, null, source)
        (answer,) = yield (Row(row.latent, row.timestep, prompt, target=row.target, weight=row.weight),)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(prompt.tensors(), answer.gradients())
        optimiser.step()
        if (answer.loss or 0.0) < options.tolerance + i * 2e-5:
            break
    return null.detach(), used


def _null_prompt(backbone: Backbone, null: Tensor, source: Source) -> KeysValues:
    with torch.set_grad_enabled(null.requires_grad):
        return keys_values(backbone, null, source.concepts)
