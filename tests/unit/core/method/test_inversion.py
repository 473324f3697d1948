"""From the photo to the noise and back: each tier beside what its paper says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler
from torch import Tensor
from torch.nn import functional as F

from s2edit_core.base_model.ddim import schedule_of
from s2edit_core.concepts.concept import Concept, new_deltas
from s2edit_core.concepts.conditioning import keys_values, prompt_gates, prompt_keys_values, text_states, tokenize, word_embedding
from s2edit_core.method.editing import edit
from s2edit_core.method.inversion import Inversion, Source, closed_form_target, ddim_invert, empty_prompt_states, invert
from s2edit_core.request.options import InversionOptions, InversionTier
from s2edit_core.request.spec import PLACEHOLDER, Progress
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Answers, Row, Rows, drive
from tests.tiny import TOKENS, tiny_parts

PROMPT = "a photo of a [I] woman with glasses"
PLAIN_PROMPT = "a photo of a woman with glasses"
STEPS, W = 6, 7.5


def photo_latent(size: tuple[int, int] = (8, 8)) -> Tensor:
    return torch.randn(4, *size, generator=torch.Generator().manual_seed(21), dtype=torch.float64)


def concept_of(backbone: Backbone) -> Concept:
    """A concept with changes that do something."""
    draw = torch.Generator().manual_seed(5)
    keys, values = new_deltas(backbone.layers, "lora_kv", 2, draw)

    def moved(deltas: Any) -> Any:
        return tuple(type(d)(d.down.detach(), 0.2 * torch.randn(d.up.shape, generator=draw, dtype=torch.float64)) for d in deltas)

    token = word_embedding(backbone, "woman") + 0.1 * torch.randn(16, generator=draw, dtype=torch.float64)
    return Concept(token, moved(keys), moved(values), backbone.fingerprint)


@dataclass(frozen=True)
class Side:
    """The photo's side with a concept, and its latent."""

    latent: Tensor
    source: Source

    def target(self, backbone: Backbone) -> tuple[Any, Any]:
        return self.source.prompt, self.source.gates


def side_with_concept(backbone: Backbone, size: tuple[int, int] = (8, 8)) -> Side:
    mask = torch.zeros(32, 32)
    mask[6:26, 6:26] = 1.0
    concepts = {PLACEHOLDER: concept_of(backbone)}
    with torch.no_grad():
        states = text_states(backbone, tokenize(backbone, PROMPT, [*concepts]), {PLACEHOLDER: concepts[PLACEHOLDER].token})
    source = Source(
        prompt=prompt_keys_values(backbone, PROMPT, concepts),
        gates=prompt_gates(backbone, PROMPT, {PLACEHOLDER: mask}, size),
        states=states,
        concepts=tuple(concepts.values()),
    )
    return Side(photo_latent(size), source)


def plain_side(backbone: Backbone) -> Side:
    with torch.no_grad():
        states = text_states(backbone, tokenize(backbone, PLAIN_PROMPT, ()), {})
    return Side(photo_latent(), Source(prompt_keys_values(backbone, PLAIN_PROMPT, {}), None, states, ()))


def inverted(backbone: Backbone, side: Side, tier: InversionTier, *, w: float = W, steps: int = STEPS, **options: Any) -> Inversion:
    chosen = InversionOptions(tier=tier, **options)
    return drive(invert(backbone, side.latent, side.source, chosen, steps=steps, guidance_scale=w), backbone.evaluate)


def sampled(backbone: Backbone, inversion: Inversion, side: Side) -> Tensor:
    """The source prompt's own edit: what comes back of the photo."""
    prompt, gates = side.source.prompt, side.source.gates
    return drive(edit(backbone, inversion, prompt, gates, side.source.concepts), backbone.evaluate)


# --- DDIM inversion ----------------------------------------------------------------------------------------------


def test_inversion_is_the_scheduler_driven_backwards_with_the_stock_unet(backbone: Backbone) -> None:
    """`next_step` of the null-text repository, written out."""
    side = plain_side(backbone)
    path = drive(ddim_invert(backbone, side.latent, side.source, STEPS), backbone.evaluate)
    assert path.shape == (STEPS + 1, 4, 8, 8)
    assert torch.equal(path[0], side.latent)
    scheduler = reference_scheduler()
    alphas, z = scheduler.alphas_cumprod.double(), side.latent[None]
    for i, t in enumerate(reversed(scheduler.timesteps.tolist())):
        with torch.no_grad():
            eps = backbone.unet(z, t, encoder_hidden_states=side.source.states[None]).sample
        before = t - 1000 // STEPS
        now = alphas[before] if before >= 0 else alphas[0]
        clean = (z - (1 - now) ** 0.5 * eps) / now**0.5
        z = alphas[t] ** 0.5 * clean + (1 - alphas[t]) ** 0.5 * eps
        torch.testing.assert_close(path[i + 1][None], z, rtol=1e-10, atol=1e-10)


# --- the closed form ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("w", [0.0, 3.0, 7.5])
def test_the_closed_form_is_the_null_text_loss(w: float) -> None:
    """B²(1−w)²·‖ε_u − ε*‖² = ‖z_prev_guided − z_prev*‖², for any prediction, and its minimum leads to z_prev* itself."""
    draw = torch.Generator().manual_seed(2)
    z, wanted, eps_c, eps_u = torch.randn(4, 4, 6, 5, generator=draw, dtype=torch.float64)
    schedule = schedule_of(tiny_parts()["scheduler"])
    for t in schedule.timesteps(STEPS):
        a, b = schedule.coefficients(t, STEPS)
        target = closed_form_target(z, wanted, eps_c, a, b, w)
        guided = a * z + b * (eps_u + w * (eps_c - eps_u))
        closed, plain = (b * (1 - w)) ** 2 * (eps_u - target).square().sum(), (guided - wanted).square().sum()
        torch.testing.assert_close(closed, plain, rtol=1e-11, atol=0)
        torch.testing.assert_close(a * z + b * (target + w * (eps_c - target)), wanted, rtol=1e-11, atol=1e-11)


# --- null-text, step by step -------------------------------------------------------------------------------------


def reference_scheduler() -> DDIMScheduler:
    scheduler = tiny_parts()["scheduler"]
    scheduler.set_timesteps(STEPS)
    return scheduler


@dataclass
class Reference:
    nulls: list[Tensor]
    used: list[int]
    end: Tensor


def plain_null_text(backbone: Backbone, path: Tensor, states: Tensor, start: Tensor, *, inner: int, tolerance: float) -> Reference:
    """Null-text optimisation straight from its paper (algorithm 1) and repository: one latent, the UNet with diffusers' own
    attention, autograd from the loss between latents to the embedding."""
    scheduler = reference_scheduler()
    alphas = scheduler.alphas_cumprod.double()

    def eps(z: Tensor, t: int, text: Tensor) -> Tensor:
        found: Tensor = backbone.unet(z, t, encoder_hidden_states=text[None]).sample
        return found

    def prev_step(noise: Tensor, t: int, z: Tensor) -> Tensor:
        before = t - 1000 // STEPS
        alpha_prev = alphas[before] if before >= 0 else alphas[0]
        clean = (z - (1 - alphas[t]) ** 0.5 * noise) / alphas[t] ** 0.5
        return alpha_prev**0.5 * clean + (1 - alpha_prev) ** 0.5 * noise

    found = Reference([], [], torch.empty(0))
    z, uncond = path[-1][None], start.clone()
    for i, t in enumerate(scheduler.timesteps.tolist()):
        uncond = uncond.clone().detach().requires_grad_(True)
        optimiser = torch.optim.Adam([uncond], lr=1e-2 * (1.0 - i / 100.0))
        wanted = path[len(path) - i - 2][None]
        with torch.no_grad():
            eps_c = eps(z, t, states)
        used = 0
        for _ in range(inner):
            eps_u = eps(z, t, uncond)
            rebuilt = prev_step(eps_u + W * (eps_c - eps_u), t, z)
            loss = F.mse_loss(rebuilt, wanted)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            used += 1
            if loss.item() < tolerance + i * 2e-5:
                break
        found.used.append(used)
        found.nulls.append(uncond.detach().clone())
        with torch.no_grad():
            eps_u = eps(z, t, uncond)
            z = prev_step(eps_u + W * (eps_c - eps_u), t, z)
    found.end = z[0]
    return found


@pytest.mark.parametrize(("warm", "tolerance"), [(False, 1e-5), (True, 1e-5), (True, 0.0207)])
def test_null_text_agrees_step_by_step_with_a_plain_implementation(backbone: Backbone, warm: bool, tolerance: float) -> None:
    """As published; warm; and with a tolerance that ends the first timestep early."""
    side = plain_side(backbone)
    inversion = inverted(backbone, side, "null_text", inner_steps=4, tolerance=tolerance, warm_start=warm)
    start = side.source.states if warm else empty_prompt_states(backbone)
    reference = plain_null_text(backbone, inversion.path, side.source.states, start, inner=4, tolerance=tolerance)
    assert inversion.null_states.shape == (STEPS, TOKENS, 16)
    for i in range(STEPS):
        assert (reference.nulls[i] - start).abs().max() > 1e-3, "the reference did not learn anything"
        torch.testing.assert_close(inversion.null_states[i], reference.nulls[i], rtol=1e-7, atol=1e-8)
    assert inversion.facts["inner_iterations"] == sum(reference.used)
    early = tolerance > 1e-5
    assert (min(reference.used) < 4) == early  # both ways to end a timestep are taken
    assert max(reference.used) == 4
    torch.testing.assert_close(sampled(backbone, inversion, side), reference.end, rtol=1e-7, atol=1e-8)


def test_null_text_brings_the_photo_closer(backbone: Backbone) -> None:
    side = side_with_concept(backbone)
    errors = []
    for rate in (1e-8, 1e-1):
        inversion = inverted(backbone, side, "null_text", w=3.0, inner_steps=8, rate=rate, tolerance=0.0)
        errors.append(float((sampled(backbone, inversion, side) - side.latent).square().mean()))
    assert errors[1] < 0.8 * errors[0]


def test_the_caps_of_null_text_hold(backbone: Backbone) -> None:
    side = plain_side(backbone)
    most = inverted(backbone, side, "null_text", inner_steps=3, tolerance=0.0)
    least = inverted(backbone, side, "null_text", inner_steps=3, tolerance=1.0)
    assert most.facts["inner_iterations"] == 3 * STEPS
    assert least.facts["inner_iterations"] == STEPS


# --- the other tiers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(8, 8), (6, 10)])
@pytest.mark.parametrize("w", [1.0, 1.5, 3.0, 7.5])
def test_the_residual_returns_the_source_exactly(backbone: Backbone, size: tuple[int, int], w: float) -> None:
    side = side_with_concept(backbone, size)
    inversion = inverted(backbone, side, "residual", w=w, steps=10)
    assert inversion.residuals.shape == (10, 4, *size)
    assert (inversion.path[-1] - side.latent).abs().max() > 0.1
    assert (sampled(backbone, inversion, side) - side.latent).abs().max() <= 1e-10


def test_the_residual_needs_no_gradients(backbone: Backbone) -> None:
    side = side_with_concept(backbone)
    seen: list[bool] = []

    def watching(rows: Rows) -> Answers:
        seen.extend(row.target is not None for row in rows)
        return backbone.evaluate(rows)

    drive(invert(backbone, side.latent, side.source, InversionOptions(tier="residual"), steps=4, guidance_scale=W), watching)
    assert len(seen) == 12  # four inverting, then a conditional and an unconditional one for each level
    assert not any(seen)


def test_without_the_residual_the_source_does_not_come_back(backbone: Backbone) -> None:
    """The exactness above is the residual's doing."""
    side = side_with_concept(backbone)
    inversion = inverted(backbone, side, "residual", steps=10)
    bare = replace(inversion, residuals=torch.zeros_like(inversion.residuals))
    assert (sampled(backbone, bare, side) - side.latent).abs().max() > 1e-2


@pytest.mark.parametrize("w", [3.0, 7.5])
def test_the_residual_is_the_closed_forms_optimum_added_to_the_unconditional_prediction(backbone: Backbone, w: float) -> None:
    """(1 − w)·(ε* − ε_u): the two ways to write it add the same to the guided prediction."""
    side = side_with_concept(backbone)
    inversion = inverted(backbone, side, "residual", w=w)
    null = keys_values(backbone, empty_prompt_states(backbone), side.source.concepts)
    for i, t in enumerate(backbone.schedule.timesteps(STEPS)):
        z, z_prev = inversion.path[STEPS - i], inversion.path[STEPS - i - 1]
        conditional, unconditional = backbone.evaluate((Row(z, t, side.source.prompt, side.source.gates), Row(z, t, null)))
        a, b = backbone.schedule.coefficients(t, STEPS)
        optimum = closed_form_target(z, z_prev, conditional.eps, a, b, w)
        torch.testing.assert_close(inversion.residuals[i], (1 - w) * (optimum - unconditional.eps), rtol=1e-9, atol=1e-9)


def test_sampling_may_start_part_of_the_way_back(backbone: Backbone) -> None:
    side = side_with_concept(backbone)
    inversion = inverted(backbone, side, "residual")
    steps = edit(backbone, inversion, side.source.prompt, side.source.gates, side.source.concepts, first=4)
    progress: list[Progress] = []
    assert (drive(steps, backbone.evaluate, progress.append) - side.latent).abs().max() <= 1e-10
    assert [p.step for p in progress] == [5, 6]


@pytest.mark.parametrize("to_one", [False, True])
@pytest.mark.parametrize("offset", [0, 1])
def test_the_residual_is_exact_for_every_convention_of_the_schedule(backbone: Backbone, offset: int, to_one: bool) -> None:
    """With offset 0 and no last level of its own the last step does nothing (A = 1, B = 0)."""
    before = backbone.schedule
    backbone.schedule = replace(before, steps_offset=offset, set_alpha_to_one=to_one)
    try:
        side = side_with_concept(backbone)
        inversion = inverted(backbone, side, "residual", steps=5)
        assert torch.isfinite(inversion.residuals).all()
        assert (sampled(backbone, inversion, side) - side.latent).abs().max() <= 1e-10
    finally:
        backbone.schedule = before


def test_the_negative_prompt_is_guidance_of_the_source_by_itself(backbone: Backbone) -> None:
    """ε_u = ε_c for the source prompt, so that guidance changes nothing: sampling at w is sampling at 1."""
    side = plain_side(backbone)
    inversion = inverted(backbone, side, "negative_prompt")
    assert inversion.null_states.shape == (1, TOKENS, 16)
    one = replace(inversion, guidance_scale=1.0)
    torch.testing.assert_close(sampled(backbone, inversion, side), sampled(backbone, one, side), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("tier", ["null_text", "negative_prompt", "residual", "direct"])
def test_progress_grows_to_its_total(backbone: Backbone, tier: InversionTier) -> None:
    side = plain_side(backbone)
    seen: list[Progress] = []
    options = InversionOptions(tier=tier, inner_steps=1)
    drive(invert(backbone, side.latent, side.source, options, steps=4, guidance_scale=W), backbone.evaluate, seen.append)
    assert {p.phase for p in seen} == {"inverting"}
    assert [p.step for p in seen] == sorted({p.step for p in seen})
    assert (seen[-1].step, len({p.total for p in seen})) == (seen[-1].total, 1)


# --- editing -----------------------------------------------------------------------------------------------------


def test_editing_takes_each_steps_own_embedding_and_residual(backbone: Backbone) -> None:
    """Written out with the stock UNet: ε = ε_u + w·(ε_c − ε_u) + r."""
    draw = torch.Generator().manual_seed(6)
    path = torch.randn(4, 4, 8, 8, generator=draw, dtype=torch.float64)
    nulls = torch.randn(3, TOKENS, 16, generator=draw, dtype=torch.float64)
    residuals = torch.randn(3, 4, 8, 8, generator=draw, dtype=torch.float64)
    side = plain_side(backbone)
    inversion = Inversion(path, nulls, residuals, "residual", 2.5, backbone.fingerprint)
    z = path[-1][None]
    for i, t in enumerate(backbone.schedule.timesteps(3)):
        with torch.no_grad():
            eps_c, eps_u = (backbone.unet(z, t, encoder_hidden_states=s[None]).sample for s in (side.source.states, nulls[i]))
        a, b = backbone.schedule.coefficients(t, 3)
        z = a * z + b * (eps_u + 2.5 * (eps_c - eps_u) + residuals[i])
    torch.testing.assert_close(sampled(backbone, inversion, side), z[0], rtol=1e-10, atol=1e-10)


def test_two_edits_share_one_inversion_and_differ(backbone: Backbone) -> None:
    side = plain_side(backbone)
    inversion = inverted(backbone, side, "residual")
    before = inversion.to_bytes()
    other = prompt_keys_values(backbone, "a photo of a woman with a red hat", {})
    edited = drive(edit(backbone, inversion, other, None, ()), backbone.evaluate)
    assert (edited - sampled(backbone, inversion, side)).abs().max() > 1e-2
    assert inversion.to_bytes() == before
