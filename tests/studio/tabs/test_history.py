"""Earlier edits: their tree, fresh links, pages and erasure."""

from __future__ import annotations

import re
from typing import Any

import httpx
from playwright.sync_api import Route, expect

from tests.studio import acting
from tests.studio.conftest import OpenStudio
from tests.studio.service import Service
from tests.studio.states import look_at


def edit(api: httpx.Client, words: str, parent: str | None = None) -> str:
    """Create an edit, wait for it and return its id."""
    parts: dict[str, Any] = {"prompt": (None, f"a photo of a woman with {words}")}
    parts |= {"parent": (None, parent)} if parent else {"image": ("photo.png", acting.picture(320, 240))}
    done = api.post("/edits", files=parts, headers={"Prefer": "wait=60"}).json()
    assert done["state"] in ("succeeded", "failed"), done
    return str(done["id"])


def test_the_history_shows_edits_as_a_tree_and_goes_on_from_them(open_studio: OpenStudio, service: Service) -> None:
    key = service.new_key("history")
    with service.client(key) as api:
        root = edit(api, "red hair")
        child = edit(api, "red hair and a hat", root)
        edit(api, "a hat [test:failed parked]", child)
        other = edit(api, "blond hair", root)
    page, _ = open_studio(key=key)
    acting.open_tab(page, "History")
    trunk = page.locator("#history > .cards > li")
    expect(trunk).to_have_count(1)
    expect(trunk.locator("> .cards > li")).to_have_count(2)
    expect(trunk.locator("> .cards > li > .cards > li")).to_contain_text("failed")
    expect(page.locator(f"[data-edit={child}]")).to_contain_text("red hair and a hat")  # known from the report alone
    expect(page.locator("#history .photo")).to_have_count(3)
    look_at(page, "history", at=".panel")

    page.locator(f"[data-edit={other}] .plain").click()
    acting.result(page)
    assert page.url.endswith(f"#{other}")
    page.locator(f"[data-edit={child}]").get_by_role("button", name="Go on from").click()
    expect(page.locator("#starting-from")).to_be_visible()
    acting.edit(page, "smiling")
    acting.result(page)
    with service.client(key) as api:
        newest = api.get("/edits").json()["items"][0]
    assert newest["parent"] == child
    acting.open_tab(page, "History")
    expect(page.locator(f"[data-edit={child}] + .cards > li")).to_have_count(2)

    page.locator(f"[data-edit={newest['id']}]").get_by_role("button", name="Erase").click()
    page.get_by_role("button", name="Erase for good").click()
    expect(page.locator(".receipt")).to_contain_text("a photo of a smiling woman with red hair and a hat”: ")
    expect(page.locator("#history .receipt")).to_be_focused()
    with service.client(key) as api:
        assert api.get(f"/edits/{newest['id']}").status_code == 404


def test_an_edit_without_a_result_says_why_and_can_be_tried_again(open_studio: OpenStudio, service: Service) -> None:
    key = service.new_key("failed")
    page, _ = open_studio(key=key)
    acting.photo(page)
    acting.edit(page, "a hat [test:failed mask_not_found]")
    expect(page.locator("#message")).to_contain_text("Nobody was found")
    acting.edit(page, "red hair [test:slow 30]")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#message")).to_contain_text("Canceled.")
    with service.client(key) as api:
        canceled, failed = api.get("/edits", params={"kind": "edit"}).json()["items"]
    page.reload()
    acting.open_tab(page, "History")
    card = page.locator(f"[data-edit={failed['id']}]")
    expect(card).to_contain_text("a photo of a woman with a hat [test:failed mask_not_found]")
    expect(card.locator(".problem")).to_have_text("Failed. Nobody was found in the photo. Paint over the person, or point at them.")
    expect(page.locator(f"[data-edit={canceled['id']}]")).to_contain_text("Canceled, nothing was changed.")
    look_at(page, "history-failed", at=".panel")
    card.get_by_role("button", name="Try again").click()
    expect(page.locator("#message")).to_contain_text("Nobody was found")
    with service.client(key) as api:
        again = api.get("/edits", params={"kind": "edit"}).json()["items"]
    assert [each["error"] and each["error"]["code"] for each in again] == ["mask_not_found", None, "mask_not_found"]

    other, _ = open_studio(key=key, size="phone")  # a browser that does not have the photo
    acting.open_tab(other, "History")
    expect(other.locator("#history .problem")).to_have_count(2)
    expect(other.get_by_role("button", name="A failed edit", exact=True)).to_have_count(2)
    expect(other.get_by_role("button", name="Try again")).to_have_count(0)


def test_an_expired_link_is_renewed(open_studio: OpenStudio, service: Service) -> None:
    """The service refuses the first link of each picture, as it refuses one that is out of date."""
    key = service.new_key("expired")
    with service.client(key) as api:
        one = edit(api, "red hair")
    page, watch = open_studio(key=key)
    watch.allow("status of 403")
    refused: list[str] = []

    def expire(route: Route) -> None:
        if len(refused) < 1:
            refused.append(route.request.url)
            route.continue_(url=re.sub(r"expires=\d+", "expires=1", route.request.url))
        else:
            route.continue_()

    page.route("**/files/**", expire)
    acting.open_tab(page, "History")
    picture = page.locator(f"[data-edit={one}] .photo")
    expect(picture).to_have_js_property("naturalWidth", 320)
    assert len(refused) == 1
    refused.clear()
    page.locator(f"[data-edit={one}] .plain").click()
    acting.result(page)
    assert len(refused) == 1
    assert sum("403" in error for error in watch.errors) == 2


def test_a_long_history_comes_in_pages(open_studio: OpenStudio, service: Service) -> None:
    key = service.new_key("pages")
    with service.client(key) as api:
        oldest = edit(api, "red hair")
        middle = edit(api, "a hat", oldest)
        edit(api, "blond hair")
    page, _ = open_studio(key=key)
    page.route("**/edits?kind=edit&limit=20*", lambda route: route.continue_(url=route.request.url.replace("limit=20", "limit=2")))
    acting.open_tab(page, "History")
    expect(page.locator(f"[data-edit={middle}]")).to_contain_text("continues an earlier edit")
    page.get_by_role("button", name="Show more").click()
    expect(page.locator(f"[data-edit={oldest}] + .cards [data-edit={middle}]")).to_be_visible()
    expect(page.locator("#history > .cards > li")).to_have_count(2)
    expect(page.get_by_role("button", name="Show more")).to_be_hidden()
