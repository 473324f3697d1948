"""Train the judge, a small classifier of every attribute that a caption can name: `python -m lab.judges.judge`.

It is trained on rendered portraits with random blur, noise, shifts and colour changes, so that artefacts of a method don't mislead
it. Every result that uses it also reports its accuracy on unseen people. The trained weights are kept beside this file, so that all
measurements and tests use the same judge.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from lab.training.autoencoder import to_range
from lab.training.trainer import warm_cosine
from lab.world.dataset import HELD_OUT, PORTRAITS, WORK, held_out, portraits
from lab.world.people import Attributes, Expression, Gender, HairColour, HairLength, sample_person
from s2edit_core.method.learning import step_generator

CHOICES: dict[str, tuple[Any, ...]] = {
    "gender": get_args(Gender),
    "hair_colour": get_args(HairColour),
    "hair_length": get_args(HairLength),
    "expression": get_args(Expression),
}
WEIGHTS = Path(__file__).with_name("judge.safetensors")
NAMES = tuple(field.name for field in fields(Attributes))


def choices(name: str) -> tuple[Any, ...]:
    """Return the values that attribute `name` can have."""
    return CHOICES.get(name, (False, True))


class _Network(nn.Sequential):
    def __init__(self) -> None:
        layers: list[nn.Module] = []
        widths = (3, 16, 32, 64, 96)
        for i, (a, b) in enumerate(pairwise(widths)):
            layers += [nn.Conv2d(a, b, 5 if i == 0 else 3, stride=2, padding=2 if i == 0 else 1), nn.BatchNorm2d(b), nn.ReLU()]
        layers += [nn.Conv2d(96, 32, 1), nn.ReLU(), nn.Flatten(), nn.Linear(32 * 64, 128), nn.ReLU()]
        super().__init__(*layers, nn.Linear(128, sum(len(choices(name)) for name in NAMES)))


def labels_of(people: list[int]) -> Tensor:
    """Return `(n, attributes)`: the index of each value among its choices, or -1 if something hides the attribute."""
    rows = []
    for person in people:
        has = sample_person(person).attributes
        row = [choices(name).index(getattr(has, name)) for name in NAMES]
        if has.sunglasses:
            row[NAMES.index("eye_shadow")] = -1
        rows.append(row)
    return torch.tensor(rows)


def _split(logits: Tensor) -> dict[str, Tensor]:
    parts = logits.split([len(choices(name)) for name in NAMES], dim=1)
    return dict(zip(NAMES, parts, strict=True))


def _logits(network: nn.Module, pictures: Tensor, batch: int = 64) -> dict[str, Tensor]:
    """Return the logits by attribute, `(n, choices)` each."""
    return _split(torch.cat([network(part) for part in pictures.split(batch)]))


def _augmented(x: Tensor, draw: torch.Generator) -> Tensor:
    """Apply random blur, noise, a shift of up to three pixels and slight colour changes."""
    blurred = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    share = torch.rand(len(x), 1, 1, 1, generator=draw)
    x = x + share * (blurred - x) + 0.06 * torch.rand(len(x), 1, 1, 1, generator=draw) * torch.randn(x.shape, generator=draw)
    x = x * (0.92 + 0.16 * torch.rand(len(x), 1, 1, 1, generator=draw)) + 0.1 * (torch.rand(len(x), 3, 1, 1, generator=draw) - 0.5)
    dy, dx = (int(v) for v in torch.randint(-3, 4, (2,), generator=draw))
    return x.roll((dy, dx), dims=(2, 3))


@dataclass(frozen=True)
class Judge:
    network: nn.Module
    accuracy: dict[str, float]
    """Accuracy on unseen renders by attribute, 0..1."""

    @torch.no_grad()
    def __call__(self, pictures: Tensor) -> list[dict[str, Any]]:
        """Return the attributes that each of `pictures` shows. `pictures` is `(n, 3, 128, 128)` in -1..1."""
        parts = _logits(self.network, pictures)
        return [{name: choices(name)[int(part[i].argmax())] for name, part in parts.items()} for i in range(len(pictures))]


def load_judge(path: Path = WEIGHTS) -> Judge:
    """Load the judge that `python -m lab.judges.judge` has trained, with its measured accuracy."""
    network = _Network()
    with safe_open(path, framework="pt") as file:
        accuracy: dict[str, float] = json.loads(file.metadata()["accuracy"])
        network.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    return Judge(network.eval(), accuracy)


def train(data: NDArray[np.uint8], *, steps: int, batch: int = 64, seed: int = 31) -> nn.Module:
    """Train on `data`, the portraits of people 0 to n − 1. The weights are rounded to half precision, as they are stored."""
    torch.manual_seed(seed)
    network = _Network().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.02)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = warm_cosine(step, steps, peak=2e-3, floor=0.01)
        loss = _loss(network, data, batch, step_generator(seed, step))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        if (step + 1) % 100 == 0:
            print(f"judge step {step + 1} loss {float(loss.detach()):.4f}", flush=True)
    trained: nn.Module = network.half().float().eval()
    return trained


def _loss(network: nn.Module, data: NDArray[np.uint8], batch: int, draw: torch.Generator) -> Tensor:
    """Return the cross-entropy of a random batch of augmented portraits, summed over the attributes."""
    people = torch.randint(len(data), (batch,), generator=draw).sort().values
    x = _augmented(to_range(data[people.numpy()]), draw)
    labels = labels_of(people.tolist())
    parts = _split(network(x))
    losses = [F.cross_entropy(parts[name], labels[:, i], ignore_index=-1) for i, name in enumerate(NAMES)]
    return torch.stack(losses).sum()


@torch.no_grad()
def measure(network: nn.Module, unseen: int) -> dict[str, float]:
    """Return the accuracy by attribute on `unseen` people outside the training set."""
    pictures = to_range(held_out(unseen))
    labels = labels_of(list(range(HELD_OUT, HELD_OUT + unseen)))
    parts = _logits(network, pictures)
    accuracy = {}
    for i, name in enumerate(NAMES):
        known = labels[:, i] >= 0
        accuracy[name] = float((parts[name].argmax(1) == labels[:, i])[known].float().mean())
    return accuracy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--unseen", type=int, default=2000, help="number of people to measure the accuracy on")
    parser.add_argument("--measure-only", action="store_true", help="measure the weights of --out again, without training")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    wanted = parser.parse_args()
    network = (
        load_judge(wanted.out).network if wanted.measure_only else train(portraits(wanted.work, PORTRAITS), steps=wanted.steps)
    )
    accuracy = measure(network, wanted.unseen)
    tensors = {
        name: (value.half() if value.is_floating_point() else value).contiguous() for name, value in network.state_dict().items()
    }
    save_file(tensors, wanted.out, metadata={"accuracy": json.dumps(accuracy), "unseen": str(wanted.unseen)})
    print(json.dumps(accuracy, indent=1))


if __name__ == "__main__":
    main()
