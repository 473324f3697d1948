"""A concept: what was learned from one photo, as a value. A token vector, and perhaps a change of keys and values.

An identity [I] says who is in the picture; an attribute [A] (a makeup, say) is what may be put on anybody. Both are learned alike
and kept alike; `conditioning` tells them apart by their placeholder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save, save_file
from torch import Tensor

from s2edit_core.checkpoints.fingerprint import Fingerprints
from s2edit_core.errors import ArtifactMismatch, PromptInvalid
from s2edit_core.request.prompts import checked_placeholder
from s2edit_core.request.spec import CONCEPT_FORMAT, PLACEHOLDER, LearningMode
from s2edit_core.unet.attention import CrossLayer

FORMAT = CONCEPT_FORMAT


@dataclass(frozen=True, eq=False)
class LowRank:
    """A change ΔW = up·down of one projection: `down` `(rank, in)`, `up` `(out, rank)`."""

    down: Tensor
    up: Tensor

    def __call__(self, states: Tensor) -> Tensor:
        return (states.to(self.down.dtype) @ self.down.T @ self.up.T).to(states.dtype)


@dataclass(frozen=True, eq=False)
class Full:
    """A change ΔW `(out, in)` of one projection."""

    weight: Tensor

    def __call__(self, states: Tensor) -> Tensor:
        return (states.to(self.weight.dtype) @ self.weight.T).to(states.dtype)


Delta = LowRank | Full


@dataclass(frozen=True, eq=False)
class Concept:
    """`token` `(d,)` is the embedding of the placeholder; `keys` and `values` are changes per cross-attention layer, or empty.

    `subject` is the word after the placeholder, whose embedding the token started from; an attribute needs it (see `conditioning`).
    """

    token: Tensor
    keys: tuple[Delta, ...] = ()
    values: tuple[Delta, ...] = ()
    fingerprint: str = ""
    facts: dict[str, Any] = field(default_factory=dict)  # subject, prompt, steps, losses: for reports
    placeholder: str = PLACEHOLDER
    subject: str = ""

    def __post_init__(self) -> None:
        if self.kind == "attribute" and not self.subject:
            raise ValueError("an attribute needs its subject, the word that stands after its placeholder")
        if self.token.ndim != 1:
            raise ValueError(f"a concept's token is one embedding (d,), not {tuple(self.token.shape)}")
        if len(self.keys) != len(self.values):
            raise ValueError(f"a concept changes keys and values of the same layers, not {len(self.keys)} and {len(self.values)}")

    @property
    def kind(self) -> Literal["identity", "attribute"]:
        return "identity" if self.placeholder == PLACEHOLDER else "attribute"

    @property
    def digest(self) -> str:
        """Of everything in it: what an inversion remembers it by."""
        return hashlib.sha256(self.to_bytes()).hexdigest()[:32]

    def renamed(self, placeholder: str) -> Concept:
        """The same attribute under another placeholder, so that two of a library fit into one prompt. Raises `PromptInvalid`."""
        if PLACEHOLDER in (self.placeholder, placeholder):
            raise PromptInvalid(f"{PLACEHOLDER} names identities alone", field="prompt", reason="placeholder_invalid")
        return replace(self, placeholder=checked_placeholder(placeholder))

    def to_bytes(self) -> bytes:
        """As a safetensors file."""
        tensors = {"token": self.token}
        for name, deltas in (("keys", self.keys), ("values", self.values)):
            for i, delta in enumerate(deltas):
                for part, tensor in vars(delta).items():
                    tensors[f"{name}.{i}.{part}"] = tensor
        about = {
            "format": FORMAT,
            "fingerprint": self.fingerprint,
            "facts": self.facts,
            "placeholder": self.placeholder,
            "subject": self.subject,
        }
        return write_safetensors(tensors, about)

    @classmethod
    def from_bytes(cls, data: bytes, *, fingerprint: str | Fingerprints, device: torch.device | str = "cpu") -> Concept:
        """Read back; raises `ArtifactMismatch` for a damaged file or one that was made with another model.

        It keeps the fingerprint that it was made with, and with it its digest, which inversions remember.
        """
        with refusing_damage(FORMAT):
            tensors, about = read_safetensors(data, FORMAT, fingerprint)
            moved = {name: tensor.to(device) for name, tensor in tensors.items()}
            return cls(
                token=moved["token"],
                keys=_deltas(moved, "keys"),
                values=_deltas(moved, "values"),
                fingerprint=about["fingerprint"],
                facts=about["facts"],
                placeholder=about["placeholder"],
                subject=about["subject"],
            )

    def save(self, path: str | Path) -> None:
        Path(path).write_bytes(self.to_bytes())

    @classmethod
    def load(cls, path: str | Path, *, fingerprint: str | Fingerprints, device: torch.device | str = "cpu") -> Concept:
        """Read a file of `save`. Raises as `from_bytes`, and `OSError` where there is none."""
        return cls.from_bytes(Path(path).read_bytes(), fingerprint=fingerprint, device=device)

    def learned_embeds(self) -> dict[str, Tensor]:
        """The token as diffusers' `load_textual_inversion` takes it: saved, it is a `learned_embeds.safetensors`."""
        return {self.placeholder: _still(self.token)}

    def lora(self, layers: Sequence[CrossLayer]) -> dict[str, Tensor]:
        """The changes as diffusers' `load_lora_weights` takes them, scale 1; empty in mode `token`. `layers` are the backbone's.

        A LoRA changes the columns of all tokens. That is what an identity does here too; an attribute, which here acts in its own
        column and region alone, is stronger there. A full change becomes one of full rank. Raises `ValueError` for other layers.
        """
        if self.keys and len(self.keys) != len(layers):
            raise ValueError(f"the concept changes {len(self.keys)} layers, and {len(layers)} are given: pass its own model's")
        tensors = {}
        for name, deltas in (("to_k", self.keys), ("to_v", self.values)):
            for layer, delta in zip(layers, deltas, strict=False):
                if isinstance(delta, Full):
                    down, up = torch.eye(delta.weight.shape[1], dtype=delta.weight.dtype), delta.weight
                else:
                    down, up = delta.down, delta.up
                tensors[f"unet.{layer.name}.{name}.lora_A.weight"] = _still(down)
                tensors[f"unet.{layer.name}.{name}.lora_B.weight"] = _still(up)
        return tensors


def _still(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().contiguous()


def _deltas(tensors: dict[str, Tensor], name: str) -> tuple[Delta, ...]:
    deltas: list[Delta] = []
    while (prefix := f"{name}.{len(deltas)}.") and any(key.startswith(prefix) for key in tensors):
        if f"{prefix}weight" in tensors:
            deltas.append(Full(tensors[f"{prefix}weight"]))
        else:
            deltas.append(LowRank(tensors[f"{prefix}down"], tensors[f"{prefix}up"]))
    return tuple(deltas)


def export(concept: Concept, layers: Sequence[CrossLayer], folder: str | Path) -> list[Path]:
    """Write `concept` for diffusers: `load_textual_inversion` and, unless it is a token alone, `load_lora_weights`.

    `layers` are the backbone's; the folder is made if it is missing. The files that were written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, tensors in (
        ("learned_embeds.safetensors", concept.learned_embeds()),
        ("pytorch_lora_weights.safetensors", concept.lora(layers)),
    ):
        if tensors:
            save_file(tensors, folder / name, metadata={"format": "pt"})
            written.append(folder / name)
    return written


def write_safetensors(tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> bytes:
    """Equal values give equal bytes: `about` is one metadata entry, since safetensors keeps several in no fixed order."""
    still = {name: _still(tensor) for name, tensor in tensors.items()}
    return save(still, metadata={"s2edit": json.dumps(about, sort_keys=True)})


def read_safetensors(data: bytes, kind: str, fingerprint: str | Fingerprints) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and what is said about them. Raises `ArtifactMismatch` for a file of another kind or another model.

    `fingerprint` is the only one that is accepted, or those of a model, with that of earlier releases.
    """
    header_size = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + header_size]).get("__metadata__", {})
    about: dict[str, Any] = json.loads(metadata.get("s2edit", "{}"))
    if about.get("format") != kind:
        raise ArtifactMismatch(f"expected a {kind} file, got {about.get('format', 'an unmarked one')!r}")
    made_by, known = about.get("fingerprint"), (fingerprint,) if isinstance(fingerprint, str) else fingerprint
    if made_by not in known:
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
    """Changes that change nothing yet, ready to be learned; none in mode `token`. In float32 at least: small steps must count.

    Raises `ValueError` for an unknown mode or a rank below 1.
    """
    if mode not in get_args(LearningMode) or rank < 1:
        raise ValueError(f"expected a mode of {', '.join(get_args(LearningMode))} and a rank of 1 or more, not {mode!r} and {rank}")
    if mode == "token":
        return (), ()
    made: list[list[Delta]] = [[], []]
    for layer in layers:
        for kind, projection in zip(made, (layer.to_k, layer.to_v), strict=True):
            out_features, in_features = projection.weight.shape
            like = projection.weight.new_empty(0, dtype=torch.promote_types(projection.weight.dtype, torch.float32))
            if mode == "kv":
                kind.append(Full(like.new_zeros(out_features, in_features).requires_grad_()))
                continue
            down = torch.randn(rank, in_features, generator=generator).to(like) * in_features**-0.5
            kind.append(LowRank(down.requires_grad_(), like.new_zeros(out_features, rank).requires_grad_()))
    return tuple(made[0]), tuple(made[1])
