"""Records survive the object store unchanged."""

from __future__ import annotations

from s2edit_core.spec import EditRequest
from s2edit_jobs.record import TRANSITIONS, Failure, InputFile, JobSpec, JobState, Outcome, Owner


def test_a_spec_comes_back_as_it_was() -> None:
    spec = JobSpec(
        id="e_1",
        owner=Owner("app", "ann"),
        created_at=1.5,
        request=EditRequest(prompt="eine Frau mit Hut — “ja”", seed=2**62, preset="paper", steps=7),
        inputs={"image": InputFile("t/x", "00", 5, "image/png")},
    )
    assert JobSpec.from_json(spec.to_json()) == spec


def test_an_outcome_comes_back_as_it_was() -> None:
    succeeded = Outcome(JobState.SUCCEEDED, attempt=2, finished_at=1.5, artifacts={"result": "t/x"}, identity="c_1")
    failed = Outcome(JobState.FAILED, attempt=1, finished_at=1.5, failure=Failure("prompt_invalid", "Wörter", field="prompt"))
    for outcome in (succeeded, failed):
        assert Outcome.from_json(outcome.to_json()) == outcome


def test_nothing_follows_a_state_that_is_over() -> None:
    assert {state for state, after in TRANSITIONS.items() if not after} == {state for state in JobState if state.over}
