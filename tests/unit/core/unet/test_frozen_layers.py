"""Frozen layers by oneDNN: the numbers of torch's own layers, forward and backward."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from s2edit_core.unet import frozen_layers
from s2edit_core.unet.frozen_layers import MAX_SIZES, MIN_PRODUCTS, FrozenConv2d, FrozenLinear, use_onednn
from tests.tiny import tiny_backbone

MIN_VECTORS = -(-MIN_PRODUCTS // (24 * 40))


@pytest.fixture
def products(monkeypatch: pytest.MonkeyPatch) -> list[torch.Size]:
    """The shapes of the inputs that oneDNN has multiplied."""
    seen: list[torch.Size] = []
    product = frozen_layers._product

    def watched(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        seen.append(x.shape)
        return product(x, weight, bias)

    monkeypatch.setattr(frozen_layers, "_product", watched)
    return seen


def both(stock: nn.Module) -> tuple[nn.Module, nn.Module]:
    """Return a frozen layer of torch, and one with the same weights that uses oneDNN."""
    made = copy.deepcopy(stock.requires_grad_(False))
    assert use_onednn(made) == 1
    assert use_onednn(made) == 0
    return stock, made


def assert_alike(stock: nn.Module, made: nn.Module, x: Tensor) -> None:
    """Compare outputs, and gradients for the input."""
    gradients, weights = [], torch.linspace(0.5, 2, stock(x).shape[-1])
    for layer in (stock, made):
        leaf = x.detach().requires_grad_()
        out = layer(leaf)
        torch.testing.assert_close(out, stock(x), rtol=1e-5, atol=1e-5)
        (weights * out).sum(dim=-1).sum().backward()  # a gradient with strides of zero
        gradients.append(leaf.grad)
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("view", ["whole", "every other", "transposed"])
def test_the_numbers_of_a_linear_layer_are_those_of_torch(bias: bool, view: str, products: list[torch.Size]) -> None:
    stock, made = both(nn.Linear(24, 40, bias=bias))
    x = torch.randn(8, MIN_VECTORS // 2, 24)
    x = {"whole": x, "every other": x[:, ::2], "transposed": x.transpose(0, 1)}[view]
    assert_alike(stock, made, x)
    assert products == [x.shape, torch.Size([*x.shape[:-1], 40])]
    assert not made(x).requires_grad


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(24, 40, 3, padding=1),
        nn.Conv2d(40, 24, 3, padding=1, bias=False),
        nn.Conv2d(24, 40, 1),
        nn.Conv2d(24, 24, 3, stride=2, padding=1),
    ],
    ids=["3 by 3", "without bias", "1 by 1", "with a stride"],
)
def test_the_numbers_of_a_convolution_are_those_of_torch(layer: nn.Conv2d, layout: torch.memory_format) -> None:
    stock, made = both(copy.deepcopy(layer))
    for shape in ((1, 8, 8), (5, 8, 8), (2, 6, 10)):  # rows, height, width
        assert_alike(stock, made, torch.randn(shape[0], layer.in_channels, *shape[1:]).contiguous(memory_format=layout))


def test_a_convolution_follows_its_weights_and_keeps_few_layouts() -> None:
    stock, made = both(nn.Conv2d(8, 8, 3, padding=1))
    assert isinstance(made, FrozenConv2d)
    made(torch.randn(2, 8, 8, 8))
    for layer in (stock, made):
        layer.weight.mul_(2)  # type: ignore[operator]
    for side in range(4, 4 + 2 * MAX_SIZES + 1):
        assert_alike(stock, made, torch.randn(1, 8, side, side))
        assert len(made._laid_out) <= 2 * MAX_SIZES
    assert made.double()(torch.randn(1, 8, 8, 8).double()).dtype == torch.float64
    made.float().requires_grad_()
    made(torch.randn(1, 8, 8, 8)).sum().backward()
    assert made.weight.grad is not None


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(8, 8, 3),
        nn.Conv2d(8, 8, 3, padding=1, groups=2),
        nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(8, 8, 3, padding=2, dilation=2),
        nn.Conv2d(8, 8, 3, padding="same"),
    ],
)
def test_other_convolutions_stay_as_they_are(layer: nn.Conv2d) -> None:
    assert use_onednn(layer) == 0


def test_the_convolutions_of_a_large_model_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen_layers, "MAX_LAID_OUT_BYTES", 1000)
    assert use_onednn(nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.Linear(8, 8))) == 1


def test_a_few_vectors_other_precisions_and_weights_that_learn_take_the_usual_way(products: list[torch.Size]) -> None:
    stock, made = both(nn.Linear(24, 40))
    few = torch.randn(MIN_VECTORS - 1, 24)
    assert torch.equal(made(few), stock(few))
    many = torch.randn(MIN_VECTORS, 24)
    assert made.double()(many.double()).dtype == torch.float64
    made.float().requires_grad_()
    made(many).sum().backward()
    assert made.weight.grad is not None
    assert not products
    made.requires_grad_(False)
    made(many)
    assert products == [many.shape]


def test_a_backbone_on_the_cpu_uses_it_and_keeps_its_weights() -> None:
    backbone = tiny_backbone()
    for kind, wanted in ((nn.Linear, FrozenLinear), (nn.Conv2d, FrozenConv2d)):
        layers = [each for each in backbone.unet.modules() if isinstance(each, kind)]
        assert layers
        assert all(type(each) is wanted for each in layers)
        assert set(layers[0].state_dict()) <= {"weight", "bias"}
