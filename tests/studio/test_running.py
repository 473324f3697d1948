"""A running edit: progress, preview, cancellation, reload, and what goes wrong meanwhile."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import APIResponse, Page, Route, expect

from tests.studio import acting
from tests.studio.browser import PATIENCE_MS
from tests.studio.conftest import OpenStudio
from tests.studio.service import Service
from tests.studio.states import look_at

EDIT = re.compile(r"/edits/e_\w+$")


def running(page: Page, seconds: float) -> None:
    acting.sample(page)
    acting.edit(page, f"red hair [test:slow {seconds}]")
    expect(page.locator("#progress-words")).to_have_text("Editing")


def test_progress_and_preview_are_in_view_until_the_edit_is_canceled(open_studio: OpenStudio) -> None:
    page, _ = open_studio()
    running(page, 60)
    expect(page.locator("#time-left")).to_contain_text(re.compile(r"left$"))
    assert 0 < page.locator("#bar").evaluate("bar => bar.value") < 1
    page.wait_for_function("() => import('./studio/picture/stage.js').then(stage => stage.mode() === 'preview')")
    look_at(page, "running")
    page.reload()
    expect(page.locator("#progress-words")).to_have_text("Editing")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#message")).to_have_text("Canceled. Nothing was changed.")
    expect(page.locator("body")).to_have_attribute("data-state", "ready")


def test_a_reload_goes_on_with_the_edit_and_its_photo(open_studio: OpenStudio) -> None:
    page, _ = open_studio()
    running(page, 3)
    for _ in range(2):  # while it runs, and when it is over
        page.reload()
        acting.result(page)
        expect(page.locator("#handle")).to_be_visible()  # the photo was kept for the comparison
        assert page.locator("#words").input_value().startswith("a photo of a woman")


@pytest.mark.parametrize("end", ["fails", "is erased", "is erased with everything", "gets lost"])
@pytest.mark.parametrize("reloaded", [True, False], ids=["reloaded", "started here"])
def test_however_an_edit_ends_the_page_is_of_use_again(
    open_studio: OpenStudio, service: Service, end: str, *, reloaded: bool
) -> None:
    key = service.new_key(f"ends {end} {reloaded}".replace(" ", "-").lower())
    page, watch = open_studio(key=key)
    watch.allow("status of 404")
    running(page, 60)
    if reloaded:
        page.reload()
        expect(page.locator("#progress-words")).to_have_text("Editing")
    words = {"fails": "The edit was not done in time: try again.", "gets lost": "Something went wrong in this page: reload it."}
    with service.client(key) as api:
        (running_edit,) = api.get("/edits", params={"kind": "edit"}).json()["items"]
        path = f"/edits/{running_edit['id']}"
        if end == "fails":
            error = {"code": "deadline_exceeded", "message": "too late", "retryable": False}
            page.route(EDIT, lambda route: route.fulfill(json={**running_edit, "state": "failed", "error": error}))
        if end == "gets lost":
            page.route(EDIT, lambda route: route.fulfill(json={**running_edit, "state": "succeeded", "results": None}))
        if end == "is erased with everything":
            page.evaluate("import('./studio/studio.js').then(({studio}) => studio.tell('erased', {everything: true}))")
            expect(page.locator("#message")).to_have_text("Canceled. Nothing was changed.")
        else:
            if end == "is erased":
                api.delete(path).raise_for_status()
            expected = words.get(end, "This is no longer there: it has expired or was erased.")
            expect(page.locator("#message")).to_have_text(expected, timeout=2 * PATIENCE_MS)  # a request may wait 25 s
        api.post(f"{path}/cancel")
    expect(page.locator("#running")).to_be_hidden()
    expect(page.get_by_role("button", name="Edit", exact=True)).to_be_visible()
    if end == "is erased":
        assert "#" not in page.url
        forgotten = "id => import('./studio/job/shelf.js').then(({find}) => find(id)).then(found => !found)"
        page.wait_for_function(forgotten, arg=running_edit["id"])


def test_a_service_that_does_not_answer_is_told_and_waited_for(open_studio: OpenStudio) -> None:
    page, watch = open_studio()
    watch.allow("ERR_FAILED")
    acting.sample(page)
    for path, words in ((re.compile(r"/edits$"), "This page keeps trying."), (EDIT, "The edit is safe; this page keeps trying.")):
        page.route(path, lambda route: route.abort())
        if path != EDIT:
            acting.edit(page, "red hair [test:slow 3]")
        expect(page.locator("#progress-words")).to_have_text(f"The service does not answer. {words}")
        page.unroute(path)
    acting.result(page)


@pytest.mark.parametrize("part", [0, 20], ids=["no answer", "half an answer"])
def test_one_click_is_one_edit_however_often_its_answer_is_lost(open_studio: OpenStudio, service: Service, part: int) -> None:
    page, watch = open_studio()
    watch.allow("ERR_FAILED", "ERR_CONNECTION")

    def lose(route: Route) -> None:
        answer = route.fetch()
        if part:
            route.fulfill(status=answer.status, content_type="application/json", body=answer.text()[:part])
        else:
            route.abort()

    acting.photo(page, acting.picture(300, 300, seed=7))
    with service.client() as http:
        before = [edit["id"] for edit in http.get("/edits?limit=100").json()["items"]]
        page.route(re.compile(r"/edits$"), lose, times=1)
        acting.edit(page, "red hair")
        acting.result(page)
        after = [edit["id"] for edit in http.get("/edits?limit=100").json()["items"]]
    assert len(after) == len(before) + 1


@pytest.mark.parametrize("press", ["Enter", "Enter twice", "double click"])
def test_a_press_that_starts_an_edit_does_not_cancel_it_too(open_studio: OpenStudio, press: str) -> None:
    """Cancel takes the place and the focus of Edit, so it could get the rest of the same press."""
    page, _ = open_studio()
    acting.photo(page)
    page.fill("#words", "a photo of a woman with red hair [test:slow 1]")
    if press == "double click":
        page.get_by_role("button", name="Edit", exact=True).dblclick()
    else:
        for _ in press.split():
            page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    acting.result(page)


@pytest.mark.parametrize("reached", [True, False], ids=["accepted", "on its way"])
def test_an_edit_that_is_canceled_before_the_service_has_answered_is_erased_there(
    open_studio: OpenStudio, service: Service, *, reached: bool
) -> None:
    key = service.new_key(f"canceled-early-{reached}".lower())
    page, _ = open_studio(key=key)
    held: list[tuple[Route, APIResponse | None]] = []
    page.route(re.compile(r"/edits$"), lambda route: held.append((route, route.fetch() if reached else None)), times=1)
    acting.sample(page)
    acting.edit(page, "red hair [test:slow 60]")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#message")).to_have_text("Canceled. Nothing was changed.")
    expect(page.get_by_role("button", name="Edit", exact=True)).to_be_enabled()
    ((route, answer),) = held
    with page.expect_response(EDIT) as erased:
        if answer is None:
            route.continue_()
        else:
            route.fulfill(response=answer)
    assert (erased.value.request.method, erased.value.ok) == ("DELETE", True)
    with service.client(key) as api:
        assert api.get("/edits").json()["items"] == []


def test_a_lost_worker_is_told(open_studio: OpenStudio) -> None:
    page, _ = open_studio()

    def back_in_the_queue(route: Route) -> None:
        answer = route.fetch(headers={**route.request.headers, "prefer": "", "if-none-match": ""})
        route.fulfill(status=200, json={**answer.json(), "state": "queued"})

    running(page, 3)
    page.route(EDIT, back_in_the_queue)
    expect(page.locator("#progress-words")).to_have_text("The worker was lost. Another one goes on where it stopped.")
    page.unroute_all(behavior="ignoreErrors")  # one may be on its way
    acting.result(page)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("mask_not_found", "Nobody was found in the photo. Paint over the person, or point at them."),
        ("out_of_memory", "The service has too little memory for this photo: choose a smaller one."),
    ],
)
def test_a_failed_edit_is_explained_in_the_words_of_the_page(open_studio: OpenStudio, code: str, words: str) -> None:
    page, _ = open_studio()
    acting.photo(page)
    acting.edit(page, f"red hair [test:failed {code}]")
    expect(page.locator("#message")).to_have_text(words)
    expect(page.locator("body")).to_have_attribute("data-state", "ready")


def test_the_bar_counts_all_phases_by_the_seconds_they_take(open_studio: OpenStudio) -> None:
    page, _ = open_studio()
    steps = page.evaluate(
        """async () => {
          const {studio} = await import('./studio/studio.js'), progress = await import('./studio/job/progress.js');
          await new Promise(done => studio.model ? done() : studio.on('model', done));
          localStorage.clear();
          studio.model.phase_seconds = {preparing: 1, learning: 60, inverting: 20, editing: 18, finishing: 1};
          const found = [];
          const at = (phase, fraction) => {
            progress.update({state: 'running', eta_s: null, progress: {phase, fraction}});
            found.push([document.getElementById('bar').value, document.getElementById('time-left').textContent]);
          };
          progress.begin('');
          found.push([0, document.getElementById('time-left').textContent]);
          at('learning', 0.5); at('inverting', 0); at('editing', 0.5); at('learning', 0.1);
          progress.end();
          return found;
        }"""
    )
    values = [round(value, 2) for value, _ in steps]
    assert values == [0, 0.31, 0.61, 0.9, 0.9], json.dumps(steps)
