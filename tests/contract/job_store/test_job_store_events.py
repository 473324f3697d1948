"""What the job store promises of events, webhook deliveries, deadlines and estimates."""

from __future__ import annotations

import threading

import pytest
import redis

from s2edit_core.request.spec import Progress
from s2edit_jobs.records.errors import JobNotFound
from s2edit_jobs.records.record import JobState, Outcome, Owner
from s2edit_jobs.stores.job_store import KEEP_EVENTS, PAGE
from s2edit_jobs.stores.redis_store.events import CHANGES
from tests.contract.conftest import StoreCase
from tests.contract.job_store.jobs import ANN, BOB, EVE, LEASE_S, end, enter, take


class TestEvents:
    def test_every_change_is_one_event_with_the_next_number(self, case: StoreCase) -> None:
        enter(case, "e_1")
        lease = take(case)
        case.store.events.progress(lease, Progress("learning", 1, 2))
        case.store.records.request_cancel(ANN, "e_1")
        end(case, lease, JobState.CANCELED)
        records, whole = case.store.events.since(ANN, "e_1", after=0)
        assert whole
        assert [record.sequence for record in records] == [1, 2, 3, 4, 5]
        states = [(record.state.value, record.phase, record.step, record.cancel_requested) for record in records]
        assert states == [
            ("queued", None, 0, False),
            ("running", None, 0, False),
            ("running", "learning", 1, False),
            ("running", "learning", 1, True),
            ("canceled", "learning", 1, True),
        ]
        assert records[-1] == case.store.records.get(ANN, "e_1")

    def test_only_what_is_new_is_answered(self, case: StoreCase) -> None:
        enter(case, "e_1")
        take(case)
        records, whole = case.store.events.since(ANN, "e_1", after=1)
        assert ([record.sequence for record in records], whole) == ([2], True)
        assert case.store.events.since(ANN, "e_1", after=2) == ([], True)

    def test_a_gap_is_told(self, case: StoreCase) -> None:
        enter(case, "e_1", sequence=1000)
        assert case.store.events.since(ANN, "e_1", after=5)[1] is False

    def test_old_events_are_dropped_and_that_is_told(self, case: StoreCase) -> None:
        enter(case, "e_1")
        lease = take(case)
        for step in range(KEEP_EVENTS + 300):
            case.store.events.progress(lease, Progress("learning", step, 5000))
        records, whole = case.store.events.since(ANN, "e_1", after=2)
        assert not whole
        assert KEEP_EVENTS <= len(records) < KEEP_EVENTS + 300
        assert records[-1].step == KEEP_EVENTS + 299

    def test_where_no_event_is_kept_the_last_word_is(self, case: StoreCase) -> None:
        enter(case, "e_1")
        end(case, take(case))
        case.database.client.delete("s2edit:events:e_1")
        records, whole = case.store.events.since(ANN, "e_1", after=1)
        assert ([record.state for record in records], whole) == ([JobState.SUCCEEDED], False)
        assert case.store.events.since(ANN, "e_1", after=3) == ([], True)

    def test_events_are_their_owners(self, case: StoreCase) -> None:
        enter(case, "e_1")
        for owner, job_id in ((BOB, "e_1"), (ANN, "e_2")):
            with pytest.raises(JobNotFound):
                case.store.events.since(owner, job_id, after=0)

    def test_a_listener_hears_of_every_job_that_changes(self, case: StoreCase) -> None:
        stop = threading.Event()
        heard = case.store.events.changes(stop)
        assert next(heard) is None, "what came before may have been missed"
        enter(case, "e_1")
        enter(case, "e_2", BOB)
        take(case, "e_1")
        assert [next(heard) for _ in range(3)] == ["e_1", "e_2", "e_1"]
        stop.set()
        assert list(heard) == []

    def test_a_name_that_is_no_text_does_not_end_the_listening(self, case: StoreCase) -> None:
        heard = case.store.events.changes(stop := threading.Event())
        assert next(heard) is None
        redis.Redis.from_url(case.database.url).publish(CHANGES, b"e_\xff\xfe")
        assert next(heard) is None, "it listens anew"
        enter(case, "e_1")
        assert next(heard) == "e_1"
        stop.set()


class TestDeliveries:
    def over(self, case: StoreCase, job_id: str = "e_1", *, webhook: bool = True) -> None:
        enter(case, job_id, webhook=webhook)
        end(case, take(case, job_id))

    def test_a_job_that_somebody_is_to_be_told_of_is_due_once_it_is_over(self, case: StoreCase) -> None:
        enter(case, "e_1", webhook=True)
        assert case.store.outbox.take(lease_s=60, at_once=9) is None
        end(case, take(case))
        assert case.store.outbox.take(lease_s=60, at_once=9) == ("e_1", 1)
        assert case.store.outbox.take(lease_s=60, at_once=9) is None

    def test_a_job_that_nobody_is_to_be_told_of_never_is(self, case: StoreCase) -> None:
        self.over(case, webhook=False)
        assert case.store.outbox.take(lease_s=60, at_once=9) is None

    def test_a_delivery_whose_sender_died_is_due_again(self, case: StoreCase) -> None:
        self.over(case)
        assert case.store.outbox.take(lease_s=LEASE_S, at_once=9) == ("e_1", 1)
        case.let_pass(LEASE_S * 1.3)
        assert case.store.outbox.take(lease_s=60, at_once=9) == ("e_1", 2)

    def test_one_that_was_put_off_is_due_later_and_one_that_ended_never(self, case: StoreCase) -> None:
        self.over(case)
        case.store.outbox.take(lease_s=60, at_once=9)
        case.store.outbox.put_off("e_1", LEASE_S)
        assert case.store.outbox.take(lease_s=60, at_once=9) is None
        case.let_pass(LEASE_S * 1.3)
        assert case.store.outbox.take(lease_s=0.01, at_once=9) == ("e_1", 2)
        case.store.outbox.end("e_1")
        case.store.outbox.put_off("e_1", 0.001)
        case.let_pass(0.05)
        assert case.store.outbox.take(lease_s=60, at_once=9) is None

    def test_a_tenant_has_so_many_sent_at_once_and_holds_up_no_other(self, case: StoreCase) -> None:
        jobs = [f"e_{number}" for number in range(7)]
        for job_id in jobs:
            self.over(case, job_id)
        enter(case, "e_other", Owner("umbrella", "ann"), webhook=True)
        end(case, take(case, "e_other"))

        def taken() -> str | None:
            got = case.store.outbox.take(lease_s=60, at_once=2)
            return got[0] if got else None

        assert [taken() for _ in range(4)] == ["e_0", "e_1", "e_other", None]
        case.store.outbox.end("e_0")
        assert [taken(), taken()] == ["e_2", None], "the next one of the tenant is due at once"
        case.store.outbox.put_off("e_1", 60)
        case.store.outbox.end("e_2")
        assert [taken() for _ in range(3)] == ["e_3", "e_4", None]
        case.store.erasure.erase(ANN, "e_5")
        case.store.outbox.end("e_3")
        assert [taken() for _ in range(2)] == ["e_6", None]

    def test_more_due_messages_than_a_page_of_one_tenant_hold_up_no_other(self, case: StoreCase) -> None:
        for number in range(PAGE + 20):
            case.store.outbox.announce(f"e_{number}", "umbrella")  # Redis has lost their records
        case.store.outbox.announce("e_late", ANN.tenant)
        assert case.store.outbox.take(lease_s=60, at_once=1) is not None
        assert case.store.outbox.take(lease_s=60, at_once=1) == ("e_late", 1)
        case.store.outbox.end("e_late")
        assert not case.database.client.hexists("s2edit:announced", "e_late")

    def test_what_waits_for_a_sender_that_died_is_due_again(self, case: StoreCase) -> None:
        for job_id in ("e_1", "e_2"):
            self.over(case, job_id)
        assert case.store.outbox.take(lease_s=LEASE_S, at_once=1) == ("e_1", 1)
        assert case.store.outbox.take(lease_s=LEASE_S, at_once=1) is None
        case.let_pass(LEASE_S * 1.3)
        assert {case.store.outbox.take(lease_s=60, at_once=2) for _ in range(2)} == {("e_1", 2), ("e_2", 1)}

    def test_announcing_again_brings_nothing_forward(self, case: StoreCase) -> None:
        self.over(case)
        case.store.outbox.take(lease_s=60, at_once=9)
        case.store.outbox.announce("e_1", "acme")
        assert case.store.outbox.take(lease_s=60, at_once=9) is None
        case.forget()
        case.store.outbox.announce("e_1", "acme")
        assert case.store.outbox.take(lease_s=60, at_once=9) == ("e_1", 1)


class TestDeadlinesAndEstimates:
    def test_a_job_past_its_deadline_is_found_until_it_is_over(self, case: StoreCase) -> None:
        enter(case, "e_1", deadline_at=1.0)
        enter(case, "e_2", deadline_at=4e9)
        enter(case, "e_3")
        (late,) = case.store.records.overdue()
        assert (late.id, late.owner, late.deadline_at) == ("e_1", ANN, 1.0)
        end(case, take(case, "e_1"), JobState.FAILED)
        assert case.store.records.overdue() == []

    def test_means_follow_what_is_measured(self, case: StoreCase) -> None:
        enter(case, "e_1", preset="instant")
        assert case.store.estimates.outlook(ANN, "e_1").seconds == {}
        case.store.estimates.measured("instant", {"learning": 10.0, "total": 20.0})
        case.store.estimates.measured("instant", {"total": 30.0})
        case.store.estimates.measured("paper", {"total": 900.0})
        assert case.store.estimates.outlook(ANN, "e_1").seconds == pytest.approx({"learning": 10.0, "total": 22.0})

    def test_who_comes_before_is_counted_by_turns(self, case: StoreCase) -> None:
        for i in range(10):
            enter(case, f"e_{i}")
        enter(case, "e_90", BOB)
        enter(case, "e_91", BOB)
        take(case, "e_0")
        assert (case.store.estimates.outlook(BOB, "e_90").ahead, case.store.estimates.outlook(BOB, "e_91").ahead) == (1, 3)
        assert case.store.estimates.outlook(ANN, "e_9").ahead == 10
        assert case.store.estimates.outlook(ANN, "e_0").ahead == 0
        assert case.store.estimates.outlook(ANN, "e_9").running == 1
        with pytest.raises(JobNotFound):
            case.store.estimates.outlook(BOB, "e_9")

    def test_the_prospect_is_that_of_one_job_more(self, case: StoreCase) -> None:
        assert (case.store.estimates.prospect(ANN, "instant").ahead, case.store.estimates.prospect(ANN, "instant").seconds) == (
            0,
            {},
        )
        for i in range(5):
            enter(case, f"e_{i}", preset="instant")
        enter(case, "e_90", BOB)
        take(case, "e_0")
        case.store.estimates.measured("instant", {"learning": 10.0, "total": 20.0})
        before = {owner: case.store.estimates.prospect(owner, "instant") for owner in (ANN, BOB, EVE)}
        for owner, job_id in ((ANN, "e_95"), (BOB, "e_96"), (EVE, "e_97")):
            assert before[owner] == case.store.estimates.prospect(owner, "instant"), "asking changes nothing"
            enter(case, job_id, owner, preset="instant")
            assert case.store.estimates.outlook(owner, job_id) == before[owner]
            case.store.records.finish(job_id, owner, Outcome(state=JobState.CANCELED, attempt=0, finished_at=2.0))
        assert (before[EVE].ahead, before[ANN].running) == (2, 1)
