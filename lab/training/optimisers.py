"""The optimisers of the trainings: AdamW, and Muon with AdamW for what is no matrix."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Optimiser(Protocol):
    """What a training needs of an optimiser. The learning rate is set in `param_groups`."""

    @property
    def param_groups(self) -> list[dict[str, Any]]: ...

    def zero_grad(self, set_to_none: bool = True) -> None: ...

    def step(self) -> None: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> None: ...


MOMENTUM = 0.95
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of Muon's polynomial of the fifth degree, and its iterations in `torch.optim.Muon`."""
ITERATIONS = 5


def adam(parameters: list[nn.Parameter], *, peak: float, betas: tuple[float, float], decay: float) -> Optimiser:
    fused = parameters[0].device.type == "cuda"  # one kernel for all parameters; on a CPU the default is as fast
    return torch.optim.AdamW(parameters, lr=peak, betas=betas, weight_decay=decay, fused=fused or None)


class Muon:
    """Muon (Jordan et al., 2024) for matrices and convolutions, AdamW for everything else, at one learning rate.

    `inner` are the weights between the first and the last layer. Those of them with two or more dimensions are matrices with a row
    per output. Muon's steps are scaled to the size of Adam's (Liu et al., arXiv 2502.16982), so that one rate suits both.
    """

    def __init__(self, inner: Iterable[nn.Parameter], outer: Iterable[nn.Parameter], *, peak: float, decay: float) -> None:
        inner = list(inner)
        self._matrices = [each for each in inner if each.dim() >= 2]
        self._views = [nn.Parameter(_as_matrix(each)) for each in self._matrices]  # of the same memory
        self._muon = _MuonByShape(self._views, lr=peak, weight_decay=decay, momentum=MOMENTUM, adjust_lr_fn="match_rms_adamw")
        others = [*(each for each in inner if each.dim() < 2), *outer]
        self._adam = adam(others, peak=peak, betas=(0.9, 0.99), decay=decay)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return [*self._muon.param_groups, *self._adam.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        for each in self._matrices:
            each.grad = None
        self._adam.zero_grad(set_to_none)

    def step(self) -> None:
        for view, each in zip(self._views, self._matrices, strict=True):
            view.grad = None if each.grad is None else _as_matrix(each.grad)
        self._muon.step()
        self._adam.step()

    def state_dict(self) -> dict[str, Any]:
        return {"muon": self._muon.state_dict(), "adam": self._adam.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._muon.load_state_dict(state_dict["muon"])
        self._adam.load_state_dict(state_dict["adam"])


class _MuonByShape(torch.optim.Muon):
    """torch's Muon, but matrices of one shape are turned together: on a GPU thousands of small products take as long as a pass."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            alike: dict[torch.Size, list[nn.Parameter]] = {}
            for each in group["params"]:
                if each.grad is not None:
                    alike.setdefault(each.shape, []).append(each)
            for shape, matrices in alike.items():
                self._move(matrices, rate=group["lr"], step=0.2 * max(shape) ** 0.5 * group["lr"], decay=group["weight_decay"])

    def _move(self, matrices: list[nn.Parameter], *, rate: float, step: float, decay: float) -> None:
        gradients = [each.grad for each in matrices if each.grad is not None]
        moments = [self._moment(each) for each in matrices]
        torch._foreach_lerp_(moments, gradients, 1 - MOMENTUM)
        directions = orthogonal(torch.stack(torch._foreach_lerp(gradients, moments, MOMENTUM))).float()
        plain = [each.detach() for each in matrices]
        torch._foreach_mul_(plain, 1 - rate * decay)
        torch._foreach_add_(plain, list(directions.unbind()), alpha=-step)


    def _moment(self, matrix: nn.Parameter) -> Tensor:
        state = self.state[matrix]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(matrix)
        moment: Tensor = state["momentum_buffer"]
        return moment


def orthogonal(matrices: Tensor) -> Tensor:
    """Return matrices, `(n, rows, columns)`, with nearly the same singular vectors and singular values from 0.5 to 1.5, in bfloat16."""
    a, b, c = NEWTON_SCHULZ
    x = matrices.bfloat16()
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / x.flatten(1).norm(dim=1).clamp_min(1e-7)[:, None, None]
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


def _as_matrix(weight: Tensor) -> Tensor:
    """Return `(outputs, rest)`, a view of `weight` if its memory is contiguous or has channels last."""
    ordered = weight.detach()
    if ordered.dim() == 4 and not ordered.is_contiguous():
        ordered = ordered.permute(0, 2, 3, 1)
    return ordered.reshape(len(ordered), -1)
