"""What other programs read in prompts is refused by name, and ordinary prose is not."""

from __future__ import annotations

import contextlib
import time

import pytest

from s2edit_core.errors import PromptInvalid
from s2edit_core.request.prompt_syntax import check_syntax


@pytest.mark.parametrize(
    ("prompt", "part", "hint"),
    [
        ("a woman with (red hair:1.3)", "(red hair:1.3)", "weights are not supported"),
        ("a woman with (red hair : 1.3 )", "(red hair : 1.3 )", "weights are not supported"),
        ("(a woman:2)", "(a woman:2)", "weights are not supported"),
        ("a woman with (red hair:.8)", "(red hair:.8)", "weights are not supported"),
        ("a woman with (red hair:-1)", "(red hair:-1)", "weights are not supported"),
        ("a woman with ((red)) hair", "((red))", "weights are not supported"),
        ("a woman with (((red hair:1.1)))", "(red hair:1.1)", "weights are not supported"),
        ("a woman with ( (red) ) hair", "( (red) )", "weights are not supported"),
        ("a woman with (red)1.4 hair", "(red)1.4", "weights are not supported"),
        ("a woman with (red)++ hair", "(red)++", "weights are not supported"),
        ("a woman with (red hair)-, smiling", "(red hair)-", "weights are not supported"),
        ("a woman with [red] hair", "[red]", "brackets mark identities and attributes"),
        ("a woman with [[red]] hair", "[red]", "brackets mark identities and attributes"),
        ("a woman with [red:blue:0.5] hair", "[red:blue:0.5]", "brackets mark identities and attributes"),
        ("a woman with [red|blue] hair", "[red|blue]", "brackets mark identities and attributes"),
        ("a photo of a [i] woman", "[i]", "such as [I] or [A]"),
        ("a woman [Red Hair]", "[Red Hair]", "brackets mark identities and attributes"),
        ("a woman <lora:sunglasses:0.8>", "<lora:sunglasses:0.8>", "LoRAs"),
        ("a woman, <LyCO:x:1:0.5>", "<LyCO:x:1:0.5>", "LoRAs"),
        ("a photo of <cat-toy>", "<cat-toy>", "embeddings"),
        ("a photo of <|endoftext|>", "<|endoftext|>", "refer to files"),
        ("a woman, embedding:EasyNegative", "embedding:EasyNegative", "embeddings"),
    ],
)
def test_a_notation_of_another_program_is_named(prompt: str, part: str, hint: str) -> None:
    for field in ("prompt", "source_prompt", "negative_prompt"):
        with pytest.raises(PromptInvalid) as refused:
            check_syntax(prompt, field=field)
        assert (refused.value.field, refused.value.reason) == (field, "prompt_syntax")
        assert repr(part) in str(refused.value)
        assert hint in str(refused.value)


@pytest.mark.parametrize(
    "prompt",
    [
        None,
        "",
        "a photo of a [I] woman with [A] makeup and [Hat_2]",
        "a photo of a woman [test:slow 5] [test:failed parked]",
        "a woman (smiling)",
        "a woman (with a hat) and (glasses)",
        "a woman (with a hat (red))",
        "a woman at noon (12:30)",
        "a poster (ratio 16:9) behind a woman",
        "a woman: red hair, 1.3 m tall",
        "a woman (note: smiling)",
        "a woman (see: nan) and (so: inf)",
        "a woman :) (:",
        "a woman with (blond)-ish hair",
        "a woman who loves you <3, 5 > 4",
        "a woman, 50% smile, 3-4 earrings, C++ on her shirt",
        "a wall embedding stones, a woman",
    ],
)
def test_ordinary_words_are_fine(prompt: str | None) -> None:
    check_syntax(prompt, field="prompt")


@pytest.mark.parametrize("part", ["(", "[", "<", "( ", "(a:", "((", "<a", "(a)+", "[a", "embedding:"])
def test_long_ones_are_read_at_once(part: str) -> None:
    began = time.process_time()
    with contextlib.suppress(PromptInvalid):
        check_syntax(part * (16_384 // len(part)), field="prompt")
    assert time.process_time() - began < 1
