"""`s2edit demo`: the whole road once. A sample portrait, two edits of it over HTTP, and what they took.

The service is `s2edit up` in a process of its own, with a fresh data folder; this process is an app like any other.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from PIL import Image, ImageDraw, ImageFont
from rich.table import Table

from cli.client import EditClient, View
from cli.display import console, follow, save
from cli.doctor import examine_model
from cli.processes import Child, Command
from cli.service import READY_TIMEOUT_S, StartFailed, answers, free_port
from s2edit_jobs.settings import Settings

PERSON = 544
"""The number of the sample's person in the lab's portrait world, from `HELD_OUT` on: nobody whom a training has seen."""
PRESET = "paper"
STOP_S = 20.0
PANEL_PX = 384
LABEL_PX = 44
KEPT = ("S2EDIT_MODEL", "S2EDIT_DEVICE")
"""The settings that the demo leaves as they are; all else is embedded."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The portrait, its mask, the sentence that describes it, and the two that describe what is wanted."""

    source: Image.Image
    mask: Image.Image
    source_prompt: str
    first_prompt: str
    second_prompt: str


@dataclass(frozen=True, slots=True)
class Done:
    """One edit that succeeded. `wall_s`: seconds from the request to the fetched result, as the app sees it."""

    title: str
    view: View
    picture: Path
    report_file: Path
    wall_s: float

    @property
    def report(self) -> dict[str, Any]:
        values: dict[str, Any] = self.view["report"]["values"]
        return values


def sample() -> Sample:
    """Return the portrait of `PERSON` and its mask. Both were drawn by the lab and are package data: the lab isn't installed."""
    return Sample(
        source=_shipped("photo.png"),
        mask=_shipped("mask.png"),
        source_prompt="a photo of a woman with long brown hair",
        first_prompt="a photo of a woman with long red hair",
        second_prompt="a photo of a smiling woman with long brown hair and glasses",
    )


def _shipped(name: str) -> Image.Image:
    with Image.open(Path(__file__).with_name("sample") / name) as picture:
        picture.load()
        return picture


def run_demo(folder: Path, *, preset: str = PRESET, figures: Path | None = None) -> None:
    """Everything, into `folder`. Raises `StartFailed` or `ServiceError`."""
    finding = examine_model(Settings())
    if finding.verdict == "broken":
        raise StartFailed(finding.text)
    folder.mkdir(parents=True, exist_ok=True)
    what = sample()
    source, mask = folder / "source.png", folder / "mask.png"
    what.source.save(source)
    what.mask.save(mask)
    console.print(f"the photo: {what.source_prompt}")
    with running_service(folder / "data") as url, EditClient(url) as client:
        console.print(f"a fresh service answers at {url}")
        cold_fields = {"prompt": what.first_prompt, "source_prompt": what.source_prompt, "preset": preset}
        cold = one_edit(client, "edit 1, learning the person first", cold_fields, {"image": source, "mask": mask}, folder, 1)
        warm_fields = {"prompt": what.second_prompt, "identity": str(cold.view["identity"]), "preset": preset}
        warm = one_edit(client, "edit 2, of the same person", warm_fields, {}, folder, 2)
    both = folder / "side-by-side.png"
    side_by_side([(source, "the photo"), (cold.picture, what.first_prompt), (warm.picture, what.second_prompt)]).save(both)
    if figures is not None:
        write_figures(figures, cold, warm)
    files = [source, mask, cold.picture, warm.picture, both, cold.report_file, warm.report_file]
    tell(files, cold, warm)
    console.print("to keep the service running, and to ask it for an edit:")
    for line in how_to_go_on(folder, cold, preset):
        console.print(f"  {line}", soft_wrap=True, markup=False)


def one_edit(
    client: EditClient, title: str, fields: Mapping[str, str], files: Mapping[str, Path], folder: Path, number: int
) -> Done:
    console.print(f"{title}: {fields['prompt']}", soft_wrap=True)
    started = time.perf_counter()
    view = follow(client, client.post(fields, files), f"edit {number}")
    picture, report = folder / f"result-{number}.png", folder / f"report-{number}.json"
    save(client, view, picture)
    wall_s = round(time.perf_counter() - started, 3)
    report.write_bytes(client.download(view["report"]["url"]))
    return Done(title, view, picture, report, wall_s)


@contextmanager
def running_service(data_dir: Path) -> Iterator[str]:
    """`s2edit up` on a free port with an empty `data_dir`, until the context is left. Raises `StartFailed`."""
    shutil.rmtree(data_dir, ignore_errors=True)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    log = data_dir / "logs" / "up.txt"
    argv = [sys.executable, "-m", "cli", "up", "--port", str(port), "--data-dir", str(data_dir)]
    env = {name: value for name, value in os.environ.items() if not name.startswith("S2EDIT_") or name in KEPT}
    service = Child(Command("service", argv, env, log))
    service.start()
    try:
        _wait(service, url, log)
        yield url
    finally:
        service.terminate()
        service.finish(time.monotonic() + STOP_S)


def _wait(service: Child, url: str, log: Path) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    with httpx.Client(timeout=2.0) as http:
        while not answers(http, f"{url}/readyz"):
            if service.returncode is not None or time.monotonic() > deadline:
                raise StartFailed(f"the service did not start:\n{log.read_text(errors='replace')}")
            time.sleep(0.1)


def side_by_side(panels: list[tuple[Path, str]]) -> Image.Image:
    """The pictures in a row, each over its label."""
    sheet = Image.new("RGB", (PANEL_PX * len(panels), PANEL_PX + LABEL_PX), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=15)
    for i, (path, label) in enumerate(panels):
        with Image.open(path) as picture:
            sheet.paste(picture.convert("RGB").resize((PANEL_PX, PANEL_PX), Image.Resampling.LANCZOS), (i * PANEL_PX, 0))
        lines = _wrapped(draw, label.removeprefix("a photo of "), font, PANEL_PX - 16)
        middle = ((i + 0.5) * PANEL_PX, PANEL_PX + LABEL_PX / 2)
        draw.multiline_text(middle, lines, "black", font, anchor="mm", align="center")
    return sheet


def _wrapped(draw: ImageDraw.ImageDraw, text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: int) -> str:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if draw.textlength(longer, font) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return "\n".join(lines)


def write_figures(path: Path, cold: Done, warm: Done) -> None:
    """What was measured, with what is needed to repeat it."""
    shared = ("preset", "seed", "versions")
    values = {
        "command": "s2edit demo",
        "model": {**cold.report["model"], "name": Path(cold.report["model"]["name"]).name},
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        **{name: cold.report[name] for name in shared},
        **{name: _figures(done) for name, done in (("cold", cold), ("warm", warm))},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _figures(done: Done) -> dict[str, Any]:
    kept = ("seconds", "learning_steps", "unet_evaluations", "outside_edit_mask")
    return {"prompt": done.report.get("prompt"), "wall_s": done.wall_s, **{name: done.report[name] for name in kept}}


def tell(files: list[Path], cold: Done, warm: Done) -> None:
    """What came of it: seconds, links, files."""
    table = Table("seconds", "edit 1 (cold)", "edit 2 (warm)", box=None, padding=(0, 2))
    for phase in cold.report["seconds"]:
        table.add_row(phase, *(f"{done.report['seconds'].get(phase, 0.0):.2f}" for done in (cold, warm)))
    table.add_row("as the app saw it", f"{cold.wall_s:.2f}", f"{warm.wall_s:.2f}")
    table.add_row("learning steps", str(cold.report["learning_steps"]), str(warm.report["learning_steps"]))
    console.print(table)
    console.print(
        "presigned URLs (the service has stopped; started again as below it serves them until they expire):", soft_wrap=True
    )
    for done in (cold, warm):
        console.print(f"  {done.view['result']['url']}", soft_wrap=True, markup=False)
    console.print("saved:")
    for path in files:
        console.print(f"  {path}", soft_wrap=True, markup=False)


def how_to_go_on(folder: Path, cold: Done, preset: str) -> list[str]:
    """Commands that work as printed, from this working directory. The person is known already: the first answer takes seconds."""
    url = httpx.URL(cold.view["result"]["url"])
    base = f"http://{url.host}:{url.port}"
    s2edit = Path(sys.prefix) / "bin" / "s2edit"
    shown = s2edit.relative_to(Path.cwd()) if s2edit.is_relative_to(Path.cwd()) else s2edit
    prompt = cold.report["source_prompt"].replace("[I] ", "").replace("a photo of a ", "a photo of a smiling ")
    return [
        f"{shown} up --port {url.port} --data-dir {folder / 'data'}",
        f"curl -sS {base}/edits -F identity={cold.view['identity']} -F preset={preset} -F 'prompt={prompt}'",
        f"curl -sS {base}/edits/ID        # with the id from the answer; `result.url` is the picture",
    ]
