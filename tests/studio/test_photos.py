"""Photos: what is taken, what is refused at once, and what stays on the stage."""

from __future__ import annotations

import io

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from s2edit_core.base_model.model_files import SHIPPED_NAME
from tests.studio import acting
from tests.studio.conftest import OpenStudio
from tests.studio.service import Service
from tests.studio.states import look_at

SIZE = "import('./studio/studio.js').then(({studio: {photo}}) => [photo.width, photo.height, photo.blob.type, photo.blob.size])"
DROP = """async ([bytes, name]) => {
  const data = new DataTransfer();
  data.items.add(new File([new Uint8Array(bytes)], name, {type: 'image/png'}));
  const options = {dataTransfer: data, bubbles: true, cancelable: true};
  for (const type of ['dragover', 'drop']) document.body.dispatchEvent(new DragEvent(type, options));
}"""
LIMITS = "limits => import('./studio/studio.js').then(({studio}) => Object.assign(studio.model, limits))"
PASTE = """async bytes => {
  const data = new DataTransfer();
  data.items.add(new File([new Uint8Array(bytes)], 'image.png', {type: 'image/png'}));
  document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true}));
}"""


def size(page: Page) -> list[object]:
    found: list[object] = page.evaluate(SIZE)
    return found


def test_a_photo_is_dropped_or_pasted(open_studio: OpenStudio) -> None:
    page, _ = open_studio()
    page.evaluate(DROP, [list(acting.picture(200, 100)), "dropped.png"])
    expect(page.locator("body")).to_have_attribute("data-state", "ready")
    assert size(page)[:2] == [200, 100]
    page.evaluate(PASTE, list(acting.picture(120, 160)))
    page.wait_for_function(f"() => {SIZE}.then(found => found[0] === 120)")


def test_an_unreadable_file_leaves_the_photo_and_says_so(open_studio: OpenStudio) -> None:
    page, _ = open_studio()
    acting.choose(page, b"GIF89a, but no picture", "first.gif", "image/gif")
    expect(page.locator("#message")).to_contain_text("first.gif is not a picture")
    expect(page.locator("body")).to_have_attribute("data-state", "empty")
    acting.photo(page, acting.picture(320, 240))
    acting.choose(page, b"no picture either", "second.jpg", "image/jpeg")
    expect(page.locator("#message")).to_contain_text("second.jpg is not a picture")
    expect(page.locator("#message")).to_contain_text("still the one from before")
    assert size(page)[:2] == [320, 240]


def test_what_the_service_would_refuse_is_made_fit_at_once(open_studio: OpenStudio) -> None:
    page, _ = open_studio()
    expect(page.locator("#model-line")).to_contain_text(SHIPPED_NAME)
    acting.photo(page, acting.picture(200, 160, kind="GIF"), "still.gif")
    expect(page.locator("#message")).to_contain_text("saved as PNG")
    assert size(page)[:3] == [200, 160, "image/png"]
    page.evaluate(LIMITS, {"max_upload_bytes": 50e6, "max_pixels": 13e6})
    large = io.BytesIO()
    Image.new("L", (4800, 3600), 90).save(large, "JPEG", quality=40)
    acting.choose(page, large.getvalue(), "large.jpg", "image/jpeg")
    expect(page.locator("#message")).to_contain_text("scaled to 4000 × 3000 pixels")
    page.evaluate(LIMITS, {"max_upload_bytes": 2_300_000, "max_pixels": 50e6})
    heavy = acting.picture(500, 400, noise=90)
    assert len(heavy) > 300_000
    acting.choose(page, heavy, "heavy.png")
    expect(page.locator("#message")).to_contain_text("up to 0.3 MB")
    width, height, kind, weight = size(page)
    assert (width, height, kind) == (500, 400, "image/jpeg")
    assert isinstance(weight, int)
    assert weight < 300_000


def test_the_least_photo_is_that_of_the_service(open_studio: OpenStudio, service: Service) -> None:
    page, _ = open_studio()
    acting.choose(page, acting.picture(31, 64), "tiny.png")
    expect(page.locator("#message")).to_have_text("tiny.png has only 31 × 64 pixels. Choose a photo of at least 32 on each side.")
    acting.photo(page, acting.picture(32, 64))
    with service.client() as api:
        least = api.get("/model").json()["min_side"]
    assert least == 32


def test_a_photo_that_only_the_service_can_read_is_sent_as_it_is(open_studio: OpenStudio, service: Service) -> None:
    """Chromium can't show HEIC."""
    page, _ = open_studio(key=service.new_key("heic"))
    heic = acting.heic(640, 480)
    acting.choose(page, heic, "IMG_1.HEIC", "image/heic")
    expect(page.locator("#message")).to_contain_text("IMG_1.HEIC is sent as it is")
    expect(page.locator("#paint-tools")).to_be_hidden()
    assert size(page)[2:] == ["image/heic", len(heic)]
    look_at(page, "heic")
    acting.edit(page, "red hair")
    acting.result(page)
    assert page.locator("#handle").is_hidden()  # there is nothing to compare with
    assert page.evaluate("import('./studio/picture/stage.js').then(stage => stage.current().fit * 640 <= innerWidth)")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#strip img")).to_have_count(2)
    acting.result(page)
    page.reload()  # the browser keeps the file
    acting.result(page)
    page.get_by_role("button", name="Go on from here").click()
    expect(page.locator("body")).to_have_attribute("data-state", "ready")
    assert size(page)[:3] == [640, 480, "image/png"]


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"photo_types": ["image/png"]}, "Neither this browser nor the service can read HEIC photos. Save a.heic as JPEG."),
        ({"max_upload_bytes": 2_000_100}, "this browser can’t scale HEIC photos. Save it as JPEG."),
    ],
)
def test_a_photo_that_nobody_can_read_is_refused_at_once(open_studio: OpenStudio, limits: dict[str, object], words: str) -> None:
    page, _ = open_studio()
    expect(page.locator("#model-line")).to_contain_text(SHIPPED_NAME)
    page.evaluate(LIMITS, limits)
    acting.choose(page, acting.heic(64, 64), "a.heic", "image/heic")
    expect(page.locator("#message")).to_contain_text(words)
    expect(page.locator("body")).to_have_attribute("data-state", "empty")


def test_the_shipped_model_warns_before_it_spoils_a_real_photo(open_studio: OpenStudio) -> None:
    page, _ = open_studio()
    expect(page.locator("#model-line")).to_contain_text(SHIPPED_NAME)
    page.evaluate(LIMITS, {"test": False})
    acting.sample(page)
    expect(page.locator("#message")).to_be_hidden()
    acting.photo(page)
    expect(page.locator("#message")).to_have_text("This service has the small model for drawings: it can’t edit real photos well.")


def test_a_photo_that_is_chosen_during_an_edit_is_not_compared_with_its_result(open_studio: OpenStudio) -> None:
    page, _ = open_studio()
    acting.photo(page, acting.picture(320, 240, seed=1), "first.png")
    acting.edit(page, "red hair [test:slow 2]")
    expect(page.locator("#progress-words")).to_have_text("Editing")
    acting.choose(page, acting.picture(240, 320, seed=9), "second.png")
    expect(page.locator("#message")).to_contain_text("The edit of the other photo goes on")
    expect(page.locator("#strip img")).to_have_count(1)
    expect(page.locator("body")).to_have_attribute("data-state", "ready")
    assert size(page)[:2] == [240, 320]
    for name, side in (("third.png", 200), ("fourth.png", 400)):
        acting.photo(page, acting.picture(300, side), name)
        width, height = page.locator("#strip canvas").evaluate("canvas => [canvas.width, canvas.height]")
        assert (width > height) == (side < 300), "the strip shows the photo that is on the stage"
    page.locator("#strip img").click()
    acting.result(page)
    assert size(page)[:2] == [320, 240]
