"""The check of the event log finds attempts that overlap, second learnings and foreign objects, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from lab.storm.checks.attempts import check_attempts
from lab.storm.checks.history import StoredEdit

KEY = "t/default/u/ann/concepts/c_1/concept.safetensors"
CHECKPOINT = "t/default/u/ann/concepts/c_1/checkpoint-000002.safetensors"
RESULT = "t/default/u/ann/edits/e_1/result-5.png"
OUTCOME = "t/default/u/ann/edits/e_1/outcome.json"
STORED = StoredEdit("e_1", "ann", "succeeded", outcome_key=OUTCOME, objects={RESULT: "red"})

Log = list[dict[str, Any]]


def line(what: str, at: float, *, job: str = "e_1", fence: int = 1, pid: int = 1, **values: Any) -> dict[str, Any]:
    """A line of a call that took a tenth of a second."""
    return {"what": what, "at": at, "began": at - 0.1, "job": job, "fence": fence, "pid": pid, **values}


def held(at: float, phase: str | None = None, step: int | None = None, **values: Any) -> dict[str, Any]:
    return line("held", at, phase=phase, step=step, **values)


def reserve(at: float, *, learns: bool = True, **values: Any) -> dict[str, Any]:
    return line("reserve", at, key=KEY, learns=learns, **values)


def put(at: float, key: str, sha256: str = "", **values: Any) -> dict[str, Any]:
    return line("put", at, key=key, sha256=sha256, **values)


SECOND: dict[str, Any] = {"job": "e_2", "fence": 2, "pid": 2}
ONE_LEARNS: Log = [
    line("claim", 1),
    reserve(2),
    held(3, "learning", 1),
    put(4, CHECKPOINT),
    line("learned", 5, key=KEY),
    line("releases", 6),
]
ANOTHER_WAITED: Log = [
    line("claim", 2.5, **SECOND),
    reserve(3, learns=False, **SECOND),
    line("claim", 7, **SECOND),
    held(8, "editing", 1, **SECOND),
]
KILLED_AND_RESUMED: Log = [
    *ONE_LEARNS[:4],
    line("claim", 7, fence=3, pid=3),
    reserve(8, fence=3, pid=3),
    held(9, "learning", 3, fence=3, pid=3),
    line("learned", 10, key=KEY, fence=3, pid=3),
]
EMPTIED = line("redis emptied", 2.5)
BOTH_RESERVE: Log = [line("claim", 1), reserve(2), line("claim", 3, **SECOND), reserve(4, **SECOND)]
BOTH_LEARN: Log = [
    line("claim", 1),
    line("claim", 1.5, **SECOND),
    line("learned", 5, key=KEY),
    line("learned", 6, key=KEY, **SECOND),
]
LATE_WRITER: Log = [
    line("claim", 1),
    line("claim", 3, fence=3, pid=3),
    line("learned", 5, key=KEY, fence=3, pid=3),
    line("learned", 6, key=KEY),
]
STALE: Log = [line("claim", 1), held(2), line("claim", 3, fence=3, pid=2), held(4, fence=3, pid=2)]
PUBLISHED: Log = [
    line("claim", 1, fence=4),
    put(2, RESULT.replace("5", "4"), "blue", fence=4),
    line("claim", 3, fence=5),
    put(4, RESULT, "red", fence=5),
    line("outcome", 5, key=OUTCOME, won=True, fence=5),
]


@pytest.mark.parametrize(
    "log",
    [
        [*ONE_LEARNS, *ANOTHER_WAITED],
        KILLED_AND_RESUMED,
        LATE_WRITER,
        [*BOTH_RESERVE, EMPTIED],
        [*BOTH_RESERVE, line("hash lost", 2.5)],
        [*BOTH_RESERVE, line("releases", 3.5)],
        [*BOTH_LEARN, EMPTIED],
        STALE,
        [*STALE, held(3.05)],  # its call began before the claim had returned
        [*STALE, held(5), line("redis restored", 4.5, since=2.5)],
        PUBLISHED,
        PUBLISHED[:-1],  # the process was killed before it could log the outcome
    ],
    ids=[
        "one learns and another waits",
        "a killed learner resumes",
        "a late writer of the same job",
        "the reservation was lost with Redis",
        "the reservation was lost with the record",
        "the first has released it",
        "both learn, after Redis was emptied",
        "another attempt takes over",
        "a call at the same time as the claim",
        "the claim was undone",
        "the winner's own result",
        "an outcome that was not logged",
    ],
)
def test_a_log_without_violations_is_clean(log: Log) -> None:
    stored = [STORED] if log in (PUBLISHED, PUBLISHED[:-1]) else []
    assert check_attempts(log, stored).clean


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ([*STALE, held(5)], "two attempts ran at once"),
        ([*STALE, held(5, "editing", 2)], "two attempts ran at once"),
        ([*STALE, held(5), line("redis restored", 2.9, since=2.5)], "two attempts ran at once"),
        (BOTH_RESERVE, "has reserved it"),
        (BOTH_LEARN, "at the same time"),
        ([*ONE_LEARNS, *(line("claim", 7, **SECOND), line("learned", 8, key=KEY, **SECOND))], "again after"),
        ([*ONE_LEARNS, *(line("claim", 7, fence=3), line("learned", 8, key=KEY, fence=3))], "again after"),
        (
            [*ONE_LEARNS[:4], line("claim", 7, fence=3), reserve(8, fence=3), held(9, "learning", 1, fence=3)],
            "from the beginning in spite of",
        ),
    ],
    ids=[
        "a stale lease is renewed",
        "a stale attempt progresses",
        "a restoration before the claim excuses nothing",
        "two reservations",
        "two learners",
        "another job learns what is stored",
        "the same job learns what is stored",
        "a checkpoint is ignored",
    ],
)
def test_attempts_that_overlap_or_learn_again_are_duplicates(log: Log, words: str) -> None:
    findings = check_attempts(log)
    assert [words in found for found in findings.duplicated] == [True]
    assert findings.counts() == {"lost": 0, "duplicated": 1, "wrong_owner": 0, "out_of_order": 0}


@pytest.mark.parametrize(
    ("late", "found"),
    [
        ([put(6, RESULT, "blue", fence=4)], {"duplicated": 1}),
        ([put(6, RESULT, "red", fence=4)], {"duplicated": 1}),
        ([line("outcome", 6, key=OUTCOME, won=True, fence=4)], {"wrong_owner": 1}),
    ],
    ids=["a late writer overwrites it", "a late writer writes the same bytes", "the winner has not written it"],
)
def test_an_outcome_must_name_its_own_attempts_objects(late: Log, found: dict[str, int]) -> None:
    findings = check_attempts([*PUBLISHED, *late], [STORED])
    assert {name: count for name, count in findings.counts().items() if count} == found


def test_the_stored_bytes_must_be_those_of_the_attempt() -> None:
    (words,) = check_attempts(
        PUBLISHED, [StoredEdit("e_1", "ann", "succeeded", outcome_key=OUTCOME, objects={RESULT: "grey"})]
    ).wrong_owner
    assert "other bytes" in words
