"""Training that resumes from its checkpoints, and never from those of another recipe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lab.judges.judge import NAMES, load_judge
from lab.training import denoiser as train_denoiser
from lab.training.autoencoder import build, reconstruct, to_range
from lab.training.train import standardise_latents
from lab.training.trainer import MovingAverage, Run, StaleCheckpointError
from lab.world.dataset import HELD_OUT, held_out
from lab.world.people import sample_person


def run_in(folder: Path, recipe: str = "a") -> tuple[Run, nn.Parameter]:
    parameter = nn.Parameter(torch.ones(3))
    optimiser = torch.optim.Adam([parameter], lr=0.1)
    return Run(folder, "stage", recipe, [parameter], optimiser, MovingAverage([parameter], 0.9)), parameter


def descend(run: Run, parameter: nn.Parameter, steps: int) -> Tensor:
    for _ in range(steps):
        run.descend((parameter * torch.tensor([1.0, 2.0, run.step])).square().sum(), rate=0.1)
    return parameter.detach().clone()


def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(tmp_path: Path) -> None:
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


def test_cached_latents_are_used_for_the_same_encoder_only(tmp_path: Path) -> None:
    data, vae = held_out(2), build().eval()
    cache = tmp_path / "latents.pt"
    mean, _ = train_denoiser.encode_all(vae, data, cache)
    assert torch.equal(train_denoiser.encode_all(vae, data, cache)[0], mean)
    with torch.no_grad():
        vae.encoder.conv_in.weight.mul_(1.5)
    assert not torch.allclose(train_denoiser.encode_all(vae, data, cache)[0], mean)


def test_standardised_latents_decode_to_the_same_pictures() -> None:
    vae, x = build().eval(), to_range(held_out(4))
    with torch.no_grad():
        before, mean = reconstruct(vae, x), vae.encode(x).latent_dist.mean
        standardise_latents(vae, mean)
        after = vae.encode(x).latent_dist.mean
    assert torch.allclose(reconstruct(vae, x), before, atol=1e-4)
    assert torch.allclose(after.mean(dim=(0, 2, 3)), torch.zeros(8), atol=1e-4)
    assert torch.allclose(after.std(dim=(0, 2, 3)), torch.ones(8), atol=1e-3)


def test_the_judge_recognises_the_attributes_of_unseen_portraits() -> None:
    judge = load_judge()
    assert min(judge.accuracy.values()) >= 0.98
    pictures = held_out(40)
    people = [sample_person(HELD_OUT + i).attributes for i in range(len(pictures))]
    seen = judge(to_range(np.asarray(pictures)))
    right = [
        seen[i][name] == getattr(has, name)
        for i, has in enumerate(people)
        for name in NAMES
        if not (name == "eye_shadow" and has.sunglasses)
    ]
    assert sum(right) / len(right) >= 0.99
