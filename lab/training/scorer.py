"""The network behind the world's judge and its identity regressor: one trunk for all domains, and an output layer per domain."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F

from lab.training.store import Dice
from s2edit_core.whole_files import write_whole

WIDTHS = (24, 48, 80, 128)
FEATURES = -5
"""Where the layers begin that turn the features into numbers."""


def _block(inputs: int, outputs: int, size: int, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False), nn.GroupNorm(8, outputs), nn.SiLU()]


class Scorer(nn.Module):
    """Maps pictures `(n, 3, 128, 128)` in -1..1 to the outputs of one domain, `(n, outputs)`.

    Positions count in the last layers, so that a mole on the left differs from one on the right. Group normalisation, because batch
    statistics could not be averaged as the weights are.
    """

    def __init__(self, outputs: Mapping[str, int]) -> None:
        super().__init__()
        self.outputs = dict(outputs)
        layers: list[nn.Module] = []
        for i, (a, b) in enumerate(pairwise((3, *WIDTHS))):
            layers += _block(a, b, 5 if i == 0 else 3, 2)
            layers += _block(b, b, 3, 1) if i else []
        layers += [nn.Conv2d(WIDTHS[-1], 40, 1), nn.SiLU(), nn.Flatten(), nn.Linear(40 * 64, 224), nn.SiLU()]
        self.trunk = nn.Sequential(*layers)
        self.heads = nn.ModuleDict({name: nn.Linear(224, count) for name, count in outputs.items()})

    def features(self, x: Tensor) -> Tensor:
        """Return what the last convolution of 3 × 3 sees, `(n, 128, 8, 8)`."""
        seen: Tensor = self.trunk[:FEATURES](x)
        return seen

    def forward(self, x: Tensor, domain: str) -> Tensor:
        made: Tensor = self.heads[domain](self.trunk(x))
        return made


@torch.no_grad()
def predicted(network: nn.Module, pictures: Tensor, domain: str, batch: int = 64) -> Tensor:
    return torch.cat([network(part, domain).float() for part in pictures.split(batch)])


def augmented(x: Tensor, dice: Dice) -> Tensor:
    """Apply random blur, noise, a shift of up to three pixels and slight colour changes. Samples and edits have such flaws."""
    n = len(x)
    blurred = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    x = x + dice.uniform(0, 1, n, 1, 1, 1) * (blurred - x) + dice.uniform(0, 0.06, n, 1, 1, 1) * dice.normal(*x.shape)
    x = x * dice.uniform(0.95, 1.05, n, 1, 1, 1) + dice.uniform(-0.03, 0.03, n, 3, 1, 1)
    return _shifted(x, dice.below(7, n, 2) - 3)


def _shifted(x: Tensor, by: Tensor) -> Tensor:
    """Shift each picture by its own whole number of pixels, repeating the border."""
    n, _, height, width = x.shape
    rows = (torch.arange(height, device=x.device)[None] + by[:, :1]).clamp(0, height - 1)
    columns = (torch.arange(width, device=x.device)[None] + by[:, 1:]).clamp(0, width - 1)
    picked = x.permute(0, 2, 3, 1)[torch.arange(n, device=x.device)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return picked.permute(0, 3, 1, 2)


def save_scorer(network: Scorer, path: Path, about: Mapping[str, Any]) -> None:
    """Write the weights in half precision, and `about` as metadata."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    write_whole(path, save(tensors, metadata={"outputs": json.dumps(network.outputs), "about": json.dumps(about)}))


def load_scorer(path: Path) -> tuple[Scorer, dict[str, Any]]:
    """Return the network in `path` and what was written about it."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        network = Scorer(json.loads(metadata["outputs"]))
        network.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    return network.eval(), json.loads(metadata["about"])
