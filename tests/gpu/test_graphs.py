"""CUDA graphs and bf16 on a GPU: the answers of recorded passes, their memory, and that nothing waits for the device.

python -m pytest tests/gpu/test_graphs.py -m gpu -q
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from s2edit_core.unet.attention import Gates, KeysValues
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.pass_buffers import PassShape
from s2edit_core.unet.precision import use_tensor_cores
from s2edit_core.unet.recorded import COLUMNS, SIZES, USES_BEFORE
from s2edit_core.unet.rows import Answer, Row, Rows
from tests.tiny import tiny_backbone
from tests.unit.core.unet.mixes import distance, mix, row

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(600)]

BOUNDS = {torch.float32: 1e-2, torch.bfloat16: 0.1}
"""The largest difference, relative to a tensor's largest number. float32 uses TF32."""


def on_gpu(dtype: torch.dtype, *, graphs: bool) -> Backbone:
    use_tensor_cores()
    made = tiny_backbone(dtype=dtype)
    made.unet.cuda()
    return replace(made, vae=made.vae.cuda(), text_encoder=made.text_encoder.cuda(), graphs=graphs)


@pytest.fixture(params=BOUNDS, ids=str)
def models(request: pytest.FixtureRequest) -> tuple[Backbone, Backbone]:
    """The same model without and with graphs."""
    return on_gpu(request.param, graphs=False), on_gpu(request.param, graphs=True)


def cuda(rows: Rows) -> Rows:
    """Return `rows`, which read nothing, with all tensors on the GPU, where a service has them."""

    def moved(each: Row) -> Row:
        def to(tensor: Tensor | None) -> Tensor | None:
            return tensor.cuda().float() if tensor is not None else None

        gates: Gates | None = each.gates.to(torch.device("cuda")) if each.gates is not None else None
        prompt = KeysValues(*(tuple(x.cuda() for x in part) for part in (each.prompt.keys, each.prompt.values)))
        changed = {"latent": each.latent.cuda().float(), "target": to(each.target), "loss_weights": to(each.loss_weights)}
        return replace(each, prompt=prompt, gates=gates, **changed)  # type: ignore[arg-type]

    return tuple(moved(each) for each in rows)


def common_rows(backbone: Backbone, seed: int, count: int, *, learns: bool, gated: bool = True) -> Rows:
    draw, found = random.Random(seed), []
    while len(found) < count:
        each = row(backbone, draw, common=True)
        if each.latent.shape[1:] == (8, 8) and (each.target is not None) == learns and (each.gates is not None) == gated:
            found.append(each)
    return cuda(tuple(found))


@pytest.mark.parametrize("seed", range(5))
def test_recorded_passes_give_the_answers_of_passes_that_run_as_they_are(models: tuple[Backbone, Backbone], seed: int) -> None:
    plain, recorded = models
    for _ in range(USES_BEFORE + 3):
        for mine in range(3):
            rows = cuda(sum(mix(plain, 10 * seed + mine, common=True), ()))
            for a, b in zip(recorded.evaluate(rows), plain.evaluate(rows), strict=True):
                assert distance(a, b) <= BOUNDS[plain.dtype]
    assert recorded.recorded is not None
    assert recorded.recorded.capture, "recording failed"
    assert len(recorded.recorded) > 0


@pytest.mark.parametrize("learns", [False, True], ids=["sampling", "learning"])
@pytest.mark.parametrize("gated", [False, True], ids=["plain", "gated"])
def test_every_size_is_recorded_and_each_run_computes_its_own_rows(
    models: tuple[Backbone, Backbone], learns: bool, gated: bool
) -> None:
    """Other rows, other columns and fewer of them, through one graph."""
    plain, recorded = models
    for size in SIZES:
        for run in range(USES_BEFORE + 3):
            rows = common_rows(plain, 7 * run, max(1, size - (run == 4 and size > 2)), learns=learns, gated=gated)
            for a, b in zip(recorded.evaluate(rows), plain.evaluate(rows), strict=True):
                assert distance(a, b) <= BOUNDS[plain.dtype]
    assert recorded.recorded is not None
    assert len(recorded.recorded) == len(SIZES)
    assert recorded.recorded.memory_bytes > 0


def near(answer: Answer, kept: list[Tensor], backbone: Backbone) -> bool:
    """Return whether an answer has the numbers `kept`, up to rounding: gradients are summed in no fixed order. NaN is not near."""
    pairs = zip((answer.eps, *answer.gradients()), kept, strict=True)
    return all(bool((a - b).abs().max() <= BOUNDS[backbone.dtype] * b.abs().max()) for a, b in pairs)


def copied(answer: Answer) -> list[Tensor]:
    return [tensor.clone() for tensor in (answer.eps, *answer.gradients())]


def test_an_answer_keeps_its_numbers_when_its_graph_runs_again(models: tuple[Backbone, Backbone]) -> None:
    _, recorded = models
    for run in range(USES_BEFORE + 1):
        answers = recorded.evaluate(common_rows(recorded, run, 4, learns=True))
    before = [copied(answer) for answer in answers]
    recorded.evaluate(common_rows(recorded, 99, 4, learns=True))
    for answer, kept in zip(answers, before, strict=True):
        assert all(torch.equal(a, b) for a, b in zip((answer.eps, *answer.gradients()), kept, strict=True))


@contextmanager
def no_waiting() -> Iterator[None]:
    """Make every wait of the host for the device an error."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("learns", [False, True], ids=["sampling", "learning"])
def test_the_host_waits_for_nothing_until_it_reads_the_report(models: tuple[Backbone, Backbone], learns: bool) -> None:
    _, recorded = models
    assert recorded.recorded is not None
    rows = common_rows(recorded, 1, 7, learns=learns)
    for _ in range(USES_BEFORE + 1):
        recorded.evaluate(rows)
    with no_waiting():
        outputs = recorded.recorded(rows)
    assert all(answer.finite for answer in outputs.answers(rows))


def test_broken_rows_reach_neither_companions_nor_those_who_come_after(models: tuple[Backbone, Backbone]) -> None:
    _, recorded = models
    rows = list(common_rows(recorded, 1, 8, learns=True))
    for _ in range(USES_BEFORE + 1):
        sound = recorded.evaluate(tuple(rows))
    before = [copied(answer) for answer in sound]
    rows[3] = replace(rows[3], latent=rows[3].latent * torch.nan)
    for i, answer in enumerate(recorded.evaluate(tuple(rows), check=False)):
        assert answer.finite == (i != 3)
        assert i == 3 or near(answer, before[i], recorded)
    for answer, kept in zip(recorded.evaluate(tuple(rows[4:] + rows[:2])), before[4:] + before[:2], strict=True):
        assert near(answer, kept, recorded)


def test_poison_in_the_padding_reaches_nobody(models: tuple[Backbone, Backbone]) -> None:
    _, recorded = models
    assert recorded.recorded is not None
    rows = common_rows(recorded, 1, 7, learns=True)
    for _ in range(USES_BEFORE + 1):
        sound = recorded.evaluate(rows)
    before = [copied(answer) for answer in sound]
    buffers = recorded.recorded._buffers[PassShape.of(rows, COLUMNS)]
    for tensor in (buffers.latents, buffers.targets, buffers.factors, *buffers.keys, *buffers.values):
        tensor.data[7:] = torch.nan
    for answer, kept in zip(recorded.evaluate(rows), before, strict=True):
        assert near(answer, kept, recorded)
