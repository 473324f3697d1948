"""The page as it is served, and the checks that all tests of the studio rely on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.studio import browser as browsers
from tests.studio.conftest import OpenStudio
from tests.studio.states import look_at


@pytest.mark.parametrize("size", browsers.SIZES)
def test_the_page_opens(open_studio: OpenStudio, size: str) -> None:
    page, _ = open_studio(size=size)
    expect(page.get_by_role("heading", name="S²Edit studio")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_what_a_page_does_wrong_is_seen(open_studio: OpenStudio) -> None:
    page, watch = open_studio()
    wrong = ("on purpose", "uncaught", "policy violated: script-src", "policy violated: connect-src")
    page.evaluate("console.error('on purpose')")
    page.evaluate("fetch('http://192.0.2.1/').catch(() => {})")
    page.evaluate("setTimeout(() => { throw new Error('uncaught') })")
    with page.expect_console_message(lambda message: "policy violated: script-src" in message.text):
        page.evaluate("document.body.append(Object.assign(document.createElement('script'), {textContent: '1'}))")
    assert all(any(one in error for error in watch.errors) for one in wrong), watch.errors
    with pytest.raises(AssertionError, match="console shows errors"):
        watch.check()
    watch.allow("")
    watch.check()
    page.goto("about:blank")  # it has no policy
    with page.expect_event("requestfailed"):
        page.evaluate("fetch('http://127.0.0.1:1/').catch(() => {})")
    with pytest.raises(AssertionError, match="asked other servers"):
        watch.check()
    watch.foreign.clear()


def test_what_is_hard_to_use_is_seen(open_studio: OpenStudio) -> None:
    page, _ = open_studio()
    page.evaluate("document.body.append(document.createElement('input'))")
    page.evaluate("document.body.lastChild.style.width = '360px'")
    with pytest.raises(
        AssertionError, match=r"(?s)phone, dark: label: .*too small for a finger: <input.*320 pixels: too wide: <input"
    ):
        look_at(page, "broken")


def test_a_missing_browser_is_an_error_that_says_how_to_install_one(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing: Any = SimpleNamespace(chromium=SimpleNamespace(executable_path="/nowhere/chromium"))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(pytest.fail.Exception, match=r"apt-get install chromium.*playwright install"):
        browsers.launch(nothing)
