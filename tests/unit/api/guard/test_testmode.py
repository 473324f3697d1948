"""Test mode: its data is separate from live data, is marked as such, and costs no budget."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from s2edit_jobs.access.audit import MemoryAudit
from s2edit_jobs.access.keys import SCOPES, KeyRing
from s2edit_jobs.lifecycle.jobs import DEADLINE
from s2edit_jobs.records.record import DailyUsage, Owner, tenant_of_test_mode
from s2edit_jobs.stores.model_facts import report_loaded
from tests.doubles import FakeEngine
from tests.unit.api import pictures
from tests.unit.api.conftest import PROMPT, Api
from tests.unit.api.guard.test_auth import bearer, with_auth
from tests.unit.api.wire.test_bad_input import assert_problem
from worker.attempts.runner import run_attempt
from worker.engines.modeless_engine import engine_of_test_mode

ANN, TEST = Owner("acme", "ann"), Owner(tenant_of_test_mode("acme"), "ann")


class Sides:
    """A service with a live key and a test key of one tenant."""

    def __init__(self, api: Api) -> None:
        ring = KeyRing(api.artifacts)
        self.live = bearer(ring.create("acme", SCOPES)[1], ANN.user)
        self.test = bearer(ring.create("acme", SCOPES, test=True)[1], ANN.user)
        report_loaded(api.artifacts, api.services.settings.model, FakeEngine.facts)
        self.api = with_auth(api, "keys")

    def work(self) -> None:
        """Run the queued jobs of test mode."""
        services = self.api.services
        while (lease := services.store.leases.claim(lease_s=15, test=True)) is not None:
            run_attempt(lease, services, engine_of_test_mode(FakeEngine.facts), stop=threading.Event())

    def done(self, answer: Any) -> dict[str, Any]:
        """Run the jobs and return the edit."""
        assert answer.status_code == 202, answer.json()
        self.work()
        edit: dict[str, Any] = self.api.client.get(answer.headers["location"], headers=self.test).json()
        assert edit["state"] == "succeeded", edit
        return edit


@pytest.fixture
def sides(api: Api) -> Sides:
    return Sides(api)


def test_an_edit_is_done_and_says_everywhere_that_it_is_a_test(sides: Sides) -> None:
    answer = sides.api.edit(headers=sides.test)
    assert answer.headers["s2edit-test"] == "true"
    assert answer.json()["test"] is True
    edit = sides.done(answer)
    assert edit["test"] is edit["report"]["values"]["test"] is True
    assert edit["result"]["url"]
    again = sides.done(sides.api.edit(headers=sides.test, image=None, mask=None, identity=edit["identity"]))
    assert again["identity"] == edit["identity"]


def test_a_photo_alone_is_enough_and_its_mask_can_be_asked_for(sides: Sides) -> None:
    edit = sides.done(sides.api.edit(headers=sides.test, mask=None))
    found = sides.done(sides.api.post("/masks", headers=sides.test, image=pictures.photo(), prompt="a woman [test:slow 0.1]"))
    assert edit["mask"]["url"]
    assert found["mask"]["url"]
    assert found["report"]["values"]["test"] is True
    assert_problem(
        sides.api.post("/masks", headers=sides.test, image=pictures.photo(), prompt="[test:odd]"),
        422,
        "test_word_unknown",
        "prompt",
    )


def test_a_live_answer_says_that_it_is_none(sides: Sides) -> None:
    answer = sides.api.edit(headers=sides.live)
    assert "s2edit-test" not in answer.headers
    assert answer.json()["test"] is False


def test_refusals_and_lists_of_test_mode_say_so_too(sides: Sides) -> None:
    client = sides.api.client
    answers = [
        client.get(f"/edits/e_{'0' * 32}", headers=sides.test),
        client.get("/identities", headers=sides.test),
        sides.api.edit(headers=sides.test, steps="0"),
        client.post("/uploads", json={"media_type": "image/png", "size_bytes": 9}, headers=sides.test),
    ]
    assert [answer.status_code for answer in answers] == [404, 200, 422, 201]
    assert {answer.headers.get("s2edit-test") for answer in answers} == {"true"}


def test_what_was_made_in_test_mode_is_nowhere_in_live(sides: Sides) -> None:
    client = sides.api.client
    edit = sides.done(sides.api.edit(headers=sides.test))
    for path in (f"/edits/{edit['id']}", f"/identities/{edit['identity']}", f"/identities/{edit['identity']}/export"):
        assert client.get(path, headers=sides.test).status_code == 200
        assert client.get(path, headers=sides.live).status_code == 404
    assert client.get("/edits", headers=sides.live).json()["items"] == []
    assert client.get("/identities", headers=sides.live).json()["items"] == []
    foreign = sides.api.edit(headers=sides.live, identity=edit["identity"])
    assert_problem(foreign, 422, "identity_unknown", "identity")


def test_erasing_a_user_is_of_one_side(sides: Sides) -> None:
    client = sides.api.client
    test, live = (sides.api.edit(headers=headers).headers["location"] for headers in (sides.test, sides.live))
    assert client.delete("/users/ann", headers=sides.test).status_code == 200
    assert client.get(test, headers=sides.test).status_code == 404
    assert client.get(live, headers=sides.live).status_code == 200
    assert list(sides.api.artifacts.list(TEST.prefix)) == []


def test_a_token_that_a_test_key_has_got_is_a_test_token(sides: Sides) -> None:
    token = sides.api.client.post("/tokens", json={}, headers=sides.test).json()["token"]
    answer = sides.api.edit(headers=bearer(token))
    assert (answer.headers["s2edit-test"], answer.json()["test"]) == ("true", True)
    assert sides.api.client.get(answer.headers["location"], headers=sides.test).status_code == 200
    assert_problem(sides.api.edit(headers=bearer(token)), 403, "token_spent")


def test_a_prompt_is_refused_as_the_policy_would(sides: Sides) -> None:
    audit = MemoryAudit()
    sides.api.services = sides.api.client.app.state.services = replace(sides.api.services, audit=audit)  # type: ignore[attr-defined]
    before = sides.api.kept()
    for path in ("/edits", "/identities"):
        parts = {"prompt": f"{PROMPT} [test:refused]"}
        answer = (sides.api.edit if path == "/edits" else sides.api.identity)(headers=sides.test, **parts)
        assert_problem(answer, 422, "policy_refused", "prompt")
    assert sides.api.kept() == before
    assert audit.lines == [("edit.refuse", TEST, None, "policy_refused")] * 2
    assert sides.api.edit(headers=sides.live, prompt=f"{PROMPT} [test:refused]").status_code == 202


def test_a_word_that_means_nothing_is_an_error_under_a_test_key(sides: Sides) -> None:
    answer = sides.api.edit(headers=sides.test, prompt=f"{PROMPT} [test:sloow 5]")
    problem = assert_problem(answer, 422, "test_word_unknown", "prompt")
    assert "[test:slow N]" in problem["detail"]
    assert sides.api.edit(headers=sides.live, prompt=f"{PROMPT} [test:sloow 5]").status_code == 202


def test_its_deadline_is_over_at_once_if_asked_for(sides: Sides) -> None:
    edit = sides.api.edit(headers=sides.test, prompt=f"{PROMPT} [test:failed deadline_exceeded]").json()
    assert edit["deadline_at"] == edit["created_at"]
    sides.work()
    over = sides.api.client.get(f"/edits/{edit['id']}", headers=sides.test).json()
    assert over["error"]["code"] == DEADLINE


def test_budgets_are_not_asked_and_rates_are(sides: Sides) -> None:
    api = sides.api
    for tenant in (ANN.tenant, TEST.tenant):
        api.store.usage.book(tenant, DailyUsage(1, 1.0))
    api.limit(tenant_learnings_per_day=1, tenant_gpu_s_per_day=1.0, user_writes_per_minute=1)
    with_auth(api, "keys")
    assert api.edit(headers=sides.test).status_code == 202
    assert_problem(api.edit(headers=sides.test), 429, "rate_exceeded")
    assert_problem(api.edit(headers=sides.live), 429, "quota_spent")


def test_a_dry_run_foresees_what_test_mode_will_learn(sides: Sides) -> None:
    said = sides.api.edit(headers=sides.test, dry_run="true").json()
    assert said["learning"] == "needed"
    assert sides.done(sides.api.edit(headers=sides.test))["identity"] == said["identity"]
    assert sides.api.edit(headers=sides.test, dry_run="true").json()["learning"] == "known"
    assert sides.api.edit(headers=sides.live, dry_run="true").json()["identity"] != said["identity"]


def test_an_identity_of_test_mode_is_exported_and_imported_there_and_nowhere_else(sides: Sides) -> None:
    api = sides.api
    identity = sides.done(api.identity(headers=sides.test))["identity"]
    export = api.client.get(f"/identities/{identity}/export", headers=sides.test)
    assert export.status_code == 200
    data = api.artifacts.get(f"{TEST.prefix}concepts/{identity}/concept.safetensors")
    imported = api.post("/identities/import", headers=sides.test, file=data)
    assert imported.status_code == 201, imported.text
    sides.done(api.edit(headers=sides.test, identity=imported.json()["id"]))
    assert_problem(api.post("/identities/import", headers=sides.live, file=data), 422, "concept_foreign", "file")


def test_an_edit_goes_on_from_a_former_one(sides: Sides) -> None:
    parent = sides.done(sides.api.edit(headers=sides.test, prompt=f"{PROMPT} [test:slow 0.1]"))
    child = sides.done(sides.api.edit(headers=sides.test, image=None, mask=None, parent=parent["id"]))
    assert (child["parent"], child["identity"]) == (parent["id"], parent["identity"])


def test_words_do_not_make_a_prompt_too_long(sides: Sides) -> None:
    """Not even if it becomes the source prompt of another edit."""
    words = "[test:slow 0.1] [test:failed artifact_mismatch] [test:webhook_twice]"
    assert sides.api.edit(headers=sides.test, prompt=f"{PROMPT} {words}").status_code == 202
    assert sides.api.identity(headers=sides.test, prompt=f"{PROMPT} {words}").status_code == 202
    assert sides.api.edit(headers=sides.test, source_prompt=f"{PROMPT} {words}").status_code == 202
    assert_problem(sides.api.edit(headers=sides.live, prompt=f"{PROMPT} {words}"), 422, "prompt_too_long", "prompt")
    assert_problem(sides.api.edit(headers=sides.test, prompt=words), 422, "prompt_empty", "prompt")
