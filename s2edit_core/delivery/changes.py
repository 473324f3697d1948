"""What an edit changed, as maps of the model's frame, and what that makes of the photo's pixels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from s2edit_core.delivery.resampling import Axis

MATTE_FROM, MATTE_TO = 0.35, 0.75
"""A pixel below the first share of a shift has not changed; one above the second has changed fully."""


class Change(ABC):
    """What an edit changed, at the frame's resolution `(H, W)`."""

    @property
    @abstractmethod
    def maps(self) -> Tensor:
        """All that `applied` needs: `(n, H, W)`."""

    @property
    @abstractmethod
    def acts(self) -> Tensor:
        """`(H, W)`: where the photo can change at all."""

    @abstractmethod
    def shares(self, where: Tensor) -> dict[str, float]:
        """The shares of `where` `(H, W)` 0..1, an edit mask in the frame, that were replaced, shifted and left. They sum to 1."""

    @abstractmethod
    def applied(self, across: Tensor, down: Axis, rows: slice, photo: Tensor, grain: float = 0.0) -> Tensor:
        """Return `rows` of the crop with the change: `photo` `(3, n, W)` in 0..1 are these rows as they were.

        `across` `(n, H, W)` are the `maps` resampled to the crop's width, and `down` resamples their rows. What is new gets noise
        of standard deviation `grain`, in levels 0..1, so that it does not look smoother than the photo around it.
        """


@dataclass(frozen=True, eq=False)
class Difference(Change):
    """A change by place: things that are left, take another tone, or are replaced.

    It takes a pixel p (RGB, 0..1) of the photo to `p + kept·matte(p)·(offset + slope·p) + drawn − covered·p`, where `matte(p)` is
    `weights·p + bias`, sharpened.
    """

    weights: Tensor  # (3, H, W)
    bias: Tensor  # (1, H, W)
    offset: Tensor  # (3, H, W)
    slope: Tensor  # (3, H, W)
    kept: Tensor  # (1, H, W), 0..1: 0 where something new stands
    drawn: Tensor  # (3, H, W): what is new, premultiplied
    covered: Tensor  # (1, H, W), 0..1: how much of the photo it covers
    shifted: Tensor  # (H, W), 0..1: how far the frame itself is shifted

    @property
    def maps(self) -> Tensor:
        return torch.cat([self.weights, self.bias, self.offset, self.slope, self.kept, self.drawn, self.covered])

    @property
    def acts(self) -> Tensor:
        return (torch.cat([self.weights, self.bias, self.drawn, self.covered]) != 0).any(dim=0)

    def shares(self, where: Tensor) -> dict[str, float]:
        return _shares(where, self.covered[0].clamp(0, 1), self.shifted)

    def applied(self, across: Tensor, down: Axis, rows: slice, photo: Tensor, grain: float = 0.0) -> Tensor:
        maps = down.along(across, 1, rows.start, rows.stop)
        weights, bias, offset, slope = maps[0:3], maps[3], maps[4:7], maps[7:10]
        kept, drawn, covered = maps[10].clamp_(0, 1), maps[11:14], maps[14].clamp_(0, 1)
        matte = sharpened((weights * photo).sum(dim=0).add_(bias)).mul_(kept)
        out = photo + matte * slope.mul_(photo).add_(offset)
        out.add_(drawn).sub_(covered * photo)
        if grain > 0:
            out.add_(covered * grain * torch.randn(covered.shape, generator=torch.Generator().manual_seed(rows.start)))
        return out.clamp_(0, 1)


@dataclass(frozen=True, eq=False)
class Toning(Change):
    """A change of light or season: every colour becomes another one, and nothing new stands in the photo.

    It takes a pixel p (RGB, 0..1) of the photo to `p + matrix·p + offset`.
    """

    matrix: Tensor  # (3, 3, H, W): what each colour adds (second) to each colour of the result (first)
    offset: Tensor  # (3, H, W)
    shifted: Tensor  # (H, W), 0..1: how far the frame itself is shifted

    @property
    def maps(self) -> Tensor:
        return torch.cat([self.matrix.flatten(0, 1), self.offset])

    @property
    def acts(self) -> Tensor:
        return (self.maps != 0).any(dim=0)

    def shares(self, where: Tensor) -> dict[str, float]:
        return _shares(where, torch.zeros_like(self.shifted), self.shifted)

    def applied(self, across: Tensor, down: Axis, rows: slice, photo: Tensor, grain: float = 0.0) -> Tensor:
        del grain  # nothing here is new
        maps = down.along(across, 1, rows.start, rows.stop)
        matrix, offset = maps[:9].unflatten(0, (3, 3)), maps[9:]
        return offset.add_(photo).add_(torch.einsum("abhw,bhw->ahw", matrix, photo)).clamp_(0, 1)


def sharpened(matte: Tensor) -> Tensor:
    return ((matte - MATTE_FROM) / (MATTE_TO - MATTE_FROM)).clamp_(0, 1)


def _shares(where: Tensor, replaced: Tensor, shifted: Tensor) -> dict[str, float]:
    total = float(where.sum())
    if total == 0:
        return {"replaced": 0.0, "shifted": 0.0, "left": 1.0}
    new = round(float((replaced * where).sum()) / total, 4)
    toned = round(min(1 - new, float((shifted * where).sum()) / total), 4)
    return {"replaced": new, "shifted": toned, "left": round(1 - new - toned, 4)}
