"""The training set on the device: every picture, or what a stage makes of it, in tensors that grow with the rendered shards."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lab.training.dataset import Plan

Arrays = dict[str, NDArray[Any]]
Tensors = dict[str, Tensor]
GROUP = 8
"""Shards that are converted together."""


def read_fields(*names: str) -> Callable[[Path], Arrays]:
    """Return a function that reads these fields of a shard."""

    def read(path: Path) -> Arrays:
        with np.load(path) as shard:
            return {name: shard[name] for name in names}

    return read


class Dice:
    """Random numbers on a device."""

    def __init__(self, device: torch.device, seed: int) -> None:
        self.device = device
        self.draw = torch.Generator(device).manual_seed(seed)

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(shape, generator=self.draw, device=self.device)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.draw, device=self.device)

    def below(self, high: int, *shape: int) -> Tensor:
        """Return whole numbers from 0 to `high` − 1."""
        return torch.randint(high, shape, generator=self.draw, device=self.device)

    def chance(self, share: float, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.draw, device=self.device) < share


class Store:
    """Fields of all pictures by domain. `batch` draws from each domain in proportion to its weight.

    `read` loads a shard in a thread. `convert` makes of it what is kept, on the device.
    """

    def __init__(
        self,
        plan: Plan,
        device: torch.device,
        read: Callable[[Path], Arrays],
        convert: Callable[[Tensors], Tensors] = lambda fields: fields,
        *,
        unseen: bool = False,
    ) -> None:
        self.plan, self.device, self.unseen = plan, device, unseen
        self._read, self._convert = read, convert
        self._known: dict[str, set[Path]] = {name: set() for name in plan.domains}
        self._data: dict[str, Tensors] = {name: {} for name in plan.domains}
        self.counts: dict[str, int] = dict.fromkeys(plan.domains, 0)
        self._looks: dict[str, tuple[Tensor, int]] = {}

    def grow(self, limit: int | None = None) -> int:
        """Read shards that have appeared, at most `limit` per domain. Returns the number of new pictures."""
        before = sum(self.counts.values())
        with ThreadPoolExecutor(8) as threads:
            for name in self.plan.domains:
                fresh = [p for p in self.plan.finished(name, unseen=self.unseen) if p not in self._known[name]][:limit]
                self._known[name].update(fresh)
                for start in range(0, len(fresh), GROUP):
                    group = list(threads.map(self._read, fresh[start : start + GROUP]))
                    arrays = {key: np.concatenate([each[key] for each in group]) for key in group[0]}
                    count = len(next(iter(arrays.values())))
                    self._append(name, arrays, expected=count * -(-(len(fresh) - start) // len(group)))
        return sum(self.counts.values()) - before

    def _append(self, name: str, arrays: Arrays, expected: int) -> None:
        """Append pictures. A full tensor is replaced by one with room for the `expected` pictures of this reading."""
        fields = self._convert({key: torch.from_numpy(value).to(self.device) for key, value in arrays.items()})
        start = self.counts[name]
        for key, value in fields.items():
            have = self._data[name].get(key)
            if have is None or start + len(value) > len(have):
                capacity = max(start + start // 4, start + expected, start + len(value))
                roomier = torch.empty((capacity, *value.shape[1:]), dtype=value.dtype, device=self.device)
                if have is not None:
                    roomier[:start] = have[:start]
                have = self._data[name][key] = roomier
                if self.device.type == "cuda":
                    torch.cuda.empty_cache()  # other stages share the device
            have[start : start + len(value)] = value
        self.counts[name] = start + len(next(iter(arrays.values())))

    @property
    def ready(self) -> bool:
        return all(self.counts.values())

    def shares(self, batch: int) -> dict[str, int]:
        """Return how many pictures of each domain a batch has."""
        weights = {part.domain.name: part.weight for part in self.plan.parts}
        total, cuts, done = sum(weights.values()), {}, 0.0
        for name, weight in weights.items():
            cuts[name] = round(batch * (done + weight) / total) - round(batch * done / total)
            done += weight
        return cuts

    def batch(self, size: int, dice: Dice, looks: float = 0.0) -> dict[str, Tensors]:
        """Return random pictures by domain, `size` in all. At least the share `looks` of each domain's shows a named look."""
        return {name: self.random(name, count, dice, looks) for name, count in self.shares(size).items()}

    def random(self, name: str, count: int, dice: Dice, looks: float = 0.0) -> Tensors:
        index = dice.below(self.counts[name], count)
        if looks and len(known := self._with_look(name)):
            chosen = round(looks * count)
            index[:chosen] = known[dice.below(len(known), chosen)]
        return {key: value[index] for key, value in self._data[name].items()}

    def _with_look(self, name: str) -> Tensor:
        """Return the indices of a domain's pictures that show a named look. They are sought again when there are more pictures."""
        known, count = self._looks.get(name, (torch.zeros(0), 0))
        if count != self.counts[name]:
            count = self.counts[name]
            known = self._data[name]["focus"][:count].flatten(1).any(dim=1).nonzero().flatten()
            self._looks[name] = known, count
        return known

    def first(self, name: str, count: int) -> Tensors:
        """Return the first pictures of a domain, `count` or as many as there are."""
        return {key: value[: min(count, self.counts[name])] for key, value in self._data[name].items()}


def wait_for_pictures(*stores: Store) -> None:
    """Grow `stores` until each has pictures of every domain."""
    while not all(store.ready for store in stores):
        if not sum(store.grow() for store in stores):
            time.sleep(1)


def joined(batch: dict[str, Tensors], field: str) -> Tensor:
    return torch.cat([fields[field] for fields in batch.values()])


def normalised(pixels: Tensor) -> Tensor:
    """Convert `(n, h, w, 3)` uint8 to `(n, 3, h, w)` in -1..1, channels last in memory."""
    return pixels.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def grid(columns: Iterable[Tensor]) -> Tensor:
    """Join rows of pictures, `(n, 3, h, w)` each, into one picture `(3, rows · h, n · w)`."""
    return torch.cat([torch.cat(list(row), dim=2) for row in columns], dim=1)
