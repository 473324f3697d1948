"""A small U-Net of about 300,000 weights that finds people, for base models whose card names it.

A folder holds it as `config.json` and `model.safetensors`, in half precision. `lab/segmentation/training.py` trains the one of the
included model.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn import functional as F

from s2edit_core.errors import ModelUnusable
from s2edit_core.whole_files import write_whole

WEIGHTS, CONFIG = "model.safetensors", "config.json"
GROUP = 8
"""Channels per group of the group normalisation."""


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.GroupNorm(outputs // GROUP, outputs), nn.ReLU()
    )


class PersonNetwork(nn.Module):
    """Maps pictures `(n, 3, H, W)` in -1..1, with sides divisible by `multiple`, to logits `(n, H, W)`, positive where a person is.

    Each encoder stage halves the sides, and the decoder joins the features of each stage. The first stage is at half resolution;
    only the head runs at full resolution.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        if len(widths) < 2 or any(width < GROUP or width % GROUP for width in widths):
            raise ValueError(f"expected two or more widths, each a multiple of {GROUP}, got {tuple(widths)}")
        self.widths = tuple(widths)
        self.down = nn.ModuleList(nn.Sequential(_block(a, b, 2), _block(b, b)) for a, b in pairwise((3, *widths)))
        self.up = nn.ModuleList(_block(a + b, a) for a, b in pairwise(widths))
        self.head = nn.Sequential(nn.Conv2d(widths[0] + 3, GROUP, 3, padding=1), nn.ReLU(), nn.Conv2d(GROUP, 1, 3, padding=1))

    @property
    def multiple(self) -> int:
        """The divisor of the input's sides."""
        return int(2 ** len(self.widths))

    def forward(self, x: Tensor) -> Tensor:
        features = []
        inner = x
        for stage in self.down:
            inner = stage(inner)
            features.append(inner)
        for join, outer in zip(reversed(self.up), reversed(features[:-1]), strict=True):
            inner = join(torch.cat([_doubled(inner), outer], dim=1))
        logits: Tensor = self.head(torch.cat([_doubled(inner), x], dim=1))
        return logits[:, 0]


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def predict(network: PersonNetwork, photo: Image.Image, sides: Sequence[int]) -> NDArray[np.float32]:
    """Return the probability of a person in each part of `photo` (RGB): `(h, w)` in 0..1.

    The result is the mean over several input sizes, whose longest sides are `sides` in pixels. Small inputs show large people best,
    and large inputs small people. The result has the size of the last input.
    """
    predictions = [_predict_at(network, photo, side) for side in sides]
    size = predictions[-1].shape[::-1]
    planes = [np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BILINEAR)) for plane in predictions]
    mean: NDArray[np.float32] = np.mean(planes, axis=0, dtype=np.float32)
    return mean


@torch.no_grad()
def _predict_at(network: PersonNetwork, photo: Image.Image, side: int) -> NDArray[np.float32]:
    """Return the probability map for an input whose longest side is `side`."""
    scale = side / max(photo.size)
    size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
    pixels = np.asarray(photo.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0))
    x = torch.tensor(pixels, dtype=torch.float32).permute(2, 0, 1)[None] / 127.5 - 1
    right, bottom = (-size[0] % network.multiple, -size[1] % network.multiple)
    padded = F.pad(x, (0, right, 0, bottom), mode="replicate")
    probability: NDArray[np.float32] = network(padded)[0, : size[1], : size[0]].sigmoid().numpy()
    return probability


def save_network(network: PersonNetwork, folder: Path, about: dict[str, Any]) -> None:
    """Write the weights in half precision, and `about` beside the widths in `config.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / WEIGHTS, save({name: value.half().contiguous() for name, value in network.state_dict().items()}))
    write_whole(folder / CONFIG, (json.dumps({"widths": network.widths} | about, indent=2) + "\n").encode())


def load_network(folder: Path) -> tuple[PersonNetwork, dict[str, Any]]:
    """Return the network in `folder` and its configuration. Raises `ModelUnusable` if there is none, or a damaged one."""
    try:
        config: dict[str, Any] = json.loads((folder / CONFIG).read_text())
        network = PersonNetwork(config["widths"])
        config["sides"] = [int(side) for side in config["sides"]]
        if not config["sides"] or min(config["sides"]) < 1:
            raise ValueError(f"the sides must be positive, not {config['sides']}")
        network.load_state_dict({name: value.float() for name, value in load_file(folder / WEIGHTS).items()})
    except Exception as error:  # safetensors raises errors of its own
        raise ModelUnusable(f"the model's segmenter in {folder} can't be loaded: {error!r}") from error
    return network.eval(), config
