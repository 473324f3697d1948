"""A tiny model folder with a tokenizer: every byte is a token, and a few merges form whole words."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers.pre_tokenizers import ByteLevel

WORDS = ("woman", "man", "photo", "smiling")
MAX_TOKENS = 40


def merges_of(word: str) -> list[tuple[str, str]]:
    """Return the merges that join `word` from left to right into one token."""
    pieces = [*word[:-1], f"{word[-1]}</w>"]
    return [("".join(pieces[:i]), pieces[i]) for i in range(1, len(pieces))]


def write_model_folder(folder: Path, *, whole: bool = False, max_tokens: int | None = MAX_TOKENS) -> Path:
    """Write `s2edit.json` and `tokenizer/` as in a real folder; with `whole`, the tokenizer as one tokenizer.json."""
    merges = list(dict.fromkeys(merge for word in WORDS for merge in merges_of(word)))
    letters = sorted(ByteLevel.alphabet())
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(merge) for merge in merges)]
    tokens = [*dict.fromkeys(tokens), "<|startoftext|>", "<|endoftext|>"]
    tokenizer = folder / "tokenizer"
    tokenizer.mkdir(parents=True)
    (tokenizer / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    (tokenizer / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(merge) for merge in merges) + "\n")
    config = {"tokenizer_class": "CLIPTokenizer"} | ({} if max_tokens is None else {"model_max_length": max_tokens})
    (tokenizer / "tokenizer_config.json").write_text(json.dumps(config))
    card = {"subjects": ["woman", "man"], "attribute_words": ["smiling", "glasses"], "guidance_scale": 3.0}
    (folder / "s2edit.json").write_text(json.dumps(card))
    if whole:
        _write_whole(tokenizer)
    return folder


def _write_whole(tokenizer: Path) -> None:
    from transformers import CLIPTokenizer

    CLIPTokenizer.from_pretrained(tokenizer).save_pretrained(tokenizer)
    (tokenizer / "vocab.json").unlink(missing_ok=True)
    (tokenizer / "merges.txt").unlink(missing_ok=True)
