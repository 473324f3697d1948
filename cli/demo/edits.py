"""Make the demo's edits: jobs that run at the same time share the worker's passes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from rich.progress import Progress

from cli.client import EditClient, Fields, Files, View
from cli.demo.samples import FIRST_EDITS, NEXT_EDIT, TRANSFER, Edit, Sample
from cli.display import console, follow, progress_bars, save

SIDE_BY_SIDE = 4
"""Jobs that the demo has at a time: the first edits, and the makeup to learn."""


@dataclass(frozen=True, slots=True)
class Done:
    """An edit that succeeded. `wall_s`: seconds from the request to the fetched result, as the app sees it."""

    edit: Edit
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
        """Whether the subject was learned."""
        return bool(self.report["learning_steps"])

    @property
    def how(self) -> str:
        return f"learned the {self.edit.of}" if self.is_cold else f"the {self.edit.of} is known"

    def result(self) -> Image.Image:
        with Image.open(self.picture) as picture:
            return picture.convert("RGB")


@dataclass(frozen=True, slots=True)
class Learned:
    """An attribute, and the seconds from the request until it was learned."""

    attribute: str
    wall_s: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that the demo made. `wall_s`: seconds from the first request to the last result."""

    edits: tuple[Done, ...]
    makeup: Learned
    wall_s: float


def make_edits(client: EditClient, samples: Mapping[str, Sample], folder: Path, options: Fields) -> Outcome:
    """Make all edits. The last one runs alone, so that its seconds are those of an edit of a known person."""
    started = time.perf_counter()
    with progress_bars() as bars, _threads() as pool:
        jobs = Jobs(client, folder, options, bars, pool)
        firsts = [jobs.first_edit(edit, samples[edit.of]) for edit in FIRST_EDITS]
        learning = jobs.learn(samples[TRANSFER.attribute])
        makeup, identity = learning.result(), firsts[0].result().view["identity"]
        transfer = jobs.edit(TRANSFER, {"identity": identity, "attributes": makeup.attribute})
        edits = [each.result() for each in (*firsts, transfer)]
        edits.append(jobs.edit(NEXT_EDIT, {"identity": identity}).result())
    return Outcome(tuple(edits), makeup, round(time.perf_counter() - started, 3))


@contextmanager
def _threads() -> Iterator[ThreadPoolExecutor]:
    """Yield threads, one per job. After an error nobody waits for them: they end once the client is closed."""
    pool = ThreadPoolExecutor(SIDE_BY_SIDE)
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True, slots=True)
class Jobs:
    """Posts jobs at once, and follows each in a thread. `options` are fields of every job."""

    client: EditClient
    folder: Path
    options: Fields
    bars: Progress
    pool: ThreadPoolExecutor

    def first_edit(self, edit: Edit, sample: Sample) -> Future[Done]:
        """Post an edit that uploads a photo and learns its subject."""
        return self.edit(edit, {"source_prompt": sample.source_prompt}, sample.files(self.folder))

    def edit(self, edit: Edit, fields: Fields, files: Files | None = None) -> Future[Done]:
        """Post an edit."""
        started = time.perf_counter()
        location = self.client.post({**fields, **self.options, "prompt": edit.prompt}, files or {})
        return self.pool.submit(self._done, edit, location, started)

    def learn(self, sample: Sample) -> Future[Learned]:
        """Post the learning of the attribute that the sample shows."""
        started = time.perf_counter()
        location = self.client.post({**self.options, "prompt": sample.source_prompt}, sample.files(self.folder), "/attributes")
        return self.pool.submit(self._learned, sample.name, location, started)

    def _done(self, edit: Edit, location: str, started: float) -> Done:
        label = f"edit {edit.number}"
        view = follow(self.client, location, label, self.bars)
        picture, report = self.folder / f"result-{edit.number}.png", self.folder / f"report-{edit.number}.json"
        save(self.client, view, picture)
        wall_s = round(time.perf_counter() - started, 3)
        save(self.client, view, report, "report")
        done = Done(edit, view, picture, report, wall_s)
        console.print(f"{label}   {edit.prompt}: {wall_s:.1f} s, {done.how}", soft_wrap=True, markup=False)
        return done

    def _learned(self, name: str, location: str, started: float) -> Learned:
        view = follow(self.client, location, name, self.bars)
        learned = Learned(view["attribute"], round(time.perf_counter() - started, 3))
        console.print(f"{name}   learned from another photo: {learned.wall_s:.1f} s", soft_wrap=True)
        return learned
