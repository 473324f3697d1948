"""Render the training set with all cores, resumable: `python -m lab.training.render --seconds 200 --workers 16`.

With `--masked`, the pictures are those that the segmenter learns from.
It stops in time, with valid shards. The next call renders what is missing. Training may read the shards at the same time.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import traceback
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

from lab.training.dataset import SHARD, MaskedPlan, Plan, add_options, save_shard, unfinished

AT_ONCE = 5
"""Pictures that are drawn between two looks at the clock."""
_plan: Plan | None = None


def _start(plan: Plan, niceness: int) -> None:
    global _plan
    _plan = plan
    os.nice(niceness)


def _job(job: tuple[str, int], deadline: float) -> int:
    """Render one shard in a worker, picture by picture. Returns the number of pictures, 0 if the deadline came first."""
    assert _plan is not None
    name, start = job
    shards = []
    count = min(SHARD, next(part.count for part in _plan.parts if part.domain.name == name))
    for seed in range(start, start + count, AT_ONCE):
        if time.time() > deadline:
            return 0
        shards.append(_plan.rendered(name, range(seed, min(seed + AT_ONCE, start + count))))
    save_shard(_plan.shard(name, start), {key: np.concatenate([part[key] for part in shards]) for key in shards[0]})
    return count


def render(plan: Plan, *, seconds: float, workers: int, niceness: int = 5) -> dict[str, float]:
    """Render missing shards for at most `seconds`. Returns the number of pictures and the time."""
    started = time.time()
    jobs = unfinished(plan, plan.jobs())
    made = failures = 0
    with ProcessPoolExecutor(workers, get_context("spawn"), _start, (plan.bare(), niceness)) as pool:
        results = [pool.submit(_job, job, started + seconds) for job in jobs]
        reported = started
        for job, result in zip(jobs, results, strict=True):
            try:
                made += result.result()
            except Exception:
                failures += 1
                if failures <= 3:
                    print(f"shard {job} failed", flush=True)
                    traceback.print_exc()
            if time.time() - reported > 10:
                reported = time.time()
                print(f"rendered {made} pictures in {reported - started:.0f} s", flush=True)
    spent = time.time() - started
    facts = {
        "pictures": made,
        "seconds": round(spent, 1),
        "per_s": round(made / spent, 1),
        "workers": workers,
        "failures": failures,
    }
    print(f"render {json.dumps(facts)}", flush=True)
    return facts


def main() -> None:
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # for the workers: a process per core
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--masked", action="store_true", help="render the segmenter's pictures, with their masks")
    options = parser.parse_args()
    plan = MaskedPlan.of(options) if options.masked else Plan.of(options)
    render(plan, seconds=options.seconds, workers=options.workers)


if __name__ == "__main__":
    main()
