"""Records are the same after being stored and read."""

from __future__ import annotations

import json

from s2edit_core.request.spec import EditRequest, LearningRequest, MaskRequest
from s2edit_jobs.records.record import END_OF_TIME, TRANSITIONS, Failure, InputFile, JobSpec, JobState, Outcome, Owner, to_datetime


def test_a_spec_comes_back_as_it_was() -> None:
    spec = JobSpec(
        id="e_1",
        owner=Owner("app", "ann"),
        created_at=1.5,
        request=EditRequest(prompt="eine Frau mit Hut — “ja”", seed=2**62, preset="paper", steps=7),
        inputs={"image": InputFile("t/x", "00", 5, "image/png")},
    )
    assert JobSpec.from_json(spec.to_json()) == spec


def test_a_spec_of_a_learning_comes_back_as_it_was() -> None:
    for kind in ("identity", "attribute"):
        request = LearningRequest(kind=kind, prompt="a woman with [A] hat", name="Hut", seed=3)  # type: ignore[arg-type]
        spec = JobSpec("e_1", Owner("app", "ann"), 1.5, request, {}, parent="e_0")
        assert JobSpec.from_json(spec.to_json()) == spec
        assert spec.kind == kind


def test_a_spec_of_a_search_for_a_mask_comes_back_as_it_was() -> None:
    for request in (MaskRequest(), MaskRequest(prompt="a woman", at=(3, 4))):
        spec = JobSpec("e_1", Owner("app", "ann"), 1.5, request, {})
        assert JobSpec.from_json(spec.to_json()) == spec
        assert spec.kind == "mask"


def test_a_spec_of_before_there_were_learnings_is_an_edits() -> None:
    spec = JobSpec("e_1", Owner("app", "ann"), 1.5, EditRequest(prompt="a woman", attributes=("a_1", "a_2")), {})
    assert JobSpec.from_json(spec.to_json()) == spec
    old = json.loads(spec.to_json())
    del old["kind"], old["parent"], old["request"]["attributes"], old["request"]["at"]
    read = JobSpec.from_json(json.dumps(old).encode())
    assert (read.kind, read.parent, read.request) == ("edit", None, EditRequest(prompt="a woman"))


def test_an_outcome_comes_back_as_it_was() -> None:
    succeeded = Outcome(JobState.SUCCEEDED, attempt=2, finished_at=1.5, artifacts={"result": "t/x"}, identity="c_1")
    failed = Outcome(JobState.FAILED, attempt=1, finished_at=1.5, failure=Failure("prompt_invalid", "Wörter", field="prompt"))
    for outcome in (succeeded, failed):
        assert Outcome.from_json(outcome.to_json()) == outcome


def test_nothing_follows_a_state_that_is_over() -> None:
    assert {state for state, after in TRANSITIONS.items() if not after} == {state for state in JobState if state.over}


def test_the_former_name_of_an_identitys_ttl_is_still_read() -> None:
    spec = JobSpec("e_1", Owner("app", "ann"), 1.5, EditRequest(prompt="a woman"), {}, identity_ttl_s=60.0)
    old = json.loads(spec.to_json())
    old["identity_life_s"] = old.pop("identity_ttl_s")
    assert JobSpec.from_json(json.dumps(old).encode()) == spec


def test_a_time_that_no_calendar_has_becomes_the_end_of_the_calendar() -> None:
    times = {seconds: to_datetime(seconds).year for seconds in (-1e15, 0, 1_800_000_000, END_OF_TIME - 1, END_OF_TIME, 1e15)}
    assert [*times.values()] == [1970, 1970, 2027, 9999, 9999, 9999]
