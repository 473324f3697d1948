"""A row's answer does not depend on the rows that share its pass: whoever they are, whatever they do, and broken or not."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import count, islice

import pytest
import torch

from s2edit_core.errors import NumbersNotFinite
from s2edit_core.unet import processors
from s2edit_core.unet.attention import KeysValues
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.recorded import SIZES, RecordedPasses
from s2edit_core.unet.rows import Answer, Row
from tests.tiny import tiny_backbone
from tests.unit.core.unet.mixes import distance, mix, row

BOUNDS = {torch.float64: 1e-12, torch.float32: 2e-5, torch.bfloat16: 0.1}
"""The largest difference, relative to a tensor's largest number, between a row's answers alone and in company."""


@pytest.fixture(scope="module", params=BOUNDS, ids=str)
def model(request: pytest.FixtureRequest) -> Backbone:
    return tiny_backbone(dtype=request.param)


@pytest.fixture(params=["exact sizes", "fused gates", "padded"])
def backbone(model: Backbone, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Backbone:
    """The model in the ways in which passes run: as on the CPU, and as on a GPU without and with padding."""
    if request.param != "exact sizes":
        monkeypatch.setattr(processors, "MIN_FUSED_CELLS", 0)
    if request.param == "padded":
        monkeypatch.setitem(model.__dict__, "recorded", padded_passes(model))
    return model


def padded_passes(model: Backbone) -> RecordedPasses:
    return RecordedPasses(model._run, model.device, model.dtype, largest=SIZES[-1], capture=False)


@pytest.mark.parametrize("seed", range(3))
def test_rows_get_the_numbers_that_they_get_alone(backbone: Backbone, seed: int) -> None:
    groups = mix(backbone, seed)
    together = dict(zip((row for rows in groups for row in rows), backbone.evaluate(sum(groups, ())), strict=True))
    for rows in groups:
        for each, alone in zip(rows, backbone.evaluate(rows), strict=True):
            assert distance(together[each], alone) <= BOUNDS[backbone.dtype]


def test_the_same_companions_give_the_same_bytes(backbone: Backbone) -> None:
    """Whatever else was evaluated in between, in the same buffers."""
    rows = sum(mix(backbone, 7), ())
    first = backbone.evaluate(rows)
    backbone.evaluate(sum(mix(backbone, 8), ()))
    for a, b in zip(first, backbone.evaluate(rows), strict=True):
        assert a.loss == b.loss
        for before, again in zip((a.eps, *a.gradients(), *a.maps), (b.eps, *b.gradients(), *b.maps), strict=True):
            assert torch.equal(before, again)


@pytest.mark.parametrize("seed", range(3))
def test_two_ways_of_the_same_pass_agree(model: Backbone, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Explicit maps, and fused attention in padded passes."""
    rows = sum(mix(model, 100 + seed), ())
    explicit = model.evaluate(rows)
    monkeypatch.setattr(processors, "MIN_FUSED_CELLS", 0)
    monkeypatch.setitem(model.__dict__, "recorded", padded_passes(model))
    fused = model.evaluate(rows)
    assert max(distance(a, b) for a, b in zip(fused, explicit, strict=True)) <= BOUNDS[model.dtype]


def broken(good: Row, part: str) -> Row:
    """Return `good` with NaN in one of its inputs."""
    if part == "latent":
        return replace(good, latent=torch.full_like(good.latent, torch.nan))
    if part == "target":
        return replace(good, target=torch.full_like(good.latent, torch.nan))
    if part == "gates":
        assert good.gates is not None
        return replace(good, gates=replace(good.gates, factors=good.gates.factors * torch.nan))
    keys, values = (tuple(x * torch.nan if name == part else x for x in each) for name, each in vars(good.prompt).items())
    return replace(good, prompt=KeysValues(keys, values))


def same_bytes(a: Answer, b: Answer) -> bool:
    pairs = zip((a.eps, *a.gradients(), *a.maps), (b.eps, *b.gradients(), *b.maps), strict=True)
    return a.loss == b.loss and all(torch.equal(x, y) for x, y in pairs)


@pytest.mark.parametrize("part", ["latent", "target", "gates", "keys", "values"])
def test_broken_numbers_of_one_row_reach_nobody(backbone: Backbone, part: str) -> None:
    """Only its own answer says that it is broken; those of its companions keep every byte that they have beside a sound row."""
    draw = random.Random(9)
    drawn = (row(backbone, draw, common=True) for _ in count())
    rows = list(islice((each for each in drawn if each.latent.shape[1:] == (8, 8) and each.target is not None), 7))
    sick = next(i for i, each in enumerate(rows) if each.gates is not None)
    sound = backbone.evaluate(tuple(rows))
    rows[sick] = broken(rows[sick], part)
    answers = backbone.evaluate(tuple(rows), check=False)
    for i, (answer, before) in enumerate(zip(answers, sound, strict=True)):
        assert answer.finite == (i != sick)
        assert i == sick or same_bytes(answer, before)
    with pytest.raises(NumbersNotFinite):
        backbone.evaluate(tuple(rows))
