from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from s2edit_core.base_model.model_card import ModelCard
from s2edit_core.errors import ModelUnusable, PromptInvalid
from s2edit_core.request.domains import Domain
from s2edit_core.request.spec import EditRequest
from s2edit_jobs.records.vocabulary import MAX_TOKENS as CLIP_MAX_TOKENS
from s2edit_jobs.records.vocabulary import Vocabulary, load_vocabulary
from tests.unit.api.model_folder import MAX_TOKENS, write_model_folder

TEXTS = [
    "a photo of a woman",
    "a  photo\tof a SMILING man, who's 30!",
    "a [I] woman with red hair",
    "[I]woman",
    "Zoë's café – naïve 💄",
    "",
    "woman " * 90,
]


def load(folder: Path) -> Vocabulary:
    vocabulary = load_vocabulary(str(folder))
    assert vocabulary is not None
    return vocabulary


@pytest.fixture
def vocabulary(tmp_path: Path) -> Vocabulary:
    return load(write_model_folder(tmp_path / "model"))


@pytest.mark.parametrize("whole", [False, True], ids=["vocab.json and merges.txt", "tokenizer.json"])
def test_it_counts_as_the_models_own_tokenizer_does(tmp_path: Path, whole: bool) -> None:
    from transformers import CLIPTokenizer

    folder = write_model_folder(tmp_path / "model", whole=whole)
    assert (folder / "tokenizer" / "tokenizer.json").exists() == whole
    theirs = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    theirs.add_tokens(["[I]"])
    ours = load(folder)
    assert [ours.tokenizer.encode(text).ids for text in TEXTS] == [theirs(text).input_ids for text in TEXTS]


def test_the_placeholder_is_one_token(vocabulary: Vocabulary) -> None:
    assert vocabulary.count("woman") == 3  # begin, woman, end
    assert vocabulary.count("[I] woman") == 4


def test_the_card_says_who_the_subjects_are(vocabulary: Vocabulary) -> None:
    assert vocabulary.subjects == ("woman", "man")
    assert vocabulary.domains == (Domain(("woman", "man"), ("smiling", "glasses")),)


def test_a_prompt_that_just_fits_is_taken_and_one_token_more_is_not(vocabulary: Vocabulary) -> None:
    fits = "woman " * (MAX_TOKENS - 3)  # begin, end and the placeholder take three places
    prompts = vocabulary.check(EditRequest(prompt=fits, source_prompt="a woman"))
    assert vocabulary.count(prompts.target) == MAX_TOKENS
    with pytest.raises(PromptInvalid, match=f"has {MAX_TOKENS + 1} tokens.*the limit is {MAX_TOKENS}") as caught:
        vocabulary.check(EditRequest(prompt=fits + "woman", source_prompt="a woman"))
    assert (caught.value.field, caught.value.reason) == ("prompt", "prompt_too_long")


def test_a_source_prompt_that_is_too_long_is_named(vocabulary: Vocabulary) -> None:
    with pytest.raises(PromptInvalid) as caught:
        vocabulary.check(EditRequest(prompt="a woman", source_prompt="woman " * MAX_TOKENS))
    assert (caught.value.field, caught.value.reason) == ("source_prompt", "prompt_too_long")


def test_a_prompt_without_a_subject_is_refused(vocabulary: Vocabulary) -> None:
    with pytest.raises(PromptInvalid) as caught:
        vocabulary.check(EditRequest(prompt="a dog"))
    assert (caught.value.field, caught.value.reason) == ("prompt", "subject_unknown")


def test_a_relative_folder_is_found_from_the_project_root(tmp_path: Path) -> None:
    write_model_folder(tmp_path / "models" / "tiny")
    assert load_vocabulary("models/tiny", root=tmp_path) is not None


def test_a_model_in_one_file_has_the_words_of_clip(tmp_path: Path) -> None:
    (tmp_path / "model.ckpt").touch()
    (tmp_path / "model.s2edit.json").write_text(json.dumps({"subjects": ["cat"], "prediction_type": "epsilon"}))
    words = load(tmp_path / "model.ckpt")
    assert words.tokenizer.encode("a photo of a cat").ids == [49406, 320, 1125, 539, 320, 2368, 49407]
    assert (words.max_tokens, words.domains) == (77, (Domain(("cat",), ModelCard().word_bank("woman")),))
    assert words.count("a photo of a [I] cat") == 8


def test_a_hub_id_has_nothing_to_check_here() -> None:
    assert load_vocabulary("CompVis/stable-diffusion-v1-4") is None


@pytest.mark.parametrize("max_tokens", [None, 10**30])
def test_without_a_limit_of_its_own_a_tokenizer_has_clips(tmp_path: Path, max_tokens: int | None) -> None:
    assert load(write_model_folder(tmp_path / "model", max_tokens=max_tokens)).max_tokens == CLIP_MAX_TOKENS


def test_a_plain_stable_diffusion_folder_knows_the_usual_subjects(tmp_path: Path) -> None:
    folder = write_model_folder(tmp_path / "model")
    (folder / "s2edit.json").unlink()
    assert load(folder).check(EditRequest(prompt="a photo of a girl")).subject == "girl"


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("s2edit.json", "not json"),
        ("s2edit.json", "[]"),
        ("s2edit.json", json.dumps({"guidance_scale": "much"})),
        ("tokenizer/vocab.json", json.dumps({"a": 0})),
        ("tokenizer/merges.txt", "one two three\n"),
        ("tokenizer/merges.txt", "not there\n"),
        ("tokenizer/tokenizer.json", "{}"),
        ("tokenizer/tokenizer_config.json", json.dumps({"model_max_length": "long"})),
    ],
)
def test_a_broken_folder_is_one_clear_error(tmp_path: Path, file: str, content: str) -> None:
    folder = write_model_folder(tmp_path / "model")
    (folder / file).write_text(content)
    with pytest.raises(ModelUnusable, match="'model'"):
        load_vocabulary(str(folder))


def test_a_folder_without_a_tokenizer_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable):
        load_vocabulary(str(tmp_path))


def test_counting_tokens_loads_no_torch() -> None:
    code = "import sys, s2edit_jobs.records.vocabulary; print(sorted({'torch', 'diffusers', 'transformers'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
