"""Polls, long polls and event streams: three ways to follow an edit, which show the same sequence."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Literal

import pytest

from api import changes
from api.changes import Changes
from api.following import long_polls
from s2edit_core.request.spec import Progress
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.errors import StoreUnavailable
from s2edit_jobs.records.record import JobState, Outcome
from tests.doubles import FakeEngine
from tests.unit.api.conftest import OWNER, Api
from tests.unit.api.routes.edits.test_edits import NEVER, claim, succeed
from tests.unit.api.wire.test_bad_input import assert_problem


def started(act: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=act)
    thread.start()
    return thread


def once_awaited(api: Api, act: Callable[[], object]) -> list[threading.Thread]:
    """Call `act` in a thread once a request waits for a change of a job. Return the thread then."""
    changes: Changes = api.client.app.state.changes  # type: ignore[attr-defined]
    watching, threads = changes.watching, list[threading.Thread]()

    @contextmanager
    def watched(job_id: str) -> Iterator[asyncio.Event]:
        with watching(job_id) as changed:
            wait = changed.wait

            async def waited() -> Literal[True]:
                if not threads:
                    threads.append(started(act))
                return await wait()

            changed.wait = waited  # type: ignore[method-assign]
            yield changed

    changes.watching = watched  # type: ignore[method-assign]
    return threads


def stream(api: Api, edit_id: str, last: int | None = None) -> list[dict[str, Any]]:
    """Read a stream to its end. Return the names, ids and data of its events."""
    answer = api.client.get(f"/edits/{edit_id}/events", headers={} if last is None else {"Last-Event-ID": str(last)})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = []
    for block in answer.text.strip().split("\n\n"):
        parts = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "event" in parts:
            events.append({**parts, "data": json.loads(parts["data"])})
    return events


def done(api: Api, edit_id: str) -> None:
    lease = claim(api, edit_id)
    for step in (1, 2, 3):
        api.store.events.progress(lease, Progress("learning", step, 3))
    succeed(api, edit_id)


class TestLongPolls:
    def test_an_answer_is_held_back_until_the_edit_changes(self, api: Api) -> None:
        edit = api.edit().json()
        threads = once_awaited(api, lambda: claim(api, edit["id"]))
        began = time.monotonic()
        answer = api.client.get(
            f"/edits/{edit['id']}", headers={"If-None-Match": f'"{edit["sequence"]}"', "Prefer": "respond-async, wait=20"}
        )
        threads.pop().join()
        assert (answer.status_code, answer.json()["state"]) == (200, "running")
        assert answer.headers["preference-applied"] == "wait=20"
        assert time.monotonic() - began < 15

    def test_without_a_tag_it_is_held_back_until_the_edit_is_over(self, api: Api) -> None:
        edit_id = api.edit().json()["id"]
        threads = once_awaited(api, lambda: done(api, edit_id))
        answer = api.client.get(f"/edits/{edit_id}", headers={"Prefer": "wait=20"})
        threads.pop().join()
        assert answer.json()["state"] == "succeeded"

    def test_when_nothing_happens_it_is_304_after_that_time(self, api: Api) -> None:
        edit = api.edit().json()
        began = time.monotonic()
        answer = api.client.get(f"/edits/{edit['id']}", headers={"If-None-Match": f'"{edit["sequence"]}"', "Prefer": "wait=1"})
        assert answer.status_code == 304
        assert 0.9 < time.monotonic() - began < 15

    def test_of_an_edit_that_is_over_nothing_more_is_awaited(self, api: Api) -> None:
        edit_id = api.edit().json()["id"]
        succeed(api, edit_id)
        tag = api.client.get(f"/edits/{edit_id}").headers["etag"]
        began = time.monotonic()
        assert api.client.get(f"/edits/{edit_id}", headers={"If-None-Match": tag, "Prefer": "wait=30"}).status_code == 304
        assert time.monotonic() - began < 15

    @pytest.mark.parametrize("what", ["edit", "identity", "attribute"])
    def test_asking_may_wait_for_the_end_too(self, api: Api, what: str) -> None:
        def work() -> None:
            while not api.queue.messages:
                time.sleep(0.01)
            done(api, api.queue.messages.popleft())

        thread = started(work)
        answer = getattr(api, what)(headers={"Prefer": "wait=20"})
        thread.join()
        assert (answer.status_code, answer.json()["state"], answer.json()["kind"]) == (202, "succeeded", what)
        assert (answer.headers["preference-applied"], answer.headers["location"]) == ("wait=20", f"/edits/{answer.json()['id']}")
        assert answer.json()["result"]["url"]

    def test_an_edit_that_was_accepted_is_answered_so_though_redis_is_down_meanwhile(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def down(*_: object, **__: object) -> None:
            raise StoreUnavailable("down")

        records, admission, estimates = api.store.records, api.store.admission, api.store.estimates
        for role, name in ((records, "add"), (records, "get"), (admission, "take_slot"), (estimates, "outlook")):
            monkeypatch.setattr(role, name, down)
        answer = api.edit(headers={"Prefer": "wait=20"})
        assert (answer.status_code, answer.json()["state"]) == (202, "queued")
        assert len([key for key in api.artifacts.objects if key.endswith("/spec.json")]) == 1

    @pytest.mark.parametrize(
        ("prefer", "wait_s"),
        [("wait=5", 5), ("Wait = 5", 5), ('wait="7"', 7), ("respond-async,wait=9", 9), ("wait=9999", 60), ("await=5", 0), ("", 0)],
    )
    def test_the_preference_is_read_as_rfc_7240_writes_it(self, prefer: str, wait_s: int) -> None:
        assert long_polls.wait_s_of(prefer) == wait_s

    def test_a_change_whose_message_was_lost_is_seen_soon(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(changes, "RECHECK_S", 0.1)
        monkeypatch.setattr(api.store.events, "changes", lambda stop: iter([None]))
        edit_id = api.edit().json()["id"]
        threads = once_awaited(api, lambda: succeed(api, edit_id))
        assert api.client.get(f"/edits/{edit_id}", headers={"Prefer": "wait=20"}).json()["state"] == "succeeded"
        threads.pop().join()

    def test_foreign_edits_are_not_waited_for(self, api: Api) -> None:
        edit_id = api.edit(user="ada").json()["id"]
        assert_problem(api.client.get(f"/edits/{edit_id}", headers={"Prefer": "wait=20"}), 404, "not_found")


class TestStreams:
    def test_every_change_comes_once_in_order_and_the_stream_ends_with_the_edit(self, api: Api) -> None:
        edit_id = api.edit().json()["id"]
        threads = once_awaited(api, lambda: done(api, edit_id))
        events = stream(api, edit_id)
        threads.pop().join()
        assert [int(event["id"]) for event in events] == [1, 2, 3, 4, 5, 6]
        assert {event["event"] for event in events} == {"edit"}
        assert [event["data"]["sequence"] for event in events] == [1, 2, 3, 4, 5, 6]
        assert [event["data"]["state"] for event in events] == ["queued", *["running"] * 4, "succeeded"]
        assert [event["data"]["progress"]["step"] for event in events[2:5]] == [1, 2, 3]
        assert events[-1]["data"]["result"]["url"], "the last event has the links"
        poll = api.client.get(f"/edits/{edit_id}")
        assert poll.headers["etag"].startswith(f'W/"{events[-1]["id"]}-')

    def test_it_goes_on_behind_the_last_event_that_was_seen(self, api: Api) -> None:
        edit_id = api.edit().json()["id"]
        done(api, edit_id)
        assert [int(event["id"]) for event in stream(api, edit_id, last=4)] == [5, 6]

    def test_when_all_was_seen_it_says_not_to_come_back(self, api: Api) -> None:
        edit_id = api.edit().json()["id"]
        done(api, edit_id)
        answer = api.client.get(f"/edits/{edit_id}/events", headers={"Last-Event-ID": "6"})
        assert (answer.status_code, answer.content) == (204, b"")

    def test_events_that_cannot_be_replayed_are_told(self, api: Api) -> None:
        edit_id = api.edit().json()["id"]
        done(api, edit_id)
        api.database.empty()
        gap, last = stream(api, edit_id, last=3)
        assert (gap["event"], gap["data"]) == ("gap", {"after": 3, "next": int(last["id"])})
        assert last["data"]["state"] == "succeeded"
        assert "id" not in gap, "a client that comes back must not go on behind the gap"

    @pytest.mark.parametrize("last", [None, 1])
    def test_a_jump_between_stored_events_is_told(self, api: Api, last: int | None) -> None:
        edit_id = api.edit().json()["id"]
        (record,) = api.store.recovery.settle("a Redis that was restored")
        done(api, edit_id)
        events = stream(api, edit_id, last=last)
        gap = events.index({"event": "gap", "data": {"after": 1, "next": record.sequence}})
        assert [int(event["id"]) for event in events[:gap]] == ([] if last else [1])
        assert [int(event["id"]) for event in events[gap + 1 :]] == [record.sequence + i for i in range(6)]

    def test_a_store_that_is_down_for_a_while_ends_no_stream(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        edit_id = api.edit().json()["id"]
        read, calls = api.store.events.since, []

        def flaky(*values: Any, **names: Any) -> Any:
            calls.append(1)
            if len(calls) == 1:
                started(lambda: done(api, edit_id))
                raise StoreUnavailable("down")
            return read(*values, **names)

        monkeypatch.setattr(api.store.events, "since", flaky)
        assert [event["data"]["state"] for event in stream(api, edit_id)][-1] == "succeeded"

    def test_foreign_and_unknown_edits_have_no_stream(self, api: Api) -> None:
        edit_id = api.edit(user="ada").json()["id"]
        for one in (edit_id, NEVER):
            assert_problem(api.client.get(f"/edits/{one}/events"), 404, "not_found")

    def test_a_malformed_last_event_id_is_refused(self, api: Api) -> None:
        edit_id = api.edit().json()["id"]
        answer = api.client.get(f"/edits/{edit_id}/events", headers={"Last-Event-ID": "x"})
        assert_problem(answer, 422, "header_invalid", "last-event-id")


class TestPressure:
    def test_a_user_with_too_many_edits_is_told_when_to_come_back_and_others_are_served(self, api: Api) -> None:
        api.limit(max_unfinished_edits_per_user=2)
        for _ in range(2):
            assert api.edit(user="ada").status_code == 202
        before = api.kept()
        refused = api.edit(user="ada")
        assert_problem(refused, 429, "too_many_edits")
        assert int(refused.headers["retry-after"]) > 0
        assert api.kept() == before
        assert api.edit(user="bob").status_code == 202

    def test_a_crowd_at_one_moment_does_not_pass_the_bound_together(self, api: Api) -> None:
        api.limit(max_unfinished_edits_per_user=5)
        with ThreadPoolExecutor(12) as crowd:
            answers = list(crowd.map(lambda _: api.edit(user="ada").status_code, range(24)))
        assert sorted(answers) == [202] * 5 + [429] * 19

    def test_a_canceled_edit_frees_its_place(self, api: Api) -> None:
        api.limit(max_unfinished_edits_per_user=1)
        edit_id = api.edit().json()["id"]
        api.client.post(f"/edits/{edit_id}/cancel")
        assert api.edit().status_code == 202

    def test_a_full_queue_is_a_503(self, api: Api) -> None:
        api.limit(max_unfinished_edits=1)
        api.edit(user="ada")
        refused = api.edit(user="bob")
        assert_problem(refused, 503, "queue_full")
        assert int(refused.headers["retry-after"]) > 0


class TestDeadlinesAndEstimates:
    def test_a_deadline_is_kept_and_shown(self, api: Api) -> None:
        edit = api.edit(deadline_s="90").json()
        spec = Jobs(api.services).spec(OWNER, edit["id"])
        assert spec.deadline_at == pytest.approx(spec.created_at + 90)
        assert edit["deadline_at"] > edit["created_at"]
        assert api.edit().json()["deadline_at"] is None

    @pytest.mark.parametrize("deadline_s", ["0", "-1", "nan", "soon", "1e9"])
    def test_an_impossible_deadline_is_refused(self, api: Api, deadline_s: str) -> None:
        assert_problem(api.edit(deadline_s=deadline_s), 422, "option_invalid", "deadline_s")

    def test_the_time_left_is_told_once_it_was_measured(self, api: Api) -> None:
        edit_id = api.edit().json()["id"]
        assert api.client.get(f"/edits/{edit_id}").json()["eta_s"] is None
        api.store.estimates.measured("balanced", {"learning": 30.0, "inverting": 4.0, "editing": 6.0, "total": 25.0})
        assert api.client.get(f"/edits/{edit_id}").json()["eta_s"] == 40.0
        api.store.events.progress(claim(api, edit_id), Progress("learning", 1, 3))
        assert api.client.get(f"/edits/{edit_id}").json()["eta_s"] == 30.0
        Jobs(api.services).finish(OWNER, edit_id, Outcome(JobState.CANCELED, attempt=1, finished_at=1.0))
        assert api.client.get(f"/edits/{edit_id}").json()["eta_s"] is None

    def test_an_edit_of_a_known_person_is_as_long_as_its_dry_run_says(self, api: Api) -> None:
        known = {"image": None, "mask": None, "identity": api.learned(api.identity())}
        api.store.estimates.measured("balanced", {"learning": 30.0, "inverting": 1.0, "editing": 2.0, "total": 12.0})
        assert api.edit(dry_run="true", **known).json()["eta_s"] == 3.0
        assert api.edit(**known).json()["eta_s"] == 3.0

    def test_edits_measure_what_learning_an_identity_takes(self, api: Api) -> None:
        assert api.edit().json()["eta_s"] is None
        api.work(FakeEngine(steps=2, step_s=0.1))
        assert 0.1 <= api.identity(seed="5").json()["eta_s"] <= 1.0
