"""Notations of other programs that prompts here don't have: weights, emphasis, and references to files. No torch.

The text encoder would read them as words, and the model would paint the digits. So a request that holds one is refused, by name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator

from s2edit_core.errors import PromptInvalid

Finder = Callable[[str], Iterator[str]]

GROUP = re.compile(r"\(([^()]*)\)")
DOUBLE = re.compile(r"\(\s*\([^()]*\)\s*\)")
BEHIND_GROUP = re.compile(r"\([^()]*\)(?:\d*\.\d+|[+-]+(?![\w-]))")
BRACKETS = re.compile(r"\[[^\[\]]*\]")
OURS = re.compile(r"\[(?:[A-Z][A-Za-z0-9_]*|test:[^\[\]]*)\]")
"""Placeholders of what was learned, and the words of test mode."""
TAG = re.compile(r"<[A-Za-z|][^<>]*>|\bembedding:\S+", re.IGNORECASE)


def check_syntax(prompt: str | None, *, field: str) -> None:
    """Raise `PromptInvalid`, with the reason `prompt_syntax`, for a notation of another program; it names the part.

    Parentheses around ordinary words are fine, and so are placeholders.
    """
    for find, meaning in NOTATIONS:
        for part in find(prompt or ""):
            raise PromptInvalid(f"the {field} holds {part!r}: {meaning}", field=field, reason="prompt_syntax")


def _weighted(prompt: str) -> Iterator[str]:
    """`(red hair:1.3)`, `((red))`, `(red)1.3` and `(red)++`; a time of day or a ratio is none."""
    for found in GROUP.finditer(prompt):
        words, _, number = found[1].rpartition(":")
        if words.strip() and not words.rstrip()[-1].isdigit() and _is_number(number):
            yield found[0]
    for pattern in (DOUBLE, BEHIND_GROUP):
        yield from (found[0] for found in pattern.finditer(prompt))


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _bracketed(prompt: str) -> Iterator[str]:
    return (found[0] for found in BRACKETS.finditer(prompt) if not OURS.fullmatch(found[0]))


def _tagged(prompt: str) -> Iterator[str]:
    return (found[0] for found in TAG.finditer(prompt))


NOTATIONS: tuple[tuple[Finder, str], ...] = (
    (_tagged, "files such as LoRAs and embeddings can't be named in a prompt: leave it out, and learn an attribute instead"),
    (_weighted, "weights are not read: write the plain words, and use guidance_scale for how strongly the prompt pulls"),
    (_bracketed, "brackets are for what was learned, such as [I] or [A], and not for emphasis: write the plain words"),
)
