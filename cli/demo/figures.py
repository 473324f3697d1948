"""What the demo shows of its edits: the columns of the strip, the printed table, and the figures in a file."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.table import Table

from cli.demo.edits import Done, Outcome
from cli.demo.samples import Sample
from cli.demo.strip import Column, difference_map, mask_map
from cli.display import console
from s2edit_core.pictures.files import inside_of
from s2edit_core.request.texts import counted
from s2edit_core.whole_files import write_whole

SHARES = {"replaced": "replaced", "shifted": "recoloured", "left": "untouched"}
"""What a report calls the shares of the edit mask, and how the demo puts it."""


def columns(samples: Mapping[str, Sample], outcome: Outcome) -> list[Column]:
    """Return the strip's columns, one for each edit."""
    found = []
    for done in outcome.edits:
        of, result = samples[done.edit.of], done.result()
        given, about = _given(samples, done, outcome)
        lines = ["what changed", *(f"{_percent(done, name)} {word}" for name, word in SHARES.items())]
        lines.append(f"{counted(changed_outside(of, result), 'pixel')} outside")
        title = f"edit {done.edit.number}: {done.wall_s:.1f} s, {done.how}"
        changed = difference_map(of.photo, result)
        found.append(Column(title, given, about, result, done.edit.prompt, of.source_prompt, changed, lines))
    return found


def _given(samples: Mapping[str, Sample], done: Done, outcome: Outcome) -> tuple[Image.Image, str]:
    """Return what an edit got beside its prompt, and a line about it: a photo, the reference of an attribute, or only a mask."""
    of = samples[done.edit.of]
    if done.edit.attribute:
        return samples[done.edit.attribute].photo, f"[A]: {done.edit.attribute}, learned in {outcome.makeup.wall_s:.1f} s"
    if done.is_cold:
        return of.photo, f"photo: {of.source_prompt.removeprefix('a photo of ')}"
    return mask_map(of.mask, of.edit_mask), f"white: the {of.name}; grey: edit margin"


def _percent(done: Done, share: str) -> str:
    return f"{100 * done.report['delivery'][share]:.0f}%"


def changed_outside(of: Sample, result: Image.Image) -> int:
    """Count the pixels outside the edit mask that differ from the photo."""
    differs = (np.asarray(of.photo) != np.asarray(result)).any(axis=2)
    return int((differs & ~inside_of(of.edit_mask)).sum())


def write_figures(path: Path, outcome: Outcome) -> None:
    """Write what was measured, with what is needed to repeat it."""
    first = outcome.edits[0].report
    values = {
        "command": "s2edit demo",
        "model": {**first["model"], "name": Path(first["model"]["name"]).name},
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        **{name: first[name] for name in ("preset", "seed", "versions")},
        "wall_s": outcome.wall_s,
        "makeup": {"wall_s": outcome.makeup.wall_s},
        "edits": [_figures(done) for done in outcome.edits],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, (json.dumps(values, indent=2, ensure_ascii=False) + "\n").encode())


def _figures(done: Done) -> dict[str, Any]:
    kept = ("prompt", "seconds", "learning_steps", "unet_evaluations", "delivery", "outside_edit_mask")
    return {"of": done.edit.of, "wall_s": done.wall_s, **{name: done.report[name] for name in kept}}


def tell(samples: Mapping[str, Sample], outcome: Outcome) -> None:
    """Print each edit's seconds and what it changed. Edits that ran at the same time have shared the processor."""
    edits = outcome.edits
    titles = [f"{done.edit.number} {done.edit.attribute or done.edit.of}" for done in edits]
    table = Table(f"preset {edits[0].report['preset']}", *titles, box=None, padding=(0, 2, 0, 0), header_style="")
    for phase in edits[0].report["seconds"]:
        table.add_row(f"{phase}, s", *(f"{done.report['seconds'].get(phase, 0.0):.2f}" for done in edits))
    table.add_row("as the app saw it, s", *(f"{done.wall_s:.2f}" for done in edits))
    table.add_row("learning steps", *(str(done.report["learning_steps"]) for done in edits))
    for share, word in SHARES.items():
        table.add_row(f"{word}, of the edit mask", *(_percent(done, share) for done in edits))
    outside = (changed_outside(samples[done.edit.of], done.result()) for done in edits)
    table.add_row("pixels changed outside it", *map(str, outside))
    console.print(table)
    console.print(f"{outcome.wall_s:.1f} s in all: edits at the same time share the model's passes", soft_wrap=True)
