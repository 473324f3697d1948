"""Where the names of looks start in the text encoder's space: looks that are alike get embeddings that are alike.

The words of a language do so, since many captions tell what "plum" and "coral" have in common. Here a few photos of each look would
have to. So the embeddings start as a random projection of the numbers that describe the looks (colours, strengths), and training
goes on from there. Between them then lie looks that no name has: there [A] finds its own.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import CLIPTextModel, CLIPTokenizer

from lab.training.dataset import Plan
from lab.world.domain import Domain
from lab.world.names import FIRST_LOOK, Naming

NORM = 0.5
"""Mean norm of the embeddings, about that of learned names."""


def numbers_of(value: Any) -> dict[str, float]:
    """Return a look's numbers by name. What is no number counts as its own class."""
    if is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, tuple):
        value = dict(enumerate(value))
    if isinstance(value, dict):
        return {f"{name}.{part}": number for name, each in value.items() for part, number in numbers_of(each).items()}
    return {"": value} if isinstance(value, float) else {f"={value}": 1.0}


def described(domain: Domain, word: str, numbers: range) -> NDArray[np.float64]:
    """Return looks of the attribute `word` as rows of numbers of mean 0 and variance 1."""
    identities = [domain.sample(FIRST_LOOK + number).identity for number in numbers]
    rows = [numbers_of(tuple(getattr(identity, name) for name in domain.looks[word])) for identity in identities]
    names = sorted(set().union(*rows))
    table = np.array([[row.get(name, 0.0) for name in names] for row in rows])
    spread = table.std(axis=0)
    standard: NDArray[np.float64] = (table - table.mean(axis=0))[:, spread > 0] / spread[spread > 0]
    return standard


def embeddings(domain: Domain, naming: Naming, width: int) -> NDArray[np.float64]:
    """Return an embedding of each named look of the domain, `(looks, width)`."""
    made, first = [np.zeros((0, width))], 0
    for looks in naming.looks:
        table = described(domain, looks.word, range(first, first + looks.count))
        draw = np.random.default_rng([len(domain.name), len(looks.word), first])
        made.append(table @ draw.standard_normal((table.shape[1], width)))
        first += looks.count
    found = np.concatenate(made)
    return NORM * found / max(1e-9, float(np.linalg.norm(found, axis=1).mean())) if len(found) else found


@torch.no_grad()
def place(text_encoder: CLIPTextModel, tokenizer: CLIPTokenizer, plan: Plan) -> None:
    """Give the names of the plan's looks their first embeddings."""
    weight = text_encoder.get_input_embeddings().weight
    for part in plan.parts:
        names = part.naming.names()[part.naming.named :]
        for name, embedding in zip(names, embeddings(part.domain, part.naming, weight.shape[1]), strict=True):
            (token,) = tokenizer(name, add_special_tokens=False).input_ids
            weight[token] = torch.from_numpy(embedding).to(weight)
