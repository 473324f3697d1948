"""L-BFGS as a generator that yields after each evaluation of the loss. torch's optimiser makes all evaluations within one call.

The generator runs an iteration of torch's optimiser until it needs the loss at a new point, and aborts it there. It computes that
loss, yields, and runs the iteration again with all losses known so far. The optimiser's own arithmetic is cheap compared with one
evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

TOLERANCE = 1e-9
"""torch's default `tolerance_change`."""


class _Unknown(Exception):
    """The loss at the parameter's present value is not known yet."""


@dataclass(frozen=True)
class _Value:
    """The loss and its gradient at one point."""

    point: Tensor
    loss: Tensor
    gradient: Tensor | None


@dataclass
class _Iteration:
    """The closure of one iteration: returns the known `values` in the order of the calls, then raises `_Unknown`."""

    parameter: Tensor
    values: list[_Value] = field(default_factory=list)
    calls: int = 0

    def __call__(self) -> Tensor:
        if self.calls == len(self.values):
            raise _Unknown
        value = self.values[self.calls]
        self.calls += 1
        self.parameter.grad = value.gradient.clone() if value.gradient is not None else None
        return value.loss

    def evaluate(self, compute: Callable[[], Tensor]) -> None:
        """Compute the value at the present point."""
        self.parameter.grad = None
        with torch.enable_grad():
            loss = compute()
            loss.backward()
        self.values.append(_Value(self.parameter.detach().clone(), loss.detach().to(self.parameter.device), self.parameter.grad))


def minimising(parameter: Tensor, compute: Callable[[], Tensor], *, max_iter: int, history_size: int) -> Iterator[None]:
    """Minimise `compute()` over the leaf `parameter` in place, and yield after each evaluation.

    The result has the same bytes as after one call of `torch.optim.LBFGS(…, line_search_fn="strong_wolfe").step`, with the same
    number of evaluations.
    """
    optimiser = torch.optim.LBFGS([parameter], max_iter=1, history_size=history_size, line_search_fn="strong_wolfe")
    left = max_iter * 5 // 4  # evaluations, by torch's default
    iteration = _Iteration(parameter)
    for _ in range(max_iter):
        optimiser.param_groups[0]["max_eval"] = left
        yield from _iterating(optimiser, iteration, compute)
        left -= len(iteration.values) - 1  # an iteration begins with the value at which the last one ended
        end = next((value for value in iteration.values if torch.equal(value.point, parameter)), None)
        searched = len(iteration.values) > 1
        if end is None or left <= 1 or not searched or _has_converged(optimiser, parameter, end):
            return
        iteration = _Iteration(parameter, [end])


def _iterating(optimiser: torch.optim.LBFGS, iteration: _Iteration, compute: Callable[[], Tensor]) -> Iterator[None]:
    parameter = iteration.parameter
    state, start = _copied(optimiser.state[parameter]), parameter.detach().clone()
    while True:
        iteration.calls = 0
        try:
            optimiser.step(iteration)
        except _Unknown:
            iteration.evaluate(compute)
        else:
            return
        with torch.no_grad():
            parameter.copy_(start)
        optimiser.state[parameter] = _copied(state)
        yield


def _copied(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of the optimiser's state. An iteration changes its tensors and lists, but not the tensors in the lists."""
    return {
        name: value.clone() if isinstance(value, Tensor) else [*value] if isinstance(value, list) else value
        for name, value in state.items()
    }


def _has_converged(optimiser: torch.optim.LBFGS, parameter: Tensor, end: _Value) -> bool:
    """Return whether the last iteration changed too little, as `torch.optim.LBFGS.step` decides."""
    state = optimiser.state[parameter]
    moved = float(state["d"].mul(state["t"]).abs().max())
    return moved <= TOLERANCE or abs(float(end.loss) - state["prev_loss"]) < TOLERANCE
