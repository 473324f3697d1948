"""The identity regressor: the scale of its errors, and training that resumes."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lab.judges import regressor
from lab.judges.regressor import (
    CLASSES,
    LENGTHS,
    PARAMETERS,
    Labels,
    Regressor,
    class_of,
    hidden,
    labels_of,
    load_regressor,
    measure,
    save_regressor,
    scales,
    train_regressor,
)
from lab.training.trainer import StaleCheckpointError
from lab.world.dataset import HELD_OUT
from lab.world.people import Attributes, sample_person
from lab.world.portraits import render


@pytest.fixture(scope="module")
def data() -> NDArray[np.uint8]:
    return np.stack([np.asarray(render(sample_person(number))) for number in range(12)])


class Oracle(nn.Module):
    """A network that returns the labels of these people for any input, or with `blind` the best constant guess."""

    def __init__(self, numbers: list[int], blind: bool = False) -> None:
        super().__init__()
        rows = []
        for number in numbers:
            labels = labels_of([number])
            lengths = torch.zeros(len(LENGTHS)) if blind else labels.lengths[0].nan_to_num()
            logits = [torch.zeros(count) for count in CLASSES.values()]
            for i, name in enumerate(CLASSES):
                value = most_frequent(name) if blind else class_of(sample_person(number).identity, name)
                logits[i][value] = 1.0
            rows.append(torch.cat([lengths, *logits]))
        self.rows = torch.stack(rows)

    def forward(self, x: Tensor) -> Tensor:
        return self.rows[: len(x)]


@lru_cache(maxsize=1)
def training_labels() -> Labels:
    """Return the labels of the people that `scales` uses."""
    return labels_of(range(4000))


def most_frequent(name: str) -> int:
    values = training_labels().classes[:, list(CLASSES).index(name)]
    return int(values[values >= 0].bincount().argmax())


def test_a_perfect_prediction_has_no_error() -> None:
    person = sample_person(5)
    found = Regressor(Oracle([5]), {})(torch.zeros(3, 128, 128), person.identity, person.attributes)
    assert max(found.values()) == pytest.approx(0, abs=1e-5)


def test_a_blind_guess_has_an_error_of_one() -> None:
    truth = training_labels()
    for i, name in enumerate(LENGTHS):
        shows = ~truth.lengths[:, i].isnan()
        assert float(truth.lengths[shows, i].abs().mean()) == pytest.approx(1.0, abs=0.02), name
    for i, name in enumerate(CLASSES):
        wrong = (truth.classes[truth.classes[:, i] >= 0, i] != most_frequent(name)).float().mean()
        assert float(wrong) / scales().blind[name] == pytest.approx(1.0, abs=0.05), name


def test_hidden_parameters_are_not_measured() -> None:
    assert hidden(Attributes()) == frozenset()
    assert hidden(Attributes(sunglasses=True)) == {"eye_colour", "eye_size"}
    assert hidden(Attributes(gender="man", beard=True)) == {"mole"}
    person = sample_person(5)
    found = Regressor(Oracle([5]), {})(torch.zeros(3, 128, 128), person.identity, Attributes(sunglasses=True))
    assert set(found) == set(PARAMETERS) - {"eye_colour", "eye_size"}


def test_labels_leave_hidden_parameters_out() -> None:
    number = next(n for n in range(100) if sample_person(n).attributes.sunglasses)
    labels = labels_of([number])
    assert math.isnan(labels.lengths[0, LENGTHS.index("eye_size")])
    assert labels.classes[0, list(CLASSES).index("eye_colour")] == -1
    assert labels.classes[0, list(CLASSES).index("clothes")] >= 0


def test_the_classes_of_moles_distinguish_left_and_right() -> None:
    sides = {class_of(sample_person(number).identity, "mole") for number in range(60)}
    assert sides == {0, 1, 2}


def test_its_own_error_is_measured_on_people_outside_the_training_set(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = list(range(HELD_OUT, HELD_OUT + 6))
    assert max(measure(Oracle(numbers), 6).values()) == pytest.approx(0, abs=1e-6)
    assert measure(Oracle(numbers, blind=True), 6)["jaw"] > 0.2


def test_an_interrupted_training_ends_with_the_same_weights(
    data: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train_regressor(data, tmp_path / "whole", steps=4, batch=3, unseen=2, save_every=2)
    loss, calls = regressor._loss, []

    def interrupted(*arguments: object) -> Tensor:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return loss(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(regressor, "_loss", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_regressor(data, tmp_path / "cut", steps=4, batch=3, unseen=2, save_every=2)
    resumed = train_regressor(data, tmp_path / "cut", steps=4, batch=3, unseen=2, save_every=2)
    assert len(calls) == 4 + 2  # only the two steps since the checkpoint are repeated
    for mine, other in zip(whole.network.parameters(), resumed.network.parameters(), strict=True):
        assert torch.equal(mine, other)
    assert whole.held_out == resumed.held_out
    again = train_regressor(data, tmp_path / "whole", steps=4, batch=3, unseen=2)
    assert again.held_out == whole.held_out
    assert len(calls) == 6  # a finished run is loaded, not repeated


def test_a_checkpoint_of_another_recipe_is_rejected(data: NDArray[np.uint8], tmp_path: Path) -> None:
    train_regressor(data, tmp_path, steps=1, batch=2, unseen=2)
    with pytest.raises(StaleCheckpointError, match="another recipe"):
        train_regressor(data, tmp_path, steps=2, batch=2, unseen=2)


def test_saved_weights_equal_the_trained_ones(data: NDArray[np.uint8], tmp_path: Path) -> None:
    trained = train_regressor(data, tmp_path, steps=1, batch=2, unseen=2)
    save_regressor(trained, tmp_path / "kept.safetensors")
    kept = load_regressor(tmp_path / "kept.safetensors")
    assert kept.held_out == trained.held_out
    for mine, other in zip(trained.network.parameters(), kept.network.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_a_few_steps_reduce_the_loss(data: NDArray[np.uint8]) -> None:
    torch.manual_seed(0)
    network = regressor._Network()
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3)
    losses = []
    for step in range(16):
        loss = regressor._loss(network, data, 12, torch.Generator().manual_seed(step % 2))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]
