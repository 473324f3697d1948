"""Photos without a mask: edits and identities that find the person, and `POST /masks`."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from s2edit_core.errors import PolicyRefused
from s2edit_core.pictures.files import encode_png
from s2edit_core.request.spec import MaskRequest
from s2edit_jobs.access.policy import Policy
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.stores.model_facts import report_loaded
from tests.doubles import FakeEngine
from tests.unit.api import pictures
from tests.unit.api.conftest import OWNER, Api
from tests.unit.api.routes.edits.test_continuing import PicturingEngine, go_on
from tests.unit.api.wire.test_bad_input import assert_problem
from worker.engines.painters import DigestPainter, stand_in

FOUND = FakeEngine().mask(pictures.photo(), None)


def ask(api: Api, *, user: str | None = None, headers: dict[str, str] | None = None, **parts: Any) -> Any:
    """POST a valid mask request, changed by `parts`."""
    return api.post("/masks", user=user, headers=headers, **{"image": pictures.photo(), **parts})


def done(api: Api, answer: Any, engine: FakeEngine | None = None) -> dict[str, Any]:
    """Run the jobs and return this one."""
    assert answer.status_code == 202, answer.json()
    api.work(engine)
    job: dict[str, Any] = api.get(answer.headers["location"]).json()
    assert job["state"] == "succeeded", job
    return job


def fetched(api: Api, link: dict[str, Any]) -> bytes:
    """Return the object behind a link of the in-memory store, which has no server."""
    return next(data for key, data in api.artifacts.objects.items() if key in link["url"])


class TestEdits:
    def test_a_photo_and_a_sentence_are_enough(self, api: Api) -> None:
        job = done(api, api.edit(mask=None))
        assert job["result"]["url"]
        assert fetched(api, job["mask"]) == FOUND
        told = {"source": "found", "segmenter": "fake", "people": 1, "confidence": 0.9}
        assert job["report"]["values"]["mask"].items() >= told.items()

    def test_the_mask_that_was_sent_is_in_the_answer_too(self, api: Api) -> None:
        job = done(api, api.edit())
        assert fetched(api, job["mask"]) == pictures.mask()
        assert job["report"]["values"]["mask"] == {"source": "given"}
        listed = api.get("/edits").json()["items"]
        assert fetched(api, listed[0]["mask"]) == pictures.mask()

    def test_one_from_before_masks_were_kept_has_none(self, api: Api) -> None:
        job = done(api, api.edit())
        artifacts = api.store.records.get(OWNER, job["id"]).artifacts
        kept = {name: key for name, key in artifacts.items() if name != "mask"}
        api.database.client.hset(f"s2edit:job:{job['id']}", "artifacts", json.dumps(kept))
        assert api.get(f"/edits/{job['id']}").json()["mask"] is None

    def test_the_next_edit_of_the_photo_learns_nobody(self, api: Api) -> None:
        first, engine = done(api, api.edit(mask=None)), FakeEngine()
        second = done(api, api.edit(mask=None, prompt="a photo of a woman with a hat"), engine)
        assert (second["identity"], engine.learned) == (first["identity"], 0)

    def test_an_edit_by_identity_uses_the_mask_that_was_found(self, api: Api) -> None:
        first, engine = done(api, api.edit(mask=None)), FakeEngine()
        later = done(api, api.edit(image=None, mask=None, identity=first["identity"], prompt="a photo of a woman, sad"), engine)
        assert (fetched(api, later["mask"]), engine.found) == (FOUND, 0)
        assert later["report"]["values"]["mask"] == {"source": "identity"}

    def test_a_pixel_picks_one_of_several(self, api: Api) -> None:
        job = done(api, api.edit(mask=None, at="95, 127"))
        assert fetched(api, job["mask"]) == FakeEngine().mask(pictures.photo(), (95, 127))

    @pytest.mark.parametrize("at", ["095,127", "95,0127", "00,1", "+95,127", "9_5,127", "\uff19,1", "95"])
    def test_a_pixel_is_written_in_plain_numbers(self, api: Api, at: str) -> None:
        assert_problem(api.edit(mask=None, at=at), 422, "at_invalid", "at")

    def test_nobody_in_the_photo_is_told_by_code_and_in_words(self, api: Api) -> None:
        answer = api.edit(mask=None)
        api.work(FakeEngine(painter=DigestPainter(people=0)))
        error = api.get(answer.headers["location"]).json()["error"]
        assert (error["code"], error["field"], error["retryable"]) == ("mask_not_found", "mask", False)
        assert "send a mask" in error["message"]

    def test_the_pixel_tells_two_requests_apart(self, api: Api) -> None:
        headers = {"Idempotency-Key": "one"}
        assert api.edit(mask=None, at="3,4", headers=headers).status_code == 202
        assert_problem(api.edit(mask=None, at="4,3", headers=headers), 422, "idempotency_key_reused")


class TestDryRun:
    def test_it_says_that_it_can_not_know_the_identity(self, api: Api) -> None:
        report_loaded(api.artifacts, api.services.settings.model, FakeEngine.facts)
        assert api.edit(dry_run="true").json()["learning"] == "needed"
        said = api.edit(mask=None, dry_run="true").json()
        assert (said["learning"], said["identity"]) == ("unknown", None)
        identity = done(api, api.edit(mask=None))["identity"]
        assert api.edit(mask=None, dry_run="true").json()["learning"] == "unknown"
        by_name = api.edit(image=None, mask=None, identity=identity, dry_run="true").json()
        assert (by_name["learning"], by_name["identity"]) == ("known", identity)

    def test_it_decodes_the_photo_and_counts_the_search(self, api: Api) -> None:
        assert_problem(api.edit(mask=None, dry_run="true", image=pictures.photo()[:-100]), 422, "image_damaged", "image")
        assert api.edit(mask=None, dry_run="true").json()["eta_s"] is None
        with_mask, without = FakeEngine(step_s=0.05), FakeEngine(step_s=0.05)
        done(api, api.edit(mask=None), without)
        done(api, api.edit(source_prompt="a photo of a woman, here"), with_mask)
        seconds = [api.edit(dry_run="true", **parts).json()["eta_s"] for parts in ({"mask": None}, {"seed": "3"})]
        assert seconds[0] > seconds[1] + 0.1


class TestParents:
    def test_the_mask_that_was_found_is_used_again(self, api: Api) -> None:
        parent, engine = done(api, api.edit(mask=None), PicturingEngine()), PicturingEngine()
        answer = go_on(api, parent["id"])
        child = Jobs(api.services).spec(OWNER, answer.json()["id"])
        assert api.artifacts.get(child.inputs["mask"].key) == encode_png(stand_in(pictures.SIZE, None))
        done(api, answer, engine)
        assert (engine.found, engine.learned) == (0, 0)

    def test_pointing_at_somebody_finds_a_mask_anew(self, api: Api) -> None:
        parent, engine = done(api, api.edit(), PicturingEngine()), PicturingEngine()
        answer = go_on(api, parent["id"], at="40,50")
        assert "mask" not in Jobs(api.services).spec(OWNER, answer.json()["id"]).inputs
        done(api, answer, engine)
        assert engine.found == 1

    def test_a_search_for_a_mask_is_no_parent(self, api: Api) -> None:
        job = done(api, ask(api))
        assert_problem(go_on(api, job["id"]), 422, "parent_unfit", "parent")


class TestIdentities:
    def test_the_person_is_found_and_an_edit_of_the_photo_learns_nobody(self, api: Api) -> None:
        learned, engine = done(api, api.identity(mask=None)), FakeEngine()
        assert fetched(api, learned["mask"]) == FOUND
        edit = done(api, api.edit(mask=None, source_prompt="a photo of a woman"), engine)
        assert (edit["identity"], engine.learned) == (learned["identity"], 0)

    def test_a_pixel_picks_one_of_several(self, api: Api) -> None:
        job = done(api, api.identity(mask=None, at="3,4"))
        assert fetched(api, job["mask"]) == FakeEngine().mask(pictures.photo(), (3, 4))
        assert_problem(api.identity(at="3,4"), 422, "at_and_mask", "at")
        assert_problem(api.identity(mask=None, at="96,4"), 422, "at_outside", "at")

    def test_an_imported_one_needs_a_photo_and_no_mask(self, api: Api) -> None:
        identity = api.learned_identity()
        answer = api.edit(mask=None, identity=identity)
        assert set(Jobs(api.services).spec(OWNER, answer.json()["id"]).inputs) == {"image"}

    def test_an_attribute_is_not_looked_for(self, api: Api) -> None:
        assert_problem(api.attribute(mask=None), 422, "mask_missing", "mask")
        assert_problem(api.attribute(at="3,4"), 422, "option_unknown", "at")


class TestMasks:
    def test_the_answer_is_a_job_like_others(self, api: Api) -> None:
        answer = ask(api)
        assert (answer.status_code, answer.json()["kind"], answer.json()["mask"]) == (202, "mask", None)
        assert answer.headers["location"] == f"/edits/{answer.json()['id']}"
        job = done(api, answer)
        assert fetched(api, job["mask"]) == FOUND
        assert (job["identity"], job["attribute"], job["result"], job["results"]) == (None, None, None, [])
        assert job["report"]["values"]["mask"]["people"] == 1
        assert api.get("/edits?kind=mask").json()["items"][0]["id"] == job["id"]
        assert api.get("/edits?kind=edit").json()["items"] == []

    def test_it_is_the_mask_that_an_edit_would_use(self, api: Api) -> None:
        found, edit = done(api, ask(api, at="3,4")), done(api, api.edit(mask=None, at="3,4"))
        assert fetched(api, edit["mask"]) == fetched(api, found["mask"])

    def test_the_request_is_kept_as_it_was_asked(self, api: Api) -> None:
        spec = Jobs(api.services).spec(OWNER, ask(api, at="3,4", prompt="a photo of a woman", deadline_s="60").json()["id"])
        assert spec.request == MaskRequest(prompt="a photo of a woman", at=(3, 4))
        assert set(spec.inputs) == {"image"}
        assert spec.deadline_at is not None

    def test_it_is_waited_for_canceled_and_erased_as_an_edit_is(self, api: Api) -> None:
        assert ask(api, headers={"Prefer": "wait=0"}).status_code == 202
        job = ask(api).json()
        assert api.client.post(f"/edits/{job['id']}/cancel").json()["state"] == "canceled"
        answer = ask(api, user="ann")
        api.work()
        assert api.delete(answer.headers["location"], user="ann").json()["objects"] == 7
        assert not [key for key in api.artifacts.objects if "/u/ann/" in key]

    def test_the_same_key_is_the_same_search(self, api: Api) -> None:
        one, other = (ask(api, headers={"Idempotency-Key": "k"}).json()["id"] for _ in range(2))
        assert one == other
        assert_problem(ask(api, headers={"Idempotency-Key": "k"}, at="3,4"), 422, "idempotency_key_reused")

    @pytest.mark.parametrize(
        ("parts", "code", "field"),
        [
            ({"image": None, "prompt": "a woman"}, "image_missing", "image"),
            ({"image": b"%PDF"}, "image_format", "image"),
            ({"image": pictures.photo((16, 16))}, "image_too_small", "image"),
            ({"mask": pictures.mask()}, "option_unknown", "mask"),
            ({"at": "here"}, "at_invalid", "at"),
            ({"at": "96,0"}, "at_outside", "at"),
            ({"prompt": "  "}, "prompt_empty", "prompt"),
            ({"prompt": "a photo of a woman " * 40}, "prompt_too_long", "prompt"),
            ({"preset": "balanced"}, "option_unknown", "preset"),
            ({"webhook_url": "https://app.example.com/hook"}, "webhook_unavailable", "webhook_url"),
            ({"deadline_s": "0"}, "option_invalid", "deadline_s"),
        ],
    )
    def test_what_can_not_be_done_is_refused_and_leaves_nothing(
        self, api: Api, parts: dict[str, Any], code: str, field: str
    ) -> None:
        assert_problem(ask(api, **parts), 422, code, field)
        assert api.kept() == ({}, [], [])

    def test_the_policy_looks_at_photo_and_prompt(self, api: Api) -> None:
        class Strict(Policy):
            def check_prompt(self, prompt: str, *, field: str) -> None:
                raise PolicyRefused("no", field=field)

            def check_image(self, data: bytes, *, field: str) -> None:
                raise PolicyRefused("no", field=field)

        api.client.app.state.services = replace(api.services, policy=Strict())  # type: ignore[attr-defined]
        assert_problem(ask(api), 422, "policy_refused", "image")
        assert_problem(ask(api, prompt="a photo of a woman"), 422, "policy_refused", "prompt")
        assert api.kept() == ({}, [], [])

    def test_nobody_is_learned_so_no_consent_is_needed(self, api: Api) -> None:
        api.limit(require_consent=True)
        assert ask(api).status_code == 202
        assert_problem(api.edit(mask=None), 422, "consent_missing", "consent")
