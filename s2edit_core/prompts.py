"""Prompts as words: who the subject is, and where [I] goes. No torch: the API checks prompts with the same rules."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from s2edit_core.errors import PromptInvalid
from s2edit_core.spec import PLACEHOLDER, EditRequest

DEFAULT_SUBJECTS = ("woman", "man", "girl", "boy", "person", "face", "baby", "cat", "dog", "church")
"""The subject words of a model that brings no card (`s2edit.json`) of its own."""
PLACEHOLDERS = re.compile(r"\[[A-Z][A-Za-z0-9_]*\]")
"""How placeholders are written: a capital, then letters and digits, in brackets."""


@dataclass(frozen=True, slots=True)
class ResolvedPrompts:
    """The two prompts of an edit, each with the placeholder before the subject."""

    source: str
    target: str
    subject: str


def _find(word: str, text: str) -> re.Match[str] | None:
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, flags=re.IGNORECASE)


def with_placeholder(prompt: str, subject: str, *, field: str, placeholder: str = PLACEHOLDER) -> str:
    """`prompt` with `placeholder` before the first `subject`; unchanged if it holds the placeholder already.

    Raises `PromptInvalid` if the subject is not a word of the prompt.
    """
    if placeholder in prompt:
        return prompt
    match = _find(subject, prompt)
    if match is None:
        raise PromptInvalid(
            f"the subject {subject!r} is not a word of the {field}: name the person with the same word in both prompts",
            field=field,
            reason="subject_not_in_prompt",
        )
    return f"{prompt[: match.start()]}{placeholder} {prompt[match.start() :]}"


def checked_placeholder(name: str) -> str:
    """`name` if prompts can hold it as a placeholder. Raises `PromptInvalid`."""
    if not PLACEHOLDERS.fullmatch(name):
        raise PromptInvalid(
            f"{name!r} can't be a placeholder: write a capital, then letters or digits, in brackets, such as [A] or [Makeup]",
            field="prompt",
            reason="placeholder_invalid",
        )
    return name


def check_placeholders(prompt: str, known: Collection[str], *, field: str) -> None:
    """What `prompt` writes as a placeholder must be one of `known`: else it would be read as a word. Raises `PromptInvalid`."""
    unknown = sorted(set(PLACEHOLDERS.findall(prompt)) - set(known))
    if unknown:
        raise PromptInvalid(
            f"the {field} names {unknown[0]}, but nothing that was learned under that name is given",
            field=field,
            reason="placeholder_unknown",
        )


def known_subject(prompt: str, subjects: Sequence[str]) -> str:
    """The first word of `prompt` that is one of `subjects`, most usual first. Raises `PromptInvalid` if there is none."""
    found = [(match.start(), word) for word in subjects if (match := _find(word, prompt))]
    if not found:
        raise PromptInvalid(
            f"no word of the prompt names the person ({', '.join(subjects)}): give it as `subject`",
            field="subject",
            reason="subject_unknown",
        )
    return min(found)[1]


def resolve_prompts(request: EditRequest, subjects: Sequence[str]) -> ResolvedPrompts:
    """Settle what `request` left open. `subjects` are the words that the model knows people by, most usual first.

    Raises `PromptInvalid` when there is no subject, or when a prompt lacks it.
    """
    described = request.source_prompt or request.prompt
    check_placeholders(request.source_prompt or "", (PLACEHOLDER,), field="source_prompt")
    check_placeholders(request.prompt, (PLACEHOLDER,), field="prompt")
    subject = request.subject if request.subject is not None else known_subject(described, subjects)
    source = request.source_prompt or f"a photo of a {subject}"
    return ResolvedPrompts(
        source=with_placeholder(source, subject, field="source_prompt"),
        target=with_placeholder(request.prompt, subject, field="prompt"),
        subject=subject,
    )


def changed_words(source: str, target: str) -> tuple[str, ...]:
    """The words of `target` that `source` does not have, in order: what the edit is about."""
    have = {word.lower() for word in re.findall(r"\w+", source)}
    return tuple(dict.fromkeys(word.lower() for word in re.findall(r"\w+", target) if word.lower() not in have))
