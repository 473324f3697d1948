"""Edit unseen people, cats and churches in many ways and compare the results with the truth: `python -m lab.quality.worlds`.

Without options it runs the stages of `plan.DEFAULT`, the most important comparisons first. `--settings` runs other ways on one
domain, such as `--domain cat --settings balanced:none,balanced:other --edits turned,awake`. `--transfer makeup` runs a transfer.

A run stops by itself after `--seconds` and resumes: finished edits are kept under `--work` and in `--out`.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import traceback
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from lab.measures.results import machine
from lab.quality.worlds import measures, records, sheet, units
from lab.quality.worlds.editing import OutOfTime
from lab.quality.worlds.measures import Judges
from lab.quality.worlds.plan import AUTOENCODER, DEFAULT, UNEDITED, Stage, Unit, in_turn, seeds_of
from lab.quality.worlds.settings import BASES, VARIANTS, parsed, setting_of
from lab.quality.worlds.transfers import WEARABLES
from lab.quality.worlds.units import Bench
from lab.training.dataset import WORK
from lab.world.domains import DOMAINS
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.unet import backbone as passes
from s2edit_core.unet.backbone import Backbone

LAST_SECONDS = 12.0
"""Time that is kept for the results file and the sheet."""
ROWS_PER_PASS = 64
"""Largest UNet pass on a GPU. A small model's passes of fewer rows leave it idle."""
SETTINGS_HELP = (
    "ways, separated by commas: SETTING or SETTING:ORIGIN; a setting is a preset with variants, such as balanced+kv+free; "
    f"presets: {', '.join(BASES)}; variants: {', '.join(VARIANTS)}"
)
_bench: Bench | None = None


def _start(bench: Bench, device: str) -> None:
    """Prepare a worker process: one thread, and its own copy of the model on `device`. Without that device, it uses the CPU."""
    global _bench
    torch.set_num_threads(1)
    _bench = bench
    if device != "cpu":
        try:
            bench.pipe = S2EditPipeline(_moved(bench.pipe.backbone, device))
            bench.together = True
            passes.MAX_ROWS_PER_PASS = ROWS_PER_PASS
        except Exception:
            print(f"no {device}: this worker uses the CPU", flush=True)
            traceback.print_exc()
            bench.pipe = S2EditPipeline(_moved(bench.pipe.backbone, "cpu"))


def _moved(model: Backbone, device: str) -> Backbone:
    unet, vae, text_encoder = (part.to(device) for part in (model.unet, model.vae, model.text_encoder))
    moved = Backbone(unet, vae, text_encoder, model.tokenizer, model.schedule, model.card)
    moved.fingerprints = model.fingerprints
    return moved


def _run(unit: Unit) -> int:
    """Run a unit in a worker. Returns the number of records; what was finished before an error or the end of the time is kept."""
    assert _bench is not None
    made = 0
    try:
        if time.time() < _bench.deadline:
            for some in units.run(_bench, unit):
                records.append(_bench.folder, some)
                made += len(some)
    except OutOfTime:
        pass
    except Exception:
        print(f"{unit.stage.name} {unit.stage.domain} {unit.seed} failed", flush=True)
        traceback.print_exc()
    return made


def stages_of(wanted: argparse.Namespace) -> tuple[Stage, ...]:
    """Return the stages that the options ask for."""
    if wanted.transfer:
        domain = WEARABLES[wanted.transfer].domain
        setting = wanted.settings.partition(":")[0] or "balanced"
        return (Stage("transfer", domain, wanted.count or 16, transfer=wanted.transfer, setting=setting),)
    if not (wanted.settings or wanted.edits or wanted.domain):
        return tuple(DEFAULT if wanted.count is None else (_counted(stage, wanted.count) for stage in DEFAULT))
    ways = parsed((wanted.settings or "balanced").split(","))
    edits = tuple(wanted.edits.split(",")) if wanted.edits else None
    domains = (wanted.domain or "person").split(",")
    return tuple(Stage("chosen", domain, wanted.count or 12, ways, edits) for domain in domains)


def _counted(stage: Stage, count: int) -> Stage:
    return Stage(**{**vars(stage), "count": count})


def seeds_in_workers(pool: ProcessPoolExecutor, stages: tuple[Stage, ...]) -> list[Unit]:
    """Return the units in their order. Looking for subjects takes renders, so the workers do it."""
    seeds = dict(zip(stages, pool.map(seeds_of, stages), strict=True))
    return [Unit(stage, seeds[stage][i]) for stage, i in in_turn(stages)]


def run(bench: Bench, stages: tuple[Stage, ...], jobs: int, device: str) -> None:
    """Run all units in `jobs` processes."""
    started, made = time.time(), 0
    with ProcessPoolExecutor(jobs, get_context("fork"), _start, (bench, device)) as pool:
        todo = seeds_in_workers(pool, stages)
        print(f"{len(todo)} units after {time.time() - started:.0f} s", flush=True)
        reported = 0.0
        for i, done in enumerate(as_completed([pool.submit(_run, unit) for unit in todo]), 1):
            made += done.result()
            if time.time() - reported > 10 or i == len(todo):
                reported = time.time()
                print(f"{i} of {len(todo)} units, {made} records, {reported - started:.0f} s", flush=True)


def finish(bench: Bench, stages: tuple[Stage, ...], wanted: argparse.Namespace) -> None:
    """Write the results file and the sheet, and print the most important figures."""
    found = records.collect(bench.folder, wanted.out)
    current = {key for key in map(records.key_of, found) if key[0] == bench.recipe(key[1])}
    found = [record for record in found if records.key_of(record) in current]
    about = {
        "model": bench.pipe.backbone.fingerprint,
        "settings": {name: repr(setting_of(name)) for name in sorted({names_setting(record["way"]) for record in found} - {""})},
        "machine": machine(),
        **bench.judges.about(),
    }
    records.write(wanted.out, found, about, (*measures.FIGURES, *measures.TRANSFER_FIGURES))
    for line in table(records.summary(found, (*measures.FIGURES, *measures.TRANSFER_FIGURES))):
        print(line)
    if wanted.sheet_rows:
        by_stage = {stage: [r for r in found if (r["stage"], r["domain"]) == (stage.name, stage.domain)] for stage in stages}
        present = {stage: [r for r in each if bench.picture_path(r).exists()] for stage, each in by_stage.items()}
        sheet.write(bench, stages, present, wanted.out.with_suffix(".png"), wanted.sheet_rows)


def names_setting(way: str) -> str:
    """Return the setting of a way, empty for those that edit nothing."""
    return "" if way in (UNEDITED, AUTOENCODER) else way.partition(":")[0].partition("/")[0]


def table(summary: dict[str, Any]) -> list[str]:
    """Return a line of means per domain, way and group."""
    shown = ("psnr", "psnr_changed", "gain", "success", "identity_error", "identity_error_decoded", "colour_error", "all_parts")
    lines = [f"{'':44s}" + " ".join(f"{name[:14]:>14s}" for name in ("count", *shown, "reduction"))]
    for domain, ways in summary.items():
        for way, parts in ways.items():
            for part, found in parts.items():
                if isinstance(found, dict) and (part == "all" or part.startswith("group")):
                    cells = [f"{found[name][0]:14.3f}" if name in found else " " * 14 for name in shown]
                    reduced = found.get("identity_reduction_decoded")
                    last = f"{reduced:14.3f}" if reduced is not None else ""
                    lines.append(f"{f'{domain} {way} {part}':44s}{found['count']:14d} {' '.join(cells)} {last}")
    return lines


def options_of(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="models/world-128")
    parser.add_argument("--judges", type=Path, default=Path("lab/judges"), help="folder of the judges' weights")
    parser.add_argument("--out", type=Path, default=Path("lab/results/worlds.json"), help="results file; the sheet is beside it")
    parser.add_argument("--work", type=Path, default=WORK.parent / "quality-worlds", help="folder of finished edits")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--jobs", type=int, default=1, help="worker processes, of one thread each")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long, everything included")
    parser.add_argument("--domain", default="", help=f"some of {','.join(DOMAINS)}")
    parser.add_argument("--settings", default="", help=SETTINGS_HELP)
    parser.add_argument("--edits", default="", help="names or groups of edits, separated by commas")
    parser.add_argument("--transfer", default="", choices=("", *WEARABLES))
    parser.add_argument("--count", type=int, default=None, help="subjects of each stage")
    parser.add_argument("--sheet-rows", type=int, default=16, help="rows of each stage in the sheet; 0: no sheet")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    started = time.time()
    os.environ["OMP_NUM_THREADS"] = "1"
    wanted = options_of(arguments)
    torch.set_num_threads(1)  # also keeps forked processes free of thread pools
    stages = stages_of(wanted)
    (wanted.work / "pictures").mkdir(parents=True, exist_ok=True)
    wanted.out.parent.mkdir(parents=True, exist_ok=True)
    pipe = S2EditPipeline(Backbone.from_pretrained(wanted.model))
    known = {records.key_of(record) for record in records.collect(wanted.work, wanted.out)}
    bench = Bench(pipe, Judges.load(wanted.judges), wanted.work, known, started + wanted.seconds - LAST_SECONDS)
    bench.pipe.backbone.fingerprint  # noqa: B018 - computed once, before the processes part
    print(
        f"loaded after {time.time() - started:.0f} s; {len(known)} records are known: {json.dumps([s.name for s in stages])}",
        flush=True,
    )
    try:
        run(bench, stages, wanted.jobs, wanted.device)
    finally:
        finish(bench, stages, wanted)
    print(f"done after {time.time() - started:.0f} s", flush=True)
