"""The command line of `python -m lab.speed`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from lab.measures.results import machine
from lab.speed import plot
from lab.speed.plan import SCALES, Bench, Phase, plan
from lab.speed.record import DONE, FAILED, Record
from lab.speed.subjects import DTYPES, RANDOM_SD14, Subject
from lab.speed.summary import summary
from lab.speed.timing import takes_processor_time
from lab.training.train import MODEL
from s2edit_core.device_faults import free_memory


def about(subject: Subject, scale: str, dtypes: Sequence[str]) -> dict[str, Any]:
    """Return what identifies a results file: the measured model, the machine, versions, settings."""
    device = subject.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else machine()["processor"]
    return {
        "model": subject.model,
        "device": name,
        "threads": torch.get_num_threads(),
        "seconds_of": "the processor" if takes_processor_time(device) else "the clock",
        "machine": machine() | {each: version(each) for each in ("diffusers", "transformers", "numpy")},
        "scale": scale,
        "dtypes": list(dtypes),
        "seed": subject.seed,
        "kernels": subject.kernels,
    }


def chosen(phases: Sequence[Phase], patterns: Sequence[str]) -> list[Phase]:
    """Return the phases whose names match one of `patterns`, such as `passes/*`; all if there are none.

    Raises `ValueError` for a pattern that matches none.
    """
    for pattern in patterns:
        if not any(fnmatch(phase.name, pattern) for phase in phases):
            raise ValueError(f"no phase is called {pattern!r}: choose from {', '.join(phase.name for phase in phases)}")
    return [phase for phase in phases if not patterns or any(fnmatch(phase.name, pattern) for pattern in patterns)]


def run(phases: Sequence[Phase], record: Record, *, budget_s: float | None, began: float) -> None:
    """Run the phases that are not done yet and fit into the budget, and print how each went."""
    for phase in phases:
        spent = time.perf_counter() - began
        if record.is_done(phase.name):
            print(f"{spent:6.1f} s  {phase.name}: done before", flush=True)
            continue
        if budget_s is not None and spent + phase.estimate_s > budget_s:
            record.skip(phase.name, f"an estimate of {phase.estimate_s:.0f} s did not fit into the rest of the budget")
            print(f"{spent:6.1f} s  {phase.name}: skipped, no time left for {phase.estimate_s:.0f} s", flush=True)
            continue
        record.run(phase.name, phase.work)
        record.put_summary(summary(record.phases))
        entry = record.phases[phase.name]
        how = "done" if entry["state"] == DONE else f"FAILED: {entry['error']}"
        print(f"{time.perf_counter() - began:6.1f} s  {phase.name}: {how} ({entry['took_s']:.1f} s)", flush=True)
        if torch.cuda.is_available():
            free_memory()


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lab.speed", description="Measure the speed of passes and jobs on one device.")
    parser.add_argument("--device", default=None, help="cpu, cuda or cuda:1; by default cuda where there is one")
    parser.add_argument("--model", default=None, help=f"a model folder, or {RANDOM_SD14}; by default {MODEL} on a CPU")
    parser.add_argument("--dtypes", default=None, help=f"precisions of the UNet, the main one first: {', '.join(DTYPES)}")
    parser.add_argument("--quick", action="store_true", help="every phase in miniature, within a minute")
    parser.add_argument("--budget", type=float, default=None, metavar="SECONDS", help="skip what no longer fits")
    parser.add_argument("--only", action="append", default=[], metavar="PHASE", help="a phase, or a pattern such as passes/*")
    parser.add_argument("--list", action="store_true", help="print the phases and their estimates")
    parser.add_argument("--plain", action="store_true", help="use torch's own kernels alone")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=None, help="results file; by default lab/results/speed.json")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    began = time.perf_counter()
    wanted = parsed(arguments)
    device = torch.device(wanted.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    cuda = device.type == "cuda"
    dtypes = tuple((wanted.dtypes or ("bfloat16,float32" if cuda else "float32")).split(","))
    if unknown := set(dtypes) - set(DTYPES):
        sys.exit(f"unknown precision {sorted(unknown)[0]!r}: choose from {', '.join(DTYPES)}")
    scale = device.type + (" quick" if wanted.quick else "")
    out = wanted.out or Path("lab/results") / ("speed-quick.json" if wanted.quick else "speed.json")
    subject = Subject(wanted.model or (RANDOM_SD14 if cuda else str(MODEL)), device, wanted.seed, kernels=not wanted.plain)
    try:
        record = Record(out, about(subject, scale, dtypes))
        phases = plan(Bench(subject, SCALES[scale], record, dtypes, out.with_suffix(".png")))
        selected = chosen(phases, wanted.only)
    except ValueError as error:
        sys.exit(str(error))
    if wanted.list:
        print("\n".join(f"{phase.estimate_s:6.0f} s  {phase.name}" for phase in selected))
        return
    run(selected, record, budget_s=wanted.budget, began=began)
    record.put_summary(summary(record.phases))
    plot.write(record.phases, record.about, out.with_suffix(".png"))
    states = [record.phases[phase.name]["state"] for phase in selected]
    print(f"{time.perf_counter() - began:6.1f} s  {states.count(DONE)} of {len(states)} phases done: {out}", flush=True)
    for name, value in record.summary.items():
        print(f"          {name}: {value}")
    sys.exit(1 if FAILED in states else 0)
