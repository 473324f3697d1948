"""The shipped model's tokenizer, in CLIP's format: one token for each word of the world's captions, bytes for any other text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

MAX_TOKENS = 40
_WORDS = (
    "a an and are as at baby bangs bald beard black blond blonde blue blush boy bright brown cap closeup curly "
    "dark drawing earrings eye eyes face female freckles girl glasses gray green grey hair happy hat head her his "
    "in is lady light lips lipstick long makeup male man me mole mustache neutral no of old on orange painting "
    "person photo picture pink portrait purple red sad same shadow she he short smile smiling straight sunglasses "
    "surprised the to wavy wearing white with without woman yellow young "
)
WORDS = tuple(_WORDS.split())
"""Words that are one token each in every vocabulary."""
START, END = "<|startoftext|>", "<|endoftext|>"
_PIECES = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[a-z]+|[0-9]|[^\sa-z0-9]+")
"""CLIP's splitting of text into words, for ASCII in lower case."""


class Vocabulary:
    """Byte-level byte-pair encoding in which `WORDS` and `words` are one token each."""

    def __init__(self, words: Iterable[str] = ()) -> None:
        printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
        rest = [b for b in range(256) if b not in printable]
        letters = [chr(b) for b in printable] + [chr(256 + i) for i in range(len(rest))]
        self.ids = {token: i for i, token in enumerate([*letters, *(letter + "</w>" for letter in letters)])}
        self.ranks: dict[tuple[str, str], int] = {}
        wanted = {piece for word in words for piece in _PIECES.findall(word.lower())}
        for word in (*WORDS, *sorted(wanted - set(WORDS))):
            while len(pieces := _split(word, self.ranks)) > 1:  # a later merge ranks lower, so it can't break an earlier word
                self.ranks[pieces[0], pieces[1]] = len(self.ranks)
                self.ids.setdefault(pieces[0] + pieces[1], len(self.ids))
        for special in (START, END):
            self.ids[special] = len(self.ids)
        self._piece = lru_cache(maxsize=None)(self._ids_of)

    def _ids_of(self, word: str) -> tuple[int, ...]:
        return tuple(self.ids[piece] for piece in _split(word, self.ranks))

    def encode(self, text: str) -> list[int]:
        """Return the `MAX_TOKENS` ids of an ASCII text, as `build_tokenizer`'s tokenizer does, without needing transformers."""
        ids = [i for word in _PIECES.findall(text.lower()) for i in self._piece(word)]
        end = self.ids[END]
        return ([self.ids[START], *ids[: MAX_TOKENS - 2], end] + [end] * MAX_TOKENS)[:MAX_TOKENS]


def build_tokenizer(words: Iterable[str] = ()) -> CLIPTokenizer:
    """Return a tokenizer with all bytes, and the merges that make each of `WORDS` and `words` one token."""
    from transformers import CLIPTokenizer  # the processes that render do without it

    vocabulary = Vocabulary(words)
    return CLIPTokenizer(vocab=vocabulary.ids, merges=list(vocabulary.ranks), model_max_length=MAX_TOKENS)


def _split(word: str, ranks: dict[tuple[str, str], int]) -> list[str]:
    """Split `word` by byte-pair encoding: repeatedly apply the merge of the lowest rank."""
    pieces = [*word[:-1], word[-1] + "</w>"]
    while len(pieces) > 1:
        found = [pair for pair in pairwise(pieces) if pair in ranks]
        if not found:
            break
        left, right = min(found, key=ranks.__getitem__)
        merged: list[str] = []
        for piece in pieces:
            if merged and (merged[-1], piece) == (left, right):
                merged[-1] += piece
            else:
                merged.append(piece)
        pieces = merged
    return pieces
