"""A concept: what was learned about one person, as a value. A token vector, and perhaps a change of keys and values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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
        return write_safetensors(tensors, {"format": FORMAT, "fingerprint": self.fingerprint, "facts": self.facts})

    @classmethod
    def from_bytes(cls, data: bytes, *, fingerprint: str, device: torch.device | str = "cpu") -> Concept:
        """Read back; raises `ArtifactMismatch` for a damaged file or one that was made with another model."""
        with refusing_damage(FORMAT):
            tensors, about = read_safetensors(data, FORMAT, fingerprint)
            moved = {name: tensor.to(device) for name, tensor in tensors.items()}
            return cls(
                token=moved["token"],
                keys=_deltas(moved, "keys"),
                values=_deltas(moved, "values"),
                fingerprint=fingerprint,
                facts=about["facts"],
            )


def _deltas(tensors: dict[str, Tensor], name: str) -> tuple[Delta, ...]:
    deltas: list[Delta] = []
    while (prefix := f"{name}.{len(deltas)}.") and any(key.startswith(prefix) for key in tensors):
        if f"{prefix}weight" in tensors:
            deltas.append(Full(tensors[f"{prefix}weight"]))
        else:
            deltas.append(LowRank(tensors[f"{prefix}down"], tensors[f"{prefix}up"]))
    return tuple(deltas)


def write_safetensors(tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> bytes:
    """Equal values give equal bytes: `about` is one metadata entry, since safetensors keeps several in no fixed order."""
    still = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    return save(still, metadata={"s2edit": json.dumps(about, sort_keys=True)})


def read_safetensors(data: bytes, kind: str, fingerprint: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and what is said about them. Raises `ArtifactMismatch` for a file of another kind or another model."""
    header_size = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + header_size]).get("__metadata__", {})
    about: dict[str, Any] = json.loads(metadata.get("s2edit", "{}"))
    if about.get("format") != kind:
        raise ArtifactMismatch(f"expected a {kind} file, got {about.get('format', 'an unmarked one')!r}")
    if about.get("fingerprint") != fingerprint:
        raise ArtifactMismatch("made with another model or schedule: learn or invert again with this one")
    return load(data), about


@contextmanager
def refusing_damage(kind: str) -> Iterator[None]:
    """Whatever is wrong with a file's bytes becomes `ArtifactMismatch`."""
    try:
        yield
    except (SafetensorError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ArtifactMismatch(f"not a readable {kind} file: {error}") from error


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
