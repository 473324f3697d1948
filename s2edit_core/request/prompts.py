"""Prompts as words: the subject of a prompt, and the placement of [I].

Loads no torch; API and worker check prompts by these rules.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from s2edit_core.errors import OptionInvalid, PromptInvalid
from s2edit_core.request.spec import PLACEHOLDER, EditRequest, LearningRequest, MaskRequest
from s2edit_core.request.wording.instructions import check_described
from s2edit_core.request.words import PEOPLE, article, find_noun, following, plurals, tidy

PLACEHOLDERS = re.compile(r"\[[A-Z][A-Za-z0-9_]*\]")
"""The form of placeholders: a capital, then letters, digits and underscores, in brackets."""
SourceOrigin = Literal["given", "captioned", "default"]
"""Where a source prompt comes from: the request (or its identity or parent edit), a captioner, or only the subject word."""


@dataclass(frozen=True, slots=True)
class ResolvedPrompts:
    """Both prompts of an edit, each with the placeholder before the subject, and the origin of the source prompt."""

    source: str
    target: str
    subject: str
    origin: SourceOrigin = "given"


@dataclass(frozen=True, slots=True)
class ResolvedReference:
    """The prompt that a concept is learned with; `prompt` holds `placeholder` before `subject`."""

    prompt: str
    subject: str
    placeholder: str


def with_placeholder(prompt: str, subject: str, *, field: str, placeholder: str = PLACEHOLDER) -> str:
    """Return `prompt`, normalised, with `placeholder` before the first `subject`, unless it already holds the placeholder.

    Raises `PromptInvalid` if the prompt does not name the subject, in singular or plural.
    """
    prompt = tidy(prompt)
    if placeholder in prompt:
        return prompt
    start = _named(prompt, subject, field=field, placeholder=placeholder).start()
    return f"{prompt[:start]}{placeholder} {prompt[start:]}"


def _named(prompt: str, subject: str, *, field: str, placeholder: str = PLACEHOLDER) -> re.Match[str]:
    """Return where `prompt`, which `field` names in messages, names the subject. Raises `PromptInvalid`."""
    match = find_noun(tidy(subject), tidy(prompt))
    if match is None:
        raise PromptInvalid(
            f"the {field} does not hold the subject {subject!r}: prompts are in English, and name the subject by that very word, "
            f"or have {placeholder} before another one",
            field=field,
            reason="subject_not_in_prompt",
        )
    return match


def checked_placeholder(name: str) -> str:
    """Return `name` if it has the form of a placeholder; otherwise raise `PromptInvalid`."""
    if not PLACEHOLDERS.fullmatch(name):
        raise PromptInvalid(
            f"{name!r} is not a placeholder: write a capital, then letters or digits, in brackets, such as [A] or [Makeup]",
            field="prompt",
            reason="placeholder_invalid",
        )
    return name


def check_placeholders(prompt: str, known: Collection[str], *, field: str) -> None:
    """Raise `PromptInvalid` if `prompt` holds a placeholder that is not `known`: it would be read as a word."""
    unknown = sorted(set(PLACEHOLDERS.findall(prompt)) - set(known))
    if unknown:
        raise PromptInvalid(
            f"the {field} holds {unknown[0]}, but no identity or attribute with this placeholder was given: name it, or leave the "
            "placeholder out",
            field=field,
            reason="placeholder_unknown",
        )


def check_negative(prompt: str) -> None:
    """Raise `PromptInvalid` if a negative prompt holds a placeholder: an edit keeps what was learned."""
    if found := PLACEHOLDERS.search(prompt):
        raise PromptInvalid(
            f"the negative_prompt holds {found[0]}, but edits keep identities and attributes: write plain words for what to avoid",
            field="negative_prompt",
            reason="placeholder_unknown",
        )


def known_subject(prompt: str, subjects: Sequence[str], *, field: str = "prompt") -> str:
    """Return the one of `subjects` that `prompt` names first, in singular or plural; `field` is the prompt's name in the request.

    Raises `PromptInvalid` if it names none.
    """
    prompt = tidy(prompt)
    found = [(match.start(), -len(word), word) for word in subjects if (match := find_noun(tidy(word), prompt))]
    if not found:
        raise PromptInvalid(
            f"no word of the {field} names the subject ({', '.join(subjects)}): prompts are in English, so write one of these, as "
            f"in “{photo_of(subjects[0])}”; if the {field} uses another word, pass that word as `subject`",
            field=field,
            reason="subject_unknown",
        )
    return min(found)[2]


def resolve_subject(given: str, subjects: Sequence[str]) -> str:
    """Return `given` in lower case, and in the singular if it is the plural of one of `subjects`, so that a person has one name."""
    word = tidy(given).lower()
    return next((known for known in subjects if word == known.lower() or word in plurals(known)), word)


def resolve_prompts(
    request: EditRequest, subjects: Sequence[str], applied: Sequence[tuple[str, str]] = (), *, caption: str | None = None
) -> ResolvedPrompts:
    """Resolve what `request` leaves open. `subjects` are the model's words for people, most usual first.

    `applied` are placeholder and subject of each attribute. `caption` describes the photo, for a request without a source prompt.
    Raises `PromptInvalid` for an instruction, for a prompt without a known subject or without an attribute's placeholder, and
    `OptionInvalid` for two attributes with one placeholder.
    """
    check_sentences(request, subjects)
    attributes = applied_placeholders(request.prompt, applied)
    described = request.source_prompt or request.prompt
    check_placeholders(request.source_prompt or "", (PLACEHOLDER,), field="source_prompt")
    check_placeholders(request.prompt, (PLACEHOLDER, *attributes), field="prompt")
    check_negative(request.negative_prompt or "")
    given = request.subject
    of = "source_prompt" if request.source_prompt else "prompt"
    subject = resolve_subject(given, subjects) if given is not None else known_subject(described, subjects, field=of)
    source, origin = _source_prompt(request, subject, caption)
    if given is not None:  # the photo shows the subject, though the prompt may have [I] before what it becomes
        _named(source, subject, field="source_prompt")
    return ResolvedPrompts(
        source=with_placeholder(source, subject, field="source_prompt"),
        target=with_placeholder(request.prompt, subject, field="prompt"),
        subject=subject,
        origin=origin,
    )


def check_sentences(request: EditRequest | LearningRequest, subjects: Sequence[str]) -> None:
    """Raise `PromptInvalid` if a prompt of `request` is an instruction rather than a description."""
    person = request.subject if isinstance(request, EditRequest) or request.kind == "identity" else None
    for field in ("prompt", "source_prompt"):
        if text := getattr(request, field, None):
            check_described(text, person, subjects, field=field)


def _source_prompt(request: EditRequest, subject: str, caption: str | None) -> tuple[str, SourceOrigin]:
    """Return the source prompt and its origin."""
    if request.source_prompt:
        return request.source_prompt, "given"
    if caption is not None and (fitting := caption_naming(subject, caption)) is not None:
        return fitting, "captioned"
    named = find_noun(subject, tidy(request.prompt))
    several = next((form for form in plurals(subject) if named and named[0].lower().endswith(form)), None)
    return f"a photo of {several}" if several and several != subject else photo_of(subject), "default"


def photo_of(subject: str) -> str:
    """Return the source prompt of a photo of which only the subject is known."""
    return f"a photo of {article(subject)} {subject}"


def caption_naming(subject: str, caption: str) -> str | None:
    """Return `caption` as a source prompt that names `subject`; None if it describes something else.

    The subject replaces the caption's word for a person: a captioner may write "lady" where the prompt says "woman".
    """
    text = tidy(PLACEHOLDERS.sub("", caption)).rstrip(" .!,;")
    if find_noun(subject, text):
        return text
    found = [match for word in PEOPLE if (match := find_noun(word, text))]
    if subject not in PEOPLE or not found:
        return None
    match = min(found, key=lambda each: each.start())
    named = subject if match[0].lower().endswith(PEOPLE) else plurals(subject)[0]
    before = re.sub(r"\b(an?) $", f"{article(named)} ", text[: match.start()], flags=re.IGNORECASE)
    return f"{before}{named}{text[match.end() :]}"


def applied_placeholders(prompt: str, applied: Sequence[tuple[str, str]]) -> list[str]:
    """Return the placeholders of `applied`. Raises unless they differ and `prompt` holds each."""
    names = [placeholder for placeholder, _ in applied]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise OptionInvalid(
            f"two attributes have the placeholder {twice}: learn one of them under another placeholder, such as [B]",
            field="attributes",
            reason="placeholder_repeated",
        )
    for placeholder, subject in applied:
        check_attribute_named(prompt, placeholder, subject)
    return names


def check_attribute_named(prompt: str, placeholder: str, subject: str) -> None:
    """Raise `PromptInvalid` unless `prompt` holds the placeholder of an attribute, and everywhere before its word."""
    text = tidy(prompt)
    if placeholder not in text or re.sub(re.escape(placeholder) + following(subject), "", text).count(placeholder):
        raise PromptInvalid(
            f"the prompt does not say where the attribute goes: write {placeholder} {subject}, with nothing else between them",
            field="prompt",
            reason="placeholder_missing",
        )


def resolve_reference(request: LearningRequest, subjects: Sequence[str]) -> ResolvedReference:
    """Resolve what `request` leaves open; `subjects` as in `resolve_prompts`. Raises `PromptInvalid`."""
    check_sentences(request, subjects)
    if request.kind == "attribute":
        return _attribute_reference(request.prompt, request.subject)
    check_placeholders(request.prompt, (PLACEHOLDER,), field="prompt")
    given = request.subject
    subject = resolve_subject(given, subjects) if given is not None else known_subject(request.prompt, subjects)
    return ResolvedReference(with_placeholder(request.prompt, subject, field="prompt"), subject, PLACEHOLDER)


def _attribute_reference(prompt: str, subject: str | None) -> ResolvedReference:
    """Return the reference of an attribute, whose subject is the word after its placeholder."""
    prompt = tidy(prompt)
    found = list(dict.fromkeys(PLACEHOLDERS.findall(prompt)))
    if not found:
        raise PromptInvalid(
            "the prompt does not mark the word to learn: write [A] before it, as in “a woman with [A] makeup”",
            field="prompt",
            reason="placeholder_missing",
        )
    if len(found) > 1 or found[0] == PLACEHOLDER:
        raise PromptInvalid(
            f"the prompt of an attribute must hold one placeholder other than {PLACEHOLDER}, which is for identities; it holds "
            + ", ".join(found),
            field="prompt",
            reason="placeholder_invalid",
        )
    if prompt.count(found[0]) > 1:
        raise PromptInvalid(
            f"the prompt holds {found[0]} more than once: write it once, before the word to learn, as in “a woman with {found[0]} "
            "makeup”",
            field="prompt",
            reason="placeholder_invalid",
        )
    after = prompt.partition(found[0])[2]
    word = re.match(r"\s+\w[\w'-]*" if subject is None else following(subject), after)
    if word is None and subject is not None:
        raise PromptInvalid(
            f"{found[0]} does not stand before the subject {subject!r}: write {found[0]} {tidy(subject)} in the prompt",
            field="subject",
            reason="subject_not_in_prompt",
        )
    if word is None:
        raise PromptInvalid(
            f"the word after {found[0]} is the attribute's subject: write it as in “a woman with {found[0]} makeup”",
            field="prompt",
            reason="subject_unknown",
        )
    return ResolvedReference(prompt, tidy(word[0]), found[0])


def changed_words(source: str, target: str) -> tuple[str, ...]:
    """Return the words of `target` that `source` lacks, in order and lower case: the subject matter of the edit."""
    have = {word.lower() for word in re.findall(r"\w+", tidy(source))}
    return tuple(dict.fromkeys(word.lower() for word in re.findall(r"\w+", tidy(target)) if word.lower() not in have))


def described(request: EditRequest | LearningRequest | MaskRequest, subjects: Sequence[str]) -> str:
    """Return what the photo of `request` shows, without placeholders, for a segmenter that reads text.

    Raises `PromptInvalid` if the request has no source prompt and its prompt no known subject.
    """
    if isinstance(request, EditRequest):
        description = request.source_prompt or photo_of(request.subject or known_subject(request.prompt, subjects))
    else:
        description = request.prompt or photo_of(subjects[0])
    return without_placeholders(description)


def without_placeholders(prompt: str) -> str:
    """Return `prompt` without its placeholders, with single spaces."""
    return " ".join(PLACEHOLDERS.sub("", prompt).split())
