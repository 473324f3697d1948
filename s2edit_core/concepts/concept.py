"""A concept, learned from one photo, as a value: a token embedding, and optionally changes of the key and value projections.

An identity [I] says who is in the picture. An attribute [A], such as a makeup, can be applied to anybody. Both are stored in the
same way; `conditioning` treats them differently, by their placeholder. An attribute may change its own columns of keys and values
instead of the projections.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from s2edit_core.base_model.fingerprint import Fingerprints
from s2edit_core.concepts.seal import OPEN, is_intact, sealed
from s2edit_core.errors import ArtifactMismatch, OptionInvalid, PromptInvalid
from s2edit_core.request.options import LearningMode
from s2edit_core.request.prompts import checked_placeholder
from s2edit_core.request.spec import CONCEPT_FORMAT, PLACEHOLDER
from s2edit_core.unet.attention import CrossLayer
from s2edit_core.whole_files import write_whole

FORMAT = CONCEPT_FORMAT
"""The format entry of concept files."""


@dataclass(frozen=True, eq=False)
class LowRank:
    """A low-rank change ΔW = up·down of one projection: `down` `(rank, in)`, `up` `(out, rank)`."""

    down: Tensor
    up: Tensor

    def __call__(self, states: Tensor) -> Tensor:
        """Return ΔW·states for `states` `(…, in)`, computed in the precision of the change."""
        return (states.to(self.down.dtype) @ self.down.T @ self.up.T).to(states.dtype)


@dataclass(frozen=True, eq=False)
class Full:
    """A full-rank change ΔW `(out, in)` of one projection."""

    weight: Tensor

    def __call__(self, states: Tensor) -> Tensor:
        """Return ΔW·states for `states` `(…, in)`, computed in the precision of the change."""
        return (states.to(self.weight.dtype) @ self.weight.T).to(states.dtype)


Delta = LowRank | Full


def stacked_changes(deltas: Sequence[Sequence[Delta]], states: Tensor) -> Tensor:
    """Return ΔW·states of changes with one output width, `(changes, prompts · tokens, out)`, in a few products for all of them.

    `deltas` are equally many changes for each prompt, and `states` `(prompts, tokens, in)`.
    """
    n, tokens, width = states.shape
    flat = [each for mine in deltas for each in mine]
    count, first = len(deltas[0]), flat[0]
    if all(isinstance(each, Full) for each in flat):
        weights = torch.stack([each.weight for each in flat if isinstance(each, Full)]).unflatten(0, (n, count))
        made = states[:, None].to(weights.dtype) @ weights.transpose(2, 3)
    elif isinstance(first, LowRank) and all(isinstance(each, LowRank) and each.down.shape == first.down.shape for each in flat):
        low = [each for each in flat if isinstance(each, LowRank)]
        down, up = torch.stack([each.down for each in low]), torch.stack([each.up for each in low])
        reduced = states.to(down.dtype) @ down.view(n, -1, width).transpose(1, 2)  # (prompts, tokens, changes · rank)
        reduced = reduced.view(n, tokens, count, -1).transpose(1, 2)
        made = reduced @ up.unflatten(0, (n, count)).transpose(2, 3)
    else:  # of several kinds or ranks
        made = torch.stack([torch.stack([each(mine) for each in those]) for those, mine in zip(deltas, states, strict=True)])
    stacked: Tensor = made.to(states.dtype).transpose(0, 1).flatten(1, 2)
    return stacked


@dataclass(frozen=True, eq=False)
class Concept:
    """A learned concept.

    `token` `(d,)` is the embedding of the placeholder. `keys` and `values` hold one change per cross-attention layer, or nothing.
    `subject` is the word after the placeholder, from whose embedding the token started; an attribute needs it (see `conditioning`).
    `key_columns` and `value_columns` are those of an attribute that stands in the place of its word: one tensor `(columns, inner)`
    per cross-attention layer, added to the keys and values of the word and of the last `padding` tokens of a prompt. Raises
    `ValueError` for parts that do not match.
    """

    token: Tensor
    keys: tuple[Delta, ...] = ()
    values: tuple[Delta, ...] = ()
    fingerprint: str = ""
    facts: dict[str, Any] = field(default_factory=dict)  # for reports: subject, prompt, steps, losses
    placeholder: str = PLACEHOLDER
    subject: str = ""
    key_columns: tuple[Tensor, ...] = ()
    value_columns: tuple[Tensor, ...] = ()

    def __post_init__(self) -> None:
        if self.kind == "attribute" and not self.subject:
            raise ValueError("an attribute needs a subject, the word after its placeholder")
        if self.key_columns or self.value_columns:
            self._check_columns()
        if self.token.ndim != 1:
            raise ValueError(f"a concept's token must be one embedding (d,), not {tuple(self.token.shape)}")
        if len(self.keys) != len(self.values):
            raise ValueError(
                f"a concept must change keys and values of the same layers, not {len(self.keys)} keys and {len(self.values)} values"
            )

    def _check_columns(self) -> None:
        if self.kind == "identity" or self.keys:
            raise ValueError("only an attribute that does not change the projections can change columns of its own")
        if len(self.key_columns) != len(self.value_columns):
            keys, values = len(self.key_columns), len(self.value_columns)
            raise ValueError(f"a concept must change columns of the same layers, not {keys} of keys and {values} of values")
        counts = {len(each) if each.ndim == 2 else 0 for each in (*self.key_columns, *self.value_columns)}
        if len(counts) > 1 or counts == {0}:
            raise ValueError(f"a concept must change equally many columns, one or more, in each layer, not {sorted(counts)}")

    @property
    def padding(self) -> int:
        """The number of padding tokens at the end of a prompt whose columns an attribute changes beside that of its word."""
        return len(self.key_columns[0]) - 1 if self.key_columns else 0

    @property
    def replaced(self) -> str:
        """The words after its placeholder that the placeholder stands for in a prompt: none unless it changes columns."""
        return self.subject if self.key_columns else ""

    @property
    def kind(self) -> Literal["identity", "attribute"]:
        """Whether the concept is an identity or an attribute, by its placeholder."""
        return "identity" if self.placeholder == PLACEHOLDER else "attribute"

    @cached_property
    def digest(self) -> str:
        """A digest of the whole concept, by which an inversion identifies it. That of a file of before stays."""
        return hashlib.sha256(self._file({})).hexdigest()[:32]

    def renamed(self, placeholder: str) -> Concept:
        """Return this attribute under another placeholder, so that one prompt can hold two attributes that were learned as [A].

        Raises `PromptInvalid` for the placeholder of identities, or for a name that is no placeholder.
        """
        if PLACEHOLDER in (self.placeholder, placeholder):
            raise PromptInvalid(f"{PLACEHOLDER} is reserved for identities", field="prompt", reason="placeholder_invalid")
        return replace(self, placeholder=checked_placeholder(placeholder))

    def to_bytes(self) -> bytes:
        """Serialise to safetensors, with a digest of the file in it."""
        return sealed(self._file(OPEN))

    def _file(self, seal: Mapping[str, str]) -> bytes:
        tensors = {"token": self.token}
        for name, deltas in (("keys", self.keys), ("values", self.values)):
            for i, delta in enumerate(deltas):
                for part, tensor in vars(delta).items():
                    tensors[f"{name}.{i}.{part}"] = tensor
        for name, columns in (("key_columns", self.key_columns), ("value_columns", self.value_columns)):
            tensors |= {f"{name}.{i}": tensor for i, tensor in enumerate(columns)}
        about = {
            "format": FORMAT,
            "fingerprint": self.fingerprint,
            "facts": self.facts,
            "placeholder": self.placeholder,
            "subject": self.subject,
            **seal,
        }
        return write_safetensors(tensors, about)

    @classmethod
    def from_bytes(cls, data: bytes, *, fingerprint: str | Fingerprints, device: torch.device | str = "cpu") -> Concept:
        """Read a concept that `to_bytes` wrote.

        The concept keeps the fingerprint in the file, and so the digest that inversions refer to. Raises `ArtifactMismatch` for a
        damaged file, or for one made with another model.
        """
        with raising_mismatch(FORMAT):
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
                key_columns=_columns(moved, "key_columns"),
                value_columns=_columns(moved, "value_columns"),
            )

    def save(self, path: str | Path) -> None:
        """Write the concept to a file."""
        write_whole(path, self.to_bytes())

    @classmethod
    def load(cls, path: str | Path, *, fingerprint: str | Fingerprints, device: torch.device | str = "cpu") -> Concept:
        """Read a file that `save` wrote. Raises as `from_bytes`, and `OSError` if there is no such file."""
        return cls.from_bytes(Path(path).read_bytes(), fingerprint=fingerprint, device=device)

    @property
    def unique_placeholder(self) -> str:
        """A placeholder that no other concept has, such as `[I-1f0c9a3e]`: its embedding decides it.

        diffusers refuses to load two tokens of one name, so files that are all named `[I]` could not be used together.
        """
        digest = hashlib.sha256(_contiguous(self.token).float().cpu().numpy().tobytes()).hexdigest()
        return f"{self.placeholder[:-1]}-{digest[:8]}]"

    def learned_embeds(self) -> dict[str, Tensor]:
        """Return the token for diffusers' `load_textual_inversion`: the content of a `learned_embeds.safetensors`.

        Prompts of diffusers name it by its `unique_placeholder`.
        """
        return {self.unique_placeholder: _contiguous(self.token)}

    def lora(self, layers: Sequence[CrossLayer]) -> dict[str, Tensor]:
        """Return the changes for diffusers' `load_lora_weights` at scale 1; empty in mode `token`. `layers` are the backbone's.

        A LoRA changes the columns of all tokens. An identity does so here, too. An attribute, which here acts only in its own
        column and region, has a stronger effect there. A full change becomes a LoRA of full rank. Raises `ValueError` for another
        number of layers, `OptionInvalid` for an attribute that changes columns, which no LoRA does.
        """
        if self.key_columns:
            raise OptionInvalid(
                f"{self.placeholder} changes columns of keys and values, which a LoRA can't: learn it in the mode lora_kv",
                field="options.mode",
            )
        if self.keys and len(self.keys) != len(layers):
            raise ValueError(f"the concept changes {len(self.keys)} layers, not {len(layers)}: pass the layers of its own model")
        tensors = {}
        for name, deltas in (("to_k", self.keys), ("to_v", self.values)):
            for layer, delta in zip(layers, deltas, strict=False):
                if isinstance(delta, Full):
                    down, up = torch.eye(delta.weight.shape[1], dtype=delta.weight.dtype), delta.weight
                else:
                    down, up = delta.down, delta.up
                tensors[f"unet.{layer.name}.{name}.lora_A.weight"] = _contiguous(down)
                tensors[f"unet.{layer.name}.{name}.lora_B.weight"] = _contiguous(up)
        return tensors


def _contiguous(tensor: Tensor) -> Tensor:
    """Return `tensor` detached, on the CPU and contiguous, as safetensors needs it."""
    return tensor.detach().cpu().contiguous()


def _deltas(tensors: dict[str, Tensor], name: str) -> tuple[Delta, ...]:
    """Read the changes stored under `name`."""
    deltas: list[Delta] = []
    while (prefix := f"{name}.{len(deltas)}.") and any(key.startswith(prefix) for key in tensors):
        if f"{prefix}weight" in tensors:
            deltas.append(Full(tensors[f"{prefix}weight"]))
        else:
            deltas.append(LowRank(tensors[f"{prefix}down"], tensors[f"{prefix}up"]))
    return tuple(deltas)


def _columns(tensors: dict[str, Tensor], name: str) -> tuple[Tensor, ...]:
    """Read the columns stored under `name`."""
    columns: list[Tensor] = []
    while (key := f"{name}.{len(columns)}") in tensors:
        columns.append(tensors[key])
    return tuple(columns)


def export(concept: Concept, layers: Sequence[CrossLayer], folder: str | Path) -> list[Path]:
    """Write `concept` for diffusers: for `load_textual_inversion` and, unless it is only a token, for `load_lora_weights`.

    `layers` are the backbone's. Creates `folder` if needed, and returns the files that were written. Raises as `Concept.lora`.
    """
    files = {"learned_embeds.safetensors": concept.learned_embeds(), "pytorch_lora_weights.safetensors": concept.lora(layers)}
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, tensors in files.items():
        if tensors:
            write_whole(folder / name, save(tensors, metadata={"format": "pt"}))
            written.append(folder / name)
    return written


def write_safetensors(tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> bytes:
    """Serialise `tensors` with the metadata `about`. Equal values give equal bytes.

    `about` becomes a single metadata entry, because safetensors writes several entries in no fixed order.
    """
    still = {name: _contiguous(tensor) for name, tensor in tensors.items()}
    return save(still, metadata={"s2edit": json.dumps(about, sort_keys=True)})


def read_safetensors(
    data: bytes, kinds: str | Sequence[str], fingerprint: str | Fingerprints
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors and metadata of a file that `write_safetensors` wrote.

    `kinds` is the accepted format, or several, the current one first. `fingerprint` is the accepted fingerprint, or the
    fingerprints of a model including those of earlier releases. Raises `ArtifactMismatch` for a file of another kind or another
    model, or one that was changed since.
    """
    header_size = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + header_size]).get("__metadata__", {})
    about: dict[str, Any] = json.loads(metadata.get("s2edit", "{}"))
    if not is_intact(data, about):
        raise ArtifactMismatch("the file was changed since it was written: its digest is another one")
    formats = (kinds,) if isinstance(kinds, str) else kinds
    if about.get("format") not in formats:
        raise ArtifactMismatch(f"expected a {formats[0]} file, got {about.get('format', 'a file without a format')!r}")
    made_by, known = about.get("fingerprint"), (fingerprint,) if isinstance(fingerprint, str) else fingerprint
    if made_by not in known:
        raise ArtifactMismatch("made with another model or schedule: learn or invert again with this one")
    return load(data), about


@contextmanager
def raising_mismatch(kind: str) -> Iterator[None]:
    """Raise `ArtifactMismatch` in place of any error that damaged bytes cause."""
    try:
        yield
    except (SafetensorError, ValueError, LookupError, TypeError, AttributeError) as error:
        why = "" if isinstance(error, UnicodeError) else f": {error}"
        raise ArtifactMismatch(f"not a readable {kind} file{why}") from error


def new_deltas(
    layers: Sequence[CrossLayer], mode: LearningMode, rank: int, generator: torch.Generator
) -> tuple[tuple[Delta, ...], tuple[Delta, ...]]:
    """Return key and value changes that are zero and ready to be learned; none in mode `token`.

    They are in float32 or better, because half precision loses small steps. Raises `ValueError` for an unknown mode or a rank below
    1.
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
