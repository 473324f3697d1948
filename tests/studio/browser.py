"""The browser, and what a page must not do in it: report an error, break its own policy or ask another server."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Playwright,
    Request,
    ViewportSize,
    WebError,
    sync_playwright,
)

NAMES = ("chromium", "chromium-browser", "google-chrome")
MISSING = (
    "no Chromium: the tests of the studio need one. Install it by `make browser`, by `apt-get install chromium` as root, or by "
    "`.venv/bin/playwright install chromium`; or put chromium, chromium-browser or google-chrome on PATH"
)
LAN = "192.168.77.7"
"""An address of another machine, as far as the browser is concerned: it is no secure context. Requests go to this machine."""
SIZES = {"desktop": (1280, 800), "phone": (390, 844)}
SCHEMES = ("light", "dark")
BLANK = "about:blank"
PATIENCE_MS = 15_000.0
"""How long an action or an expectation may wait. A busy machine needs seconds for what takes a tenth of one."""
REPORT_VIOLATIONS = """addEventListener('securitypolicyviolation', event =>
  console.error(`policy violated: ${event.violatedDirective} refuses ${event.blockedURI}`), true);"""


def launch(playwright: Playwright) -> Browser:
    """Start the Chromium on PATH, else Playwright's own. Without either, fail and say how to install one."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None and not Path(playwright.chromium.executable_path).exists():
        pytest.fail(MISSING, pytrace=False)
    return playwright.chromium.launch(executable_path=found, args=[f"--host-resolver-rules=MAP {LAN} 127.0.0.1"])


def own() -> bool:
    """Return whether Playwright's own Chromium is installed."""
    with sync_playwright() as playwright:
        return Path(playwright.chromium.executable_path).exists()


@dataclass
class Watch:
    """What the pages of a test have done wrong. A test lists in `allowed` the console errors that it provokes, as patterns."""

    origins: set[str]
    allowed: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def attach(self, context: BrowserContext) -> None:
        context.on("console", self._on_console)
        context.on("weberror", self._on_error)
        context.on("request", self._on_request)

    def detach(self, context: BrowserContext) -> None:
        context.remove_listener("console", self._on_console)
        context.remove_listener("weberror", self._on_error)
        context.remove_listener("request", self._on_request)

    def allow(self, *patterns: str) -> None:
        """Accept console errors that match one of `patterns`, such as `status of 401`."""
        self.allowed += patterns

    def check(self) -> None:
        """Fail if a page reported an unexpected error, violated its policy or asked another server."""
        assert not self.foreign, f"asked other servers: {self.foreign}"
        unexpected = [error for error in self.errors if not any(re.search(pattern, error) for pattern in self.allowed)]
        assert not unexpected, f"the console shows errors: {unexpected}"

    def _on_error(self, error: WebError) -> None:
        self.errors.append(str(error.error))

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location.get('url', '')})")

    def _on_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob") and f"{parts.scheme}://{parts.netloc}" not in self.origins:
            self.foreign.append(request.url)


def new_context(browser: Browser, size: str) -> BrowserContext:
    """Return a context without cookies, storage and cache. On a phone, its pages have a touch screen."""
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        has_touch=size == "phone",
        is_mobile=size == "phone",
        accept_downloads=True,
        reduced_motion="reduce",  # a screenshot shows no half transition
    )
    context.set_default_timeout(PATIENCE_MS)
    context.add_init_script(REPORT_VIOLATIONS)
    return context


@contextmanager
def opened(context: BrowserContext, url: str, *, scheme: str, key: str) -> Iterator[tuple[Page, Watch]]:
    """Open `url` in a tab of `context` that remembers nothing. The tab has `key`, unless it is empty.

    An unused tab of `context` is taken, with its renderer and its cache: that costs a third of what a new tab does.
    """
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(url))
    watch = Watch({origin})
    page = next((tab for tab in context.pages if tab.url == BLANK), None) or context.new_page()
    size = page.viewport_size
    watch.attach(context)
    try:
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        _goto_afresh(page, url, origin, key)
        yield page, watch
        if not page.is_closed():
            page.evaluate("1")  # its answer comes after the reports that are on their way
        watch.check()
    finally:
        _leave(page, size)
        watch.detach(context)


def _goto_afresh(page: Page, url: str, origin: str, key: str) -> None:
    """Open `url` without what earlier pages of `origin` have stored. The storage of the tab can only be cleared from within."""
    session = page.context.new_cdp_session(page)
    session.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "cookies,indexeddb,local_storage"})
    begin = "sessionStorage.clear();" + (f"sessionStorage.setItem('s2edit-key', {json.dumps(key)});" if key else "")
    session.send("Page.enable")
    session.send("Page.addScriptToEvaluateOnNewDocument", {"source": begin})
    page.goto(url)
    session.detach()  # takes the script along: a reload keeps what is stored


def _leave(page: Page, size: ViewportSize | None) -> None:
    """Close the tabs that a test has opened besides `page`, and leave `page` for the next test, in its first `size`."""
    for tab in page.context.pages:
        if tab != page:
            tab.close()
    if not page.is_closed():
        page.unroute_all(behavior="ignoreErrors")
        if size is not None and page.viewport_size != size:
            page.set_viewport_size(size)
        page.goto(BLANK)
