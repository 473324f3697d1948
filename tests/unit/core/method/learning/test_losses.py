from __future__ import annotations

import math

import pytest
import torch

from s2edit_core.method.learning.losses import pairwise_loss, semantic_loss

ALONG, ACROSS, BETWEEN = (2.0, 0.0), (0.0, 5.0), (3.0, 3.0)


def loss(identity: tuple[float, ...], *attributes: tuple[float, ...]) -> float:
    return float(semantic_loss(torch.tensor(identity), torch.tensor(attributes)))


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ([ALONG], 1.0),
        ([(-7.0, 0.0)], 1.0),  # opposite is not orthogonal
        ([ACROSS], 0.0),
        ([BETWEEN], 0.5),
        ([ALONG, ACROSS], 0.5),
        ([ALONG, ACROSS, BETWEEN], 0.5),
    ],
)
def test_it_is_the_mean_squared_cosine(attributes: list[tuple[float, ...]], expected: float) -> None:
    assert loss((1.0, 0.0), *attributes) == pytest.approx(expected, abs=1e-6)


def test_lengths_do_not_count() -> None:
    assert loss((1.0, 2.0), (3.0, 1.0)) == pytest.approx(loss((10.0, 20.0), (0.3, 0.1)))


def test_without_attributes_there_is_no_loss_and_no_gradient() -> None:
    identity = torch.ones(3, requires_grad=True)
    nothing = semantic_loss(identity, torch.ones(0, 3))
    nothing.backward()
    assert float(nothing.detach()) == 0
    assert identity.grad is not None
    assert (identity.grad == 0).all()


def test_its_gradient_turns_the_token_away_from_the_attribute() -> None:
    """cos²φ has slope −sin 2φ in the angle; at 45° from the attribute it is 1 per radian, across the token, none along it."""
    identity = torch.tensor([1.0, 1.0], dtype=torch.float64, requires_grad=True)
    semantic_loss(identity, torch.tensor([[1.0, 0.0]], dtype=torch.float64)).backward()
    assert identity.grad is not None
    across = torch.tensor([-1.0, 1.0], dtype=torch.float64) / math.sqrt(2)
    assert float(identity.grad @ identity.detach()) == pytest.approx(0, abs=1e-12)
    assert float(identity.grad @ across) == pytest.approx(-1 / math.sqrt(2), rel=1e-9)  # per unit length: √2 units per radian


@pytest.mark.parametrize(("identity", "attributes"), [((3,), (2, 4)), ((4,), (4,)), ((1, 4), (2, 4))])
def test_other_shapes_are_refused(identity: tuple[int, ...], attributes: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected shapes"):
        semantic_loss(torch.ones(identity), torch.ones(attributes))


@pytest.mark.parametrize(
    ("features", "expected"),
    [([ALONG], 0.0), ([ALONG, ACROSS], 0.0), ([ALONG, BETWEEN], 0.5), ([ALONG, (-7.0, 0.0)], 1.0), ([ALONG, ACROSS, BETWEEN], 1.0)],
)
def test_concepts_are_held_apart_pair_by_pair(features: list[tuple[float, ...]], expected: float) -> None:
    assert float(pairwise_loss([torch.tensor(each) for each in features])) == pytest.approx(expected, abs=1e-6)


def test_both_concepts_of_a_pair_are_turned_away() -> None:
    pair = [torch.tensor(each, requires_grad=True) for each in (ALONG, BETWEEN)]
    pairwise_loss(pair).backward()
    assert all(each.grad is not None and each.grad.abs().max() > 0.1 for each in pair)


@pytest.mark.parametrize("features", [[], [torch.ones(2), torch.ones(3)], [torch.ones(1, 2)]])
def test_features_of_other_shapes_are_refused(features: list[torch.Tensor]) -> None:
    with pytest.raises(ValueError, match="expected features"):
        pairwise_loss(features)
