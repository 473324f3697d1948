"""Prompts as words: who the subject is, and where [I] goes. No torch: the API checks prompts with the same rules."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from s2edit_core.errors import OptionInvalid, PromptInvalid
from s2edit_core.spec import PLACEHOLDER, EditRequest, LearningRequest, MaskRequest

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


@dataclass(frozen=True, slots=True)
class ResolvedReference:
    """What a concept is learned by: `prompt` holds `placeholder` before `subject`."""

    prompt: str
    subject: str
    placeholder: str


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


def resolve_prompts(request: EditRequest, subjects: Sequence[str], worn: Sequence[tuple[str, str]] = ()) -> ResolvedPrompts:
    """Settle what `request` left open. `subjects` are the words that the model knows people by, most usual first.

    `worn` are placeholder and subject of each of its attributes. Raises `PromptInvalid` when there is no subject, or when a prompt
    lacks it or an attribute; `OptionInvalid` when two attributes have one placeholder.
    """
    attributes = _placed(request.prompt, worn)
    described = request.source_prompt or request.prompt
    check_placeholders(request.source_prompt or "", (PLACEHOLDER,), field="source_prompt")
    check_placeholders(request.prompt, (PLACEHOLDER, *attributes), field="prompt")
    subject = request.subject if request.subject is not None else known_subject(described, subjects)
    source = request.source_prompt or f"a photo of a {subject}"
    return ResolvedPrompts(
        source=with_placeholder(source, subject, field="source_prompt"),
        target=with_placeholder(request.prompt, subject, field="prompt"),
        subject=subject,
    )


def _placed(prompt: str, worn: Sequence[tuple[str, str]]) -> list[str]:
    """The placeholders of `worn`, each of which `prompt` holds."""
    names = [placeholder for placeholder, _ in worn]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise OptionInvalid(
            f"two of the attributes are written {twice}: learn one of them under another placeholder, such as [B]",
            field="attributes",
            reason="placeholder_repeated",
        )
    for placeholder, subject in worn:
        if placeholder not in prompt:
            raise PromptInvalid(
                f"the prompt does not say where the attribute goes: write {placeholder} {subject}",
                field="prompt",
                reason="placeholder_missing",
            )
    return names


def resolve_reference(request: LearningRequest, subjects: Sequence[str]) -> ResolvedReference:
    """Settle what `request` left open; `subjects` as in `resolve_prompts`. Raises `PromptInvalid`."""
    if request.kind == "attribute":
        return _attribute_reference(request.prompt, request.subject)
    check_placeholders(request.prompt, (PLACEHOLDER,), field="prompt")
    subject = request.subject if request.subject is not None else known_subject(request.prompt, subjects)
    return ResolvedReference(with_placeholder(request.prompt, subject, field="prompt"), subject, PLACEHOLDER)


def _attribute_reference(prompt: str, subject: str | None) -> ResolvedReference:
    found = list(dict.fromkeys(PLACEHOLDERS.findall(prompt)))
    if not found:
        raise PromptInvalid(
            "the prompt does not say which word is learned: write [A] before it, as in “a woman with [A] makeup”",
            field="prompt",
            reason="placeholder_missing",
        )
    if len(found) > 1 or found[0] == PLACEHOLDER:
        raise PromptInvalid(
            f"the prompt of an attribute holds one placeholder, and not {PLACEHOLDER}, which names identities: it has "
            + ", ".join(found),
            field="prompt",
            reason="placeholder_invalid",
        )
    word = re.search(re.escape(found[0]) + r"\s+(\w[\w'-]*)", prompt)
    if word is None or (subject is not None and subject.lower() != word[1].lower()):
        raise PromptInvalid(
            f"the word after {found[0]} is the attribute's subject: write it as in “a woman with {found[0]} makeup”",
            field="prompt" if word is None else "subject",
            reason="subject_unknown" if word is None else "subject_not_in_prompt",
        )
    return ResolvedReference(prompt, word[1], found[0])


def changed_words(source: str, target: str) -> tuple[str, ...]:
    """The words of `target` that `source` does not have, in order: what the edit is about."""
    have = {word.lower() for word in re.findall(r"\w+", source)}
    return tuple(dict.fromkeys(word.lower() for word in re.findall(r"\w+", target) if word.lower() not in have))


def described(request: EditRequest | LearningRequest | MaskRequest, subjects: Sequence[str]) -> str:
    """Return what the photo of `request` shows, without placeholders, for a segmenter that reads text.

    Raises `PromptInvalid` when nothing is said of the photo and the prompt has no known subject.
    """
    if isinstance(request, EditRequest):
        said = request.source_prompt or _photo_of(request.subject or known_subject(request.prompt, subjects))
    else:
        said = request.prompt or _photo_of(subjects[0])
    return " ".join(PLACEHOLDERS.sub("", said).split())


def _photo_of(subject: str) -> str:
    return f"a photo of a {subject}"
