"""The identity regressor of portraits: the scale of its errors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lab.judges.regressor import CLASSES, LENGTHS, PARAMETERS, Regressor, class_of, hidden, load_regressor, scales
from lab.world.people import Attributes, sample_person


class Oracle(nn.Module):
    """A network that returns the parameters of a person for any input."""

    def __init__(self, number: int) -> None:
        super().__init__()
        who = sample_person(number).identity
        lengths = torch.tensor([float(getattr(who, name)) for name in LENGTHS])
        logits = [torch.zeros(count) for count in CLASSES.values()]
        for part, name in zip(logits, CLASSES, strict=True):
            part[class_of(who, name)] = 1.0
        self.row = torch.cat([(lengths - scales().middle) / scales().spread, *logits])

    def forward(self, x: Tensor) -> Tensor:
        return self.row.expand(len(x), -1)


def test_a_perfect_prediction_has_no_error() -> None:
    person = sample_person(5)
    found = Regressor(Oracle(5), {})(torch.zeros(3, 128, 128), person.identity, person.attributes)
    assert max(found.values()) == pytest.approx(0, abs=1e-5)


def test_hidden_parameters_are_not_measured() -> None:
    assert hidden(Attributes()) == frozenset()
    assert hidden(Attributes(sunglasses=True)) == {"eye_colour", "eye_size"}
    assert hidden(Attributes(gender="man", beard=True)) == {"mole"}
    person = sample_person(5)
    found = Regressor(Oracle(5), {})(torch.zeros(3, 128, 128), person.identity, Attributes(sunglasses=True))
    assert set(found) == set(PARAMETERS) - {"eye_colour", "eye_size"}


def test_the_classes_of_moles_distinguish_left_and_right() -> None:
    sides = {class_of(sample_person(number).identity, "mole") for number in range(60)}
    assert sides == {0, 1, 2}


def test_the_kept_weights_load_with_their_errors() -> None:
    regressor = load_regressor()
    assert set(regressor.held_out) == set(PARAMETERS)
    assert 0 < regressor.own_error < 0.3
