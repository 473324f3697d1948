"""Prompts that are instructions ("make her hair red") instead of descriptions of the picture. English only; loads no torch.

The method compares two descriptions, so the model would draw an instruction word by word. An instruction is recognised by its
leading imperative, or as a clause after a description; `keeping` finds the clauses that ask to keep the rest. Verbs that are also
nouns ("change", "paint", "show") count only before an object, so that descriptions such as "a woman making pottery", "change room"
and "paint-splattered man" are accepted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from s2edit_core.errors import PromptInvalid
from s2edit_core.request.wording.keeping import QUOTED, clauses, is_doing, wish_to_keep, without_keeping
from s2edit_core.request.wording.suggestions import Suggestion, suggestion
from s2edit_core.request.words import find_noun, tidy

VERBS = (
    *("add", "remove", "delete", "erase", "replace", "modify", "adjust", "increase", "decrease", "reduce", "enlarge", "brighten"),
    *("darken", "lighten", "sharpen", "recolor", "recolour", "enhance", "retouch", "whiten", "generate", "create", "put", "apply"),
    *("improve", "straighten", "shorten", "lengthen", "make", "give", "swap", "substitute", "soften", "thicken"),
)
"""No description begins with these, except for `COMPOUNDS`."""
NOUNS_TOO = (
    *("age", "blur", "bleach", "braid", "change", "close", "color", "colour", "convert", "cover", "crop", "curl", "cut", "do"),
    *("draw", "dress", "dye", "edit", "extend", "fade", "fix", "flip", "frame", "get", "have", "hide", "imagine", "insert", "keep"),
    *("let", "lift", "light", "lose", "lower", "mask", "move", "open", "paint", "place", "raise", "recreate", "redraw", "render"),
    *(
        "rotate",
        "set",
        "shave",
        "shift",
        "show",
        "sketch",
        "slim",
        "smooth",
        "style",
        "take",
        "thin",
        "tint",
        "transform",
        "trim",
        "try",
    ),
    *("turn", "use", "wear", "widen", "zoom"),
)
"""These count as verbs if one of `OBJECTS`, or a part of a person, follows."""
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
"""Of `NOUNS_TOO`, those that need no article: "dye hair red", whereas "smooth skin" and "cut glasses" are descriptions."""
TURNING = re.compile(r"(?:change|convert|transform|turn) (?:[a-z-]+ ){1,2}to (?:an? )?[a-z-]+")
"""An instruction without articles, such as "change woman to man"."""
COMPOUNDS = re.compile(
    r"make[ -]?up\b(?! (?:her|his|their|the)\b)|make (?:believe|do|love)\b|give (?:way|or take)\b|put (?:option|together)\b"
    r"|swap (?:meet|shop)\b|take (?:away|out)\b(?! (?:her|his|their|the|my|all|any|it|that|this)\b)"
)
"""Descriptions that begin with a verb."""
REQUESTS = re.compile(
    r"(?:please|pls|plz|kindly|help me|let'?s|let us|(?:can|could|would|will) (?:you(?! rather)|we|u)"
    r"|can i (?:have|get|see)|would it be possible to|how about|what about"
    r"|i(?:'d| would) (?:like|love)|(?:i|we) (?:want|need|wish for)|give me|show me|try to|go ahead and"
    r"|your task is to|you should|you must|make sure (?:that )?)\b[,:]?\s*"
)
"""Beginnings of a request: any words after them are an instruction."""
FILLERS = re.compile(r"(?:(?:now|only|just|then|and|but|also|ok|okay|hey|hi|hello|simply|so|next|first)\b[,:!]?\s*)+")
SHOULD = re.compile(
    r"(?:she|he|they|it|(?:her|his|their|the|my|this|that) \w+(?: \w+)?) (?:should|must|needs to|need to|has to|ought to)\b"
    r"|(?:she|he|they|it) needs? \w|an? \w+ should\b"
)
EDITS = re.compile(
    r"(?:(?:change|make|give|turn|dye|colou?r|recolou?r|put|replace|remove|delete|erase|modify|adjust|brighten|darken|lighten|blur)"
    r" (?:her|his|him|their|them|it|its|the|my|everything)\b|(?:add|apply|remove|delete|erase) [a-z])"
)
"""Instructions that are recognised after a description, too: "a woman, make her hair red". They are fewer, because there a verb may
describe what somebody does.
"""


def check_described(text: str, subject: str | None, subjects: Sequence[str], *, field: str) -> None:
    """Raise `PromptInvalid` if `text` is or contains an instruction; the message suggests a description of the result.

    `subject`, or one of `subjects`, names the person in it.
    """
    shows = "shows" if field == "source_prompt" else "should show"
    if (said := rephrased(text, subject, subjects, shows=shows)) is not None:
        raise PromptInvalid(f"the {field} {said.words}", field=field, reason="prompt_instruction")


def rephrased(text: str, subject: str | None, subjects: Sequence[str], *, shows: str = "should show") -> Suggestion | None:
    """Return how to describe what `text` asks for; None if it contains no instruction. Arguments as for `suggestion`."""
    text = tidy(text)
    instruction, plain = instruction_in(text), without_keeping(text)
    if instruction is None:
        return None
    if plain != text and instruction_in(plain) is None and _names_somebody(plain, subject, subjects):
        kept = wish_to_keep(text)
        assert kept is not None
        unneeded = "an edit keeps what it is not asked to change, so leave that out"
        return Suggestion(f"holds an instruction, “{kept.words}”: {unneeded}, as in “{plain}”", plain)
    instruction = ", ".join(_from_first_instruction(plain)) or instruction_in(plain) or instruction
    said = suggestion(instruction, text, subject, subjects, shows=shows)
    return replace(said, words=f"is an instruction: {said.words}")


def _names_somebody(text: str, subject: str | None, subjects: Sequence[str]) -> bool:
    """Return whether `text` names the subject, or one of `subjects`."""
    return any(find_noun(tidy(noun), text) for noun in ((subject,) if subject else subjects))


def instruction_in(text: str) -> str | None:
    """Return the first instruction in `text`, without polite phrases; None if `text` only describes.

    It is a sentence, or a clause after a description ("a woman with red hair, don't change the face").
    """
    text = tidy(text)
    for sentence in _sentences(text):
        instruction = _instruction_sentence(sentence)
        if instruction is not None:
            return instruction
    if (kept := wish_to_keep(text)) is not None:
        return kept.words
    return _instruction_clause(text)


def _sentences(text: str) -> Iterator[str]:
    """Yield the sentences of the normalised `text`. Those within quotes count as words."""
    unquoted = QUOTED.sub(lambda quoted: '"' + "_" * (len(quoted[0]) - 2) + '"', text)
    for sentence in re.finditer(r"(?:[^.!?;]|[.!?;](?!\s|$))+", unquoted):
        yield text[slice(*sentence.span())]


def _from_first_instruction(text: str) -> Iterator[str]:
    """Yield the first sentence of `text` that instructs, and those after it, each without polite phrases and without thanks."""
    begun = False
    for sentence in _sentences(text):
        instruction = _instruction_sentence(sentence)
        begun = begun or instruction is not None
        words = instruction or _without_politeness(sentence.strip())[0]
        if begun and words and not re.match(r"(?:many )?thank(?:s| you)\b", words, flags=re.IGNORECASE):
            yield words


def _instruction_clause(text: str) -> str | None:
    """Return the first clause of `text`, after a description, that instructs; None if there is none."""
    for clause in clauses(text):
        instruction = _without_politeness(clause.words)[0]
        if EDITS.match(instruction.lower()) and _is_imperative(instruction.lower()) and not is_doing(text[: clause.begin]):
            return instruction.rstrip(" ,")
    return None


def _instruction_sentence(sentence: str) -> str | None:
    """Return `sentence` from its verb on if it begins with an instruction; otherwise None."""
    rest, asked = _without_politeness(re.sub(r"^(?:\d+[.)]\s*|[^\w\[]+)+", "", sentence))
    if asked or SHOULD.match(rest.lower()) or _is_imperative(rest.lower()):
        return rest.rstrip(" ,")
    return None


def _without_politeness(words: str) -> tuple[str, bool]:
    """Return `words` without leading fillers and requests, and whether there was a request."""
    asked = False
    while begin := FILLERS.match(words.lower()) or REQUESTS.match(words.lower()):
        asked = asked or REQUESTS.match(words.lower()) is not None
        words = words[begin.end() :]
    return words, asked


def _is_imperative(rest: str) -> bool:
    """Return whether `rest`, in lower case, begins with an imperative."""
    begin = re.match(r"([a-z]+)(?![\w-])\s*([a-z]*)", rest)
    if begin is None or COMPOUNDS.match(rest):
        return False
    verb, following = begin.groups()
    if verb in VERBS:
        return following not in ("", "of", "by", "in", "and", "with") and (verb == "put" or following != "on")
    if verb not in NOUNS_TOO:
        return False
    if TURNING.fullmatch(rest):
        return True
    return following in OBJECTS or (verb in PART_VERBS and following in PARTS) or bool(re.match(r"\w+ .*\binto\b", rest))
