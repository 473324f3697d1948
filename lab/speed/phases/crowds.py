"""Jobs as users see them: the cold and the warm edit of one person, and those of many people at once."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from lab.speed.phases.jobs import WARM_UP_SHARE, Jobs, Meter, cold, costs_about, decode, edit, extrapolated, portion, sample
from lab.speed.phases.passes import stock_pass
from lab.speed.record import Result
from lab.speed.subjects import Subject
from lab.speed.timing import Work, alternate, digits, peak_memory, seconds_of, time_work
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.request.presets import PRESETS, Preset, PresetName
from s2edit_core.unet import backbone as engine
from s2edit_core.unet.recorded import padded_parts

RECORDING_SHARE = 0.06
"""The share of the steps after which CUDA graphs are recorded: at the third pass of a kind."""


def one_job(subject: Subject, dtype: str, preset: PresetName, *, share: float, within_s: float) -> Result:
    """Return the costs of a cold job by phase, and those of a warm edit beside the bare evaluations that it needs."""
    pipe, people = subject.pipe(dtype), subject.people(1)
    first = cold(pipe, people, preset, share=share if pipe.backbone.graphs else WARM_UP_SHARE, seed=subject.seed)
    with peak_memory(subject.device) as memory:
        jobs = cold(pipe, people, preset, share=share, seed=subject.seed)
    result = costs_about(jobs.costs) | memory | {"share_of_steps": share, "psnr_to_answer": jobs.psnr_to_answers()}
    if pipe.backbone.graphs:
        result["first_s"] = digits(first.seconds)  # the very first job, which records the graphs
    return result | {"warm": _warm(subject, pipe, jobs, portion(PRESETS[preset], share), dtype, within_s)}


def _warm(subject: Subject, pipe: S2EditPipeline, jobs: Jobs, how: Preset, dtype: str, within_s: float) -> Result:
    """Time the sampling of a warm edit in turn with the stock UNet's passes of the same batch sizes, and the decoding apart."""
    meter = Meter(pipe)
    edited = sample(pipe, jobs, how, meter)
    recorded = pipe.backbone.recorded
    sizes = pass_sizes(meter.calls, recorded.largest if recorded is not None else None)
    bare = _bare(subject.stock_unet(dtype), pipe, sizes)
    bare()
    works: dict[str, Work] = {"sampling": lambda: sample(pipe, jobs, how, Meter(pipe)), "bare": bare}
    timed = alternate(works, subject.device, within_s=within_s, least=3, most=10)
    sampling, stock = timed["sampling"].median_s, timed["bare"].median_s
    decoding = time_work(lambda: decode(pipe, jobs, edited), subject.device, within_s=0, warm_ups=1).median_s
    return {
        "seconds": digits(sampling + decoding),
        "sampling_s": digits(sampling),
        "decoding_s": digits(decoding),
        "bare_unet_s": digits(stock),
        "over_bare": digits(sampling / stock),
        "passes": len(sizes),
        "rows": sum(sizes),
        "runs": timed["sampling"].runs,
    }


def pass_sizes(calls: list[int], largest: int | None) -> list[int]:
    """Return the rows of each UNet pass for `Backbone.evaluate` calls of so many rows.

    `largest` is the largest recorded pass; None for an engine that records none.
    """
    if largest is not None:
        return [part for rows in calls for part in padded_parts(rows, largest)]
    limit = engine.MAX_ROWS_PER_PASS
    return [min(limit, rows - start) for rows in calls for start in range(0, rows, limit)]


def _bare(unet: nn.Module, pipe: S2EditPipeline, sizes: list[int]) -> Callable[[], object]:
    passes = {size: stock_pass(unet, pipe.backbone, size, gradients=False) for size in set(sizes)}

    def run() -> None:
        for size in sizes:
            passes[size]()

    return run


def many_jobs(
    subject: Subject,
    dtype: str,
    preset: PresetName,
    count: int,
    *,
    share: float,
    full_one: Result | None = None,
    part_one: Result | None = None,
) -> Result:
    """Return the costs of `count` users' jobs together, of their warm edits together, and what each costs a user.

    A `share` of the steps is run. If that is less than all of them, the seconds of whole jobs are extrapolated phase by phase from
    the results of one job in full and with that share.
    """
    pipe, people = subject.pipe(dtype), subject.people(count)
    how = portion(PRESETS[preset], share)
    warm_up = min(share, RECORDING_SHARE) if pipe.backbone.graphs else WARM_UP_SHARE
    cold(pipe, people[: min(count, 16)], preset, share=warm_up, seed=subject.seed)
    with peak_memory(subject.device) as memory:
        jobs = cold(pipe, people, preset, share=share, seed=subject.seed)
    warm = seconds_of(lambda: edit(pipe, jobs, how, Meter(pipe)), subject.device)
    result = {"users": count, "preset": preset, "share_of_steps": share, **costs_about(jobs.costs), "warm_s": digits(warm)} | memory
    if share == 1:
        return result | {"measured": _per_user({name: cost.seconds for name, cost in jobs.costs.items()}, count)}
    one = costs_about(jobs.costs) if count == 1 else part_one
    if full_one is None or one is None or full_one["share_of_steps"] < 1:
        return result
    return result | {"extrapolated": _per_user(extrapolated(jobs.costs, full_one, one), count)}


def _per_user(phases: dict[str, float], count: int) -> Result:
    """Return the seconds of whole jobs by phase, and what a cold job and a warm edit cost each of `count` users."""
    whole, warm = sum(phases.values()), phases["editing"] + phases["decoding"]
    return {
        "phases": {name: digits(seconds) for name, seconds in phases.items()},
        "cold_s": digits(whole),
        "cold_s_per_user": digits(whole / count),
        "warm_s": digits(warm),
        "warm_s_per_user": digits(warm / count),
    }
