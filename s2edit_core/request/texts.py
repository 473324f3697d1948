"""Limits of the texts in a request, checked before any work. Loads no torch."""

from __future__ import annotations

import unicodedata

from s2edit_core.errors import InvalidInput, OptionInvalid, PromptInvalid

MAX_PROMPT_CHARS = 2000
"""Of a prompt. The text encoder reads at most 77 tokens, which no sensible sentence of this length fits into."""
MAX_NAME_CHARS = 200
"""Of a subject, or the name of an attribute."""
_SPACES = "\t\n\r"
"""Control characters that count as spaces."""


def check_text(name: str, text: object, longest: int) -> None:
    """Raise `InvalidInput` unless `text` is a string of at most `longest` characters that can be stored and shown.

    Lone surrogates, which no encoding of text can hold, and control characters other than tabs and line ends are rejected. None
    is accepted. `name` becomes the field of the error, which is a `PromptInvalid` for prompts and subjects.
    """
    if text is None:
        return
    kind: type[InvalidInput] = PromptInvalid if name.endswith(("prompt", "subject")) else OptionInvalid
    if not isinstance(text, str):
        raise kind(f"the {name} must be text, not {type(text).__name__}", field=name, reason="text_invalid")
    if len(text) > longest:
        message = f"the {name} has {len(text):,} characters: use at most {longest:,}"
        if kind is PromptInvalid:
            raise PromptInvalid(message, field=name, reason="prompt_too_long")
        raise OptionInvalid(message, field=name, reason="text_too_long")
    if (found := unfit_character(text)) is not None:
        raise kind(f"the {name} contains {found}: remove it", field=name, reason="text_invalid")


def counted(number: int, noun: str) -> str:
    """Return the number with the noun in its form: `1 pixel`, `2 pixels`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def is_visible(text: str) -> bool:
    """Return whether a character of the text shows. Spaces and format characters, such as the zero-width space, do not."""
    return any(unicodedata.category(character) not in ("Cc", "Cf", "Zs", "Zl", "Zp") for character in text)


def unfit_character(text: str) -> str | None:
    """Return the description of the first character that no text of a request may hold, or None."""
    for character in text:
        match unicodedata.category(character):
            case "Cs":
                return f"half of a surrogate pair (U+{ord(character):04X})"
            case "Cc" if character not in _SPACES:
                return f"a control character (U+{ord(character):04X})"
    return None
