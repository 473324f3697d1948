"""Prompts and concepts to the UNet's inputs: keys, values and gates per cross-attention layer.

The two kinds of concept affect different columns (tokens) of keys and values:

- An identity [I] is the model fine-tuned to the photo (S²Edit, figure 2). Its changes ΔW project the columns of all tokens, also
  those of the empty prompt, and the text encoder propagates its embedding to the words after it. Learning and inversion use it in
  the same way.
- An attribute [A] comes from a photo of somebody else, of whom nothing else may be transferred. It acts through its own column
  alone: W + ΔW_A projects only that column. All other columns are computed with the subject word's embedding in place of [A]'s. So
  neither later words nor the end token, which no mask restricts, carry the reference. Its gate restricts it to its region.
- An attribute that was learned as columns stands in the place of its word: "[A] makeup" is read as "makeup". Its changes are added
  to K and V of that word and of the last padding tokens, so an attribute without changes is its word. Its gate restricts all of
  these. Each further attribute has the padding before.

Each column is thus projected as it was in learning, whatever other concepts the prompt holds, and an attribute fits any identity.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from weakref import WeakSet

import torch
from torch import Tensor, nn

from s2edit_core.concepts.concept import Concept, stacked_changes
from s2edit_core.errors import PromptInvalid
from s2edit_core.request.words import following, tidy
from s2edit_core.unet.attention import Gates, KeysValues, make_gates
from s2edit_core.unet.backbone import Backbone


@dataclass(frozen=True)
class Tokens:
    """A tokenised prompt: padded `ids` `(tokens,)`, the positions of each placeholder in it, and how many ids are `padding`."""

    ids: Tensor
    positions: Mapping[str, tuple[int, ...]]
    padding: int = 0


Placeholders = Sequence[str] | Mapping[str, str]
"""The names of placeholders, or for each the words after it that it stands for (see `Concept.replaced`)."""


def find_placeholders(prompt: str, placeholders: Placeholders) -> list[tuple[int, int, str]]:
    """Return where the tidy `prompt` holds `placeholders`, with the words that they stand for: start, end and name, in order."""
    replaced = placeholders if isinstance(placeholders, Mapping) else dict.fromkeys(placeholders, "")
    found = []
    for name, words in replaced.items():
        after = f"(?:{following(words)})?" if words else ""
        found += [(*match.span(), name) for match in re.finditer(re.escape(name) + after, prompt)]
    return sorted(found)


def replaced_words(concepts: Mapping[str, Concept]) -> dict[str, str]:
    """Return the placeholders of `concepts`, and the words that each stands for."""
    return {name: concept.replaced for name, concept in concepts.items()}


def tokenize(backbone: Backbone, prompt: str, placeholders: Placeholders, *, field: str = "prompt") -> Tokens:
    """Tokenise `prompt`, with each placeholder, and the words that it stands for, as one token.

    Raises `PromptInvalid` for a prompt that is too long or not text; `field` names it in the message.
    """
    if not isinstance(prompt, str):
        raise PromptInvalid(f"the {field} must be a string, not {type(prompt).__name__}", field=field, reason="prompt_not_text")
    tokenizer = backbone.tokenizer
    limit: int = tokenizer.model_max_length
    ids: list[int] = [tokenizer.bos_token_id]
    positions: dict[str, tuple[int, ...]] = {}
    text, at = tidy(prompt), 0
    for start, end, name in find_placeholders(text, placeholders):
        ids += tokenizer(text[at:start], add_special_tokens=False, verbose=False).input_ids
        positions[name] = (*positions.get(name, ()), len(ids))
        ids.append(tokenizer.eos_token_id)  # stands in: `text_states` replaces its embedding
        at = end
    ids += tokenizer(text[at:], add_special_tokens=False, verbose=False).input_ids
    if len(ids) + 1 > limit:
        raise PromptInvalid(
            f"the {field} has {len(ids) + 1} tokens, including begin and end; the limit is {limit}: shorten it",
            field=field,
            reason="prompt_too_long",
        )
    padding = [tokenizer.pad_token_id] * (limit - len(ids) - 1)
    return Tokens(torch.tensor([*ids, tokenizer.eos_token_id, *padding], device=backbone.device), positions, len(padding))


def own_columns(tokens: Tokens, concepts: Mapping[str, Concept]) -> dict[str, tuple[int, ...]]:
    """Return the columns of each placeholder in the prompt: its positions, and the padding that is its own."""
    padding = padding_of(tokens, concepts)
    return {name: (*positions, *padding.get(name, ())) for name, positions in tokens.positions.items()}


def padding_of(tokens: Tokens, concepts: Mapping[str, Concept]) -> dict[str, tuple[int, ...]]:
    """Return the padding that each attribute of the prompt has for itself, from the prompt's end on. There may be too little."""
    free, found = tokens.padding, {}
    last = len(tokens.ids)
    for name, concept in concepts.items():
        count = min(concept.padding, free) if name in tokens.positions else 0
        found[name] = tuple(range(last - count, last))
        last, free = last - count, free - count
    return found


@dataclass(frozen=True)
class _Placed:
    """Embeddings `(n, d)` that replace those of placeholders: number i at token `tokens[i]` of prompt `prompts[i]`."""

    prompts: Tensor
    tokens: Tensor
    embeddings: Tensor


_placed: ContextVar[_Placed | None] = ContextVar("placed", default=None)
"""The embeddings of the placeholders in the prompts that this thread encodes."""
_prepared: WeakSet[nn.Module] = WeakSet()
_preparing = threading.Lock()


def _put_in_place(_module: nn.Module, _args: object, output: Tensor) -> Tensor:
    placed = _placed.get()
    if placed is None:
        return output
    return output.index_put((placed.prompts, placed.tokens), placed.embeddings.to(output.dtype))


def _prepare(embedding: nn.Module) -> None:
    """Let `embedding` replace what `_placed` says.

    The hook stays, because several threads use the text encoder at once. If each installed its own, a thread's prompt would get
    another user's embeddings.
    """
    with _preparing:
        if embedding not in _prepared:
            embedding.register_forward_hook(_put_in_place)
            _prepared.add(embedding)


def text_states(backbone: Backbone, tokens: Tokens, embeddings: Mapping[str, Tensor]) -> Tensor:
    """Return the text encoder's output `(tokens, d)`, with the embedding `(d,)` of each placeholder in place.

    Differentiable in `embeddings`. Raises `ValueError` for a placeholder without an embedding, or for an embedding of another
    width.
    """
    return text_states_together(backbone, [tokens], [embeddings])[0]


def text_states_together(backbone: Backbone, prompts: Sequence[Tokens], embeddings: Sequence[Mapping[str, Tensor]]) -> Tensor:
    """Return the text encoder's output `(prompts, tokens, d)` for prompts of one length, as `text_states` does for each."""
    encoder = backbone.text_encoder
    words: nn.Embedding = encoder.get_input_embeddings()  # type: ignore[operator]
    at: list[tuple[int, int]] = []
    found: list[Tensor] = []
    for i, (tokens, mine) in enumerate(zip(prompts, embeddings, strict=True)):
        for name, positions in tokens.positions.items():
            _check_embedding(name, mine, words)
            at += [(i, position) for position in positions]
            found += [mine[name]] * len(positions)
    _prepare(words)
    before = _placed.set(_Placed(*_indices(at, backbone.device), torch.stack(found)) if found else None)
    try:
        states: Tensor = encoder(torch.stack([tokens.ids for tokens in prompts])).last_hidden_state
    finally:
        _placed.reset(before)
    return states


def _check_embedding(name: str, embeddings: Mapping[str, Tensor], words: nn.Embedding) -> None:
    if name not in embeddings:
        raise ValueError(f"the prompt holds {name}, but there is no concept with that placeholder")
    if embeddings[name].shape != words.weight.shape[1:]:
        shape, width = tuple(embeddings[name].shape), tuple(words.weight.shape[1:])
        raise ValueError(f"the embedding of {name} has shape {shape}, the model's have {width}")


def _indices(pairs: Sequence[tuple[int, int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the pairs as two tensors. From pinned memory, their copy does not wait for the device."""
    made = torch.tensor(pairs).T.contiguous()
    made = made.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else made.to(device)
    return made[0], made[1]


def keys_values(backbone: Backbone, states: Tensor, concepts: Sequence[Concept] = ()) -> KeysValues:
    """Return K = (W + ΣΔW)·states for all columns of each cross-attention layer, and V likewise.

    Differentiable in `states` `(tokens, d)` and in the concepts' changes. Raises `ValueError` for states of another shape, or for a
    concept that changes another number of layers.
    """
    width = backbone.layers[0].to_k.in_features
    if states.ndim != 2 or states.shape[1] != width:
        raise ValueError(f"expected text states (tokens, {width}), got {tuple(states.shape)}")
    for concept in concepts:
        _check_layers(concept, len(backbone.layers))
    rounded = states.to(backbone.dtype)
    exact = states.to(torch.promote_types(backbone.dtype, torch.float32))  # half precision would lose small changes
    projections = backbone.text_projections
    changes = []
    for concept in concepts:
        if concept.keys:
            deltas = (*concept.keys, *concept.values)
            changes.append([stacked_changes([[deltas[i] for i in group.members]], exact[None]) for group in projections.groups])
    projected = projections(rounded, changes)
    return KeysValues(tuple(projected[: len(backbone.layers)]), tuple(projected[len(backbone.layers) :]))


def _check_layers(concept: Concept, has: int) -> None:
    changed = len(concept.keys or concept.key_columns)
    if changed not in (0, has):
        raise ValueError(f"{concept.placeholder} changes {changed} cross-attention layers, but the model has {has}")


def keys_values_together(backbone: Backbone, states: Tensor, concepts: Sequence[Concept]) -> list[Tensor]:
    """Return K, then V, of each cross-attention layer for several prompts, `(prompts, tokens, inner)`.

    `states` are `(prompts, tokens, d)`, and `concepts` one for each prompt. All of them change the projections, or none.
    """
    projections = backbone.text_projections
    exact = states.to(torch.promote_types(backbone.dtype, torch.float32))
    changes = []
    if concepts[0].keys:
        deltas = [(*concept.keys, *concept.values) for concept in concepts]
        changes = [[stacked_changes([[mine[i] for i in group.members] for mine in deltas], exact) for group in projections.groups]]
    projected = projections(states.to(backbone.dtype).flatten(0, 1), changes)
    return [each.unflatten(0, states.shape[:2]) for each in projected]


@dataclass(frozen=True, eq=False)
class Conditioned:
    """A prompt with its concepts, as the UNet takes it."""

    prompt: KeysValues
    states: Tensor
    """`(tokens, d)`: the text states that all columns are projected from, except those of attributes."""
    features: Mapping[str, Tensor]
    """For each placeholder of the prompt, the text feature `(d,)` at its first position."""


def conditioned(backbone: Backbone, tokens: Tokens, concepts: Mapping[str, Concept]) -> Conditioned:
    """Condition `tokens` on `concepts`, given by placeholder. Each concept affects only the columns of its kind.

    Differentiable in the concepts' tokens and changes.
    """
    attributes = {name: concept for name, concept in concepts.items() if concept.kind == "attribute" and name in tokens.positions}
    identities = {name: concept for name, concept in concepts.items() if concept.kind == "identity"}
    embeddings = {name: concept.token for name, concept in identities.items()}
    embeddings |= {name: word_embedding(backbone, concept.subject) for name, concept in attributes.items()}
    states = text_states(backbone, tokens, embeddings)
    prompt = keys_values(backbone, states, list(identities.values()))
    features = {name: states[tokens.positions[name][0]] for name in identities if name in tokens.positions}
    padding = padding_of(tokens, attributes)
    for name, concept in attributes.items():
        positions = list(tokens.positions[name])
        if concept.key_columns:
            prompt = _with_changes(prompt, positions, padding[name], concept)
            features[name] = states[positions[0]]
            continue
        own = text_states(backbone, tokens, embeddings | {name: concept.token})[positions]
        prompt = _with_columns(prompt, positions, keys_values(backbone, own, [concept]))
        features[name] = own[0]
    return Conditioned(prompt, states, features)


def _with_columns(prompt: KeysValues, positions: Sequence[int], columns: KeysValues) -> KeysValues:
    """Return `prompt` with its columns at `positions` replaced by `columns` `(len(positions), inner)`."""

    def put(whole: tuple[Tensor, ...], parts: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        index = torch.tensor(positions, device=whole[0].device)
        return tuple(tensor.index_copy(0, index, part) for tensor, part in zip(whole, parts, strict=True))

    return KeysValues(put(prompt.keys, columns.keys), put(prompt.values, columns.values))


def _with_changes(prompt: KeysValues, positions: Sequence[int], padding: Sequence[int], concept: Concept) -> KeysValues:
    """Return `prompt` with the changes of `concept` added to its columns at `positions` and `padding`."""
    _check_layers(concept, len(prompt.keys))
    index = torch.tensor([*positions, *padding], device=prompt.keys[0].device)
    # Prompts with less padding have less of the changes. The last column is the last one of the prompt, as in learning.
    mine = torch.tensor([0] * len(positions) + [1 + concept.padding - len(padding) + i for i in range(len(padding))])

    def add(whole: tuple[Tensor, ...], changes: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        pairs = zip(whole, changes, strict=True)
        return tuple((old.to(new.dtype).index_add(0, index, new[mine])).to(old.dtype) for old, new in pairs)

    return KeysValues(add(prompt.keys, concept.key_columns), add(prompt.values, concept.value_columns))


def prompt_keys_values(backbone: Backbone, prompt: str, concepts: Mapping[str, Concept], *, field: str = "prompt") -> KeysValues:
    """Return keys and values of `prompt` with its concepts, without gradients. Raises as `tokenize`."""
    with torch.no_grad():
        return conditioned(backbone, tokenize(backbone, prompt, replaced_words(concepts), field=field), concepts).prompt


def prompt_gates(
    backbone: Backbone,
    prompt: str,
    masks: Mapping[str, Tensor],
    latent_size: tuple[int, int],
    *,
    concepts: Mapping[str, Concept] | None = None,
    field: str = "prompt",
) -> Gates | None:
    """Return the gates of the placeholders in `prompt` that have a mask `(H, W)` in 0..1; None if none has.

    The gate of an attribute of `concepts` that changes columns restricts all of these.
    """
    concepts = concepts or {}
    tokens = tokenize(backbone, prompt, {name: "" for name in masks} | replaced_words(concepts), field=field)
    columns = own_columns(tokens, concepts)
    pairs = [(column, mask) for name, mask in masks.items() for column in columns.get(name, ())]
    if not pairs:
        return None
    gates = make_gates(backbone.layers, latent_size, len(tokens.ids), pairs)
    return gates.to(backbone.device)


def word_embedding(backbone: Backbone, word: str) -> Tensor:
    """Return the token embedding `(d,)` of `word`, averaged over its tokens. Raises `ValueError` for an empty word."""
    if not word.strip():
        raise ValueError("an empty word has no embedding: pass the subject, a word of the prompt")
    ids = torch.tensor(backbone.tokenizer(word, add_special_tokens=False).input_ids, device=backbone.device)
    embedded: Tensor = backbone.text_encoder.get_input_embeddings()(ids)  # type: ignore[operator]
    return embedded.mean(dim=0).detach()
