"""The directives in prompts of test mode."""

from __future__ import annotations

import pytest

from s2edit_core.errors import InvalidInput, PromptInvalid, S2EditError
from s2edit_jobs.lifecycle.jobs import DEADLINE
from s2edit_jobs.records.testmode import FAILURES, MAX_SLOW_S, OVERDUE, AttemptLost, Directives, parse_directives
from worker.attempts.runner import PARKED


@pytest.mark.parametrize(
    ("prompt", "wishes"),
    [
        ("a photo of a woman with [A] hat", Directives()),
        ("a woman [test:slow 5]", Directives(slow_s=5)),
        ("[test:slow 0.25] a woman [test:webhook_twice]", Directives(slow_s=0.25, webhook_twice=True)),
        ("a woman [test:failed parked] [test:slow 60]", Directives(slow_s=60, fails="parked")),
        ("a woman [test:refused]", Directives(refused=True)),
        ("a woman [test:failed deadline_exceeded]", Directives(fails="deadline_exceeded")),
    ],
)
def test_words_say_what_is_wished(prompt: str, wishes: Directives) -> None:
    assert parse_directives(prompt) == wishes


@pytest.mark.parametrize(
    "word",
    [
        "[test:sloow 5]",
        "[test:slow]",
        "[test:slow 61]",
        "[test:slow -1]",
        "[test:slow nan]",
        "[test:slow ٣]",
        "[test:failed]",
        "[test:failed by accident]",
        "[test:refused twice]",
        "[test:]",
        "[test:slow 5",
        "[test:slow 5] [test:slow 6]",
        "[test:failed parked] [test:failed model_unusable]",
    ],
)
def test_a_word_that_means_nothing_is_told_and_not_passed_over(word: str) -> None:
    with pytest.raises(PromptInvalid) as refused:
        parse_directives(f"a woman {word}")
    assert (refused.value.field, refused.value.reason) == ("prompt", "test_word_unknown")


def test_every_code_that_a_job_can_fail_with_without_fault_of_its_inputs_can_be_wished_for() -> None:
    def below(kind: type[S2EditError]) -> set[type[S2EditError]]:
        return {one for child in kind.__subclasses__() for one in {child} | below(child)}

    ends = {kind.code for kind in below(S2EditError) if not issubclass(kind, InvalidInput)}
    assert ends | {PARKED, DEADLINE, "identity_unknown", "attribute_unknown"} <= set(FAILURES)
    assert DEADLINE == OVERDUE


@pytest.mark.parametrize("code", sorted(set(FAILURES) - {PARKED, OVERDUE}))
def test_what_is_raised_has_the_code_that_was_wished_for(code: str) -> None:
    with pytest.raises(S2EditError) as error:
        Directives(fails=code).raise_failure()
    assert getattr(error.value, "reason", error.value.code) == code


def test_a_job_that_shall_be_parked_loses_its_attempt() -> None:
    with pytest.raises(AttemptLost):
        Directives(fails=PARKED).raise_failure()
    Directives().raise_failure()


def test_a_job_that_shall_be_late_lasts_until_it_is() -> None:
    assert (Directives(fails=OVERDUE).duration_s, Directives(slow_s=2).duration_s) == (MAX_SLOW_S, 2)
