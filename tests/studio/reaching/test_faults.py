"""What the page makes of a service that asks for a key, loses a process or ends in the middle of an edit."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.studio import acting
from tests.studio.conftest import OpenStudio
from tests.studio.service import Service
from tests.studio.states import look_at


def started(page: Page, seconds: int) -> str:
    """Start an edit that takes so long, and return its id."""
    acting.sample(page)
    acting.edit(page, f"red hair [test:slow {seconds}]")
    expect(page.locator("#progress-words")).to_contain_text("Editing")
    return str(page.evaluate("location.hash")).removeprefix("#")


def test_a_key_is_asked_for_and_kept_for_the_tab_only(open_studio: OpenStudio, service: Service) -> None:
    page, watch = open_studio(key="")
    watch.allow("status of 401")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    look_at(page, "key")
    dialog.get_by_label("API key").fill("s2e_nobody_knows_it")
    dialog.get_by_role("button", name="Use this key").click()
    expect(dialog).to_contain_text("does not know the key")
    dialog.get_by_label("API key").fill(service.key)
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    expect(page.locator("#model-line")).to_contain_text("Test mode")
    acting.sample(page)
    acting.edit(page)
    acting.result(page)
    refused = len(watch.errors)
    page.reload()
    acting.result(page)
    assert len(watch.errors) == refused
    assert service.key not in page.evaluate("JSON.stringify([localStorage, document.cookie, location.href])")
    other = page.context.new_page()
    other.goto(service.url)
    expect(other.get_by_role("dialog")).to_be_visible()


def test_an_edit_survives_the_process_that_ran_it(open_studio: OpenStudio, service: Service) -> None:
    key = service.new_key("killed")
    page, _ = open_studio(key=key)
    edit = started(page, 4)
    service.kill("worker.housekeeper")
    acting.result(page)
    with service.client(key) as api:
        assert [(one["id"], one["state"]) for one in api.get("/edits").json()["items"]] == [(edit, "succeeded")]


def test_an_edit_survives_a_restart_of_the_service(open_studio: OpenStudio, service: Service) -> None:
    key = service.new_key("restarted")
    page, watch = open_studio(key=key)
    watch.allow("ERR_CONNECTION_REFUSED", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET", "ERR_INCOMPLETE_CHUNKED", "status of 503")
    edit = started(page, 4)
    service.stop()
    try:
        expect(page.locator("#progress-words")).to_contain_text("does not answer")
        look_at(page, "unreachable")
    finally:
        service.start()  # the other tests need it
    acting.result(page)
    with service.client(key) as api:
        assert [(one["id"], one["state"]) for one in api.get("/edits").json()["items"]] == [(edit, "succeeded")]
