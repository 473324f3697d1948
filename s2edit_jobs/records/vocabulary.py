"""What can be known of a model's words without loading the model: who it calls the subject, and how many tokens fit.

The API refuses a prompt here before it accepts a job; the worker checks again with the model's own tokenizer. No torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers.models import BPE
from tokenizers.normalizers import NFC, Lowercase, Replace
from tokenizers.normalizers import Sequence as Normalizers
from tokenizers.pre_tokenizers import ByteLevel, Split
from tokenizers.pre_tokenizers import Sequence as PreTokenizers
from tokenizers.processors import RobertaProcessing

from s2edit_core.checkpoints.clip_words import BEGIN, END, MAX_TOKENS, clip_words
from s2edit_core.checkpoints.model_card import ModelCard
from s2edit_core.checkpoints.model_files import local_path
from s2edit_core.errors import ModelUnusable, PromptInvalid
from s2edit_core.request.prompts import (
    DEFAULT_SUBJECTS,
    PLACEHOLDERS,
    ResolvedPrompts,
    ResolvedReference,
    described,
    resolve_prompts,
    resolve_reference,
)
from s2edit_core.request.spec import PLACEHOLDER, EditRequest, LearningRequest, MaskRequest

ROOT = Path(__file__).resolve().parents[2]
"""The project's own folder, where the shipped `models/` lies."""

CLIP_WORDS = Regex(r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")
"""CLIP's own split into words (openai/CLIP, simple_tokenizer.py)."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words of one model folder. `max_tokens` counts the begin and end marks too."""

    tokenizer: Tokenizer
    max_tokens: int
    subjects: Sequence[str] = DEFAULT_SUBJECTS
    attribute_words: Sequence[str] = ()

    def count(self, text: str) -> int:
        """Tokens of `text` with the begin and end marks; a placeholder is one token."""
        return len(self.tokenizer.encode(PLACEHOLDERS.sub(PLACEHOLDER, text)).ids)

    def check(self, request: EditRequest, worn: Sequence[tuple[str, str]] = ()) -> ResolvedPrompts:
        """The prompts as the worker will see them; `worn` are placeholder and subject of each attribute.

        Raises `PromptInvalid` when there is no subject, when a prompt lacks it, or when a prompt has more tokens than fit.
        """
        prompts = resolve_prompts(request, self.subjects, worn)
        self._check_length(prompts.target, field="prompt")
        self._check_length(prompts.source, field="source_prompt")
        self._check_length(request.negative_prompt or "", field="negative_prompt")
        return prompts

    def check_learning(self, request: LearningRequest) -> ResolvedReference:
        """The same for what is learned ahead."""
        reference = resolve_reference(request, self.subjects)
        self._check_length(reference.prompt, field="prompt")
        return reference

    def check_description(self, request: MaskRequest) -> None:
        """The same for what a mask is looked for by."""
        self._check_length(described(request, self.subjects), field="prompt")

    def _check_length(self, text: str, *, field: str) -> None:
        tokens = self.count(text)
        if tokens > self.max_tokens:
            raise PromptInvalid(
                f"the {field} is {tokens} tokens long, counting {PLACEHOLDER} and the begin and end marks; "
                f"{self.max_tokens} fit: shorten it by {tokens - self.max_tokens} or more",
                field=field,
                reason="prompt_too_long",
            )


def load_vocabulary(model: str, root: Path = ROOT) -> Vocabulary | None:
    """Read the words of a local model; None for a hub id, where only the worker can check.

    A model in one file has the vocabulary of CLIP. Raises `ModelUnusable` when a folder has no readable CLIP tokenizer, or for a
    malformed card.
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
    except Exception as error:  # tokenizers raises bare Exception for whatever it cannot use
        raise ModelUnusable(f"the words of the model {path.name!r} can't be read: {error}") from error
    return Vocabulary(tokenizer, max_tokens, card.subjects, card.attribute_words)


def _read_json(path: Path, *, missing: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    if missing is not None and not path.exists():
        return missing
    values = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(values, dict):
        raise ValueError(f"{path.name} is not a JSON object")
    return values


def _max_tokens(config: Mapping[str, Any]) -> int:
    """transformers writes a huge number where a tokenizer was saved without a limit; CLIP's text encoder has 77 places."""
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
    """CLIP's byte-level BPE, as transformers' CLIPTokenizer builds it from the same two files."""
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
