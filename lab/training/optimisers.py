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

    `torch.optim.Muon` moves the same way, one matrix after another. Here those of one shape are turned together: on a GPU,
    thousands of small products would take nearly as long as a pass.
    """

    def __init__(self, inner: Iterable[nn.Parameter], outer: Iterable[nn.Parameter], *, peak: float, decay: float) -> None:
        inner = list(inner)
        self._matrices = [each for each in inner if each.dim() >= 2]
        self._views = [_as_matrix(each, like=each) for each in self._matrices]  # of the same memory
        self._moments = [torch.zeros_like(each) for each in self._views]
        self._group: dict[str, Any] = {"lr": peak, "weight_decay": decay}
        others = [*(each for each in inner if each.dim() < 2), *outer]
        self._adam = adam(others, peak=peak, betas=(0.9, 0.99), decay=decay)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return [self._group, *self._adam.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        for each in self._matrices:
            each.grad = None
        self._adam.zero_grad(set_to_none)

    @torch.no_grad()
    def step(self) -> None:
        alike: dict[torch.Size, list[tuple[Tensor, Tensor, Tensor]]] = {}
        for matrix, view, moment in zip(self._matrices, self._views, self._moments, strict=True):
            if matrix.grad is not None:
                alike.setdefault(view.shape, []).append((view, moment, _as_matrix(matrix.grad, like=matrix)))
        for shape, each in alike.items():
            views, moments, gradients = (list(part) for part in zip(*each, strict=True))
            torch._foreach_lerp_(moments, gradients, 1 - MOMENTUM)
            turned = orthogonal(torch.stack(torch._foreach_lerp(gradients, moments, MOMENTUM))).float()
            torch._foreach_mul_(views, 1 - self._group["lr"] * self._group["weight_decay"])
            torch._foreach_add_(views, list(turned.unbind()), alpha=-0.2 * max(shape) ** 0.5 * self._group["lr"])
        self._adam.step()

    def state_dict(self) -> dict[str, Any]:
        return {"moments": self._moments, "adam": self._adam.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        torch._foreach_copy_(self._moments, state_dict["moments"])
        self._adam.load_state_dict(state_dict["adam"])


def orthogonal(matrices: Tensor) -> Tensor:
    """Return `matrices`, `(n, rows, columns)`, with their singular values brought to between 0.5 and 1.5, in bfloat16."""
    a, b, c = NEWTON_SCHULZ
    x = matrices.bfloat16()
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / x.flatten(1).norm(dim=1).clamp_min(1e-7)[:, None, None]
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


def _as_matrix(values: Tensor, like: Tensor) -> Tensor:
    """Return `(outputs, rest)` in the order of the memory of the weight `like`; of the weight itself, if dense, a view."""
    ordered = values.detach()
    if like.dim() == 4 and not like.is_contiguous():
        ordered = ordered.permute(0, 2, 3, 1)
    return ordered.reshape(len(ordered), -1)
