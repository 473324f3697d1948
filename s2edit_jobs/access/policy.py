"""What the service refuses to draw: a port, a block list, and room for a checker of one's own."""

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
"""Categories of characters that are not seen as letters: accents, enclosing marks, joiners and directions."""
LOOKALIKES = str.maketrans(
    "аеорсухіјѕԁһӏьвкмнтοανικρτυχεıłøđ_",  # Cyrillic, Greek, and letters that don't decompose
    "aeopcyxijsdhlbbkmhtoavikptuxeilod ",
)
DIGITS = str.maketrans("013457$@!|", "oieastsail")
"""How people write letters by figures."""
SPACED = re.compile(r"(?<!\w)\w(?!\w)(?:[\W_]+\w(?!\w)){2,}")
"""Letters that stand alone, three or more in a row."""


class Policy(Protocol):
    """Raises `PolicyRefused` for what must not be done. Called before anything is kept, from any number of threads."""

    def check_prompt(self, text: str, *, field: str) -> None: ...

    def check_image(self, data: bytes, *, field: str) -> None:
        """`data` is the file as it was sent."""


@dataclass(frozen=True, slots=True)
class BlockList:
    """Refuses prompts that hold a term as a whole word. It has no opinion on images."""

    words: re.Pattern[str] | None
    """The terms between other words."""
    letters: re.Pattern[str] | None
    """The terms anywhere: for s p a c e d letters, where words have no edges."""

    @classmethod
    def of(cls, terms: Iterable[str]) -> BlockList:
        patterns = [_pattern(term) for term in terms if plain(term).strip(" *")]
        if not patterns:
            return cls(None, None)
        any_of = "|".join(patterns)
        return cls(re.compile(rf"(?<!\w)(?:{any_of})(?!\w)"), re.compile(any_of))

    @classmethod
    def read(cls, path: Path) -> BlockList:
        """One term a line; `#` begins a remark. Raises `OSError`."""
        lines = path.read_text(encoding="utf-8").splitlines()
        return cls.of(term for line in lines if (term := line.partition("#")[0].strip()))

    def check_prompt(self, text: str, *, field: str) -> None:
        if self.words is None or self.letters is None:
            return
        seen = plain(text)
        spelled = seen.translate(DIGITS)
        spaced = (re.sub(r"[\W_]+", "", run[0]) for run in SPACED.finditer(spelled))
        if self.words.search(seen) or self.words.search(spelled) or any(self.letters.search(run) for run in spaced):
            raise refused(field)

    def check_image(self, data: bytes, *, field: str) -> None:  # noqa: ARG002
        return


@dataclass(frozen=True, slots=True)
class AllOf:
    """Refuses what any of them refuses."""

    policies: Sequence[Policy]

    def check_prompt(self, text: str, *, field: str) -> None:
        for policy in self.policies:
            policy.check_prompt(text, field=field)

    def check_image(self, data: bytes, *, field: str) -> None:
        for policy in self.policies:
            policy.check_image(data, field=field)


def refused(field: str) -> PolicyRefused:
    """It names the part and not the term: nobody shall learn the list by asking."""
    return PolicyRefused(f"the {field} asks for something that this service does not do: ask for something else", field=field)


def build_policy(settings: Settings) -> Policy:
    """The block list, and the checker that the settings name. Raises what reading or importing them raises."""
    block_list = BlockList.read(settings.policy_block_list or SHIPPED_LIST)
    if not settings.policy_checker:
        return block_list
    module, _, name = settings.policy_checker.partition(":")
    checker = cast(Policy, getattr(import_module(module), name)(settings))
    return AllOf([block_list, checker])


def plain(text: str) -> str:
    """Small letters without accents, hidden characters and look-alikes."""
    seen = unicodedata.normalize("NFKD", text)
    letters = "".join(character for character in seen if unicodedata.category(character) not in HIDDEN)
    return unicodedata.normalize("NFKD", letters.casefold()).translate(LOOKALIKES)


def _pattern(term: str) -> str:
    words = plain(term).split()
    return r"[\W_]+".join(re.escape(word.rstrip("*")) + (r"\w*" if word.endswith("*") else "") for word in words)
