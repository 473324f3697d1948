from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from s2edit_core.request.plan import digest
from s2edit_core.request.spec import Progress
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.errors import ArtifactsUnavailable
from s2edit_jobs.records.record import Failure, JobSpec, JobState, Lease, Outcome
from s2edit_jobs.stores.artifacts import edit_key
from tests.unit.api import pictures
from tests.unit.api.conftest import OWNER, PROMPT, Api
from tests.unit.api.wire.test_bad_input import assert_problem
from worker.housekeeping.reaper import reap

NEVER = f"e_{'0' * 32}"


def spec_of(api: Api, edit_id: str) -> JobSpec:
    return Jobs(api.services).spec(OWNER, edit_id)


def claim(api: Api, edit_id: str) -> Lease:
    lease = api.store.leases.claim(edit_id, lease_s=30)
    assert lease is not None
    return lease


def succeed(api: Api, edit_id: str) -> None:
    keys = {"result": edit_key(OWNER, edit_id, "result.png"), "report": edit_key(OWNER, edit_id, "report.json")}
    api.artifacts.put(keys["result"], pictures.photo(), media_type="image/png")
    api.artifacts.put(keys["report"], json.dumps({"learning_steps": 100}).encode(), media_type="application/json")
    outcome = Outcome(state=JobState.SUCCEEDED, attempt=1, finished_at=1.0, artifacts=keys, identity=f"c_{'1' * 32}")
    Jobs(api.services).finish(OWNER, edit_id, outcome)


class TestCreation:
    @pytest.mark.parametrize("prefer", [None, "wait=5"])
    def test_an_accepted_edit_is_answered_202_even_if_it_cannot_be_shown(
        self, api: Api, monkeypatch: pytest.MonkeyPatch, prefer: str | None
    ) -> None:
        def down(*_: Any) -> Any:
            raise ArtifactsUnavailable("down")

        monkeypatch.setattr("api.routes.submissions.present", down)
        if prefer:
            monkeypatch.setattr(Jobs, "get", down)
        answer = api.edit(headers={"Prefer": prefer} if prefer else {})
        assert (answer.status_code, answer.json()["state"]) == (202, "queued")
        assert answer.headers["location"] == f"/edits/{answer.json()['id']}"

    @pytest.mark.parametrize("name", ["put", "exists", "list"])
    def test_a_request_that_is_answered_503_leaves_no_edit(self, api: Api, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        """Each call of the object store fails in its turn; the ports have their own table in `test_no_ghosts`."""
        method, statuses = getattr(api.artifacts, name), []
        for number in range(8):
            calls = []

            def failing(*values: Any, number: int = number, calls: list[int] = calls, **options: Any) -> Any:
                calls.append(1)
                if len(calls) == number + 1:
                    raise ArtifactsUnavailable("down")
                return method(*values, **options)

            before = {item["id"] for item in api.get("/edits").json()["items"]}
            with monkeypatch.context() as patch:
                patch.setattr(api.artifacts, name, failing)
                answer = api.edit()
            statuses.append(answer.status_code)
            api.database.empty()
            reap(api.services)
            after = {item["id"] for item in api.get("/edits").json()["items"]}
            assert after - before == ({answer.json()["id"]} if answer.status_code == 202 else set())
        assert {202, 503} >= set(statuses)
        assert (503 in statuses) == (name != "exists"), "that the job still exists is looked at after its acceptance"

    def test_an_edit_is_accepted_and_can_be_followed(self, api: Api) -> None:
        answer = api.edit()
        assert answer.status_code == 202
        edit = answer.json()
        assert edit["state"] == "queued"
        assert answer.headers["location"] == f"/edits/{edit['id']}"
        assert int(answer.headers["retry-after"]) > 0
        assert api.client.get(answer.headers["location"]).json() == edit

    def test_the_spec_holds_what_was_asked(self, api: Api) -> None:
        options = {
            "source_prompt": "a photo of a woman",
            "subject": "woman",
            "preset": "instant",
            "steps": "12",
            "guidance_scale": "2.5",
            "seed": "7",
        }
        request = spec_of(api, api.edit(**options).json()["id"]).request
        assert request.to_dict() == {
            "prompt": PROMPT,
            "source_prompt": "a photo of a woman",
            "subject": "woman",
            "identity": None,
            "attributes": [],
            "preset": "instant",
            "steps": 12,
            "guidance_scale": 2.5,
            "seed": 7,
            "mask_mode": "auto",
            "variants": 1,
            "at": None,
        }

    def test_an_empty_negative_prompt_is_none(self, api: Api) -> None:
        assert spec_of(api, api.edit(negative_prompt="").json()["id"]).request.negative_prompt is None

    def test_the_files_are_kept_as_they_came(self, api: Api) -> None:
        image = pictures.photo(format="JPEG")
        edit_id = api.edit(image=image, edit_mask=pictures.mask()).json()["id"]
        inputs = spec_of(api, edit_id).inputs
        assert set(inputs) == {"image", "mask", "edit_mask"}
        assert api.artifacts.get(inputs["image"].key) == image
        assert (inputs["image"].sha256, inputs["image"].media_type) == (digest(image), "image/jpeg")
        assert inputs["mask"].media_type == "image/png"

    def test_the_bell_is_rung_once(self, api: Api) -> None:
        edit_id = api.edit().json()["id"]
        assert list(api.queue.messages) == [edit_id]

    def test_a_mask_of_the_same_frame_at_another_size_is_accepted(self, api: Api) -> None:
        assert api.edit(mask=pictures.mask((48, 64))).status_code == 202

    @pytest.mark.parametrize("kind", ["webp", "avif"])
    def test_photos_of_other_kinds_are_accepted(self, api: Api, kind: str) -> None:
        edit_id = api.edit(image=pictures.photo(format=kind.upper())).json()["id"]
        kept = spec_of(api, edit_id).inputs["image"]
        assert (kept.media_type, kept.key.rpartition(".")[2]) == (f"image/{kind}", kind)

    def test_a_known_identity_needs_no_files_and_no_source_prompt(self, api: Api) -> None:
        identity = api.learned_identity()
        answer = api.edit(image=None, mask=None, identity=identity)
        assert answer.status_code == 202, answer.json()
        spec = spec_of(api, answer.json()["id"])
        assert (spec.request.identity, spec.request.source_prompt, spec.request.subject) == (
            identity,
            "a photo of a [I] woman",
            "woman",
        )
        assert {name: f"concepts/{identity}/" in file.key for name, file in spec.inputs.items()} == {"image": True, "mask": True}

    def test_a_known_identity_may_come_with_an_edit_mask(self, api: Api) -> None:
        answer = api.edit(image=None, mask=None, identity=api.learned_identity(), edit_mask=pictures.mask())
        assert set(spec_of(api, answer.json()["id"]).inputs) == {"image", "mask", "edit_mask"}

    def test_without_a_local_model_folder_prompts_are_left_to_the_worker(self, api: Api) -> None:
        api.client.app.state.vocabulary = None  # type: ignore[attr-defined]
        assert api.edit(prompt="a photo of a dog " * 100).status_code == 202

    def test_a_slow_store_does_not_hold_up_others(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        put, go_on, began = api.artifacts.put, threading.Event(), threading.Event()

        def slow(*values: Any, **names: Any) -> None:
            began.set()
            assert go_on.wait(20)
            put(*values, **names)

        monkeypatch.setattr(api.artifacts, "put", slow)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(api.edit)
            assert began.wait(20)
            assert api.client.get("/healthz").status_code == 200
            assert not waiting.done()
            go_on.set()
            assert waiting.result(20).status_code == 202


class TestFollowing:
    def test_progress_is_shown(self, api: Api) -> None:
        edit_id = api.edit().json()["id"]
        api.store.events.progress(claim(api, edit_id), Progress("learning", 30, 120))
        edit = api.client.get(f"/edits/{edit_id}").json()
        assert (edit["state"], edit["phase"]) == ("running", "learning")
        assert edit["progress"] == {"phase": "learning", "step": 30, "total": 120, "fraction": 0.25}

    def test_the_progress_of_a_success_is_whole(self, api: Api) -> None:
        """Workers report their last phase when it begins. Without this, a progress bar would jump back at the end."""
        edit_id = api.edit().json()["id"]
        api.store.events.progress(claim(api, edit_id), Progress("finishing", 0, 1))
        assert api.client.get(f"/edits/{edit_id}").json()["progress"]["fraction"] == 0
        succeed(api, edit_id)
        assert api.client.get(f"/edits/{edit_id}").json()["progress"] == {
            "phase": "finishing",
            "step": 1,
            "total": 1,
            "fraction": 1.0,
        }

    def test_times_are_rfc_3339_in_utc(self, api: Api) -> None:
        edit = api.edit().json()
        for name in ("created_at", "updated_at"):
            assert edit[name].endswith("Z")
            assert datetime.fromisoformat(edit[name]).utcoffset() == timedelta(0)

    def test_the_etag_is_the_sequence_and_grows(self, api: Api) -> None:
        answer = api.edit()
        first = answer.json()["sequence"]
        assert answer.headers["etag"] == f'W/"{first}"'
        claim(api, answer.json()["id"])
        later = api.client.get(answer.headers["location"])
        assert later.json()["sequence"] > first
        assert later.headers["etag"] == f'W/"{later.json()["sequence"]}"'

    @pytest.mark.parametrize("known", ['"{}"', 'W/"{}"', '"77", "{}"', "*"])
    def test_nothing_new_is_304(self, api: Api, known: str) -> None:
        answer = api.edit()
        tag = known.format(answer.json()["sequence"])
        again = api.client.get(answer.headers["location"], headers={"If-None-Match": tag})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == answer.headers["etag"]
        assert again.headers["retry-after"] == answer.headers["retry-after"]

    @pytest.mark.parametrize("known", ['"77"', "", "1", "garbage"])
    def test_another_etag_gets_the_whole_answer(self, api: Api, known: str) -> None:
        answer = api.client.get(api.edit().headers["location"], headers={"If-None-Match": known})
        assert (answer.status_code, answer.json()["state"]) == (200, "queued")

    def test_a_success_has_its_links_its_report_and_its_identity(self, api: Api) -> None:
        edit_id = api.edit().json()["id"]
        succeed(api, edit_id)
        answer = api.client.get(f"/edits/{edit_id}")
        edit = answer.json()
        assert (edit["state"], edit["identity"], edit["error"]) == ("succeeded", f"c_{'1' * 32}", None)
        assert edit["result"]["url"].startswith(f"memory:///t/default/u/default/edits/{edit_id}/result.png?")
        assert edit["report"]["url"].startswith(f"memory:///t/default/u/default/edits/{edit_id}/report.json?")
        assert edit["report"]["values"] == {"learning_steps": 100}
        left = datetime.fromisoformat(edit["result"]["expires_at"]) - datetime.now().astimezone()
        assert timedelta(seconds=590) < left <= timedelta(seconds=600)
        assert "retry-after" not in answer.headers
        assert answer.headers["cache-control"] == "no-store"

    @pytest.mark.parametrize("ttl_s", [1, 4, 900])
    def test_a_304_confirms_only_links_that_stay_valid(self, api: Api, ttl_s: int, monkeypatch: pytest.MonkeyPatch) -> None:
        edit_id = api.edit().json()["id"]
        succeed(api, edit_id)
        api.limit(result_url_ttl_s=ttl_s)
        start, half_s = time.time() // ttl_s * ttl_s + ttl_s + 0.25, max(1, ttl_s // 2)
        monkeypatch.setattr("time.time", lambda: start)
        answer = api.client.get(f"/edits/{edit_id}")
        known = {"If-None-Match": answer.headers["etag"]}
        link_ends = datetime.fromisoformat(answer.json()["result"]["expires_at"]).timestamp()
        for later, status in ((start, 304), (start + half_s - 0.5, 304), (start + half_s, 200), (start + ttl_s, 200)):
            monkeypatch.setattr("time.time", lambda now=later: now)
            again = api.client.get(f"/edits/{edit_id}", headers=known)
            assert again.status_code == status, later - start
            if status == 304:
                assert again.headers["etag"] == answer.headers["etag"]
                assert link_ends > later
            else:
                assert datetime.fromisoformat(again.json()["result"]["expires_at"]).timestamp() > later

    def test_the_etag_changes_when_the_results_expire(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        edit_id = api.edit().json()["id"]
        succeed(api, edit_id)
        api.limit(result_ttl_s=100.5, result_url_ttl_s=604_800)
        answer = api.client.get(f"/edits/{edit_id}")
        ends = datetime.fromisoformat(answer.json()["results_expire_at"]).timestamp()
        for seconds in (0.5, 0.0, -0.5):  # in the last second, too, links are new
            monkeypatch.setattr("time.time", lambda now=ends - seconds: now)
            again = api.client.get(f"/edits/{edit_id}", headers={"If-None-Match": answer.headers["etag"]})
            assert again.status_code == 200
            assert (again.json()["result"] is None) == (seconds <= 0)
        same = api.client.get(f"/edits/{edit_id}", headers={"If-None-Match": again.headers["etag"]})
        assert same.status_code == 304

    def test_a_report_that_was_erased_is_left_out(self, api: Api) -> None:
        edit_id = api.edit().json()["id"]
        succeed(api, edit_id)
        del api.artifacts.objects[edit_key(OWNER, edit_id, "report.json")]
        edit = api.client.get(f"/edits/{edit_id}").json()
        assert edit["report"] is None
        assert edit["result"] is not None

    def test_a_failure_says_why(self, api: Api) -> None:
        edit_id = api.edit().json()["id"]
        failure = Failure(code="prompt_too_long", message="the prompt is too long", retryable=False, field="prompt")
        Jobs(api.services).finish(OWNER, edit_id, Outcome(state=JobState.FAILED, attempt=1, finished_at=1.0, failure=failure))
        edit = api.client.get(f"/edits/{edit_id}").json()
        assert edit["state"] == "failed"
        assert edit["error"] == {
            "code": "prompt_too_long",
            "message": "the prompt is too long",
            "retryable": False,
            "field": "prompt",
        }
        assert edit["result"] is None

    def test_an_edit_outlives_the_loss_of_the_job_store(self, api: Api) -> None:
        edit_id = api.edit().json()["id"]
        succeed(api, edit_id)
        api.database.empty()
        assert api.client.get(f"/edits/{edit_id}").json()["state"] == "succeeded"


class TestCanceling:
    def test_a_waiting_edit_ends_at_once(self, api: Api) -> None:
        edit_id = api.edit().json()["id"]
        answer = api.client.post(f"/edits/{edit_id}/cancel")
        assert (answer.status_code, answer.json()["state"]) == (202, "canceled")

    def test_a_running_edit_is_asked_to_stop_and_twice_is_the_same(self, api: Api) -> None:
        edit_id = api.edit().json()["id"]
        claim(api, edit_id)
        answers = [api.client.post(f"/edits/{edit_id}/cancel") for _ in range(2)]
        assert [answer.status_code for answer in answers] == [202, 202]
        assert answers[0].json() == answers[1].json()
        assert (answers[0].json()["state"], answers[0].json()["cancel_requested"]) == ("running", True)

    def test_an_edit_that_is_over_stays_as_it_ended(self, api: Api) -> None:
        edit_id = api.edit().json()["id"]
        succeed(api, edit_id)
        assert api.client.post(f"/edits/{edit_id}/cancel").json()["state"] == "succeeded"


class TestOwners:
    def test_everything_of_a_user_lies_under_its_prefix(self, api: Api) -> None:
        api.edit(user="ada")
        elsewhere = [key for key in api.artifacts.objects if not key.startswith("t/default/u/ada/")]
        assert len(elsewhere) < len(api.artifacts.objects)
        assert all(key.startswith("unfinished/") for key in elsewhere)

    @pytest.mark.parametrize(("method", "path"), [("GET", "/edits/{}"), ("POST", "/edits/{}/cancel")])
    def test_foreign_and_unknown_edits_look_alike(self, api: Api, method: str, path: str) -> None:
        edit_id = api.edit(user="ada").json()["id"]
        strange = [
            api.client.request(method, path.format(one), headers={"S2Edit-User": "mallory"})
            for one in (edit_id, NEVER, "a.b", "x" * 300)
        ]
        for answer in strange:
            assert_problem(answer, 404, "not_found")
        assert len({answer.content for answer in strange[:2]}) == 1
        assert api.client.get(f"/edits/{edit_id}", headers={"S2Edit-User": "ada"}).json()["state"] == "queued"

    def test_an_identity_is_shown_to_its_owner(self, api: Api) -> None:
        identity = api.learned_identity()
        shown = api.client.get(f"/identities/{identity}").json()
        assert f"/concepts/{identity}/image.png" in shown.pop("photo")["url"]
        assert shown == {
            "id": identity,
            "name": None,
            "source_prompt": "a photo of a [I] woman",
            "subject": "woman",
            "created_at": "2026-09-21T14:13:20.500000Z",
            "expires_at": None,
            "consent": None,
            "has_photo": True,
        }

    def test_foreign_and_unknown_identities_look_alike(self, api: Api) -> None:
        identity = api.learned_identity(owner=replace(OWNER, user="ada"))
        answers = [api.client.get(f"/identities/{one}") for one in (identity, f"c_{'0' * 32}", "nonsense")]
        for answer in answers:
            assert_problem(answer, 404, "not_found")
        assert len({answer.content for answer in answers}) == 1


def test_the_subject_of_an_edit_with_an_identity_is_in_both_prompts_unless_it_becomes_another_one(api: Api) -> None:
    identity = api.learned_identity()
    answer = api.post("/edits", identity=identity, prompt="a photo of a cat", subject="cat")
    assert "'cat'" in assert_problem(answer, 422, "subject_not_in_prompt", "source_prompt")["detail"]
    both = {"prompt": "a photo of a cat", "source_prompt": "a photo of a cat", "subject": "cat"}
    assert api.post("/edits", identity=identity, **both).status_code == 202
    for prompt in ("a photo of a [I] woman, smiling", "a photo of a [I] man"):
        assert api.post("/edits", identity=identity, prompt=prompt).status_code == 202
