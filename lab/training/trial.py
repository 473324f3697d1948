"""Try the whole training on this machine within a minute: `python -m lab.training.trial`.

A miniature of the driver runs all stages with budgets of seconds. Beside it, two processes measure the speed of the auto-encoder
and the denoiser at several batch sizes, without and with compilation. Timed sections take turns on the device.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from lab.training import autoencoder, denoiser
from lab.training.dataset import DOMAINS, LATENT_CHANNELS, Plan
from lab.training.optimisers import adam
from lab.training.train import environment
from lab.training.trainer import MovingAverage, compiled, use_fast_kernels

MINIATURE = (
    "--render-seconds 14 --vae-seconds 9 --denoiser-seconds 9 --judge-seconds 4 --segmenter-seconds 4 "
    "--small-options=--batch=64 --denoiser-options=--sample-steps=10"
)


@contextmanager
def turn(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def speed(step: Callable[[], Tensor], parameters: list[torch.nn.Parameter], samples: int, lock: Path, seconds: float) -> float:
    """Return the samples per second of whole training steps."""
    optimiser = adam(parameters, peak=1e-4, betas=(0.9, 0.99), decay=0.0)
    average = MovingAverage(parameters, 0.99)

    def whole() -> None:
        optimiser.zero_grad(set_to_none=True)
        step().backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        average.update(parameters, 1)

    def synchronise() -> None:
        if parameters[0].is_cuda:
            torch.cuda.synchronize()

    with turn(lock):
        for _ in range(3):
            whole()
        synchronise()
        started, count = time.monotonic(), 0
        while time.monotonic() - started < seconds:
            for _ in range(3):
                whole()
            synchronise()
            count += 3
        return count * samples / (time.monotonic() - started)


def middle_first(sizes: list[int]) -> list[int]:
    """Compilation takes most of the time, so the likeliest size comes first."""
    middle = sizes[len(sizes) // 2]
    return [middle, *(size for size in sizes if size != middle)]


def bench_vae(options: argparse.Namespace) -> Iterator[tuple[str, float]]:
    device = torch.device(options.device)
    vae = autoencoder.build(widths=tuple(options.vae_widths)).to(device)
    parameters = list(vae.parameters())

    def inputs(size: int) -> tuple[Tensor, Tensor]:
        x = torch.rand((size, 3, 128, 128), device=device).contiguous(memory_format=torch.channels_last) * 2 - 1
        return x, torch.randn((size, LATENT_CHANNELS, denoiser.LATENT_SIDE, denoiser.LATENT_SIDE), device=device)

    def step(size: int, loss_of: Callable[..., tuple[Tensor, Tensor]]) -> Callable[[], Tensor]:
        x, noise = inputs(size)
        return lambda: loss_of(x, noise)[0]

    def plain(x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        return autoencoder.loss_of(vae, x, noise)

    for size in options.vae_batches:
        yield f"auto-encoder, batch {size}", speed(step(size, plain), parameters, size, options.lock, options.timed)
    for size in middle_first(options.vae_batches):
        x, noise = inputs(size)
        fast = compiled(plain, lambda f, x=x, noise=noise: f(x, noise)[0], parameters, wanted=True)  # type: ignore[misc]
        yield f"auto-encoder, batch {size}, compiled", speed(step(size, fast), parameters, size, options.lock, options.timed)


def bench_denoiser(options: argparse.Namespace) -> Iterator[tuple[str, float]]:
    plan = Plan.of(options)
    for wanted in (False, True):
        for size in middle_first(options.denoiser_batches) if wanted else options.denoiser_batches:
            shape = {"batch": size, "latent_channels": LATENT_CHANNELS, "widths": options.denoiser_widths}
            task = {"device": options.device, "compile": wanted, "start": None, "alignment": denoiser.ALIGNMENT}
            stage = denoiser.Stage(plan, argparse.Namespace(**task, **shape))
            unet = stage.compile()
            inputs = stage.random_inputs()
            rate = speed(
                lambda s=stage, u=unet, i=inputs: s.losses_of(u, *i)["loss"],  # type: ignore[misc]
                stage.parameters,
                size,
                options.lock,
                options.timed,
            )
            yield f"denoiser, batch {size}{', compiled' if wanted else ''}", rate


def bench(which: str, options: argparse.Namespace) -> None:
    use_fast_kernels()
    measured: dict[str, float] = {}
    try:
        for name, rate in (bench_vae if which == "vae" else bench_denoiser)(options):
            measured[name] = round(rate)
            peak = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0
            print(f"TRIAL {name}: {rate:.0f} samples/s, peak {peak:.1f} GiB", flush=True)
            (options.out / f"speed-{which}.json").write_text(json.dumps(measured, indent=1))
    except Exception:
        traceback.print_exc()


def run_all(options: argparse.Namespace) -> None:
    """Run the miniature and the benches beside each other, and print what each has printed."""
    options.out.mkdir(parents=True, exist_ok=True)
    domains = [text for part in options.domain or DOMAINS for text in ("--domain", part)]
    tiny = [":".join([*text.split(":")[:1], "200", text.split(":")[2]]) if ":" in text else text for text in domains]
    folders = ["--work", str(options.work / "miniature"), "--out", str(options.out / "miniature")]
    commands = {
        "miniature": [
            "lab.training.train",
            *tiny,
            *folders,
            "--device",
            options.device,
            "--stage-options=--no-compile",
            *options.miniature.split(),
        ],
        "vae": ["lab.training.trial", *sys.argv[1:], "--bench", "vae"],
        "denoiser": ["lab.training.trial", *sys.argv[1:], "--bench", "denoiser"],
    }
    processes = {}
    for name, command in commands.items():
        log = (options.out / f"{name}.log").open("w")
        processes[name] = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", *command], stdout=log, stderr=subprocess.STDOUT, env=environment(options.work)
        )
    ends = time.monotonic() + options.seconds
    while time.monotonic() < ends and any(process.poll() is None for process in processes.values()):
        time.sleep(0.2)
    for name, process in processes.items():
        state = process.poll()
        if state is None:
            process.terminate()
        print(f"===== {name}: {'still running, stopped' if state is None else f'exit code {state}'}")
        print((options.out / f"{name}.log").read_text()[-6000:], flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("/tmp/s2edit-trial"))  # noqa: S108
    parser.add_argument("--out", type=Path, default=Path("trial"))
    parser.add_argument("--domain", action="append")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seconds", type=float, default=75, help="after this, what still runs is stopped")
    parser.add_argument("--timed", type=float, default=1.0, help="seconds per speed")
    parser.add_argument("--miniature", default=MINIATURE, help="options of the miniature")
    parser.add_argument("--vae-batches", type=int, nargs="+", default=[32, 64, 128])
    parser.add_argument("--vae-widths", type=int, nargs="+", default=autoencoder.WIDTHS)
    parser.add_argument("--denoiser-batches", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--denoiser-widths", type=int, nargs="+", default=denoiser.WIDTHS)
    parser.add_argument("--bench", choices=("vae", "denoiser"))
    options = parser.parse_args()
    options.lock = options.out / ".turn"
    if options.bench:
        bench(options.bench, options)
    else:
        run_all(options)


if __name__ == "__main__":
    main()
