"""Passes over buffers at fixed addresses, padded to a few sizes. The graphs themselves need CUDA: tests/gpu/test_graphs.py."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.pass_buffers import PassBuffers, PassShape
from s2edit_core.unet.pass_limit import PassLimit
from s2edit_core.unet.recorded import COLUMNS, MOST_FAILURES, SIZES, USES_BEFORE, RecordedPasses, can_be_recorded, padded_parts
from s2edit_core.unet.rows import Row
from tests.tiny import tiny_backbone
from tests.unit.core.unet.mixes import distance, mix, readers, row


@pytest.fixture
def backbone(monkeypatch: pytest.MonkeyPatch) -> Backbone:
    model = tiny_backbone()
    monkeypatch.setitem(model.__dict__, "recorded", passes_of(model))
    return model


def passes_of(model: Backbone, *, capture: bool = False) -> RecordedPasses:
    return RecordedPasses(model._run, model.device, model.dtype, largest=SIZES[-1], capture=capture)


def learners(backbone: Backbone, count: int, *, seed: int = 0, gated: bool = True) -> list[Row]:
    """Return rows of one latent shape that learn, each of another user."""
    draw, found = random.Random(seed), []
    while len(found) < count:
        each = row(backbone, draw, common=True)
        if each.latent.shape[1:] == (8, 8) and each.target is not None and (each.gates is not None) == gated:
            found.append(each)
    return found


@pytest.mark.parametrize(
    ("rows", "largest", "parts"),
    [
        (0, 32, []),
        (1, 32, [1]),
        (3, 32, [3]),
        (5, 32, [4, 1]),
        (6, 32, [6]),
        (7, 32, [7]),
        (9, 32, [8, 1]),
        (11, 32, [8, 3]),
        (12, 32, [12]),
        (40, 32, [32, 8]),
        (50, 32, [32, 16, 2]),
        (7, 3, [2, 2, 2, 1]),
        (2, 1, [1, 1]),
    ],
)
def test_a_pass_is_padded_by_a_quarter_at_most(rows: int, largest: int, parts: list[int]) -> None:
    assert padded_parts(rows, largest) == parts


def test_common_rows_are_recorded_and_others_run_as_they_are(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    run = backbone.recorded.run  # type: ignore[union-attr]
    monkeypatch.setattr(backbone.recorded, "run", lambda inputs: (seen.append(len(inputs.latents)), run(inputs))[1])
    pair, common = readers(backbone, random.Random(4)), learners(backbone, 6)
    expected = tiny_backbone().evaluate((*common, *pair))
    answers = backbone.evaluate((common[0], pair[1], *common[1:], pair[0]))
    assert seen == [8]
    for answer, wanted in zip((answers[0], *answers[2:7], answers[7], answers[1]), expected, strict=True):
        assert distance(answer, wanted) <= 1e-12
    assert not can_be_recorded(pair)


def of_row(buffers: PassBuffers, i: int) -> list[Tensor]:
    """Return everything that the buffers hold of row `i`."""
    single = (
        buffers.latents,
        buffers.targets,
        buffers.cells,
        buffers.timesteps,
        buffers.weights,
        buffers.positions,
        buffers.factors,
    )
    return [tensor[i] for tensor in (*single, *buffers.keys, *buffers.values)]


def filled(backbone: Backbone, shape: PassShape, *passes: Sequence[Row]) -> PassBuffers:
    buffers = PassBuffers(8, shape, backbone.device, backbone.dtype)
    for rows in passes:
        buffers.fill(rows)
    return buffers


@pytest.mark.parametrize("poison", [None, torch.nan])
def test_no_byte_of_an_earlier_row_is_left_when_buffers_are_used_again(backbone: Backbone, poison: float | None) -> None:
    """The places of the next rows hold what new buffers would, and so do all above."""
    before, after = learners(backbone, 7), [*learners(backbone, 2, seed=1), *learners(backbone, 1, seed=2, gated=False)]
    if poison is not None:
        before = [replace(each, latent=each.latent * poison, target=each.latent * poison) for each in before]
    after[1] = replace(after[1], target=None, loss_weights=None)
    shape = PassShape.of(before, COLUMNS)
    used, new = filled(backbone, shape, before, after), filled(backbone, shape, after)
    for i in range(8):
        for mine, fresh in zip(of_row(used, i), of_row(new, i), strict=True):
            assert torch.equal(mine, fresh)
    assert all((tensor[3:] == 0).all() for tensor in (used.latents, used.targets, used.factors, *used.keys, *used.values))
    assert (used.positions[3:] == shape.tokens).all()


def test_padding_reaches_nobody_whatever_is_in_it(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = tuple(learners(backbone, 6))
    clean = backbone.evaluate(rows)
    fill = PassBuffers.fill

    def poisoned(self: PassBuffers, rows: Sequence[Row]) -> None:
        fill(self, rows)
        for tensor in (self.latents, self.targets, self.cells, self.weights, self.factors, *self.keys, *self.values):
            tensor[len(rows) :] = torch.nan
        self.positions[len(rows) :] = 2

    monkeypatch.setattr(PassBuffers, "fill", poisoned)
    for answer, wanted in zip(backbone.evaluate(rows), clean, strict=True):
        assert answer.loss == wanted.loss
        assert torch.equal(answer.eps, wanted.eps)
        assert all(torch.equal(a, b) for a, b in zip(answer.gradients(), wanted.gradients(), strict=True))


def test_many_shapes_and_kinds_share_a_bounded_memory(backbone: Backbone) -> None:
    recorded = passes_of(backbone)
    draw = random.Random(0)
    for side in range(4, 12):
        each = replace(row(backbone, draw, common=True), gates=None, target=None, loss_weights=None)
        recorded([replace(each, latent=torch.zeros(4, side, 8, dtype=torch.float64))])
    assert len(recorded._buffers) == 4


def test_a_failed_recording_is_logged_once_and_passes_go_on(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    recorded = passes_of(backbone, capture=True)
    monkeypatch.setitem(backbone.__dict__, "recorded", recorded)
    monkeypatch.setattr(recorded, "_record", lambda *_: (_ for _ in ()).throw(RuntimeError("operation not permitted")))
    rows = tuple(learners(backbone, 3))
    with caplog.at_level(logging.WARNING):
        answers = [backbone.evaluate(rows) for _ in range((USES_BEFORE + 1) * MOST_FAILURES)]
    assert [record.message for record in caplog.records] == [
        "a pass of 4 rows can't be recorded as a CUDA graph and runs without: operation not permitted"
    ]
    assert not recorded.capture
    assert all(distance(a, b) == 0 for later in answers[1:] for a, b in zip(later, answers[0], strict=True))


def test_too_little_memory_for_a_recording_makes_passes_smaller(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = passes_of(backbone, capture=True)
    monkeypatch.setitem(backbone.__dict__, "recorded", recorded)
    monkeypatch.setattr(recorded, "_record", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory")))
    backbone.pass_limit = PassLimit()
    rows = tuple(learners(backbone, 4))
    first, *_ = (backbone.evaluate(rows) for _ in range(3))
    assert backbone.pass_limit.reductions == 1
    assert max(distance(a, b) for a, b in zip(backbone.evaluate(rows), first, strict=True)) <= 1e-12


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_passes_does_not_matter(backbone: Backbone, seed: int) -> None:
    """Many mixes through the same buffers, each as through new ones."""
    for i in range(4):
        rows = sum(mix(backbone, 10 * seed + i, common=True), ())
        for a, b in zip(backbone.evaluate(rows), tiny_backbone().evaluate(rows), strict=True):
            assert distance(a, b) <= 1e-12
