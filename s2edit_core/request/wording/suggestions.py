"""Rephrases an instruction as a description: "make her hair red" as "a photo of a woman with red hair".

Of several instructions ("make her smile and add a hat") all are rephrased, or none. English only; loads no torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from s2edit_core.request.wording.descriptions import (
    COUNTED,
    HAIR_OF,
    OF,
    SCENES,
    SEVERAL,
    Trait,
    composed,
    definite,
    example,
    indefinite,
    listed,
    photo,
)
from s2edit_core.request.wording.keeping import without_keeping
from s2edit_core.request.words import find_noun, plurals, tidy

WHOM = r"(?:her|him|them|me|(?:(?:the|this|that|my|an?) )?(?:{subject})|everyone)"
PART = (
    r"(?:hair|beard|moustache|eyes|eyebrows|lips|skin|nails|teeth|clothes|glasses|hat|dress|shirt|jacket|coat|scarf|tie|nose|smile)"
)
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
NOTHING_NAMED = ("the", "the everything", "the anything", "the everyone", "the them")
"""Objects of "remove" that name no thing."""
VAGUE = "better|worse|nicer|prettier|other|different|good|not|so|this|that|there|away|up|down|left|right|forward|back"
"""Words after "make her" that do not say what she looks like."""
DEGREE = re.compile(r"^(?:(?:a (?:bit|little|lot)|much|more|slightly|very|really|a more) )+")
COLOUR = r"(?:red|blue|green|black|white|gold|silver|pink|purple|yellow|orange|brown|blond|grey|gray)"
UNDIVIDED = re.compile(rf"\b({COLOUR}|salt) and (?=(?:{COLOUR}|pepper)\b)", re.IGNORECASE)
"""An "and" that does not begin another part of an instruction."""
DIVIDER = re.compile(
    r"(?:\s*[,;&+]\s*|\s+(?=(?:and|then|but|plus|also)\b))(?:(?:and|then|but|plus|also|just|please)\b[ ,]*)*", re.IGNORECASE
)
"""What separates the parts of an instruction."""
SHOWING = r"(?:show|generate|create|draw|paint|imagine|render|produce|design|sketch)"
VERB = re.compile(
    rf"(?:{SHOWING}|make|turn|dye|bleach|change|set|tint|dress|put|have|let|transform|convert|give|replace|swap|substitute"
    r"|exchange|add|insert|apply|place|wear|try|use|get|remove|delete|erase|take|hide|lose|keep|edit|modify|adjust|enhance"
    rf"|retouch|improve|shave|fix|recolou?r|colou?r|sharpen|reduce|increase|blur|{'|'.join(BECOMING)}) ",
    re.IGNORECASE,
)
"""The beginning of a part with a verb of its own. Others share the previous one's: "add glasses and a hat"."""
NOT_A_LOOK = "on|onto|around|with|in|over|under|like|from|for|at|by|to|or|her|his|their|the"
"""Words that say more than what a part looks like."""
PICTURED = r"(?:an? (?:photo|picture|image) of )?"
ONE = "(?:an?|the|another)"
LOOKS = rf"(?:(?!(?:{NOT_A_LOOK}|of|an?)\b)[\w-]+,? )*?"
TURNED = (
    rf"(?:make|have|let|turn|transform|convert|change|replace|swap|substitute|exchange) {PICTURED}(?P<whom>WHOM) "
    rf"(?:(?:(?:in)?to|with|by|for) {PICTURED}(?:{ONE} )?"
    rf"|(?:to )?(?:(?:be|become|look|seem|appear) )?(?:like )?(?:{ONE} |(?=(?:KNOWN)\b)))"
    rf"(?P<looks>{LOOKS})(?P<becomes>KNOWN)(?P<rest>$|[,;].*| (?:with|in|wearing|holding|who|as|and|then|but) .*)$"
)
"""An instruction that turns one subject into another: "turn the woman into an old man with a beard"."""
ASKED: tuple[tuple[str, str], ...] = (
    (r"^with ", "give them "),
    (r"^in ", "put them in "),
    (r"^wearing ", "make them wear "),
    (r"^holding ", "make them hold "),
)
"""What follows the new subject, as an instruction of its own."""
MEDIUM = r"(?:painting|drawing|sketch|cartoon|watercolou?r|portrait|illustration|caricature|sculpture|statue|comic)"
TO_PHOTO = re.compile(
    r"(?<=\w) (?:to|from|in|on) (?:an?|the|this|that|my) (?:photo|picture|image|portrait|pic)(?:graph)?(?: (?:of|with) [^,;]*?)?"
    r"(?=$|[,;]| and )",
    re.IGNORECASE,
)
"""The end of "add glasses to a photo of a woman"."""
ENDING = re.compile(
    r"(?:,? (?:please|now|too|as well|thanks|thank you|instead)|,? (?:in|from|on) (?:the|this) (?:photo|picture|image))+$"
)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """How to say what an instruction asks for: `words` for a message, and the `prompt` of the same edit.

    `source_prompt` describes the photo, where the request has to send it. `is_example`: the prompt only shows what one looks like.
    """

    words: str
    prompt: str
    source_prompt: str | None = None
    is_example: bool = False


@dataclass(frozen=True, slots=True)
class Turn:
    """What an instruction such as `TURNED` asks for: who becomes what, and what else it asks for, as an instruction."""

    who: str
    becomes: str
    words: str


def suggestion(instruction: str, text: str, subject: str | None, subjects: Sequence[str], *, shows: str) -> Suggestion:
    """Return how to describe what the instruction `instruction` in `text` asks for: "as in “a photo of a woman with red hair”".

    If that is not clear, it is an example. `shows` says which picture is described: "shows" or "should show".
    """
    noun = _noun(text, subject, subjects)
    words = ENDING.sub("", without_keeping(instruction).rstrip(" .!?,;"))
    words = _owned(TO_PHOTO.sub("", words) if VERB.match(words) and not re.match(SHOWING, words, re.IGNORECASE) else words, noun)
    if (whole := _whole(words, noun)) is not None:
        return Suggestion(f"say what the picture {shows}, as in “{whole}”", whole)
    turn = _turned(words, noun, subject, subjects) or Turn(noun, noun, words)
    traits, other = _traits(turn.words, turn.becomes), turn.becomes != turn.who
    if not traits and (turn.words or not other):
        picture = "that you want" if shows == "should show" else "that you have"
        whole = example(turn.who)
        return Suggestion(f"describe the picture {picture}, for example “{whole}”", whole, is_example=True)
    prompt, source = composed(traits, turn.becomes, marked=other), photo(turn.who)
    described = f"as in “{prompt}”"
    if gone := [trait.words for trait in traits if trait.how == "without"]:
        described = f"without {listed([definite(thing) for thing in gone])}: {described}"
        source = f"{source} with {listed([indefinite(thing) for thing in gone])}"
    if shows == "shows":
        whole = source if gone or other else composed(traits, turn.who)
        return Suggestion(f"say what the picture shows, as in “{whole}”", whole)
    if not gone and not other:
        return Suggestion(f"say what the picture {shows}, {described}", prompt)
    left_out = "; leave `subject` out" if other and subject else ""
    words = f"say what the picture {shows}, {described}, with the source_prompt “{source}”{left_out}"
    return Suggestion(words, prompt, source)


def _turned(words: str, noun: str, subject: str | None, subjects: Sequence[str]) -> Turn | None:
    """Return who becomes another one of `subjects` by the instruction `words`; None if nobody does."""
    whom, known = WHOM.format(subject=_forms(noun)), "|".join(map(_forms, sorted(subjects, key=len, reverse=True)))
    pattern = TURNED.replace("WHOM", whom).replace("KNOWN", known)
    for before, begin in ((0, 0), *(divider.span() for divider in DIVIDER.finditer(words))):
        found = re.match(pattern, _imperative(words[begin:], whom), flags=re.IGNORECASE)
        if found is None:
            continue
        who = {"her": "woman", "him": "man"}.get(found["whom"].lower(), noun)
        who, becomes = noun if subject or who not in subjects else who, found["becomes"].lower()
        if becomes not in subjects:  # several: what the photo shows is not clear
            return Turn(who, who, "")
        rest = re.sub(rf"^{DIVIDER.pattern}", "", found["rest"], flags=re.IGNORECASE).strip()
        for begins, instruction in ASKED:
            rest = re.sub(begins, instruction, rest, flags=re.IGNORECASE)
        looks = [look for look in re.split(r"[, ]+", DEGREE.sub("", found["looks"])) if look not in ("", "and")]
        asked = [words[:before], *(f"make them {look}" for look in looks), rest]
        return Turn(who, becomes, ", ".join(filter(None, asked)))
    return None


def _traits(words: str, noun: str) -> list[Trait]:
    """Return what each part of the instruction `words` asks for. Empty if one of them is not understood."""
    traits: list[Trait] = []
    head = ""
    for part in DIVIDER.split(UNDIVIDED.sub(r"\1 _and_ ", words)):
        for candidate in _candidates(ENDING.sub("", part.replace("_and_", "and").strip()), head):
            if (understood := _trait(candidate, noun)) is not None:
                break
        else:
            return []
        trait, head = understood
        traits.append(trait)
    return traits


def _candidates(part: str, head: str) -> Iterator[str]:
    """Yield the ways to read a part of an instruction. `head` is how the part before began, such as "make her "."""
    if head and not VERB.match(part):
        if re.match(rf"{OF}{PART} (?!of\b)", part, flags=re.IGNORECASE):  # "(make her hair red and) her eyes blue"
            yield f"make {part}"
        yield head + part
    yield part


def _trait(words: str, noun: str) -> tuple[Trait, str] | None:
    """Return what the instruction `words` asks for, and the words before that; None if no pattern fits."""
    if (gone := _removed(words)) is not None:
        return Trait("without", gone), words[: words.index(gone)]
    whom = WHOM.format(subject=_forms(noun))
    words = _imperative(words, whom)
    for pattern, describe in _PATTERNS:
        found = re.match(pattern.replace("WHOM", whom), words, flags=re.IGNORECASE)
        if found and (trait := describe(found, noun)):
            return trait, words[: found.start(found.lastgroup or 0)]
    return None


def _imperative(words: str, whom: str) -> str:
    """Return "she should smile", "she needs a hat", and "(I want) her to smile", as an imperative."""
    for pronoun, object_form in (("she", "her"), ("he", "him"), ("they|it", "them")):
        words = re.sub(rf"^(?:{pronoun}) needs? (?!to )", f"give {object_form} ", words, flags=re.IGNORECASE)
        words = re.sub(rf"^(?:{pronoun}) (?:should|must|needs to|has to) ", f"make {object_form} ", words, flags=re.IGNORECASE)
    words = re.sub(r"^(.+?) (?:should|must|needs? to|has to) (?:be |become |look |get )?", r"make \1 ", words, flags=re.IGNORECASE)
    if re.match(rf"{whom}\b|{OF}{PART}\b.* to be ", words, flags=re.IGNORECASE):
        return "make " + words.replace(" to be ", " ")
    return words


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
    if named := [(found.start(), -len(noun), noun) for noun in subjects if (found := find_noun(noun, tidy(text)))]:
        return min(named)[2]
    for pronouns, noun in (("her|she", "woman"), ("him|his|he", "man")):
        if noun in subjects and re.search(rf"\b(?:{pronouns})\b", text, flags=re.IGNORECASE):
            return noun
    return subjects[0] if subjects else "woman"


def _removed(words: str) -> str | None:
    """Return what an instruction asks to remove; None if it removes nothing."""
    found = re.match(
        rf"(?:remove|delete|erase|take (?:off|away|out)|get rid of|hide|lose) (?:any |all )?(?P<what>{OF}.+?)(?: (?:from|of) .*)?$"
        rf"|take (?P<that>{OF}\S+) (?:off|away|out)(?: (?:of )?(?:her|his|their|the)(?: \w+)?)?$",
        words,
        flags=re.IGNORECASE,
    )
    what = (found["what"] or found["that"]) if found else None
    return what if what and definite(f"{what} ").strip().lower() not in NOTHING_NAMED else None


def _whole(words: str, noun: str) -> str | None:
    """Return the description after a verb, as in "show a woman with red hair"; None if there is none."""
    named = find_noun(noun, words)
    begin = re.match(rf"(?:{SHOWING} )?(?:me )?((?:an?|the|two|three|some)\b.*)$", words, flags=re.IGNORECASE)
    if named is None or begin is None or begin.start(1) > named.start():
        return None
    if re.search(r"\b(?:to|on|into|for)\b", words[: named.start()]):
        return None
    if any(VERB.match(part) for part in DIVIDER.split(words)[1:]):
        return None
    description = begin[1]
    if re.search(r",|\b(?:behind|beside|near|around|from|with|by|and)\b", words[begin.start(1) : named.start()]):
        return None
    if not re.match(r"$|,| (?:with|in|as|at|on|who|whose|and|without|wearing|holding|\w+ing)\b", words[named.end() :]):
        return None
    pictured = rf"an? (?:\w+ )?(?:photo|picture|image|{MEDIUM})"
    return description if re.match(pictured, description, re.IGNORECASE) else f"a photo of {description}"


def _part(found: re.Match[str], noun: str) -> Trait | None:
    """Describe a part of a person, such as hair, by colour or shape."""
    part, how = found["part"].lower(), DEGREE.sub("", found["how"].strip().lower().removeprefix("in "))
    how = " ".join(PLAIN.get(word, word) for word in how.split())
    if re.match(r"an? ", how):
        return Trait("with", indefinite(how))
    if not re.fullmatch(r"[\w' -]*", how) or re.search(rf"\b(?:{_forms(noun)})\b", how):  # another word for the person
        return None
    if how in ("up", "back", "down", "off", "") or len(how.split()) > 3:
        return None
    if re.search(rf"\b(?:{PART}|{NOT_A_LOOK})\b|\d", how.removesuffix(part)):  # "(make her hair red and) smile"
        return None
    return Trait("with", indefinite(how if how.endswith(part) else f"{how} {part}"))


def _become(found: re.Match[str], _: str) -> Trait:
    """Describe the result of verbs such as "whiten her teeth"."""
    return Trait("with", indefinite(f"{BECOMING[found['verb'].lower()]} {found['part'].lower()}"))


def _made(found: re.Match[str], noun: str) -> Trait | None:
    """Describe what a person should be, do or wear."""
    how = DEGREE.sub("", re.sub(r"^to ", "", found["how"].strip()))
    if wears := re.match(r"(wear|have|hold)(?:ing)? (.+)", how):
        return (
            Trait("with", indefinite(wears[2])) if wears[1] == "have" else Trait("doing", f"{wears[1]}ing {indefinite(wears[2])}")
        )
    how = DEGREE.sub("", re.sub(r"^(?:be|become|look|appear|seem) ", "", how))
    if turned := re.fullmatch(r"(look|turn)(?:ing)? (left|right|up|down|away)", re.sub(r"^(?:be|to) ", "", found["how"].strip())):
        return Trait("doing", f"{'looking' if turned[1] == 'look' else 'turned'} {turned[2]}")
    if (hair := HAIR_OF.get(re.sub(r"^an? ", "", how).lower())) is not None:
        return Trait("with", hair)
    if (act := how.lower()) in DOING:
        return Trait("before", DOING[act])
    if re.fullmatch(PART, how, flags=re.IGNORECASE):
        return None
    how = how.removeprefix("like ")
    if re.fullmatch(rf"an? (?:\w+ )?{MEDIUM}", how, flags=re.IGNORECASE):
        return Trait("medium", how)
    if begins := re.match(r"an? ", how):
        if how.endswith(f" {noun}"):
            return Trait("before", how[begins.end() :].removesuffix(noun).strip())
        wearable = how.split()[-1] in (*COUNTED, *SEVERAL) and " with " not in how
        return Trait("with", indefinite(how)) if wearable else Trait("as", how)
    return Trait("before", PLAIN.get(how.lower(), how.lower())) if re.fullmatch(rf"(?!(?:{VAGUE})$)[\w-]+", how) else None


def _drawn(found: re.Match[str], _: str) -> Trait:
    """Describe another kind of picture, such as a painting."""
    return Trait("medium", found["what"].lower())


def _with(found: re.Match[str], noun: str) -> Trait | None:
    """Describe an added thing; "a hat on her head" needs no second mention of the person."""
    whose = r"(?:her|his|him|them|their|it|the|this|my)"
    thing = re.sub(rf" (?:to|on|onto) {whose}(?: \w+){{0,2}}$|(?<=\w) (?:to|on) (?:an? )?(?:{_forms(noun)})$", "", found["what"])
    thing = re.sub(r"^(?:the|her|his|their|my) | on$", "", thing)
    if not thing or thing.startswith(("to ", "on ")) or re.match(rf"(?:an? )?(?:{_forms(noun)})(?:$| )", thing):
        return None
    return None if re.search(rf" (?:to|onto) (?:{whose}|an?) ", thing) else Trait("with", indefinite(thing))


def _placed(found: re.Match[str], _: str) -> Trait:
    """Describe weather, a season or a time of day."""
    return Trait("place", SCENES[found["what"].lower()])


def _in(found: re.Match[str], _: str) -> Trait:
    """Describe clothing or a place."""
    return Trait("in", found["what"])


_PATTERNS: tuple[tuple[str, Callable[[re.Match[str], str], Trait | None]], ...] = (
    (rf"(?P<verb>{'|'.join(BECOMING)}) {OF}(?P<part>{PART})(?: of WHOM)?$", _become),
    (
        rf"(?:make|turn|dye|bleach|colou?r|paint|change|recolou?r|set|tint) {OF}(?P<part>{PART})(?: colou?r)? "
        r"(?:from [\w-]+ )?(?:(?:in)?to |be |become |look )?(?P<how>.+)$",
        _part,
    ),
    (
        r"(?:make|turn|transform|convert|change) (?:it|this|(?:(?:the|this|my) )?(?:photo|picture|image)) (?:in)?(?:to )?"
        rf"(?P<what>an? (?:\w+ )?{MEDIUM})(?: of (?:an? )?WHOM)?$",
        _drawn,
    ),
    (
        r"(?:make|let|have|set|turn|change|put|move|convert|transform|show|add) "
        r"(?:it |them |this |everything |the (?:photo|picture|image|scene|season|weather|time(?: of (?:day|year))?) |WHOM |some )?"
        rf"(?:(?:(?:in)?to|at|in|by|be|look|like|during|covered in|under|the) )*(?P<what>{'|'.join(SCENES)})(?:y|gy|ing|time)?"
        r"(?: (?:on|over|around|to) (?:it|WHOM))?$",
        _placed,
    ),
    (rf"(?:dress|put|{SHOWING}) WHOM in (?P<what>.+)$", _in),
    (rf"{SHOWING} WHOM with (?P<what>.+)$", _with),
    (rf"{SHOWING} WHOM (?:as )?(?P<how>(?<=as )an? .+|(?:wearing|holding|having) .+|[a-z]+ing)$", _made),
    (r"(?:make|have|let|turn|transform|convert|change) WHOM (?:in)?(?:to )?(?P<how>.+)$", _made),
    (r"give (?:WHOM|her|him|the \w+) (?P<what>.+)$", _with),
    (r"(?:replace|swap|substitute|exchange) .+? (?:with|by|for) (?P<what>.+)$", _with),
    (r"(?:add|put(?: on)?|insert|apply|draw|paint|place|wear|try(?: on)?|use|get) (?P<what>.+)$", _with),
    (rf"(?P<what>(?!WHOM)(?!(?:{CHANGING})\b)(?:an? )?(?:[\w-]+ )?{PART})$", _with),
    (r"(?P<what>an? (?:[\w-]+ ?){1,2})$", _with),
)
"""Patterns of instructions, and the function that describes the result."""
