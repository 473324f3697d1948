"""Train the shipped model's segmenter, the small network that finds people: `python -m lab.training.segmenter`.

It learns from scenes (`lab/world/scenes.py`) with people of the training set only, mirrored and shifted in colour at random. The
seed is fixed. Scenes and checkpoints are kept under `--work`; an interrupted run resumes and ends with the same weights.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from lab.measures.results import machine
from lab.training.train import MODEL
from lab.training.trainer import MovingAverage, Run, mixed_precision, warm_cosine
from lab.world.dataset import WORK
from lab.world.scenes import scene
from s2edit_core.method.learning import step_generator
from s2edit_core.vision.person_network import PersonNetwork, save_network

WIDTHS = (16, 24, 40, 64, 96)
SIDE = 128
INPUT_SIDES = (128, 192)
"""Input sizes in pixels that the segmenter averages over. They were the best of 96 to 256 on 20 people of the bench."""
SCENES = 10_000
BATCH = 32
STEPS = 2000
RATE = 3e-3
SEED = 41
FOLDER = MODEL / "segmenter"


@cache
def scenes_digest() -> str:
    """Return eight hex digits that identify what the scenes show. A changed drawing invalidates cached scenes and checkpoints."""
    return hashlib.sha256(_scenes_between((0, 16)).tobytes()).hexdigest()[:8]


def _scenes_between(bounds: tuple[int, int]) -> NDArray[np.uint8]:
    pairs = [scene(seed, SIDE) for seed in range(*bounds)]
    return np.stack([np.dstack([np.asarray(picture), np.asarray(mask)]) for picture, mask in pairs])


def scenes(folder: Path, count: int, *, workers: int) -> NDArray[np.uint8]:
    """Return scenes 0 to count − 1 with their masks, `(count, SIDE, SIDE, 4)` uint8.

    Draws them unless `folder` has them already.
    """
    path = folder / f"scenes-{count}-{scenes_digest()}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        array = np.lib.format.open_memmap(unfinished, mode="w+", dtype=np.uint8, shape=(count, SIDE, SIDE, 4))
        ranges = [(start, min(start + 200, count)) for start in range(0, count, 200)]
        with ProcessPoolExecutor(workers) as pool:
            for (start, end), block in zip(ranges, pool.map(_scenes_between, ranges), strict=True):
                array[start:end] = block
        array.flush()
        unfinished.rename(path)
    loaded: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return loaded


def batch_of(data: NDArray[np.uint8], step: int, batch: int) -> tuple[Tensor, Tensor]:
    """Return the batch of one step: pictures `(n, 3, SIDE, SIDE)` in -1..1 and masks `(n, SIDE, SIDE)` in 0..1."""
    draw = step_generator(SEED, step)
    chosen = torch.randint(len(data), (batch,), generator=draw).sort().values
    x = torch.from_numpy(data[chosen.numpy()]).permute(0, 3, 1, 2).float()
    mirrored = torch.rand(batch, generator=draw) < 0.5
    x = torch.where(mirrored[:, None, None, None], x.flip(3), x)
    light = 0.85 + 0.3 * torch.rand(batch, 1, 1, 1, generator=draw)
    cast = 0.16 * (torch.rand(batch, 3, 1, 1, generator=draw) - 0.5)
    pictures = ((x[:, :3] / 127.5 - 1) * light + cast).clamp(-1, 1)
    return pictures, x[:, 3] / 255


def loss_of(logits: Tensor, masks: Tensor) -> Tensor:
    """Return cross-entropy per pixel plus 1 − IoU per picture. The second term gives small people the weight of large ones."""
    probable = logits.sigmoid()
    both = (probable * masks).sum(dim=(1, 2))
    either = (probable + masks - probable * masks).sum(dim=(1, 2))
    return F.binary_cross_entropy_with_logits(logits, masks) + (1 - (both + 8) / (either + 8)).mean()


def train(data: NDArray[np.uint8], folder: Path, *, steps: int, batch: int, widths: tuple[int, ...] = WIDTHS) -> PersonNetwork:
    torch.manual_seed(SEED)
    network = PersonNetwork(widths).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    parameters = list(network.parameters())
    optimiser = torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.01)
    recipe = json.dumps([widths, SIDE, len(data), batch, steps, RATE, SEED, scenes_digest()])
    run = Run(folder, "segmenter", recipe, parameters, optimiser, MovingAverage(parameters, 0.995))
    run.resume()
    while run.step < steps:
        pictures, masks = batch_of(data, run.step, batch)
        with mixed_precision(torch.device("cpu")):
            logits = network(pictures.to(memory_format=torch.channels_last))
        loss = loss_of(logits.float(), masks)
        run.descend(loss, warm_cosine(run.step, steps, peak=RATE, floor=0.01))
        if run.step % 50 == 0:
            run.log(loss=float(loss.detach()))
        if run.step % 250 == 0 or run.step == steps:
            run.save()
    run.average.copy_to(parameters)
    trained: PersonNetwork = network.eval()
    return trained


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("--scenes", type=int, default=SCENES)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes that draw the scenes")
    parser.add_argument("--out", type=Path, default=FOLDER)
    wanted = parser.parse_args()
    data = scenes(wanted.work, wanted.scenes, workers=wanted.workers)
    network = train(data, wanted.work, steps=wanted.steps, batch=wanted.batch)
    about: dict[str, Any] = {
        "sides": INPUT_SIDES,
        "trained": {"scenes": len(data), "steps": wanted.steps, "batch": wanted.batch, "seed": SEED},
    }
    save_network(network, wanted.out, about | {"machine": machine()})


if __name__ == "__main__":
    main()
