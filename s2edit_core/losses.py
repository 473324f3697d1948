"""The two losses of the method: L = L_ldm + λ·L_semantic. L_ldm, the ε error, is a row's own loss (see `rows`)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def semantic_loss(identity: Tensor, attributes: Tensor) -> Tensor:
    """L_semantic: the mean squared cosine between [I] `(d,)` and attribute words `(n, d)`, both in text-feature space.

    Zero where [I] is orthogonal to every attribute, so that the token carries who it is and nothing that a prompt may change.
    Zero, too, where there are no attributes.
    """
    if attributes.ndim != 2 or identity.shape != attributes.shape[1:]:
        raise ValueError(f"expected shapes (d,) and (n, d), got {tuple(identity.shape)} and {tuple(attributes.shape)}")
    if len(attributes) == 0:
        return identity.sum() * 0
    return F.cosine_similarity(identity[None], attributes, dim=-1).square().mean()
