"""The one attention processor, and its gates."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from s2edit_core.base_model.ddim import schedule_of
from s2edit_core.concepts.conditioning import keys_values, prompt_keys_values, text_states, tokenize
from s2edit_core.errors import ModelUnusable
from s2edit_core.unet.attention import KeysValues, cross_layers, layer_size, make_gates
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Row
from tests.tiny import CARD, TOKENS, tiny_parts

PROMPT = "a photo of a woman with glasses"


def latent(size: tuple[int, int], seed: int = 0) -> Tensor:
    return torch.randn(4, *size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def feature_sizes(unet: Any, size: tuple[int, int]) -> dict[str, tuple[int, int]]:
    """The height and width of the feature map at each cross-attention layer, as seen in a pass."""
    seen: dict[str, tuple[int, int]] = {}

    def note(name: str) -> Any:
        return lambda _module, args, kwargs: seen.__setitem__(name, tuple((*args, *kwargs.values())[0].shape[2:]))

    hooks = []
    for name, module in unet.named_modules():
        if type(module).__name__ == "Transformer2DModel":
            hooks.append(module.register_forward_pre_hook(note(name), with_kwargs=True))
    try:
        unet(latent(size)[None], 10, encoder_hidden_states=torch.zeros(1, 3, 16, dtype=torch.float64))
    finally:
        for hook in hooks:
            hook.remove()
    return seen


@pytest.fixture(scope="module")
def deep_unet() -> nn.Module:
    """Four levels, as Stable Diffusion's, and cross-attention at each of the upper three."""
    torch.manual_seed(1)
    unet = UNet2DConditionModel(
        sample_size=16,
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
        block_out_channels=(8, 8, 16, 16),
        layers_per_block=2,
        attention_head_dim=2,
        norm_num_groups=4,
        cross_attention_dim=16,
    )
    return unet.double().eval()


@pytest.mark.parametrize("size", [(16, 16), (8, 24), (11, 8), (9, 13), (7, 5), (10, 6)])
def test_layer_sizes_are_those_of_the_feature_maps(deep_unet: nn.Module, size: tuple[int, int]) -> None:
    layers = cross_layers(deep_unet)
    with torch.no_grad():
        seen = feature_sizes(deep_unet, size)
    assert len(layers) == 16
    for layer in layers:
        transformer = layer.name.split(".transformer_blocks")[0]
        assert layer_size(size, layer.level) == seen[transformer], layer.name


def test_a_unet_without_cross_attention_is_refused() -> None:
    plain = UNet2DConditionModel(
        down_block_types=("DownBlock2D",),
        up_block_types=("UpBlock2D",),
        mid_block_type=None,
        block_out_channels=(8,),
        norm_num_groups=4,
        layers_per_block=1,
    )
    with pytest.raises(ModelUnusable, match="cross-attention"):
        cross_layers(plain)


def test_gates_average_the_mask_over_each_layers_own_cells(backbone: Backbone) -> None:
    """A mask whose left three quarters are white, on latents of 6 × 8 cells (maps of 6 × 8 and 3 × 4)."""
    mask = torch.zeros(24, 32)
    mask[:, :22] = 1.0
    gates = make_gates(backbone.layers, (6, 8), tokens=5, masks=[(2, mask)])
    for layer, gate in zip(backbone.layers, gates, strict=True):
        h, w = (6, 8) if layer.level == 0 else (3, 4)
        row = [1, 1, 1, 1, 1, 0.5, 0, 0] if layer.level == 0 else [1, 1, 0.75, 0]
        expected = torch.tensor([row] * h)
        assert gate.shape == (h * w, 5)
        torch.testing.assert_close(gate[:, 2].view(h, w), expected)
        assert (gate[:, [0, 1, 3, 4]] == 1).all()
    assert {layer.level for layer in backbone.layers} == {0, 1}


def test_two_placeholders_have_a_mask_each(backbone: Backbone) -> None:
    left, right = torch.zeros(2, 16, 16)
    left[:, :8], right[:, 8:] = 1.0, 1.0
    gates = make_gates(backbone.layers, (8, 8), tokens=4, masks=[(1, left), (3, right)])
    torch.testing.assert_close(gates[0][:, 1] + gates[0][:, 3], torch.ones(64))
    assert (gates[0][:, 1] * gates[0][:, 3] == 0).all()


class Probe:
    """What each cross-attention layer puts out, caught by a hook."""

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone

    def outputs(self, row: Row) -> dict[str, Tensor]:
        seen: dict[str, Tensor] = {}
        modules = dict(self.backbone.unet.named_modules())
        hooks = [
            modules[layer.name].register_forward_hook(lambda _m, _a, out, name=layer.name: seen.__setitem__(name, out.detach()[0]))
            for layer in self.backbone.layers
        ]
        try:
            self.backbone.evaluate((row,))
        finally:
            for hook in hooks:
                hook.remove()
        return seen


def with_other_values(prompt: KeysValues, position: int, layer: int) -> KeysValues:
    values = list(prompt.values)
    values[layer] = values[layer].clone()
    values[layer][position] += 7.0
    return KeysValues(prompt.keys, tuple(values))


@pytest.mark.parametrize("size", [(8, 8), (6, 10), (7, 9)])
def test_a_token_does_nothing_outside_its_mask(backbone: Backbone, size: tuple[int, int]) -> None:
    """Another V at the gated token changes a layer's output where the mask is above 0, and not in one bit elsewhere."""
    position = 3
    mask = torch.zeros(4 * size[0], 4 * size[1])
    mask[: 2 * size[0], : size[1]] = 1.0
    gates = make_gates(backbone.layers, size, TOKENS, [(position, mask)])
    prompt = prompt_keys_values(backbone, PROMPT, {})
    probe = Probe(backbone)
    for i, layer in enumerate(backbone.layers):
        before = probe.outputs(Row(latent(size), 400, prompt, gates))[layer.name]
        after = probe.outputs(Row(latent(size), 400, with_other_values(prompt, position, i), gates))[layer.name]
        outside = gates[i][:, position] == 0
        assert outside.any()
        assert not outside.all()
        assert torch.equal(before[outside], after[outside])
        assert (before[~outside] != after[~outside]).any(dim=-1).all()


def test_the_gate_scales_the_weight_after_the_softmax(backbone: Backbone) -> None:
    """A gate of one half at every cell halves the token's part of the sum and leaves the others' as they are."""
    position, i = 3, 0
    prompt = prompt_keys_values(backbone, PROMPT, {})
    half = make_gates(backbone.layers, (8, 8), TOKENS, [(position, torch.full((32, 32), 0.5))])
    shut = make_gates(backbone.layers, (8, 8), TOKENS, [(position, torch.zeros(32, 32))])
    probe, z = Probe(backbone), latent((8, 8))
    outputs = [probe.outputs(Row(z, 400, prompt, gates))[backbone.layers[i].name] for gates in (None, half, shut)]
    torch.testing.assert_close(outputs[1], (outputs[0] + outputs[2]) / 2, rtol=1e-12, atol=1e-12)
    assert (outputs[0] - outputs[2]).abs().max() > 1e-6


def test_open_gates_are_no_gates(backbone: Backbone) -> None:
    prompt = prompt_keys_values(backbone, PROMPT, {})
    gates = make_gates(backbone.layers, (6, 10), TOKENS, [(3, torch.ones(24, 40))])
    gated, plain = (backbone.evaluate((Row(latent((6, 10)), 77, prompt, each),))[0] for each in (gates, None))
    torch.testing.assert_close(gated.eps, plain.eps, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [(8, 8), (7, 10)])
def test_without_gates_it_is_the_stock_attention(backbone: Backbone, size: tuple[int, int]) -> None:
    with torch.no_grad():
        states = text_states(backbone, tokenize(backbone, PROMPT, ()), {})
        expected = backbone.unet(latent(size)[None], 321, encoder_hidden_states=states[None]).sample[0]
        prompt = keys_values(backbone, states)
    (answer,) = backbone.evaluate((Row(latent(size), 321, prompt),))
    torch.testing.assert_close(answer.eps, expected, rtol=1e-12, atol=1e-12)


def test_the_number_of_heads_is_the_layers_own() -> None:
    parts = tiny_parts()
    unet = parts["unet"].double()
    for module in unet.modules():
        if hasattr(module, "to_k"):
            module.heads, module.scale = 4, (module.to_q.out_features // 4) ** -0.5
    assert tiny_parts()["unet"].down_blocks[0].attentions[0].transformer_blocks[0].attn2.heads == 2
    backbone = Backbone(
        unet=unet,
        vae=parts["vae"],
        text_encoder=parts["text_encoder"].double(),
        tokenizer=parts["tokenizer"],
        schedule=schedule_of(parts["scheduler"]),
        card=CARD,
    )
    test_without_gates_it_is_the_stock_attention(backbone, (8, 8))
