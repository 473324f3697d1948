"""CLIP's vocabulary, which single-file Stable Diffusion checkpoints lack. Loads no torch.

Only the merges are stored, 208 KB of openai/CLIP's `bpe_simple_vocab_16e6.txt.gz` (MIT licence, in `single_file/CLIP_LICENSE.txt`).
The tokens follow from the merges.
"""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path

MERGES = Path(__file__).resolve().parent / "single_file" / "clip_merges.txt.gz"
BEGIN, END = "<|startoftext|>", "<|endoftext|>"
MAX_TOKENS = 77


@cache
def clip_words() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Return the ids of all tokens, and the merges in order, numbered as in openai/CLIP's `SimpleTokenizer`."""
    lines = gzip.decompress(MERGES.read_bytes()).decode().splitlines()
    merges = [(left, right) for left, right in (line.split() for line in lines)]
    letters = [*_letters(), *(f"{letter}</w>" for letter in _letters())]
    tokens = [*letters, *(left + right for left, right in merges), BEGIN, END]
    return {token: number for number, token in enumerate(tokens)}, merges


def _letters() -> list[str]:
    """Return one printable character per byte, as in GPT-2: printable bytes stand for themselves, the others start at U+0100."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(rest))]
