"""The phases of a run, the most important first, and how much each of them measures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import torch

from lab.speed.phases import ceilings, crowds, kernels, overheads, passes, reference_cost, scheduled
from lab.speed.phases.flops import RowFlops, row_flops
from lab.speed.phases.passes import KINDS, Ceiling
from lab.speed.phases.reference_cost import Part
from lab.speed.record import Record, Result
from lab.speed.subjects import DTYPES, EAGER, Subject
from s2edit_core.request.presets import PresetName


@dataclass(frozen=True)
class Scale:
    """How much is measured. `share` is the part of each phase's steps that jobs of several users run."""

    buckets: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    within_s: float = 0.4
    side: int | None = None  # of the matrix product; None: see `ceilings`
    identities: tuple[int, ...] = (16,)
    one_job: float = 1.0  # share of the steps of a single job
    users: tuple[int, ...] = (1, 4, 16, 64)
    share: float = 0.06
    whole_jobs: tuple[int, ...] = (16,)  # numbers of users whose `instant` jobs run all their steps, beside one alone
    scheduled: tuple[int, ...] = (16,)
    reference: Part = field(default_factory=Part)
    batches: tuple[int, ...] = (1, 4, 16)
    profiled: tuple[int, ...] = (1, 16)


_REFERENCE_PART = Part(learning=10, single=10, inverting=5, null_text=3, editing=5, stop_early=False)
"""Random weights say nothing about when null-text stops, so all its inner steps are run."""
_REFERENCE_QUICK = Part(learning=2, single=2, inverting=2, null_text=1, editing=2, stop_early=False)
SCALES = {
    "cpu": Scale(),
    "cuda": Scale(reference=_REFERENCE_PART),
    "cpu quick": Scale((1, 4), 0.05, 256, (4,), 0.02, (1, 2), 0.02, (2,), (2,), _REFERENCE_QUICK, (1, 2), (1,)),
    "cuda quick": Scale((1, 16), 0.1, 4096, (16,), 0.02, (1, 4), 0.02, (4,), (4,), _REFERENCE_QUICK, (1,), (1,)),
}


@dataclass(frozen=True)
class Phase:
    """A phase and an estimate of its seconds, which decides whether it fits into a budget."""

    name: str
    work: Callable[[], Result]
    estimate_s: float


class Bench:
    """What the phases share: the subject, the scale, and results of earlier phases."""

    def __init__(self, subject: Subject, scale: Scale, record: Record, dtypes: tuple[str, ...], pictures: Path) -> None:
        self.subject, self.scale, self.record, self.dtypes, self.pictures = subject, scale, record, dtypes, pictures

    @property
    def device(self) -> torch.device:
        return self.subject.device

    @cached_property
    def flops(self) -> RowFlops:
        backbone = self.subject.backbone(self.dtypes[0])
        return row_flops(backbone.unet, backbone.tokenizer.model_max_length)

    def ceiling(self, dtype: str) -> Ceiling:
        """Return what a row costs at best in `dtype`."""
        rates = (self.record.result("ceilings") or {}).get("matrix_tflops", {})
        dtype = dtype.removesuffix(EAGER)
        name = "tf32" if dtype == "float32" and torch.backends.cuda.matmul.allow_tf32 and "tf32" in rates else dtype
        return Ceiling(self.flops, rates.get(name))

    # --- phases ------------------------------------------------------------------------------------------------

    def ceilings(self) -> Result:
        sides = (self.scale.side,) if self.scale.side else None
        return ceilings.measure(self.device, within_s=self.scale.within_s, sides=sides)

    def floor(self) -> Result:
        """Return the operations of a row, and the seconds that they take at the measured matrix rates."""
        rates = (self.record.result("ceilings") or {}).get("matrix_tflops", {})
        found: Result = {"tflop_forward": self.flops.forward / 1e12, "tflop_with_gradients": self.flops.with_gradients / 1e12}
        for name, rate in rates.items():
            found[f"rows_per_s_{name}"] = round(rate * 1e12 / self.flops.forward, 1)
            found[f"rows_per_s_with_gradients_{name}"] = round(rate * 1e12 / self.flops.with_gradients, 1)
        return found

    def passes(self, dtype: str, kind: str) -> Result:
        stock = self.subject.stock_unet(dtype) if KINDS[kind].stock else None
        backbone = self.subject.backbone(dtype)
        within = self.scale.within_s
        return passes.measure(backbone, KINDS[kind], self.scale.buckets, self.ceiling(dtype), within_s=within, stock=stock)

    def kernels(self, dtype: str) -> Result:
        self.subject.backbone(dtype)  # chooses the kernels
        return kernels.layers(self.device, DTYPES[dtype], within_s=self.scale.within_s / 20)

    def searched(self, dtype: str) -> Result:
        backbone, buckets = self.subject.backbone(dtype), self.scale.profiled
        return kernels.searched(backbone, buckets, self.ceiling(dtype), within_s=self.scale.within_s)

    def identities(self, dtype: str) -> Result:
        return passes.identities(self.subject.backbone(dtype), self.scale.identities, within_s=5 * self.scale.within_s)

    def one_job(self, dtype: str, preset: PresetName) -> Result:
        return crowds.one_job(self.subject, dtype, preset, share=self.scale.one_job, within_s=5 * self.scale.within_s)

    def users(self, dtype: str, count: int) -> Result:
        full = self.record.result(f"job/{dtype}/balanced")
        part = self.record.result(f"users/{dtype}/1")
        return crowds.many_jobs(self.subject, dtype, "balanced", count, share=self.scale.share, full_one=full, part_one=part)

    def whole_jobs(self, dtype: str, count: int) -> Result:
        return crowds.many_jobs(self.subject, dtype, "instant", count, share=self.scale.one_job)

    def scheduled(self, dtype: str, count: int) -> Result:
        return self._scheduled(dtype, count, "balanced", self.scale.share, lockstep=f"users/{dtype}/{count}")

    def scheduled_whole_jobs(self, dtype: str, count: int) -> Result:
        return self._scheduled(dtype, count, "instant", self.scale.one_job, lockstep=f"users/{dtype}/{count}/instant")

    def _scheduled(self, dtype: str, count: int, preset: PresetName, share: float, *, lockstep: str) -> Result:
        """Run jobs through the scheduler. `lockstep` is the phase that ran the same jobs in lockstep."""
        pipe, people, seed = self.subject.pipe(dtype), self.subject.people(count), self.subject.seed
        return scheduled.scheduled_jobs(pipe, people, preset, share=share, lockstep=self.record.result(lockstep), seed=seed)

    def scheduler(self, dtype: str, count: int) -> Result:
        return scheduled.overhead(self.subject.backbone(dtype), count, within_s=self.scale.within_s)

    def reference(self) -> Result:
        backbone = self.subject.backbone("float32")
        return reference_cost.measure(backbone, self.subject.people(1)[0], self.scale.reference, seed=self.subject.seed)

    def profile(self, dtype: str) -> Result:
        backbone = self.subject.backbone(dtype)
        return {
            f"{count}{' with gradients' if gradients else ''}": overheads.profile_pass(backbone, count, gradients=gradients)
            for count in self.scale.profiled
            for gradients in (False, True)
        }

    def autoencoder(self, dtype: str) -> Result:
        return overheads.autoencoder(self.subject.backbone(dtype), self.scale.batches, within_s=self.scale.within_s)

    def text_side(self, dtype: str) -> Result:
        return overheads.text_side(self.subject.backbone(dtype), within_s=self.scale.within_s)


def plan(bench: Bench) -> list[Phase]:
    """Return all phases of a run, the most important first. Estimates are for one H100, or for one core and the shipped model."""
    main, *others = bench.dtypes
    cuda = bench.device.type == "cuda"

    def phase(name: str, work: Callable[[], Result], on_cuda_s: float, on_cpu_s: float) -> Phase:
        return Phase(name, work, on_cuda_s if cuda else on_cpu_s)

    def passes_of(dtype: str, kind: str) -> Phase:
        return phase(f"passes/{dtype}/{kind}", partial(bench.passes, dtype, kind), 25 if "learning" in kind else 14, 12)

    def job(dtype: str, preset: PresetName, on_cuda_s: float, on_cpu_s: float) -> Phase:
        return phase(f"job/{dtype}/{preset}", partial(bench.one_job, dtype, preset), on_cuda_s, on_cpu_s)

    def users(dtype: str, on_cuda_s: float, on_cpu_s: float, counts: tuple[int, ...]) -> list[Phase]:
        name = f"users/{dtype}/"
        each = [(count, max(0.3, count / 16)) for count in counts if count in bench.scale.users]
        return [phase(f"{name}{n}", partial(bench.users, dtype, n), on_cuda_s * k, on_cpu_s * k) for n, k in each]

    on_cuda, on_cpu = ((1,), ()) if cuda else ((), (1,))
    eagers = (main + EAGER,) if cuda else ()
    others_in_users = tuple(n for n in bench.scale.users if n not in (1, 16))
    return [
        phase("ceilings", bench.ceilings, 8, 5),
        phase("floor", bench.floor, 3, 5),
        *(phase(f"kernels/{main}", partial(bench.kernels, main), 8, 0) for _ in on_cuda),
        *(passes_of(main, kind) for kind in ("users", "stock", "users-learning")),
        job(main, "balanced", 40, 45),
        phase("reference", bench.reference, 12, 90),
        *users(main, 50, 35, (1, 16)),
        phase(f"identities/{main}", partial(bench.identities, main), 8, 12),
        *(phase(f"scheduled/{main}/{n}", partial(bench.scheduled, main, n), 40, 40) for n in bench.scale.scheduled),
        *(phase(f"profile/{main}", partial(bench.profile, main), 12, 10) for _ in on_cuda),
        job(main, "instant", 15, 12),
        *(phase(f"searched/{main}", partial(bench.searched, main), 30, 0) for _ in on_cuda),
        *(phase(f"users/{main}/{n}/instant", partial(bench.whole_jobs, main, n), 60, 50) for n in bench.scale.whole_jobs),
        *(
            phase(f"scheduled/{main}/{n}/instant", partial(bench.scheduled_whole_jobs, main, n), 4 * n, 3 * n)
            for n in (1, *bench.scale.whole_jobs)
        ),
        *(phase(f"scheduler/{main}/{n}", partial(bench.scheduler, main, n), 5, 5) for n in bench.scale.scheduled),
        *(passes_of(main, kind) for kind in ("ungated", "one-user", "one-user-learning", "stock-gradients")),
        *(phase(f"profile/{main}", partial(bench.profile, main), 10, 10) for _ in on_cpu),
        phase(f"autoencoder/{main}", partial(bench.autoencoder, main), 8, 10),
        phase(f"text/{main}", partial(bench.text_side, main), 4, 5),
        *users(main, 25, 35, others_in_users),
        *(passes_of(eager, kind) for eager in eagers for kind in ("users", "users-learning")),
        *(job(eager, "balanced", 60, 45) for eager in eagers),
        *(passes_of(dtype, kind) for dtype in others for kind in ("stock", "users", "users-learning")),
        *(job(dtype, "balanced", 40, 45) for dtype in others),
        job(main, "paper", 60, 60),
        *(passes_of(dtype, kind) for dtype in others for kind in ("ungated", "stock-gradients")),
    ]
