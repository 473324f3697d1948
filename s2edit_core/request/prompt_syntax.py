"""Prompt notations of other programs that are refused here: weights, emphasis, and references to files. Loads no torch.

The text encoder would read the notation as words, and the model might draw the digits. So a prompt with one is refused, and the
message names it.
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
"""Placeholders of learned concepts, and the commands of test mode."""
TAG = re.compile(r"<[A-Za-z|][^<>]*>|\bembedding:\S+", re.IGNORECASE)


def check_syntax(prompt: str | None, *, field: str) -> None:
    """Raise `PromptInvalid` (reason `prompt_syntax`) for a notation of another program; the message names it.

    Parentheses around ordinary words are accepted, and so are placeholders.
    """
    for find, meaning in NOTATIONS:
        for part in find(prompt or ""):
            raise PromptInvalid(f"the {field} holds {part!r}: {meaning}", field=field, reason="prompt_syntax")


def _weighted(prompt: str) -> Iterator[str]:
    """Yield weights such as `(red hair:1.3)`, `((red))`, `(red)1.3` and `(red)++`, but no time of day and no ratio."""
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
    (_tagged, "a prompt can't refer to files such as LoRAs and embeddings: leave it out, and learn an attribute instead"),
    (_weighted, "weights are not supported: write plain words, and control the strength of the prompt with guidance_scale"),
    (_bracketed, "brackets mark identities and attributes, such as [I] or [A], and not emphasis: write plain words"),
)
"""The functions that find a notation, with the end of the error message."""
