"""The counted operations of a row against a count by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lab.speed.phases.flops import RowFlops, flops_of, row_flops
from lab.speed.phases.passes import Ceiling
from tests.tiny import TOKENS, tiny_parts


def test_a_product_counts_two_per_term() -> None:
    with torch.device("meta"):
        assert flops_of(nn.Linear(3, 5), (torch.zeros(2, 3),)) == 2 * 2 * 3 * 5
        assert flops_of(nn.Conv2d(3, 4, 3, padding=1), (torch.zeros(1, 3, 8, 6),)) == 2 * 8 * 6 * 9 * 3 * 4


def by_hand(unet: nn.Module, latent: Tensor, prompt: Tensor) -> int:
    """Sum 2·terms·outputs over convolutions and linear layers, and both products of each attention map, of one real pass."""
    total = 0

    def count(module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        terms = module.weight[0].numel()
        total += 2 * terms * output.numel()

    def count_maps(module: Any, inputs: tuple[Tensor, ...], kwargs: dict[str, Any], output: Tensor) -> None:
        nonlocal total
        context = kwargs.get("encoder_hidden_states")
        queries = inputs[0].shape[1]
        keys = queries if context is None else context.shape[1]
        width = module.to_k.out_features
        total += 2 * 2 * queries * keys * width

    for name, module in unet.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
        elif name.endswith(("attn1", "attn2")):
            module.register_forward_hook(count_maps, with_kwargs=True)
    with torch.no_grad():
        unet(latent, torch.zeros(1), encoder_hidden_states=prompt)
    return total


def test_a_row_counts_what_its_layers_do() -> None:
    unet = tiny_parts()["unet"]
    counted = row_flops(unet, TOKENS)
    assert counted.forward == by_hand(unet, torch.zeros(1, 4, 8, 8), torch.zeros(1, TOKENS, 16))
    assert 1.5 * counted.forward < counted.with_gradients < 3 * counted.forward


def test_the_distance_to_the_floor() -> None:
    found = Ceiling(RowFlops(10**12, 2 * 10**12), 400.0).about(100.0, gradients=False)
    assert found == {"tflops": 100.0, "share": 0.25, "times_floor": 4.0}
    assert Ceiling(RowFlops(10**12, 2 * 10**12), 400.0).about(100.0, gradients=True)["times_floor"] == 2.0
    assert Ceiling(RowFlops(1, 1), None).about(1.0, gradients=False).keys() == {"tflops"}


def test_stable_diffusions_row() -> None:
    from lab.speed.random_sd14 import build_unet

    with torch.device("meta"):
        counted = row_flops(build_unet(), 77)
    assert counted.forward == pytest.approx(0.803e12, rel=1e-3)
