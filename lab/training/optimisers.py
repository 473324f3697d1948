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
        self._muon = torch.optim.Muon(self._views, lr=peak, weight_decay=decay, momentum=0.95, adjust_lr_fn="match_rms_adamw")
        others = [*(each for each in inner if each.dim() < 2), *outer]
        self._adam = torch.optim.AdamW(others, lr=peak, betas=(0.9, 0.99), weight_decay=decay)

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


def _as_matrix(weight: Tensor) -> Tensor:
    """Return `(outputs, rest)`, a view of `weight` if its memory is contiguous or has channels last."""
    ordered = weight.detach()
    if ordered.dim() == 4 and not ordered.is_contiguous():
        ordered = ordered.permute(0, 2, 3, 1)
    return ordered.reshape(len(ordered), -1)
