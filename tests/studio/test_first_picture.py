"""From the empty page to a first picture, and what the page looks like on the way."""

from __future__ import annotations

from playwright.sync_api import Browser, expect

from tests.studio import acting
from tests.studio.browser import new_context, opened
from tests.studio.conftest import OpenStudio
from tests.studio.service import Service
from tests.studio.states import look_at


def test_a_sample_becomes_a_picture_in_two_clicks(open_studio: OpenStudio) -> None:
    page, _ = open_studio()
    expect(page.locator("#samples img")).to_have_count(4)
    look_at(page, "empty")
    acting.sample(page)
    expect(page.locator("#sentence")).to_have_text("“a photo of a woman with long red hair”")
    assert acting.painted(page) > 10_000
    look_at(page, "ready")
    acting.edit(page)
    acting.result(page)
    expect(page.locator("#report")).to_contain_text("not one pixel has changed")
    look_at(page, "result")


def test_the_page_says_which_model_it_has(open_studio: OpenStudio) -> None:
    page, _ = open_studio()
    expect(page.locator("#model-line")).to_contain_text("portraits-128")
    expect(page.locator("#model-line")).to_contain_text("S2EDIT_MODEL")
    page.get_by_role("button", name="More", exact=True).click()
    words = page.locator("#chips button").all_inner_texts()
    assert {"red hair", "smiling", "glasses", "eye shadow", "a beard"} <= set(words)
    page.get_by_role("button", name="glasses", exact=True).first.click()  # the chip: no sample is called so before
    expect(page.locator("#words")).to_have_value("glasses")


def test_the_page_is_painted_within_300_ms(browser: Browser, service: Service) -> None:
    """Each time for the first time: nothing of it is in a cache."""
    paints = []
    for _ in range(3):  # a busy machine disturbs some
        with (
            new_context(browser, "desktop") as context,
            opened(context, service.url, scheme="light", key=service.key) as (page, _watch),
        ):
            expect(page.locator("#samples img")).to_have_count(4)
            paints.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
    assert min(paints) <= 300
