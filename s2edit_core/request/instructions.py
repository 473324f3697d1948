"""Prompts that say what to do ("make her hair red") in place of what the picture should show. English; no torch.

The method compares two descriptions, so an instruction would be painted word by word. It is told by its leading imperative, or is
a clause behind a description: `keeping` has those that ask for the rest to stay. Verbs
that are nouns too ("change", "paint", "show") count where an object follows, so that descriptions stay what they are: "a woman
making pottery", "change room", "paint-splattered man".
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from s2edit_core.errors import PromptInvalid
from s2edit_core.request.keeping import QUOTED, clauses, is_doing, wish_to_keep, without_keeping
from s2edit_core.request.suggestions import suggestion
from s2edit_core.request.words import find_noun, tidy

VERBS = (
    *("add", "remove", "delete", "erase", "replace", "modify", "adjust", "increase", "decrease", "reduce", "enlarge", "brighten"),
    *("darken", "lighten", "sharpen", "recolor", "recolour", "enhance", "retouch", "whiten", "generate", "create", "put", "apply"),
    *("improve", "straighten", "shorten", "lengthen", "make", "give", "swap", "substitute", "soften", "thicken"),
)
"""They begin no description, whatever follows but for `COMPOUNDS`."""
NOUNS_TOO = (
    *("age", "blur", "bleach", "braid", "change", "close", "color", "colour", "convert", "cover", "crop", "curl", "cut", "do"),
    *("draw", "dress", "dye", "edit", "extend", "fade", "fix", "flip", "frame", "get", "have", "hide", "imagine", "insert", "keep"),
    *("let", "lift", "light", "lower", "mask", "move", "open", "paint", "place", "raise", "recreate", "redraw", "render", "rotate"),
    *("set", "shave", "shift", "show", "sketch", "slim", "smooth", "style", "take", "thin", "tint", "transform", "trim", "try"),
    *("turn", "use", "wear", "widen", "zoom"),
)
"""They count as verbs where one of `OBJECTS`, or a part of a person, follows."""
OBJECTS = (
    *("a", "an", "the", "this", "that", "these", "those", "her", "his", "him", "them", "their", "its", "it", "my", "me", "our"),
    *(
        "everyone",
        "everybody",
        "everything",
        "anything",
        "nothing",
        "only",
        "someone",
        "both",
        "each",
        "all",
        "some",
        "any",
        "more",
        "less",
        "away",
        "off",
        "out",
        "rid",
    ),
)
PARTS = ("hair", "beard", "eyes", "skin", "lips", "nails", "eyebrows", "background", "clothes", "outfit", "glasses", "hat")
PART_VERBS = ("change", "color", "colour", "dye", "bleach", "turn", "edit", "shave", "get", "hide")
"""Of `NOUNS_TOO`, those that may do without an article: "dye hair red", where "smooth skin" and "cut glasses" describe."""
COMPOUNDS = re.compile(
    r"make[ -]?up\b(?! (?:her|his|their|the)\b)|make (?:believe|do|love)\b|give (?:way|or take)\b|put (?:option|together)\b"
    r"|swap (?:meet|shop)\b|take (?:away|out)\b(?! (?:her|his|their|the|my|all|any|it|that|this)\b)"
)
"""What begins with a verb and is a noun."""
REQUESTS = re.compile(
    r"(?:please|pls|plz|kindly|help me|let'?s|let us|(?:can|could|would|will) (?:you(?! rather)|we|u)"
    r"|can i (?:have|get|see)|would it be possible to|how about|what about"
    r"|i(?:'d| would) (?:like|love)|(?:i|we) (?:want|need|wish for)|give me|show me|try to|go ahead and"
    r"|your task is to|you should|you must|make sure (?:that )?)\b[,:]?\s*"
)
"""Beginnings that ask somebody: what follows is an instruction whatever its first word."""
FILLERS = re.compile(r"(?:(?:now|only|just|then|and|but|also|ok|okay|hey|hi|hello|simply|so|next|first)\b[,:!]?\s*)+")
SHOULD = re.compile(r"(?:she|he|they|it|(?:her|his|their|the|my) \w+(?: \w+)?) (?:should|must|needs to|need to|has to|ought to)\b")
EDITS = re.compile(
    r"(?:(?:change|make|give|turn|dye|colou?r|recolou?r|put|replace|remove|delete|erase|modify|adjust|brighten|darken|lighten|blur)"
    r" (?:her|his|him|their|them|it|its|the|my|everything)\b|(?:add|apply|remove|delete|erase) [a-z])"
)
"""What is an instruction behind a description too: "a woman, make her hair red". Fewer, for there verbs may tell what is done."""


def check_described(text: str, subject: str | None, subjects: Sequence[str], *, field: str) -> None:
    """Raises `PromptInvalid` if `text` is or holds an instruction; the message says how to describe the result instead.

    `subject` or one of `subjects` names the person in it.
    """
    text = tidy(text)
    told, plain = instruction_in(text), without_keeping(text)
    if told is None:
        return
    if plain != text and instruction_in(plain) is None and _names_somebody(plain, subject, subjects):
        kept = wish_to_keep(text)
        assert kept is not None
        words = (
            f"holds an instruction, “{kept.words}”: an edit keeps what it is not asked to change, so leave that out, "
            f"as in “{plain}”"
        )
    else:
        told = instruction_in(plain) or told
        shows = "shows" if field == "source_prompt" else "should show"
        words = f"is an instruction: say what the picture {shows}, {suggestion(told, text, subject, subjects)}"
    raise PromptInvalid(f"the {field} {words}", field=field, reason="prompt_instruction")


def _names_somebody(text: str, subject: str | None, subjects: Sequence[str]) -> bool:
    return any(find_noun(tidy(noun), text) for noun in ((subject,) if subject else subjects))


def instruction_in(text: str) -> str | None:
    """Return the first words of `text` that tell what to do, without their politeness; None if all of them describe.

    They are a sentence, or a clause behind a description ("a woman with red hair, don't change the face").
    """
    text = tidy(text)
    unquoted = QUOTED.sub(lambda quoted: '"' + "_" * (len(quoted[0]) - 2) + '"', text)
    for sentence in re.finditer(r"(?:[^.!?;]|[.!?;](?!\s|$))+", unquoted):
        told = _told(text[slice(*sentence.span())])
        if told is not None:
            return told
    if (kept := wish_to_keep(text)) is not None:
        return kept.words
    return _told_behind(text)


def _told_behind(text: str) -> str | None:
    """The first clause of `text` behind a description that tells what to change."""
    for clause in clauses(text):
        told = _without_politeness(clause.words)[0]
        if EDITS.match(told.lower()) and _is_imperative(told.lower()) and not is_doing(text[: clause.begin]):
            return told.rstrip(" ,")
    return None


def _told(sentence: str) -> str | None:
    """`sentence` from its verb on, if it begins with one."""
    rest, asked = _without_politeness(re.sub(r"^(?:\d+[.)]\s*|[^\w\[]+)+", "", sentence))
    if asked or SHOULD.match(rest.lower()) or _is_imperative(rest.lower()):
        return rest.rstrip(" ,")
    return None


def _without_politeness(words: str) -> tuple[str, bool]:
    """`words` behind their first fillers and requests, and whether a request was among them."""
    asked = False
    while begin := FILLERS.match(words.lower()) or REQUESTS.match(words.lower()):
        asked = asked or REQUESTS.match(words.lower()) is not None
        words = words[begin.end() :]
    return words, asked


def _is_imperative(rest: str) -> bool:
    begin = re.match(r"([a-z]+)(?![\w-])\s*([a-z]*)", rest)
    if begin is None or COMPOUNDS.match(rest):
        return False
    verb, following = begin.groups()
    if verb in VERBS:
        return following not in ("", "of", "by", "in", "and", "with") and (verb == "put" or following != "on")
    if verb not in NOUNS_TOO:
        return False
    return following in OBJECTS or (verb in PART_VERBS and following in PARTS) or bool(re.match(r"\w+ .*\binto\b", rest))
