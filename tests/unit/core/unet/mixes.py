"""Random rows of many users: every stage, with and without gates, targets, readers and maps."""

from __future__ import annotations

import random
from dataclasses import replace

import torch
from torch import Tensor

from s2edit_core.unet.attention import KeysValues, TokenMap, make_gates
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Answer, Injection, Row, Rows
from tests.tiny import TOKENS

SHAPES = ((8, 8), (6, 10))


def noise(draw: random.Random, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(draw.randrange(2**31)), dtype=torch.float64)


def prompt(backbone: Backbone, draw: random.Random) -> KeysValues:
    """The keys and values of a user that nobody else has."""
    widths = [layer.to_k.out_features for layer in backbone.layers]
    keys, values = (tuple(noise(draw, TOKENS, width).to(backbone.dtype) for width in widths) for _ in range(2))
    return KeysValues(keys, values)


def row(backbone: Backbone, draw: random.Random, *, common: bool = False) -> Row:
    """Return a random row; a `common` one captures no maps."""
    size = draw.choice(SHAPES)
    gates = None
    if draw.random() < 0.6:
        masks = [
            (at, noise(draw, 32, 32).abs().clamp(0, 1).round(decimals=1))
            for at in draw.sample(range(TOKENS), draw.choice((1, 2, 3)))
        ]
        gates = make_gates(backbone.layers, size, TOKENS, masks)
    made = Row(noise(draw, 4, *size), draw.randrange(1000), prompt(backbone, draw), gates)
    if draw.random() < 0.4:
        cells = noise(draw, *size).abs() if draw.random() < 0.5 else None
        return replace(made, target=noise(draw, 4, *size), weight=draw.uniform(0.1, 4), loss_weights=cells)
    return made if common or draw.random() < 0.8 else replace(made, capture=(draw.randrange(len(backbone.layers)),))


def readers(backbone: Backbone, draw: random.Random) -> Rows:
    """Return a source and a row that reads it."""
    source = replace(row(backbone, draw), target=None, loss_weights=None)
    tokens = TokenMap(noise(draw, TOKENS, TOKENS).abs() / TOKENS, noise(draw, TOKENS).abs()) if draw.random() < 0.7 else None
    injection = Injection(source, tokens, cross_strength=draw.random(), self_strength=draw.random())
    reading = Row(noise(draw, *source.latent.shape), source.timestep, prompt(backbone, draw), source.gates, injection=injection)
    return (source, reading)


def mix(backbone: Backbone, seed: int, *, common: bool = False) -> list[Rows]:
    """Return groups of rows in random order. The rows of a group need each other; `common` ones are alone."""
    draw = random.Random(seed)
    groups: list[Rows] = [(row(backbone, draw, common=common),) for _ in range(draw.randrange(1, 12))]
    if not common:
        groups += [readers(backbone, draw) for _ in range(draw.randrange(3))]
    draw.shuffle(groups)
    return groups


def distance(a: Answer, b: Answer) -> float:
    """Return the largest difference between two answers, in each of their tensors relative to its largest number."""
    assert (a.loss is None) == (b.loss is None)
    pairs = [(a.eps, b.eps), *zip((*a.gradients(), *a.maps), (*b.gradients(), *b.maps), strict=True)]
    if a.loss is not None and b.loss is not None:
        pairs.append((torch.tensor(a.loss), torch.tensor(b.loss)))
    return max(float((x - y).abs().max() / y.abs().max().clamp_min(1e-30)) for x, y in pairs)
