"""The subject's word and its mask from attention."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from s2edit_core.concepts.prompt_alignment import prompt_tokens
from s2edit_core.errors import MaskInvalid, PromptInvalid
from s2edit_core.method.base_model_masks import correlation, find_subject_word, otsu, person_probability, word_maps
from s2edit_core.request.spec import Progress
from s2edit_core.unet.attention import word_layers
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Answer, Answers, Rows, drive
from tests.tiny import TOKENS

PROMPT = "a photo of a woman with glasses, smiling"


def latent(size: tuple[int, int] = (8, 8)) -> Tensor:
    return torch.randn(4, *size, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


class Staged:
    """Attention as a test has it: each word of `heats` attends as it says, all others evenly."""

    def __init__(self, backbone: Backbone, prompt: str, heats: dict[str, Tensor]) -> None:
        tokens = prompt_tokens(backbone, prompt, ())
        self.rows: Rows = ()
        self.maps = torch.full((*next(iter(heats.values())).shape, TOKENS), 0.01)
        for word, heat in heats.items():
            for position in tokens.of_word(word):
                self.maps[..., position] = heat

    def __call__(self, rows: Rows) -> Answers:
        self.rows = rows
        return tuple(Answer(row.latent, maps=(self.maps.flatten(0, 1),) * len(row.capture)) for row in rows)


def region(rows: slice, columns: slice, size: tuple[int, int] = (8, 8), value: float = 1.0) -> Tensor:
    heat = torch.zeros(size)
    heat[rows, columns] = value
    return heat


def test_the_subject_is_the_word_that_attends_where_the_mask_is(backbone: Backbone) -> None:
    """A detail inside the mask lies wholly inside it too, but is not what the mask shows; nor is what lies beside it."""
    staged = Staged(
        backbone,
        PROMPT,
        {
            "woman": 0.1 * region(slice(1, 7), slice(2, 7)),  # weak, but of the mask's shape
            "glasses": region(slice(2, 3), slice(3, 6)),
            "smiling": region(slice(0, 8), slice(0, 2)),
            "photo": region(slice(1, 7), slice(2, 6)),  # no subject, wherever it attends
        },
    )
    mask = torch.zeros(32, 32)
    mask[4:28, 8:24] = 1.0
    seen: list[Progress] = []
    assert drive(find_subject_word(backbone, latent(), PROMPT, mask), staged, seen.append) == "woman"
    assert [p.phase for p in seen] == ["preparing"]
    assert drive(find_subject_word(backbone, latent(), PROMPT, 1 - mask), staged) == "smiling"
    assert len({row.timestep for row in staged.rows}) == len(staged.rows) == 3
    assert all(row.gates is None and row.target is None and row.capture == word_layers(backbone.layers) for row in staged.rows)


@pytest.mark.parametrize("size", [(8, 8), (6, 10)])
def test_the_mask_is_where_the_prompt_matters(backbone: Backbone, size: tuple[int, int]) -> None:
    """Predictions as a test has them: with the prompt they are shifted, strongly in a part and weakly everywhere."""
    seen: list[Rows] = []

    def predict(rows: Rows) -> Answers:
        seen.append(rows)
        shift = 0.1 + region(slice(1, 5), slice(3, 7), size)
        return tuple(
            Answer(shift.expand_as(row.latent) if i % 2 == 0 else torch.zeros_like(row.latent)) for i, row in enumerate(rows)
        )

    probability = drive(person_probability(backbone, latent(size), PROMPT, (size[0] * 4, size[1] * 4)), predict)
    assert probability.shape == (size[0] * 4, size[1] * 4)
    assert (probability.min(), probability.max()) == (0, 1)
    cells = (probability > 0.5).float().view(size[0], 4, size[1], 4).mean(dim=(1, 3))
    assert (cells > 0.5)[2:4, 4:6].all()
    assert not (cells > 0.5)[region(slice(0, 6), slice(2, 8), size) == 0].any(), "it is smoothed, by one cell and no more"
    (rows,) = seen
    for said, unsaid in zip(rows[::2], rows[1::2], strict=True):
        assert said.timestep == unsaid.timestep
        assert torch.equal(said.latent, unsaid.latent)
        assert not torch.equal(said.prompt.tensors()[0], unsaid.prompt.tensors()[0])


def test_a_prompt_that_makes_no_difference_marks_nothing(backbone: Backbone) -> None:
    with pytest.raises(MaskInvalid, match="give a mask"):
        drive(person_probability(backbone, latent(), "", (32, 32)), backbone.evaluate)


def test_a_mask_is_found_again(backbone: Backbone) -> None:
    first, again, other = (
        drive(person_probability(backbone, latent(), PROMPT, (32, 32), seed=seed), backbone.evaluate) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_maps_of_a_real_pass_are_normalised_and_repeatable(backbone: Backbone) -> None:
    tokens = prompt_tokens(backbone, PROMPT, ())
    words = [tokens.of_word(word) for word in ("woman", "glasses")]
    first, again, other = (
        drive(word_maps(backbone, latent((6, 10)), PROMPT, words, seed=seed), backbone.evaluate) for seed in (1, 1, 2)
    )
    assert first.shape == (2, 6, 10)
    assert torch.equal(first.amin(dim=(1, 2)), torch.zeros(2, dtype=torch.float64))
    assert torch.equal(first.amax(dim=(1, 2)), torch.ones(2, dtype=torch.float64))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_what_cannot_be_found_is_refused(backbone: Backbone) -> None:
    with pytest.raises(MaskInvalid, match="the mask is the same everywhere"):
        drive(find_subject_word(backbone, latent(), PROMPT, torch.ones(32, 32)), backbone.evaluate)
    with pytest.raises(PromptInvalid, match="no word"):
        drive(find_subject_word(backbone, latent(), "a photo of the", torch.eye(32)), backbone.evaluate)


@pytest.mark.parametrize(("low", "high", "share"), [(0.1, 0.9, 0.5), (0.0, 1.0, 0.1), (-3.0, 5.0, 0.8)])
def test_otsu_parts_two_classes_between_them(low: float, high: float, share: float) -> None:
    draw = np.random.default_rng(0)
    count = int(1000 * share)
    spread = 0.1 * (high - low)
    values = np.concatenate([draw.uniform(low, low + spread, count), draw.uniform(high - spread, high, 1000 - count)])
    assert low + spread <= otsu(torch.tensor(values)) <= high - spread


def test_otsu_is_the_best_of_all_thresholds() -> None:
    values = torch.rand(500, generator=torch.Generator().manual_seed(4)) ** 3

    def between(threshold: float) -> float:
        below = values[values <= threshold]
        above = values[values > threshold]
        return float(len(below) * len(above) * (below.mean() - above.mean()) ** 2)

    best = max(between(float(each)) for each in values.sort().values[:-1])
    assert between(otsu(values)) >= 0.995 * best


def test_correlation_is_pearsons() -> None:
    a, b = torch.rand(2, 6, 5, generator=torch.Generator().manual_seed(4))
    assert correlation(a, b) == pytest.approx(float(np.corrcoef(a.flatten(), b.flatten())[0, 1]), abs=1e-6)
    assert correlation(a, torch.ones(6, 5)) == 0.0
