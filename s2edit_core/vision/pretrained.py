"""Loading a model of transformers whole, or not at all: for models whose word is taken on trust."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from s2edit_core.errors import ModelUnusable


@contextmanager
def refusing_unusable(model: str, purpose: str) -> Iterator[None]:
    """Turn whatever loading or trying `model` raises into `ModelUnusable`: transformers and its backends raise of every kind."""
    try:
        yield
    except ModelUnusable:
        raise
    except Exception as error:
        raise ModelUnusable(
            f"{model!r} can't be used to {purpose}: give a folder that has its weights and settings, or a hub id "
            f"({type(error).__name__}: {error})"
        ) from error


def load_whole(kind: Any, model: str, device: torch.device | str, **options: Any) -> Any:
    """Return the network of class `kind` with all of its weights from the folder or hub id `model`, for inference.

    Raises `ModelUnusable` where weights are missing or of another shape, which transformers would draw at random, and whatever
    `from_pretrained` raises.
    """
    network, found = kind.from_pretrained(model, output_loading_info=True, **options)
    if lacking := [str(key) for name in ("missing_keys", "mismatched_keys", "error_msgs") for key in found.get(name) or ()]:
        raise ModelUnusable(
            f"{model!r} lacks weights of {type(network).__name__} ({', '.join(sorted(lacking)[:3])}"
            f"{' and others' if len(lacking) > 3 else ''}): give a model that was trained for this"
        )
    return network.to(device).eval()
