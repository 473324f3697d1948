"""Helpers of all training stages: precision, learning-rate schedule, averaged weights and resumable checkpoints."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


class StaleCheckpointError(RuntimeError):
    """A checkpoint belongs to a run with another recipe."""


def mixed_precision(device: torch.device) -> torch.autocast:
    """Return an autocast to bfloat16 on devices with native support (CUDA; CPUs with AVX-512 BF16 or AMX), else a disabled one."""
    native = device.type == "cuda" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.autocast(device.type, torch.bfloat16, enabled=native)


def warm_cosine(step: int, steps: int, *, peak: float, floor: float, warmup: int = 200) -> float:
    """Return the learning rate: a linear warm-up, then a cosine from `peak` to `floor · peak`."""
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return peak * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress)))


class MovingAverage:
    """An exponential moving average of parameters. Early steps use a smaller decay, so that the initial weights are forgotten."""

    def __init__(self, parameters: list[nn.Parameter], decay: float) -> None:
        self.decay = decay
        self.values = [p.detach().clone() for p in parameters]

    @torch.no_grad()
    def update(self, parameters: list[nn.Parameter], step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.values, [p.detach() for p in parameters], 1 - decay)

    @torch.no_grad()
    def copy_to(self, parameters: list[nn.Parameter]) -> None:
        torch._foreach_copy_([p.detach() for p in parameters], self.values)


@dataclass
class Run:
    """A resumable training run: parameters, optimiser, average, step and seconds spent.

    `recipe` describes everything that the weights depend on. A run never resumes from a checkpoint with another recipe.
    """

    folder: Path
    name: str
    recipe: str
    parameters: list[nn.Parameter]
    optimiser: torch.optim.Optimizer
    average: MovingAverage
    step: int = 0
    seconds: float = 0.0
    losses: list[dict[str, float]] = field(default_factory=list)
    _since: float = field(default_factory=time.monotonic)

    @property
    def checkpoint(self) -> Path:
        return self.folder / f"{self.name}.ckpt"

    def resume(self) -> bool:
        """Load the last checkpoint and return whether there is one. Raises `StaleCheckpointError` if its recipe differs."""
        if not self.checkpoint.exists():
            return False
        state: dict[str, Any] = torch.load(self.checkpoint, weights_only=True, map_location="cpu")
        if state["recipe"] != self.recipe:
            raise StaleCheckpointError(
                f"{self.checkpoint} belongs to another recipe: delete it or choose another folder.\n"
                f" checkpoint: {state['recipe']}\n this run:   {self.recipe}"
            )
        with torch.no_grad():
            for mine, saved in zip(self.parameters, state["parameters"], strict=True):
                mine.copy_(saved)
            for average, saved in zip(self.average.values, state["average"], strict=True):
                average.copy_(saved)
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seconds, self.losses = state["step"], state["seconds"], state["losses"]
        self._since = time.monotonic()
        return True

    def descend(self, loss: Tensor, rate: float) -> None:
        """Take one optimiser step at learning rate `rate`, with the gradient norm clipped to 1, and update the average."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimiser.step()
        self.step += 1
        self.average.update(self.parameters, self.step)

    def save(self) -> None:
        now = time.monotonic()
        self.seconds, self._since = self.seconds + now - self._since, now
        self.folder.mkdir(parents=True, exist_ok=True)
        unfinished = self.checkpoint.with_suffix(".part")
        torch.save(
            {
                "recipe": self.recipe,
                "parameters": [p.detach().cpu() for p in self.parameters],
                "average": [v.cpu() for v in self.average.values],
                "optimiser": self.optimiser.state_dict(),
                "step": self.step,
                "seconds": self.seconds,
                "losses": self.losses,
            },
            unfinished,
        )
        unfinished.replace(self.checkpoint)

    def log(self, **figures: float) -> None:
        entry = {"step": float(self.step), **{k: round(v, 6) for k, v in figures.items()}}
        self.losses.append(entry)
        elapsed = self.seconds + time.monotonic() - self._since
        print(f"{self.name} {elapsed:7.0f} s {json.dumps(entry)}", flush=True)
