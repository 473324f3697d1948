"""Results: comparing, saving, and what can be made of them."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect

from s2edit_core.delivery.report import OUTSIDE, UNCHANGED
from tests.studio import acting
from tests.studio.browser import new_context, opened
from tests.studio.conftest import OpenStudio
from tests.studio.service import Service
from tests.studio.states import look_at

NOTHING = "Nothing has changed visibly. Say more clearly what shall be different, and see that “Only this region” covers it."


@pytest.fixture(scope="module")
def done(browser: Browser, service: Service) -> Iterator[Page]:
    """One result that several tests look at, in a context of its own: other tests open their pages meanwhile."""
    with (
        new_context(browser, "desktop") as context,
        opened(context, f"{service.url}/", scheme="light", key=service.key) as (page, _),
    ):
        acting.sample(page)
        acting.edit(page)
        acting.result(page)
        yield page


@pytest.mark.parametrize(
    ("warning", "words"),
    [
        (OUTSIDE, NOTHING),
        (UNCHANGED, NOTHING),
        ("a warning of a later release", "a warning of a later release"),
    ],
)
def test_the_warnings_of_a_report_come_first(open_studio: OpenStudio, warning: str, words: str) -> None:
    page, _ = open_studio()

    def warn(route: Route) -> None:
        answer = route.fetch()
        edit = answer.json()
        if report := edit.get("report"):
            report["values"]["warnings"] = [warning]
        route.fulfill(response=answer, json=edit)

    page.route(re.compile(r"/edits(/e_\w+)?$"), warn)
    acting.sample(page)
    acting.edit(page)
    acting.result(page)
    expect(page.locator("#report p").first).to_have_text(words)
    page.unroute_all(behavior="ignoreErrors")


def test_the_handle_on_the_picture_compares(done: Page) -> None:
    page = done
    original, edited = acting.shown(page, (0.4, 0.35)), acting.shown(page, (0.6, 0.35))
    assert original != edited
    page.locator("#handle").focus()
    page.keyboard.press("End")
    acting.settle(page)
    assert acting.shown(page, (0.6, 0.35)) != edited
    page.keyboard.press("Home")
    acting.settle(page)
    assert acting.shown(page, (0.4, 0.35)) != original
    page.get_by_role("button", name="Original").hover()
    page.mouse.down()
    acting.settle(page)
    assert acting.shown(page, (0.4, 0.35)) == original
    page.mouse.up()
    acting.settle(page)
    assert acting.shown(page, (0.4, 0.35)) != original
    box = page.locator("#handle").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 300)
    page.mouse.down()
    page.mouse.move(450, 300, steps=3)
    page.mouse.up()
    assert 20 < int(page.locator("#handle").get_attribute("aria-valuenow") or 0) < 95


def test_the_differences_show_that_nothing_outside_changed(done: Page) -> None:
    button = done.get_by_role("button", name="Differences")
    button.click()
    acting.settle(done)
    pixels = np.asarray(Image.open(io.BytesIO(done.locator("#view").screenshot())).convert("L"))
    look_at(done, "differences")
    button.click()
    middle, half = pixels.shape[1] // 2, pixels.shape[0] // 2
    assert pixels[:, middle].max() > 100  # the person
    assert pixels[20:60, middle - half + 8 : middle - half + 40].max() == 0  # a corner of the photo


def test_a_result_is_saved_in_the_chosen_format(done: Page, tmp_path: Path) -> None:
    for kind, suffix in (("PNG", "png"), ("JPEG", "jpg"), ("WebP", "webp")):
        done.get_by_label("Format").select_option(label=kind)
        with done.expect_download() as waiting:
            done.get_by_role("button", name="Save").click()
        assert waiting.value.suggested_filename.endswith(f".{suffix}")
        waiting.value.save_as(tmp_path / suffix)
        with Image.open(tmp_path / suffix) as saved:
            assert (saved.format, saved.size) == (kind.upper(), (512, 512))


def test_a_result_is_copied(done: Page) -> None:
    done.context.grant_permissions(["clipboard-read", "clipboard-write"])
    done.get_by_role("button", name="Copy", exact=True).click()
    expect(done.locator("#message")).to_have_text("The picture is in the clipboard.")
    assert done.evaluate("navigator.clipboard.read().then(([item]) => item.types)") == ["image/png"]


def test_more_pictures_differ_and_an_edit_goes_on_from_its_result(done: Page) -> None:
    page = done
    page.get_by_role("button", name="Three more").click()
    expect(page.locator("#strip img")).to_have_count(4)
    acting.result(page)
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#strip img")).to_have_count(5)
    acting.result(page)
    inside = (0.62, 0.25)
    colours = set()
    for number in range(5):
        page.locator("#strip img").nth(number).click()
        acting.settle(page)
        colours.add(acting.shown(page, inside))
    assert len(colours) == 5
    page.locator("#strip img").first.click()
    page.get_by_role("button", name="Go on from here").click()
    expect(page.locator("#region-words")).to_contain_text("takes the same person as before")
    expect(page.locator("#starting-from")).to_be_visible()
    acting.edit(page, "smiling")
    expect(page.locator("#sentence")).to_have_text("“a photo of a smiling woman with long red hair”")
    acting.result(page)
    expect(page.locator("#strip img")).to_have_count(6)
    parent = page.evaluate("import('./studio/studio.js').then(({studio}) => studio.edit.parent)")
    assert parent.startswith("e_")


def test_the_person_is_found_and_pointed_at(open_studio: OpenStudio) -> None:
    page, _ = open_studio()
    acting.photo(page)
    page.get_by_role("button", name="Find the person").click()
    expect(page.locator("#message")).to_contain_text("Found")
    found = acting.painted(page)
    assert found > 1000
    page.get_by_role("button", name="Clear").click()
    page.get_by_role("button", name="Point at the person").click()
    page.locator("#paint").click(position={"x": 300, "y": 200})
    expect(page.locator("#message")).to_contain_text("Found")
    assert acting.painted(page) > 1000
