"""Prompts as words: who the subject is, and where [I] goes. No torch: the API checks prompts with the same rules."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from s2edit_core.errors import PromptInvalid
from s2edit_core.spec import PLACEHOLDER, EditRequest

DEFAULT_SUBJECTS = ("woman", "man", "girl", "boy", "person", "face", "baby", "cat", "dog", "church")
"""The subject words of a model that brings no card (`s2edit.json`) of its own."""


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


def resolve_prompts(request: EditRequest, subjects: Sequence[str]) -> ResolvedPrompts:
    """Settle what `request` left open. `subjects` are the words that the model knows people by, most usual first.

    Raises `PromptInvalid` when there is no subject, or when a prompt lacks it.
    """
    described = request.source_prompt or request.prompt
    subject = request.subject
    if subject is None:
        found = [(match.start(), word) for word in subjects if (match := _find(word, described))]
        if not found:
            raise PromptInvalid(
                f"no word of the prompt names the person ({', '.join(subjects)}): give it as `subject`",
                field="subject",
                reason="subject_unknown",
            )
        subject = min(found)[1]
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
