"""The whole way by keyboard alone: from the empty page to a result, to a kept person and to the history."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.studio import acting
from tests.studio.conftest import OpenStudio
from tests.studio.service import Service

MOST_TABS = 60
FOCUSED = (
    "document.activeElement.getAttribute('aria-label') || document.activeElement.id || document.activeElement.textContent.trim()"
)
VISIBLE = """() => {
  const style = getComputedStyle(document.activeElement), after = getComputedStyle(document.activeElement, '::after');
  return [style, after].some(one => one.outlineStyle !== 'none' && parseFloat(one.outlineWidth) > 0);
}"""


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the focus is on what is called `name`. Each stop on the way shows that it has the focus."""
    passed = []
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        passed.append(page.evaluate(FOCUSED))
        assert passed[-1] == "" or page.evaluate("document.activeElement === document.body") or page.evaluate(VISIBLE), passed[-1]
        if passed[-1] == name:
            return
    raise AssertionError(f"Tab never reaches {name}, but {passed}")


def test_the_whole_page_can_be_used_by_keyboard_alone(open_studio: OpenStudio, service: Service) -> None:
    page, _ = open_studio(key=service.new_key("keyboard"))
    expect(page.locator("#samples img")).to_have_count(4)
    tab_to(page, "smiling")
    page.keyboard.press("Enter")
    expect(page.locator("body")).to_have_attribute("data-state", "ready")
    acting.settle(page)
    tab_to(page, "words")
    page.keyboard.type(", red hair")
    page.keyboard.press("Enter")
    acting.result(page)
    expect(page.locator("#handle")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    assert page.locator("#handle").get_attribute("aria-valuenow") != "50"

    tab_to(page, "tab-edit")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="People")).to_be_focused()
    tab_to(page, "person-name")
    page.keyboard.type("Ada")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Name of Ada")).to_be_visible()
    tab_to(page, "Use Ada")
    page.keyboard.press("Space")
    expect(page.locator("#using")).to_contain_text("Person: Ada")
    expect(page.get_by_role("tab", name="Edit")).to_be_focused()

    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    erase = page.locator("#history").get_by_role("button", name="Erase “")
    expect(erase).to_have_accessible_name(re.compile("red hair"))  # the card has its sentence a moment after it is there
    tab_to(page, str(erase.get_attribute("aria-label")))
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Erase for good")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".receipt")).to_be_focused()
