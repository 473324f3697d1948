"""What the API answers about lifetimes, before and after they have ended."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import pytest

from s2edit_jobs.library.retention import Retention
from tests.unit.api.conftest import Api

DAY_S = 86_400.0


def done(api: Api, **parts: Any) -> str:
    edit_id: str = api.edit(**parts).json()["id"]
    api.work()
    return edit_id


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def let_pass(monkeypatch: pytest.MonkeyPatch, by_s: float) -> None:
    later = time.time() + by_s
    monkeypatch.setattr("time.time", lambda: later)


def both(api: Api, edit_id: str) -> list[dict[str, Any]]:
    """Return the edit as it is answered alone and in a list."""
    return [api.get(f"/edits/{edit_id}").json(), api.get("/edits").json()["items"][0]]


def test_edits_are_kept_unless_the_settings_say_otherwise(api: Api) -> None:
    for edit in both(api, done(api)):
        assert (edit["expires_at"], edit["results_expire_at"]) == (None, None)
        assert edit["result"]["url"]


def test_the_answer_names_the_times_once_the_edit_is_over(api: Api) -> None:
    api.limit(edit_ttl_s=30 * DAY_S, result_ttl_s=DAY_S)
    edit_id = api.edit().json()["id"]
    for edit in both(api, edit_id):
        assert (edit["expires_at"], edit["results_expire_at"]) == (None, None)
    api.work()
    for edit in both(api, edit_id):
        ended = seconds(edit["updated_at"])
        assert seconds(edit["expires_at"]) == pytest.approx(ended + 30 * DAY_S)
        assert seconds(edit["results_expire_at"]) == pytest.approx(ended + DAY_S)
        assert edit["result"]["url"]


@pytest.mark.parametrize("settings", [{"edit_ttl_s": DAY_S}, {"edit_ttl_s": DAY_S, "result_ttl_s": 2 * DAY_S}])
def test_pictures_are_not_kept_longer_than_their_edit(api: Api, settings: dict[str, float]) -> None:
    api.limit(**settings)
    for edit in both(api, done(api)):
        assert edit["results_expire_at"] == edit["expires_at"] is not None


def test_a_canceled_edit_has_pictures_that_expire_too(api: Api) -> None:
    api.limit(result_ttl_s=DAY_S)
    edit_id = api.edit().json()["id"]
    api.client.post(f"/edits/{edit_id}/cancel")
    for edit in both(api, edit_id):
        assert edit["results_expire_at"] is not None


@pytest.mark.parametrize("swept", [False, True], ids=["before the sweep", "after the sweep"])
@pytest.mark.parametrize("lost", [False, True], ids=["from the job store", "from the object store"])
def test_expired_results_have_no_links_and_the_edit_stays(
    api: Api, monkeypatch: pytest.MonkeyPatch, swept: bool, lost: bool
) -> None:
    api.limit(result_ttl_s=DAY_S)
    edit_id = done(api, variants="2")
    let_pass(monkeypatch, DAY_S + 1)
    if swept:
        assert Retention(api.services, clock=lambda: time.time()).sweep()["pictures"] == 4
    if lost:
        api.database.empty()
    alone, listed = both(api, edit_id)
    for edit in (alone, listed):
        assert (edit["state"], edit["result"], edit["results"], edit["mask"]) == ("succeeded", None, [], None)
        assert seconds(edit["results_expire_at"]) < time.time()
    assert alone["report"]["values"]["learning_steps"] > 0


def test_no_link_outlives_its_picture(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    api.limit(result_ttl_s=DAY_S, result_url_ttl_s=900)
    edit_id = done(api, variants="2")
    let_pass(monkeypatch, DAY_S - 60)
    alone, listed = both(api, edit_id)
    for edit in (alone, listed):
        for link in (edit["mask"], edit["result"], *edit["results"]):
            assert time.time() < seconds(link["expires_at"]) <= seconds(edit["results_expire_at"])
    assert seconds(alone["report"]["expires_at"]) == pytest.approx(time.time() + 900, abs=2)


def test_an_expired_edit_is_not_found(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    api.limit(edit_ttl_s=DAY_S)
    edit_id = done(api)
    let_pass(monkeypatch, DAY_S + 1)
    assert Retention(api.services, clock=lambda: time.time()).sweep() == {"edits": 1}
    assert api.get(f"/edits/{edit_id}").status_code == 404
    assert api.get("/edits").json()["items"] == []
