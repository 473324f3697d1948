"""From the photo's latent to a start noise, and what makes guided sampling return to the photo.

DDIM inversion runs at guidance 1 with the source prompt and the concept. Guided sampling from its end drifts away.
Four tiers repair that:

- `null_text` (Mokady et al., arXiv 2211.09794): one unconditional embedding per timestep, optimised. With the DDIM step
  z_prev = A·z + B·(ε_u + w·(ε_c − ε_u)) its loss equals B²(1−w)²·‖ε_u − ε*‖² with ε* in closed form, so each inner step is a row
  with that target and that weight, and ε_c is computed once per timestep.
- `negative_prompt` (Miyake et al., arXiv 2305.16807): the source prompt in place of the empty one.
- `residual`: what the guided prediction lacks on the inverted path, added to it while sampling. Exact, nothing is optimised. For
  w ≠ 1 it is ε* − ε_u added to the unconditional prediction; this form holds at w = 1 as well.
- `direct` (Ju et al., arXiv 2310.01506): after each step the source branch is moved by its distance from the inverted path, which
  puts it back onto the path. So it *is* the path, and nothing is computed or stored. The edit's own branch is left as it is (moved
  likewise it would be `residual`): only what it reads from the source branch improves, so this tier needs attention injection.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from s2edit_core.checkpoints.fingerprint import Fingerprints
from s2edit_core.concepts.concept import Concept, read_safetensors, refusing_damage, write_safetensors
from s2edit_core.concepts.conditioning import keys_values, text_states, tokenize
from s2edit_core.request.spec import InversionOptions, InversionTier, Progress
from s2edit_core.unet.attention import Gates, KeysValues
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Answers, Row, Rows

FORMAT = "s2edit-inversion-2"


@dataclass(frozen=True, eq=False)
class Inversion:
    """`path` `(steps + 1, c, h, w)`: the inverted latents from the photo's own (first) to the start noise (last).

    `null_states` `(steps, tokens, d)` or `(1, tokens, d)`: the unconditional embedding of each sampling step, first the noisiest.
    `residuals` `(steps, c, h, w)`: what is added to the guided prediction of each step (tier `residual`), else empty.
    Raises `ValueError` where these do not fit together.
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
            raise ValueError(f"a path is (steps + 1, c, h, w) of one step or more, not {tuple(self.path.shape)}")
        if self.null_states.ndim != 3 or len(self.null_states) not in (1, self.steps):
            shape = tuple(self.null_states.shape)
            raise ValueError(f"null_states are (steps, tokens, d) or (1, tokens, d), not {shape} for {self.steps} steps")
        exact = self.tier == "residual"
        if self.residuals.shape != self.path[1:].shape if exact else self.residuals.numel():
            wanted = str(tuple(self.path[1:].shape)) if exact else "none"
            raise ValueError(f"residuals of the tier {self.tier} are {wanted}, not {tuple(self.residuals.shape)}")
        check_guidance(self.guidance_scale)

    @property
    def steps(self) -> int:
        return len(self.path) - 1

    @property
    def source_is_path(self) -> bool:
        """Whether sampling the source prompt leads back along `path`."""
        return self.tier in ("residual", "direct")

    def null_state(self, i: int) -> Tensor:
        return self.null_states[min(i, len(self.null_states) - 1)]

    def guided(self, i: int, conditional: Tensor, unconditional: Tensor) -> Tensor:
        """The prediction of sampling step `i`: ε = ε_u + w·(ε_c − ε_u), and the residual."""
        eps = unconditional + self.guidance_scale * (conditional - unconditional)
        return eps + self.residuals[i] if len(self.residuals) else eps

    def fading(self, where: Tensor) -> Inversion:
        """The same with residuals that are left out where `where` `(h, w)` is 1, and halved where it is a half.

        A residual is what guidance lacks with the source's prompt. Where a target wants something else it is no repair: there it
        would draw the photo's mouth over the new one.
        """
        if where.shape != self.path.shape[2:]:
            raise ValueError(f"where is (h, w) of the latents, {tuple(self.path.shape[2:])}, not {tuple(where.shape)}")
        return replace(self, residuals=self.residuals * (1 - where)) if len(self.residuals) else self

    def to_bytes(self) -> bytes:
        """As a safetensors file."""
        tensors = {"path": self.path, "null_states": self.null_states, "residuals": self.residuals}
        about = {
            "format": FORMAT,
            "fingerprint": self.fingerprint,
            "tier": self.tier,
            "guidance_scale": self.guidance_scale,
            "facts": self.facts,
        }
        return write_safetensors(tensors, about)

    @classmethod
    def from_bytes(cls, data: bytes, *, fingerprint: str | Fingerprints, device: torch.device | str = "cpu") -> Inversion:
        """Read back; raises `ArtifactMismatch` for a damaged file or one that was made with another model."""
        with refusing_damage(FORMAT):
            tensors, about = read_safetensors(data, FORMAT, fingerprint)
            return cls(
                path=tensors["path"].to(device),
                null_states=tensors["null_states"].to(device),
                residuals=tensors["residuals"].to(device),
                tier=about["tier"],
                guidance_scale=float(about["guidance_scale"]),
                fingerprint=about["fingerprint"],
                facts=about["facts"],
            )

    def save(self, path: str | Path) -> None:
        Path(path).write_bytes(self.to_bytes())

    @classmethod
    def load(cls, path: str | Path, *, fingerprint: str | Fingerprints, device: torch.device | str = "cpu") -> Inversion:
        """Read a file of `save`. Raises as `from_bytes`, and `OSError` where there is none."""
        return cls.from_bytes(Path(path).read_bytes(), fingerprint=fingerprint, device=device)


@dataclass(frozen=True, eq=False)
class Source:
    """The photo's side of an edit: its prompt with the concept, and where [I] may act."""

    prompt: KeysValues
    gates: Gates | None
    states: Tensor  # (tokens, d), of the source prompt
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

    Raises `ValueError` for another shape or numbers that are not finite, for steps that the schedule does not have, and for a
    guidance scale below 0.
    """
    if latent.ndim != 3 or not torch.isfinite(latent).all():
        raise ValueError(f"expected a finite latent (c, h, w), got {tuple(latent.shape)}")
    check_guidance(guidance_scale)
    backbone.schedule.timesteps(steps)
    path = yield from ddim_invert(backbone, latent, source, steps)
    empty = null_states(backbone)
    if options.tier == "null_text":
        start = source.states if options.warm_start else empty
        nulls, facts = yield from optimise_null_text(backbone, path, source, start, options, guidance_scale)
        residuals = torch.zeros(0)
    elif options.tier == "residual":
        nulls, facts = empty[None], {}
        residuals = yield from exact_residuals(backbone, path, source, empty, guidance_scale)
    else:
        nulls, facts, residuals = (empty if options.tier == "direct" else source.states)[None], {}, torch.zeros(0)
        yield Progress("inverting", 2 * steps, 2 * steps)
    return Inversion(path, nulls, residuals, options.tier, guidance_scale, backbone.fingerprint, facts)


def check_guidance(scale: float) -> None:
    if not (math.isfinite(scale) and scale >= 0):
        raise ValueError(f"a guidance scale is a finite number, 0 or more (1 is the prompt alone), not {scale!r}")


def null_states(backbone: Backbone) -> Tensor:
    """The text states `(tokens, d)` of the empty prompt."""
    with torch.no_grad():
        return text_states(backbone, tokenize(backbone, "", ()), {})


def ddim_invert(backbone: Backbone, latent: Tensor, source: Source, steps: int) -> Generator[Rows | Progress, Answers, Tensor]:
    """The latents `(steps + 1, c, h, w)` from the photo's to noise, at guidance 1."""
    schedule = backbone.schedule
    path = [latent]
    for i, t in enumerate(reversed(schedule.timesteps(steps))):
        (answer,) = yield (Row(path[-1], t, source.prompt, source.gates),)
        a, b = schedule.coefficients(t, steps)
        path.append((path[-1] - b * answer.eps) / a)
        yield Progress("inverting", i + 1, 2 * steps)
    return torch.stack(path)


def closed_form_target(z: Tensor, z_prev: Tensor, eps_c: Tensor, a: float, b: float, w: float) -> Tensor:
    """The ε* for which the guided step leads from `z` exactly to `z_prev`: z_prev = a·z + b·(w·ε_c + (1 − w)·ε*)."""
    return (z_prev - a * z - b * w * eps_c) / (b * (1 - w))


def exact_residuals(
    backbone: Backbone, path: Tensor, source: Source, empty: Tensor, w: float
) -> Generator[Rows | Progress, Answers, Tensor]:
    """What guidance lacks at every level of the path, `(steps, c, h, w)`, first the noisiest.

    A step leads along the path if its prediction is (z_prev − A·z)/B. All rows at once: none waits for another.
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
        # where B = 0 (the last step of some schedules) the prediction does not matter
        residuals.append((noisy[i + 1] - a * noisy[i]) / b - guided if b != 0 else torch.zeros_like(guided))
    yield Progress("inverting", 2 * steps, 2 * steps)
    return torch.stack(residuals)


def optimise_null_text(
    backbone: Backbone, path: Tensor, source: Source, start: Tensor, options: InversionOptions, w: float
) -> Generator[Rows | Progress, Answers, tuple[Tensor, dict[str, Any]]]:
    """Optimise one unconditional embedding per timestep; `(steps, tokens, d)` and what it took."""
    steps = len(path) - 1
    schedule = backbone.schedule
    z = path[-1]
    null = start.detach().clone()
    nulls, iterations = [], 0
    for i, t in enumerate(schedule.timesteps(steps)):
        a, b = schedule.coefficients(t, steps)
        wanted = path[steps - 1 - i]
        (conditional,) = yield (Row(z, t, source.prompt, source.gates),)
        scale = (b * (1 - w)) ** 2
        if scale > 1e-10:  # where B = 0 (the last step of some schedules) nothing can be gained
            target = closed_form_target(z, wanted, conditional.eps, a, b, w)
            rate = options.rate * (1 - i / 100) if i < 100 else options.rate * 0.01
            optimum = _optimise_one(backbone, Row(z, t, source.prompt, target=target, weight=scale), source, null, rate, options, i)
            null, used = yield from optimum
            iterations += used
        (unconditional,) = yield (Row(z, t, _null_prompt(backbone, null, source)),)
        z = a * z + b * (unconditional.eps + w * (conditional.eps - unconditional.eps))
        nulls.append(null)
        yield Progress("inverting", steps + i + 1, 2 * steps)
    return torch.stack(nulls), {"inner_iterations": iterations}


def _optimise_one(
    backbone: Backbone, row: Row, source: Source, start: Tensor, rate: float, options: InversionOptions, i: int
) -> Generator[Rows | Progress, Answers, tuple[Tensor, int]]:
    """Adam on the embedding of timestep number `i`; stops early once the loss is below tolerance + i·2e-5."""
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
