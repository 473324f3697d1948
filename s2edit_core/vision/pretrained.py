"""Loads models of transformers with all weights or not at all, for models whose output is relied on without review."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from s2edit_core.errors import ModelUnusable


@contextmanager
def raising_unusable(model: str, purpose: str) -> Iterator[None]:
    """Raise `ModelUnusable` in place of any error: transformers and its backends raise errors of every kind."""
    try:
        yield
    except ModelUnusable:
        raise
    except Exception as error:
        raise ModelUnusable(
            f"{model!r} can't be used to {purpose}: name a folder that holds its weights and configuration, or a hub id "
            f"({type(error).__name__}: {error})"
        ) from error


def load_whole(kind: Any, model: str, device: torch.device | str, **options: Any) -> Any:
    """Return the network of class `kind` with all of its weights from the folder or hub id `model`, for inference.

    Raises `ModelUnusable` if weights are missing or have another shape, which transformers would initialise at random, and whatever
    `from_pretrained` raises.
    """
    network, found = kind.from_pretrained(model, output_loading_info=True, **options)
    if missing := [str(key) for name in ("missing_keys", "mismatched_keys", "error_msgs") for key in found.get(name) or ()]:
        raise ModelUnusable(
            f"{model!r} lacks weights of {type(network).__name__} ({', '.join(sorted(missing)[:3])}"
            f"{' and others' if len(missing) > 3 else ''}): use a model that was trained for this"
        )
    return network.to(device).eval()
