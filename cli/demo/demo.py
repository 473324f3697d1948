"""`s2edit demo`: edit a sample portrait three times over HTTP, and show the pictures, the reports and the seconds.

The service is `s2edit up` in a process of its own, with a fresh data folder; this process is an app like any other.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image
from rich.table import Table

from cli.checks.doctor import examine_model
from cli.client import EditClient, View
from cli.demo.strip import Column, difference_map, draw_strip, mask_map
from cli.display import console, follow, progress_bars, save
from cli.supervision.own_service import own_service
from cli.supervision.processes import StartFailed
from s2edit_core.pictures.files import grown, inside_of
from s2edit_core.request.texts import counted
from s2edit_jobs.settings import Settings

NEXT_PROMPT = "a photo of a smiling woman with long red hair"
"""Of the edit that the demo's last lines ask for."""
SHARES = {"replaced": "replaced", "shifted": "recoloured", "left": "untouched"}
"""What a report calls the shares of the edit mask, and how the demo puts it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The portrait, its mask, the prompt that describes it, and those of the edits."""

    source: Image.Image
    mask: Image.Image
    source_prompt: str
    prompts: tuple[str, ...]

    @property
    def edit_mask(self) -> Image.Image:
        """What an edit may change: the demo sends no edit mask, so the service grows the identity mask."""
        return grown(self.mask)


@dataclass(frozen=True, slots=True)
class Done:
    """One edit that succeeded. `wall_s`: seconds from the request to the fetched result, as the app sees it."""

    prompt: str
    view: View
    picture: Path
    report_file: Path
    wall_s: float

    @property
    def report(self) -> dict[str, Any]:
        values: dict[str, Any] = self.view["report"]["values"]
        return values

    @property
    def is_cold(self) -> bool:
        """Whether the person was learned."""
        return bool(self.report["learning_steps"])

    def result(self) -> Image.Image:
        with Image.open(self.picture) as picture:
            return picture.convert("RGB")


def sample() -> Sample:
    """Return the sample portrait. `lab/world/sample.py` drew it; it is package data, because the lab is not installed."""
    return Sample(
        source=_shipped("photo.png"),
        mask=_shipped("mask.png"),
        source_prompt="a photo of a woman with long brown hair",
        prompts=(
            "a photo of a woman with long red hair",
            "a photo of a smiling woman with long brown hair",
            "a photo of a woman with long brown hair and glasses",
        ),
    )


def _shipped(name: str) -> Image.Image:
    with Image.open(Path(__file__).with_name("sample") / name) as picture:
        picture.load()
        return picture


def run_demo(folder: Path, *, preset: str | None = None, figures: Path | None = None) -> None:
    """Run the demo and write everything into `folder`. Without `preset` the service takes its default.

    Raises `StartFailed` or `ServiceError`.
    """
    finding = examine_model(Settings())
    if finding.verdict == "broken":
        raise StartFailed(finding.text)
    folder.mkdir(parents=True, exist_ok=True)
    what = sample()
    what.source.save(folder / "source.png")
    what.mask.save(folder / "mask.png")
    console.print(f"photo    {what.source_prompt}", soft_wrap=True)
    started = time.monotonic()
    with own_service(folder / "data") as url, EditClient(url) as client:
        console.print(f"service  ready at {url} after {time.monotonic() - started:.1f} s", soft_wrap=True)
        edits = three_edits(client, what, folder, {"preset": preset} if preset else {})
    draw_strip(columns(what, edits)).save(folder / "strip.png", optimize=True)
    if figures is not None:
        write_figures(figures, edits)
    tell(what, edits)
    console.print("go on with this person:")
    for line in how_to_go_on(folder, edits[0], preset):
        console.print(f"  {line}", soft_wrap=True, markup=False)
    console.print("saved:")
    files = [folder / "source.png", folder / "mask.png", *(file for each in edits for file in (each.picture, each.report_file))]
    for path in [*files, folder / "strip.png"]:
        console.print(f"  {path}", soft_wrap=True, markup=False)


def three_edits(client: EditClient, what: Sample, folder: Path, options: Mapping[str, str]) -> list[Done]:
    """Make the edits. The first uploads the photo and learns the person; the others name the identity."""
    fields = {"source_prompt": what.source_prompt}
    files = {"image": folder / "source.png", "mask": folder / "mask.png"}
    edits: list[Done] = []
    for prompt in what.prompts:
        edits.append(one_edit(client, {**fields, **options, "prompt": prompt}, files, folder, len(edits) + 1))
        fields, files = {"identity": str(edits[0].view["identity"])}, {}
    return edits


def one_edit(client: EditClient, fields: Mapping[str, str], files: Mapping[str, Path], folder: Path, number: int) -> Done:
    started = time.perf_counter()
    with progress_bars() as bars:
        view = follow(client, client.post(fields, files), f"edit {number}", bars)
    picture, report = folder / f"result-{number}.png", folder / f"report-{number}.json"
    save(client, view, picture)
    wall_s = round(time.perf_counter() - started, 3)
    report.write_bytes(client.download(view["report"]["url"]))
    done = Done(fields["prompt"], view, picture, report, wall_s)
    console.print(f"edit {number}   {done.prompt}: {_seconds(done)}", soft_wrap=True)
    return done


def _seconds(done: Done) -> str:
    learning_s = done.report["seconds"]["learning"]
    return f"{done.wall_s:.1f} s ({f'{learning_s:.1f} s to learn the person' if done.is_cold else 'the person is known'})"


def columns(what: Sample, edits: Sequence[Done]) -> list[Column]:
    """Return the strip's columns: the photo with its mask, and each edit with what it changed."""
    learning_s = edits[0].report["seconds"]["learning"]
    about = ("the mask", "white: the person", "grey: edit margin", "", f"learned in {learning_s:.1f} s")
    found = [Column("photo", what.source, what.source_prompt, what.source_prompt, mask_map(what.mask, what.edit_mask), about)]
    for number, done in enumerate(edits, start=1):
        title = f"edit {number}: {done.wall_s:.1f} s, {'learns the person' if done.is_cold else 'the person is known'}"
        lines = ["what changed", *(f"{_percent(done, name)} {word}" for name, word in SHARES.items())]
        lines.append(f"{counted(changed_outside(what, done.result()), 'pixel')} outside")
        changed = difference_map(what.source, done.result())
        found.append(Column(title, done.result(), done.prompt, what.source_prompt, changed, lines))
    return found


def _percent(done: Done, share: str) -> str:
    return f"{100 * done.report['delivery'][share]:.0f}%"


def changed_outside(what: Sample, result: Image.Image) -> int:
    """Count the pixels outside the edit mask that differ from the photo."""
    differs = (np.asarray(what.source) != np.asarray(result)).any(axis=2)
    return int((differs & ~inside_of(what.edit_mask)).sum())


def write_figures(path: Path, edits: Sequence[Done]) -> None:
    """Write what was measured, with what is needed to repeat it."""
    first = edits[0].report
    values = {
        "command": "s2edit demo",
        "model": {**first["model"], "name": Path(first["model"]["name"]).name},
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        **{name: first[name] for name in ("preset", "seed", "versions")},
        "cold": _figures(edits[0]),
        "warm": [_figures(done) for done in edits[1:]],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _figures(done: Done) -> dict[str, Any]:
    kept = ("seconds", "learning_steps", "unet_evaluations", "delivery", "outside_edit_mask")
    return {"prompt": done.report.get("prompt"), "wall_s": done.wall_s, **{name: done.report[name] for name in kept}}


def tell(what: Sample, edits: Sequence[Done]) -> None:
    """Print each edit's seconds and what it changed."""
    titles = [f"edit {number} ({'cold' if done.is_cold else 'warm'})" for number, done in enumerate(edits, start=1)]
    table = Table(f"preset {edits[0].report['preset']}", *titles, box=None, padding=(0, 2), header_style="")
    for phase in edits[0].report["seconds"]:
        table.add_row(f"{phase}, s", *(f"{done.report['seconds'].get(phase, 0.0):.2f}" for done in edits))
    table.add_row("as the app saw it, s", *(f"{done.wall_s:.2f}" for done in edits))
    table.add_row("learning steps", *(str(done.report["learning_steps"]) for done in edits))
    for share, word in SHARES.items():
        table.add_row(f"{word}, of the edit mask", *(_percent(done, share) for done in edits))
    table.add_row("pixels changed outside it", *(str(changed_outside(what, done.result())) for done in edits))
    console.print(table)


def how_to_go_on(folder: Path, cold: Done, preset: str | None) -> list[str]:
    """Return commands that work as printed, from this working directory. The person is known: the first answer takes seconds."""
    url = httpx.URL(cold.view["result"]["url"])
    base = f"http://{url.host}:{url.port}"
    s2edit = Path(sys.prefix) / "bin" / "s2edit"
    shown = s2edit.relative_to(Path.cwd()) if s2edit.is_relative_to(Path.cwd()) else s2edit
    options = f"-F preset={preset} " if preset else ""
    return [
        f"{shown} up --port {url.port} --data-dir {folder / 'data'}",
        f"curl -sS {base}/edits -F identity={cold.view['identity']} {options}-F 'prompt={NEXT_PROMPT}'",
        f"curl -sS {base}/edits/ID        # with the id from the answer; `result.url` is the picture",
    ]
