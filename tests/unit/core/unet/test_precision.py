"""Which precision the UNet gets, and what stays in float32 whatever it is."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from s2edit_core.errors import NumbersNotFinite
from s2edit_core.unet.precision import choose_dtype
from tests.tiny import tiny_backbone
from tests.unit.core.unet.mixes import row


@pytest.mark.parametrize(
    ("precision", "capability", "dtype"),
    [
        ("auto", None, torch.float32),
        ("auto", (7, 5), torch.float32),
        ("auto", (8, 0), torch.bfloat16),
        ("auto", (9, 0), torch.bfloat16),
        ("fp32", (9, 0), torch.float32),
        ("bf16", None, torch.bfloat16),
        ("fp16", (9, 0), torch.float16),
    ],
)
def test_auto_is_bf16_where_the_hardware_computes_it(
    monkeypatch: pytest.MonkeyPatch, precision: str, capability: tuple[int, int] | None, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert choose_dtype(precision, "cuda:1" if capability else "cpu") == dtype


def test_another_name_is_refused() -> None:
    with pytest.raises(ValueError, match="one of auto, fp32, bf16, fp16"):
        choose_dtype("half", "cpu")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_predictions_are_in_single_precision_and_near_those_of_it(dtype: torch.dtype) -> None:
    exact, half = tiny_backbone(dtype=torch.float32), tiny_backbone(dtype=dtype)
    each = replace(row(half, random.Random(1), common=True), target=None, loss_weights=None)
    (mine,), (theirs,) = half.evaluate((each,)), exact.evaluate((each,))
    assert mine.eps.dtype == torch.float32
    assert 0 < (mine.eps - theirs.eps).abs().max() <= 0.1 * theirs.eps.abs().max()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_explicit_maps_are_computed_in_single_precision(dtype: torch.dtype) -> None:
    """As `upcast_attention` asks for: in half precision, the sum of a row of the map would be off by a thousandth."""
    backbone = tiny_backbone(dtype=dtype)
    each = replace(row(backbone, random.Random(1), common=True), target=None, loss_weights=None, gates=None, capture=(0, 1, 2))
    for maps in backbone.evaluate((each,))[0].maps:
        assert maps.dtype == torch.float32
        torch.testing.assert_close(maps.sum(dim=-1), torch.ones(len(maps)), rtol=0, atol=1e-5)


def test_learning_in_fp16_is_refused_with_the_reason() -> None:
    backbone = tiny_backbone(dtype=torch.float16)
    each = replace(row(backbone, random.Random(1), common=True), target=torch.zeros(4, 8, 8), loss_weights=None)
    with pytest.raises(NumbersNotFinite, match="gradients are lost in float16: learn with bf16 or fp32"):
        backbone.evaluate((replace(each, latent=torch.zeros(4, 8, 8), gates=None),))


def test_attention_and_group_norms_of_bf16_on_the_cpu_are_computed_in_single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, set[torch.dtype]] = {"scaled_dot_product_attention": set(), "group_norm": set()}

    def watched(name: str) -> Callable[..., Any]:
        plain = getattr(F, name)

        def call(x: Tensor, *others: Any, **named: Any) -> Any:
            seen[name].add(x.dtype)
            return plain(x, *others, **named)

        return call

    backbone = tiny_backbone(dtype=torch.bfloat16)
    each = replace(row(backbone, random.Random(1), common=True), loss_weights=None, gates=None)
    for name in seen:
        monkeypatch.setattr(F, name, watched(name))
    backbone.evaluate((each,))
    assert seen == {name: {torch.float32} for name in seen}
