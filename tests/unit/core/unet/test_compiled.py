"""Compiled blocks give the same answers. What the compiler makes of them on a GPU is measured, not tested here."""

from __future__ import annotations

import pytest
import torch

from s2edit_core.unet.compiled import BLOCKS, compile_blocks
from tests.tiny import tiny_backbone
from tests.unit.core.unet.mixes import distance, mix


def test_compiled_blocks_give_the_same_answers_and_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Traced and differentiated as for the compiler, then run without it."""
    plain, compiled = tiny_backbone(), tiny_backbone()
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    expected_blocks = sum(type(module).__name__ in BLOCKS for module in compiled.unet.modules())
    assert compile_blocks(compiled.unet, backend="aot_eager") == expected_blocks > 8
    for seed in range(2):
        rows = sum(mix(plain, seed), ())
        for a, b in zip(compiled.evaluate(rows), plain.evaluate(rows), strict=True):
            assert distance(a, b) <= 1e-12
    counters = torch._dynamo.utils.counters
    assert counters["stats"]["unique_graphs"] >= 4
    assert not counters["graph_break"], "a block was not compiled as a whole"
