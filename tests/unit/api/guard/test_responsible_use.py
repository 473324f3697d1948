"""Refused prompts and photos, consent, and identities that expire."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import datetime

import pytest

from s2edit_core.errors import PolicyRefused
from s2edit_jobs.access.audit import MemoryAudit
from s2edit_jobs.library.concepts import Library
from s2edit_jobs.library.erasure import Erasure
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.errors import ServiceUnavailable
from s2edit_jobs.stores.markers import EXPIRING
from s2edit_jobs.stores.model_facts import report_loaded
from tests.doubles import FakeEngine
from tests.unit.api.concept_files import FACTS, concept_file
from tests.unit.api.conftest import OWNER, Api
from tests.unit.api.wire.test_bad_input import assert_problem
from worker.attempts.runner import run_job
from worker.housekeeping.reaper import reap

CONSENT = "Ada agreed in the app"


def learn(api: Api, **parts: str) -> str:
    """Run an edit with a fake engine. Return the identity that it learned."""
    answer = api.edit(**parts)
    assert answer.status_code == 202, answer.text
    run_job(api.queue.messages.popleft(), api.services, FakeEngine(), stop=threading.Event())
    identity = Jobs(api.services).get(OWNER, answer.json()["id"]).identity
    assert identity is not None
    return identity


@pytest.mark.parametrize("part", ["prompt", "source_prompt", "subject"])
def test_refused_words_are_a_422_that_names_the_part_and_leaves_nothing(api: Api, part: str) -> None:
    before = api.kept()
    words = "naked" if part == "subject" else "a photo of a naked woman"
    answer = api.edit(**{"source_prompt": "a photo of a woman", part: words})
    problem = assert_problem(answer, 422, "policy_refused", part)
    assert problem["errors"][0]["pointer"] == f"#/{part}"
    assert "naked" not in answer.text
    assert problem["retryable"] is False
    assert api.kept() == before


def test_an_identity_and_a_key_are_no_way_around(api: Api) -> None:
    identity = api.learned_identity()
    answer = api.edit(
        image=None, mask=None, identity=identity, prompt="a photo of a [I] woman, n4ked", headers={"Idempotency-Key": "k"}
    )
    assert_problem(answer, 422, "policy_refused", "prompt")


LEARNINGS = {
    "an identity's prompt": ("identity", {"prompt": "a photo of a naked woman"}, "prompt"),
    "an attribute's prompt": ("attribute", {"prompt": "a naked woman with [A] hat"}, "prompt"),
    "an attribute's name": ("attribute", {"name": "n a k e d"}, "name"),
}


@pytest.mark.parametrize("case", LEARNINGS)
def test_refused_words_are_not_learned(api: Api, case: str) -> None:
    kind, parts, field = LEARNINGS[case]
    api.services = api.client.app.state.services = replace(api.services, audit=(audit := MemoryAudit()))  # type: ignore[attr-defined]
    before = api.kept()
    answer = api.identity(**parts) if kind == "identity" else api.attribute(**parts)
    assert_problem(answer, 422, "policy_refused", field)
    assert api.kept() == before
    assert audit.lines == [("edit.refuse", OWNER, None, "policy_refused")]


def test_a_dry_run_and_json_are_no_way_around(api: Api) -> None:
    words = "a photo of a naked woman"
    assert_problem(api.edit(prompt=words, dry_run="true"), 422, "policy_refused", "prompt")
    identity = api.learned_identity()
    asked = {"prompt": words, "identity": identity}
    assert_problem(api.client.post("/edits", json=asked), 422, "policy_refused", "prompt")


def test_nor_is_an_identity_that_was_brought_with_such_words(api: Api) -> None:
    report_loaded(api.artifacts, api.services.settings.model, FACTS)
    brought = api.post("/identities/import", file=concept_file(facts={"prompt": "a photo of a naked [I] woman", "steps": 100}))
    assert brought.status_code == 201, brought.text
    answer = api.edit(identity=brought.json()["id"], prompt="a photo of a [I] woman")
    assert_problem(answer, 422, "policy_refused", "source_prompt")


def test_the_audit_log_tells_of_learnings(api: Api) -> None:
    api.services = api.client.app.state.services = replace(api.services, audit=(audit := MemoryAudit()))  # type: ignore[attr-defined]
    attribute, identity = api.learned(api.attribute(consent=CONSENT)), api.learned(api.identity())
    api.client.delete(f"/attributes/{attribute}")
    told = [(action, what, outcome) for action, owner, what, outcome in audit.lines if owner == OWNER]
    assert ("attribute.learn", attribute, "with consent") in told
    assert ("identity.learn", identity, "without consent") in told
    assert ("attribute.erase", attribute, "erased") in told
    assert [action for action, _, _ in told].count("edit.end") == 2


def test_a_refused_photo_is_a_422_too(api: Api) -> None:
    class NoPhotos:
        def check_prompt(self, text: str, *, field: str) -> None: ...

        def check_image(self, data: bytes, *, field: str) -> None:
            raise PolicyRefused("no photos today", field=field)

    api.services = api.client.app.state.services = replace(api.services, policy=NoPhotos())  # type: ignore[attr-defined]
    assert_problem(api.edit(), 422, "policy_refused", "image")
    assert api.kept()[0] == {}


class TestConsent:
    def test_it_is_kept_with_the_identity(self, api: Api) -> None:
        identity = learn(api, consent=CONSENT)
        shown = api.client.get(f"/identities/{identity}").json()
        assert shown["consent"]["statement"] == CONSENT
        assert shown["consent"]["given_at"] <= shown["created_at"]
        assert shown["expires_at"] is None
        assert CONSENT.encode() in api.artifacts.get(f"{OWNER.prefix}concepts/{identity}/identity.json")

    def test_without_one_there_is_none(self, api: Api) -> None:
        assert api.client.get(f"/identities/{learn(api)}").json()["consent"] is None

    def test_it_is_kept_with_one_that_was_brought_and_where_it_is_required_none_is_brought_without(self, api: Api) -> None:
        report_loaded(api.artifacts, api.services.settings.model, FACTS)
        api.limit(require_consent=True)
        before = api.kept()
        for said, code in ((None, "consent_missing"), ("  ", "part_empty"), ("\u200b", "part_empty")):
            refused = api.post("/identities/import", file=concept_file(), consent=said)
            assert_problem(refused, 422, code, "consent")
        assert api.kept() == before
        brought = api.post("/identities/import", file=concept_file(), consent=CONSENT)
        assert brought.status_code == 201, brought.text
        assert brought.json()["consent"]["statement"] == CONSENT

    def test_one_that_was_brought_expires_too_and_a_second_time_changes_nothing(self, api: Api) -> None:
        report_loaded(api.artifacts, api.services.settings.model, FACTS)
        for wished, expires_in_s in (("60", 60), ("1", 60)):
            shown = api.post("/identities/import", file=concept_file(), identity_ttl_s=wished).json()
            times = [datetime.fromisoformat(shown[name]) for name in ("created_at", "expires_at")]
            assert (times[1] - times[0]).total_seconds() == pytest.approx(expires_in_s, abs=1)
        assert Erasure(api.services, clock=lambda: time.time() + 50).erase_expired() == 0
        assert Erasure(api.services, clock=lambda: time.time() + 62).erase_expired() == 1
        assert api.get("/identities").json()["items"] == []
        assert [key for key in api.artifacts.list("") if not key.startswith("models/")] == []

    @pytest.mark.parametrize(("said", "code"), [(None, "consent_missing"), ("", "part_empty"), ("   ", "part_empty")])
    def test_where_it_is_required_nothing_is_learned_without(self, api: Api, said: str | None, code: str) -> None:
        api.limit(require_consent=True)
        answer = api.edit(consent=said)
        assert_problem(answer, 422, code, "consent")
        assert api.kept()[0] == {}
        assert api.edit(consent=CONSENT).status_code == 202

    def test_also_where_it_is_learned_ahead_by_json_or_only_tried(self, api: Api) -> None:
        api.limit(require_consent=True)
        for answer in (api.identity(), api.attribute(), api.edit(dry_run="true")):
            assert_problem(answer, 422, "consent_missing", "consent")
        assert api.kept()[0] == {}
        identity = api.learned(api.identity(consent=CONSENT))
        assert api.client.get(f"/identities/{identity}").json()["consent"]["statement"] == CONSENT
        assert api.attribute(consent=CONSENT).status_code == 202
        assert api.edit(dry_run="true", consent=CONSENT).status_code == 200

    def test_an_identity_that_is_there_needs_no_other(self, api: Api) -> None:
        identity = api.learned_identity()
        api.limit(require_consent=True)
        assert api.edit(image=None, mask=None, identity=identity, prompt="a photo of a [I] woman").status_code == 202

    def test_it_has_a_length(self, api: Api) -> None:
        assert_problem(api.edit(consent="x" * 2001), 422, "option_invalid", "consent")


class TestExpiry:
    def test_an_identity_is_erased_when_its_time_has_come(self, api: Api) -> None:
        identity, lasting = learn(api, identity_ttl_s="100"), api.learned_identity()
        shown = api.client.get(f"/identities/{identity}").json()
        assert shown["expires_at"] > shown["created_at"]
        created_at = Library(api.services).identity(OWNER, identity).created_at
        assert Erasure(api.services, clock=lambda: created_at + 98).erase_expired() == 0
        assert Erasure(api.services, clock=lambda: created_at + 101).erase_expired() == 1
        assert_problem(api.client.get(f"/identities/{identity}"), 404, "not_found")
        kept = [key for key in api.artifacts.objects if "/index/" not in key]  # the job that learned it stays
        assert not any(identity in key or "/inversions/" in key for key in kept)
        assert api.client.get(f"/identities/{lasting}").status_code == 200
        assert list(api.artifacts.list(EXPIRING)) == []

    def test_the_reaper_looks_for_them(self, api: Api) -> None:
        identity = learn(api, identity_ttl_s="0.001")
        reap(api.services)
        assert_problem(api.client.get(f"/identities/{identity}"), 404, "not_found")

    @pytest.mark.parametrize(("asked", "longest", "life"), [(None, 50.0, 50), ("20", 50.0, 20), ("90", 50.0, 50), ("90", None, 90)])
    def test_the_service_says_how_long_at_most(self, api: Api, asked: str | None, longest: float | None, life: int) -> None:
        api.limit(identity_ttl_s=longest)
        identity = Library(api.services).identity(OWNER, learn(api, **({"identity_ttl_s": asked} if asked else {})))
        assert identity.expires_at is not None
        assert identity.expires_at - identity.created_at == pytest.approx(life)

    def test_one_that_is_learned_ahead_has_a_life_too(self, api: Api) -> None:
        identity = Library(api.services).identity(OWNER, api.learned(api.identity(identity_ttl_s="100")))
        assert identity.expires_at == pytest.approx(identity.created_at + 100)

    @pytest.mark.parametrize("asked", ["0", "-1", "nan", "soon", "1e12"])
    def test_a_life_that_is_none_is_refused(self, api: Api, asked: str) -> None:
        assert_problem(api.edit(identity_ttl_s=asked), 422, "option_invalid", "identity_ttl_s")

    def test_what_is_erased_before_leaves_no_note(self, api: Api) -> None:
        for erase in (lambda one: api.delete(f"/identities/{one}"), lambda _: api.erase_user("default")):
            identity = learn(api, identity_ttl_s="100")
            assert len(list(api.artifacts.list(EXPIRING))) == 1
            assert erase(identity).status_code == 200
            assert list(api.artifacts.list(EXPIRING)) == []

    def test_a_note_without_an_identity_is_dropped(self, api: Api) -> None:
        identity = learn(api, identity_ttl_s="0.001")
        api.artifacts.delete([f"{OWNER.prefix}concepts/{identity}/identity.json"])
        reap(api.services)
        assert list(api.artifacts.list(EXPIRING)) == []

    def test_a_store_that_is_down_costs_nothing(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        identity = learn(api, identity_ttl_s="0.001")

        def down(*_: object) -> int:
            raise ServiceUnavailable

        with monkeypatch.context() as patch:
            patch.setattr(api.artifacts, "delete_prefix", down)
            with pytest.raises(ServiceUnavailable):
                Erasure(api.services).erase_expired()
        Erasure(api.services).erase_expired()
        assert_problem(api.client.get(f"/identities/{identity}"), 404, "not_found")
