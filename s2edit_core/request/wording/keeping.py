"""Clauses that ask to keep the rest: "keep everything else unchanged", "don't change the face". English only; loads no torch.

Every edit keeps what it is not asked to change, and the model would draw such words. So they are found, and can be dropped from a
prompt.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from s2edit_core.request.words import tidy

QUOTED = re.compile(r'"[^"]*"')
START = re.compile(
    r"^|\s*[,;(]\s*|\s+[-–—]\s+|[.!?]\s+"
    r"|(?<!\bto)(?<!\bnot)\s+(?=(?:and|but|while|with|without|yet|keep|leave|preserve|retain|maintain|don't|dont|do not|never)\b)",
    re.IGNORECASE,
)
"""Where a clause may begin."""
END = re.compile(r"[,;()]|\s[-–—]\s|[.!?](?=\s|$)|$")
"""Where a clause ends."""
LEAD = re.compile(r"(?:(?:and|but|while|yet|also|just|then|now|so|please|pls|kindly|with)\b[,:]?\s*)*")
"""Words that may precede the clause's own."""

ELSE = (
    r"(?:(?:everything|anything|all|nothing|everyone|everybody|any other|all other|the other|other)\b(?: \w+)? ?"
    r"(?:else|parts?|things?|features?|details?)|everything(?= (?:as|in the|the same|un|intact|identical)|$)"
    r"|the (?:rest|others?|remaining|original))\b"
)
SAME = (
    r"(?:unchanged|untouched|unaltered|unmodified|intact|identical|alone|consistent"
    r"|as (?:is|it is|they are|it was|she is|he is|before)|as in the (?:original|photo|picture|image)"
    r"|(?:exactly |completely |all )?the same(?: as before)?|the way (?:it is|they are))"
)
CHANGE = r"(?:change|alter|modify|edit|touch|affect|adjust|retouch|remove|replace|add|move|recolou?r|redraw|crop)"
WHAT = (
    r"(?:her|his|their|its|the|my|a|an|any|this|that|these|those|it|them|him|me|anything|everything|anyone|what|how|face|hair|eyes"
)
WHAT += r"|background|identity|pose|skin|clothes|outfit|body|expression|lighting|composition|style|likeness)\b"
ALWAYS = re.compile(
    rf"(?:keep|leav|preserv|retain|maintain|hold)(?:e|ing)? (?:.*? )?(?:{ELSE}|{SAME}$)"
    rf"|without (?:changing|altering|modifying|editing|affecting|retouching)\b|{CHANGE} nothing\b|{CHANGE} only\b|only {CHANGE}\b"
    rf"|{ELSE}(?: \w+)*? {SAME}$|nothing else(?: (?:\w+ )?chang\w+)?$|.*\b(?:unchanged|unaltered|unmodified)$"
    rf"|.* (?:stays?|remains?|(?:should|must|has to|have to) (?:be|stay|remain)) {SAME}$|only .* (?:changes?|changed|edited)$"
    r"|no(?: other| further| more| additional)? (?:changes|edits|modifications|alterations)\b(?! of)|no other (?:change|edit)\b"
)
"""Clauses (in lower case, without their `LEAD`) that ask to keep the rest."""
UNLESS_TOLD_OF = re.compile(rf"(?:keep|leave|preserve|retain|maintain) {WHAT}|(?:do not|don't|dont|never) {CHANGE} {WHAT}")
"""The same, unless the words before describe what somebody does: "two men who swim and leave the lake"."""
DOING = re.compile(
    r"\b(?:who|that|which|(?:about|wants?|going|trying|ready|used) to|will|people|\w+men|they|children|kids|girls|boys|couple|two"
    r"|three|several|some)\b"
)
"""Words after which a verb describes what somebody does."""


@dataclass(frozen=True, slots=True)
class Clause:
    """The `words` of a clause, and its range from `begin`, with the punctuation before it, to `end`."""

    words: str
    begin: int
    end: int


def clauses(text: str) -> Iterator[Clause]:
    """Yield the clauses of the normalised `text` that may ask for something; words in quotes are ignored."""
    unquoted = QUOTED.sub(lambda quoted: '"' + "_" * (len(quoted[0]) - 2) + '"', text)
    for start in START.finditer(unquoted):
        stop = END.search(unquoted, start.end())
        assert stop is not None
        end = stop.end() if start[0].strip() == "(" and stop[0] == ")" else stop.start()
        if words := text[start.end() : stop.start()].strip():
            yield Clause(words, start.start(), end)


def wish_to_keep(text: str) -> Clause | None:
    """Return the first clause of the normalised `text` that asks to keep the rest; None if there is none."""
    for clause in clauses(text):
        lower = clause.words.lower()
        rest = lower[LEAD.match(lower).end() :]  # type: ignore[union-attr]
        if ALWAYS.match(rest) or (UNLESS_TOLD_OF.match(rest) and not is_doing(text[: clause.begin])):
            return clause
    return None


def is_doing(before: str) -> bool:
    """Return whether a verb after `before` may describe what somebody in the picture does, rather than instruct."""
    return DOING.search(before.lower()) is not None


def without_keeping(text: str) -> str:
    """Return `text`, normalised, without the clauses that ask to keep the rest; empty if nothing else is left."""
    text = tidy(text)
    while (clause := wish_to_keep(text)) is not None:
        text = f"{text[: clause.begin]}{text[clause.end :]}" if clause.begin else text[clause.end :]
        text = tidy(text).lstrip(" ,;.!?-–—").rstrip(" .,;-–—")
    return text
