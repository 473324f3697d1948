"""Look at a state of the page at both sizes, light and dark: accessibility by axe-core, its width, and a screenshot of each."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.studio.browser import SCHEMES, SIZES

HERE = Path(__file__).resolve().parent
SCREENSHOTS = HERE / "screenshots"
AXE = HERE / "node_modules" / "axe-core" / "axe.min.js"
RUN = """async () => (await axe.run(document, {resultTypes: ['violations']})).violations.map(
  ({id, help, nodes}) => `${id}: ${help}: ${nodes.map(node => `${node.target} (${node.any.concat(node.all, node.none)
    .map(check => check.message).join('; ')})`).join(', ')}`)"""
NARROW = (320, 568)
"""The narrowest phone, and a window of 1280 pixels at 400 %, where WCAG 1.4.10 still permits no scrolling sideways."""
TOO_WIDE = """() => [document.documentElement, document.querySelector('.tab-body')].flatMap(each => {
  const right = each.getBoundingClientRect().left + each.clientWidth + 1;
  const wide = [...each.querySelectorAll('*')].filter(one => one.getBoundingClientRect().right > right);
  return each.scrollWidth > each.clientWidth ? wide.slice(0, 3).map(one => `too wide: ${one.outerHTML.slice(0, 90)}`) : [];
})"""
TARGETS = "button, a[href], input:not([type=radio]), select, summary, label.choice, [role=slider]"
TOO_SMALL = """targets => [...document.querySelectorAll(targets)].filter(one => {
  const {width, height} = one.getBoundingClientRect();
  return one.checkVisibility() && width && Math.min(width, height) < 44;
}).map(one => `too small for a finger: ${one.outerHTML.slice(0, 90)}`)"""


@cache
def axe() -> str:
    """Return the source of axe-core. `make test` installs it."""
    if not AXE.is_file():
        pytest.fail("axe-core is missing: run `make test`, or `npm ci` in tests/studio", pytrace=False)
    return AXE.read_text(encoding="utf-8")


def violations(page: Page) -> list[str]:
    """Return the rules that the page breaks. The browser's debugger runs axe-core, so the page's policy stays as it is."""
    if not page.evaluate("typeof axe !== 'undefined'"):
        page.evaluate(axe() + ";undefined")
    found: list[Any] = page.evaluate(RUN)
    return [str(one) for one in found]


def look_at(page: Page, name: str, *, at: str = "") -> None:
    """Check the page as it is now at both sizes, light and dark, and whether it fits a narrow phone.

    Keep a screenshot of each as `NAME-SIZE-SCHEME.png`, scrolled so that the element `at`, a selector, is at the top if it would
    not be in view.
    """
    before, was_dark = page.viewport_size, page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    SCREENSHOTS.mkdir(exist_ok=True)
    broken = []
    for size, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            if at:
                page.locator(at).evaluate(
                    "element => element.getBoundingClientRect().bottom > innerHeight && element.scrollIntoView()"
                )
            page.screenshot(path=SCREENSHOTS / f"{name}-{size}-{scheme}.png")
            broken += [f"{size}, {scheme}: {one}" for one in violations(page)]
        broken += [f"{size}: {one}" for one in page.evaluate(TOO_WIDE)]
        if size == "phone":
            broken += page.evaluate(TOO_SMALL, TARGETS)
    page.set_viewport_size({"width": NARROW[0], "height": NARROW[1]})
    broken += [f"{NARROW[0]} pixels: {one}" for one in page.evaluate(TOO_WIDE)]
    if before is not None:
        page.set_viewport_size(before)
    page.emulate_media(color_scheme="dark" if was_dark else "light")
    assert not broken, "\n".join([f"{name} breaks rules:", *broken])
