"""Fixtures: one service and one browser for all tests of a session, a tab without memory for each test.

def test_it(open_studio):
    page, watch = open_studio(size="phone")
    watch.allow("status of 422")
    ...
    look_at(page, "refused")
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.studio.browser import PATIENCE_MS, SIZES, Watch, launch, new_context, opened
from tests.studio.service import Service

OpenStudio = Callable[..., tuple[Page, Watch]]
QUICK = {"S2EDIT_LEASE_S": "3", "S2EDIT_HEARTBEAT_INTERVAL_S": "0.5", "S2EDIT_REAP_INTERVAL_S": "0.5"}
"""Settings by which a lost process is noticed soon."""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium. Playwright keeps an event loop in this thread, so no other test of this run may start one."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright, launch(playwright) as browser:
        yield browser


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service for all tests. A test that stops it starts it again."""
    service = Service(tmp_path_factory.mktemp("studio"), **QUICK)
    try:
        service.start()
        yield service
    finally:
        service.stop()


@pytest.fixture(scope="session")
def contexts(browser: Browser) -> Iterator[dict[str, BrowserContext]]:
    """A context per size of the window. All tests that open one page at a time share it."""
    found = {size: new_context(browser, size) for size in SIZES}
    yield found
    for context in found.values():
        context.close()


@pytest.fixture
def open_studio(contexts: dict[str, BrowserContext], service: Service) -> Iterator[OpenStudio]:
    """Return a function that opens the studio. At the test's end, each page is checked for what it did wrong."""
    with ExitStack() as stack:

        def open_one(
            path: str = "", *, url: str = "", size: str = "desktop", scheme: str = "light", key: str | None = None
        ) -> tuple[Page, Watch]:
            chosen = service.key if key is None else key
            return stack.enter_context(opened(contexts[size], f"{url or service.url}/{path}", scheme=scheme, key=chosen))

        yield open_one
