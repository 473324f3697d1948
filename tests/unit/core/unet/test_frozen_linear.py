"""Linear layers by oneDNN: the numbers of torch's own layers, forward and backward."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from s2edit_core.unet import frozen_linear
from s2edit_core.unet.frozen_linear import MIN_VECTORS, FrozenLinear, use_onednn
from tests.tiny import tiny_backbone


@pytest.fixture
def products(monkeypatch: pytest.MonkeyPatch) -> list[torch.Size]:
    """The shapes of the inputs that oneDNN has multiplied."""
    seen: list[torch.Size] = []
    product = frozen_linear._product

    def watched(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        seen.append(x.shape)
        return product(x, weight, bias)

    monkeypatch.setattr(frozen_linear, "_product", watched)
    return seen


def both(*, bias: bool = True) -> tuple[nn.Linear, nn.Linear]:
    """Return a frozen layer of torch, and one with the same weights that uses oneDNN."""
    stock = nn.Linear(24, 40, bias=bias).requires_grad_(False)
    made = nn.Linear(24, 40, bias=bias).requires_grad_(False)
    made.load_state_dict(stock.state_dict())
    assert use_onednn(made) == 1
    assert use_onednn(made) == 0
    return stock, made


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("view", ["whole", "every other", "transposed"])
def test_the_numbers_are_those_of_torch(bias: bool, view: str, products: list[torch.Size]) -> None:
    stock, made = both(bias=bias)
    x = torch.randn(4, 600, 24)
    x = {"whole": x, "every other": x[:, ::2], "transposed": x.transpose(0, 1)}[view]
    gradients = []
    for layer in (stock, made):
        leaf = x.detach().requires_grad_()
        out = layer(leaf)
        torch.testing.assert_close(out, stock(x), rtol=1e-5, atol=1e-5)
        (2 * out.sum(dim=-1)).sum().backward()  # a gradient with strides of zero
        gradients.append(leaf.grad)
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-5, atol=1e-5)
    assert products == [x.shape, torch.Size([*x.shape[:-1], 40])]
    assert not made(x).requires_grad


def test_a_few_vectors_other_precisions_and_weights_that_learn_take_the_usual_way(products: list[torch.Size]) -> None:
    stock, made = both()
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
    layers = [each for each in backbone.unet.modules() if isinstance(each, nn.Linear)]
    assert layers
    assert all(type(each) is FrozenLinear for each in layers)
    assert set(layers[0].state_dict()) <= {"weight", "bias"}
