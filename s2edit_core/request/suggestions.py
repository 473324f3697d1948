"""Rephrases an instruction as a description: "make her hair red" as "a photo of a woman with red hair".

English only; loads no torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from s2edit_core.request.keeping import without_keeping
from s2edit_core.request.words import article, find_noun, plurals, tidy

WHOM = r"(?:her|him|them|me|(?:(?:the|this|that|my) )?(?:{subject})|everyone)"
OF = r"(?:(?:her|his|their|its|the|my|this|that|a|an)\b ?)?"
PART = (
    r"(?:hair|beard|moustache|eyes|eyebrows|lips|skin|nails|teeth|clothes|glasses|hat|dress|shirt|jacket|coat|scarf|tie|nose|smile)"
)
COUNTED = ("beard", "moustache", "hat", "dress", "shirt", "jacket", "coat", "scarf", "tie", "nose", "smile", "cap", "crown", "mask")
"""Nouns that take an article."""
SEVERAL = ("hair", "glasses", "sunglasses", "lipstick", "makeup", "jewelry", "jewellery", "clothes")
DOING = {
    **{verb: verb + "ing" for verb in ("laugh", "frown", "wink", "yawn", "sing", "cry", "sleep", "look")},
    **{"smile": "smiling", "dance": "dancing", "sit": "sitting", "run": "running", "wave": "waving"},
}
PLAIN = {
    **{word + "er": word for word in ("long", "short", "dark", "light", "young", "old", "thick", "small", "full", "bright")},
    **{"bigger": "big", "thinner": "thin", "redder": "red", "curlier": "curly", "happier": "happy", "sadder": "sad"},
}
"""Comparatives, and their adjectives: a description has nothing to compare with."""
BECOMING = {
    **{adjective + "en": adjective for adjective in ("light", "bright", "dark", "straight", "short", "thick", "soft")},
    **{"whiten": "white", "lengthen": "long", "curl": "curly", "bleach": "bleached", "thin": "thin", "smooth": "smooth"},
}
"""Verbs that say what a part becomes, and the adjective of that."""
CHANGING = "change|edit|modify|adjust|enhance|retouch|improve|shave|fix|colou?r|recolou?r|dye|turn|get|hide|sharpen|reduce|increase"
"""Verbs that say that a part changes, but not how."""
DEGREE = re.compile(r"^(?:(?:a (?:bit|little|lot)|much|more|slightly|very|really|a more) )+")
ENDING = re.compile(r"(?: (?:please|now|thanks|thank you|instead)|,? (?:in|from|on) (?:the|this) (?:photo|picture|image))+$")


def suggestion(instruction: str, text: str, subject: str | None, subjects: Sequence[str]) -> str:
    """Return how to describe what the instruction `instruction` in `text` asks for: "as in “a photo of a woman with red hair”"."""
    noun = _noun(text, subject, subjects)
    words = _owned(ENDING.sub("", without_keeping(instruction).rstrip(" .!?,;")), noun)
    if gone := _removed(words):
        return f"without {_named(gone)}: as in “{_photo(noun)}”, with the source_prompt “{_photo(noun)} with {_one(gone)}”"
    return f"as in “{_described(words, noun) or f'{_photo(noun)} with red hair'}”"


def _owned(words: str, noun: str) -> str:
    """Replace "the woman's hair" and "the hair of the woman" by "their hair"."""
    named = rf"(?:(?:the|a|an|this|that|my) )?(?:{_forms(noun)})"
    words = re.sub(rf"\b{named}'s?(?= )", "their", words, flags=re.IGNORECASE)
    return re.sub(rf"\b(?:the )?({PART}(?: colou?r)?) of {named}(?!\w)", r"their \1", words, flags=re.IGNORECASE)


def _forms(noun: str) -> str:
    """Return a pattern for `noun` in singular and plural."""
    return "|".join(map(re.escape, (*plurals(noun), noun)))


def _noun(text: str, subject: str | None, subjects: Sequence[str]) -> str:
    """Return who is meant: the subject that was passed or is named, otherwise the one that fits the pronoun."""
    if subject:
        return tidy(subject).lower()
    for noun in subjects:
        if find_noun(noun, tidy(text)):
            return noun
    for pronouns, noun in (("her|she", "woman"), ("him|his|he", "man")):
        if noun in subjects and re.search(rf"\b(?:{pronouns})\b", text, flags=re.IGNORECASE):
            return noun
    return subjects[0] if subjects else "woman"


def _photo(noun: str, before: str = "") -> str:
    named = f"{before} {noun}".strip()
    return f"a photo of {article(named)} {named}"


def _one(thing: str) -> str:
    """Return "the hat" and "hat" as "a hat"; plural and uncountable nouns get no article."""
    bare = re.sub(rf"^{OF}", "", thing, flags=re.IGNORECASE)
    begins = re.match(r"(?:an?|some|two|three|more) ", thing, flags=re.IGNORECASE)
    if begins:
        return re.sub(r"^(?:some|more) ", "", thing)
    last = bare.split()[-1].lower() if bare.split() else ""
    return f"{article(bare)} {bare}" if last in COUNTED else bare


def _named(thing: str) -> str:
    return "the " + re.sub(rf"^{OF}(?:any |all )?", "", thing, flags=re.IGNORECASE)


def _removed(words: str) -> str | None:
    """Return what an instruction asks to remove; None if it removes nothing."""
    found = re.match(
        rf"(?:remove|delete|erase|take (?:off|away|out)|get rid of|hide|lose) (?:any |all )?(?P<what>{OF}.+?)(?: (?:from|of) .*)?$"
        rf"|take (?P<that>{OF}\S+) (?:off|away|out)$",
        words,
        flags=re.IGNORECASE,
    )
    what = (found["what"] or found["that"]) if found else None
    return what if what and _named(f"{what} ").strip() != "the" else None


def _described(words: str, noun: str) -> str | None:
    """Return a description of what `words` ask for; None if no pattern fits."""
    whom = WHOM.format(subject=_forms(noun))
    words = re.sub(r"^(she|he|they|it) (?:should|must|needs to|has to) ", "make them ", words, flags=re.IGNORECASE)
    words = re.sub(r"^(.+?) (?:should|must|needs? to|has to) (?:be |become |look |get )?", r"make \1 ", words, flags=re.IGNORECASE)
    if re.match(rf"{whom}\b|{OF}{PART}\b.* to be ", words, flags=re.IGNORECASE):  # "(I want) her to smile"
        words = "make " + words.replace(" to be ", " ")
    for pattern, describe in _PATTERNS:
        found = re.match(pattern.replace("WHOM", whom), words, flags=re.IGNORECASE)
        if found and (description := describe(found, noun)):
            return description
    named = find_noun(noun, words)
    return _whole(words, named) if named else None


def _whole(words: str, named: re.Match[str]) -> str | None:
    """Return the description after a verb, as in "show a woman with red hair"; None if there is none."""
    begin = re.match(r"(?:\w+ )??(?:me )?((?:an?|the|two|three|some)\b.*)$", words, flags=re.IGNORECASE)
    if begin is None or begin.start(1) > named.start() or re.search(r"\b(?:to|on|into|for)\b", words[: named.start()]):
        return None
    description = begin[1]
    if re.search(r",|\b(?:behind|beside|near|around|from|with|by)\b", words[begin.start(1) : named.start()]):
        return None
    return description if re.match(r"an? (?:\w+ )?(?:photo|picture|image|portrait)", description) else f"a photo of {description}"


def _part(found: re.Match[str], noun: str) -> str | None:
    """Describe a part of a person, such as hair, by colour or shape."""
    part, how = found["part"].lower(), DEGREE.sub("", found["how"].strip().lower())
    how = " ".join(PLAIN.get(word, word) for word in how.split())
    if re.match(r"an? ", how):
        return f"{_photo(noun)} with {how}"
    if not re.fullmatch(r"[\w' -]*", how):  # another clause follows, or another word for the person
        return None
    if how in ("up", "back", "down", "off", "") or len(how.split()) > 3:
        return None
    thing = how if how.endswith(part) else f"{how} {part}"
    return f"{_photo(noun)} with {_one(thing)}"


def _become(found: re.Match[str], noun: str) -> str:
    """Describe the result of verbs such as "whiten her teeth"."""
    how, part = BECOMING[found["verb"].lower()], found["part"].lower()
    return f"{_photo(noun)} with {_one(f'{how} {part}')}"


def _made(found: re.Match[str], noun: str) -> str | None:
    """Describe what a person should be, do or wear."""
    how = DEGREE.sub("", re.sub(r"^to ", "", found["how"].strip()))
    if wears := re.match(r"(wear|have|hold)(?:ing)? (.+)", how):
        return f"{_photo(noun)} {'with' if wears[1] == 'have' else wears[1] + 'ing'} {_one(wears[2])}"
    how = DEGREE.sub("", re.sub(r"^(?:be|become|look|appear|seem) ", "", how))
    if how not in DOING and re.fullmatch(PART, how):
        return None
    if how.startswith("like "):
        how = how.removeprefix("like ")
    if how in DOING:
        return _photo(noun, DOING[how])
    if re.match(r"an? ", how):
        return f"{_photo(noun)} as {how}" if not how.endswith(f" {noun}") else f"a photo of {how}"
    return _photo(noun, PLAIN.get(how, how)) if re.fullmatch(r"[\w-]+", how) else None


def _with(found: re.Match[str], noun: str) -> str | None:
    """Describe an added thing; "a hat on her head" needs no second mention of the person."""
    thing = re.sub(
        r" (?:to|on|onto|in|into|around|over|for|from) (?:her|his|him|them|their|it|the|this|my)\b.*$", "", found["what"]
    )
    thing = re.sub(r"^(?:the|her|his|their|my) ", "", thing)
    return f"{_photo(noun)} with {_one(thing)}" if thing and not thing.startswith(("to ", "on ")) else None


def _in(found: re.Match[str], noun: str) -> str | None:
    """Describe clothing or a place."""
    return f"{_photo(noun)} in {found['what']}"


_PATTERNS: tuple[tuple[str, Callable[[re.Match[str], str], str | None]], ...] = (
    (rf"(?P<verb>{'|'.join(BECOMING)}) {OF}(?P<part>{PART})(?: of WHOM)?$", _become),
    (
        rf"(?:make|turn|dye|bleach|colou?r|paint|change|recolou?r|set|tint) {OF}(?P<part>{PART})(?: colou?r)? "
        r"(?:from [\w-]+ )?(?:(?:in)?to |be |become |look )?(?P<how>.+)$",
        _part,
    ),
    (r"(?:dress|put) WHOM in (?P<what>.+)$", _in),
    (r"(?:make|have|let|turn|transform|convert|change) WHOM (?:in)?(?:to )?(?P<how>.+)$", _made),
    (r"give (?:WHOM|her|him|the \w+) (?P<what>.+)$", _with),
    (r"(?:replace|swap|substitute|exchange) .+? (?:with|by|for) (?P<what>.+)$", _with),
    (r"(?:add|put(?: on)?|insert|apply|draw|paint|place|wear|try(?: on)?|use|get) (?P<what>.+)$", _with),
    (rf"(?P<what>(?!WHOM)(?!(?:{CHANGING})\b)(?:an? )?(?:[\w-]+ )?{PART})$", _with),
    (r"(?P<what>an? (?:[\w-]+ ?){1,2})$", _with),
)
"""Patterns of instructions, and the function that describes the result."""
