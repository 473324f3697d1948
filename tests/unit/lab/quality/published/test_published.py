"""Published methods on a tiny model: the identities of their papers, and that the source prompt reconstructs the photo."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lab.quality.bench import SUBJECTS
from lab.quality.methods import METHODS
from lab.quality.phases import RECONSTRUCTION, Case, Injected
from lab.quality.population import Population
from lab.quality.published import tuning
from lab.quality.published.edit_friendly import EditFriendly, ddpm_coefficients, noisy_path
from lab.quality.published.h_edit import HEdit
from lab.quality.published.infedit import InfEdit
from lab.quality.published.ledits import Ledits, Solver, above_quantile, concepts_of, smoothed
from lab.quality.published.method import Prompts, Published, draw_of
from s2edit_core.method.inversion import Inversion
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.request.options import NO_INJECTION
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Algorithm, Answers, Row, Rows, drive
from tests.tiny import tiny_backbone

STEPS = 6
WOMAN, RED = "a photo of a woman with brown hair", "a photo of a woman with red hair and a hat"
EDIT_FRIENDLY = EditFriendly("edit-friendly", STEPS, skip=0.34)
LEDITS = Ledits("LEDITS++", STEPS, skip=0.17, quantile=0.5)
H_EDIT = HEdit("h-Edit", STEPS, source_share=1.0)
INFEDIT = InfEdit("InfEdit", STEPS)
ALL: tuple[Published, ...] = (EDIT_FRIENDLY, LEDITS, H_EDIT, INFEDIT)
names = pytest.mark.parametrize("method", ALL, ids=lambda method: method.title)


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return tiny_backbone()


@pytest.fixture(scope="module")
def latent() -> Tensor:
    return torch.randn((4, 8, 8), generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def inverted(method: Published, backbone: Backbone, latent: Tensor, seed: int = 0, guidance: float = 3.0) -> Inversion:
    prompts = Prompts.of(backbone, WOMAN, WOMAN)
    return drive(method.inverting(backbone, latent, prompts, guidance, draw(seed)), backbone.evaluate)


def edited(method: Published, backbone: Backbone, inversion: Inversion, target: str = WOMAN, seed: int = 0) -> Tensor:
    prompts = Prompts.of(backbone, WOMAN, target)
    return drive(method.sampling(backbone, inversion, prompts, draw(seed)), backbone.evaluate)


def visited(algorithm: Algorithm[Tensor], backbone: Backbone) -> list[Tensor]:
    """Return the latents of the first row of each pass."""
    latents: list[Tensor] = []

    def watched(rows: Rows) -> Answers:
        latents.append(rows[0].latent)
        return backbone.evaluate(rows)

    drive(algorithm, watched)
    return latents


@names
def test_the_source_prompt_reconstructs_the_photo(method: Published, backbone: Backbone, latent: Tensor) -> None:
    back = edited(method, backbone, inverted(method, backbone, latent))
    assert torch.allclose(back, latent, atol=1e-9)


@names
def test_another_prompt_changes_the_photo(method: Published, backbone: Backbone, latent: Tensor) -> None:
    found = edited(method, backbone, inverted(method, backbone, latent), RED)
    assert torch.isfinite(found).all()
    assert not torch.allclose(found, latent, atol=1e-3)


@pytest.mark.parametrize("method", [EDIT_FRIENDLY, LEDITS], ids=["edit-friendly", "LEDITS++"])
def test_noise_maps_make_sampling_visit_the_drawn_path(method: Any, backbone: Backbone, latent: Tensor) -> None:
    inversion = inverted(method, backbone, latent)
    latents = visited(method.sampling(backbone, inversion, Prompts.of(backbone, WOMAN, WOMAN), draw()), backbone)
    expected = inversion.path[1 : STEPS - method.first + 1].flip(0)
    assert torch.allclose(torch.stack(latents), expected, atol=1e-9)


def test_the_noise_of_each_level_is_independent(backbone: Backbone, latent: Tensor) -> None:
    large = torch.zeros((4, 64, 64), dtype=torch.float64)
    path = noisy_path(backbone.schedule, large, STEPS, draw())
    noises = [
        path[n + 1] / math.sqrt(1 - backbone.schedule.alpha(t)) for n, t in enumerate(reversed(backbone.schedule.timesteps(STEPS)))
    ]
    correlations = torch.corrcoef(torch.stack([noise.flatten() for noise in noises]))
    assert (correlations - torch.eye(STEPS)).abs().max() < 0.05
    assert all(abs(float(noise.std()) - 1) < 0.05 for noise in noises)
    assert torch.equal(path[0], large)


def test_edit_friendly_maps_are_wider_than_those_of_sampling(backbone: Backbone, latent: Tensor) -> None:
    """The paper's observation: independent noise makes z_t larger than the standard normal noise of sampling."""
    inversion = inverted(replace(EDIT_FRIENDLY, skip=0.0), backbone, latent)
    timesteps = backbone.schedule.timesteps(STEPS)
    maps = [inversion.residuals[i] / ddpm_coefficients(backbone.schedule, t, STEPS)[2] for i, t in enumerate(timesteps)]
    assert all(float(each.std()) > 1.2 for each in maps[1:])


def test_a_ddpm_step_keeps_the_variance(backbone: Backbone) -> None:
    """Of x_t = √ᾱ·x_0 + √(1−ᾱ)·ε, with the true ε, the step leads to the mean and the variance of the next level."""
    schedule = backbone.schedule
    for t in schedule.timesteps(STEPS):
        a, b, sigma = ddpm_coefficients(schedule, t, STEPS)
        now, before = schedule.alpha(t), schedule.alpha(t - schedule.train_timesteps // STEPS)
        assert a * math.sqrt(now) == pytest.approx(math.sqrt(before))
        assert (a * math.sqrt(1 - now) + b) ** 2 + sigma**2 == pytest.approx(1 - before)


def test_the_solver_of_ledits_is_exact_for_a_known_photo(backbone: Backbone, latent: Tensor) -> None:
    """With the true ε, mean and variance of every step are those of the next level, in first and second order."""
    schedule = backbone.schedule
    solver = Solver(schedule, STEPS)
    for t in schedule.timesteps(STEPS):
        now, before = schedule.alpha(t), schedule.alpha(t - schedule.train_timesteps // STEPS)
        noise = torch.randn(latent.shape, generator=draw(t), dtype=latent.dtype)
        mean = solver.mean(math.sqrt(now) * latent + math.sqrt(1 - now) * noise, noise, t)
        kept = (mean - math.sqrt(before) * latent) / noise
        assert torch.allclose(kept, kept.mean().expand_as(kept), atol=1e-6)
        h = 0.5 * (math.log(before / (1 - before)) - math.log(now / (1 - now)))
        assert float(kept.mean()) == pytest.approx(math.sqrt(1 - before) * math.exp(-h), abs=1e-6)


def test_ledits_takes_the_words_of_an_edit_as_concepts(backbone: Backbone) -> None:
    added, gone = concepts_of(backbone, WOMAN, RED, in_context=False)
    assert (added.sign, gone.sign) == (1.0, -1.0)
    assert (added.positions, gone.positions) == ((1, 2), (1,))  # "red hat" and "brown", after the begin token
    in_context = concepts_of(backbone, WOMAN, RED, in_context=True)
    assert [len(each.positions) for each in in_context] == [2, 1]
    assert in_context[0].positions[0] > 1
    assert concepts_of(backbone, WOMAN, WOMAN, in_context=True) == []


def test_ledits_acts_inside_its_masks_only(backbone: Backbone, latent: Tensor) -> None:
    """One step before the end, cells outside the masks are those of the reconstruction."""
    method = Ledits("last step", STEPS, skip=1 - 1 / STEPS, quantile=0.9)
    found = edited(method, backbone, inverted(method, backbone, latent), RED)
    changed = (found - latent).abs().amax(dim=0) > 1e-9
    assert 0 < int(changed.sum()) <= 2 * math.ceil(0.1 * 64)  # at most one cell in ten per concept


def test_quantile_and_smoothing() -> None:
    values = torch.arange(100.0).view(10, 10)
    assert int(above_quantile(values, 0.9).sum()) == 10
    assert torch.allclose(smoothed(torch.full((5, 5), 3.0)), torch.full((5, 5), 3.0))
    spot = torch.zeros(5, 5)
    spot[2, 2] = 1.0
    assert float(smoothed(spot).sum()) == pytest.approx(1.0)


def test_h_edit_without_control_is_its_equation(backbone: Backbone, latent: Tensor) -> None:
    """With one step, x_0 is x^base + B·(ε_w(x^base, target) − ε_ŵ(x^base, source)), computed here row by row."""
    method = HEdit("h-Edit", 1, source_share=0.5, control=Injected(NO_INJECTION))
    inversion = inverted(method, backbone, latent)
    prompts = Prompts.of(backbone, WOMAN, RED)
    (t,) = backbone.schedule.timesteps(1)
    _, b = backbone.schedule.coefficients(t, 1)
    target, empty, source = (
        answer.eps
        for answer in backbone.evaluate(tuple(Row(latent, 0, each) for each in (prompts.target, prompts.empty, prompts.source)))
    )
    expected = latent + b * (3.0 * (target - empty) - 1.5 * (source - empty))
    assert torch.allclose(edited(method, backbone, inversion, RED), expected, atol=1e-9)


def test_a_smaller_source_share_of_h_edit_leaves_an_error(backbone: Backbone, latent: Tensor) -> None:
    method = replace(H_EDIT, source_share=0.9)
    assert not torch.allclose(edited(method, backbone, inverted(method, backbone, latent)), latent, atol=1e-6)


def test_infedit_moves_the_photo_by_the_difference_of_predictions(backbone: Backbone, latent: Tensor) -> None:
    """With one step, from the same noise for source and target."""
    method = InfEdit("InfEdit", 1, control=Injected(NO_INJECTION))
    found = edited(method, backbone, inverted(method, backbone, latent), RED)
    prompts = Prompts.of(backbone, WOMAN, RED)
    (t,) = backbone.schedule.timesteps(1)
    alpha = backbone.schedule.alpha(t)
    noise = torch.randn(latent.shape, generator=draw(), dtype=latent.dtype)
    noisy = math.sqrt(alpha) * latent + math.sqrt(1 - alpha) * noise
    target, empty, source = (
        answer.eps
        for answer in backbone.evaluate(tuple(Row(noisy, t, each) for each in (prompts.target, prompts.empty, prompts.source)))
    )
    expected = latent - math.sqrt((1 - alpha) / alpha) * (empty + 3.0 * (target - empty) - source)
    assert torch.allclose(found, expected, atol=1e-9)


@names
def test_a_method_runs_in_the_bench(method: Published, pipe: S2EditPipeline, cases: list[Case]) -> None:
    found = method.run(pipe, cases, 3.0)
    assert set(found.latents) == {(i, name) for i, case in enumerate(cases) for name in case.prompts()}
    assert found.about == [{}, {}]
    assert found.costs["edit"].evaluations > 0
    for i, case in enumerate(cases):
        source = pipe.backbone.encode_image(case.canvas.source())
        assert torch.allclose(found.latents[i, RECONSTRUCTION], source, atol=1e-3)


def test_a_group_of_subjects_gives_the_same_as_each_alone(pipe: S2EditPipeline, cases: list[Case]) -> None:
    together = EDIT_FRIENDLY.run(pipe, cases, 3.0).latents[1, "collar"]
    alone = EDIT_FRIENDLY.run(pipe, cases[1:], 3.0).latents[0, "collar"]
    assert torch.allclose(together, alone, atol=1e-4)
    assert torch.rand(3, generator=draw_of(cases[0])).tolist() != torch.rand(3, generator=draw_of(cases[1])).tolist()


def test_settings_are_tried_on_subjects_outside_the_bench(
    cats: Population, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []
    monkeypatch.setattr(cats, "measure", lambda subject, *_: seeds.append(subject.case.seed) or dict.fromkeys(tuning.SHOWN, 0.5))
    found = tuning.tried(cats, EDIT_FRIENDLY, 2, ("collar",), tmp_path)
    assert found == {"edits": 2, **dict.fromkeys(tuning.SHOWN, 0.5)}
    assert min(seeds) >= tuning.FIRST_SUBJECT > 10 * max(SUBJECTS.values())
    for name, settings in tuning.SETTINGS.items():
        method = METHODS[name]
        assert isinstance(method, Published)
        assert all(replace(method, **changes).title == method.title for changes in settings)
