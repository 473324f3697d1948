"""Rows that read another row's attention, beside Prompt-to-Prompt written out with explicit maps, and mixed with strangers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from s2edit_core.concepts.conditioning import prompt_keys_values, text_states, tokenize
from s2edit_core.unet import backbone as backbone_module
from s2edit_core.unet.attention import TokenMap, make_gates
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Injection, Row, Rows
from tests.tiny import TOKENS
from tests.unit.core.method.prompt_to_prompt import Controller, predict

SOURCE, TARGET = "a photo of a woman with black hair", "a photo of a woman with red hair and glasses"
SIZE = (8, 8)


def noise(seed: int, size: tuple[int, int] = SIZE) -> Tensor:
    return torch.randn(4, *size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def token_map(seed: int = 0) -> TokenMap:
    """Any: the arithmetic does not ask where it comes from."""
    draw = torch.Generator().manual_seed(seed)
    return TokenMap(torch.rand(TOKENS, TOKENS, generator=draw) * 0.1, torch.rand(TOKENS, generator=draw))


def pair(backbone: Backbone, *, seed: int = 0, gated: bool = False, **injection: Any) -> Rows:
    """A source row and a row that reads from it."""
    mask = torch.zeros(32, 32)
    mask[4:20, 8:28] = 1.0
    gates = make_gates(backbone.layers, SIZE, TOKENS, [(5, mask)]) if gated else None
    source = Row(noise(seed), 301, prompt_keys_values(backbone, SOURCE, {}), gates)
    target = Row(noise(seed + 1), 301, prompt_keys_values(backbone, TARGET, {}), gates, injection=Injection(source, **injection))
    return source, target


def strangers(backbone: Backbone) -> Rows:
    """Rows of others: learning and sampling, with and without gates, of two shapes."""
    prompt = prompt_keys_values(backbone, "a smiling man with a hat", {})
    gates = make_gates(backbone.layers, SIZE, TOKENS, [(3, torch.full((32, 32), 0.3))])
    return (
        Row(noise(50), 77, prompt),
        Row(noise(51), 501, prompt, gates, target=noise(52)),
        Row(noise(53, (6, 10)), 901, prompt),
        Row(noise(54), 11, prompt, gates),
        Row(noise(55), 11, prompt, target=noise(56), weight=2.0),
    )


def written(backbone: Backbone, rows: Rows, controller: Controller) -> Tensor:
    states = [text_states(backbone, tokenize(backbone, prompt, ()), {}) for prompt in (SOURCE, TARGET)]
    return predict(backbone, torch.stack([row.latent for row in rows]), rows[0].timestep, states, controller)


@pytest.mark.parametrize(("cross", "own"), [(1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.4, 0.7)])
def test_injection_is_prompt_to_prompt_written_out(backbone: Backbone, cross: float, own: float) -> None:
    rows = pair(backbone, tokens=token_map() if cross else None, cross_strength=cross, self_strength=own)
    expected = written(backbone, rows, Controller(token_map(), cross, own))
    answers = backbone.evaluate(rows)
    for answer, eps in zip(answers, expected, strict=True):
        torch.testing.assert_close(answer.eps, eps, rtol=1e-11, atol=1e-11)
    free = backbone.evaluate((Row(rows[1].latent, 301, rows[1].prompt),))[0]
    assert (answers[1].eps - free.eps).abs().max() > 1e-6, "the injection did nothing"


def test_strength_zero_is_no_injection(backbone: Backbone) -> None:
    source, reader = pair(backbone, gated=True, tokens=token_map(), cross_strength=0.0, self_strength=0.0)
    free = Row(reader.latent, reader.timestep, reader.prompt, reader.gates)
    assert (backbone.evaluate((source, reader))[1].eps - backbone.evaluate((free,))[0].eps).abs().max() <= 1e-12


def test_rows_with_and_without_injection_get_the_numbers_they_get_alone(backbone: Backbone) -> None:
    groups = [
        pair(backbone, tokens=token_map(1), self_strength=1.0),
        pair(backbone, seed=3, gated=True, tokens=token_map(2), cross_strength=0.5),
        pair(backbone, seed=5, self_strength=0.8),
        *((row,) for row in strangers(backbone)),
    ]
    mixed = (*groups[3], *groups[0], *groups[4], *groups[1][::-1], *groups[5], *groups[2], *groups[6], *groups[7])
    alone = {row: answer for group in groups for row, answer in zip(group, backbone.evaluate(group), strict=True)}
    for row, answer in zip(mixed, backbone.evaluate(mixed), strict=True):
        assert (answer.eps - alone[row].eps).abs().max() <= 1e-12
        assert len(answer.gradients()) == (0 if row.target is None else 2 * len(backbone.layers))
        for a, b in zip(answer.gradients(), alone[row].gradients(), strict=True):
            assert (a - b).abs().max() <= 1e-12 * b.abs().max()


def test_readers_travel_with_their_source(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is between them, and though passes be small."""
    first, second = pair(backbone, tokens=token_map(1)), pair(backbone, seed=7, self_strength=1.0)
    rows = (first[1], *strangers(backbone), second[0], first[0], second[1])
    expected = backbone.evaluate(rows)
    monkeypatch.setattr(backbone_module, "MAX_ROWS_PER_PASS", 2)
    for got, wanted in zip(backbone.evaluate(rows), expected, strict=True):
        assert (got.eps - wanted.eps).abs().max() <= 1e-12


def test_a_gated_token_stays_inside_its_mask_though_its_map_is_read(backbone: Backbone) -> None:
    source, reader = pair(backbone, gated=True, tokens=token_map())
    reader = Row(reader.latent, 301, reader.prompt, reader.gates, injection=reader.injection, capture=(0, 2))
    maps = backbone.evaluate((source, reader))[1].maps
    for layer, seen in zip((0, 2), maps, strict=True):
        outside = reader.gates[layer][:, 5] == 0 if reader.gates else None
        assert outside is not None
        assert outside.any()
        assert (seen[outside, 5] == 0).all()
        assert (seen[~outside, 5] > 0).all()


def test_maps_come_back_where_they_are_asked_for(backbone: Backbone) -> None:
    """As the layers used them, beside the written controller's."""
    rows = pair(backbone, tokens=token_map(), cross_strength=0.4)
    asking = tuple(Row(r.latent, r.timestep, r.prompt, capture=(0, 1, 2)) for r in rows[:1])
    reader = Row(rows[1].latent, 301, rows[1].prompt, injection=Injection(asking[0], token_map(), cross_strength=0.4), capture=(1,))
    quiet = strangers(backbone)[0]
    source_answer, reader_answer, quiet_answer = backbone.evaluate((*asking, reader, quiet))
    controller = Controller(token_map(), 0.4, 0.0)
    written(backbone, rows, controller)
    names = [layer.name for layer in backbone.layers]
    order = sorted(range(len(names)), key=lambda i: ("down", "mid", "up").index(names[i].split("_")[0]))
    assert [tuple(each.shape) for each in source_answer.maps] == [controller.maps[order.index(i)][0].shape for i in range(3)]
    for i in range(3):
        torch.testing.assert_close(source_answer.maps[i], controller.maps[order.index(i)][0], rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(reader_answer.maps[0], controller.maps[order.index(1)][1], rtol=1e-11, atol=1e-12)
    assert quiet_answer.maps == ()


def test_capturing_changes_nothing_and_each_row_gets_its_own_maps(backbone: Backbone) -> None:
    plain = strangers(backbone)
    asking = tuple(Row(r.latent, r.timestep, r.prompt, r.gates, capture=(2,) if i else ()) for i, r in enumerate(plain))
    together, before = backbone.evaluate(asking), backbone.evaluate(plain)
    for i, (a, b) in enumerate(zip(together, before, strict=True)):
        assert (a.eps - b.eps).abs().max() <= 1e-12
        alone = backbone.evaluate((asking[i],))[0].maps
        assert len(a.maps) == (1 if i else 0)
        for seen, expected in zip(a.maps, alone, strict=True):
            torch.testing.assert_close(seen, expected, rtol=1e-11, atol=1e-12)


def test_maps_are_formed_only_where_they_are_used(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of six rows in a pass: a pair that injects needs them in every layer, one that asks in its one layer, three in none."""
    formed: list[int] = []
    stock = torch.Tensor.softmax

    def counting(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        formed.append(len(self))
        return stock(self, *args, **kwargs)

    monkeypatch.setattr(torch.Tensor, "softmax", counting)
    free = [Row(noise(60 + i), 100, prompt_keys_values(backbone, SOURCE, {}), capture=(1,) if i == 0 else ()) for i in range(4)]
    backbone.evaluate(tuple(free[1:]))
    assert formed == []
    backbone.evaluate((*free, *pair(backbone, tokens=token_map())))
    assert sorted(formed) == [2] * (len(backbone.layers) - 1) + [3]


def test_injections_that_cannot_be_are_refused(backbone: Backbone) -> None:
    source, reader = pair(backbone, tokens=token_map())
    with pytest.raises(ValueError, match="must be evaluated together"):
        backbone.evaluate((reader,))
    with pytest.raises(ValueError, match="reads another row itself"):
        Row(reader.latent, 301, reader.prompt, injection=Injection(reader))
    with pytest.raises(ValueError, match="can't read a row of"):
        Row(noise(1, (6, 10)), 301, reader.prompt, injection=Injection(source))
    with pytest.raises(ValueError, match="gradients"):
        Row(reader.latent, 301, reader.prompt, target=noise(1), injection=Injection(source))
