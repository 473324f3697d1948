"""The content policy: the port, the block list for prompts, and the hook for the operator's own checker."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from s2edit_core.errors import PolicyRefused
from s2edit_jobs.settings import Settings

SHIPPED_LIST = Path(__file__).with_name("policy_terms.txt")
HIDDEN = frozenset({"Mn", "Me", "Cf"})
"""Unicode categories of characters that readers do not see as letters: accents, enclosing marks, joiners, direction marks."""
LOOKALIKES = str.maketrans(
    "аеорсухіјѕԁһӏьвкмнтοανικρτυχεıłøđ_",  # Cyrillic, Greek, and letters that don't decompose
    "aeopcyxijsdhlbbkmhtoavikptuxeilod ",
)
DIGITS = str.maketrans("013457$@!|", "oieastsail")
"""Digits and symbols that people write in place of letters."""
SPACED = re.compile(r"(?<!\w)\w(?!\w)(?:[\W_]+\w(?!\w)){2,}")
"""Three or more single letters in a row, as in "n u d e"."""


class Policy(Protocol):
    """Checks that raise `PolicyRefused`. They run before anything is stored, in any number of threads at a time."""

    def check_prompt(self, text: str, *, field: str) -> None: ...

    def check_image(self, data: bytes, *, field: str) -> None:
        """Check an uploaded file. `data` is the file as it was sent."""


@dataclass(frozen=True, slots=True)
class BlockList:
    """A policy that rejects prompts with a blocked term as a whole word. It accepts every image."""

    words: re.Pattern[str] | None
    """Matches a term as a whole word."""
    letters: re.Pattern[str] | None
    """Matches a term anywhere. Used for s p a c e d letters, which have no word boundaries."""

    @classmethod
    def of(cls, terms: Iterable[str]) -> BlockList:
        patterns = [_pattern(term) for term in terms if normalized(term).strip(" *")]
        if not patterns:
            return cls(None, None)
        any_of = "|".join(patterns)
        return cls(re.compile(rf"(?<!\w)(?:{any_of})(?!\w)"), re.compile(any_of))

    @classmethod
    def read(cls, path: Path) -> BlockList:
        """Read a file with one term per line; `#` starts a comment. Raise `OSError`."""
        lines = path.read_text(encoding="utf-8").splitlines()
        return cls.of(term for line in lines if (term := line.partition("#")[0].strip()))

    def check_prompt(self, text: str, *, field: str) -> None:
        if self.words is None or self.letters is None:
            return
        seen = normalized(text)
        spelled = seen.translate(DIGITS)
        spaced = (re.sub(r"[\W_]+", "", run[0]) for run in SPACED.finditer(spelled))
        if self.words.search(seen) or self.words.search(spelled) or any(self.letters.search(run) for run in spaced):
            raise refused(field)

    def check_image(self, data: bytes, *, field: str) -> None:  # noqa: ARG002
        return


@dataclass(frozen=True, slots=True)
class AllOf:
    """A policy that rejects whatever one of its `policies` rejects."""

    policies: Sequence[Policy]

    def check_prompt(self, text: str, *, field: str) -> None:
        for policy in self.policies:
            policy.check_prompt(text, field=field)

    def check_image(self, data: bytes, *, field: str) -> None:
        for policy in self.policies:
            policy.check_image(data, field=field)


def refused(field: str) -> PolicyRefused:
    """Return the error for a field. It does not name the term, so that nobody can learn the list by probing."""
    return PolicyRefused(f"the {field} asks for content that this service does not create: change the {field}", field=field)


def build_checker(settings: Settings) -> Policy | None:
    """Return the checker named in the settings, None if there is none. Raise what importing or calling it raises."""
    if not settings.policy_checker:
        return None
    module, _, name = settings.policy_checker.partition(":")
    return cast(Policy, getattr(import_module(module), name)(settings))


def normalized(text: str) -> str:
    """Return `text` in lower case, without accents and hidden characters, with look-alike letters replaced."""
    seen = unicodedata.normalize("NFKD", text)
    letters = "".join(character for character in seen if unicodedata.category(character) not in HIDDEN)
    return unicodedata.normalize("NFKD", letters.casefold()).translate(LOOKALIKES)


def _pattern(term: str) -> str:
    words = normalized(term).split()
    return r"[\W_]+".join(re.escape(word.rstrip("*")) + (r"\w*" if word.endswith("*") else "") for word in words)
