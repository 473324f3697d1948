"""A dry run reports what the edit would do and stores nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from s2edit_core.request.domains import Domain
from s2edit_jobs.access.keys import KeyRing
from s2edit_jobs.records.errors import StoreUnavailable
from s2edit_jobs.records.estimates import estimate_s
from s2edit_jobs.records.record import DailyUsage, Outlook
from s2edit_jobs.stores.model_facts import report_loaded
from tests.doubles import FakeEngine
from tests.unit.api import pictures
from tests.unit.api.conftest import Api
from tests.unit.api.guard.test_auth import bearer, with_auth
from tests.unit.api.routes.test_tokens import issue
from tests.unit.api.wire.test_bad_input import assert_problem

PACE = {"learning": 10.0, "inverting": 3.0, "editing": 2.0, "finishing": 0.5, "total": 12.0}


@pytest.fixture
def knowing(api: Api) -> Api:
    report_loaded(api.artifacts, api.services.settings.model, FakeEngine.facts)
    return api


def try_out(api: Api, **parts: Any) -> dict[str, Any]:
    before = api.kept()
    answer = api.edit(dry_run="true", **parts)
    assert answer.status_code == 200, answer.json()
    assert "location" not in answer.headers
    assert api.kept() == before
    said: dict[str, Any] = answer.json()
    return said


def test_it_names_what_the_edit_will_learn(knowing: Api) -> None:
    said = try_out(knowing)
    assert (said["learning"], said["eta_s"]) == ("needed", None)
    edit = knowing.edit()
    knowing.work()
    assert knowing.get(edit.headers["location"]).json()["identity"] == said["identity"]
    again = try_out(knowing)
    assert (again["learning"], again["identity"]) == ("known", said["identity"])


def test_it_tells_apart_what_learns_differently(knowing: Api) -> None:
    other = [{"seed": "1"}, {"preset": "instant"}, {"source_prompt": "a photo of a woman, sad"}, {"mask": pictures.mask((48, 64))}]
    names = {try_out(knowing, **parts)["identity"] for parts in ({}, *other)}
    assert len(names) == 5
    assert try_out(knowing, prompt="a woman with a hat")["identity"] in names, "the target prompt is not learned"


def test_a_named_identity_is_known(api: Api) -> None:
    identity = api.learned(api.identity())
    said = try_out(api, image=None, mask=None, identity=identity)
    assert (said["learning"], said["identity"]) == ("known", identity)


def test_the_estimate_is_made_of_measured_phases_and_of_those_who_wait(knowing: Api) -> None:
    knowing.store.estimates.measured("balanced", PACE)
    assert try_out(knowing)["eta_s"] == 15.5
    for _ in range(2):
        knowing.edit(user="ada")
    assert try_out(knowing)["eta_s"] == 12.0 + 15.5, "one of a neighbour's comes first"
    knowing.work()
    knowing.edit()
    knowing.store.estimates.measured("instant", PACE)
    assert try_out(knowing, preset="instant")["eta_s"] == 12.0 + 15.5
    knowing.work()
    assert try_out(knowing, preset="instant", seed="5")["eta_s"] == 15.5


def test_the_estimate_is_rounded_as_an_edits_is(knowing: Api) -> None:
    knowing.store.estimates.measured("balanced", {**PACE, "learning": 10.9035999, "editing": 2.00000001})
    assert try_out(knowing)["eta_s"] == 16.4


def test_what_is_known_takes_no_learning() -> None:
    assert estimate_s(Outlook(0, 0, PACE), learns=False) == 5.5
    assert estimate_s(Outlook(3, 2, PACE), learns=True) == 18 + 15.5
    assert estimate_s(Outlook(0, 0, {"editing": 1.0, "inverting": 1.0, "total": 2.0}), learns=True) is None


def test_before_a_worker_was_there_the_plan_is_unknown(api: Api) -> None:
    assert try_out(api) == {"learning": "unknown", "identity": None, "eta_s": None, "warnings": []}


def test_where_a_captioner_names_the_identity_only_the_worker_can_tell(knowing: Api) -> None:
    knowing.limit(captioner="a/captioner")
    assert try_out(knowing)["learning"] == "unknown"
    assert try_out(knowing, source_prompt="a photo of a woman")["learning"] == "needed"


def test_a_job_store_that_is_down_costs_the_estimate_alone(knowing: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    knowing.store.estimates.measured("balanced", PACE)

    def down(*_: object) -> None:
        raise StoreUnavailable("down")

    monkeypatch.setattr(knowing.store.estimates, "prospect", down)
    assert try_out(knowing)["eta_s"] is None


@pytest.mark.parametrize(
    ("parts", "code", "field"),
    [
        ({"mask": pictures.mask(fill="nothing")}, "mask_empty", "mask"),
        ({"prompt": "a red car"}, "subject_unknown", "prompt"),
        ({"identity": f"c_{'0' * 32}"}, "identity_unknown", "identity"),
        ({"attributes": f"a_{'0' * 32}"}, "attribute_unknown", "attributes"),
        ({"webhook_url": "https://a.example"}, "webhook_unavailable", "webhook_url"),
        ({"dry_run": "perhaps"}, "option_invalid", "dry_run"),
    ],
)
def test_every_check_is_made(knowing: Api, parts: dict[str, Any], code: str, field: str) -> None:
    assert_problem(knowing.edit(**{"dry_run": "true", **parts}), 422, code, field)


def test_a_user_with_too_many_edits_is_told_now(knowing: Api) -> None:
    knowing.limit(max_unfinished_edits_per_user=1)
    knowing.edit()
    assert_problem(knowing.edit(dry_run="true"), 429, "too_many_edits")


def test_a_spent_day_is_told_now(knowing: Api) -> None:
    knowing.limit(tenant_learnings_per_day=1)
    knowing.store.usage.book("default", DailyUsage(learnings=1))
    for dry_run in ("true", None):
        assert_problem(knowing.edit(dry_run=dry_run), 429, "quota_spent")
    knowing.limit(tenant_gpu_s_per_day=1)
    knowing.store.usage.book("default", DailyUsage(worker_s=1.0))
    for dry_run in ("true", None):
        refused = knowing.edit(dry_run=dry_run)
        assert "compute budget" in assert_problem(refused, 429, "quota_spent")["detail"]


def test_a_token_that_is_used_up_is_told_now_and_pays_nothing(knowing: Api) -> None:
    _, text = KeyRing(knowing.artifacts).create("acme")
    with_auth(knowing, "keys")
    device = bearer(issue(knowing, text, edits=1)["token"])
    for _ in range(2):
        assert knowing.edit(dry_run="true", headers=device).status_code == 200
    assert knowing.edit(headers=device).status_code == 202
    for dry_run in ("true", None):
        assert_problem(knowing.edit(dry_run=dry_run, headers=device), 403, "token_spent")


def test_an_idempotency_key_is_not_spent(knowing: Api) -> None:
    headers = {"Idempotency-Key": "k"}
    assert knowing.edit(dry_run="true", headers=headers).status_code == 200
    assert knowing.edit(headers=headers).status_code == 202


def test_false_is_no_dry_run(knowing: Api) -> None:
    assert knowing.edit(dry_run="false").status_code == 202


def test_variants_are_measured_apart(knowing: Api) -> None:
    knowing.store.estimates.measured("balanced", PACE)
    assert try_out(knowing, variants="2")["eta_s"] is None
    knowing.store.estimates.measured("balanced:x2", {**PACE, "editing": 4.0})
    assert try_out(knowing, variants="2")["eta_s"] == 17.5
    assert try_out(knowing, variants="2")["identity"] == try_out(knowing)["identity"]


def test_edits_with_steps_of_their_own_are_measured_apart(knowing: Api) -> None:
    knowing.store.estimates.measured("balanced", PACE)
    known = try_out(knowing)["eta_s"]
    assert known is not None
    assert try_out(knowing, steps="50")["eta_s"] == known, "the preset's own"
    assert try_out(knowing, steps="300")["eta_s"] is None
    knowing.store.estimates.measured("balanced:s300", {**PACE, "editing": 4.0})
    assert try_out(knowing, steps="300")["eta_s"] == 17.5


def test_words_that_the_model_does_not_know_are_told_with_and_without_a_mask(knowing: Api) -> None:
    assert try_out(knowing)["warnings"] == []
    people = Domain(("woman",), ("red", "hair", "long"), closed_vocabulary=True)
    report_loaded(knowing.artifacts, knowing.services.settings.model, replace(FakeEngine.facts, domains=(people,)))
    for parts in ({}, {"mask": None}):
        (warning,) = try_out(knowing, prompt="a photo of a woman with long green hair", **parts)["warnings"]
        assert "the word \u201cgreen\u201d," in warning
        (warning,) = try_out(knowing, prompt="a woman with red hair", negative_prompt="long zeppelins", **parts)["warnings"]
        assert "the word \u201czeppelins\u201d," in warning


def test_prompts_that_say_the_same_are_told(knowing: Api) -> None:
    same = {"prompt": "a photo of a woman with red hair", "source_prompt": "a photo of a [I] woman with red hair"}
    assert any("say the same" in each for each in try_out(knowing, **same)["warnings"])
    assert try_out(knowing, **same, negative_prompt="bangs")["warnings"] == []
    assert try_out(knowing, **{**same, "source_prompt": "a photo of a woman"})["warnings"] == []


def test_without_a_source_prompt_a_prompt_of_the_subject_alone_says_the_same(knowing: Api) -> None:
    assert any("say the same" in each for each in try_out(knowing, prompt="A photo of a woman")["warnings"])
    knowing.limit(captioner="some/captioner")
    assert try_out(knowing, prompt="A photo of a woman")["warnings"] == [], "only a worker knows the caption"


def test_another_photo_with_the_identitys_description_is_doubted(api: Api) -> None:
    parts = {"identity": api.learned_identity(), "prompt": "a photo of a woman with red hair"}
    described = {**parts, "source_prompt": "a photo of a woman with black hair"}
    (warning,) = try_out(api, **parts)["warnings"]
    assert "another photo" in warning
    assert try_out(api, **described)["warnings"] == []
    assert try_out(api, **parts, image=None, mask=None)["warnings"] == []


def test_without_a_report_of_the_model_there_is_no_warning(api: Api) -> None:
    assert try_out(api, prompt="a photo of a woman with long green hair")["warnings"] == []
