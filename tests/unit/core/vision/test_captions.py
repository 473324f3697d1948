"""Captions by transformers' own classes, tiny and random, saved and loaded as any weights are."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from s2edit_core.errors import ModelUnusable, OptionInvalid
from s2edit_core.vision.captions import Captioner
from tests.models import tiny_readers

PHOTO = Image.effect_noise((40, 24), 80).convert("RGB")
Build = Callable[..., str]
WORDY = [tiny_readers.blip, tiny_readers.git, tiny_readers.encoder_decoder]


@pytest.mark.parametrize("build", WORDY)
def test_a_captioner_of_any_kind_says_what_it_sees(build: Build, tmp_path: Path) -> None:
    captioner = Captioner(build(tmp_path, says="woman"))
    assert captioner.caption(PHOTO, max_words=2).startswith("a photo of woman")
    assert captioner.caption(PHOTO, begin="a photo of", max_words=3).split()[3:] in ([["woman"] * n for n in (2, 3)])


@pytest.mark.parametrize("build", [*WORDY, tiny_readers.chat])
def test_a_caption_is_the_same_each_time(build: Build, tmp_path: Path) -> None:
    folder = build(tmp_path)
    said = {Captioner(folder).caption(PHOTO, max_words=5) for _ in range(2)} | {Captioner(folder).caption(PHOTO, max_words=5)}
    assert len(said) == 1
    assert said.pop().startswith("a photo of")


def test_a_model_with_a_chat_template_is_asked_and_the_question_is_no_answer(tmp_path: Path) -> None:
    captioner = Captioner(tiny_readers.chat(tmp_path))
    inputs, asked = captioner._inputs(PHOTO, "a photo of")
    assert inputs["input_ids"].shape[1] == asked > 5
    assert set(captioner.caption(PHOTO, max_words=3).split()) <= set(tiny_readers.WORDS)
    assert len(captioner.caption(PHOTO, max_words=3).split()) <= 3 + 3


@pytest.mark.parametrize(
    ("said", "caption"),
    [
        ("A woman with brown hair. She smiles.", "a photo of a woman with brown hair"),
        ("a black and white photo of a cat", "a photo of a black and white photo of a cat"),
        ("an old photograph of a man", "an old photograph of a man"),
        ("  A   picture of a man\nwith a hat", "A picture of a man"),
        ("a photo of a woman", "a photo of a woman"),
        ("", "a photo of"),
    ],
)
def test_what_a_model_says_becomes_one_sentence(said: str, caption: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    captioner = Captioner(tiny_readers.git(tmp_path))
    monkeypatch.setattr(captioner, "_generate", lambda *_: said)
    assert captioner.caption(PHOTO) == caption


def test_a_caption_has_a_word(tmp_path: Path) -> None:
    with pytest.raises(OptionInvalid, match="max_words must be 1 or more"):
        Captioner(tiny_readers.git(tmp_path)).caption(PHOTO, max_words=0)


def test_missing_weights_are_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match="can't be used to describe photos: name a folder"):
        Captioner(str(tmp_path))


def test_weights_without_a_head_are_not_made_up(tmp_path: Path) -> None:
    """transformers would draw what lacks at random, with no more than a warning."""
    file = Path(tiny_readers.git(tmp_path)) / "model.safetensors"
    save_file({name: tensor for name, tensor in load_file(file).items() if not name.startswith("output.")}, file, {"format": "pt"})
    with pytest.raises(ModelUnusable, match=r"lacks weights of GitForCausalLM \(output\."):
        Captioner(str(tmp_path))


def test_a_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    folder = Path(tiny_readers.git(tmp_path))
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "vocab_size": 4}))
    with pytest.raises(ModelUnusable, match="describe photos"):
        Captioner(str(folder))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModelUnusable, match=r"s2edit\[auto\]"):
        Captioner("anything")
