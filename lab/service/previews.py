"""Measure what previews cost: `python -m lab.service.previews`.

A worker in this process edits photos of a portrait with the shipped model, on one thread, in Redis and a data folder of their own.
The first edit of each photo learns and inverts; the next ones are timed, because previews belong to the phase `editing` alone.
All seconds are CPU time, so other work on the machine does not enter. `share` is the part of an edit's
seconds that was spent on previews: drawing them, and writing them to Redis.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from PIL import Image

from lab.measures.results import dumped, machine
from lab.world.domain import UNSEEN
from lab.world.domains import DOMAINS
from s2edit_core.base_model.model_files import SHIPPED_MODEL
from s2edit_core.request.spec import EditRequest, Progress
from s2edit_jobs.bootstrap import Services, build_services
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.files import Upload
from s2edit_jobs.records.record import JobRecord, JobState, Lease, Owner
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.embedded_redis import EmbeddedRedis
from s2edit_jobs.stores.redis_store.events import RedisEvents
from worker.attempts.control import AttemptControl
from worker.attempts.runner import run_job
from worker.engines.s2edit_engine import S2EditEngine

PROMPTS = ("a photo of a woman with red hair", "a photo of a smiling woman", "a photo of a woman with sunglasses")
SIDES = (512, 3464)
"""Sides of the photos in pixels: a small one, and 12 megapixels."""
OWNER = Owner("lab", "ann")


@dataclass
class Spent:
    """CPU seconds of one attempt, and the bytes of its previews."""

    drawing: list[float] = field(default_factory=list)
    writing: float = 0.0
    sizes: list[int] = field(default_factory=list)


def file_of(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


@contextmanager
def measuring(spent: Spent) -> Iterator[None]:
    """Add to `spent` what previews cost meanwhile."""
    draw, write = AttemptControl._preview, RedisEvents.progress

    def drawn(control: AttemptControl, progress: Progress) -> bytes | None:
        began = time.thread_time()
        picture = draw(control, progress)
        if picture is not None:
            spent.drawing.append(time.thread_time() - began)
            spent.sizes.append(len(picture))
        return picture

    def written(events: RedisEvents, lease: Lease, progress: Progress, preview: bytes | None = None) -> JobRecord:
        began = time.thread_time()
        record = write(events, lease, progress, preview)
        spent.writing += time.thread_time() - began if preview is not None else 0.0
        return record

    with patch.object(AttemptControl, "_preview", drawn), patch.object(RedisEvents, "progress", written):
        yield


def edit(services: Services, engine: S2EditEngine, files: dict[str, Upload], prompt: str, preset: Any) -> tuple[float, Spent]:
    """Run one edit, and return its CPU seconds and those of its previews."""
    request = EditRequest(prompt=prompt, source_prompt="a photo of a woman", preset=preset)
    job_id = Jobs(services).accept(draft(services, OWNER, request, files), files).id
    spent = Spent()
    with measuring(spent):
        began = time.process_time()
        run_job(job_id, services, engine)
        seconds = time.process_time() - began
    record = Jobs(services).get(OWNER, job_id)
    if record.state is not JobState.SUCCEEDED:
        raise RuntimeError(f"the edit ended as {record.state}: {record.failure}")
    return seconds, spent


def measured(services: Services, engine: S2EditEngine, side: int, preset: str) -> dict[str, Any]:
    """Return the figures for photos of `side` pixels and one preset."""
    people = DOMAINS["person"]
    person = people.sample(UNSEEN + 7)
    photo = people.render(person).resize((side, side), Image.Resampling.BICUBIC)
    region = people.mask(person).resize((side, side), Image.Resampling.NEAREST)
    files = {"image": Upload(file_of(photo), "image/png"), "mask": Upload(file_of(region), "image/png")}
    edit(services, engine, files, PROMPTS[0], preset)
    runs = [edit(services, engine, files, prompt, preset) for prompt in PROMPTS]
    seconds, spent = sum(run[0] for run in runs), [run[1] for run in runs]
    drawing, writing = sum(sum(each.drawing) for each in spent), sum(each.writing for each in spent)
    sizes = [size for each in spent for size in each.sizes]
    return {
        "photo": side,
        "preset": preset,
        "edits": len(runs),
        "seconds_per_edit": round(seconds / len(runs), 3),
        "previews_per_edit": round(len(sizes) / len(runs), 2),
        "first_ms": round(1000 * max(each.drawing[0] for each in spent), 1),
        "next_ms": round(1000 * max(max(each.drawing[1:], default=0.0) for each in spent), 1),
        "write_ms": round(1000 * writing / len(sizes), 2),
        "share": round((drawing + writing) / seconds, 4),
        "largest_bytes": max(sizes),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", default="balanced,instant")
    parser.add_argument("--sides", default=",".join(map(str, SIDES)), help="sides of the photos in pixels")
    parser.add_argument("--out", type=Path, default=Path("lab/results/previews.json"))
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        redis = EmbeddedRedis(Path(folder) / "redis")
        redis.start()
        try:
            settings = Settings(data_dir=Path(folder) / "data", redis_url=redis.url, provenance=False)
            services = build_services(settings)
            engine = S2EditEngine(str(SHIPPED_MODEL), device="cpu")
            rows = [
                measured(services, engine, int(side), preset)
                for side in wanted.sides.split(",")
                for preset in wanted.presets.split(",")
            ]
            engine.close()
        finally:
            redis.stop()
    for row in rows:
        print(row)
    wanted.out.write_text(dumped({"machine": machine(), "edits": rows}))


if __name__ == "__main__":
    main()
