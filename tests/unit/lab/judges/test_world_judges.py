"""The world's judge and identity regressor: what their figures mean, and that they load what training writes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lab.judges import attributes, identities
from lab.training.scorer import Scorer, augmented, load_scorer, save_scorer
from lab.training.store import Dice

LABELS = {"hat": ("no", "yes"), "pose": ("left", "middle", "right")}


def set_bias(network: Scorer, *values: float) -> None:
    """Let the network answer `values` to any picture of a cat."""
    head = network.heads["cat"]
    assert isinstance(head, torch.nn.Linear)
    with torch.no_grad():
        head.weight.zero_()
        head.bias.copy_(torch.tensor(values))


def test_accuracy_counts_only_what_is_shown() -> None:
    truth = torch.tensor([[1, 2], [0, attributes.HIDDEN], [1, attributes.HIDDEN]])
    output = torch.tensor([[0.0, 1, 0, 0, 9], [0.0, 1, 0, 5, 0], [0.0, 1, 0, 5, 0]])
    assert attributes.accuracies(output, truth, LABELS) == {"hat": pytest.approx(0.6667, abs=1e-3), "pose": 1.0}
    assert float(attributes.loss_of(1000 * output[:1], truth[:1], LABELS)) == pytest.approx(0)


def test_a_regressor_that_guesses_the_mean_explains_nothing() -> None:
    truth = torch.randn(200, 2, generator=torch.Generator().manual_seed(1))
    guess = torch.stack([truth[:, 0], truth[:, 1].mean().expand(200)], dim=1)
    found = identities.errors(guess, truth, ("seen", "blind"))
    assert found["seen"] == {"absolute": 0.0, "explained": 1.0}
    assert found["blind"] == {"absolute": pytest.approx(1.0), "explained": pytest.approx(0.0, abs=1e-4)}


def test_identity_errors_leave_out_what_the_regressor_cannot_read(tmp_path: Path) -> None:
    network = Scorer({"cat": 2})
    set_bias(network, 1.0, 7.0)
    about = {
        "names": {"cat": ["ears", "eyes"]},
        "unseen": {"cat": {"ears": {"absolute": 0.1, "explained": 0.9}, "eyes": {"absolute": 1.0, "explained": 0.1}}},
    }
    save_scorer(network, tmp_path / "identities.safetensors", about)
    regressor = identities.load_regressor(tmp_path / "identities.safetensors")
    errors = regressor.error(torch.zeros(3, 3, 128, 128), "cat", torch.tensor([0.5, 0.0]))
    assert errors.tolist() == pytest.approx([0.5] * 3)


def test_a_judge_names_the_classes(tmp_path: Path) -> None:
    network = Scorer({"cat": 5})
    set_bias(network, 0.0, 1.0, 0.0, 0.0, 3.0)
    save_scorer(network, tmp_path / "judge.safetensors", {"labels": {"cat": LABELS}, "accuracy": {"cat": {"hat": 1.0}}})
    judge = attributes.load_judge(tmp_path / "judge.safetensors")
    assert judge(torch.zeros(2, 3, 128, 128), "cat") == [{"hat": "yes", "pose": "right"}] * 2
    assert (tmp_path / "judge.safetensors").stat().st_size <= 2_500_000


def test_kept_weights_are_those_in_half_precision(tmp_path: Path) -> None:
    network = Scorer({"a": 3, "b": 2}).half().float().eval()
    save_scorer(network, tmp_path / "scorer.safetensors", {"step": 5})
    loaded, about = load_scorer(tmp_path / "scorer.safetensors")
    x = torch.randn(2, 3, 128, 128)
    assert about == {"step": 5}
    assert torch.equal(loaded(x, "b"), network(x, "b"))


def test_augmentation_moves_pictures_by_at_most_three_pixels() -> None:
    x = torch.zeros(8, 3, 64, 64)
    x[:, :, 32, 32] = 20
    moved = augmented(x, Dice(torch.device("cpu"), 0)).sum(1).flatten(1).argmax(1)
    rows, columns = moved // 64 - 32, moved % 64 - 32
    assert max(rows.abs().max(), columns.abs().max()) <= 3
    assert len(set(zip(rows.tolist(), columns.tolist(), strict=True))) > 3
