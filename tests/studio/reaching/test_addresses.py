"""The studio at other addresses: from another machine, and below the path prefix of a reverse proxy."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, expect

from cli.supervision.service import free_port
from s2edit_jobs.settings import ROOT
from s2edit_jobs.stores.embedded_redis import end_with_parent
from tests.studio import acting
from tests.studio.browser import LAN
from tests.studio.conftest import OpenStudio
from tests.studio.service import Service

PREFIX = "/photos/v1"


@contextmanager
def proxied(service: Service, *host: str) -> Iterator[str]:
    """Run a proxy in front of the service and yield its URL."""
    port = free_port()
    argv = [sys.executable, "-m", "tests.studio.reaching.proxy", str(port), str(service.port), PREFIX, *host]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, preexec_fn=end_with_parent(signal.SIGKILL)) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield f"http://127.0.0.1:{port}{PREFIX}"
        finally:
            process.terminate()


def use_everything(page: Page) -> None:
    """Edit a sample, then look at the history, at the people and at an export."""
    acting.sample(page)
    acting.edit(page)
    acting.result(page)
    acting.open_tab(page, "History")
    expect(page.locator("#history .photo").first).to_have_js_property("naturalWidth", 512)
    acting.open_tab(page, "People")
    expect(page.locator("#people .photo").first).to_have_js_property("naturalWidth", 512)
    with page.expect_download() as exporting:
        page.get_by_role("button", name="Export").first.click()
    assert exporting.value.failure() is None
    acting.open_tab(page, "Code")
    page.get_by_role("tabpanel").get_by_role("button", name="Copy").click()
    expect(page.locator("#message")).to_have_text("Copied.")
    assert page.url.rpartition("#")[0] in page.locator("#code code").inner_text()
    page.reload()
    acting.result(page)


def test_from_another_machine_everything_works(open_studio: OpenStudio, service: Service) -> None:
    """Its address is no secure context, so the page can't use the clipboard or `crypto.randomUUID`."""
    page, _ = open_studio(url=f"http://{LAN}:{service.port}", key=service.new_key("lan"))
    assert page.evaluate("isSecureContext") is False
    use_everything(page)


@pytest.mark.parametrize("keeps_host", [True, False], ids=["keeps-host", "bare"])
def test_below_a_path_prefix_everything_works(open_studio: OpenStudio, service: Service, keeps_host: bool) -> None:
    with proxied(service, *([] if keeps_host else [f"127.0.0.1:{service.port}"])) as url:
        page, _ = open_studio(url=url, key=service.new_key(f"prefix-{keeps_host}"))
        use_everything(page)
        assert page.url.startswith(f"{url}/#e_")
        page.goto("about:blank")  # the proxy ends before the page
