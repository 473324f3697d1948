"""Pagination that stays stable while a list grows."""

from __future__ import annotations

import base64
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from s2edit_jobs.library import concepts, edit_list
from tests.unit.api import pictures
from tests.unit.api.conftest import Api
from tests.unit.api.wire.test_bad_input import assert_problem


@pytest.fixture(params=["index", "no index"])
def api(api: Api, request: pytest.FixtureRequest) -> Api:
    """The store has the index of finished jobs, or it comes from an earlier release and its survey isn't complete."""
    if request.param == "index":
        api.services.layout.begin(api.artifacts)
    return api


def pages(api: Api, path: str, *, between: Any = lambda: None, **query: Any) -> list[list[dict[str, Any]]]:
    """Return all pages by following the `Link` header."""
    found, url = [], str(api.client.build_request("GET", path, params=query).url.raw_path, "ascii")
    while True:
        answer = api.get(url)
        assert answer.status_code == 200, answer.json()
        found.append(answer.json()["items"])
        assert (answer.json()["next_cursor"] is None) == ("link" not in answer.headers)
        if "link" not in answer.headers:
            return found
        url = answer.links["next"]["url"]
        between()


def ids(found: list[list[dict[str, Any]]]) -> list[str]:
    return [item["id"] for page in found for item in page]


def test_edits_are_listed_newest_first_and_each_once(api: Api) -> None:
    made = [api.edit().json()["id"] for _ in range(7)]
    found = pages(api, "/edits", limit=3)
    assert [len(page) for page in found] == [3, 3, 1]
    assert ids(found) == made[::-1]


def test_edits_that_come_between_two_pages_shift_nothing(api: Api) -> None:
    made = [api.edit().json()["id"] for _ in range(5)]
    assert ids(pages(api, "/edits", limit=2, between=lambda: api.edit())) == made[::-1]


def test_a_page_that_is_exactly_full_is_the_last(api: Api) -> None:
    for _ in range(4):
        api.edit()
    assert [len(page) for page in pages(api, "/edits", limit=2)] == [2, 2]
    assert [len(page) for page in pages(api, "/edits", limit=4)] == [4]


def test_an_empty_list(api: Api) -> None:
    for path in ("/edits", "/identities", "/attributes"):
        assert api.get(path).json() == {"items": [], "next_cursor": None}


def test_they_are_filtered_by_state_identity_and_kind(api: Api) -> None:
    done = api.edit().json()["id"]
    learning = api.identity(prompt="a photo of a man", image=pictures.photo((90, 90)), mask=pictures.mask((90, 90))).json()["id"]
    api.work()
    waiting = api.edit().json()["id"]
    identity = api.get(f"/edits/{done}").json()["identity"]
    assert ids(pages(api, "/edits", state="succeeded", limit=1)) == [learning, done]
    assert ids(pages(api, "/edits", state="queued")) == [waiting]
    assert ids(pages(api, "/edits", state="failed")) == []
    assert ids(pages(api, "/edits", identity=identity)) == [done]
    assert ids(pages(api, "/edits", kind="identity")) == [learning]
    assert ids(pages(api, "/edits", kind="edit", state="succeeded")) == [done]
    assert api.get("/edits?state=succeeded&kind=edit").json()["items"][0]["result"]["url"]


def test_a_waiting_edit_is_found_by_the_identity_that_it_names(api: Api) -> None:
    edit = api.edit(image=None, mask=None, identity=api.learned_identity()).json()
    assert ids(pages(api, "/edits", identity=edit["identity"])) == [edit["id"]]


def test_what_is_rare_is_found_over_several_pages_without_an_index_and_at_once_with_it(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edit_list, "MAX_SCANNED", 3)
    done = api.edit().json()["id"]
    api.work()
    for _ in range(7):
        api.edit()
    found = pages(api, "/edits", state="succeeded", limit=2)
    assert [len(page) for page in found] == ([1] if api.services.layout.is_current(api.artifacts) else [0, 0, 1])
    assert ids(found) == [done]


def test_everybody_sees_their_own_alone(api: Api) -> None:
    edit_id = api.edit(user="ada").json()["id"]
    assert api.get("/edits", user="mallory").json()["items"] == []
    cursor = base64.urlsafe_b64encode(b"1:e_zz").decode().rstrip("=")
    assert api.get(f"/edits?cursor={cursor}", user="mallory").json()["items"] == []
    assert api.get("/edits", user="ada").json()["items"][0]["id"] == edit_id


def test_an_edit_that_is_still_being_written_is_not_listed(api: Api) -> None:
    api.artifacts.put(f"t/default/u/default/edits/e_{'0' * 32}/image.png", b"x", media_type="image/png")
    assert api.get("/edits").json()["items"] == []


def test_identities_and_attributes_are_turned_like_edits(api: Api) -> None:
    sizes = [(64 + 8 * i, 96) for i in range(5)]
    attributes = {api.learned(api.attribute(image=pictures.photo(size), mask=pictures.mask(size))) for size in sizes}
    identities = {api.learned(api.identity(image=pictures.photo(size), mask=pictures.mask(size))) for size in sizes}
    for path, made in (("/attributes", attributes), ("/identities", identities)):
        found = pages(api, path, limit=2)
        assert [len(page) for page in found] == [2, 2, 1]
        assert ids(found) == sorted(made)


def test_a_lost_job_store_loses_no_list(api: Api) -> None:
    made = [api.edit().json()["id"] for _ in range(2)]
    api.work()
    api.database.empty()
    found = api.get("/edits").json()["items"]
    assert [(item["id"], item["state"]) for item in found] == [(made[1], "succeeded"), (made[0], "succeeded")]


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize("path", ["/edits", "/identities", "/attributes"])
@pytest.mark.parametrize(
    "cursor",
    ["", "x", "====", "e_1", encoded("2:e_1"), encoded("1:../../x"), encoded("1:x_1"), encoded("1:e_1\n"), "ä", "%00", "A" * 201],
)
def test_a_cursor_that_is_none_is_refused(api: Api, path: str, cursor: str) -> None:
    answer = api.client.get(path, params={"cursor": cursor})
    problem = assert_problem(answer, 422, answer.json()["code"], "cursor")
    assert problem["code"] in ("cursor_invalid", "option_invalid", "part_empty")


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "state=done", "kind=picture"])
def test_filters_that_are_none_are_refused(api: Api, query: str) -> None:
    assert_problem(api.get(f"/edits?{query}"), 422, "option_invalid", query.partition("=")[0])


def test_slow_lists_do_not_hold_up_other_requests(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    edit_id = api.edit().json()["id"]
    proceed, begun = threading.Event(), threading.Semaphore(0)

    def slow(*_: Any, **__: Any) -> Any:
        begun.release()
        assert proceed.wait(60)
        return edit_list.Page((), None)

    monkeypatch.setattr(concepts.Library, "edits", slow)
    with ThreadPoolExecutor(61) as pool:
        lists = [pool.submit(api.get, "/edits") for _ in range(60)]
        assert begun.acquire(timeout=30)
        other = pool.submit(api.get, f"/edits/{edit_id}")
        try:
            assert other.result(timeout=20).status_code == 200
        finally:
            proceed.set()
        assert {answer.result().status_code for answer in lists} == {200}
