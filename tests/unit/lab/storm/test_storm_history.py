"""The model of the promise finds what it is there to find."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab.storm.history import Asked, Heard, History, Kept, Seen, check, outcomes_won, restart_seconds

ASKED = Asked("key-1", "ann", "e_1", result="red")
SEEN = [
    Seen("e_1", "ann", 1, "queued"),
    Seen("e_1", "eve", 0, "", found=False),
    Seen("e_1", "ann", 4, "running"),
    Seen("e_1", "ann", 4, "running"),
    Seen("e_1", "ann", 1_800_000_000_000, "queued"),  # Redis was emptied
    Seen("e_1", "ann", 1_800_000_000_009, "succeeded", artifacts="a"),
    Seen("e_1", "ann", 1_800_000_000_009, "succeeded", artifacts="a"),
]
KEPT = Kept("e_1", "ann", "succeeded", result="red")
GOOD = History([ASKED, ASKED], SEEN, [KEPT])


def counts(history: History) -> dict[str, int]:
    return {name: count for name, count in check(history).counts().items() if count}


def test_a_history_that_keeps_the_promise_is_clean() -> None:
    assert check(GOOD).clean
    canceled = replace(ASKED, canceled=True)
    for state in ("succeeded", "canceled"):
        kept = replace(KEPT, state=state, result="red" if state == "succeeded" else "")
        assert check(History([canceled], [], [kept])).clean


@pytest.mark.parametrize(
    ("kept", "found"),
    [
        ([], {"lost": 1}),
        ([replace(KEPT, state=None)], {"lost": 1}),
        ([replace(KEPT, state="failed")], {"lost": 1}),
        ([replace(KEPT, state="canceled")], {"lost": 1}),
        ([KEPT, replace(KEPT, job="e_2")], {"duplicated": 1}),
        ([replace(KEPT, outcomes_won=2)], {"duplicated": 1}),
        ([replace(KEPT, user="eve")], {"wrong_owner": 1}),
        ([replace(KEPT, result="black")], {"wrong_owner": 1}),
    ],
    ids=[
        "nothing kept",
        "never over",
        "failed",
        "canceled by nobody",
        "untold",
        "two outcomes",
        "another owner",
        "another picture",
    ],
)
def test_what_is_kept_is_held_against_what_was_asked(kept: list[Kept], found: dict[str, int]) -> None:
    assert counts(History([ASKED], [], kept)) == found


def test_one_key_with_two_edits_is_a_duplicate() -> None:
    assert counts(History([ASKED, replace(ASKED, job="e_2")], [], [KEPT, replace(KEPT, job="e_2")])) == {"duplicated": 1}


@pytest.mark.parametrize(
    ("seen", "found"),
    [
        ([SEEN[2], SEEN[0]], {"out_of_order": 1}),
        ([SEEN[2], replace(SEEN[2], state="queued")], {"out_of_order": 1}),
        ([SEEN[-1], replace(SEEN[-1], sequence=1_900_000_000_000, state="running")], {"out_of_order": 1}),
        ([replace(SEEN[-1], state="canceled")], {"out_of_order": 1}),
        ([SEEN[-1], replace(SEEN[-1], artifacts="b")], {"duplicated": 1}),
        ([replace(SEEN[0], found=False)], {"lost": 1}),
        ([replace(SEEN[0], user="eve")], {"wrong_owner": 1}),
    ],
    ids=["backwards", "one number, two states", "after the end", "another end", "another result", "not found", "seen by others"],
)
def test_what_was_seen_is_held_against_the_model(seen: list[Seen], found: dict[str, int]) -> None:
    assert {name for name in counts(History([ASKED], seen, [KEPT]))} >= set(found)
    assert counts(History([ASKED], seen, [KEPT])).items() >= found.items()


HEARD = [Heard("e_1", 1, "queued"), Heard("e_1", 2, "running"), Heard("e_1", 1_800_000_000_000, "queued", gap=True)]


def test_a_stream_without_holes_or_with_told_ones_is_clean() -> None:
    assert check(replace(GOOD, heard=HEARD)).clean


@pytest.mark.parametrize(
    ("heard", "found"),
    [
        ([HEARD[1], HEARD[0]], {"out_of_order": 1}),
        ([HEARD[1], HEARD[1]], {"out_of_order": 1}),
        ([HEARD[0], replace(HEARD[1], sequence=3)], {"lost": 1}),
        ([replace(HEARD[0], state="succeeded"), HEARD[1]], {"out_of_order": 1}),
    ],
    ids=["backwards", "twice", "an untold hole", "after the end"],
)
def test_a_stream_is_held_against_the_model(heard: list[Heard], found: dict[str, int]) -> None:
    assert counts(replace(GOOD, heard=heard)) == found


def test_outcomes_are_counted_by_their_key() -> None:
    diary = [{"what": "outcome", "key": "a", "won": won} for won in (True, False, True)]
    assert outcomes_won(diary) == {"a": 2}


def test_restarts_are_measured_from_the_kill_to_the_next_claim_of_the_same_job() -> None:
    diary = [
        {"what": "claim", "pid": 1, "job": "e_1", "at": 10.0},
        {"what": "claim", "pid": 2, "job": "e_2", "at": 10.5},
        {"what": "left", "pid": 2, "job": "e_2", "at": 11.0},
        {"what": "claim", "pid": 3, "job": "e_1", "at": 14.0},
        {"what": "claim", "pid": 3, "job": "e_2", "at": 15.0},
    ]
    assert restart_seconds(diary, {1: 12.0, 2: 12.0}) == [2.0]
