"""The check of a history finds every kind of violation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab.storm.checks.history import (
    AcceptedEdit,
    Findings,
    History,
    Poll,
    StoredEdit,
    StreamEvent,
    WebhookTry,
    check,
    lost_times,
    older_times,
    outcomes_won,
    restart_seconds,
)

ACCEPTED = AcceptedEdit("key-1", "ann", "e_1", result="red")
POLLS = [
    Poll("e_1", "ann", 1, "queued"),
    Poll("e_1", "eve", 0, "", found=False),
    Poll("e_1", "ann", 4, "running"),
    Poll("e_1", "ann", 4, "running"),
    Poll("e_1", "ann", 1_800_000_000_000, "queued"),  # Redis was emptied
    Poll("e_1", "ann", 1_800_000_000_009, "succeeded", artifacts="a"),
    Poll("e_1", "ann", 1_800_000_000_009, "succeeded", artifacts="a"),
]
STORED = StoredEdit("e_1", "ann", "succeeded", result="red")
GOOD = History([ACCEPTED, ACCEPTED], POLLS, [STORED])


def counts(history: History) -> dict[str, int]:
    return {name: count for name, count in check(history).counts().items() if count}


def test_a_history_without_violations_is_clean() -> None:
    assert check(GOOD).clean
    canceled = replace(ACCEPTED, canceled=True)
    for state in ("succeeded", "canceled"):
        stored = replace(STORED, state=state, result="red" if state == "succeeded" else "")
        assert check(History([canceled], [], [stored])).clean


@pytest.mark.parametrize(
    ("stored", "found"),
    [
        ([], {"lost": 1}),
        ([replace(STORED, state=None)], {"lost": 1}),
        ([replace(STORED, state="failed")], {"lost": 1}),
        ([replace(STORED, state="canceled")], {"lost": 1}),
        ([STORED, replace(STORED, job="e_2")], {"duplicated": 1}),
        ([replace(STORED, outcomes_won=2)], {"duplicated": 1}),
        ([replace(STORED, user="eve")], {"wrong_owner": 1}),
        ([replace(STORED, result="black")], {"wrong_owner": 1}),
    ],
    ids=[
        "not stored",
        "never ended",
        "failed",
        "canceled without a request",
        "never answered",
        "two outcomes",
        "another owner",
        "another picture",
    ],
)
def test_the_stored_edits_are_checked_against_the_accepted_ones(stored: list[StoredEdit], found: dict[str, int]) -> None:
    assert counts(History([ACCEPTED], [], stored)) == found


def test_one_key_with_two_edits_is_a_duplicate() -> None:
    assert counts(History([ACCEPTED, replace(ACCEPTED, job="e_2")], [], [STORED, replace(STORED, job="e_2")])) == {"duplicated": 1}


@pytest.mark.parametrize(
    ("polls", "found"),
    [
        ([POLLS[2], POLLS[0]], {"out_of_order": 1}),
        ([POLLS[2], replace(POLLS[2], state="queued")], {"out_of_order": 1}),
        ([POLLS[-1], replace(POLLS[-1], sequence=1_900_000_000_000, state="running")], {"out_of_order": 1}),
        ([replace(POLLS[-1], state="canceled")], {"out_of_order": 1}),
        ([POLLS[-1], replace(POLLS[-1], artifacts="b")], {"duplicated": 1}),
        ([replace(POLLS[0], found=False)], {"lost": 1}),
        ([replace(POLLS[0], user="eve")], {"wrong_owner": 1}),
    ],
    ids=[
        "backwards",
        "one number, two states",
        "after the end",
        "another end",
        "another result",
        "not found",
        "found by a stranger",
    ],
)
def test_polls_are_checked_against_the_model(polls: list[Poll], found: dict[str, int]) -> None:
    assert {name for name in counts(History([ACCEPTED], polls, [STORED]))} >= set(found)
    assert counts(History([ACCEPTED], polls, [STORED])).items() >= found.items()


def test_a_poll_may_show_an_older_state_only_until_a_housekeeper_has_settled_redis() -> None:
    polls = [replace(POLLS[2], at=1.0), replace(POLLS[0], at=4.0), replace(POLLS[4], at=6.0)]
    backwards = History([ACCEPTED], polls, [STORED])
    assert counts(backwards) == {"out_of_order": 1}
    assert check(replace(backwards, older=[(3.0, 5.0)])).clean
    assert counts(replace(backwards, older=[(4.5, 5.0)])) == {"out_of_order": 1}
    stranger = replace(polls[1], user="eve")
    assert counts(History([ACCEPTED], [stranger], [STORED], older=[(3.0, 5.0)])) == {"wrong_owner": 1}


def test_redis_is_older_from_its_restoration_until_a_rebuild_that_has_begun_later() -> None:
    settled = [{"what": "redis settled", "at": at, "began": at - 0.5} for at in (1.0, 3.2, 4.0, 9.0)]
    restored = [{"what": "redis restored", "at": at} for at in (3.0, 8.0, 8.2)]
    assert older_times([*settled, *restored]) == [(3.0, 4.0), (8.0, 9.0)]
    assert older_times([*settled, {"what": "redis restored", "at": 10.0}]) == [(10.0, float("inf"))]


EVENTS = [
    StreamEvent("e_1", 1, "queued"),
    StreamEvent("e_1", 2, "running"),
    StreamEvent("e_1", 1_800_000_000_000, "queued", gap=True),
]


def test_a_stream_without_gaps_or_with_declared_ones_is_clean() -> None:
    assert check(replace(GOOD, events=EVENTS)).clean


@pytest.mark.parametrize(
    ("events", "found"),
    [
        ([EVENTS[1], EVENTS[0]], {"out_of_order": 1}),
        ([EVENTS[1], EVENTS[1]], {"out_of_order": 1}),
        ([EVENTS[0], replace(EVENTS[1], sequence=3)], {"lost": 1}),
        ([replace(EVENTS[0], state="succeeded"), EVENTS[1]], {"out_of_order": 1}),
    ],
    ids=["backwards", "twice", "an undeclared gap", "after the end"],
)
def test_a_stream_is_checked_against_the_model(events: list[StreamEvent], found: dict[str, int]) -> None:
    assert counts(replace(GOOD, events=events)) == found


ANSWERED = [WebhookTry("e_1", "m_1", "succeeded", accepted=accepted) for accepted in (False, True, True)]


def test_a_webhook_that_is_refused_and_sent_again_is_clean() -> None:
    assert check(replace(GOOD, webhook_tries=ANSWERED)).clean
    assert check(replace(GOOD, webhook_tries=None)).clean


@pytest.mark.parametrize(
    ("webhook_tries", "found"),
    [
        ([], {"lost": 1}),
        (ANSWERED[:1], {"lost": 1}),
        ([*ANSWERED, replace(ANSWERED[1], message="m_2")], {"duplicated": 1}),
        ([*ANSWERED, replace(ANSWERED[1], job="e_2", message="m_2")], {"duplicated": 1}),
        ([replace(ANSWERED[1], state="canceled")], {"out_of_order": 1}),
    ],
    ids=["none", "only refused ones", "two messages", "of an unknown edit", "another end"],
)
def test_webhooks_are_checked_against_the_model(webhook_tries: list[WebhookTry], found: dict[str, int]) -> None:
    assert counts(replace(GOOD, webhook_tries=webhook_tries)) == found


def test_an_edit_that_ends_only_when_somebody_looks_is_lost() -> None:
    unlooked = replace(ACCEPTED, looked_at=False)
    (words,) = check(History([unlooked], [], [replace(STORED, state=None)])).lost
    assert "nobody looked at it" in words


def test_findings_add_up() -> None:
    both = Findings(lost=["a"]) + Findings(lost=["b"], duplicated=["c"])
    assert both == Findings(lost=["a", "b"], duplicated=["c"])


def test_successful_writes_of_an_outcome_are_counted_by_key() -> None:
    event_log = [{"what": "outcome", "key": "a", "won": won} for won in (True, False, True)]
    assert outcomes_won(event_log) == {"a": 2}


def test_restart_times_run_from_the_kill_to_the_next_claim_of_the_job() -> None:
    event_log = [
        {"what": "claim", "pid": 1, "job": "e_1", "at": 10.0},
        {"what": "claim", "pid": 2, "job": "e_2", "at": 10.5},
        {"what": "left", "pid": 2, "job": "e_2", "at": 11.0},
        {"what": "claim", "pid": 3, "job": "e_1", "at": 14.0},
        {"what": "claim", "pid": 3, "job": "e_2", "at": 15.0},
    ]
    assert restart_seconds(event_log, {1: 12.0, 2: 12.0}) == [2.0]
    assert restart_seconds(event_log, {1: 12.0}, without=[(14.5, 15.0), (1.0, 11.0)]) == [2.0]
    assert restart_seconds(event_log, {1: 12.0}, without=[(13.0, 13.5)]) == []


def test_redis_is_lost_from_an_emptying_until_it_is_settled_and_while_it_is_cut_off() -> None:
    event_log = [
        {"what": "fault", "name": "cut redis", "at": 1.0},
        {"what": "redis reachable", "at": 2.0},
        {"what": "redis emptied", "at": 3.0},
        {"what": "redis settled", "at": 5.0, "began": 4.0},
        {"what": "fault", "name": "full disk", "at": 6.0},
    ]
    assert sorted(lost_times(event_log)) == [(1.0, 2.0), (3.0, 5.0)]
