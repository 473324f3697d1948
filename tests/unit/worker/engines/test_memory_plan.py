"""The memory of a device as a plan: what is measured at start, and what follows from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Answers, Rows
from tests.tiny import tiny_backbone
from worker.engines.loaded_model import MemoryPlan, plan_memory

MB = 2**20


@dataclass
class Device:
    """Reports peaks as a device would: 10 MB for each row of a pass, 25 MB with gradients, 40 MB for the auto-encoder."""

    backbone: Backbone
    free_mb: int
    evaluated: list[tuple[int, bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.evaluate = self.backbone.evaluate
        self.backbone.evaluate = self.watch  # type: ignore[method-assign]

    def watch(self, rows: Rows, *, check: bool = True) -> Answers:
        self.evaluated.append((len(rows), rows[0].target is not None))
        return self.evaluate(rows, check=check)

    def free(self) -> int:
        return self.free_mb * MB

    def peak(self, work: Callable[[], object]) -> int:
        before = len(self.evaluated)
        work()
        passes = self.evaluated[before:]
        return MB * (max(rows * (25 if gradients else 10) for rows, gradients in passes) if passes else 40)


@pytest.fixture
def backbone() -> Backbone:
    return tiny_backbone()


def test_passes_of_each_size_are_measured_with_and_without_gradients(backbone: Backbone) -> None:
    device = Device(backbone, free_mb=10_000)
    plan = plan_memory(backbone, device)
    assert plan == MemoryPlan(10_000 * MB, {rows: 25 * rows * MB for rows in (1, 2, 4, 8, 16)}, 40 * MB)
    assert device.evaluated == [(rows, gradients) for rows in (1, 2, 4, 8, 16) for gradients in (False, True)]


def test_a_size_that_cannot_fit_is_not_tried(backbone: Backbone) -> None:
    device = Device(backbone, free_mb=160)
    assert sorted(plan_memory(backbone, device).passes) == [1, 2, 4]
    assert max(rows for rows, _ in device.evaluated) == 4


@pytest.mark.parametrize(
    ("free_mb", "most", "rows", "jobs"),
    [
        (10_000, 16, 16, 16),  # all that is asked for
        (1_000, 1, 16, 1),  # one job fills passes with its variants and noise levels
        (1_000, 16, 8, 16),  # 900 MB: 16 rows (400) leave room for 12 jobs only
        (400, 16, 4, 6),  # 360 MB: 8 rows (200) would leave room for 4 jobs
        (60, 16, 1, 1),  # less than one job: the pass halves itself, and a job without memory goes back to the queue
    ],
)
def test_jobs_and_rows_share_the_memory(free_mb: int, most: int, rows: int, jobs: int) -> None:
    plan = MemoryPlan(free_mb * MB, {size: 25 * size * MB for size in (1, 2, 4, 8, 16)}, 40 * MB)
    assert plan.choose(most) == (rows, jobs)


def test_the_measured_limit_of_rows_stays(backbone: Backbone) -> None:
    limit = backbone.pass_limit
    limit.most = 4
    assert (limit.rows(16), limit.rows(2)) == (4, 2)
    limit.reduce(4)
    assert limit.rows(16) == 2
