"""Train the shipped model from scratch, on one GPU or in miniature on a CPU: `python -m lab.training.train`.

The driver runs each stage as a process of its own, within the stage's wall-clock budget, and needs no attention:

    render ─→ auto-encoder ─→ denoiser (started early, so that it is compiled by then)
         └──→ judge, identity regressor and segmenter, beside the denoiser; the segmenter's pictures are rendered before

A stage that fails is started once more, without compilation. It resumes from its checkpoint, as it does if the whole driver is
started again; finished stages are skipped. At intervals, `--out` gets all results so far: sheets, logs and an archive in parts.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from lab.training.dataset import LATENT_CHANNELS, Plan, add_options
from lab.training.export import GAINS, GUIDANCE, describe, pack

__all__ = ["GAINS", "GUIDANCE", "MODEL"]

MODEL = Path("models/world-128")
"""The model of the benches, whose results are in `lab/results/`."""
PACK_EVERY = 60.0
RENDER = "lab.training.render"


@dataclass
class Stage:
    """A stage of the driver: its command, and the stages that must have ended before it starts."""

    name: str
    module: str
    seconds: float
    arguments: list[str]
    after: tuple[str, ...] = ()
    attempts: int = 0
    process: subprocess.Popen[bytes] | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    _since: float = 0.0

    def start(self, work: Path, options: list[str]) -> None:
        again = ["--no-compile"] if self.attempts and self.module != RENDER else []
        command = [sys.executable, "-m", self.module, *self.arguments, "--seconds", str(self.seconds), *options, *again]
        self.attempts += 1
        self._since = time.time()
        print(f"[{self.name}] {' '.join(command[1:])}", flush=True)
        self.process = subprocess.Popen(command, env=environment(work), start_new_session=True)  # noqa: S603 - our own command

    def stop(self) -> None:
        """End the process and those that it has started."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGTERM)

    def poll(self) -> bool:
        """Note the end of the process. Returns whether the stage is over."""
        if self.process is None or self.process.poll() is None:
            return False
        self.facts = {"code": self.process.returncode, "wall_seconds": round(time.time() - self._since), "attempts": self.attempts}
        print(f"[{self.name}] ended {self.facts}", flush=True)
        self.process = None
        return self.facts["code"] == 0 or self.attempts >= 2


def environment(work: Path) -> dict[str, str]:
    """Return the environment of stages. Compiled kernels stay under `work`, for the next start."""
    cache = {"TORCHINDUCTOR_CACHE_DIR": str(work / "inductor"), "TRITON_CACHE_DIR": str(work / "triton")}
    return {**cache, **os.environ, "PYTHONUNBUFFERED": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}


def stages_of(wanted: argparse.Namespace) -> list[Stage]:
    shape = ["--latent-channels", str(wanted.latent_channels)]
    stages = [
        Stage("render", RENDER, wanted.render_seconds, ["--workers", str(wanted.workers)]),
        Stage("masked", RENDER, wanted.masked_seconds, ["--masked", "--workers", str(wanted.workers)], ("render",)),
        Stage("autoencoder", "lab.training.autoencoder", wanted.vae_seconds, [*shape, *wanted.vae_options.split()]),
        Stage("denoiser", "lab.training.denoiser", wanted.denoiser_seconds, [*shape, *wanted.denoiser_options.split()]),
    ]
    small = ["--no-compile", *wanted.small_options.split()]
    for name, module, arguments, seconds in (
        ("attributes", "lab.judges.training", ["attributes"], wanted.judge_seconds),
        ("identity", "lab.judges.training", ["identity"], wanted.judge_seconds),
        ("segmenter", "lab.segmentation.training", [], wanted.segmenter_seconds),
    ):
        stages.append(Stage(name, module, seconds, [*arguments, *small], ("autoencoder", "masked")))
    return [stage for stage in stages if stage.seconds > 0]


class Driver:
    def __init__(self, wanted: argparse.Namespace) -> None:
        self.wanted, self.work = wanted, wanted.work
        self.plan = Plan.of(wanted)
        self.marks = self.work / "finished"
        self.stages = {stage.name: stage for stage in stages_of(wanted)}
        self.over = {name for name in self.stages if (self.marks / name).exists()}
        self._packed = self._started = time.time()

    def run(self) -> bool:
        """Run all stages. Returns whether all have succeeded."""
        for folder in (self.marks, self.work / "result"):
            folder.mkdir(parents=True, exist_ok=True)
        common = [text for part in self.wanted.domain or [] for text in ("--domain", part)] + ["--work", str(self.work)]
        try:
            while self.over != set(self.stages):
                for stage in self.stages.values():
                    self._advance(stage, common)
                if time.time() - self._packed > PACK_EVERY:
                    self.pack()
                time.sleep(0.3)
        finally:
            for stage in self.stages.values():
                stage.stop()
        self.pack()
        return all((self.marks / name).exists() for name in self.stages)

    def _advance(self, stage: Stage, common: list[str]) -> None:
        if stage.name in self.over:
            return
        if stage.process is None:
            if all(name in self.over or name not in self.stages for name in stage.after):
                device = [] if stage.module == RENDER else ["--device", self.wanted.device, *self.wanted.stage_options.split()]
                stage.start(self.work, common + device)
        elif stage.poll():
            self.over.add(stage.name)
            if stage.facts["code"] == 0:
                (self.marks / stage.name).write_text(json.dumps(stage.facts))
            elif stage.name == "autoencoder" and "denoiser" in self.stages:
                self.stages["denoiser"].stop()  # it would wait forever
                self.over.add("denoiser")
            self.pack()

    def pack(self) -> None:
        """Write results and logs to `--out`. A failure to do so doesn't end the training."""
        self._packed = time.time()
        try:
            logs = {path.stem: json.loads(path.read_text()) for path in sorted((self.work / "checkpoints").glob("*.json"))}
            facts = {
                "machine": f"{platform.machine()}, {os.cpu_count()} cores, {device_name(self.wanted.device)}",
                "torch": torch.__version__,
                "python": platform.python_version(),
                "seconds": round(time.time() - self._started),
                "stages": {name: self._facts(stage, logs.get(name, {}).get("log", [])) for name, stage in self.stages.items()},
                "options": {name: str(value) for name, value in vars(self.wanted).items()},
            }
            (self.work / "result" / "training.json").write_text(json.dumps({"facts": facts, "logs": logs}, indent=1) + "\n")
            describe(self.work / "result", facts)
            pack(self.work / "result", self.wanted.out)
        except Exception:
            traceback.print_exc()

    def _facts(self, stage: Stage, log: list[dict[str, float]]) -> dict[str, Any]:
        """Return what is known of a stage, also of one that an earlier start of the driver has finished."""
        mark = self.marks / stage.name
        facts: dict[str, Any] = stage.facts or (json.loads(mark.read_text()) if mark.exists() else {})
        if log:
            last = {name: value for name, value in log[-1].items() if name in ("mse", "loss", "unseen_psnr", "samples_per_s")}
            counted = {"steps": round(log[-1]["step"]), "seconds": round(log[-1]["seconds"])}  # of all starts: the log goes on
            facts = {**facts, **counted, "last": ", ".join(f"{k} {v:.4g}" for k, v in last.items())}
        return facts


def device_name(device: str) -> str:
    return torch.cuda.get_device_name() if device.startswith("cuda") else device


def options_of(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--out", type=Path, default=Path("trained"), help="folder of the results; at most 8 files of 15 MiB")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes that render")
    parser.add_argument("--latent-channels", type=int, default=LATENT_CHANNELS)
    for name, seconds in (("render", 300), ("masked", 120), ("vae", 400), ("denoiser", 560), ("judge", 90), ("segmenter", 75)):
        parser.add_argument(f"--{name}-seconds", type=float, default=seconds, help="wall-clock budget; 0 skips the stage")
    for name in ("vae", "denoiser", "small", "stage"):
        parser.add_argument(f"--{name}-options", default="", help="more options for these stages, in one string")
    return parser.parse_args(arguments)


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the stages end too
    sys.exit(0 if Driver(options_of()).run() else 1)


if __name__ == "__main__":
    main()
