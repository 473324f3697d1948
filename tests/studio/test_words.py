"""What is typed into the studio: instructions, what shall be gone, and words that change nothing."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.studio import acting
from tests.studio.conftest import OpenStudio
from tests.studio.states import look_at

SOURCE = "a photo of a woman with long brown hair"
INSTRUCTIONS = {
    "make her hair red and add a hat": ("red hair, a hat", "“a photo of a woman with long red hair and a hat”"),
    "turn the woman into a man": ("a photo of a man", "“a photo of a man”"),
    "make her hair red please": ("red hair", "“a photo of a woman with long red hair”"),
    "make her smile please": ("smiling", "“a photo of a smiling woman with long brown hair”"),
    "can you make the woman smile": ("smiling", "“a photo of a smiling woman with long brown hair”"),
    "give the woman long red hair": ("long red hair", "“a photo of a woman with long red hair”"),
    "take off her hat": ("no hat", f"“{SOURCE}”, from “{SOURCE} and a hat”"),
    "she should smile": ("smiling", "“a photo of a smiling woman with long brown hair”"),
    "make her hair red!": ("red hair", "“a photo of a woman with long red hair”"),
    "could you please give her a hat?": ("a hat", "“a photo of a woman with long brown hair and a hat”"),
    "remove her glasses": ("no glasses", f"“{SOURCE}”, from “{SOURCE} and glasses”"),
}
"""What the page proposes for an instruction, and its sentence after a click on that."""


LISTEN = """async () => {
  const {studio} = await import('./studio/studio.js');
  window.sent = [];
  const texts = fields => fields.filter(([, value]) => typeof value === 'string');
  studio.on('sent', ({ path, fields }) => path === 'edits' && window.sent.push(texts(fields)));
}"""


def listen(page: Page) -> None:
    """Note from now on what the page asks for. Playwright does not show forms with files."""
    page.evaluate(LISTEN)


def sent(page: Page) -> list[dict[str, str]]:
    """Return the texts of each request for an edit."""
    return [dict(fields) for fields in page.evaluate("window.sent")]


def source(page: Page, text: str) -> None:
    """Describe the photo, in the field that More options shows."""
    page.locator("#more summary").click()
    page.fill("#source_prompt", text)


def test_an_instruction_is_answered_with_how_to_say_it(open_studio: OpenStudio) -> None:
    page, _ = open_studio()
    acting.sample(page)
    listen(page)
    page.locator("#more summary").click()
    for typed, (words, sentence) in INSTRUCTIONS.items():
        page.fill("#source_prompt", SOURCE)
        page.fill("#words", typed)
        expect(page.locator("#sentence")).to_have_text(
            f"Describe what the picture shall show, not what to do. For example: “{words}”"
        )
        if typed == "make her hair red and add a hat":
            look_at(page, "instruction")
        page.get_by_role("button", name=f"“{words}”", exact=True).click()
        expect(page.locator("#words")).to_have_value(words)
        expect(page.locator("#sentence")).to_have_text(sentence)
    assert not sent(page)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("make her hair red and add a hat", "Describe what the picture shall show, not what to do."),
        ("blur the background", "Describe what the picture shall show, not what to do."),
        ("she has red hair", "Describe what the picture shall show, such as “red hair”."),
    ],
)
def test_an_instruction_is_not_sent(open_studio: OpenStudio, typed: str, said: str) -> None:
    page, _ = open_studio()
    acting.sample(page)
    listen(page)
    acting.edit(page, typed)  # before the page has asked by itself
    expect(page.locator("#message")).to_have_text(said)
    expect(page.locator("#sentence")).to_contain_text(said)
    expect(page.locator("#words")).to_be_focused()
    assert not sent(page)


@pytest.mark.parametrize(
    ("typed", "fields"),
    [
        ("no glasses", {"prompt": "a photo of a woman", "source_prompt": "a photo of a woman with glasses", "subject": "woman"}),
        (
            "a woman without a hat",
            {"prompt": "a woman", "source_prompt": "a photo of a woman with a hat", "subject": "woman"},
        ),
        ("freckles", {"prompt": "a photo of a woman with freckles", "source_prompt": "a photo of a woman", "subject": "woman"}),
    ],
)
def test_what_shall_be_gone_is_in_the_photo(open_studio: OpenStudio, typed: str, fields: dict[str, Any]) -> None:
    page, _ = open_studio()
    acting.photo(page)
    listen(page)
    acting.edit(page, typed)
    acting.result(page)
    (asked,) = sent(page)
    assert asked | fields == asked


def test_another_subject_has_the_word_of_the_photo_beside_it(open_studio: OpenStudio) -> None:
    page, _ = open_studio()
    acting.photo(page)
    listen(page)
    page.fill("#words", "turn the woman into a man")
    page.get_by_role("button", name="“a photo of a man”", exact=True).click()
    acting.edit(page)
    acting.result(page)
    (fields,) = sent(page)
    assert (fields["prompt"], fields["source_prompt"]) == ("a photo of a [I] man", "a photo of a woman")
    assert "subject" not in fields


@pytest.mark.parametrize("typed", ["neutral", "a woman"])
def test_words_that_change_nothing_are_not_sent(open_studio: OpenStudio, typed: str) -> None:
    page, _ = open_studio()
    acting.photo(page)
    source(page, "a photo of a woman")
    listen(page)
    acting.edit(page, typed)
    expect(page.locator("#message")).to_contain_text("The photo shows that already")
    expect(page.locator("#sentence")).to_contain_text("The photo shows that already")
    assert not sent(page)
