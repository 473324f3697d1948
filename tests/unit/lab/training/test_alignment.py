"""The denoiser's second task: features of the clean picture, guessed from the denoiser's own features of the noisy one."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from lab.training.alignment import COMPONENTS, Aligned, Features, features_of
from lab.training.dataset import Plan, render_shard, save_shard
from lab.training.denoiser import FOCUSED, Stage, build_unet
from tests.unit.lab.training.portrait_domain import DOMAIN

PICTURES = 12
CPU = torch.device("cpu")
NAME = "tests.unit.lab.training.portrait_domain"


@pytest.fixture(scope="module")
def shard() -> dict[str, NDArray[np.generic]]:
    plan = Plan.of(Namespace(work=Path("nowhere"), domain=[f"{NAME}:8:1"]))
    return render_shard(DOMAIN, plan.vocabulary, range(PICTURES))


@pytest.fixture(scope="module")
def pixels(shard: dict[str, NDArray[np.generic]]) -> Tensor:
    return torch.from_numpy(shard["pixels"])


@pytest.fixture(scope="module")
def features(pixels: Tensor) -> Features:
    made = Features(CPU)
    made.fit(pixels)
    return made


def test_features_are_standard_and_uncorrelated(features: Features, pixels: Tensor) -> None:
    seen = features(pixels)
    assert seen.shape == (PICTURES, COMPONENTS, 8, 8)
    assert seen.dtype == torch.float16
    cells = seen.double().permute(0, 2, 3, 1).flatten(0, 2)
    assert cells.mean(dim=0).abs().max() < 0.02
    torch.testing.assert_close(cells.T.cov(), torch.eye(COMPONENTS, dtype=torch.float64), rtol=0, atol=0.05)


def test_features_tell_pictures_apart(features: Features, pixels: Tensor) -> None:
    seen, again = features(pixels).float(), features(pixels.flip(0)).float().flip(0)
    torch.testing.assert_close(seen, again, rtol=0, atol=0.05)
    assert (seen - seen.roll(1, dims=0)).square().mean() > 0.3


def test_a_resumed_training_keeps_its_components(tmp_path: Path, shard: dict[str, NDArray[np.generic]]) -> None:
    plan = Plan.of(Namespace(work=tmp_path, domain=[f"{NAME}:{2 * PICTURES}:1"]))
    later, earlier = (plan.shard(DOMAIN.name, start) for start in (PICTURES, 0))
    save_shard(later, shard)
    first = features_of(plan, CPU)
    save_shard(earlier, {name: value[:2] for name, value in shard.items()})
    again = features_of(plan, CPU)
    assert again.digest == first.digest
    assert torch.equal(again.mean, first.mean)


def test_the_head_guesses_from_the_features_after_the_middle() -> None:
    unet = build_unet((16, 16, 32, 32))
    aligned = Aligned(unet)
    x, t, states = torch.randn(2, unet.config["in_channels"], 32, 32), torch.tensor([5, 900]), torch.randn(2, 7, 128)
    predicted, guess = aligned(x, t, states)
    assert guess.shape == (2, COMPONENTS, 8, 8)
    assert torch.equal(predicted, unet(x, t, states).sample)
    guess.square().mean().backward()
    assert unet.mid_block.resnets[0].conv1.weight.grad.abs().max() > 0
    assert unet.conv_in.weight.grad.abs().max() > 0
    assert unet.conv_out.weight.grad is None
    assert unet.up_blocks[2].resnets[0].conv1.weight.grad is None


def test_the_guess_is_a_part_of_the_loss(tmp_path: Path) -> None:
    plan = Plan.of(Namespace(work=tmp_path, domain=[f"{NAME}:8:1"]))
    options = Namespace(device="cpu", batch=2, latent_channels=4, widths=(16, 16, 32, 32), start=None, alignment=0.3)
    stage = Stage(plan, options)
    *inputs, features, focus = stage.random_inputs()
    near, far = (stage.losses_of(stage.aligned, *inputs, by * features, focus) for by in (1.0, 3.0))
    assert near["mse"] == far["mse"]
    torch.testing.assert_close(far["loss"] - near["loss"], 0.3 * (far["alignment"] - near["alignment"]), rtol=1e-4, atol=0)
    assert far["alignment"] > 2 * near["alignment"]


def test_errors_where_a_named_look_shows_count_more(tmp_path: Path) -> None:
    plan = Plan.of(Namespace(work=tmp_path, domain=[f"{NAME}:8:1"]))
    options = Namespace(device="cpu", batch=2, latent_channels=4, widths=(16, 16, 32, 32), start=None, alignment=0.0)
    stage = Stage(plan, options)
    *inputs, focus = stage.random_inputs()
    nowhere, everywhere = (stage.losses_of(stage.aligned, *inputs, where) for where in (focus, ~focus))
    assert nowhere["focused"] == 0
    torch.testing.assert_close(everywhere["focused"], everywhere["mse"])
    torch.testing.assert_close(everywhere["loss"], (1 + FOCUSED) * nowhere["loss"])
