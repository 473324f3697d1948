"""A model's vocabulary, read without loading the model: its subject words, its tokenizer and its token limit. No torch.

The API checks prompts with it before it accepts a job. The worker checks again with the tokenizer of the loaded model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers.models import BPE
from tokenizers.normalizers import NFC, Lowercase, Replace
from tokenizers.normalizers import Sequence as Normalizers
from tokenizers.pre_tokenizers import ByteLevel, Split
from tokenizers.pre_tokenizers import Sequence as PreTokenizers
from tokenizers.processors import RobertaProcessing

from s2edit_core.base_model.clip_words import BEGIN, END, MAX_TOKENS, clip_words
from s2edit_core.base_model.model_card import ModelCard
from s2edit_core.base_model.model_files import local_path
from s2edit_core.errors import ModelUnusable, PromptInvalid
from s2edit_core.request.domains import Domain, subjects_of
from s2edit_core.request.prompts import (
    PLACEHOLDERS,
    ResolvedPrompts,
    ResolvedReference,
    described,
    resolve_prompts,
    resolve_reference,
)
from s2edit_core.request.spec import PLACEHOLDER, EditRequest, LearningRequest, MaskRequest, Phase

ROOT = Path(__file__).resolve().parents[2]
"""The project's root folder, which contains the shipped `models/`."""

CLIP_WORDS = Regex(r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")
"""CLIP's pattern for splitting text into words (openai/CLIP, simple_tokenizer.py)."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The vocabulary of one model. `max_tokens` includes the begin and end tokens; `phase_seconds` is that of the card."""

    tokenizer: Tokenizer
    max_tokens: int
    domains: tuple[Domain, ...]
    phase_seconds: Mapping[Phase, float] = field(default_factory=dict)

    @property
    def subjects(self) -> tuple[str, ...]:
        """The subject words of all domains."""
        return subjects_of(self.domains)

    def count(self, text: str) -> int:
        """Return the number of tokens in `text`, including the begin and end tokens. A placeholder is one token."""
        return len(self.tokenizer.encode(PLACEHOLDERS.sub(PLACEHOLDER, text)).ids)

    def check(self, request: EditRequest, attributes: Sequence[tuple[str, str]] = ()) -> ResolvedPrompts:
        """Return the prompts as the worker will resolve them. `attributes` holds the (placeholder, subject) of each attribute.

        Raise `PromptInvalid` if no subject is found, if a prompt lacks the subject, or if a prompt has too many tokens.
        """
        prompts = resolve_prompts(request, self.subjects, attributes)
        self._check_length(prompts.target, field="prompt")
        self._check_length(prompts.source, field="source_prompt")
        self._check_length(request.negative_prompt or "", field="negative_prompt")
        return prompts

    def check_learning(self, request: LearningRequest) -> ResolvedReference:
        """Return the resolved prompt of a learning request. Raise as `check`."""
        reference = resolve_reference(request, self.subjects)
        self._check_length(reference.prompt, field="prompt")
        return reference

    def check_description(self, request: MaskRequest) -> None:
        """Check the description that a mask is searched by. Raise as `check`."""
        self._check_length(described(request, self.subjects), field="prompt")

    def _check_length(self, text: str, *, field: str) -> None:
        tokens = self.count(text)
        if tokens > self.max_tokens:
            raise PromptInvalid(
                f"the {field} has {tokens} tokens, counting {PLACEHOLDER} and the begin and end tokens, but the limit is "
                f"{self.max_tokens}: shorten it by {tokens - self.max_tokens} or more",
                field=field,
                reason="prompt_too_long",
            )


def load_vocabulary(model: str, root: Path = ROOT) -> Vocabulary | None:
    """Read the vocabulary of a local model. Return None for a hub id, which only the worker can check.

    A single-file model has CLIP's vocabulary. Raise `ModelUnusable` if a folder has no readable CLIP tokenizer or a malformed card.
    """
    path = local_path(model, root)
    if path is None:
        return None
    card = ModelCard.read(path)
    try:
        if path.is_file():
            tokenizer, max_tokens = _prepared(_clip(*clip_words())), MAX_TOKENS
        else:
            tokenizer = _prepared(_load_tokenizer(path / "tokenizer"))
            max_tokens = _max_tokens(_read_json(path / "tokenizer" / "tokenizer_config.json", missing={}))
    except Exception as error:  # tokenizers raises a bare Exception for every malformed file
        raise ModelUnusable(f"cannot read the tokenizer of the model {path.name!r}: {error}") from error
    return Vocabulary(tokenizer, max_tokens, card.domains, card.phase_seconds)


def _read_json(path: Path, *, missing: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    if missing is not None and not path.exists():
        return missing
    values = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(values, dict):
        raise ValueError(f"{path.name} is not a JSON object")
    return values


def _max_tokens(config: Mapping[str, Any]) -> int:
    """Return the token limit. transformers writes a huge number for "no limit"; CLIP's text encoder has 77 positions."""
    limit = int(config.get("model_max_length", MAX_TOKENS))
    return limit if limit <= 100_000 else MAX_TOKENS


def _load_tokenizer(folder: Path) -> Tokenizer:
    whole = folder / "tokenizer.json"
    return Tokenizer.from_file(str(whole)) if whole.exists() else _from_parts(folder / "vocab.json", folder / "merges.txt")


def _prepared(tokenizer: Tokenizer) -> Tokenizer:
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.add_tokens([AddedToken(PLACEHOLDER, normalized=False)])
    return tokenizer


def _from_parts(vocab_file: Path, merges_file: Path) -> Tokenizer:
    vocab = {str(token): int(number) for token, number in _read_json(vocab_file).items()}
    lines = merges_file.read_text(encoding="utf-8").splitlines()
    merges = [(left, right) for left, right in (line.split() for line in lines if line and not line.startswith("#version"))]
    return _clip(vocab, merges)


def _clip(vocab: Mapping[str, int], merges: Sequence[tuple[str, str]]) -> Tokenizer:
    """Build CLIP's byte-level BPE as transformers' CLIPTokenizer does from the same two files."""
    tokenizer = Tokenizer(
        BPE(
            vocab=dict(vocab),
            merges=list(merges),
            continuing_subword_prefix="",
            end_of_word_suffix="</w>",
            fuse_unk=False,
            unk_token=END,
        )
    )
    tokenizer.normalizer = Normalizers([NFC(), Replace(Regex(r"\s+"), " "), Lowercase()])
    tokenizer.pre_tokenizer = PreTokenizers([Split(CLIP_WORDS, behavior="removed", invert=True), ByteLevel(add_prefix_space=False)])
    tokenizer.add_special_tokens([BEGIN, END])
    tokenizer.post_processor = RobertaProcessing(
        (END, vocab[END]), (BEGIN, vocab[BEGIN]), trim_offsets=False, add_prefix_space=False
    )
    return tokenizer
