"""`s2edit demo`: edit a person, a cat and a church over HTTP, transfer a makeup, and show pictures, reports and seconds.

The service is `s2edit up` in a process of its own, with a fresh data folder; this process is an app like any other.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import httpx

from cli.checks.doctor import examine_model
from cli.client import EditClient
from cli.demo.edits import SIDE_BY_SIDE, Done, Outcome, make_edits
from cli.demo.figures import columns, tell, write_figures
from cli.demo.samples import NEXT_PROMPT, SOURCE_PROMPTS, Sample, sample
from cli.demo.strip import draw_strip
from cli.display import console
from cli.supervision.own_service import own_service
from cli.supervision.processes import StartFailed
from s2edit_core.whole_files import write_whole
from s2edit_jobs.settings import Settings

STRIP_QUALITY = 85


def run_demo(folder: Path, *, preset: str | None = None, figures: Path | None = None) -> None:
    """Run the demo and write everything into `folder`. Without `preset` the service takes its default.

    Raises `StartFailed` or `ServiceError`.
    """
    finding = examine_model(Settings())
    if finding.verdict == "broken":
        raise StartFailed(finding.text)
    samples = {name: sample(name) for name in SOURCE_PROMPTS}
    outcome = _made(samples, folder, preset)
    strip = io.BytesIO()
    draw_strip(columns(samples, outcome)).save(strip, "WEBP", quality=STRIP_QUALITY, method=6)
    write_whole(folder / "strip.webp", strip.getvalue())
    if figures is not None:
        write_figures(figures, outcome)
    tell(samples, outcome)
    console.print("go on with this person:")
    for line in how_to_go_on(folder, outcome.edits[0], preset):
        console.print(f"  {line}", soft_wrap=True, markup=False)
    console.print("saved:")
    for path in saved(samples, outcome, folder):
        console.print(f"  {path}", soft_wrap=True, markup=False)


def _made(samples: Mapping[str, Sample], folder: Path, preset: str | None) -> Outcome:
    """Start a service, make the edits, and stop it."""
    folder.mkdir(parents=True, exist_ok=True)
    for each in samples.values():
        each.save(folder)
    started = time.monotonic()
    jobs = {"S2EDIT_WORKER_JOBS": str(SIDE_BY_SIDE)}
    with own_service(folder / "data", settings=jobs) as url, EditClient(url) as client:
        console.print(f"service  ready at {url} after {time.monotonic() - started:.1f} s", soft_wrap=True)
        return make_edits(client, samples, folder, {"preset": preset} if preset else {})


def saved(samples: Mapping[str, Sample], outcome: Outcome, folder: Path) -> list[Path]:
    """Return all files that the demo leaves for its user."""
    photos = [path for each in samples.values() for path in each.files(folder).values()]
    return [*photos, *(path for done in outcome.edits for path in (done.picture, done.report_file)), folder / "strip.webp"]


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
