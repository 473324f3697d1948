"""Erasing everything of a user, here and at the service, and the receipts that the tab keeps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from playwright.sync_api import expect

from s2edit_jobs.access.keys import SCOPES, USUAL_SCOPES, KeyRing, Scope
from s2edit_jobs.bootstrap import build_artifacts
from s2edit_jobs.settings import Settings
from tests.studio import acting
from tests.studio.conftest import OpenStudio
from tests.studio.service import Service
from tests.studio.states import look_at
from tests.waiting import until

KEPT_HERE = """() => new Promise(done => {
  const opening = indexedDB.open('s2edit-studio');
  opening.onsuccess = () => {
    const all = opening.result.transaction('edits').objectStore('edits').getAll();
    all.onsuccess = () => done(all.result.length);
  };
})"""


@pytest.mark.parametrize("scopes", [USUAL_SCOPES, SCOPES], ids=["one-by-one", "as-a-user"])
def test_everything_is_erased_with_receipts(
    open_studio: OpenStudio, service: Service, tmp_path: Path, scopes: frozenset[Scope]
) -> None:
    """A key without the scope `admin` can't erase a user, but all that belongs to the user."""
    ring = KeyRing(build_artifacts(Settings(data_dir=service.folder / "data")))
    key = ring.create(f"everything-{len(scopes)}", scopes, test=True)[1]
    page, _ = open_studio(key=key)
    acting.sample(page)
    acting.edit(page)
    acting.result(page)
    assert page.evaluate(KEPT_HERE) == 1
    acting.open_tab(page, "History")
    page.get_by_role("button", name="Erase everything of mine").click()
    expect(page.get_by_role("dialog")).to_contain_text("Nobody can bring them back.")
    expect(page.get_by_role("button", name="Keep it")).to_be_focused()
    look_at(page, "everything", at=".panel")
    page.keyboard.press("Escape")
    expect(page.locator("#history [data-edit]")).to_have_count(1)
    page.get_by_role("button", name="Erase everything of mine").click()
    page.get_by_role("button", name="Erase everything", exact=True).click()
    receipt = page.locator("#history .end-matter > div > .receipt")
    expect(receipt).to_be_focused()
    expect(receipt).to_contain_text("Erased everything of yours: ")
    expect(page.locator("body")).to_have_attribute("data-state", "empty")
    expect(page.locator("#strip")).to_be_hidden()
    assert page.evaluate(KEPT_HERE) == 0
    look_at(page, "everything-receipt", at=".panel")
    with page.expect_download() as saving:
        receipt.get_by_role("link", name="Save the receipt").click()
    saving.value.save_as(tmp_path / "receipt.json")
    saved = json.loads((tmp_path / "receipt.json").read_text())
    receipts = saved if isinstance(saved, list) else [saved]
    with service.client(key) as api:
        keys = KeySet.import_key_set(api.get("/receipts/keys").json())
        for path in ("edits", "identities", "attributes"):
            assert api.get(f"/{path}").json()["items"] == []
    kinds = [jwt.decode(one["receipt"], keys, algorithms=["ES256"]).claims["erased"] for one in receipts]
    assert kinds == (["user"] if scopes is SCOPES else ["edit", "identity"])


def test_of_an_edit_that_was_erased_elsewhere_the_browser_keeps_no_photo(open_studio: OpenStudio, service: Service) -> None:
    """The page still has its address. It does not show the photo again, and drops it."""
    key = service.new_key("elsewhere")
    page, watch = open_studio(key=key)
    watch.allow("404")
    acting.sample(page)
    acting.edit(page)
    acting.result(page)
    assert page.evaluate(KEPT_HERE) == 1
    with service.client(key) as api:
        (edit,) = api.get("/edits").json()["items"]
        assert api.delete(f"/edits/{edit['id']}").status_code == 200
    page.reload()
    expect(page.locator("body")).to_have_attribute("data-state", "empty")
    until(lambda: page.evaluate(KEPT_HERE) == 0)


def test_receipts_and_the_last_request_outlive_a_reload(open_studio: OpenStudio, service: Service) -> None:
    page, watch = open_studio(key=service.new_key("kept"))
    watch.allow("favicon")  # of the page without requests
    acting.sample(page)
    acting.edit(page)
    acting.result(page)
    acting.open_tab(page, "Code")
    code = page.locator("#code code").inner_text()
    files = page.locator("#code a").all_inner_texts()
    assert files == ["Save image.webp", "Save mask.png"]
    page.reload()
    acting.open_tab(page, "Code")
    expect(page.locator("#code a")).to_have_text(files)
    assert page.locator("#code code").inner_text() == code

    acting.open_tab(page, "History")
    page.get_by_role("button", name="Erase “").click()
    page.get_by_role("button", name="Erase for good").click()
    words = page.locator(".receipt p").first.inner_text()
    page.reload()
    acting.open_tab(page, "History")
    page.get_by_text("Receipts of this tab").click()
    expect(page.locator("#history details .receipt p")).to_have_text([words])
    with page.expect_download() as saving:
        page.get_by_role("link", name="Save the receipt").click()
    assert saving.value.failure() is None
    other = page.context.new_page()
    other.goto(f"{service.url}/studio/main.js")  # of the same origin, but without requests of its own
    assert other.evaluate("sessionStorage.getItem('s2edit-receipts')") is None
