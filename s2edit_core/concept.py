"""A concept: what was learned about one person, as a value. A token vector, and perhaps a change of keys and values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from s2edit_core.attention import CrossLayer
from s2edit_core.errors import ArtifactMismatch
from s2edit_core.spec import LearningMode

FORMAT = "s2edit-concept-1"


@dataclass(frozen=True, eq=False)
class LowRank:
    """A change ΔW = up·down of one projection: `down` `(rank, in)`, `up` `(out, rank)`."""

    down: Tensor
    up: Tensor

    def __call__(self, states: Tensor) -> Tensor:
        return states @ self.down.T @ self.up.T


@dataclass(frozen=True, eq=False)
class Full:
    """A change ΔW `(out, in)` of one projection."""

    weight: Tensor

    def __call__(self, states: Tensor) -> Tensor:
        return states @ self.weight.T


Delta = LowRank | Full


@dataclass(frozen=True, eq=False)
class Concept:
    """`token` `(d,)` is the embedding of the placeholder; `keys` and `values` are changes per cross-attention layer, or empty."""

    token: Tensor
    keys: tuple[Delta, ...] = ()
    values: tuple[Delta, ...] = ()
    fingerprint: str = ""
    facts: dict[str, Any] = field(default_factory=dict)  # subject, prompt, steps, losses: for reports

    def to_bytes(self) -> bytes:
        """As a safetensors file."""
        tensors = {"token": self.token}
        for name, deltas in (("keys", self.keys), ("values", self.values)):
            for i, delta in enumerate(deltas):
                for part, tensor in vars(delta).items():
                    tensors[f"{name}.{i}.{part}"] = tensor
        metadata = {"format": FORMAT, "fingerprint": self.fingerprint, "facts": json.dumps(self.facts)}
        return save({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, metadata=metadata)

    @classmethod
    def from_bytes(cls, data: bytes, *, fingerprint: str, device: torch.device | str = "cpu") -> Concept:
        """Read back; raises `ArtifactMismatch` for a damaged file or one that was made with another model."""
        tensors, metadata = read_safetensors(data, FORMAT, fingerprint)
        moved = {name: tensor.to(device) for name, tensor in tensors.items()}
        return cls(
            token=moved["token"],
            keys=_deltas(moved, "keys"),
            values=_deltas(moved, "values"),
            fingerprint=fingerprint,
            facts=json.loads(metadata["facts"]),
        )


def _deltas(tensors: dict[str, Tensor], name: str) -> tuple[Delta, ...]:
    deltas: list[Delta] = []
    while (prefix := f"{name}.{len(deltas)}.") and any(key.startswith(prefix) for key in tensors):
        if f"{prefix}weight" in tensors:
            deltas.append(Full(tensors[f"{prefix}weight"]))
        else:
            deltas.append(LowRank(tensors[f"{prefix}down"], tensors[f"{prefix}up"]))
    return tuple(deltas)


def read_safetensors(data: bytes, kind: str, fingerprint: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a file of ours. Raises `ArtifactMismatch` if it is another kind's, another model's, or damaged."""
    try:
        header_size = int.from_bytes(data[:8], "little")
        metadata: dict[str, str] = json.loads(data[8 : 8 + header_size]).get("__metadata__", {})
        tensors = load(data)
    except (SafetensorError, ValueError, AttributeError) as error:
        raise ArtifactMismatch(f"not a readable {kind} file: {error}") from error
    if metadata.get("format") != kind:
        raise ArtifactMismatch(f"expected a {kind} file, got {metadata.get('format', 'an unmarked one')!r}")
    if metadata.get("fingerprint") != fingerprint:
        raise ArtifactMismatch("made with another model or schedule: learn or invert again with this one")
    return tensors, metadata


def fresh_deltas(
    layers: Sequence[CrossLayer], mode: LearningMode, rank: int, generator: torch.Generator
) -> tuple[tuple[Delta, ...], tuple[Delta, ...]]:
    """Changes that change nothing yet, ready to be learned; none in mode `token`."""
    if mode == "token":
        return (), ()
    made: list[list[Delta]] = [[], []]
    for layer in layers:
        for kind, projection in zip(made, (layer.to_k, layer.to_v), strict=True):
            out_features, in_features = projection.weight.shape
            like = projection.weight
            if mode == "kv":
                kind.append(Full(like.new_zeros(out_features, in_features).requires_grad_()))
                continue
            down = torch.randn(rank, in_features, generator=generator).to(like) * in_features**-0.5
            kind.append(LowRank(down.requires_grad_(), like.new_zeros(out_features, rank).requires_grad_()))
    return tuple(made[0]), tuple(made[1])
