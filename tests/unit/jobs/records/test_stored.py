"""Every stored kind × odd versions: a reader returns a record, or says that it is damaged or newer, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.wire.edit_answers import Edit
from s2edit_core.request.spec import EditRequest
from s2edit_jobs.records import stored
from s2edit_jobs.records.errors import RecordDamaged, RecordNewer, RecordUnusable
from s2edit_jobs.records.record import JobSpec, JobState, Outcome, final_record, first_record, recovered_record
from s2edit_jobs.records.stored import VERSIONS, Kind, read_number
from s2edit_jobs.records.unreadable import RECORD_NEWER, damaged_outcome, partial_outcome, partial_record, time_of
from tests.unit.jobs.records.stored_kinds import ANN, EDIT, FAILED, JOB_ID, STORED, SUCCEEDED, spec

EACH = pytest.mark.parametrize("name", STORED)
WORDS = st.text(max_size=5) | st.sampled_from(["queued", "c_1", "../x", "2026-01-01"])
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.just(10**400) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)


def paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each value inside `value`."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        yield (*at, name)
        yield from paths(inner, (*at, name))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Return a copy of `value` with `new` at `path`; without the value if `new` is `...`."""
    copy = json.loads(json.dumps(value))
    inside = copy
    for name in path[:-1]:
        inside = inside[name]
    if new is ...:
        del inside[path[-1]]
    else:
        inside[path[-1]] = new
    return copy


def encoded(values: Any, **more: Any) -> bytes:
    return json.dumps({**values, **more}).encode()


@EACH
def test_a_record_is_read_as_it_was_written_and_unknown_fields_are_ignored(name: str) -> None:
    one = STORED[name]
    read = one.read(one.data)
    extended = one.read(encoded(one.values, version=1, something={"new": [1]}))
    assert extended == read or extended == {**read, "version": 1, "something": {"new": [1]}}


@EACH
def test_a_newer_version_is_not_read_until_the_release_knows_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one = STORED[name]
    data = encoded(one.values, version=VERSIONS[one.kind] + 1)
    with pytest.raises(RecordNewer):
        one.read(data)
    monkeypatch.setitem(stored.VERSIONS, one.kind, VERSIONS[one.kind] + 1)
    one.read(data)


@EACH
@pytest.mark.parametrize("version", [0, -1, True, "2", None, 1.5, [2]])
def test_a_version_that_is_no_number_is_damage(name: str, version: Any) -> None:
    with pytest.raises(RecordDamaged):
        STORED[name].read(encoded(STORED[name].values, version=version))


@EACH
def test_a_record_cut_short_anywhere_is_damaged(name: str) -> None:
    one = STORED[name]
    for length in range(len(one.data)):
        with pytest.raises(RecordDamaged):
            one.read(one.data[:length])


@EACH
@pytest.mark.parametrize(
    "data", [b"", b"\0" * 64, b"null", b"1", b'"x"', b"[]", b"\xff\xd8\xff", b"[" * 100_000, b'{"a":' * 100_000, b"<html>"]
)
def test_a_foreign_file_is_damaged(name: str, data: bytes) -> None:
    with pytest.raises(RecordDamaged):
        STORED[name].read(data)


@EACH
@FEW
@given(data=st.data())
def test_any_value_in_place_of_any_other_is_read_or_named(name: str, data: st.DataObject) -> None:
    one = STORED[name]
    path = data.draw(st.sampled_from(sorted(paths(one.values), key=str)))
    odd = encoded(replaced(one.values, path, data.draw(JSON_VALUES | st.just(...))))
    message, read = "", None
    try:
        read = one.read(odd)
    except RecordUnusable as error:
        message = str(error)
    assert not [text for text in ("she agreed", "a [I] woman", "app.example.com") if text in message], "no private value"
    if isinstance(read, JobSpec | Outcome):
        shown(read)


def shown(read: JobSpec | Outcome) -> None:
    """Show the job as the API does."""
    first = first_record(read) if isinstance(read, JobSpec) else first_record(spec(EDIT))
    Edit.of(recovered_record(first)).model_dump_json()
    outcome = read if isinstance(read, Outcome) else SUCCEEDED
    Edit.of(final_record(first, outcome)).model_dump_json()


@FEW
@given(data=st.data())
def test_whatever_is_left_of_a_job_can_be_shown(data: st.DataObject) -> None:
    def odd(values: dict[str, Any]) -> bytes:
        path = data.draw(st.sampled_from(sorted(paths(values), key=str)))
        whole = encoded(replaced(values, path, data.draw(JSON_VALUES)))
        return whole[: data.draw(st.integers(0, len(whole)))] if data.draw(st.booleans()) else whole

    first = partial_record(ANN, JOB_ID, odd(STORED["the spec of an edit"].values))
    outcome = partial_outcome(JOB_ID, odd(STORED["a failure"].values))
    Edit.of(first).model_dump_json()
    Edit.of(final_record(first, outcome)).model_dump_json()


def test_what_can_be_read_of_a_newer_job_is_shown() -> None:
    values = STORED["the spec of an edit"].values | {"version": 9, "request": {"wish": 1}, "inputs": 5}
    first = partial_record(ANN, JOB_ID, encoded(values))
    assert (first.kind, first.created_at, first.deadline_at) == ("edit", 1_790_000_000.5, 1_790_000_600.0)
    assert (first.webhook, first.parent, first.state) == (True, JOB_ID, JobState.QUEUED)
    assert partial_outcome(JOB_ID, encoded(json.loads(SUCCEEDED.to_json()), version=9)) == SUCCEEDED
    assert partial_outcome(JOB_ID, encoded(json.loads(FAILED.to_json()), version=9)) == FAILED
    unknown = partial_outcome(JOB_ID, encoded({"version": 9, "state": "paused", "finished_at": 1_790_000_009.5}))
    assert unknown.failure is not None
    assert (unknown.state, unknown.failure.code, unknown.finished_at) == (JobState.FAILED, RECORD_NEWER, 1_790_000_009.5)


def test_nothing_of_a_damaged_job_but_its_id_is_needed() -> None:
    first = partial_record(ANN, JOB_ID, b"{")
    assert (first.kind, first.webhook, first.created_at) == ("edit", False, time_of(JOB_ID))
    assert time_of(JOB_ID) == pytest.approx(1_795_676_850, abs=100), "when the id was made"
    assert damaged_outcome(JOB_ID) == damaged_outcome(JOB_ID)


def test_an_option_or_a_value_that_only_a_newer_release_knows_is_not_ignored() -> None:
    values = STORED["the spec of an edit"].values
    for changed in (
        {"request": {**values["request"], "light": "warm"}},
        {"request": {**values["request"], "preset": "turbo"}},
        {"request": {**values["request"], "output_format": "jxl"}},
        {"kind": "video"},
    ):
        with pytest.raises(RecordNewer):
            JobSpec.from_json(encoded(values | changed))
    same = JobSpec.from_json(encoded(values | {"request": {**values["request"], "light": None}}))
    assert same.request == EDIT, "an option that is not set changes nothing"
    with pytest.raises(RecordNewer):
        Outcome.from_json(encoded(json.loads(SUCCEEDED.to_json()), state="paused"))


def test_a_request_is_not_checked_by_the_rules_for_new_ones() -> None:
    values = STORED["the spec of an edit"].values
    read = JobSpec.from_json(encoded(values | {"request": {**values["request"], "steps": 5000, "strength": 2.0}}))
    assert isinstance(read.request, EditRequest)
    assert (read.request.steps, read.request.strength) == (5000, 2.0)


@pytest.mark.parametrize("state", ["queued", "running"])
def test_an_outcome_that_is_none_is_damaged(state: str) -> None:
    with pytest.raises(RecordDamaged):
        Outcome.from_json(encoded(json.loads(FAILED.to_json()), state=state))


@FEW
@given(value=JSON_VALUES)
def test_a_number_is_read_or_named(value: Any) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 1e15
    with nullcontext() if is_number else pytest.raises(RecordUnusable):
        assert read_number(json.dumps(value).encode(), "end") == value


def test_each_kind_has_a_version_and_a_record_here() -> None:
    assert {one.kind for one in STORED.values()} == set(VERSIONS) == set(get_args(Kind))
