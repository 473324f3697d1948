"""What a user does in the studio, and what its stage then shows."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from playwright.sync_api import Page, expect

from tests.studio.browser import PATIENCE_MS

MASK = """async () => {
  const {studio} = await import('./studio/studio.js');
  const file = await studio.mask();
  if (!file) return null;
  const reader = new FileReader();
  await new Promise(done => { reader.onload = done; reader.readAsDataURL(file); });
  return reader.result.split(',')[1];
}"""


def picture(width: int, height: int, *, seed: int = 1, noise: int = 0, kind: str = "PNG") -> bytes:
    """Return a picture of a disc on a plain ground. `noise` makes the file large."""
    drawn = Image.new("RGB", (width, height), (120, 150, 60 + 9 * seed))
    reach = min(width, height) / 4
    box = (width / 2 - reach, height / 2 - reach, width / 2 + reach, height / 2 + reach)
    ImageDraw.Draw(drawn).ellipse(box, (200, 60 + seed, 90))
    if noise:
        grain = np.random.default_rng(seed).integers(0, noise, (height, width, 3), dtype=np.uint8)
        drawn = Image.fromarray(np.asarray(drawn) + grain)
    out = io.BytesIO()
    drawn.save(out, kind)
    return out.getvalue()


def heic(width: int, height: int) -> bytes:
    """Return a picture as a phone stores it."""
    out = io.BytesIO()
    pillow_heif.from_pillow(Image.open(io.BytesIO(picture(width, height)))).save(out, format="HEIF")
    return out.getvalue()


def choose(page: Page, data: bytes, name: str = "photo.png", mime: str = "image/png") -> None:
    """Choose a file as the button does, and wait until the page has taken it or said why not."""
    before = page.evaluate("document.getElementById('message').textContent = ''")
    assert not before
    page.set_input_files("#file", {"name": name, "mimeType": mime, "buffer": data})


def photo(page: Page, data: bytes | None = None, name: str = "photo.png") -> None:
    """Put a photo on the stage."""
    choose(page, data if data is not None else picture(320, 240), name)
    expect(page.locator("body")).to_have_attribute("data-state", "ready")
    settle(page)


def sample(page: Page, words: str = "red hair") -> None:
    page.get_by_role("button", name=words, exact=True).first.click()
    expect(page.locator("body")).to_have_attribute("data-state", "ready")
    settle(page)


def open_tab(page: Page, name: str) -> None:
    """Open a tab of the panel."""
    page.get_by_role("tab", name=name).click()


def settle(page: Page) -> None:
    """Wait until what was asked for is drawn."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def mask(page: Page) -> NDArray[np.bool_] | None:
    """Return where the person is painted, as the service would get it."""
    settle(page)
    data = page.evaluate(MASK)
    return None if data is None else np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("L")) >= 128


def painted(page: Page) -> int:
    """Return the number of painted pixels."""
    found = mask(page)
    return 0 if found is None else int(found.sum())


def edit(page: Page, words: str | None = None) -> None:
    """Start an edit."""
    if words is not None:
        page.fill("#words", words)
    if page.locator("#subject").is_visible() and not page.locator("#subjects input:checked").count():
        page.get_by_role("radio", name="woman", exact=True).check()
    page.get_by_role("button", name="Edit", exact=True).click()


def result(page: Page) -> None:
    """Wait for the result."""
    expect(page.locator("body")).to_have_attribute("data-state", "result", timeout=2 * PATIENCE_MS)
    settle(page)


def shown(page: Page, at: tuple[float, float]) -> tuple[int, int, int]:
    """Return the colour of the stage at a share of its width and height."""
    box: Any = page.locator("#stage").bounding_box()
    x, y = box["x"] + at[0] * box["width"], box["y"] + at[1] * box["height"]
    pixel = page.screenshot(clip={"x": x, "y": y, "width": 1, "height": 1})
    red, green, blue = Image.open(io.BytesIO(pixel)).convert("RGB").getpixel((0, 0))  # type: ignore[misc]
    return red, green, blue
