"""L-BFGS with pauses ends where torch's own ends: in the same bytes, after as many evaluations."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from s2edit_core.method.learning.lbfgs import minimising

Function = Callable[[Tensor], Tensor]
SIZE = 6


def bowl(x: Tensor) -> Tensor:
    """Converges within a few iterations."""
    scale = torch.arange(1, SIZE + 1).to(x)
    return (scale * (x - 1).square()).sum()


def valley(x: Tensor) -> Tensor:
    """Rosenbrock's function: many iterations, with long line searches."""
    return (100 * (x[1:] - x[:-1].square()).square() + (1 - x[:-1]).square()).sum()


def waves(x: Tensor) -> Tensor:
    return (x.square() / 10 - torch.cos(3 * x)).sum()


def steep(x: Tensor) -> Tensor:
    """Its first steps overshoot."""
    return (x * 50).pow(4).sum() + x.abs().sqrt().sum()


def constant(x: Tensor) -> Tensor:
    return (x * 0).sum()


def linear(x: Tensor) -> Tensor:
    """Has no minimum: the numbers overflow."""
    return x.sum()


def independent(x: Tensor) -> Tensor:
    """Has no gradient at all."""
    return x.new_ones(()).requires_grad_()


FUNCTIONS = (bowl, valley, waves, steep, constant, linear, independent)


def by_torch(start: Tensor, function: Function, max_iter: int, history_size: int) -> tuple[Tensor, int]:
    x, calls = start.clone().requires_grad_(), 0
    optimiser = torch.optim.LBFGS([x], max_iter=max_iter, history_size=history_size, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        nonlocal calls
        calls += 1
        optimiser.zero_grad(set_to_none=True)
        loss = function(x)
        loss.backward()
        return loss

    optimiser.step(closure)
    return x.detach(), calls


def in_steps(start: Tensor, function: Function, max_iter: int, history_size: int) -> tuple[Tensor, int, int]:
    """Return the result, and how many evaluations and pauses there were."""
    x, calls = start.clone().requires_grad_(), 0

    def compute() -> Tensor:
        nonlocal calls
        calls += 1
        return function(x)

    pauses = sum(1 for _ in minimising(x, compute, max_iter=max_iter, history_size=history_size))
    return x.detach(), calls, pauses


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_it_ends_in_the_same_bytes_after_as_many_evaluations(function: Function, dtype: torch.dtype) -> None:
    for seed, caps in enumerate([(1, 2, 5, 30), (100,), (30,)]):
        start = 2 * torch.randn(SIZE, generator=torch.Generator().manual_seed(seed), dtype=dtype)
        for max_iter in caps:
            expected, evaluations = by_torch(start, function, max_iter, 4)
            found, calls, pauses = in_steps(start, function, max_iter, 4)
            assert found.numpy().tobytes() == expected.numpy().tobytes(), f"seed {seed}, {max_iter} iterations"
            if found.isfinite().all():
                assert calls == evaluations
            assert pauses == calls, "a pause after each"
