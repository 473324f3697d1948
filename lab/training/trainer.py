"""Helpers of all training stages: precision, compilation, learning rate by wall-clock budget, averaged weights and checkpoints."""

from __future__ import annotations

import json
import math
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lab.training.optimisers import Optimiser

APART = 0.1
"""Share of a compiled function's gradients that may differ from the plain ones by more than half, as tiny ones in bfloat16 do."""


class StaleCheckpointError(RuntimeError):
    """A checkpoint belongs to a run with another recipe."""


def mixed_precision(device: torch.device) -> torch.autocast:
    """Return an autocast to bfloat16 on devices with native support (CUDA; CPUs with AVX-512 BF16 or AMX), else a disabled one."""
    native = device.type == "cuda" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.autocast(device.type, torch.bfloat16, enabled=native)


def use_fast_kernels() -> None:
    """Let CUDA use TF32 and choose convolution kernels by measuring them."""
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True


def compiled(
    function: Callable[..., Any],
    loss_of: Callable[[Callable[..., Any]], Tensor],
    parameters: Sequence[nn.Parameter],
    *,
    wanted: bool,
) -> Callable[..., Any]:
    """Return `function` compiled, or as it is if that is not `wanted`, fails, or gives `parameters` other gradients.

    `loss_of` calls it once as training will, always with the same inputs. A compiler can be wrong without an error: on a CPU,
    torch 2.13 gave all inner levels of a UNet gradients of zero.
    """
    if not wanted:
        return function
    started = time.monotonic()
    try:
        fast: Callable[..., Any] = torch.compile(function, dynamic=False)
        apart = _apart(_gradients(loss_of, function, parameters), _gradients(loss_of, fast, parameters))
    except Exception:
        traceback.print_exc()
        print("compilation failed: training goes on without it", flush=True)
        torch._dynamo.reset()
        return function
    if apart > APART:
        print(f"compiled, {100 * apart:.0f} % of the parameters get other gradients: training goes on without it", flush=True)
        torch._dynamo.reset()
        return function
    print(f"compiled in {time.monotonic() - started:.0f} s", flush=True)
    return fast


def _gradients(
    loss_of: Callable[[Callable[..., Any]], Tensor], function: Callable[..., Any], parameters: Sequence[nn.Parameter]
) -> list[Tensor | None]:
    loss_of(function).backward()
    found = [parameter.grad for parameter in parameters]
    for parameter in parameters:
        parameter.grad = None
    return found


def _apart(gradients: Sequence[Tensor | None], others: Sequence[Tensor | None]) -> float:
    """Return the share of the gradients from which the others differ by more than half."""
    known = [(a, b) for a, b in zip(gradients, others, strict=True) if a is not None and bool(a.any())]
    far = [b is None or bool((a - b).norm() > 0.5 * a.norm()) for a, b in known]
    return sum(far) / max(1, len(far))


def rate_at(share: float, step: int, *, peak: float, floor: float = 0.01, warmup: int = 200) -> float:
    """Return the learning rate when `share` (0..1) of the budget is spent.

    It rises linearly over the first `warmup` steps and follows a cosine from `peak` to `floor · peak`.
    """
    cosine = floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
    return peak * cosine * min(1.0, (step + 1) / warmup)


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

    @contextmanager
    def applied(self, parameters: list[nn.Parameter]) -> Iterator[None]:
        """Give the parameters their averages inside the block, and their own values back after it."""
        own = [p.detach().clone() for p in parameters]
        self.copy_to(parameters)
        try:
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_([p.detach() for p in parameters], own)


@dataclass
class Run:
    """A resumable training run: parameters, optimiser, average, step and seconds spent.

    `budget` is the wall-clock time of the stage in seconds, compilation included. `share` rises linearly from the first step to the
    end of the budget, at any speed and over any number of interruptions. `recipe` describes what the weights depend on apart from
    time. A run never resumes from a checkpoint with another recipe.
    """

    folder: Path
    name: str
    recipe: str
    parameters: list[nn.Parameter]
    optimiser: Optimiser
    average: MovingAverage
    budget: float = 0.0
    save_every: float = 60.0
    step: int = 0
    seconds: float = 0.0
    losses: list[dict[str, float]] = field(default_factory=list)
    _since: float = field(default_factory=lambda: time.monotonic())
    _began: float | None = None
    _share: float = 0.0
    _saved: float = field(default_factory=lambda: time.monotonic())

    @property
    def checkpoint(self) -> Path:
        return self.folder / f"{self.name}.ckpt"

    @property
    def elapsed(self) -> float:
        """Seconds of the budget spent, those before interruptions included."""
        return self.seconds + time.monotonic() - self._since

    @property
    def share(self) -> float:
        """The share of the schedule that is over, 0..1."""
        if self._began is None or self._share >= 1:
            return self._share
        left = self.budget - self._began
        return 1.0 if left <= 0 else min(1.0, self._share + (1 - self._share) * (self.elapsed - self._began) / left)

    def start_clock(self) -> None:
        """Count the budget's seconds from now on."""
        self._since = time.monotonic()

    def begin(self) -> None:
        """Spread what is left of the schedule over what is left of the budget, from now on. To be called before the first step."""
        self._began = self.elapsed

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
        self.step, self.seconds, self.losses, self._share = state["step"], state["seconds"], state["losses"], state["share"]
        self.start_clock()
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
        self.folder.mkdir(parents=True, exist_ok=True)
        unfinished = self.checkpoint.with_suffix(".part")
        torch.save(
            {
                "recipe": self.recipe,
                "parameters": [p.detach().cpu() for p in self.parameters],
                "average": [v.cpu() for v in self.average.values],
                "optimiser": self.optimiser.state_dict(),
                "step": self.step,
                "seconds": self.elapsed,
                "share": self.share,
                "losses": self.losses,
            },
            unfinished,
        )
        unfinished.replace(self.checkpoint)
        self._saved = time.monotonic()

    def save_if_due(self) -> bool:
        """Save every `save_every` seconds. Returns whether it did."""
        due = time.monotonic() - self._saved >= self.save_every
        if due:
            self.save()
        return due

    def log(self, **figures: float) -> None:
        """Print figures and append them to the log, which is also written to `{name}.json` beside the checkpoint."""
        entry = {"step": float(self.step), "seconds": round(self.elapsed, 1), **{k: round(v, 6) for k, v in figures.items()}}
        self.losses.append(entry)
        print(f"{self.name} {100 * self.share:3.0f} % {json.dumps(entry)}", flush=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"{self.name}.json").write_text(json.dumps({"recipe": self.recipe, "log": self.losses}) + "\n")


class Meter:
    """Means of figures between two log entries, and the speed. It synchronises with the device only when it is read."""

    def __init__(self, every: float) -> None:
        self.every = every
        self._sums: dict[str, Tensor] = {}
        self._steps = self._samples = 0
        self._since = time.monotonic()

    def add(self, samples: int, **figures: Tensor) -> None:
        for name, value in figures.items():
            self._sums[name] = self._sums.get(name, 0) + value.detach().float()
        self._steps += 1
        self._samples += samples

    @property
    def due(self) -> bool:
        return self._steps > 0 and time.monotonic() - self._since >= self.every

    def read(self) -> dict[str, float]:
        """Return the means and `samples_per_s`, and start anew."""
        figures = {name: float(total) / max(1, self._steps) for name, total in self._sums.items()}
        figures["samples_per_s"] = self._samples / (time.monotonic() - self._since)
        self._sums, self._steps, self._samples, self._since = {}, 0, 0, time.monotonic()
        return figures
