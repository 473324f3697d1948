"""Prompts as people type them: capitals, plurals, hyphens, accents, line ends; subjects of several words and several tokens."""

from __future__ import annotations

import copy
import json
import unicodedata
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer
from tokenizers.models import BPE
from tokenizers.normalizers import NFC, Lowercase, Replace
from tokenizers.normalizers import Sequence as Normalizers
from tokenizers.pre_tokenizers import ByteLevel, Split
from tokenizers.pre_tokenizers import Sequence as PreTokenizers
from tokenizers.trainers import BpeTrainer
from transformers import CLIPTokenizer

from s2edit_core.concepts.conditioning import tokenize, word_embedding
from s2edit_core.concepts.prompt_alignment import prompt_tokens
from s2edit_core.errors import PromptInvalid
from s2edit_core.method.learning.learning import learn_concepts
from s2edit_core.method.learning.lesson import Lesson
from s2edit_core.request.options import LearningOptions
from s2edit_core.request.prompts import caption_naming, known_subject, resolve_prompts, resolve_reference, with_placeholder
from s2edit_core.request.spec import PLACEHOLDER, EditRequest, LearningRequest
from s2edit_core.request.words import article, find_noun, plurals, tidy
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import drive
from s2edit_jobs.records.vocabulary import CLIP_WORDS
from tests.tiny import TOKENS, with_card

SUBJECTS = ("woman", "man", "person")
NOUNS = ("woman", "man", "person", "cat", "dog", "church", "baby", "wolf", "maine coon", "snow-leopard", "Ärztin", "mouse")


def target_of(prompt: str, subject: str | None = None, subjects: tuple[str, ...] = SUBJECTS) -> str:
    return resolve_prompts(EditRequest(prompt=prompt, subject=subject), subjects).target


# --- as typed ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "target"),
    [
        ("  a woman with red hair ", "a [I] woman with red hair"),
        ("a woman\r\nwith red\n\nhair\n", "a [I] woman with red hair"),
        ("a\u00a0woman\twith red hair", "a [I] woman with red hair"),
        ("A PHOTO OF A WOMAN", "A PHOTO OF A [I] WOMAN"),
        ("Woman", "[I] Woman"),
        ("a wo\u00adman with a hat", "a [I] woman with a hat"),
        ("\ufeffa woman\u200b", "a [I] woman"),
        ("a woman\u2019s portrait", "a [I] woman's portrait"),
        ("two women with hats", "two [I] women with hats"),
        ("Women in red", "[I] Women in red"),
        ("a crowd of people", "a crowd of [I] people"),
        ("a man in women's clothes", "a [I] man in women's clothes"),
        ("a red-haired woman", "a red-haired [I] woman"),
        ("a spider-man with a hat", "a [I] spider-man with a hat"),
        ("a man-eating tiger beside a woman", "a man-eating tiger beside a [I] woman"),
        ("-woman with a hat", "-[I] woman with a hat"),
        ("a woman, a hat.", "a [I] woman, a hat."),
    ],
)
def test_a_prompt_is_read_however_it_is_typed(typed: str, target: str) -> None:
    assert target_of(typed) == target


@pytest.mark.parametrize(
    ("prompt", "subject", "target"),
    [
        ("a maine coon on a sofa", "maine coon", "a [I] maine coon on a sofa"),
        ("two Maine \n Coons on a sofa", "maine coon", "two [I] Maine Coons on a sofa"),
        ("a snow-leopard", "leopard", "a [I] snow-leopard"),
        ("a snow\u2011leopard", "snow-leopard", "a [I] snow-leopard"),
        ("three snow-leopards", "leopard", "three [I] snow-leopards"),
        (unicodedata.normalize("NFD", "eine Ärztin"), "Ärztin", "eine [I] Ärztin"),
        ("eine ÄRZTIN", unicodedata.normalize("NFD", "ärztin"), "eine [I] ÄRZTIN"),
        ("a young woman with a hat", "young woman", "a [I] young woman with a hat"),
        ("a woman", " Women ", "a [I] woman"),
        ("cats on a sofa", "Cat", "[I] cats on a sofa"),
    ],
)
def test_a_subject_may_be_several_words_or_in_another_form(prompt: str, subject: str, target: str) -> None:
    assert target_of(prompt, subject) == target


def test_one_subject_has_one_name() -> None:
    """Concepts are named by it: [I] woman learned as "Women" is the same as "woman"."""
    for subject in ("Woman", "women", " WOMEN", None):
        resolved = resolve_prompts(EditRequest(prompt="Two women with hats", subject=subject), SUBJECTS)
        assert resolved.subject == "woman"
        learned = resolve_reference(LearningRequest(kind="identity", prompt="two women", subject=subject), SUBJECTS)
        assert (learned.subject, learned.prompt) == ("woman", "two [I] women")


def test_the_longer_of_two_subjects_that_begin_together_is_named() -> None:
    assert known_subject("a snow-leopard", ("leopard", "snow-leopard")) == "snow-leopard"
    assert known_subject("maine coons", ("maine", "maine coon")) == "maine coon"


@pytest.mark.parametrize(
    ("prompt", "subject", "source"),
    [
        ("a woman with a hat", None, "a photo of a [I] woman"),
        ("two women with hats", None, "a photo of [I] women"),
        ("a photo of an astronaut", "astronaut", "a photo of an [I] astronaut"),
        ("a unicorn", "unicorn", "a photo of a [I] unicorn"),
        ("maine coons", "maine coon", "a photo of [I] maine coons"),
        ("two sheep", "sheep", "a photo of a [I] sheep"),
    ],
)
def test_without_a_source_prompt_the_photo_is_of_the_subject(prompt: str, subject: str | None, source: str) -> None:
    resolved = resolve_prompts(EditRequest(prompt=prompt, subject=subject), SUBJECTS)
    assert (resolved.source, resolved.origin) == (source, "default")


@pytest.mark.parametrize(("prompt", "subject"), [("a man-made lake", "man"), ("a womanly hat", "woman"), ("the cat's", "dog")])
def test_what_only_looks_like_the_subject_is_none(prompt: str, subject: str) -> None:
    with pytest.raises(PromptInvalid) as refused:
        target_of(prompt, subject)
    assert refused.value.reason == "subject_not_in_prompt"


@pytest.mark.parametrize(
    ("prompt", "subject", "expected"),
    [
        ("a woman with [A] eye  shadow", "eye shadow", "eye shadow"),
        ("a woman with [A] Lipstick\n", None, "Lipstick"),
        ("a woman with [A] eye-liner, smiling", "EYE-LINER", "eye-liner"),
    ],
)
def test_an_attributes_subject_may_be_several_words(prompt: str, subject: str | None, expected: str) -> None:
    learned = resolve_reference(LearningRequest(kind="attribute", prompt=prompt, subject=subject), SUBJECTS)
    assert learned.subject == expected


@pytest.mark.parametrize(("prompt", "subject"), [("a woman with [A] eye shadow", "shadow"), ("a [A] hatter", "hat")])
def test_an_attributes_subject_stands_whole_behind_its_placeholder(prompt: str, subject: str) -> None:
    with pytest.raises(PromptInvalid) as refused:
        resolve_reference(LearningRequest(kind="attribute", prompt=prompt, subject=subject), SUBJECTS)
    assert (refused.value.reason, refused.value.field) == ("subject_not_in_prompt", "subject")


# --- captions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("caption", "subject", "fitting"),
    [
        ("a photo of a woman with brown hair.", "woman", "a photo of a woman with brown hair"),
        ("a lady in a red dress", "woman", "a woman in a red dress"),
        ("a man with a hat", "woman", "a woman with a hat"),
        ("an adult in a park", "woman", "a woman in a park"),
        ("a girl on a beach", "adult", "an adult on a beach"),
        ("two men on a bench", "woman", "two women on a bench"),
        ("a group of people", "woman", "a group of women"),
        ("a photo of a [I] woman", "woman", "a photo of a woman"),
        ("A Woman  smiling", "woman", "A Woman smiling"),
        ("two women", "woman", "two women"),
        ("a close up of a face", "man", "a close up of a man"),
        ("a cat on a sofa", "woman", None),
        ("a woman with a dog", "cat", None),
        ("", "woman", None),
        ("[A]", "woman", None),
    ],
)
def test_a_caption_names_the_subject_or_is_left_out(caption: str, subject: str, fitting: str | None) -> None:
    assert caption_naming(subject, caption) == fitting
    resolved = resolve_prompts(EditRequest(prompt=f"a {subject} with a hat"), (subject,), caption=caption)
    if fitting is None:
        assert (resolved.source, resolved.origin) == (f"a photo of a [I] {subject}", "default")
    else:
        assert (resolved.source.replace("[I] ", "", 1), resolved.origin) == (fitting, "captioned")


def test_what_the_request_says_of_the_photo_goes_before_a_caption() -> None:
    request = EditRequest(prompt="a woman with a hat", source_prompt="a woman")
    resolved = resolve_prompts(request, SUBJECTS, caption="a woman with brown hair")
    assert (resolved.source, resolved.origin) == ("a [I] woman", "given")


# --- properties --------------------------------------------------------------------------------------------------

spaces = st.sampled_from([" ", "  ", "\n", "\r\n", "\u00a0", " \t "])
cases = st.sampled_from([str, str.lower, str.upper, str.title])


@given(st.text(max_size=40))
def test_tidying_twice_changes_nothing_more(text: str) -> None:
    once = tidy(text)
    assert tidy(once) == once
    assert "  " not in once
    assert once == once.strip()


@given(noun=st.sampled_from(NOUNS), several=st.booleans(), space=spaces, case=cases, form=st.sampled_from(["NFC", "NFD"]))
def test_a_noun_is_found_in_every_form(noun: str, several: bool, space: str, case: type[str], form: str) -> None:
    named = plurals(noun)[0] if several else noun.lower()
    typed = unicodedata.normalize(form, f"{space}the old{space}{case(named).replace(' ', space)}, smiling{space}")  # type: ignore[arg-type]
    settled = with_placeholder(typed, noun, field="prompt")
    assert settled.startswith("the old [I] ")
    assert settled.lower().replace("[i] ", "") == f"the old {named}, smiling"
    assert with_placeholder(settled, noun, field="prompt") == settled


@given(st.from_regex(r"[a-z]{1,8}( [a-z]{1,8})?", fullmatch=True))
def test_a_plural_is_another_word_that_names_the_same(noun: str) -> None:
    for form in plurals(noun):
        assert find_noun(noun, f"the {form}")
    assert article(noun) in ("a", "an")


ARTICLES = (
    *("an apple", "an hour", "an honest man", "a unicorn", "a user", "a European", "an uninvited guest", "an umbrella"),
    *("a one-eyed cat", "a house", "a woman", "an urn", "an unimpressed cat", "an only child"),
)
PLURALS = {
    **{"woman": "women", "human": "humans", "policeman": "policemen", "baby": "babies", "boy": "boys", "church": "churches"},
    **{"maine coon": "maine coons", "snow-leopard": "snow-leopards", "person": "people", "child": "children", "fox": "foxes"},
}


@pytest.mark.parametrize("named", ARTICLES)
def test_articles(named: str) -> None:
    expected, _, noun = named.partition(" ")
    assert article(noun) == expected


@pytest.mark.parametrize(("noun", "expected"), PLURALS.items())
def test_plurals(noun: str, expected: str) -> None:
    assert plurals(noun)[0] == expected


# --- tokens ------------------------------------------------------------------------------------------------------


def clip_like() -> CLIPTokenizer:
    """CLIP's normaliser, split and byte-level BPE, with merges learned from a few captions: rare words are several tokens."""
    tokenizer = Tokenizer(BPE(end_of_word_suffix="</w>", continuing_subword_prefix=""))
    tokenizer.normalizer = Normalizers([NFC(), Replace(Regex(r"\s+"), " "), Lowercase()])
    tokenizer.pre_tokenizer = PreTokenizers([Split(CLIP_WORDS, behavior="removed", invert=True), ByteLevel(add_prefix_space=False)])
    trainer = BpeTrainer(
        vocab_size=900,
        end_of_word_suffix="</w>",
        special_tokens=["<|startoftext|>", "<|endoftext|>"],
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    captions = ["a photo of a woman with red hair and a hat", "two women and a man with a cat", "a leopard's snow, a coon"] * 50
    tokenizer.train_from_iterator(captions, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    letters = set(ByteLevel.alphabet())
    vocab = dict(model["vocab"])
    for letter in sorted({*letters, *(letter + "</w>" for letter in letters)} - set(vocab)):
        vocab[letter] = len(vocab)
    merges = [tuple(pair) if isinstance(pair, list) else tuple(pair.split(" ")) for pair in model["merges"]]
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=TOKENS)


@pytest.fixture(scope="module", params=["the shipped model's words", "CLIP's kind of words"])
def reader(request: pytest.FixtureRequest, backbone: Backbone) -> Backbone:
    if request.param == "the shipped model's words":
        return backbone
    tokenizer = clip_like()
    encoder = backbone.text_encoder
    wide = torch.nn.Embedding(len(tokenizer), encoder.get_input_embeddings().weight.shape[1], dtype=backbone.dtype)  # type: ignore[operator]
    other = copy.deepcopy(encoder)
    other.set_input_embeddings(wide)  # type: ignore[operator]
    other.config.eos_token_id = tokenizer.eos_token_id
    return replace(backbone, tokenizer=tokenizer, text_encoder=other)


TYPED = st.sampled_from(
    ["a red-haired woman", "two Women", "a maine coon", "ein Ärztin", "it's a woman’s hat", "snow‑leopard", "woman"]
)


@settings(max_examples=40, deadline=None)
@given(typed=TYPED, form=st.sampled_from(["NFC", "NFD"]), space=spaces)
def test_however_it_is_typed_a_prompt_has_the_same_tokens(reader: Backbone, typed: str, form: str, space: str) -> None:
    settled = tidy(typed)
    other = unicodedata.normalize(form, space + typed.upper().replace(" ", space) + space)
    ids = tokenize(reader, settled, ()).ids
    assert torch.equal(tokenize(reader, other, ()).ids, ids)
    tokens = prompt_tokens(reader, other, ())
    assert list(tokens.symbols) == ids[: len(tokens.symbols)].tolist()
    spelled = "".join(sorted({span: tokens.prompt[slice(*span)] for span in tokens.spans}.values()))
    assert set(spelled.lower()) == set(settled.lower().replace(" ", ""))


@pytest.mark.parametrize("subject", ["woman", "maine coon", "snow-leopard", "Ärztin", "young woman"])
def test_a_subject_of_several_tokens_is_found_and_gives_its_mean(reader: Backbone, subject: str) -> None:
    resolved = resolve_prompts(EditRequest(prompt=f"an old {subject}, red hat", subject=subject), SUBJECTS)
    tokens = prompt_tokens(reader, resolved.target, (PLACEHOLDER,))
    positions = tokens.of_word(resolved.subject)
    (at,) = tokens.of_word(PLACEHOLDER)
    assert positions[0] == at + 1
    ids = [tokens.symbols[i] for i in positions]
    weights = reader.text_encoder.get_input_embeddings().weight  # type: ignore[operator]
    assert torch.equal(word_embedding(reader, resolved.subject), weights[ids].mean(dim=0))


def test_words_of_the_subject_are_not_turned_away_from(backbone: Backbone) -> None:
    """A red panda stays one, though "red" is an attribute."""
    card = with_card(backbone, attribute_words=("red", "hat"))
    lesson = Lesson(torch.randn(4, 8, 8, dtype=card.dtype), torch.ones(32, 32), "a photo of a [I] red panda", "red panda")
    options = LearningOptions(start_steps=8, token_steps=1, joint_steps=1, batch=1)
    (learned,) = drive(learn_concepts(card, (lesson,), options), card.evaluate)
    alone = with_card(backbone, attribute_words=("hat",))
    (other,) = drive(learn_concepts(alone, (lesson,), options), alone.evaluate)
    assert torch.equal(learned.token, other.token)
    assert learned.subject == "red panda"
