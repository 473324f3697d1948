"""The losses of learning: L = L_ldm + λ·L_semantic. L_ldm, the squared error of ε, is the loss of a row (see `rows`)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from torch import Tensor
from torch.nn import functional as F


def semantic_loss(identity: Tensor, attributes: Tensor, *, power: int = 2) -> Tensor:
    """Return L_semantic, the mean squared cosine between [I] `(…, d)` and attribute words `(…, n, d)` in text-feature space.

    This is the orthogonality loss. It is zero where [I] is orthogonal to every attribute word: the token then says who the person
    is, and nothing that a prompt may change. It is also zero without attribute words. A higher `power` p gives
    (mean |cos|^p)^(2/p), which emphasises the nearest words; with a plain mean of squares, one word may stay near as long as all
    others are far. Raises `ValueError` for other shapes.
    """
    if attributes.ndim < 2 or identity.shape != (*attributes.shape[:-2], attributes.shape[-1]):
        raise ValueError(f"expected shapes (…, d) and (…, n, d), got {tuple(identity.shape)} and {tuple(attributes.shape)}")
    if attributes.shape[-2] == 0:
        return identity.sum(dim=-1) * 0
    squares = F.cosine_similarity(identity[..., None, :], attributes, dim=-1).square()
    return squares.mean(dim=-1) if power == 2 else squares.pow(power / 2).mean(dim=-1).clamp_min(1e-12).pow(2 / power)


def pairwise_loss(features: Sequence[Tensor]) -> Tensor:
    """Return the sum of squared cosines between concepts that are learned together, such as [I] and [A]; it is part of L_semantic.

    `features` are one or more `(d,)` in text-feature space; a single one gives zero. Raises `ValueError` for none, or for other
    shapes.
    """
    if not features or any(each.ndim != 1 or each.shape != features[0].shape for each in features):
        raise ValueError(f"expected features of one shape (d,), got {[tuple(each.shape) for each in features]}")
    zero = features[0].sum() * 0
    return sum((F.cosine_similarity(a, b, dim=0).square() for a, b in combinations(features, 2)), zero)
