"""The tokenizer of the trained models: a token for each known word, and bytes for all other text."""

from __future__ import annotations

import pytest

from lab.training.tokenizer import build_tokenizer
from lab.world.domains import DOMAINS


@pytest.mark.parametrize("name", DOMAINS)
def test_every_word_of_a_domain_is_one_token(name: str) -> None:
    words = DOMAINS[name].words
    tokenizer = build_tokenizer(sorted(words))
    assert not [word for word in words if len(tokenizer(word, add_special_tokens=False).input_ids) != 1]


@pytest.mark.parametrize("text", ["zebra", "Zoë's café 💄", "a woman!?", "hats"])
def test_any_other_text_is_encoded_in_bytes_and_decoded_again(text: str) -> None:
    tokenizer = build_tokenizer()
    ids = tokenizer(text, add_special_tokens=False).input_ids
    assert tokenizer.decode(ids).replace(" ", "") == text.lower().replace(" ", "")
