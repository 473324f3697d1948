"""Whether the words of an edit ask for other colours, another light, makeup, another expression or things only."""

from __future__ import annotations

import pytest

from s2edit_core.delivery.asked import Asked, asked_for, asks_only_for


@pytest.mark.parametrize(
    ("source", "target", "asked"),
    [
        ("a photo of a [I] woman", "a photo of a [I] woman", "nothing"),
        ("a photo of a [I] woman", "A photo of  a [I] woman", "nothing"),
        ("a woman with long brown hair and a hat", "a woman with long red hair and a hat", "colours"),
        ("a photo of a [I] woman", "a [I] woman with dark red hair", "colours"),
        ("a photo of a woman", "a photo of a red-haired woman", "colours"),
        ("a black cat", "an orange cat", "colours"),
        ("a woman with a red hat", "a woman with a hat", "colours"),
        ("a woman with BROWN hair, smiling", "A woman with auburn hair, smiling", "colours"),
        ("a woman with brown hair and green eyes", "a woman with green hair and brown eyes", "colours"),
        ("a photo of a [I] woman", "a photo of a smiling [I] woman", "expression"),
        ("a man", "A man with a big smile", "expression"),
        ("a smiling man", "a surprised man, mouth open", "expression"),
        ("a smiling woman with a hat", "a woman with a hat", "expression"),
        ("a woman", "a smiling woman with red lips", "anything"),
        ("a woman", "a woman with an open mouth and a cigar", "anything"),
        ("a woman looking left", "a woman", "anything"),
        ("a woman with brown hair", "a woman with brown hair and a hat", "things"),
        ("a woman with brown hair", "a woman with long red hair", "anything"),
        ("a woman", "a woman with a red hat", "things"),
        ("a woman holding an apple", "a woman holding an orange", "anything"),
        ("a woman with a hat", "a woman", "things"),
        ("a photo of a cat wearing a collar and a hat, looking up", "a photo of a cat wearing a hat, looking up", "things"),
        ("a woman with glasses, a straw hat and earrings", "a woman with sunglasses and earrings", "things"),
        ("a photo of a woman", "a photo of a woman wearing a [Hat] straw hat", "things"),
        ("a man with short hair and a beard", "a man with short hair", "things"),
        ("a photo of a church", "a photo of a church at night", "tones"),
        ("a church in summer", "a church in autumn at sunset", "tones"),
        ("a [I] church", "a [I] church during the golden hour, early morning light", "tones"),
        ("a woman", "a woman in the warm evening light", "tones"),
        ("a photo of a [I] woman", "a photo of a [I] woman with [A] makeup", "makeup"),
        ("a woman with red hair", "a woman with red hair and makeup", "makeup"),
        ("a woman with red hair, heavy makeup and a hat", "a woman with red hair and a hat", "makeup"),
        ("a woman with short hair and earrings", "a woman with short hair, earrings and [A] makeup", "makeup"),
        ("a woman with glasses, bangs and a hat", "a woman with glasses, bangs, a hat and makeup, looking up", "anything"),
        ("a woman with curly hair and bangs", "a woman with curly hair, bangs and a hat", "things"),
        ("a woman", "a woman wearing dark red lipstick and blue Eye Shadow", "makeup"),
        ("a woman", "a woman with smoky make-up", "makeup"),
        ("a woman", "a woman with [A] lip gloss", "makeup"),
        ("a woman", "a woman with clown makeup", "anything"),
        ("a woman", "a woman in the shadow", "anything"),
        ("a woman", "a smiling woman with makeup", "anything"),
        ("a woman with brown hair", "a woman with red hair and makeup", "anything"),
        ("a woman", "a woman with makeup and a hat", "anything"),
        ("a woman with brown hair", "a woman with [A] hair", "anything"),
        ("a church at night", "a church at sunset", "anything"),
        ("a church at night", "a church", "anything"),
        ("a church in snow", "a church in autumn", "anything"),
        ("a church", "a church at night with scaffolding", "anything"),
        ("a woman", "a woman in a summer dress", "anything"),
        ("a woman with a hat", "a woman with red hair", "anything"),
        ("a woman with brown hair", "a woman with red hair and a hat", "anything"),
        ("a woman", "a smiling woman with a hat", "anything"),
        ("a woman", "a woman with a hat on a chair", "anything"),
        ("a woman with a straw hat", "a woman with a felt hat", "anything"),
        ("a woman with hair", "a woman with eyes", "anything"),
        ("a woman with black makeup", "a woman with [A] makeup", "makeup"),
        ("a woman with makeup", "a woman without makeup", "makeup"),
        ("a woman with heavy makeup", "a woman with light makeup", "makeup"),
        ("a woman with red lipstick", "a woman with pink lipsticks", "makeup"),
        ("a woman", "a [I] woman with [A] makeup", "makeup"),
        ("a woman", "a woman with smoky eye makeup and coral lipstick on her lips", "makeup"),
        ("a photo of a woman.", "a photo of a woman. She wears makeup.", "makeup"),
        ("a woman", "a woman, blonde, red lipstick", "anything"),
        ("a woman", "a woman with red lipstick, glasses", "anything"),
        ("a woman with no glasses", "a woman with glasses and no makeup", "anything"),
        ("a woman with big eyes and a small nose", "a woman with small eyes, a big nose and makeup", "anything"),
        ("a woman with a red hat", "a woman with a hat and red lipstick", "anything"),
        ("a church", "a church with a white foundation", "anything"),
        ("a woman with a hat, red hair", "a woman with red hair and a hat", "anything"),
        ("", "a woman with red hair", "anything"),
        ("a woman smiling", "a woman, smiling", "anything"),
        ("une femme aux cheveux bruns", "une femme aux cheveux roux", "anything"),
    ],
)
def test_what_an_edit_asks_for_is_told_by_the_words_that_differ(source: str, target: str, asked: Asked) -> None:
    assert asked_for(source, target) == asked


@pytest.mark.parametrize(
    ("source", "target", "attributes", "only"),
    [
        ("a photo of a [I] woman", "a photo of a [I] woman with [A] makeup", ["[A] makeup"], True),
        ("a photo of a woman with red hair", "a photo of a woman with red hair and [A]  Makeup", ["[A] makeup"], True),
        ("a photo of a woman", "a photo of a woman wearing a [Hat] straw hat", ["[Hat] straw hat"], True),
        ("a woman with short hair and bangs", "a woman with short hair, bangs and [A] makeup", ["[A] makeup"], True),
        ("a woman", "a woman with [A] makeup and [B] hat", ["[A] makeup", "[B] hat"], True),
        ("a photo of a woman", "a photo of a smiling woman with [A] makeup", ["[A] makeup"], False),
        ("a photo of a woman with red hair", "a photo of a woman with black hair and [A] makeup", ["[A] makeup"], False),
        ("a woman", "a woman with [A] makeup and a hat", ["[A] makeup"], False),
        ("a woman with [A] makeup", "a woman with [A] makeup", ["[A] makeup"], False),
        ("a woman", "a woman with [A] makeup", [], False),
    ],
)
def test_an_edit_may_ask_for_attributes_only(source: str, target: str, attributes: list[str], only: bool) -> None:
    assert asks_only_for(source, target, attributes) is only
