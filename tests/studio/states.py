"""Look at a state of the page at both sizes, light and dark: accessibility by axe-core, and a screenshot of each."""

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
    """Check the page as it is now at both sizes, light and dark, and keep a screenshot of each as `NAME-SIZE-SCHEME.png`.

    Each is scrolled so that the element `at`, a selector, is at the top if it would not be in view.
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
    if before is not None:
        page.set_viewport_size(before)
    page.emulate_media(color_scheme="dark" if was_dark else "light")
    assert not broken, "\n".join([f"{name} breaks rules of accessibility:", *broken])
