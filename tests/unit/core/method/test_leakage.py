"""Where [I] and [A] look, against attention computed from outside: queries by hooks, then the textbook's softmax."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from s2edit_core.concepts.conditioning import prompt_gates, prompt_keys_values, tokenize
from s2edit_core.method.leakage import MaskedPlaceholder, leakage
from s2edit_core.request.spec import ATTRIBUTE, PLACEHOLDER
from s2edit_core.unet.attention import Gates, KeysValues, layer_size
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Row, drive
from tests.tiny import TOKENS
from tests.unit.core.method.test_composition import AT_A, AT_I, PROMPT, concept, masks

STEPS = 6
PATH = torch.randn(STEPS + 1, 4, 8, 8, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
MASKS = dict(zip((PLACEHOLDER, ATTRIBUTE), masks(), strict=True))
WATCHED = {PLACEHOLDER: MaskedPlaceholder((AT_I,), MASKS[PLACEHOLDER]), ATTRIBUTE: MaskedPlaceholder((AT_A,), MASKS[ATTRIBUTE])}


@pytest.fixture(scope="module")
def prompt(backbone: Backbone) -> KeysValues:
    concepts = {PLACEHOLDER: concept(backbone, PLACEHOLDER, 1, "woman"), ATTRIBUTE: concept(backbone, ATTRIBUTE, 2)}
    assert tokenize(backbone, PROMPT, list(concepts)).positions == {PLACEHOLDER: (AT_I,), ATTRIBUTE: (AT_A,)}
    return prompt_keys_values(backbone, PROMPT, concepts)


def gates(backbone: Backbone, shut: Mapping[str, Tensor]) -> Gates | None:
    return prompt_gates(backbone, PROMPT, shut, (8, 8))


def shares(backbone: Backbone, prompt: KeysValues, gates: Gates | None, levels: int = 1) -> dict[str, Tensor]:
    return drive(leakage(backbone, PATH, prompt, gates, WATCHED, levels=levels), backbone.evaluate)


def from_outside(
    backbone: Backbone, prompt: KeysValues, gates: Gates | None, latent: Tensor, t: int, watched: MaskedPlaceholder
) -> Tensor:
    """`(layers,)`."""
    queries: dict[torch.nn.Module, Tensor] = {}
    hooks = [layer.attention.to_q.register_forward_hook(lambda m, _, out: queries.update({m: out})) for layer in backbone.layers]
    backbone.evaluate((Row(latent, t, prompt, gates),))
    for hook in hooks:
        hook.remove()
    found = []
    for i, layer in enumerate(backbone.layers):
        query = queries[layer.attention.to_q][0]
        q, k = (x.unflatten(-1, (layer.attention.heads, -1)).transpose(-3, -2) for x in (query, prompt.keys[i]))
        weights = (q @ k.transpose(-1, -2) * layer.attention.scale).softmax(dim=-1)
        assert weights.shape[-1] == TOKENS
        column = weights[..., watched.positions[0]] * (1 if gates is None else gates[i][:, watched.positions[0]])
        outside = F.adaptive_avg_pool2d(watched.mask[None, None], layer_size((8, 8), layer.level)).flatten() == 0
        found.append(column[:, outside].sum() / column.sum())
    return torch.stack(found)


def test_with_gates_nothing_leaks_and_without_as_much_as_is_seen_from_outside(backbone: Backbone, prompt: KeysValues) -> None:
    timesteps = backbone.schedule.timesteps(STEPS)
    for shut in (MASKS, {PLACEHOLDER: MASKS[PLACEHOLDER]}, {}):
        held = gates(backbone, shut)
        found = shares(backbone, prompt, held, levels=3)
        for name, watched in WATCHED.items():
            assert found[name].shape == (len(backbone.layers), 3)
            for level, i in enumerate((0, 2, 4)):
                expected = from_outside(backbone, prompt, held, PATH[STEPS - i], timesteps[i], watched)
                torch.testing.assert_close(found[name][:, level].double(), expected, rtol=1e-6, atol=0)
            assert bool((found[name] == 0).all()) == (name in shut)


@pytest.mark.parametrize("level", [0, 1])
def test_one_cell_of_one_level_left_ajar_shows(backbone: Backbone, prompt: KeysValues, level: int) -> None:
    held = gates(backbone, MASKS)
    assert held is not None
    start = next(held.spans[i][0] for i, layer in enumerate(backbone.layers) if layer.level == level)
    held.factors[held.positions.index(AT_A), start] = 0.25
    found = shares(backbone, prompt, held)
    assert (found[PLACEHOLDER] == 0).all()
    for layer, share in zip(backbone.layers, found[ATTRIBUTE], strict=True):
        assert (share > 0) == (layer.level == level)


def test_a_mask_of_everything_or_of_nothing(backbone: Backbone, prompt: KeysValues) -> None:
    for mask, share in ((torch.ones(32, 32), 0.0), (torch.zeros(32, 32), 1.0)):
        watched = {PLACEHOLDER: MaskedPlaceholder((AT_I,), mask)}
        (open_,) = drive(leakage(backbone, PATH, prompt, None, watched), backbone.evaluate).values()
        assert (open_ == share).all()
        (held,) = drive(leakage(backbone, PATH, prompt, gates(backbone, {PLACEHOLDER: mask}), watched), backbone.evaluate).values()
        assert (held == 0).all(), "a gate that is shut everywhere leaves no attention to leak"


@pytest.mark.parametrize("levels", [0, STEPS + 1])
def test_more_levels_than_the_path_has_are_refused(backbone: Backbone, prompt: KeysValues, levels: int) -> None:
    with pytest.raises(ValueError, match=f"between 1 and the path's {STEPS} steps, not {levels}"):
        shares(backbone, prompt, None, levels)
