"""Alignment of the tokens of two prompts, so that the target prompt can read the attention maps of the source prompt.

Prompt-to-Prompt (Hertz et al., arXiv 2208.01626) has three edits. *Replace* exchanges words one for one. *Refine* allows prompts of
different lengths: words of both prompts read the source's maps, and words of the target alone keep their own. *Reweight* multiplies
the maps of words. Each becomes one `TokenMap`.

Unlike the published code, padding is aligned by its distance from the end of each prompt, not by position. Otherwise the padding of
a shorter prompt would read the maps of words.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import torch

from s2edit_core.concepts.conditioning import Placeholders, find_placeholders, tokenize
from s2edit_core.errors import PromptInvalid
from s2edit_core.request.options import InjectionMode
from s2edit_core.request.words import tidy
from s2edit_core.unet.attention import TokenMap
from s2edit_core.unet.backbone import Backbone


@dataclass(frozen=True)
class PromptTokens:
    """The tokens of a prompt from begin to end token, without padding.

    `symbols` are token ids, or placeholder names; equal symbols mean the same. `spans` are the characters `[start, end)` of the
    prompt that each token stands for, empty for begin and end. `length` includes the padding.
    """

    prompt: str
    symbols: tuple[Hashable, ...]
    spans: tuple[tuple[int, int], ...]
    length: int
    field: str = "prompt"

    def of_span(self, start: int, end: int) -> tuple[int, ...]:
        """Return the positions of the tokens that overlap the characters `[start, end)`."""
        return tuple(i for i, (a, b) in enumerate(self.spans) if a < b and a < end and start < b)

    def of_word(self, word: str) -> tuple[int, ...]:
        """Return the token positions of `word` at all its occurrences as a whole word, in any case.

        Raises `PromptInvalid` if the prompt does not hold it.
        """
        found = re.finditer(rf"(?<!\w){re.escape(tidy(word))}(?!\w)", self.prompt, flags=re.IGNORECASE)
        positions = tuple(position for match in found for position in self.of_span(*match.span()))
        if not positions:
            raise PromptInvalid(
                f"{word!r} is not a word of the {self.field} {self.prompt!r}: name one that is",
                field=self.field,
                reason="word_not_in_prompt",
            )
        return positions

    def words(self) -> list[tuple[int, ...]]:
        """Return the token positions of each run of characters between white space."""
        return [self.of_span(*match.span()) for match in re.finditer(r"\S+", self.prompt)]


def prompt_tokens(backbone: Backbone, prompt: str, placeholders: Placeholders, *, field: str = "prompt") -> PromptTokens:
    """Tokenise `prompt` as `conditioning.tokenize` does, each placeholder as one token. Raises as that function."""
    length = len(tokenize(backbone, prompt, placeholders, field=field).ids)
    prompt = tidy(prompt)
    tokenizer = backbone.tokenizer
    symbols: list[Hashable] = [tokenizer.bos_token_id]
    spans = [(0, 0)]
    at = 0
    for first, last, name in [*find_placeholders(prompt, placeholders), (len(prompt), len(prompt), None)]:
        found = tokenizer(prompt[at:first], add_special_tokens=False, return_offsets_mapping=True)
        symbols += found.input_ids
        spans += [(at + start, at + end) for start, end in found.offset_mapping]
        if name:
            symbols.append(name)
            spans.append((first, last))
            at = last
    return PromptTokens(prompt, (*symbols, tokenizer.eos_token_id), (*spans, (0, 0)), length, field)


def align(source: PromptTokens, target: PromptTokens, mode: InjectionMode, factors: Mapping[str, float] | None = None) -> TokenMap:
    """Return how the maps of `target`'s tokens combine those of `source`, times the factor of each word in `factors`.

    Raises `PromptInvalid` for prompts with different numbers of words in mode `replace`, and for factors of words that `target`
    lacks.
    """
    tokens = align_replace(source, target) if mode == "replace" else align_refine(source, target)
    scale = torch.ones(target.length)
    for word, factor in (factors or {}).items():
        scale[list(target.of_word(word))] = factor
    return TokenMap(tokens.read * scale, tokens.keep * scale)


def align_refine(source: PromptTokens, target: PromptTokens) -> TokenMap:
    """Align by the longest common subsequence: its tokens read their partner's maps, and all others keep their own."""
    read = torch.zeros(source.length, target.length)
    for i, j in common_subsequence(source.symbols, target.symbols):
        read[i, j] = 1.0
    return _with_padding(read, source, target)


def align_replace(source: PromptTokens, target: PromptTokens) -> TokenMap:
    """Align word by word. A word of as many tokens reads token by token; other words read equal shares.

    Raises `PromptInvalid` for prompts with different numbers of words.
    """
    words, others = source.words(), target.words()
    if len(words) != len(others):
        raise PromptInvalid(
            f"the mode replace needs equally many words in both prompts; the source prompt has {len(words)}, the prompt "
            f"{len(others)}: rephrase one of them, or choose the mode refine",
            field=target.field,
            reason="word_counts_differ",
        )
    read = torch.zeros(source.length, target.length)
    read[0, 0] = 1.0
    read[len(source.symbols) - 1, len(target.symbols) - 1] = 1.0
    for here, there in zip(words, others, strict=True):
        if len(here) == len(there):
            read[list(here), list(there)] = 1.0
        else:
            read[torch.tensor(here)[:, None], torch.tensor(there)] = 1 / len(there)
    return _with_padding(read, source, target)


def _with_padding(read: torch.Tensor, source: PromptTokens, target: PromptTokens) -> TokenMap:
    """Return the token map with the padding of both prompts aligned; columns that read nothing keep their own maps."""
    first, other = len(source.symbols), len(target.symbols)
    both = source.length - max(first, other)
    read[range(first, first + both), range(other, other + both)] = 1.0
    return TokenMap(read, (read.sum(dim=0) == 0).float())


def common_subsequence(source: Sequence[Hashable], target: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Return the index pairs of a longest common subsequence, in order. Repeated symbols are paired from the end.

    This is Prompt-to-Prompt's alignment: Needleman-Wunsch with 1 for a match, −1 for a mismatch and no cost for a gap never pairs a
    mismatch.
    """
    longest = [[0] * (len(target) + 1) for _ in range(len(source) + 1)]
    for i, a in enumerate(source, 1):
        for j, b in enumerate(target, 1):
            longest[i][j] = longest[i - 1][j - 1] + 1 if a == b else max(longest[i - 1][j], longest[i][j - 1])
    pairs = []
    i, j = len(source), len(target)
    while i and j:
        if source[i - 1] == target[j - 1]:
            i, j = i - 1, j - 1
            pairs.append((i, j))
        elif longest[i - 1][j] >= longest[i][j - 1]:
            i -= 1
        else:
            j -= 1
    return pairs[::-1]
