"""How many operations learning starts beside the UNet. On a GPU, the host pays for each of them, whatever its size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from s2edit_core.concepts.concept import Concept, LowRank, new_deltas
from s2edit_core.concepts.conditioning import keys_values
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.trainable_prompts import summed_gradients


class Products(TorchDispatchMode):
    """Counts the matrix products that are started inside it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(
        self, function: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        self.count += function.overloadpacket.__name__ in ("mm", "bmm", "addmm", "baddbmm")
        return function(*args, **(kwargs or {}))


def concept_of(backbone: Backbone) -> Concept:
    generator = torch.Generator().manual_seed(0)
    keys, values = new_deltas(backbone.layers, "lora_kv", 2, generator)
    for delta in (*keys, *values):
        assert isinstance(delta, LowRank)
        with torch.no_grad():
            delta.up.normal_(generator=generator)
    return Concept(torch.zeros(3), keys, values)


def states_of(backbone: Backbone) -> torch.Tensor:
    width = backbone.layers[0].to_k.in_features
    return torch.randn(7, width, dtype=backbone.dtype, generator=torch.Generator().manual_seed(1), requires_grad=True)


def test_products_for_keys_and_values_grow_with_widths_not_with_layers(backbone: Backbone) -> None:
    concept, states = concept_of(backbone), states_of(backbone)
    widths = {layer.to_k.out_features for layer in backbone.layers}
    assert len(widths) < 2 * len(backbone.layers)
    with Products() as forward:
        made = keys_values(backbone, states, [concept])
    assert forward.count <= 3 * len(widths)
    with Products() as backward:
        torch.autograd.backward(made.tensors(), [torch.ones_like(each) for each in made.tensors()])
    assert backward.count <= 6 * len(widths)


def test_keys_values_and_their_gradients_are_those_of_single_layers(backbone: Backbone) -> None:
    concept, states = concept_of(backbone), states_of(backbone)
    made = keys_values(backbone, states, [concept]).tensors()
    linears = [*(layer.to_k for layer in backbone.layers), *(layer.to_v for layer in backbone.layers)]
    deltas = (*concept.keys, *concept.values)
    expected = [linear(states) + delta(states) for linear, delta in zip(linears, deltas, strict=True)]
    leaves = [states, *(tensor for delta in deltas for tensor in vars(delta).values())]
    for a, b in zip(made, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)
    mine, theirs = (torch.autograd.grad([each.square().sum() for each in side], leaves) for side in (made, expected))
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_written_weights_are_projected_anew(backbone: Backbone) -> None:
    weight, states = backbone.layers[0].to_k.weight, states_of(backbone)
    before = keys_values(backbone, states).keys[0].detach()
    with torch.no_grad():
        weight.mul_(2)
        doubled = keys_values(backbone, states).keys[0]
        weight.div_(2)
    torch.testing.assert_close(doubled, 2 * before)


def test_gradients_are_summed_over_rows_layer_by_layer() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = [[torch.randn(3, width, generator=generator) for width in (2, 5, 2)] for _ in range(4)]
    for i, total in enumerate(summed_gradients(rows)):
        torch.testing.assert_close(total, torch.stack([row[i] for row in rows]).sum(0))
