"""The pictures of the studio in the documentation.

`python -m tests.studio.pictures` copies screenshots of the tests, after `make test ARGS=tests/studio`. With `--model`, it makes the
picture of a result first: it starts the service with the shipped model and edits a sample.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import expect, sync_playwright

from s2edit_jobs.settings import ROOT
from tests.studio import acting
from tests.studio.browser import launch, new_context, opened
from tests.studio.service import Service
from tests.studio.states import SCREENSHOTS

EDIT_MS = 1_200_000.0
QUALITY = 85
RESULT = "model-result"
CHOSEN = {
    "studio.webp": RESULT,
    "studio-phone.webp": "ready-phone-light",
    "studio-people.webp": "people-erase-desktop-light",
    "studio-history.webp": "history-desktop-dark",
}
"""The picture in docs/images, by its name there, and the screenshot that it shows."""


class Shipped(Service):
    """The service as a new user starts it: with the shipped model, and without keys."""

    worker_app, settings = "worker.app", {}


def edit_by_the_model() -> None:
    """Edit the first sample by the shipped model, and keep a screenshot of the result."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright, launch(playwright) as browser:
        service = Shipped(Path(folder))
        service.start()
        try:
            with new_context(browser, "desktop") as context, opened(context, service.url, scheme="light", key="") as (page, _):
                acting.sample(page)
                acting.edit(page)
                expect(page.locator("body")).to_have_attribute("data-state", "result", timeout=EDIT_MS)
                acting.settle(page)
                SCREENSHOTS.mkdir(exist_ok=True)
                page.screenshot(path=SCREENSHOTS / f"{RESULT}.png")
        finally:
            service.stop()


def copy() -> None:
    for name, shown in CHOSEN.items():
        source = SCREENSHOTS / f"{shown}.png"
        if source.is_file():
            Image.open(source).convert("RGB").save(ROOT / "docs" / "images" / name, quality=QUALITY, method=6)
        elif shown != RESULT:
            sys.exit(f"{source.name} is missing: run `make test ARGS=tests/studio` first")


if __name__ == "__main__":
    if "--model" in sys.argv[1:]:
        edit_by_the_model()
    copy()
