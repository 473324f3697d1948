"""Our DDIM arithmetic beside diffusers' own schedulers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import DDIMInverseScheduler, DDIMScheduler

from s2edit_core.base_model.ddim import Schedule, schedule_of
from s2edit_core.base_model.scheduler_config import check_scheduler
from tests.tiny import STABLE_DIFFUSION

CONVENTIONS = [(offset, to_one) for offset in (0, 1) for to_one in (False, True)]
STEPS = (1, 7, 10, 50)
SPACINGS = ("leading", "trailing", "linspace")


def scheduler(offset: int = 1, to_one: bool = False, **changes: Any) -> DDIMScheduler:
    made = DDIMScheduler(steps_offset=offset, set_alpha_to_one=to_one, **STABLE_DIFFUSION, **changes)
    made.alphas_cumprod, made.final_alpha_cumprod = made.alphas_cumprod.double(), made.final_alpha_cumprod.double()
    return made


def latents() -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(3)
    z, output = torch.randn(2, 1, 4, 3, 5, generator=draw, dtype=torch.float64)
    return z, output


@pytest.mark.parametrize(("offset", "to_one"), CONVENTIONS)
@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("spacing", SPACINGS)
def test_timesteps_are_diffusers_own(offset: int, to_one: bool, steps: int, spacing: str) -> None:
    theirs = scheduler(offset, to_one, timestep_spacing=spacing)
    theirs.set_timesteps(steps)
    assert schedule_of(theirs).timesteps(steps) == tuple(theirs.timesteps.tolist())


@pytest.mark.parametrize(("offset", "to_one"), CONVENTIONS)
@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("spacing", SPACINGS)
def test_a_step_toward_the_image_is_diffusers_step(offset: int, to_one: bool, steps: int, prediction: str, spacing: str) -> None:
    theirs = scheduler(offset, to_one, prediction_type=prediction, timestep_spacing=spacing)
    theirs.set_timesteps(steps)
    ours = schedule_of(theirs)
    z, output = latents()
    for t in ours.timesteps(steps):
        a, b = ours.coefficients(t, steps)
        step = a * z + b * ours.to_epsilon(output, z, torch.tensor([t]))
        expected = theirs.step(output, t, z).prev_sample
        torch.testing.assert_close(step, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("offset", "to_one"), CONVENTIONS)
@pytest.mark.parametrize("steps", STEPS)
def test_a_step_toward_noise_is_diffusers_inverse_step(offset: int, to_one: bool, steps: int) -> None:
    theirs = DDIMInverseScheduler(steps_offset=offset, set_alpha_to_one=to_one, **STABLE_DIFFUSION)
    theirs.alphas_cumprod = theirs.alphas_cumprod.double()
    if not to_one:
        theirs.initial_alpha_cumprod = theirs.alphas_cumprod[0]
    theirs.set_timesteps(steps)
    ours = schedule_of(scheduler(offset, to_one))
    assert tuple(reversed(ours.timesteps(steps))) == tuple(theirs.timesteps.tolist())
    z, eps = latents()
    for t in reversed(ours.timesteps(steps)):
        a, b = ours.coefficients(t, steps)
        torch.testing.assert_close((z - b * eps) / a, theirs.step(eps, t, z).prev_sample, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("offset", "to_one"), CONVENTIONS)
@pytest.mark.parametrize("spacing", SPACINGS)
def test_there_and_back_with_the_same_noise_is_the_identity(offset: int, to_one: bool, spacing: str) -> None:
    ours = schedule_of(scheduler(offset, to_one, timestep_spacing=spacing))
    z, eps = latents()
    there = z
    for t in reversed(ours.timesteps(20)):
        a, b = ours.coefficients(t, 20)
        there = (there - b * eps) / a
    assert (there - z).abs().max() > 1  # it went somewhere
    back = there
    for t in ours.timesteps(20):
        a, b = ours.coefficients(t, 20)
        back = a * back + b * eps
    torch.testing.assert_close(back, z, rtol=1e-11, atol=1e-11)


def test_adding_noise_is_diffusers_own() -> None:
    theirs = scheduler()
    z, eps = torch.randn(2, 3, 4, 5, 6, dtype=torch.float64)
    t = torch.tensor([0, 500, 999])
    torch.testing.assert_close(schedule_of(theirs).add_noise(z, eps, t), theirs.add_noise(z, eps, t), rtol=1e-12, atol=1e-12)


def test_a_velocity_means_the_noise_that_made_it() -> None:
    theirs = scheduler(prediction_type="v_prediction")
    ours = schedule_of(theirs)
    z, eps = torch.randn(2, 3, 4, 5, 6, dtype=torch.float64)
    t = torch.tensor([0, 500, 999])
    velocity = theirs.get_velocity(z, eps, t)
    torch.testing.assert_close(ours.to_epsilon(velocity, ours.add_noise(z, eps, t), t), eps, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("steps", [2, 20, 50])
def test_steps_of_a_schedule_with_zero_terminal_snr_are_diffusers_own(spacing: str, steps: int) -> None:
    """Where ᾱ is 0 ours is 2⁻²⁴: √ᾱ is 2.4e-4 there, and so is what the first step of "trailing" and "linspace" may differ by."""
    theirs = scheduler(1, True, prediction_type="v_prediction", timestep_spacing=spacing, rescale_betas_zero_snr=True)
    theirs.set_timesteps(steps)
    ours = schedule_of(theirs)
    assert float(theirs.alphas_cumprod[-1]) == 0.0
    z, output = latents()
    for t in ours.timesteps(steps):
        a, b = ours.coefficients(t, steps)
        step = a * z + b * ours.to_epsilon(output, z, torch.tensor([t]))
        bound = 1e-3 if t == 999 else 1e-9
        torch.testing.assert_close(step, theirs.step(output, t, z).prev_sample, rtol=bound, atol=bound)


def test_the_terminal_level_is_left_and_reached_in_single_precision() -> None:
    """A is some hundreds there, and a digit lost with each power of ten."""
    ours = schedule_of(scheduler(1, True, prediction_type="v_prediction", timestep_spacing="trailing", rescale_betas_zero_snr=True))
    z, v = (each.float() for each in latents())
    a, b = ours.coefficients(999, 20)
    assert a > 50
    eps = ours.to_epsilon(v, z, torch.tensor([999]))
    torch.testing.assert_close((a * z + b * eps - b * eps) / a, z, rtol=1e-4, atol=1e-4)


REFUSED: tuple[tuple[dict[str, Any], str], ...] = (
    ({"prediction_type": "sample"}, "prediction_type 'sample'"),
    ({"timestep_spacing": "karras"}, "timestep_spacing 'karras'"),
    ({"clip_sample": True}, "clip_sample"),
    ({"thresholding": True}, "thresholding"),
    ({"rescale_betas_zero_snr": True}, "rescale_betas_zero_snr"),
    ({"beta_end": 5.0}, "betas of the scheduler are not between 0 and 1"),
    ({"beta_start": -0.1, "beta_schedule": "linear"}, "betas of the scheduler are not between 0 and 1"),
    ({"trained_betas": [0.1, float("nan"), 0.2]}, "betas of the scheduler are not between 0 and 1"),
    ({"trained_betas": [0.1]}, "betas of the scheduler are not between 0 and 1"),
    ({"steps_offset": -5}, "steps_offset -5 of the scheduler"),
    ({"steps_offset": 1000}, "steps_offset 1000 of the scheduler"),
)


@pytest.mark.parametrize(("config", "words"), REFUSED, ids=[str(config) for config, _ in REFUSED])
def test_what_ddim_cannot_follow_is_refused_by_name(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        schedule_of(DDIMScheduler(**{**STABLE_DIFFUSION, **config}))


def test_what_a_configuration_does_not_say_is_not_refused() -> None:
    """The PNDM configuration of Stable Diffusion 1.x names no clip_sample, and DDIM's default would clip."""
    theirs = DDIMScheduler.from_config({name: value for name, value in STABLE_DIFFUSION.items() if name != "clip_sample"})
    assert theirs.config["clip_sample"]
    schedule_of(theirs)


@pytest.mark.parametrize("sampler", ["LCMScheduler", "FlowMatchEulerDiscreteScheduler", "EDMEulerScheduler", "TCDScheduler"])
def test_a_model_for_another_kind_of_sampler_is_refused(sampler: str) -> None:
    with pytest.raises(ValueError, match=f"the scheduler '{sampler}' is not supported"):
        check_scheduler({"_class_name": sampler})


def test_a_model_that_predicts_v_is_weighed_by_its_own_error() -> None:
    """‖v − v*‖² = ‖ε − ε*‖² / ᾱ for any two predictions at one latent."""
    ours = schedule_of(scheduler(prediction_type="v_prediction"))
    z, a, b = torch.randn(3, 3, 4, 5, 6, dtype=torch.float64)
    t = torch.tensor([0, 500, 999])
    errors = (ours.to_epsilon(a, z, t) - ours.to_epsilon(b, z, t)).square().mean(dim=(1, 2, 3))
    weights = torch.tensor([ours.loss_weight(int(each)) for each in t], dtype=torch.float64)
    torch.testing.assert_close(weights * errors, (a - b).square().mean(dim=(1, 2, 3)), rtol=1e-10, atol=0)
    assert schedule_of(scheduler()).loss_weight(999) == 1.0


LEVELS = torch.linspace(0.999, 0.005, 1000, dtype=torch.float64)


@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_a_number_of_steps_outside_the_schedule_is_refused(steps: int) -> None:
    with pytest.raises(ValueError, match="between 1 and 1000"):
        Schedule(LEVELS).timesteps(steps)


def test_steps_that_would_begin_past_the_last_timestep_are_refused() -> None:
    with pytest.raises(ValueError, match="but the last is"):
        Schedule(LEVELS, steps_offset=1).timesteps(1000)
    assert Schedule(LEVELS, steps_offset=0).timesteps(1000)[0] == 999


@pytest.mark.parametrize("steps", [2, 20, 50, 61, 333, 500, 999])
@pytest.mark.parametrize("spacing", SPACINGS)
def test_the_timesteps_are_all_different_and_within_the_schedule(steps: int, spacing: Any) -> None:
    """Also 61, where diffusers' "trailing" makes one too many of a rounding error."""
    timesteps = Schedule(LEVELS, spacing=spacing).timesteps(steps)
    assert len(set(timesteps)) == steps
    assert 0 <= min(timesteps) < max(timesteps) <= 999
