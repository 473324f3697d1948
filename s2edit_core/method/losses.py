"""The two losses of the method: L = L_ldm + λ·L_semantic. L_ldm, the ε error, is a row's own loss (see `rows`)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from torch import Tensor
from torch.nn import functional as F


def semantic_loss(identity: Tensor, attributes: Tensor, *, power: int = 2) -> Tensor:
    """L_semantic: the mean squared cosine between [I] `(d,)` and attribute words `(n, d)`, both in text-feature space.

    Zero where [I] is orthogonal to every attribute, so that the token carries who it is and nothing that a prompt may change.
    Zero, too, where there are no attributes. A higher `power` p, (mean |cos|^p)^(2/p), weighs the nearest attributes most: a mean
    of squares is content with one attribute left near as long as all others are far.
    """
    if attributes.ndim != 2 or identity.shape != attributes.shape[1:]:
        raise ValueError(f"expected shapes (d,) and (n, d), got {tuple(identity.shape)} and {tuple(attributes.shape)}")
    if len(attributes) == 0:
        return identity.sum() * 0
    squares = F.cosine_similarity(identity[None], attributes, dim=-1).square()
    return squares.mean() if power == 2 else squares.pow(power / 2).mean().clamp_min(1e-12).pow(2 / power)


def apart_loss(features: Sequence[Tensor]) -> Tensor:
    """What joins L_semantic where concepts are learned together: the squared cosine [I]–[A], summed over the pairs.

    `features` are at least one `(d,)` in text-feature space; zero for one alone.
    """
    if not features or any(each.ndim != 1 or each.shape != features[0].shape for each in features):
        raise ValueError(f"expected features of one shape (d,), got {[tuple(each.shape) for each in features]}")
    zero = features[0].sum() * 0
    return sum((F.cosine_similarity(a, b, dim=0).square() for a, b in combinations(features, 2)), zero)
