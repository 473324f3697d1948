"""People and attributes: kept, used, taken, applied, exported and erased."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from playwright.sync_api import APIResponse, Page, Route, expect

from tests.studio import acting
from tests.studio.conftest import OpenStudio
from tests.studio.service import Service
from tests.studio.states import look_at

LONG_NAME = "W" * 60
EDIT = re.compile(r"/edits/e_\w+$")


def keep(page: Page, name: str, **options: str) -> None:
    """Keep the person on the stage by a name, and wait until that is done."""
    acting.open_tab(page, "People")
    page.get_by_label("Keep this person as").fill(name)
    if options:
        page.get_by_text("For how long").click()
        page.get_by_label("Erase it").select_option(options["erase"])
        page.locator("#people").get_by_label("What the person agreed to").fill(options["consent"])
    page.get_by_role("button", name="Keep", exact=True).click()
    expect(page.get_by_label(f"Name of {name}")).to_have_value(name)


def paint_lips(page: Page) -> None:
    page.locator("#paint").click(position={"x": 10, "y": 10})  # takes the focus
    page.get_by_role("button", name="Clear").click()
    box = page.locator("#paint").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + 0.68 * box["height"]
    page.mouse.move(x - 30, y)
    page.mouse.down()
    page.mouse.move(x + 30, y)
    page.mouse.up()


def test_a_person_is_kept_used_exported_and_erased_with_a_receipt(
    open_studio: OpenStudio, service: Service, tmp_path: Path
) -> None:
    key = service.new_key("people")
    page, _ = open_studio(key=key)
    acting.open_tab(page, "People")
    expect(page.get_by_text("Nobody yet.")).to_be_visible()
    look_at(page, "people-empty", at=".panel")
    acting.sample(page)
    keep(page, "Ada", erase="604800", consent="Ada agreed")
    expect(page.locator("#people .card")).to_contain_text("erased in 7 days")
    with service.client(key) as api:
        (person,) = api.get("/identities").json()["items"]
    assert person["consent"]["statement"] == "Ada agreed"
    device, _ = open_studio(key=key, size="phone")  # another browser of the same user
    acting.open_tab(device, "People")
    device.get_by_label("Name of Ada").fill("Ada L.")
    device.get_by_label("Name of Ada").press("Enter")
    acting.open_tab(device, "History")
    acting.open_tab(device, "People")
    expect(device.get_by_label("Name of Ada L.")).to_have_value("Ada L.")
    page.reload()
    acting.open_tab(page, "People")
    expect(page.get_by_label("Name of Ada L.")).to_have_value("Ada L.")
    page.get_by_label("Name of Ada L.").fill("Ada")
    page.get_by_role("button", name="Use").focus()
    expect(page.locator("#people .photo")).to_have_js_property("complete", True)
    assert page.locator("#people .photo").evaluate("image => image.naturalWidth") == 512
    look_at(page, "people", at=".panel")

    page.get_by_role("button", name="Use").click()  # it still has the name from before
    expect(page.locator("#using")).to_contain_text("Person: Ada")
    expect(page.locator("#using")).not_to_contain_text("Ada L.")
    acting.edit(page, "red hair")
    acting.result(page)
    with service.client(key) as api:
        (edit,) = api.get("/edits", params={"kind": "edit"}).json()["items"]
        report = api.get(f"/edits/{edit['id']}").json()["report"]["values"]
    assert (edit["identity"], report["learning_steps"], report["mask"]["source"]) == (person["id"], 0, "identity")

    acting.open_tab(page, "People")
    with page.expect_download() as exporting:
        page.get_by_role("button", name="Export Ada").click()
    exporting.value.save_as(tmp_path / "ada.safetensors")
    with service.client(key) as api:
        told = api.get(f"/identities/{person['id']}/export").json()
    assert hashlib.sha256((tmp_path / "ada.safetensors").read_bytes()).hexdigest() == told["sha256"]

    page.get_by_role("button", name="Erase Ada").click()
    look_at(page, "people-erase", at=".panel")
    page.get_by_role("button", name="Keep it").click()
    page.get_by_role("button", name="Erase Ada").click()
    page.get_by_role("button", name="Erase for good").click()
    with page.expect_download() as saving:
        page.get_by_role("link", name="Save the receipt").click()
    saving.value.save_as(tmp_path / "receipt.json")
    look_at(page, "people-receipt", at=".panel")
    receipt = json.loads((tmp_path / "receipt.json").read_text())
    with service.client(key) as api:
        keys = KeySet.import_key_set(api.get("/receipts/keys").json())
        assert api.get(f"/identities/{person['id']}").status_code == 404
    claims = jwt.decode(receipt["receipt"], keys, algorithms=["ES256"]).claims
    assert (claims["erased"], claims["id"], claims["objects"]) == ("identity", person["id"], receipt["objects"])
    assert "Ada" not in page.evaluate("JSON.stringify(localStorage)")
    acting.open_tab(page, "Edit")
    expect(page.locator("#using")).to_be_empty()


def test_the_makeup_of_one_person_is_worn_by_another(open_studio: OpenStudio, service: Service) -> None:
    key = service.new_key("makeup")
    page, _ = open_studio(key=key)
    acting.sample(page)
    acting.open_tab(page, "People")
    page.get_by_label("Name", exact=True).fill(LONG_NAME)
    page.get_by_role("button", name="Take it").click()  # of the whole person, as the sample is painted
    expect(page.get_by_role("button", name=f"Apply {LONG_NAME}")).to_be_visible()
    paint_lips(page)
    page.get_by_label("Name", exact=True).fill("Evening")
    page.get_by_role("button", name="Take it").click()
    expect(page.get_by_role("button", name="Apply Evening")).to_be_visible()
    look_at(page, "worn", at=".panel")

    acting.photo(page, acting.picture(320, 240))
    page.get_by_role("button", name="Apply Evening").click()
    expect(page.locator("#using")).to_contain_text("Evening")
    page.get_by_role("radio", name="woman", exact=True).check()
    expect(page.locator("#sentence")).to_have_text("“a photo of a woman with makeup”")
    look_at(page, "worn-applied", at=".panel")
    acting.edit(page)
    acting.result(page)
    with service.client(key) as api:
        evening = next(one for one in api.get("/attributes").json()["items"] if one["name"] == "Evening")
        (edit,) = api.get("/edits", params={"kind": "edit"}).json()["items"]
        report = api.get(f"/edits/{edit['id']}").json()["report"]["values"]
    assert (evening["placeholder"], evening["subject"]) == ("[B]", "makeup")
    assert "[B] makeup" in report["prompt"]

    page.get_by_role("button", name="Go on from here").click()  # the picture shows the makeup already
    expect(page.locator("#using")).to_be_empty()
    page.fill("#words", "smiling")
    expect(page.locator("#sentence")).to_have_text("“a photo of a smiling woman with makeup”")
    page.get_by_role("button", name="Back", exact=True).click()
    expect(page.locator("body")).to_have_attribute("data-state", "result")
    expect(page.locator("#using")).to_contain_text("Evening")
    acting.open_tab(page, "People")
    page.get_by_label("Name of Evening").fill("Night")
    page.get_by_label("Name of Evening").press("Enter")
    expect(page.locator("#using")).to_contain_text("Night")
    with service.client(key) as api:
        assert {one["name"] for one in api.get("/attributes").json()["items"]} == {LONG_NAME, "Night"}
    acting.open_tab(page, "History")
    acting.open_tab(page, "People")
    page.get_by_role("button", name="Erase Night").click()
    page.get_by_role("button", name="Erase for good").click()
    expect(page.locator("#people")).to_contain_text("Erased Night")
    acting.open_tab(page, "Edit")
    expect(page.locator("#using")).to_be_empty()


@pytest.mark.parametrize(
    ("tab", "lists", "button"),
    [("People", "**/identities?limit=20", "Take it"), ("History", "**/edits?kind=edit*", "Erase everything of mine")],
)
def test_a_button_that_lists_would_move_shows_once_they_are_there(
    open_studio: OpenStudio, service: Service, tab: str, lists: str, button: str
) -> None:
    page, _ = open_studio(key=service.key)
    held: list[Route] = []
    page.route(lists, lambda route: held.append(route), times=1)
    with page.expect_request(lists):
        acting.open_tab(page, tab)
    expect(page.get_by_role("button", name=button)).to_be_hidden()
    held[0].continue_()
    expect(page.get_by_role("button", name=button)).to_be_visible()


def test_what_is_learned_meanwhile_disturbs_neither_the_form_nor_the_cards(open_studio: OpenStudio, service: Service) -> None:
    key = service.new_key("meanwhile")
    page, _ = open_studio(key=key)
    acting.sample(page)
    acting.open_tab(page, "People")
    progress, name = page.get_by_label("Taking the makeup"), page.get_by_label("Name", exact=True)
    held: list[Route] = []
    page.route(EDIT, lambda route: held.append(route), times=1)  # Playwright takes no builtins
    page.get_by_role("button", name="Take it").click()
    expect(progress).to_be_visible()
    name.fill("Evening")
    acting.open_tab(page, "Edit")
    with page.expect_response("**/edits?kind=attribute*"):
        acting.open_tab(page, "People")  # its lists are loaded anew
    expect(progress).to_have_count(1)
    held[0].continue_()
    expect(page.get_by_role("button", name="Apply makeup")).to_be_visible()
    expect(name).to_have_value("Evening")

    late: list[tuple[Route, APIResponse]] = []
    page.route("**/attributes?limit=20", lambda route: late.append((route, route.fetch())), times=1)
    acting.open_tab(page, "Edit")
    acting.open_tab(page, "People")
    page.get_by_role("button", name="Take it").click()
    page.get_by_role("button", name="Apply makeup").focus()
    expect(page.get_by_role("button", name="Apply Evening")).to_be_visible()
    expect(page.get_by_role("button", name="Apply makeup")).to_be_focused()
    ((route, answer),) = late
    with page.expect_response("**/attributes?limit=20"):
        route.fulfill(response=answer)  # from before the second was learned
    acting.settle(page)
    expect(page.get_by_role("button", name="Apply Evening")).to_be_visible()
    with service.client(key) as api:
        assert {one["placeholder"] for one in api.get("/attributes").json()["items"]} == {"[A]", "[B]"}


def test_what_can_not_be_kept_or_taken_is_said(open_studio: OpenStudio, service: Service) -> None:
    page, _ = open_studio(key=service.new_key("refusals"))
    acting.open_tab(page, "People")
    page.get_by_role("button", name="Take it").click()
    expect(page.locator("#message")).to_have_text("Choose a photo first.")
    acting.photo(page)
    page.get_by_role("button", name="Take it").click()
    expect(page.locator("#message")).to_have_text("Paint over the makeup on the photo first.")
    page.get_by_label("Keep this person as").fill("Ada")
    page.get_by_role("button", name="Keep", exact=True).click()
    expect(page.locator("#message")).to_have_text("Say who is in the photo.")
    expect(page.get_by_role("radio", name="woman", exact=True)).to_be_visible()


def test_learning_is_followed_again_after_a_reload_and_can_be_canceled(open_studio: OpenStudio, service: Service) -> None:
    page, _ = open_studio(key=service.new_key("learning"))
    acting.sample(page)
    page.get_by_text("More options").click()
    page.fill("#source_prompt", "a photo of a woman [test:slow 30]")
    acting.open_tab(page, "People")
    page.get_by_label("Keep this person as").fill("Ada")
    page.get_by_role("button", name="Keep", exact=True).click()
    expect(page.get_by_label("Learning Ada")).to_be_visible()
    look_at(page, "people-learning", at=".panel")
    page.reload()
    acting.open_tab(page, "People")
    expect(page.get_by_label("Learning")).to_be_visible()
    page.locator("#people").get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Nobody yet.")).to_be_visible()


@pytest.mark.parametrize("what", ["Edit", "Keep", "Take it"])
def test_a_service_that_requires_consent_gets_a_statement(open_studio: OpenStudio, service: Service, what: str) -> None:
    """The page asks for it once for each request, and says what to do when there is none."""
    key = service.new_key(f"consent-{what.lower().replace(' ', '-')}")
    page, watch = open_studio(key=key)
    watch.allow("status of 422")
    sent: list[str] = []

    def require(route: Route) -> None:
        body = (route.request.post_data_buffer or b"").decode("latin-1")
        found = re.search(r'name="consent"\r\n\r\n(.*?)\r\n', body)
        statement = found[1].strip() if found else ""
        sent.append(statement)
        if statement:
            route.continue_()
        else:
            problem = {"title": "Invalid", "status": 422, "code": "consent_missing", "field": "consent", "detail": "state it"}
            route.fulfill(status=422, json=problem)

    page.route(re.compile(r"/(edits|identities|attributes)$"), require)  # lists have a query
    acting.sample(page)
    if what != "Edit":
        acting.open_tab(page, "People")
        page.get_by_label("Keep this person as").fill("Ada")
        page.get_by_text("For how long").click()
        page.locator("#people").get_by_label("What the person agreed to").fill(" ")  # no statement
    start = page.get_by_role("button", name=what, exact=True)
    dialog, message = page.get_by_role("dialog", name="Does the person in the photo agree?"), page.locator("#message")
    start.click()
    if what == "Edit":
        look_at(page, "consent")
    dialog.get_by_role("button", name="Not now").click()
    expect(message).to_have_text("Nothing was sent: this service requires a statement of what the person in the photo agreed to.")
    start.click()
    dialog.get_by_label("What the person agreed to").fill("Ada agreed")
    dialog.get_by_role("button", name="Send it").click()
    if what == "Edit":
        acting.result(page)
    else:
        name = "Name of Ada" if what == "Keep" else "Name of makeup"
        expect(page.get_by_label(name)).to_be_visible()
    assert sent == ["", "", "Ada agreed"]
