"""Muon beside AdamW behind one interface: what each of them moves, and that a run resumes."""

from __future__ import annotations

import io

import pytest
import torch
from torch import nn

from lab.training.optimisers import Muon


def network(layout: torch.memory_format = torch.contiguous_format) -> nn.Sequential:
    torch.manual_seed(0)
    made = nn.Sequential(nn.Conv2d(3, 6, 3), nn.Conv2d(6, 8, 3), nn.Flatten(), nn.Linear(8 * 16, 5), nn.Conv1d(1, 1, 1))
    return made.to(memory_format=layout)


def optimiser_of(made: nn.Sequential, peak: float = 0.01) -> Muon:
    return Muon([*made[1].parameters(), *made[3].parameters()], [*made[0].parameters()], peak=peak, decay=0.0)


def descend(made: nn.Sequential, optimiser: Muon, steps: int, seed: int = 1) -> list[float]:
    draw = torch.Generator().manual_seed(seed)
    losses = []
    for _ in range(steps):
        pictures = torch.randn(4, 3, 8, 8, generator=draw)
        optimiser.zero_grad()
        loss = (made[:4](pictures) - pictures.mean((2, 3)).repeat(1, 2)[:, :5]).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_it_moves_every_weight_that_it_is_given(layout: torch.memory_format) -> None:
    made = network(layout)
    before = [each.detach().clone() for each in made.parameters()]
    losses = descend(made, optimiser_of(made), 60)
    changed = [not torch.equal(old, new) for old, new in zip(before, made.parameters(), strict=True)]
    assert changed == [True] * 6 + [False] * 2
    assert losses[-1] < losses[0]


def test_the_memory_layout_makes_no_difference() -> None:
    plain, last = network(), network(torch.channels_last)
    assert descend(plain, optimiser_of(plain), 3) == pytest.approx(descend(last, optimiser_of(last), 3), rel=1e-2)


def test_a_step_of_a_matrix_turns_all_directions_alike() -> None:
    """Which no optimiser does that treats each number by itself: here one direction has a hundred times the other's gradient."""
    weight = nn.Parameter(torch.zeros(2, 8))
    optimiser = Muon([weight], [nn.Parameter(torch.zeros(1))], peak=0.1, decay=0.0)
    weight.grad = torch.zeros(2, 8)
    weight.grad[0, 0], weight.grad[1, 1] = 100.0, 1.0
    optimiser.step()
    assert (weight[0, 0] / weight[1, 1]).item() == pytest.approx(1, abs=0.5)


def test_matrices_turned_together_move_as_by_the_muon_of_torch() -> None:
    """One after another, they move alike but for the rounding of bfloat16."""

    def weights() -> list[nn.Parameter]:
        draw = torch.Generator().manual_seed(3)
        shapes = [(6, 9), (6, 9), (9, 6), (5, 5), (6, 9)]
        return [nn.Parameter(torch.randn(shape, generator=draw)) for shape in shapes]

    together, apart = weights(), weights()
    start = weights()
    ours = Muon(together, [nn.Parameter(torch.zeros(1))], peak=0.02, decay=0.1)
    theirs = torch.optim.Muon(apart, lr=0.02, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    draw = torch.Generator().manual_seed(4)
    for _ in range(4):
        for one, other in zip(together, apart, strict=True):
            one.grad = torch.randn(one.shape, generator=draw)
            other.grad = one.grad.clone()
        ours.step()
        theirs.step()
    for one, other, first in zip(together, apart, start, strict=True):
        moved = (other - first).norm()
        assert (one - other).norm() < 0.02 * moved


def test_the_rate_is_that_of_the_groups() -> None:
    made = network()
    optimiser = optimiser_of(made)
    for group in optimiser.param_groups:
        group["lr"] = 0.0
    before = [each.detach().clone() for each in made.parameters()]
    descend(made, optimiser, 2)
    assert all(torch.equal(old, new) for old, new in zip(before, made.parameters(), strict=True))


def test_a_saved_optimiser_goes_on_as_before() -> None:
    whole, cut = network(), network()
    descend(whole, first := optimiser_of(whole), 3)
    descend(whole, first, 3, seed=2)
    descend(cut, second := optimiser_of(cut), 3)
    file = io.BytesIO()
    torch.save(second.state_dict(), file)
    file.seek(0)
    third = optimiser_of(cut)
    third.load_state_dict(torch.load(file, weights_only=True))
    descend(cut, third, 3, seed=2)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), cut.parameters(), strict=True))
