"""Whole jobs through the row scheduler: each in a thread of its own, as a worker with several leases runs them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lab.speed.phases.jobs import PHASES, WARM_UP_SHARE, Jobs, decode, portion
from lab.speed.phases.passes import KINDS, rows_of
from lab.speed.record import Result
from lab.speed.subjects import Person
from lab.speed.timing import digits, now, seconds_of, takes_processor_time, time_work
from s2edit_core.method.inversion import invert
from s2edit_core.method.learning.learning import learn_concepts
from s2edit_core.method.learning.lesson import Lesson
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.request.presets import PRESETS, Preset, PresetName
from s2edit_core.unet.backbone import MAX_ROWS_PER_PASS, Backbone
from s2edit_core.unet.row_queue import Stage
from s2edit_core.unet.row_scheduler import RowClient, RowScheduler
from s2edit_core.unet.rows import Algorithm, Answers, Row, Rows, drive
from worker.engines.cores import CpuThreads
from worker.engines.shared_passes import SharedPasses

OVERHEAD_PASSES = 50


@dataclass
class _TimedPasses:
    """Evaluates rows in one thread and counts the seconds, by the same clock as `now`, but of that thread alone."""

    backbone: Backbone
    seconds: float = 0.0

    def _now(self) -> float:
        return time.thread_time() if takes_processor_time(self.backbone.device) else now(self.backbone.device)

    def evaluate(self, rows: Rows) -> Answers:
        began = self._now()
        try:
            return self.backbone.evaluate(rows)
        finally:
            self.seconds += self._now() - began


def whole_job(pipe: S2EditPipeline, client: RowClient, person: Person, how: Preset, guidance: float, seed: int) -> None:
    """Learn, invert, edit and decode one person, with the model behind `client`."""
    pipe = pipe.sharing(client)

    def run(algorithm: Algorithm[Any], stage: Stage) -> Any:
        def evaluate(rows: Rows) -> Answers:
            return client.evaluate(rows, stage)

        return drive(algorithm, evaluate)

    backbone, canvas = pipe.backbone, person.canvas
    latent: Tensor = pipe.encoded(canvas)
    lesson = Lesson(latent, canvas.mask(canvas.identity_mask), person.prompt, person.subject)
    (concept,) = run(learn_concepts(backbone, [lesson], how.learning, seed=seed), "learning")
    source = pipe.source(canvas, person.prompt, concept)
    inverting = invert(backbone, latent, source, how.inversion, steps=how.steps, guidance_scale=guidance)
    inversion = run(inverting, "inverting")
    injection = how.injection if how.injection.acts else None
    rows = pipe.edit_rows(canvas, person.target, concept, inversion, injection=injection, source_prompt=person.prompt)
    decode(pipe, Jobs((person,), (concept,), (inversion,), ()), [run(rows, "editing")])


def overhead(backbone: Backbone, count: int, *, within_s: float) -> Result:
    """Return what the scheduler takes for a pass of `count` jobs with one row each, in CPU time, beside that pass of the UNet.

    The scheduler's passes answer at once with what the UNet has answered before. So only its own work is measured, with that of the
    waiting threads.
    """
    rows = rows_of(backbone, KINDS["users"], count)
    known = dict(zip(rows, backbone.evaluate(rows), strict=True))

    def job(row: Row) -> None:
        client = scheduler.client(str(id(row)))
        for _ in range(OVERHEAD_PASSES):
            client.evaluate((row,), "editing")

    with (
        RowScheduler(lambda asked: tuple(known[row] for row in asked), max_rows=count, linger_s=1.0) as scheduler,
        ThreadPoolExecutor(count) as threads,
    ):
        began = time.process_time()
        list(threads.map(job, rows))
        spent = time.process_time() - began
    each = spent / OVERHEAD_PASSES
    whole = time_work(lambda: backbone.evaluate(rows), backbone.device, within_s=within_s).median_s
    return {"rows": count, "scheduler_s": digits(each), "pass_s": digits(whole), "share": digits(each / whole, 3)}


def scheduled_jobs(
    pipe: S2EditPipeline, people: Sequence[Person], preset: PresetName, *, share: float, lockstep: Result | None, seed: int = 0
) -> Result:
    """Return the seconds of the jobs of `people` through the worker's scheduler, with its threads, and what it did.

    `lockstep` is the result of the same jobs, with the same share of steps, in lockstep and without threads.
    """
    how, warm_up = portion(PRESETS[preset], share), portion(PRESETS[preset], WARM_UP_SHARE)
    guidance = pipe.guidance(how.guidance_scale, preset)
    recorded = pipe.backbone.recorded
    limit = recorded.largest if recorded is not None else MAX_ROWS_PER_PASS
    passes = _TimedPasses(pipe.backbone)
    shared = SharedPasses(passes.evaluate, max_rows=limit, jobs=len(people), threads=CpuThreads(torch.get_num_threads()))

    def job(number: int, how: Preset) -> None:
        with shared.client(f"user-{number}") as client:
            whole_job(pipe, client, people[number], how, guidance, seed)

    with closing(shared), ThreadPoolExecutor(len(people)) as threads:

        def everybody(how: Preset) -> None:
            for each in [threads.submit(job, number, how) for number in range(len(people))]:
                each.result()

        everybody(how if pipe.backbone.graphs else warm_up)  # records the graphs
        before, passes.seconds = shared.stats(), 0.0
        seconds = seconds_of(lambda: everybody(how), pipe.backbone.device)
        after = shared.stats()
    sizes = {n: count - before.rows_per_pass.get(n, 0) for n, count in sorted(after.rows_per_pass.items())}
    return {
        "users": len(people),
        "share_of_steps": share,
        "seconds": digits(seconds),
        "over_lockstep": digits(seconds / sum(lockstep["phases"][p]["seconds"] for p in PHASES)) if lockstep else None,
        "share_in_passes": digits(passes.seconds / seconds),
        "lingered_s": digits(after.lingered_s - before.lingered_s),
        "passes": after.passes - before.passes,
        "passes_by_rows": {str(n): count for n, count in sizes.items() if count},
    }
