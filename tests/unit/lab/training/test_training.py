"""Training within a wall-clock budget that resumes from its checkpoints, and never from those of another recipe."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lab.training.autoencoder import build, posterior, reconstruct, standardise_latents, to_range
from lab.training.denoiser import LATENT_SIDE, build_scheduler, loss_weight
from lab.training.trainer import MovingAverage, Run, StaleCheckpointError, compiled, rate_at
from tests.unit.lab.training.portrait_domain import pictures


def run_in(folder: Path, recipe: str = "a", budget: float = 100.0) -> tuple[Run, nn.Parameter]:
    parameter = nn.Parameter(torch.ones(3))
    optimiser = torch.optim.Adam([parameter], lr=0.1)
    return Run(folder, "stage", recipe, [parameter], optimiser, MovingAverage([parameter], 0.9), budget), parameter


def descend(run: Run, parameter: nn.Parameter, steps: int) -> Tensor:
    for _ in range(steps):
        run.descend((parameter * torch.tensor([1.0, 2.0, run.step])).square().sum(), rate=0.1)
    return parameter.detach().clone()


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


def test_a_resumed_run_continues_with_the_same_weights(tmp_path: Path) -> None:
    whole = descend(*run_in(tmp_path / "whole"), steps=7)
    first, parameter = run_in(tmp_path / "cut")
    descend(first, parameter, steps=4)
    first.save()
    second, resumed = run_in(tmp_path / "cut")
    assert second.resume()
    assert second.step == 4
    assert torch.equal(descend(second, resumed, steps=3), whole)


def test_a_checkpoint_of_another_recipe_is_rejected(tmp_path: Path) -> None:
    run_in(tmp_path, "wide")[0].save()
    with pytest.raises(StaleCheckpointError, match="another recipe"):
        run_in(tmp_path, "narrow")[0].resume()


def test_the_schedule_ends_with_the_budget_whatever_came_before_the_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    run, _ = run_in(tmp_path, budget=100)
    clock.now += 20  # compilation
    assert run.share == 0
    run.begin()
    clock.now += 40
    assert run.share == pytest.approx(0.5)
    clock.now += 40
    assert run.share == 1


def test_the_schedule_of_a_resumed_run_goes_on_from_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    run, _ = run_in(tmp_path, budget=100)
    run.begin()
    clock.now += 40
    run.save()
    clock.now += 500  # interrupted
    again, _ = run_in(tmp_path, budget=100)
    again.resume()
    clock.now += 10  # compiled again
    again.begin()
    assert again.share == pytest.approx(0.4)
    clock.now += 25
    assert again.share == pytest.approx(0.7)
    clock.now += 25
    assert again.share == 1


def test_a_run_without_budget_left_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    run, _ = run_in(tmp_path, budget=10)
    clock.now += 11
    run.begin()
    assert run.share == 1


def test_the_rate_warms_up_and_anneals() -> None:
    assert rate_at(0.0, 0, peak=1.0) == pytest.approx(1 / 200)
    assert rate_at(0.0, 500, peak=1.0) == 1
    assert rate_at(0.5, 500, peak=1.0, floor=0.0) == pytest.approx(0.5)
    assert rate_at(1.0, 500, peak=1.0, floor=0.01) == pytest.approx(0.01)


def test_errors_of_the_clean_latents_count_alike_wherever_there_is_much_noise() -> None:
    """The error of v is that of the clean latents over the variance of the noise, 1 / (1 + SNR)."""
    alphas = build_scheduler().alphas_cumprod
    snr = alphas / (1 - alphas)
    of_clean = loss_weight(alphas, torch.arange(len(alphas))) * (1 + snr)
    assert (of_clean[snr > 5] < 5 * 1.3).all(), "an error is not worth more where there is little noise"
    noisy = of_clean[(snr > 0.05) & (snr < 1)]
    assert noisy.max() / noisy.min() < 4
    assert of_clean[-1] > 0.9, "nor is it forgotten in the last step"


def test_the_last_timestep_hides_the_brightness_of_a_picture() -> None:
    alphas = build_scheduler().alphas_cumprod
    assert LATENT_SIDE**2 * alphas[-1] / (1 - alphas[-1]) < 0.5, "the signal-to-noise ratio of the mean of all cells"


def test_averages_are_applied_only_inside_the_block() -> None:
    parameter = nn.Parameter(torch.zeros(2))
    average = MovingAverage([parameter], 0.5)
    with torch.no_grad():
        parameter.fill_(1)
    with average.applied([parameter]):
        assert parameter.tolist() == [0, 0]
    assert parameter.tolist() == [1, 1]


def test_what_cannot_be_compiled_runs_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    def double(x: float) -> float:
        return 2 * x

    def broken(_function: object) -> torch.Tensor:
        raise RuntimeError("no compiler here")

    assert compiled(double, broken, [], wanted=True) is double
    assert "training goes on without it" in capsys.readouterr().out
    assert compiled(double, broken, [], wanted=False) is double


@pytest.mark.parametrize("right", [True, False])
def test_what_is_compiled_wrongly_runs_as_it_is(
    right: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A compiler may lose the gradients of all but the last layer, and say nothing."""
    inner, outer = torch.nn.Linear(3, 3), torch.nn.Linear(3, 1)
    x = torch.randn(5, 3)

    def plain(x: torch.Tensor) -> torch.Tensor:
        return outer(inner(x)).square().mean()

    def made(x: torch.Tensor) -> torch.Tensor:
        hidden = inner(x)
        return outer(hidden if right else hidden.detach()).square().mean()

    monkeypatch.setattr(torch, "compile", lambda _function, **_: made)
    parameters = [*inner.parameters(), *outer.parameters()]
    assert compiled(plain, lambda f: f(x), parameters, wanted=True) is (made if right else plain)
    assert ("50 % of the parameters get other gradients" in capsys.readouterr().out) is not right
    assert all(parameter.grad is None for parameter in parameters)


def test_standardised_latents_decode_to_the_same_pictures() -> None:
    vae, x = build(latent_channels=8, widths=(8, 8, 16, 16)).eval(), to_range(pictures(4))
    before, std = reconstruct(vae, x), posterior(vae, x)[1]
    scale = posterior(vae, x)[0].std(dim=(0, 2, 3))
    standardise_latents(vae, posterior(vae, x)[0])
    after = posterior(vae, x)
    assert torch.allclose(reconstruct(vae, x), before, atol=1e-4)
    assert torch.allclose(after[0].mean(dim=(0, 2, 3)), torch.zeros(8), atol=1e-4)
    assert torch.allclose(after[0].std(dim=(0, 2, 3)), torch.ones(8), atol=1e-3)
    assert torch.allclose(after[1], std / scale.view(1, -1, 1, 1), rtol=1e-3)
