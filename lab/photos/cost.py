"""`python -m lab.photos.cost`: what a photo's size adds to an edit, from the upload's bytes to the result's.

Each size runs in a process of its own, through the worker's engine with preset `instant`. `around_s` is the wall time of planning
and editing less that of learning, inverting and sampling, which do not depend on the size. Memory is the peak of the process; what
decoding children need is in `decoding.json`.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from lab.measures.memory import peak_bytes
from lab.measures.results import machine
from lab.photos.people import PEOPLE, sampled
from lab.quality.worlds.edits import FIRST
from lab.training.train import MODEL
from lab.world.full_size import photograph

SIDES = (1000, 2000, 3464, 4900)
"""Of square photographs: 1, 4, 12 and 24 megapixels."""
MODEL_PHASES = ("learning", "inverting", "editing")


def photo_and_mask(side: int) -> tuple[bytes, bytes]:
    """A JPEG as a phone writes it, and the mask as PNG."""
    shot = photograph(sampled(0), side)
    files = []
    for picture, options in ((shot.picture, {"format": "JPEG", "quality": 92}), (shot.mask, {"format": "PNG"})):
        buffer = io.BytesIO()
        picture.save(buffer, **options)
        files.append(buffer.getvalue())
    return files[0], files[1]


def edited_once(side: int, folder: Path) -> dict[str, Any]:
    """Run one edit in this process; its figures."""
    from s2edit_core.request.spec import EditRequest
    from worker.engines.engine import EditInputs
    from worker.engines.s2edit_engine import S2EditEngine

    torch.set_num_threads(2)
    engine = S2EditEngine(str(MODEL), "cpu")
    person = sampled(0)
    answer = PEOPLE.change(person, hair_colour="black" if person.attributes.hair_colour == "red" else "red")
    described, wanted = (PEOPLE.caption(each.attributes) for each in (person, answer))
    request = EditRequest(prompt=wanted, source_prompt=described, preset="instant")
    image, mask = ((folder / name).read_bytes() for name in ("photo.jpg", "mask.png"))
    began, inputs = time.perf_counter(), EditInputs(image, mask)
    engine.plan(request, inputs)
    steps = engine.edit(request, inputs, concept=None, inversion=None)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            report = end.value.report
            break
    wall = time.perf_counter() - began
    seconds = report["seconds"]
    return {
        "side": side,
        "megapixels": round(side * side / 1e6, 1),
        "around_s": round(wall - sum(seconds[phase] for phase in MODEL_PHASES), 3),
        "preparing_s": round(seconds["preparing"], 3),
        "finishing_s": round(seconds["finishing"], 3),
        "model_s": round(sum(seconds[phase] for phase in MODEL_PHASES), 3),
        "peak_mb": peak_bytes() // 2**20,
    }


def added(figures: Mapping[int, Mapping[str, Any]], to: int) -> dict[str, float]:
    """What the larger photo costs beyond the smallest."""
    least = figures[min(figures)]
    return {
        "seconds": round(figures[to]["around_s"] - least["around_s"], 3),
        "memory_mb": figures[to]["peak_mb"] - least["peak_mb"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("/tmp/s2edit-photo-cost"))  # noqa: S108 (pictures of nobody)
    parser.add_argument("--side", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path("lab/results/photo_cost.json"))
    wanted = parser.parse_args()
    if wanted.side is not None:
        print(json.dumps(edited_once(wanted.side, wanted.work / str(wanted.side))))
        return
    figures = {}
    for side in SIDES:
        folder = wanted.work / str(side)
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in zip(("photo.jpg", "mask.png"), photo_and_mask(side), strict=True):
            (folder / name).write_bytes(data)
        command = [sys.executable, "-m", "lab.photos.cost", "--work", str(wanted.work), "--side", str(side)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
        figures[side] = json.loads(done.stdout.splitlines()[-1])
        print(figures[side], flush=True)
    results = {
        "sizes": list(figures.values()),
        "added_by_12_megapixels": added(figures, 3464),
        "added_by_24_megapixels": added(figures, 4900),
        "seed": FIRST,
        "machine": machine(),
    }
    wanted.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
